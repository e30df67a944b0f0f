//! The authority for each command, restated from the first lines of section 2 and the words in brackets in its table.

use tenure::domain::model::command::Command;
use tenure::domain::model::id::UserId;
use tenure::domain::model::principal::{Caller, Principal};
use tenure::domain::model::role::WorkspaceRole;

use super::facts::Facts;

/// The authority of a caller, least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// A service user, or an access key.
    Outsider,
    Member,
    Manager,
    Owner,
    Operator,
}

/// A caller whose credential is still valid.
#[derive(Debug, Clone)]
pub struct CallerRole {
    pub rank: Rank,
    pub user: Option<UserId>,
}

impl CallerRole {
    const fn of(rank: Rank) -> Self {
        Self { rank, user: None }
    }

    fn is(&self, user: &str) -> bool {
        self.user.as_ref().is_some_and(|own| own.as_str() == user)
    }
}

/// Returns the role of a caller now, or the code of the refusal if the credential or its holder has ended.
pub fn caller_role(facts: &Facts, caller: &Caller) -> Result<CallerRole, &'static str> {
    let of_member = |user: &UserId| {
        facts.role(user.as_str()).map(|role| {
            let rank = match role {
                WorkspaceRole::Owner => Rank::Owner,
                WorkspaceRole::Manager => Rank::Manager,
                WorkspaceRole::Member => Rank::Member,
            };
            CallerRole { rank, user: Some(user.clone()) }
        })
    };
    let found = match caller {
        Caller::Operator | Caller::ImportedActor(_) => Some(CallerRole::of(Rank::Operator)),
        Caller::AccessKey { key, .. } => {
            facts.access_keys.iter().any(|found| found.id == *key).then_some(CallerRole::of(Rank::Outsider))
        }
        Caller::Principal { token, .. } if !facts.tokens.iter().any(|found| found.id == *token) => None,
        Caller::Principal { principal: Principal::ServiceUser(id), .. } => {
            facts.service_users.iter().any(|(found, _)| found == id).then_some(CallerRole::of(Rank::Outsider))
        }
        Caller::Principal { principal: Principal::User(user), .. } | Caller::SimulatedUser(user) => of_member(user),
    };
    found.ok_or("unauthenticated")
}

/// Returns whether the caller has the authority for a command.
pub fn has_authority(facts: &Facts, caller_role: &CallerRole, command: &Command) -> bool {
    let CallerRole { rank, .. } = caller_role;
    match command {
        Command::CreateWorkspace(_) | Command::ChangePlan(_) => *rank == Rank::Operator,
        Command::DeleteWorkspace(_) => *rank >= Rank::Owner,
        Command::RemoveMember(removal) => {
            let leaves = caller_role.is(&removal.user.0) && !removal.revoke_issued;
            leaves || *rank >= Rank::Manager
        }
        Command::IssueToken(issue) => match &issue.user {
            Some(user) => caller_role.is(&user.0) || *rank >= Rank::Owner,
            None => *rank >= Rank::Manager,
        },
        Command::RevokeToken(revocation) => {
            let own = facts.tokens_ever.iter().any(|(id, holder)| {
                id.to_string() == revocation.token.0
                    && matches!(holder, Principal::User(user) if caller_role.is(user.as_str()))
            });
            own || *rank >= Rank::Manager
        }
        _ => *rank >= Rank::Manager,
    }
}
