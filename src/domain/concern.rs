//! Which environments an event changes something about. What a proxy token was valid for before stands in no event, so the
//! facts are asked.

use std::collections::BTreeSet;

use super::event::{Event, EventData};
use super::id::{EnvironmentId, ProxyTokenId};
use super::time::Revision;
use super::workspace::Workspace;

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
