//! Looking up what a command or question names, in a view: by name as it was borne then, or by id.

use super::{CredentialView, EnvironmentView, ProxyTokenView, ServiceUserView, View};
use crate::domain::model::command::{
    AccessKeyRef, EnvironmentRef, PrincipalRef, ProxyTokenRef, ServiceUserRef, TokenRef, UserRef,
};
use crate::domain::model::event::{AccessKeyTerms, TokenTerms};
use crate::domain::model::id::{AccessKeyId, EnvironmentId, ServiceUserId, TokenId, UserId};
use crate::domain::model::name::EnvironmentName;
use crate::domain::collections::dense_id_map::Number;
use crate::domain::model::principal::Principal;
use crate::domain::state::registry::PrincipalFacts;
use crate::domain::model::rejection::Rejection;
use crate::domain::model::role::WorkspaceRole;
use crate::domain::model::time::{Revision, Span};
use crate::domain::state::timeline::{Since, Timeline};

/// A principal that is there.
#[derive(Debug, Clone, Copy)]
pub(in crate::domain) struct Present<'a> {
    /// Who, and all that is known of it.
    pub(in crate::domain) facts: &'a PrincipalFacts,
    /// The event that its being there rests on.
    pub(in crate::domain) since: Revision,
    /// A member's role.
    pub(in crate::domain) role: Option<Since<WorkspaceRole>>,
}

/// What does not parse names nothing.
impl View {
    /// The member of a user id.
    ///
    /// # Errors
    /// `not_found`.
    pub fn find_member(&self, user: &UserRef) -> Result<(UserId, Since<WorkspaceRole>), Rejection> {
        let found = self.member_named(&user.0).and_then(|(facts, role)| match &facts.principal {
            Principal::User(user) => Some((user.clone(), role)),
            Principal::ServiceUser(_) => None,
        });
        found.ok_or_else(|| Rejection::not_found("member", &user.0))
    }

