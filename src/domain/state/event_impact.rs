//! What an event concerns: which environments it changes something about, and whose role in one. What a proxy token was valid for
//! before stands in no event, so the facts are asked.

use std::collections::BTreeSet;

use crate::domain::model::event::{Event, EventData};
use crate::domain::model::id::{EnvironmentId, ProxyTokenId};
use crate::domain::model::principal::Principal;
use crate::domain::model::time::Revision;
use crate::domain::state::workspace::Workspace;

/// Whose role in an environment an event may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Affected {
    /// No principal's.
    Nobody,
    /// One principal's.
    One(Principal),
    /// That of every principal.
    Everyone,
}

impl Event {
    /// Whose role in an environment the event may change. Nobody else's ever rests on it: what
    /// [`View::bearing`](crate::domain::state::view::View::bearing) names for a principal is an event that affects them.
    // INVARIANT: rolls are brought forward by it (tests/domain/rolls.rs). No wildcard, so that a new event is thought of here.
    pub fn affected_in(&self, environment: EnvironmentId) -> Affected {
        let only = |id: &EnvironmentId, affected: Affected| {
            if *id == environment { affected } else { Affected::Nobody }
        };
        match &self.data {
            EventData::WorkspaceCreated(..)
            | EventData::WorkspaceDeleted(..)
            | EventData::RbacEnabled(..)
            | EventData::RbacDisabled(..) => Affected::Everyone,
            EventData::MemberAdded(user, _)
            | EventData::MemberRoleChanged(user, _)
            | EventData::MemberRemoved(user, _) => Affected::One(Principal::User(user.clone())),
            EventData::ServiceUserCreated(id, _) | EventData::ServiceUserDeleted(id, _) => {
                Affected::One(Principal::ServiceUser(*id))
            }
            EventData::EnvironmentCreated(id, _)
            | EventData::EnvironmentRestricted(id, _)
            | EventData::EnvironmentDefaultRoleChanged(id, _)
            | EventData::EnvironmentUnrestricted(id, _)
            | EventData::EnvironmentDeleted(id, _) => only(id, Affected::Everyone),
            EventData::GrantAdded(id, terms) | EventData::GrantChanged(id, terms) => {
                only(id, Affected::One(terms.principal.clone()))
            }
            EventData::GrantRevoked(id, end) | EventData::GrantExpired(id, end) => {
                only(id, Affected::One(end.principal.clone()))
            }
            EventData::PlanChanged(..)
            | EventData::EnvironmentRenamed(..)
            | EventData::TokenIssued(..)
            | EventData::TokenRevoked(..)
            | EventData::TokenExpired(..)
            | EventData::ProxyTokenCreated(..)
            | EventData::ProxyTokenScoped(..)
            | EventData::ProxyTokenRevoked(..)
            | EventData::ProxyTokenExpired(..)
            | EventData::AccessKeyIssued(..)
            | EventData::AccessKeyRevoked(..)
            | EventData::AccessKeyExpired(..)
            | EventData::ResourceTypeDefined(..)
            | EventData::ResourcePlaced(..)
            | EventData::ResourceMoved(..)
            | EventData::ResourceRemoved(..) => Affected::Nobody,
        }
    }
}

impl Workspace {
    /// Whether an event of this workspace changes something about an environment: itself, a grant in it, which proxy tokens are
    /// scoped to it, or which resources live in it. One that a token's new scope keeps is not concerned; one that a token leaves, or ends in, is.
    pub fn concerns_environment(&self, event: &Event, environment: EnvironmentId) -> bool {
        let scoped = |scope: Option<&BTreeSet<_>>| scope.is_some_and(|scope| scope.contains(&environment));
        match &event.data {
            EventData::EnvironmentCreated(id, _)
            | EventData::EnvironmentRenamed(id, _)
            | EventData::EnvironmentRestricted(id, _)
            | EventData::EnvironmentDefaultRoleChanged(id, _)
            | EventData::EnvironmentUnrestricted(id, _)
            | EventData::EnvironmentDeleted(id, _)
            | EventData::GrantAdded(id, _)
            | EventData::GrantChanged(id, _)
            | EventData::GrantRevoked(id, _)
            | EventData::GrantExpired(id, _) => *id == environment,
            EventData::ProxyTokenCreated(_, token) => scoped(token.environments.as_ref()),
            EventData::ProxyTokenScoped(id, after) => {
                scoped(self.scope_before(*id, event.revision)) != scoped(Some(&after.environments))
            }
            EventData::ProxyTokenRevoked(id, _) | EventData::ProxyTokenExpired(id, _) => {
                scoped(self.scope_before(*id, event.revision))
            }
            EventData::ResourcePlaced(_, place) | EventData::ResourceRemoved(_, place) => {
                place.environment == environment
            }
            EventData::ResourceMoved(_, moved) => [moved.from, moved.environment].contains(&environment),
            _ => false,
        }
    }

    /// What a proxy token was scoped to right before a revision; none for a workspace-wide one.
    fn scope_before(&self, id: ProxyTokenId, revision: Revision) -> Option<&BTreeSet<EnvironmentId>> {
        let before = Revision(revision.0.checked_sub(1)?);
        self.proxy_tokens.get(&id)?.terms.1.at(before)?.value.as_deref()
    }
}
