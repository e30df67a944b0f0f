//! Who may ask for which command. Judged before anything else, at the head that the command is decided on.

use super::Refused;
use crate::domain::model::command::{Command, IssueToken, RemoveMember, RevokeToken};
use crate::domain::model::id::UserId;
use crate::domain::model::principal::{Caller, Principal};
use crate::domain::model::rejection::Rejection;
use crate::domain::model::role::{AccessKeyRole, WorkspaceRole};
use crate::domain::state::view::View;

/// What a caller is in the workspace, now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// The operator, or an import that vouches for its actors.
    Operator,
    /// A member with a live token.
    Member(UserId, WorkspaceRole),
    /// A service user with a live token.
    ServiceUser,
    /// An access key.
    AccessKey,
}

impl Standing {
    /// Whether the caller may do what only owners may.
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

    /// Whether the caller is this member.
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

/// Checks that a caller may still ask for each of these commands, as when a request is sent again that was done before.
///
/// # Errors
/// The first command that the caller may not ask for.
pub fn authorize_all<'a>(
    view: &View,
    caller: &Caller,
    commands: impl IntoIterator<Item = &'a Command>,
) -> Result<(), Refused> {
    let check = |(index, command)| {
        authorize(view, caller, command).map(|_| ()).map_err(|rejection| Refused { index, rejection })
    };
    commands.into_iter().enumerate().try_for_each(check)
}

/// Checks that a caller may replace or erase the profile of a person, who may have left.
///
/// # Errors
/// `forbidden`, or `not_found` for someone who never was a member.
pub fn authorize_profile(view: &View, caller: &Caller, user: &str) -> Result<UserId, Rejection> {
    let standing = standing(view, caller)?;
    allow(standing != Standing::AccessKey, "an access key asks and never changes")?;
    let found = user.parse::<UserId>().ok().filter(|user| view.member_trace(user).is_some());
    let own = found.as_ref().is_some_and(|user| standing.is(user));
    allow(own || standing.administers(), "only the member, an owner, a manager or the operator may do this")?;
    found.ok_or_else(|| Rejection::not_found("member", user))
}

/// Checks that a caller may read everything of the workspace.
///
/// # Errors
/// `unauthenticated` or `forbidden`.
pub fn authorize_audit(view: &View, caller: &Caller) -> Result<(), Rejection> {
    let standing = standing(view, caller)?;
    let is_auditor = matches!(caller, Caller::AccessKey { role: AccessKeyRole::Auditor, .. });
    allow(is_auditor || standing.administers(), AUDITORS_ONLY)
}

/// The caller's standing, if it may ask for the command.
pub(super) fn authorize(view: &View, caller: &Caller, command: &Command) -> Result<Standing, Rejection> {
    let standing = standing(view, caller)?;
    match command {
        Command::CreateWorkspace(_) | Command::ChangePlan(_) => allow(standing == Standing::Operator, OPERATOR_ONLY),
        Command::DeleteWorkspace(_) => allow(standing.owns(), OWNER_ONLY),
        Command::RemoveMember(command) => authorize_removal(&standing, command),
        Command::IssueToken(command) => authorize_issue(&standing, command),
        Command::RevokeToken(command) => authorize_revocation(view, &standing, command),
        _ => allow(standing.administers(), ADMINISTRATORS_ONLY),
    }?;
    Ok(standing)
}

fn standing(view: &View, caller: &Caller) -> Result<Standing, Rejection> {
    match caller {
        Caller::Operator | Caller::Vouched(_) => Ok(Standing::Operator),
        Caller::AccessKey { key, .. } => {
            view.access_key(*key).map(|_| Standing::AccessKey).ok_or(Rejection::Unauthenticated)
        }
        Caller::Supposed(user) => {
            let role = view.member(user).map(|role| Standing::Member(user.clone(), role.value));
            role.ok_or(Rejection::Unauthenticated)
        }
        Caller::Principal { principal, token } => {
            view.token(*token).ok_or(Rejection::Unauthenticated)?;
            match principal {
                Principal::User(user) => view.member(user).map(|role| Standing::Member(user.clone(), role.value)),
                Principal::ServiceUser(id) => view.service_user(*id).map(|_| Standing::ServiceUser),
            }
            .ok_or(Rejection::Unauthenticated)
        }
    }
}

fn authorize_removal(standing: &Standing, command: &RemoveMember) -> Result<(), Rejection> {
    let oneself = command.user.0.parse().is_ok_and(|user| standing.is(&user));
    // Who leaves and administers nothing now may not end what they made when they did.
    allow((oneself && !command.revoke_issued) || standing.administers(), ADMINISTRATORS_ONLY)
}

fn authorize_issue(standing: &Standing, command: &IssueToken) -> Result<(), Rejection> {
    match &command.user {
        Some(user) if user.0.parse().is_ok_and(|user| standing.is(&user)) => Ok(()),
        Some(_) => allow(standing.owns(), "only an owner or the operator may issue a token for another member"),
        None => allow(standing.administers(), ADMINISTRATORS_ONLY),
    }
}

fn authorize_revocation(view: &View, standing: &Standing, command: &RevokeToken) -> Result<(), Rejection> {
    let holder = command.token.0.parse().ok().and_then(|token| view.token_holder(token));
    let own = matches!(holder, Some(Principal::User(user)) if standing.is(user));
    allow(own || standing.administers(), "only its holder, an owner, a manager or the operator may revoke a token")
}
