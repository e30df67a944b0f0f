//! Looking up what a command or question names, in a view: by name as it was borne then, or by id.

use super::{CredentialView, EnvironmentView, ProxyTokenView, ServiceUserView, View};
use crate::domain::command::{
    AccessKeyRef, EnvironmentRef, PrincipalRef, ProxyTokenRef, ServiceUserRef, TokenRef, UserRef,
};
use crate::domain::event::{AccessKeyTerms, TokenTerms};
use crate::domain::id::{AccessKeyId, EnvironmentId, ServiceUserId, TokenId, UserId};
use crate::domain::name::{EnvironmentName, ServiceUserName};
use crate::domain::principal::Principal;
use crate::domain::rejection::Rejection;
use crate::domain::role::WorkspaceRole;
use crate::domain::time::{Revision, Span};
use crate::domain::timeline::{Since, Timeline};

/// A principal that is there.
#[derive(Debug, Clone)]
pub(in crate::domain) struct Present {
    /// Who.
    pub(in crate::domain) principal: Principal,
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
        let found = self.member_named(&user.0).map(|(user, role)| (user.clone(), role));
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
        let named = self.workspace.service_user_names.get(reference).and_then(|bearers| bearers.at(self.revision));
        let id = named.and_then(|bearer| bearer.value).or_else(|| reference.parse().ok());
        self.service_user(id?)
    }

    /// The service user that an id names or that bore a name last, also one that is gone.
    pub(in crate::domain) fn last_service_user_named(&self, named: &str) -> Option<ServiceUserId> {
        let names = named.parse::<ServiceUserName>().ok().and_then(|name| self.workspace.service_user_names.get(&name));
        let bearers = names.into_iter().flat_map(|timeline| timeline.iter());
        let last = bearers.filter(|entry| entry.since <= self.revision).filter_map(|entry| entry.value).next_back();
        last.or_else(|| named.parse().ok())
    }

    /// The principal of `user:ID` or `service_user:NAME-OR-ID`.
    ///
    /// # Errors
    /// `not_found`.
    pub fn find_principal(&self, reference: &PrincipalRef) -> Result<Principal, Rejection> {
        let found = self.present(reference).map(|found| found.principal);
        found.ok_or_else(|| Rejection::not_found("principal", &reference.0))
    }

    /// The principal of `user:ID` or `service_user:NAME-OR-ID`, with what makes it one.
    pub(in crate::domain) fn present(&self, reference: &PrincipalRef) -> Option<Present> {
        match reference.0.split_once(':')? {
            ("user", user) => {
                let (user, role) = self.member_named(user)?;
                Some(Present { principal: Principal::User(user.clone()), since: role.since, role: Some(role) })
            }
            ("service_user", named) => {
                let found = self.service_user_of(named)?;
                Some(Present { principal: Principal::ServiceUser(found.id), since: found.created, role: None })
            }
            _ => None,
        }
    }

    /// The environment of a name, in any case, or id.
    ///
    /// # Errors
    /// `not_found`.
    pub fn find_environment(&self, reference: &EnvironmentRef) -> Result<EnvironmentView<'_>, Rejection> {
        let by_id = || reference.0.parse().ok();
        self.environment_named(&reference.0)
            .or_else(by_id)
            .and_then(|id| self.environment(id))
            .ok_or_else(|| Rejection::not_found("environment", &reference.0))
    }

    /// Which environments bore a name, in any case.
    fn bearers(&self, name: &str) -> Option<&Timeline<Option<EnvironmentId>>> {
        EnvironmentName::look_up(name, |key| self.workspace.environment_names.get(key)).map(AsRef::as_ref)
    }

    /// The live environment that bears a name.
    pub fn environment_named(&self, name: &str) -> Option<EnvironmentId> {
        self.bearers(name)?.at(self.revision)?.value
    }

    /// Every environment that an id names or that ever bore a name, as far as the view reaches.
    pub fn environments_ever(&self, reference: &EnvironmentRef) -> Vec<EnvironmentId> {
        let names = self.bearers(&reference.0);
        let bearers = names.into_iter().flat_map(Timeline::iter);
        let named = bearers.filter(|entry| entry.since <= self.revision).filter_map(|entry| entry.value);
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
                let found = self.workspace.service_users.iter().filter(|(id, facts)| {
                    (by_id == Some(**id) || facts.name.as_str() == named) && facts.alive.at(self.revision).is_some()
                });
                found.map(|(id, _)| Principal::ServiceUser(*id)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Every environment that an id names or that bore a name at some instant of a span.
    pub fn environments_within(&self, reference: &EnvironmentRef, span: &Span) -> Vec<EnvironmentId> {
        let names = self.bearers(&reference.0);
        let named = names.into_iter().flat_map(|timeline| self.within(timeline, span)).flatten();
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
            Principal::ServiceUser(id) => {
                let facts = self.workspace.service_users.get(id);
                facts.is_some_and(|facts| self.within(&facts.alive, span).into_iter().any(|alive| alive))
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
        last.or_else(|| reference.0.parse().ok())
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
