//! Lookups of entities by the name that they had in the view, or by id.

use super::{CredentialView, EnvironmentView, ProxyTokenView, ServiceUserView, View};
use crate::domain::collections::dense_id_map::DenseId;
use crate::domain::model::command::{
    AccessKeyRef, EnvironmentRef, PrincipalRef, ProxyTokenRef, ServiceUserRef, TokenRef, UserRef,
};
use crate::domain::model::event::{AccessKeyTerms, TokenTerms};
use crate::domain::model::id::{AccessKeyId, EnvironmentId, ServiceUserId, TokenId, UserId};
use crate::domain::model::name::EnvironmentName;
use crate::domain::model::principal::Principal;
use crate::domain::model::rejection::Rejection;
use crate::domain::model::role::WorkspaceRole;
use crate::domain::model::time::{Revision, Span};
use crate::domain::state::registry::PrincipalFacts;
use crate::domain::state::timeline::{Since, Timeline};

/// A principal that exists in the view.
#[derive(Debug, Clone, Copy)]
pub(in crate::domain) struct ResolvedPrincipal<'a> {
    /// The facts of the principal.
    pub(in crate::domain) facts: &'a PrincipalFacts,
    /// The event that its existence rests on.
    pub(in crate::domain) since: Revision,
    /// The role, if it is a member.
    pub(in crate::domain) role: Option<Since<WorkspaceRole>>,
}

/// A malformed reference names nothing.
impl View {
    /// Returns the member of a user id.
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

