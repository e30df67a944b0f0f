//! The principals whose roles an event may change, and the environments that it concerns.
//!
//! An event does not say which environments a proxy token was valid for before, so that is read from the facts.

use std::collections::BTreeSet;

use crate::domain::model::event::Event;
use crate::domain::model::fact::Fact;
use crate::domain::model::id::{EnvironmentId, ProxyTokenId};
use crate::domain::model::principal::Principal;
use crate::domain::model::time::Revision;
use crate::domain::state::workspace::Workspace;

/// The principals whose roles in an environment an event may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AffectedPrincipals {
    /// None.
    Nobody,
    /// One principal.
    One(Principal),
    /// Every principal.
    Everyone,
}

impl Event {
    /// Returns the principals whose roles in an environment the event may change.
    ///
    /// Each event that [`View::relevant_revisions`](crate::domain::state::view::View::relevant_revisions) names for a principal affects that principal.
    // INVARIANT: timelines of access are updated by this (tests/domain/timelines.rs). No wildcard, so a new kind of fact is considered here.
    pub fn affected_principals(&self, environment: EnvironmentId) -> AffectedPrincipals {
        let only = |id: EnvironmentId, affected: AffectedPrincipals| {
            if id == environment { affected } else { AffectedPrincipals::Nobody }
        };
        match self.data.fact() {
            Fact::Workspace(_) | Fact::Rbac => AffectedPrincipals::Everyone,
            Fact::Member(user, _) => AffectedPrincipals::One(Principal::User(user.clone())),
            Fact::ServiceUser(id, _) => AffectedPrincipals::One(Principal::ServiceUser(id)),
            Fact::Environment(id, _) | Fact::Restriction(id) => only(id, AffectedPrincipals::Everyone),
            Fact::Grant(id, principal, _) => only(id, AffectedPrincipals::One(principal.clone())),
            Fact::Plan
            | Fact::Token(..)
            | Fact::EnvironmentName(..)
            | Fact::ProxyToken(..)
            | Fact::ProxyTokenScope(..)
            | Fact::AccessKey(..)
            | Fact::ResourceType
            | Fact::Placement { .. }
            | Fact::Detail(_) => AffectedPrincipals::Nobody,
        }
    }
}

impl Workspace {
    /// Returns whether an event of this workspace concerns an environment: the environment itself, a grant in it, the proxy tokens that
    /// are scoped to it, or the resources in it.
    ///
    /// A token's new scope concerns the environments that it adds or removes, and none that it keeps.
    pub fn concerns_environment(&self, event: &Event, environment: EnvironmentId) -> bool {
        let contains = |scope: Option<&BTreeSet<_>>| scope.is_some_and(|scope| scope.contains(&environment));
        match event.data.fact() {
            Fact::Environment(id, _) | Fact::EnvironmentName(id, _) | Fact::Restriction(id) | Fact::Grant(id, ..) => {
                id == environment
            }
            Fact::ProxyToken(_, Some(terms)) => contains(terms.environments.as_ref()),
            Fact::ProxyToken(id, None) => contains(self.scope_before(id, event.revision)),
            Fact::ProxyTokenScope(id, scope) => {
                contains(self.scope_before(id, event.revision)) != contains(Some(scope))
            }
            Fact::Placement { from, to } => [from, to].contains(&Some(environment)),
            Fact::Detail(subject) => subject == Some(environment),
            Fact::Workspace(_)
            | Fact::Plan
            | Fact::Rbac
            | Fact::Member(..)
            | Fact::ServiceUser(..)
            | Fact::Token(..)
            | Fact::AccessKey(..)
            | Fact::ResourceType => false,
        }
    }

    /// Returns the scope of a proxy token right before a revision; `None` for a workspace-wide token.
    fn scope_before(&self, id: ProxyTokenId, revision: Revision) -> Option<&BTreeSet<EnvironmentId>> {
        let before = Revision(revision.0.checked_sub(1)?);
        self.proxy_tokens.get(&id)?.terms.1.at(before)?.value.as_deref()
    }
}
