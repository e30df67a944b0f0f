//! What a view knows of the time before it: what a principal's access ever rested on, and views of earlier moments.

use super::View;
use crate::domain::model::id::{EnvironmentId, TokenId, UserId};
use crate::domain::model::principal::Principal;
use crate::domain::state::registry::{Presence, PrincipalFacts};
use crate::domain::model::time::{Instant, Revision};
use crate::domain::state::timeline::{Since, Timeline};
use crate::domain::state::workspace::Mode;

/// From when until when an API token was worth something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenLife {
    /// Which.
    pub id: TokenId,
    /// When it was made.
    pub from: Instant,
    /// When it was taken back or expired; none if it is still live in the view.
    pub until: Option<Instant>,
    /// The event that says so, if it has come.
    pub ended: Option<Revision>,
}

impl View {
    /// When the event of a revision happened; [`Instant::EARLIEST`] for one that no loaded fact knows.
    pub fn time_of(&self, revision: Revision) -> Instant {
        self.workspace.time_of(revision).unwrap_or(Instant::EARLIEST)
    }

    /// When a user became a member, role changes since then apart.
    pub fn member_since(&self, user: &UserId) -> Option<Revision> {
        self.workspace.registry.user(user.as_str())?.roles()?.run_start(self.revision, Option::is_some)
    }

    /// The view of an earlier instant that knows no more than this one; of this one's instant for a later one.
    #[must_use]
    pub fn back_to(&self, instant: Instant) -> Self {
        let revision = self.workspace.revision_at(instant).min(self.revision);
        Self { workspace: self.workspace.clone(), revision, instant: instant.min(self.instant) }
    }

    /// The same facts under the earliest instant at which they were the case: the newest event's own, where nothing has expired
    /// since. So a view of now keeps its name until something happens.
    #[must_use]
    pub fn settled(self) -> Self {
        let (head, time) = (self.workspace.head(), self.workspace.head_time());
        let expired = self.workspace.next_expiry().is_some_and(|end| end <= self.instant);
        let instant = if self.revision == head && !expired { time.min(self.instant) } else { self.instant };
        Self { instant, ..self }
    }

    /// The facts after some of a command's events, at an instant: only for finding out which of the events made a difference.
    /// No question is answered from it.
    #[must_use]
    pub fn partway(&self, revision: Revision, instant: Instant) -> Self {
        Self { workspace: self.workspace.clone(), revision: revision.min(self.revision), instant }
    }

    /// Every event that a role of the principal in the environment ever rested on, in order.
    pub fn bearing(&self, environment: EnvironmentId, principal: &Principal) -> Vec<Revision> {
        let workspace = &self.workspace;
        let mut revisions = self.revisions(&workspace.alive);
        revisions.extend(self.revisions(&workspace.rbac));
        match workspace.registry.principal(principal).map(|facts| &facts.presence) {
            Some(Presence::User(roles)) => revisions.extend(self.revisions(roles)),
            Some(Presence::ServiceUser(alive, _)) => revisions.extend(self.revisions(alive)),
            None => {}
        }
        let mode = workspace.registry.environment(environment).map(|facts| &facts.mode);
        revisions.extend(mode.into_iter().flat_map(|mode| self.revisions(mode)));
        let grants = workspace.registry.grants(environment, principal);
        revisions.extend(grants.into_iter().flat_map(|grants| self.revisions(grants)));
        revisions.sort_unstable();
        revisions.dedup();
        revisions
    }

    fn revisions<T: Clone>(&self, timeline: &Timeline<T>) -> Vec<Revision> {
        timeline.iter().map(|entry| entry.since).take_while(|since| *since <= self.revision).collect()
    }

    /// Every end, up to the view's instant, that was ever set for a grant of the principal in the environment, in order, with the
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

    /// Every principal that ever was, as far as the view reaches: users, then service users, in the order of their ids.
    pub fn principals_of_all_time(&self) -> impl Iterator<Item = Principal> {
        let registry = &self.workspace.registry;
        let known = |facts: &PrincipalFacts| match &facts.presence {
            Presence::User(roles) => roles.at(self.revision).is_some(),
            Presence::ServiceUser(alive, _) => alive.at(self.revision).is_some(),
        };
        let users = registry.users().map(|(_, facts)| facts);
        let all = users.chain(registry.service_users().map(|(_, facts)| facts));
        all.filter(move |facts| known(facts)).map(|facts| facts.principal.clone())
    }

    /// Every environment that ever was, as far as the view reaches, in the order of their ids.
    pub fn environments_of_all_time(&self) -> impl Iterator<Item = EnvironmentId> {
        let known = self.workspace.registry.environments().filter(|(_, facts)| facts.mode.at(self.revision).is_some());
        known.map(|(id, _)| id)
    }

    /// Every API token that a principal ever held, as far as the view reaches, in the order of their ids.
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

    /// How an environment stands to those who have no grant in it; [`Mode::Ended`] if it is not there.
    pub fn mode(&self, environment: EnvironmentId) -> Mode {
        self.environment(environment).map_or(Mode::Ended, |found| found.mode.value)
    }
}
