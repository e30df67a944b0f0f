//! Commands about API tokens, proxy tokens and access keys.

use std::collections::BTreeSet;

use super::authority::CallerRole;
use super::grants::check_rbac;
use super::{CREDENTIALS_MAX, CommandResult, SCOPE_MAX, TOKENS_OF_PRINCIPAL_MAX, check_expiry};
use crate::domain::model::command::{
    CreateProxyToken, EnvironmentRef, IssueAccessKey, IssueToken, RevokeAccessKey, RevokeProxyToken, RevokeToken,
    SetProxyTokenEnvironments,
};
use crate::domain::model::credential::CredentialId;
use crate::domain::model::event::{
    AccessKeyTerms, EventData, Nothing, ProxyTokenScope, ProxyTokenTerms, TokenEnd, TokenTerms,
};
use crate::domain::model::id::{AccessKeyId, EnvironmentId, GeneratedIds, ProxyTokenId, TokenId, UserId};
use crate::domain::model::principal::{Caller, Principal};
use crate::domain::model::rejection::Rejection;
use crate::domain::model::role::WorkspaceRole;
use crate::domain::model::time::Instant;
use crate::domain::state::view::View;

pub(super) fn issue_token(
    view: &View,
    caller: &Caller,
    command: &IssueToken,
    generated: &GeneratedIds,
) -> CommandResult {
    let holder = match (&command.user, &command.service_user) {
        (Some(user), None) => Principal::User(view.find_member(user)?.0),
        (None, Some(service_user)) => Principal::ServiceUser(view.find_service_user(service_user)?.id),
        _ => {
            let why = "exactly one of `user` and `service_user` names the holder".to_owned();
            return Err(Rejection::Invalid { field: "user", why });
        }
    };
    Ok(vec![new_token(view, caller, holder, command.expires_at, generated)?])
}

/// Returns the token that comes with a new service user.
pub(super) fn first_token(
    view: &View,
    caller: &Caller,
    holder: Principal,
    generated: &GeneratedIds,
) -> Result<EventData, Rejection> {
    new_token(view, caller, holder, None, generated)
}

fn new_token(
    view: &View,
    caller: &Caller,
    holder: Principal,
    expires_at: Option<Instant>,
    generated: &GeneratedIds,
) -> Result<EventData, Rejection> {
    let expires_at = end_of_new(view, caller, expires_at)?;
    check_room(view)?;
    if view.live_tokens_len(&holder) >= TOKENS_OF_PRINCIPAL_MAX {
        return Err(Rejection::TooLarge { what: "live API tokens a principal", max: TOKENS_OF_PRINCIPAL_MAX });
    }
    let terms = TokenTerms { holder, sha256: generated.digest, expires_at };
    Ok(EventData::TokenIssued(TokenId::from_uuid(generated.token), terms))
}

/// Returns the end of a new credential: in the future, and no later than the end of the token that authenticates the
/// request. So a leaked token makes nothing that outlives it.
fn end_of_new(view: &View, caller: &Caller, requested: Option<Instant>) -> Result<Option<Instant>, Rejection> {
    check_expiry(view, requested)?;
    let Caller::Principal { token, .. } = caller else { return Ok(requested) };
    let Some(own) = view.token(*token).and_then(|token| token.expires_at) else { return Ok(requested) };
    match requested {
        Some(requested) if requested > own => Err(Rejection::Invalid {
            field: "expires_at",
            why: format!("`{requested}` is later than `{own}`, when the token that asks expires"),
        }),
        requested => Ok(requested.or(Some(own))),
    }
}

pub(super) fn revoke_token(view: &View, caller_role: &CallerRole, command: &RevokeToken) -> CommandResult {
    let token = view.find_token(&command.token)?;
    check_holder(view, caller_role, &token.terms.holder)?;
    Ok(vec![token_revoked(token.id, &token.terms.holder)])
}

/// Refuses to revoke a token of an owner, unless an owner or the operator asks.
fn check_holder(view: &View, caller_role: &CallerRole, holder: &Principal) -> Result<(), Rejection> {
    let owner = matches!(holder, Principal::User(user)
        if view.member(user).is_some_and(|role| role.value == WorkspaceRole::Owner));
    if owner && !caller_role.owns() {
        return Err(Rejection::OwnerProtected("revoke an owner's token"));
    }
    Ok(())
}

fn token_revoked(id: TokenId, holder: &Principal) -> EventData {
    EventData::TokenRevoked(id, TokenEnd { holder: holder.clone() })
}

/// Returns an event that revokes each token of a principal.
pub(super) fn revoke_tokens(view: &View, holder: &Principal) -> impl Iterator<Item = EventData> {
    view.tokens_of(holder).map(|token| token_revoked(token.id, &token.terms.holder))
}

