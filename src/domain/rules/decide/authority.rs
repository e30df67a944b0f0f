//! The authority of callers. It is checked before anything else, at the head on which the command is decided.

use super::Refused;
use crate::domain::model::command::{Authority, Command, IssueToken, RemoveMember, RevokeToken};
use crate::domain::model::id::UserId;
use crate::domain::model::principal::{Caller, Principal};
use crate::domain::model::rejection::Rejection;
use crate::domain::model::role::{AccessKeyRole, WorkspaceRole};
use crate::domain::state::view::View;

/// The current role of a caller in the workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CallerRole {
    /// The operator, or an import that vouches for its actors.
    Operator,
    /// A member with a live token.
    Member(UserId, WorkspaceRole),
    /// A service user with a live token.
    ServiceUser,
    /// An access key.
    AccessKey,
}

impl CallerRole {
    /// Returns whether the caller has the authority of an owner.
    pub(super) const fn owns(&self) -> bool {
        matches!(self, Self::Operator | Self::Member(_, WorkspaceRole::Owner))
    }

    const fn administers(&self) -> bool {
        match self {
            Self::Operator => true,
            Self::Member(_, role) => role.administers(),
            Self::ServiceUser | Self::AccessKey => false,
        }
    }

    /// Returns whether the caller is this member.
    fn is(&self, user: &UserId) -> bool {
        matches!(self, Self::Member(own, _) if own == user)
    }
}

const OPERATOR_ONLY: &str = "only the operator may do this";
const OWNER_ONLY: &str = "only an owner or the operator may do this";
const ADMINISTRATORS_ONLY: &str = "only an owner, a manager or the operator may do this";
const AUDITORS_ONLY: &str = "only an owner, a manager, the operator or an `auditor` key may read this";

fn allow(allowed: bool, otherwise: &'static str) -> Result<(), Rejection> {
    if allowed { Ok(()) } else { Err(Rejection::Forbidden(otherwise)) }
}

/// Checks that a caller may still ask for each of these commands, for example when a request is repeated.
///
/// # Errors
/// The first command that the caller may not ask for.
pub fn authorize_all<'a>(
    view: &View,
    caller: &Caller,
    commands: impl IntoIterator<Item = &'a Command>,
) -> Result<(), Refused> {
    let check = |(index, command)| {
        authorize_command(view, caller, command).map(|_| ()).map_err(|rejection| Refused { index, rejection })
    };
    commands.into_iter().enumerate().try_for_each(check)
}

/// Checks that a caller may replace or erase the profile of a current or former member.
///
/// # Errors
/// `forbidden`, or `not_found` for a user who never was a member.
pub fn authorize_profile(view: &View, caller: &Caller, user: &str) -> Result<UserId, Rejection> {
    let caller_role = caller_role(view, caller)?;
    allow(caller_role != CallerRole::AccessKey, "an access key asks and never changes")?;
    let found = user.parse::<UserId>().ok().filter(|user| view.last_member_change(user).is_some());
    let own = found.as_ref().is_some_and(|user| caller_role.is(user));
    allow(own || caller_role.administers(), "only the member, an owner, a manager or the operator may do this")?;
    found.ok_or_else(|| Rejection::not_found("member", user))
}

/// Checks that a caller may read everything in the workspace.
///
/// # Errors
/// `unauthenticated` or `forbidden`.
pub fn authorize_audit(view: &View, caller: &Caller) -> Result<(), Rejection> {
    let caller_role = caller_role(view, caller)?;
    let is_auditor = matches!(caller, Caller::AccessKey { role: AccessKeyRole::Auditor, .. });
    allow(is_auditor || caller_role.administers(), AUDITORS_ONLY)
}

/// Returns the role of the caller if it may ask for the command.
pub(super) fn authorize_command(view: &View, caller: &Caller, command: &Command) -> Result<CallerRole, Rejection> {
    let caller_role = caller_role(view, caller)?;
    match command.authority() {
        Authority::Operator => allow(caller_role == CallerRole::Operator, OPERATOR_ONLY),
        Authority::Owner => allow(caller_role.owns(), OWNER_ONLY),
        Authority::Administrator => allow(caller_role.administers(), ADMINISTRATORS_ONLY),
        Authority::Removal(command) => authorize_removal(&caller_role, command),
        Authority::Issue(command) => authorize_issue(&caller_role, command),
        Authority::Revocation(command) => authorize_revocation(view, &caller_role, command),
    }?;
    Ok(caller_role)
}

fn caller_role(view: &View, caller: &Caller) -> Result<CallerRole, Rejection> {
    match caller {
        Caller::Operator | Caller::ImportedActor(_) => Ok(CallerRole::Operator),
        Caller::AccessKey { key, .. } => {
            view.access_key(*key).map(|_| CallerRole::AccessKey).ok_or(Rejection::Unauthenticated)
        }
        Caller::SimulatedUser(user) => {
            let role = view.member(user).map(|role| CallerRole::Member(user.clone(), role.value));
            role.ok_or(Rejection::Unauthenticated)
        }
        Caller::Principal { principal, token } => {
            view.token(*token).ok_or(Rejection::Unauthenticated)?;
            match principal {
                Principal::User(user) => view.member(user).map(|role| CallerRole::Member(user.clone(), role.value)),
                Principal::ServiceUser(id) => view.service_user(*id).map(|_| CallerRole::ServiceUser),
            }
            .ok_or(Rejection::Unauthenticated)
        }
    }
}

fn authorize_removal(caller_role: &CallerRole, command: &RemoveMember) -> Result<(), Rejection> {
    let oneself = command.user.0.parse().is_ok_and(|user| caller_role.is(&user));
    // A member without authority may leave, but may not end credentials that were issued with an earlier authority.
    allow((oneself && !command.revoke_issued) || caller_role.administers(), ADMINISTRATORS_ONLY)
}

fn authorize_issue(caller_role: &CallerRole, command: &IssueToken) -> Result<(), Rejection> {
    match &command.user {
        Some(user) if user.0.parse().is_ok_and(|user| caller_role.is(&user)) => Ok(()),
        Some(_) => allow(caller_role.owns(), "only an owner or the operator may issue a token for another member"),
        None => allow(caller_role.administers(), ADMINISTRATORS_ONLY),
    }
}

fn authorize_revocation(view: &View, caller_role: &CallerRole, command: &RevokeToken) -> Result<(), Rejection> {
    let holder = command.token.0.parse().ok().and_then(|token| view.token_holder(token));
    let own = matches!(holder, Some(Principal::User(user)) if caller_role.is(user));
    allow(own || caller_role.administers(), "only its holder, an owner, a manager or the operator may revoke a token")
}
