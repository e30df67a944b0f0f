//! Commands about API tokens, proxy tokens and access keys.

use std::collections::BTreeSet;

use super::authority::Standing;
use super::grants::check_rbac;
use super::{CREDENTIALS_MAX, Decision, SCOPE_MAX, check_expiry};
use crate::domain::command::{
    CreateProxyToken, EnvironmentRef, IssueAccessKey, IssueToken, RevokeAccessKey, RevokeProxyToken, RevokeToken,
    SetProxyTokenEnvironments,
};
use crate::domain::event::{
    AccessKeyTerms, EventData, Nothing, ProxyTokenScope, ProxyTokenTerms, TokenEnd, TokenTerms,
};
use crate::domain::id::{AccessKeyId, EnvironmentId, Fresh, ProxyTokenId, TokenId};
use crate::domain::principal::{Caller, Principal};
use crate::domain::rejection::Rejection;
use crate::domain::role::WorkspaceRole;
use crate::domain::time::Instant;
use crate::domain::view::View;

pub(super) fn issue_token(view: &View, caller: &Caller, command: &IssueToken, fresh: &Fresh) -> Decision {
    let holder = match (&command.user, &command.service_user) {
        (Some(user), None) => Principal::User(view.find_member(user)?.0),
        (None, Some(service_user)) => Principal::ServiceUser(view.find_service_user(service_user)?.id),
        _ => {
            let why = "exactly one of `user` and `service_user` names the holder".to_owned();
            return Err(Rejection::Invalid { field: "user", why });
        }
    };
    Ok(vec![new_token(view, caller, holder, command.expires_at, fresh)?])
}

/// The token that comes with a new service user.
pub(super) fn first_token(
    view: &View,
    caller: &Caller,
    holder: Principal,
    fresh: &Fresh,
) -> Result<EventData, Rejection> {
    new_token(view, caller, holder, None, fresh)
}

fn new_token(
    view: &View,
    caller: &Caller,
    holder: Principal,
    expires_at: Option<Instant>,
    fresh: &Fresh,
) -> Result<EventData, Rejection> {
    check_expiry(view, expires_at)?;
    let expires_at = within_caller(view, caller, expires_at)?;
    check_room(view)?;
    let terms = TokenTerms { holder, sha256: fresh.digest, expires_at };
    Ok(EventData::TokenIssued(TokenId::from_uuid(fresh.token), terms))
}

/// A token that is made with another lives no longer than that one, so that one which leaks cannot outlive itself.
fn within_caller(view: &View, caller: &Caller, asked: Option<Instant>) -> Result<Option<Instant>, Rejection> {
    let Caller::Principal { token, .. } = caller else { return Ok(asked) };
    let Some(own) = view.token(*token).and_then(|token| token.expires_at) else { return Ok(asked) };
    match asked {
        Some(asked) if asked > own => Err(Rejection::Invalid {
            field: "expires_at",
            why: format!("`{asked}` is later than `{own}`, when the token that asks expires"),
        }),
        asked => Ok(asked.or(Some(own))),
    }
}

pub(super) fn revoke_token(view: &View, standing: &Standing, command: &RevokeToken) -> Decision {
    let token = view.find_token(&command.token)?;
    let holder = &token.terms.holder;
    let owner = matches!(holder, Principal::User(user)
        if view.member(user).is_some_and(|role| role.value == WorkspaceRole::Owner));
    if owner && !standing.owns() {
        return Err(Rejection::OwnerProtected("revoke an owner's token"));
    }
    Ok(vec![EventData::TokenRevoked(token.id, TokenEnd { holder: holder.clone() })])
}

/// The end of every token that a principal holds.
pub(super) fn revoke_tokens(view: &View, holder: &Principal) -> impl Iterator<Item = EventData> {
    view.tokens_of(holder)
        .map(|token| EventData::TokenRevoked(token.id, TokenEnd { holder: token.terms.holder.clone() }))
}

/// While RBAC is on, a proxy token is scoped; while it is off, workspace-wide. A list that is given while RBAC is off is
/// refused even if it is empty: whoever wrote it did not mean everywhere.
pub(super) fn create_proxy_token(view: &View, command: &CreateProxyToken, fresh: &Fresh) -> Decision {
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
    check_expiry(view, command.expires_at)?;
    check_room(view)?;
    let terms = ProxyTokenTerms { environments, sha256: fresh.digest, expires_at: command.expires_at };
    Ok(vec![EventData::ProxyTokenCreated(ProxyTokenId::from_uuid(fresh.entity), terms)])
}

pub(super) fn set_scope(view: &View, command: &SetProxyTokenEnvironments) -> Decision {
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

pub(super) fn revoke_proxy_token(view: &View, command: &RevokeProxyToken) -> Decision {
    let token = view.find_proxy_token(&command.proxy_token)?;
    Ok(vec![EventData::ProxyTokenRevoked(token.id, Nothing {})])
}

pub(super) fn issue_access_key(view: &View, command: &IssueAccessKey, fresh: &Fresh) -> Decision {
    let IssueAccessKey { role, label, expires_at } = command;
    check_expiry(view, *expires_at)?;
    check_room(view)?;
    let terms = AccessKeyTerms { role: *role, label: label.clone(), sha256: fresh.digest, expires_at: *expires_at };
    Ok(vec![EventData::AccessKeyIssued(AccessKeyId::from_uuid(fresh.entity), terms)])
}

pub(super) fn revoke_access_key(view: &View, command: &RevokeAccessKey) -> Decision {
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
    if view.workspace().census.credentials >= CREDENTIALS_MAX {
        return Err(Rejection::TooLarge { what: "live tokens and keys a workspace", max: CREDENTIALS_MAX });
    }
    Ok(())
}
