//! The past of a view: the events that roles rested on, and views of earlier moments.

use super::View;
use crate::domain::model::id::{EnvironmentId, TokenId, UserId};
use crate::domain::model::principal::Principal;
use crate::domain::model::time::{Instant, Revision};
use crate::domain::state::registry::{PrincipalFacts, PrincipalLifecycle};
use crate::domain::state::timeline::{Since, Timeline};
use crate::domain::state::workspace::RestrictionState;

/// The time in which an API token was valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenLife {
    /// The token.
    pub id: TokenId,
    /// The time at which it was made.
    pub from: Instant,
    /// The time at which it was revoked or expired; `None` if it is live in the view.
    pub until: Option<Instant>,
    /// The event that ended it, if there is one.
    pub ended: Option<Revision>,
}

impl View {
    /// Returns the time of a revision's event, or [`Instant::EARLIEST`] if no loaded fact knows it.
    pub fn time_of(&self, revision: Revision) -> Instant {
        self.workspace.time_of(revision).unwrap_or(Instant::EARLIEST)
    }

    /// Returns the event that made a user a member, before any change of the role.
    pub fn member_since(&self, user: &UserId) -> Option<Revision> {
        self.workspace.registry.user(user.as_str())?.roles()?.run_start(self.revision, Option::is_some)
    }

    /// Returns the view at an earlier instant, with no later revision than this view. For a later instant, it is at
    /// this view's.
    #[must_use]
    pub fn back_to(&self, instant: Instant) -> Self {
        let revision = self.workspace.revision_at(instant).min(self.revision);
        Self { workspace: self.workspace.clone(), revision, instant: instant.min(self.instant) }
    }

    /// Returns a view of the same facts at the earliest instant: that of the newest event, if nothing has expired
    /// since. So the view of now keeps its name until something happens.
    #[must_use]
    pub fn canonical(self) -> Self {
        let (head, time) = (self.workspace.head(), self.workspace.head_time());
        let expired = self.workspace.next_expiry().is_some_and(|end| end <= self.instant);
        let instant = if self.revision == head && !expired { time.min(self.instant) } else { self.instant };
        Self { instant, ..self }
    }

    /// Returns the facts between two events of one command, at an instant. It only serves to find the event that made a
    /// difference; no question is answered from it.
    #[must_use]
    pub fn mid_command(&self, revision: Revision, instant: Instant) -> Self {
        Self { workspace: self.workspace.clone(), revision: revision.min(self.revision), instant }
    }

    /// Returns every event that a role of the principal in the environment ever rested on, in order.
    pub fn relevant_revisions(&self, environment: EnvironmentId, principal: &Principal) -> Vec<Revision> {
        let workspace = &self.workspace;
        let mut revisions = self.revisions(&workspace.alive);
        revisions.extend(self.revisions(&workspace.rbac));
        match workspace.registry.principal(principal).map(|facts| &facts.lifecycle) {
            Some(PrincipalLifecycle::User(roles)) => revisions.extend(self.revisions(roles)),
            Some(PrincipalLifecycle::ServiceUser(alive, _)) => revisions.extend(self.revisions(alive)),
            None => {}
        }
        let restriction = workspace.registry.environment(environment).map(|facts| &facts.restriction);
        revisions.extend(restriction.into_iter().flat_map(|restriction| self.revisions(restriction)));
        let grants = workspace.registry.grants(environment, principal);
        revisions.extend(grants.into_iter().flat_map(|grants| self.revisions(grants)));
        revisions.sort_unstable();
        revisions.dedup();
        revisions
    }

    fn revisions<T: Clone>(&self, timeline: &Timeline<T>) -> Vec<Revision> {
        timeline.iter().map(|entry| entry.since).take_while(|since| *since <= self.revision).collect()
    }

    /// Returns every end of the principal's grants in the environment up to the view's instant, in order. Each has the
    /// event that set it last.
    pub fn grant_ends(&self, environment: EnvironmentId, principal: &Principal) -> Vec<Since<Instant>> {
        let Some(grants) = self.workspace.registry.grants(environment, principal) else { return Vec::new() };
        let newest_first = grants.iter().rev().skip_while(|entry| entry.since > self.revision);
        let ends = newest_first.filter_map(|entry| Some(entry.with(entry.value?.expires_at?)));
        let mut ends: Vec<_> = ends.filter(|end| end.value <= self.instant).collect();
        ends.sort_by_key(|end| end.value);
        ends.dedup_by_key(|end| end.value);
        ends
    }

    /// Returns every principal up to the view's revision, including former ones: users, then service users, in the
    /// order of their ids.
    pub fn principals_of_all_time(&self) -> impl Iterator<Item = Principal> {
        let registry = &self.workspace.registry;
        let known = |facts: &PrincipalFacts| match &facts.lifecycle {
            PrincipalLifecycle::User(roles) => roles.at(self.revision).is_some(),
            PrincipalLifecycle::ServiceUser(alive, _) => alive.at(self.revision).is_some(),
        };
        let users = registry.users().map(|(_, facts)| facts);
        let all = users.chain(registry.service_users().map(|(_, facts)| facts));
        all.filter(move |facts| known(facts)).map(|facts| facts.principal.clone())
    }

    /// Returns every environment up to the view's revision, including ended ones, in the order of their ids.
    pub fn environments_of_all_time(&self) -> impl Iterator<Item = EnvironmentId> {
        let known =
            self.workspace.registry.environments().filter(|(_, facts)| facts.restriction.at(self.revision).is_some());
        known.map(|(id, _)| id)
    }

    /// Returns every API token that a principal held up to the view's revision, in the order of their ids.
    pub fn token_lives(&self, holder: &Principal) -> Vec<TokenLife> {
        let workspace = &self.workspace;
        let held = workspace.tokens_of.get(holder).into_iter().flatten();
        let known = held.filter_map(|id| Some((*id, workspace.tokens.get(id)?)));
        let begun = known.filter(|(_, token)| token.issued <= self.revision);
        let end = |end: Option<Revision>| end.filter(|end| *end <= self.revision).map(|end| self.time_of(end));
        let closed = self.existence();
        let closed = end((!closed.value).then_some(closed.since));
        begun
            .map(|(id, token)| {
                let expired = token.expires_at.filter(|end| *end <= self.instant);
                let until = [end(token.ended), expired, closed].into_iter().flatten().min();
                let ended = token.ended.filter(|end| *end <= self.revision);
                TokenLife { id, from: token.issued_at, until, ended }
            })
            .collect()
    }

    /// Returns the restriction of an environment, or [`RestrictionState::Ended`] if it does not exist.
    pub fn restriction(&self, environment: EnvironmentId) -> RestrictionState {
        self.environment(environment).map_or(RestrictionState::Ended, |found| found.restriction.value)
    }
}