    /// The service user of a name or id.
    ///
    /// # Errors
    /// `not_found`.
    pub fn find_service_user(&self, reference: &ServiceUserRef) -> Result<ServiceUserView<'_>, Rejection> {
        let found = self.service_user_of(&reference.0);
        found.ok_or_else(|| Rejection::not_found("service user", &reference.0))
    }

    fn service_user_of(&self, reference: &str) -> Option<ServiceUserView<'_>> {
        let facts = self.service_user_facts(reference)?;
        match facts.principal {
            Principal::ServiceUser(id) => self.service_user_view(id, facts),
            Principal::User(_) => None,
        }
    }

    fn service_user_facts(&self, reference: &str) -> Option<&PrincipalFacts> {
        let registry = &self.workspace.registry;
        let bearers = registry.service_user_names.bearers(reference.as_bytes());
        match bearers.and_then(|bearers| bearers.at(self.revision)?.value) {
            Some(number) => registry.principal_of(number),
            None => registry.principal(&Principal::ServiceUser(reference.parse().ok()?)),
        }
    }

    /// The service user that an id names or that bore a name last, also one that is gone.
    pub(in crate::domain) fn last_service_user_named(&self, named: &str) -> Option<ServiceUserId> {
        let registry = &self.workspace.registry;
        let bearers = registry.service_user_names.bearers(named.as_bytes()).into_iter().flat_map(Timeline::iter);
        let last = bearers.filter(|entry| entry.since <= self.revision).filter_map(|entry| entry.value).next_back();
        match last.and_then(|number| registry.principal_of(number)).map(|facts| &facts.principal) {
            Some(Principal::ServiceUser(id)) => Some(*id),
            _ => named.parse().ok(),
        }
    }

    /// The principal of `user:ID` or `service_user:NAME-OR-ID`.
    ///
    /// # Errors
    /// `not_found`.
    pub fn find_principal(&self, reference: &PrincipalRef) -> Result<Principal, Rejection> {
        let found = self.present(reference).map(|found| found.facts.principal.clone());
        found.ok_or_else(|| Rejection::not_found("principal", &reference.0))
    }

    /// The principal of `user:ID` or `service_user:NAME-OR-ID`, with what makes it one.
    pub(in crate::domain) fn present(&self, reference: &PrincipalRef) -> Option<Present<'_>> {
        let facts = match reference.0.strip_prefix("user:") {
            Some(user) => self.workspace.registry.user(user)?,
            None => self.service_user_facts(reference.0.strip_prefix("service_user:")?)?,
        };
        self.present_of(facts)
    }

    /// The environment of a name, in any case, or id.
    ///
    /// # Errors
    /// `not_found`.
    pub fn find_environment(&self, reference: &EnvironmentRef) -> Result<EnvironmentView<'_>, Rejection> {
        self.present_environment(reference).ok_or_else(|| Rejection::not_found("environment", &reference.0))
    }

    /// As [`Self::find_environment`], for whoever has no use for a rejection.
    pub(in crate::domain) fn present_environment(&self, reference: &EnvironmentRef) -> Option<EnvironmentView<'_>> {
        let registry = &self.workspace.registry;
        let facts = match self.environment_number(&reference.0) {
            Some(number) => registry.environment_of(number)?,
            None => registry.environment(reference.0.parse().ok()?)?,
        };
        self.environment_view(facts)
    }

    /// The numbers of the environments that bore a name, in any case.
    fn bearers(&self, name: &str) -> Option<&Timeline<Option<Number>>> {
        EnvironmentName::look_up(name, |key| self.workspace.registry.environment_names.bearers(key))
    }

    fn environment_number(&self, name: &str) -> Option<Number> {
        self.bearers(name)?.at(self.revision)?.value
    }

    fn environment_id(&self, number: Number) -> Option<EnvironmentId> {
        self.workspace.registry.environment_id(number)
    }

    /// The live environment that bears a name.
    pub fn environment_named(&self, name: &str) -> Option<EnvironmentId> {
        self.environment_id(self.environment_number(name)?)
    }

    /// Every environment that an id names or that ever bore a name, as far as the view reaches.
    pub fn environments_ever(&self, reference: &EnvironmentRef) -> Vec<EnvironmentId> {
        let names = self.bearers(&reference.0);
        let bearers = names.into_iter().flat_map(Timeline::iter);
        let known = bearers.filter(|entry| entry.since <= self.revision);
        let named = known.filter_map(|entry| self.environment_id(entry.value?));
        let by_id = reference.0.parse().ok().filter(|id| self.environment_trace(*id).is_some());
        let mut found: Vec<_> = named.chain(by_id).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Whether an environment of this name or id ever was, as far as the view reaches.
    pub fn environment_ever(&self, reference: &EnvironmentRef) -> bool {
        !self.environments_ever(reference).is_empty()
    }

    /// Every principal that `user:ID` or `service_user:NAME-OR-ID` ever named, as far as the view reaches.
    pub fn principals_ever(&self, reference: &PrincipalRef) -> Vec<Principal> {
        match reference.0.split_once(':') {
            Some(("user", user)) => {
                let user = user.parse().ok().filter(|user| self.member_trace(user).is_some());
                user.map(Principal::User).into_iter().collect()
            }
            Some(("service_user", named)) => {
                let by_id = named.parse().ok();
                let found = self.workspace.registry.service_users().filter(|(id, facts)| {
                    facts.service_user().is_some_and(|(alive, name)| {
                        (by_id == Some(*id) || name.as_str() == named) && alive.at(self.revision).is_some()
                    })
                });
                found.map(|(id, _)| Principal::ServiceUser(id)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Every environment that an id names or that bore a name at some instant of a span.
    pub fn environments_within(&self, reference: &EnvironmentRef, span: &Span) -> Vec<EnvironmentId> {
        let names = self.bearers(&reference.0);
        let named = names.into_iter().flat_map(|timeline| self.within(timeline, span)).flatten();
        let named = named.filter_map(|number| self.environment_id(number));
        let by_id = reference.0.parse().ok().filter(|id| self.environment_trace(*id).is_some());
        let mut found: Vec<_> = named.chain(by_id).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Every principal that `user:ID` or `service_user:NAME-OR-ID` named at some instant of a span.
    pub fn principals_within(&self, reference: &PrincipalRef, span: &Span) -> Vec<Principal> {
        let mut found = self.principals_ever(reference);
        found.retain(|principal| match principal {
            Principal::User(_) => true,
            Principal::ServiceUser(_) => {
                let facts = self.workspace.registry.principal(principal).and_then(PrincipalFacts::service_user);
                facts.is_some_and(|(alive, _)| self.within(alive, span).into_iter().any(|alive| alive))
            }
        });
        found
    }

    /// The values that a fact had at some instant of a span, as far as the view reaches.
    fn within<T: Clone>(&self, timeline: &Timeline<T>, span: &Span) -> Vec<T> {
        let known: Vec<_> = timeline.iter().take_while(|entry| entry.since <= self.revision).collect();
        let ends = known.iter().skip(1).map(|next| Some(self.time_of(next.since))).chain([None]);
        let held = known.iter().zip(ends).filter(|(entry, end)| span.overlaps(self.time_of(entry.since), *end));
        held.map(|(entry, _)| entry.value.clone()).collect()
    }

    /// The environment that an id names or that bore a name last, also one that has ended.
    pub(in crate::domain) fn last_environment_named(&self, reference: &EnvironmentRef) -> Option<EnvironmentId> {
        let names = self.bearers(&reference.0);
        let bearers = names.into_iter().flat_map(Timeline::iter);
        let last = bearers.filter(|entry| entry.since <= self.revision).filter_map(|entry| entry.value).next_back();
        last.and_then(|number| self.environment_id(number)).or_else(|| reference.0.parse().ok())
    }

    /// The API token of an id.
    ///
    /// # Errors
    /// `not_found`.
    pub fn find_token(&self, reference: &TokenRef) -> Result<CredentialView<'_, TokenId, TokenTerms>, Rejection> {
        let found = reference.0.parse().ok().and_then(|id| self.token(id));
        found.ok_or_else(|| Rejection::not_found("token", &reference.0))
    }

    /// The proxy token of an id.
    ///
    /// # Errors
    /// `not_found`.
    pub fn find_proxy_token(&self, reference: &ProxyTokenRef) -> Result<ProxyTokenView<'_>, Rejection> {
        let found = reference.0.parse().ok().and_then(|id| self.proxy_token(id));
        found.ok_or_else(|| Rejection::not_found("proxy token", &reference.0))
    }

    /// The access key of an id.
    ///
    /// # Errors
    /// `not_found`.
    pub fn find_access_key(
        &self,
        reference: &AccessKeyRef,
    ) -> Result<CredentialView<'_, AccessKeyId, AccessKeyTerms>, Rejection> {
        let found = reference.0.parse().ok().and_then(|id| self.access_key(id));
        found.ok_or_else(|| Rejection::not_found("access key", &reference.0))
    }
}