    /// Returns the service user of a name or id.
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
        let owners = registry.service_user_names.owners(reference.as_bytes());
        match owners.and_then(|owners| owners.at(self.revision)?.value) {
            Some(dense_id) => registry.principal_of(dense_id),
            None => registry.principal(&Principal::ServiceUser(reference.parse().ok()?)),
        }
    }

    /// Returns the service user that an id names or that had a name last, including one that was deleted.
    pub(in crate::domain) fn last_service_user_named(&self, named: &str) -> Option<ServiceUserId> {
        let registry = &self.workspace.registry;
        let owners = registry.service_user_names.owners(named.as_bytes()).into_iter().flat_map(Timeline::iter);
        let last = owners.filter(|entry| entry.since <= self.revision).filter_map(|entry| entry.value).next_back();
        match last.and_then(|dense_id| registry.principal_of(dense_id)).map(|facts| &facts.principal) {
            Some(Principal::ServiceUser(id)) => Some(*id),
            _ => named.parse().ok(),
        }
    }

    /// Returns the principal of `user:ID` or `service_user:NAME-OR-ID`.
    ///
    /// # Errors
    /// `not_found`.
    pub fn find_principal(&self, reference: &PrincipalRef) -> Result<Principal, Rejection> {
        let found = self.resolve_principal(reference).map(|found| found.facts.principal.clone());
        found.ok_or_else(|| Rejection::not_found("principal", &reference.0))
    }

    /// Returns the principal of `user:ID` or `service_user:NAME-OR-ID`, with its facts.
    pub(in crate::domain) fn resolve_principal(&self, reference: &PrincipalRef) -> Option<ResolvedPrincipal<'_>> {
        let facts = match reference.0.strip_prefix("user:") {
            Some(user) => self.workspace.registry.user(user)?,
            None => self.service_user_facts(reference.0.strip_prefix("service_user:")?)?,
        };
        self.resolved(facts)
    }

    /// Returns the environment of a name, in any case, or id.
    ///
    /// # Errors
    /// `not_found`.
    pub fn find_environment(&self, reference: &EnvironmentRef) -> Result<EnvironmentView<'_>, Rejection> {
        self.resolve_environment(reference).ok_or_else(|| Rejection::not_found("environment", &reference.0))
    }

    /// Returns the environment of a name, in any case, or id.
    pub(in crate::domain) fn resolve_environment(&self, reference: &EnvironmentRef) -> Option<EnvironmentView<'_>> {
        let registry = &self.workspace.registry;
        let facts = match self.environment_dense_id(&reference.0) {
            Some(dense_id) => registry.environment_of(dense_id)?,
            None => registry.environment(reference.0.parse().ok()?)?,
        };
        self.environment_view(facts)
    }

    /// Returns the environments that had a name, in any case, over time.
    fn owners(&self, name: &str) -> Option<&Timeline<Option<DenseId>>> {
        EnvironmentName::look_up(name, |key| self.workspace.registry.environment_names.owners(key))
    }

    fn environment_dense_id(&self, name: &str) -> Option<DenseId> {
        self.owners(name)?.at(self.revision)?.value
    }

    fn environment_id(&self, dense_id: DenseId) -> Option<EnvironmentId> {
        self.workspace.registry.environment_id(dense_id)
    }

    /// Returns the live environment with a name.
    pub fn environment_named(&self, name: &str) -> Option<EnvironmentId> {
        self.environment_id(self.environment_dense_id(name)?)
    }

    /// Returns every environment that an id names or that ever had a name, up to the view's revision.
    pub fn environments_ever(&self, reference: &EnvironmentRef) -> Vec<EnvironmentId> {
        let timeline = self.owners(&reference.0);
        let owners = timeline.into_iter().flat_map(Timeline::iter);
        let known = owners.filter(|entry| entry.since <= self.revision);
        let named = known.filter_map(|entry| self.environment_id(entry.value?));
        let by_id = reference.0.parse().ok().filter(|id| self.last_environment_change(*id).is_some());
        let mut found: Vec<_> = named.chain(by_id).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Returns whether an environment ever had this name or id, up to the view's revision.
    pub fn environment_ever(&self, reference: &EnvironmentRef) -> bool {
        !self.environments_ever(reference).is_empty()
    }

    /// Returns every principal that `user:ID` or `service_user:NAME-OR-ID` ever named, up to the view's revision.
    pub fn principals_ever(&self, reference: &PrincipalRef) -> Vec<Principal> {
        match reference.0.split_once(':') {
            Some(("user", user)) => {
                let user = user.parse().ok().filter(|user| self.last_member_change(user).is_some());
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

    /// Returns every environment that an id names or that had a name at some instant of a span.
    pub fn environments_within(&self, reference: &EnvironmentRef, span: &Span) -> Vec<EnvironmentId> {
        let timeline = self.owners(&reference.0);
        let named = timeline.into_iter().flat_map(|timeline| self.within(timeline, span)).flatten();
        let named = named.filter_map(|dense_id| self.environment_id(dense_id));
        let by_id = reference.0.parse().ok().filter(|id| self.last_environment_change(*id).is_some());
        let mut found: Vec<_> = named.chain(by_id).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Returns every principal that `user:ID` or `service_user:NAME-OR-ID` named at some instant of a span.
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

    /// Returns the values of a fact at the instants of a span, up to the view's revision.
    fn within<T: Clone>(&self, timeline: &Timeline<T>, span: &Span) -> Vec<T> {
        let known: Vec<_> = timeline.iter().take_while(|entry| entry.since <= self.revision).collect();
        let ends = known.iter().skip(1).map(|next| Some(self.time_of(next.since))).chain([None]);
        let held = known.iter().zip(ends).filter(|(entry, end)| span.overlaps(self.time_of(entry.since), *end));
        held.map(|(entry, _)| entry.value.clone()).collect()
    }

    /// Returns the environment that an id names or that had a name last, including one that has ended.
    pub(in crate::domain) fn last_environment_named(&self, reference: &EnvironmentRef) -> Option<EnvironmentId> {
        let timeline = self.owners(&reference.0);
        let owners = timeline.into_iter().flat_map(Timeline::iter);
        let last = owners.filter(|entry| entry.since <= self.revision).filter_map(|entry| entry.value).next_back();
        last.and_then(|dense_id| self.environment_id(dense_id)).or_else(|| reference.0.parse().ok())
    }

    /// Returns the API token of an id.
    ///
    /// # Errors
    /// `not_found`.
    pub fn find_token(&self, reference: &TokenRef) -> Result<CredentialView<'_, TokenId, TokenTerms>, Rejection> {
        let found = reference.0.parse().ok().and_then(|id| self.token(id));
        found.ok_or_else(|| Rejection::not_found("token", &reference.0))
    }

    /// Returns the proxy token of an id.
    ///
    /// # Errors
    /// `not_found`.
    pub fn find_proxy_token(&self, reference: &ProxyTokenRef) -> Result<ProxyTokenView<'_>, Rejection> {
        let found = reference.0.parse().ok().and_then(|id| self.proxy_token(id));
        found.ok_or_else(|| Rejection::not_found("proxy token", &reference.0))
    }

    /// Returns the access key of an id.
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
