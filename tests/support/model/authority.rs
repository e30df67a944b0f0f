//! Who may ask for which command, said again from the first lines of section 2 and the words in brackets in its table.

use tenure::domain::model::command::Command;
use tenure::domain::model::id::UserId;
use tenure::domain::model::principal::{Caller, Principal};
use tenure::domain::model::role::WorkspaceRole;

use super::facts::Facts;

/// How much a caller may do, least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// A service user, or an access key.
    Outsider,
    Member,
    Manager,
    Owner,
    Operator,
}

/// A caller who proved who they are, and still is that.
#[derive(Debug, Clone)]
pub struct Standing {
    pub rank: Rank,
    pub user: Option<UserId>,
}

impl Standing {
    const fn of(rank: Rank) -> Self {
        Self { rank, user: None }
    }

    fn is(&self, user: &str) -> bool {
        self.user.as_ref().is_some_and(|own| own.as_str() == user)
    }
}

/// What the caller is now; the code if nothing, because a credential or its holder ended.
pub fn standing(facts: &Facts, caller: &Caller) -> Result<Standing, &'static str> {
    let of_member = |user: &UserId| {
        facts.role(user.as_str()).map(|role| {
            let rank = match role {
                WorkspaceRole::Owner => Rank::Owner,
                WorkspaceRole::Manager => Rank::Manager,
                WorkspaceRole::Member => Rank::Member,
            };
            Standing { rank, user: Some(user.clone()) }
        })
    };
    let found = match caller {
        Caller::Operator | Caller::Vouched(_) => Some(Standing::of(Rank::Operator)),
        Caller::AccessKey { key, .. } => {
            facts.access_keys.iter().any(|found| found.id == *key).then_some(Standing::of(Rank::Outsider))
        }
        Caller::Principal { token, .. } if !facts.tokens.iter().any(|found| found.id == *token) => None,
        Caller::Principal { principal: Principal::ServiceUser(id), .. } => {
            facts.service_users.iter().any(|(found, _)| found == id).then_some(Standing::of(Rank::Outsider))
        }
        Caller::Principal { principal: Principal::User(user), .. } | Caller::Supposed(user) => of_member(user),
    };
    found.ok_or("unauthenticated")
}

/// Whether the caller may ask for the command at all.
pub fn may_ask(facts: &Facts, standing: &Standing, command: &Command) -> bool {
    let Standing { rank, .. } = standing;
    match command {
        Command::CreateWorkspace(_) | Command::ChangePlan(_) => *rank == Rank::Operator,
        Command::DeleteWorkspace(_) => *rank >= Rank::Owner,
        Command::RemoveMember(removal) => {
            let leaves = standing.is(&removal.user.0) && !removal.revoke_issued;
            leaves || *rank >= Rank::Manager
        }
        Command::IssueToken(issue) => match &issue.user {
            Some(user) => standing.is(&user.0) || *rank >= Rank::Owner,
            None => *rank >= Rank::Manager,
        },
        Command::RevokeToken(revocation) => {
            let own = facts.tokens_ever.iter().any(|(id, holder)| {
                id.to_string() == revocation.token.0
                    && matches!(holder, Principal::User(user) if standing.is(user.as_str()))
            });
            own || *rank >= Rank::Manager
        }
        _ => *rank >= Rank::Manager,
    }
}
