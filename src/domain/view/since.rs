//! Since when things have stood as they stand in a view.

use super::{EnvironmentView, View};
use crate::domain::access::Rule;
use crate::domain::id::UserId;
use crate::domain::principal::Principal;
use crate::domain::role::WorkspaceRole;
use crate::domain::time::{Instant, Revision};
use crate::domain::workspace::{Grant, Mode};

impl View {
    fn time_of(&self, revision: Option<Revision>) -> Instant {
        revision.and_then(|revision| self.workspace.time_of(revision)).unwrap_or(Instant::EARLIEST)
    }

    /// When a user became a member, role changes since then apart.
    pub fn member_since(&self, user: &UserId) -> Option<Revision> {
        self.workspace.members.get(user)?.run_start(self.revision, Option::is_some)
    }

    /// Since when a principal has had a role in an environment by a rule: the latest of what the rule rests on.
    pub(in crate::domain) fn access_since(
        &self,
        environment: &EnvironmentView<'_>,
        principal: &Principal,
        rule: Rule,
    ) -> Instant {
        let joined = match principal {
            Principal::User(user) => self.member_since(user),
            Principal::ServiceUser(id) => self.service_user(*id).map(|found| found.created),
        };
        let causes = match rule {
            Rule::Unrestricted => [Some(environment.mode.since), None, None],
            Rule::RbacOff => [self.restricted_since(environment), Some(self.rbac().since), None],
            Rule::WorkspaceRole => {
                [self.restricted_since(environment), Some(self.rbac().since), self.administers_since(principal)]
            }
            Rule::Grant => [
                self.restricted_since(environment),
                Some(self.rbac().since),
                self.granted_since(environment, principal),
            ],
            _ => [Some(environment.mode.since), Some(self.rbac().since), self.demoted_since(principal)],
        };
        let latest = causes.into_iter().chain([joined]).map(|revision| self.time_of(revision)).max();
        let expired = if rule == Rule::DefaultRole { self.grant_ended_at(environment, principal) } else { None };
        latest.max(expired).unwrap_or(Instant::EARLIEST)
    }

    fn restricted_since(&self, environment: &EnvironmentView<'_>) -> Option<Revision> {
        environment.facts.mode.run_start(self.revision, |mode| matches!(mode, Mode::Restricted(_)))
    }

    fn administers_since(&self, principal: &Principal) -> Option<Revision> {
        self.role_run(principal, |role| role.is_some_and(WorkspaceRole::administers))
    }

    fn demoted_since(&self, principal: &Principal) -> Option<Revision> {
        self.role_run(principal, |role| role.is_some_and(|role| !role.administers()))
    }

    fn role_run(&self, principal: &Principal, holds: impl Fn(&Option<WorkspaceRole>) -> bool) -> Option<Revision> {
        match principal {
            Principal::User(user) => self.workspace.members.get(user)?.run_start(self.revision, holds),
            Principal::ServiceUser(_) => None,
        }
    }

    fn granted_since(&self, environment: &EnvironmentView<'_>, principal: &Principal) -> Option<Revision> {
        let role = self.grant(environment, principal)?.value.role;
        let timeline = environment.facts.grants.get(principal)?;
        timeline.run_start(self.revision, |grant| grant.is_some_and(|grant| grant.role == role))
    }

    /// When a grant that is no more ended: at its expiry, whenever the event came, or with the event.
    fn grant_ended_at(&self, environment: &EnvironmentView<'_>, principal: &Principal) -> Option<Instant> {
        let entry = self.grant_trace(environment, principal)?;
        let before = environment.facts.grants.get(principal)?.at(Revision(entry.since.0.saturating_sub(1)));
        let expiry = |grant: Option<Grant>| grant.and_then(|grant| grant.expires_at);
        let event = self.time_of(Some(entry.since));
        match entry.value {
            Some(grant) => grant.expires_at,
            None => Some(before.and_then(|entry| expiry(entry.value)).map_or(event, |end| end.min(event))),
        }
    }
}