/// Returns an event that revokes each live credential that a member issued, except the member's own tokens.
///
/// # Errors
/// `owner_protected`: one of them is a token of an owner, which the caller may not revoke.
pub(super) fn revoke_issued(view: &View, caller_role: &CallerRole, issuer: &UserId) -> CommandResult {
    let mut events = Vec::new();
    for credential in view.issued(issuer) {
        match credential {
            CredentialId::Token(id) => {
                let Some(token) = view.token(id).filter(|token| !is_user(&token.terms.holder, issuer)) else {
                    continue;
                };
                check_holder(view, caller_role, &token.terms.holder)?;
                events.push(token_revoked(id, &token.terms.holder));
            }
            CredentialId::ProxyToken(id) => events.push(EventData::ProxyTokenRevoked(id, Nothing {})),
            CredentialId::AccessKey(id) => events.push(EventData::AccessKeyRevoked(id, Nothing {})),
        }
    }
    Ok(events)
}

fn is_user(principal: &Principal, user: &UserId) -> bool {
    matches!(principal, Principal::User(own) if own == user)
}

/// While RBAC is on, a proxy token is scoped; while it is off, workspace-wide. A list is refused while RBAC is off,
/// even an empty one: it cannot mean every environment.
pub(super) fn create_proxy_token(
    view: &View,
    caller: &Caller,
    command: &CreateProxyToken,
    generated: &GeneratedIds,
) -> CommandResult {
    let environments = command.environments.as_deref().map(|named| find_scope(view, named)).transpose()?;
    match (&environments, view.rbac().value) {
        (Some(_), false) => return Err(Rejection::RbacDisabled("a token made now is workspace-wide, so name none")),
        (Some(scope), true) if !scope.is_empty() => check_scope_len(scope)?,
        (_, true) => {
            let why = "RBAC is on, so name at least one environment that the token is valid for".to_owned();
            return Err(Rejection::Invalid { field: "environments", why });
        }
        (None, false) => {}
    }
    let expires_at = end_of_new(view, caller, command.expires_at)?;
    check_room(view)?;
    let terms = ProxyTokenTerms { environments, sha256: generated.digest, expires_at };
    Ok(vec![EventData::ProxyTokenCreated(ProxyTokenId::from_uuid(generated.entity), terms)])
}

pub(super) fn set_scope(view: &View, command: &SetProxyTokenEnvironments) -> CommandResult {
    let token = view.find_proxy_token(&command.proxy_token)?;
    let environments = find_scope(view, &command.environments)?;
    let Some(held) = token.scope.value else {
        return Err(Rejection::TokenNotScoped(token.id.to_string()));
    };
    check_rbac(view, "scopes are not enforced, so enable it before changing one")?;
    check_scope_len(&environments)?;
    let scoped = *held != environments;
    let event = EventData::ProxyTokenScoped(token.id, ProxyTokenScope { environments });
    Ok(if scoped { vec![event] } else { Vec::new() })
}

pub(super) fn revoke_proxy_token(view: &View, command: &RevokeProxyToken) -> CommandResult {
    let token = view.find_proxy_token(&command.proxy_token)?;
    Ok(vec![EventData::ProxyTokenRevoked(token.id, Nothing {})])
}

pub(super) fn issue_access_key(
    view: &View,
    caller: &Caller,
    command: &IssueAccessKey,
    generated: &GeneratedIds,
) -> CommandResult {
    let IssueAccessKey { role, label, expires_at } = command;
    let expires_at = end_of_new(view, caller, *expires_at)?;
    check_room(view)?;
    let terms = AccessKeyTerms { role: *role, label: label.clone(), sha256: generated.digest, expires_at };
    Ok(vec![EventData::AccessKeyIssued(AccessKeyId::from_uuid(generated.entity), terms)])
}

pub(super) fn revoke_access_key(view: &View, command: &RevokeAccessKey) -> CommandResult {
    let key = view.find_access_key(&command.access_key)?;
    Ok(vec![EventData::AccessKeyRevoked(key.id, Nothing {})])
}

fn find_scope(view: &View, named: &[EnvironmentRef]) -> Result<BTreeSet<EnvironmentId>, Rejection> {
    named.iter().map(|reference| view.find_environment(reference).map(|environment| environment.id)).collect()
}

fn check_scope_len(scope: &BTreeSet<EnvironmentId>) -> Result<(), Rejection> {
    if scope.len() > SCOPE_MAX {
        return Err(Rejection::TooLarge { what: "environments a proxy token", max: SCOPE_MAX });
    }
    Ok(())
}

fn check_room(view: &View) -> Result<(), Rejection> {
    if view.workspace().live_counts.credentials >= CREDENTIALS_MAX {
        return Err(Rejection::TooLarge { what: "live tokens and keys a workspace", max: CREDENTIALS_MAX });
    }
    Ok(())
}
