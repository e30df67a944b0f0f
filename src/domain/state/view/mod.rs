//! `View`: the facts of a workspace at a revision and an instant.
//!
//! A view owns a root of the facts and holds no lock. The view of now is made like any other, so there is only one way
//! to read the past. In a workspace that does not exist, nothing exists.

mod names;
mod past;
mod resources;

use std::collections::BTreeSet;
use std::sync::Arc;

pub use resources::{PlacementView, ResourceTypeView};

use crate::domain::model::credential::CredentialId;
use crate::domain::model::event::{AccessKeyTerms, Event, TokenTerms, WorkspaceDescription};
use crate::domain::model::id::{AccessKeyId, EnvironmentId, ProxyTokenId, ServiceUserId, TokenId, UserId};
use crate::domain::model::name::{EnvironmentName, Reason, ServiceUserName};
use crate::domain::model::principal::{Actor, Principal};
use crate::domain::model::rejection::Rejection;
use crate::domain::model::role::{EnvironmentRole, Plan, WorkspaceRole};
use crate::domain::model::time::{Instant, Revision};
use crate::domain::state::credential_facts::Credential;
use crate::domain::state::registry::{EnvironmentFacts, PrincipalFacts};
use crate::domain::state::timeline::Since;
use crate::domain::state::workspace::{Grant, RestrictionState, Workspace, newest};

pub(in crate::domain) use names::ResolvedPrincipal;
pub use past::TokenLife;

/// The moment of a question: the values of `?at=` and `?revision=`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum At {
    /// The newest revision, at the clock's instant.
    #[default]
    Now,
    /// The newest revision at or before an instant, at that instant.
    Instant(Instant),
    /// A revision, at its own time.
    Revision(Revision),
    /// A revision, at an instant that is not before it.
    Both(Revision, Instant),
}

/// The facts of a workspace as of a revision and an instant.
#[derive(Debug, Clone)]
pub struct View {
    workspace: Arc<Workspace>,
    revision: Revision,
    instant: Instant,
}

/// A live environment.
#[derive(Debug, Clone, Copy)]
pub struct EnvironmentView<'a> {
    /// Its id.
    pub id: EnvironmentId,
    /// Its name.
    pub name: &'a EnvironmentName,
    /// Its restriction, never [`RestrictionState::Ended`].
    pub restriction: Since<RestrictionState>,
    /// The event that made it.
    pub created: Revision,
    facts: &'a EnvironmentFacts,
}

impl EnvironmentView<'_> {
    /// Returns the default role, if it is restricted.
    pub const fn default_role(&self) -> Option<EnvironmentRole> {
        match self.restriction.value {
            RestrictionState::Restricted(role) => Some(role),
            RestrictionState::Unrestricted | RestrictionState::Ended => None,
        }
    }
}

/// A live service user.
#[derive(Debug, Clone, Copy)]
pub struct ServiceUserView<'a> {
    /// Its id.
    pub id: ServiceUserId,
    /// Its name.
    pub name: &'a ServiceUserName,
    /// The event that made it.
    pub created: Revision,
}

/// A live credential.
#[derive(Debug, Clone, Copy)]
pub struct CredentialView<'a, I, T> {
    /// Its id.
    pub id: I,
    /// Its properties.
    pub terms: &'a T,
    /// The event that made it.
    pub issued: Revision,
    /// The time at which it was made.
    pub issued_at: Instant,
    /// The actor that made it.
    pub issued_by: &'a Actor,
    /// The instant at which it expires.
    pub expires_at: Option<Instant>,
}

/// The scope of a live proxy token; `None` for a workspace-wide one.
pub type ScopeView<'a> = Since<Option<&'a BTreeSet<EnvironmentId>>>;

impl View {
    /// Returns the view at a moment; `clock` is the time now.
    ///
    /// # Errors
    /// `invalid` if an instant or revision is later than now, or the revision later than its instant. Also if it is
    /// before the revision at which the facts were restored.
    pub fn new(workspace: Arc<Workspace>, at: At, clock: Instant) -> Result<Self, Rejection> {
        let now = workspace.evaluated_at(clock);
        let (revision, instant) = match at {
            At::Now => (workspace.head(), now),
            At::Instant(instant) => (workspace.revision_at(instant), instant),
            At::Revision(revision) => (revision, Instant::EARLIEST),
            At::Both(revision, instant) => (revision, instant),
        };
        if instant > now {
            return Err(Rejection::Invalid { field: "at", why: format!("`{instant}` is later than now, {now}") });
        }
        if revision > workspace.head() {
            let why = format!("revision {revision} is past the newest one, {}", workspace.head());
            return Err(Rejection::Invalid { field: "at", why });
        }
        check_available(&workspace, at, revision)?;
        if let At::Now | At::Instant(_) = at {
            // A command's events share one time, so neither the head nor the newest event of an instant is inside a command.
            return Ok(Self { workspace, revision, instant });
        }
        let revision = workspace.end_of_command(revision);
        let time = workspace.history.time_of(revision).unwrap_or(workspace.base_time);
        let instant = if let At::Revision(_) = at { time } else { instant };
        if time > instant && !is_ahead_at(&workspace, time, instant, now) {
            let why = format!("revision {revision} happened at {time}, which is later than `{instant}`");
            return Err(Rejection::Invalid { field: "revision", why });
        }
        Ok(Self { workspace, revision, instant })
    }

    /// Returns the view of the head, at the later of `clock` and the head's time. If the head is too far ahead, it is
    /// at `clock`.
    pub fn now(workspace: Arc<Workspace>, clock: Instant) -> Self {
        let (revision, instant) = (workspace.head(), workspace.evaluated_at(clock));
        Self { workspace, revision, instant }
    }

    /// Returns the view of the head, at the head's own time.
    pub fn at_head(workspace: Arc<Workspace>) -> Self {
        let (revision, instant) = (workspace.head(), workspace.head_time());
        Self { workspace, revision, instant }
    }

    /// Returns the view that an earlier decision used, on facts that reach at least as far.
    pub(crate) const fn seen_at(workspace: Arc<Workspace>, revision: Revision, instant: Instant) -> Self {
        Self { workspace, revision, instant }
    }

    /// Returns the facts.
    pub const fn workspace(&self) -> &Arc<Workspace> {
        &self.workspace
    }

    /// Returns the revision.
    pub const fn revision(&self) -> Revision {
        self.revision
    }

    /// Returns the instant.
    pub const fn instant(&self) -> Instant {
        self.instant
    }

    /// Returns whether the newest event is too far ahead of the instant: it was written under a wrong clock.
    pub fn is_behind_head(&self) -> bool {
        self.revision == self.workspace.head() && self.workspace.is_ahead_of(self.instant)
    }

    /// Returns the event of a revision, up to the view's.
    pub fn event(&self, revision: Revision) -> Option<Arc<Event>> {
        (revision <= self.revision).then(|| self.workspace.event(revision)).flatten()
    }

    /// Returns the reason of an event. If it has none, its command's first event has the reason of all.
    pub fn reason_of(&self, event: &Event) -> Option<Reason> {
        event.reason.clone().or_else(|| self.reason_elsewhere(event).map(|(_, reason)| reason))
    }

    /// Returns the reason of the first event of an event's command, with its revision, if that is another event.
    pub fn reason_elsewhere(&self, event: &Event) -> Option<(Revision, Reason)> {
        let first = self.workspace.start_of_command(event.revision);
        let reason = (first != event.revision).then(|| self.event(first)).flatten()?.reason.clone()?;
        Some((first, reason))
    }

    /// Returns whether the workspace exists, and the event that made or ended it.
    pub fn existence(&self) -> Since<bool> {
        newest(&self.workspace.alive, self.revision).unwrap_or(Since { since: Revision::ZERO, value: false })
    }

    /// Returns whether the workspace exists.
    pub fn exists(&self) -> bool {
        self.existence().value
    }

    /// Returns the initial properties of the workspace.
    pub fn description(&self) -> Option<&WorkspaceDescription> {
        self.workspace.description.as_deref().filter(|_| self.exists())
    }

    /// Returns the plan.
    pub fn plan(&self) -> Since<Plan> {
        newest(&self.workspace.plan, self.revision).unwrap_or(Since { since: Revision::ZERO, value: Plan::Starter })
    }

    /// Returns whether RBAC is on.
    pub fn rbac(&self) -> Since<bool> {
        newest(&self.workspace.rbac, self.revision).unwrap_or(Since { since: Revision::ZERO, value: false })
    }

    /// Returns a member's role.
    pub fn member(&self, user: &UserId) -> Option<Since<WorkspaceRole>> {
        self.member_named(user.as_str()).map(|(_, role)| role)
    }

    /// Returns the member of a text that may be a user id.
    fn member_named(&self, user: &str) -> Option<(&PrincipalFacts, Since<WorkspaceRole>)> {
        let facts = self.workspace.registry.user(user)?;
        Some((facts, self.role(facts)?))
    }

    /// Returns the role of a member.
    pub(in crate::domain) fn role(&self, facts: &PrincipalFacts) -> Option<Since<WorkspaceRole>> {
        let entry = facts.roles()?.at(self.revision)?;
        Some(entry.with(entry.value.filter(|_| self.exists())?))
    }

    /// Returns the last change of a user's membership, including its end.
    pub fn last_member_change(&self, user: &UserId) -> Option<Since<Option<WorkspaceRole>>> {
        newest(self.workspace.registry.user(user.as_str())?.roles()?, self.revision)
    }

    /// Returns every member, in the order of their ids.
    pub fn members(&self) -> impl Iterator<Item = (&UserId, Since<WorkspaceRole>)> {
        self.workspace.registry.users().filter_map(|(user, facts)| Some((user, self.role(facts)?)))
    }

    /// Returns a service user.
    pub fn service_user(&self, id: ServiceUserId) -> Option<ServiceUserView<'_>> {
        self.service_user_view(id, self.workspace.registry.principal(&Principal::ServiceUser(id))?)
    }

    fn service_user_view<'a>(&self, id: ServiceUserId, facts: &'a PrincipalFacts) -> Option<ServiceUserView<'a>> {
        let (alive, name) = facts.service_user().filter(|_| self.exists())?;
        let alive = alive.at(self.revision)?;
        alive.value.then_some(ServiceUserView { id, name, created: alive.since })
    }

    /// Returns the last change of a service user's existence.
    pub fn last_service_user_change(&self, id: ServiceUserId) -> Option<Since<bool>> {
        let facts = self.workspace.registry.principal(&Principal::ServiceUser(id))?;
        newest(facts.service_user()?.0, self.revision)
    }

    /// Returns every service user, in the order of their ids.
    pub fn service_users(&self) -> impl Iterator<Item = ServiceUserView<'_>> {
        self.workspace.registry.service_users().filter_map(|(id, facts)| self.service_user_view(id, facts))
    }

    /// Returns the event that the existence of a principal rests on.
    pub fn principal(&self, principal: &Principal) -> Option<Revision> {
        self.principal_facts(principal).map(|found| found.since)
    }

    /// Returns a principal with its role and facts.
    pub(in crate::domain) fn principal_facts(&self, principal: &Principal) -> Option<ResolvedPrincipal<'_>> {
        self.resolved(self.workspace.registry.principal(principal)?)
    }

    pub(in crate::domain) fn resolved<'a>(&self, facts: &'a PrincipalFacts) -> Option<ResolvedPrincipal<'a>> {
        match &facts.principal {
            Principal::User(_) => {
                let role = self.role(facts)?;
                Some(ResolvedPrincipal { facts, since: role.since, role: Some(role) })
            }
            Principal::ServiceUser(id) => {
                let since = self.service_user_view(*id, facts)?.created;
                Some(ResolvedPrincipal { facts, since, role: None })
            }
        }
    }

    /// Returns every principal: members, then service users.
    pub fn principals(&self) -> impl Iterator<Item = Principal> {
        let users = self.members().map(|(user, _)| Principal::User(user.clone()));
        users.chain(self.service_users().map(|service_user| Principal::ServiceUser(service_user.id)))
    }

    /// Returns an environment.
    pub fn environment(&self, id: EnvironmentId) -> Option<EnvironmentView<'_>> {
        self.environment_view(self.workspace.registry.environment(id)?)
    }

    fn environment_view<'a>(&self, facts: &'a EnvironmentFacts) -> Option<EnvironmentView<'a>> {
        let restriction = newest(&facts.restriction, self.revision)
            .filter(|restriction| self.exists() && restriction.value != RestrictionState::Ended)?;
        let name = &facts.name.at(self.revision)?.value;
        Some(EnvironmentView { id: facts.id, name, restriction, created: facts.created, facts })
    }

    /// Returns the last change of an environment's restriction, including its end.
    pub fn last_environment_change(&self, id: EnvironmentId) -> Option<Since<RestrictionState>> {
        newest(&self.workspace.registry.environment(id)?.restriction, self.revision)
    }

    /// Returns the name of an environment, including one that has ended.
    pub fn environment_name(&self, id: EnvironmentId) -> Option<&EnvironmentName> {
        Some(&self.workspace.registry.environment(id)?.name.at(self.revision)?.value)
    }

    /// Returns the name of a service user, including one that was deleted.
    pub fn service_user_name(&self, id: ServiceUserId) -> Option<&ServiceUserName> {
        let (alive, name) = self.workspace.registry.principal(&Principal::ServiceUser(id))?.service_user()?;
        alive.at(self.revision).map(|_| name)
    }

    /// Returns every environment, in the order of their ids.
    pub fn environments(&self) -> impl Iterator<Item = EnvironmentView<'_>> {
        self.workspace.registry.environments().filter_map(|(_, facts)| self.environment_view(facts))
    }

    /// Returns a principal's live grant in an environment.
    pub fn grant(&self, environment: &EnvironmentView<'_>, principal: &Principal) -> Option<Since<Grant>> {
        self.live_grant(&self.last_grant_change(environment, principal)?)
    }

    /// Returns the last change of a principal's grant in an environment, including its end. The grant may have expired.
    pub fn last_grant_change(
        &self,
        environment: &EnvironmentView<'_>,
        principal: &Principal,
    ) -> Option<Since<Option<Grant>>> {
        self.last_grant_change_of(environment, self.workspace.registry.principal(principal)?)
    }

    /// Returns the last change of a grant of a principal with known facts.
    pub(in crate::domain) fn last_grant_change_of(
        &self,
        environment: &EnvironmentView<'_>,
        principal: &PrincipalFacts,
    ) -> Option<Since<Option<Grant>>> {
        newest(principal.grants.get(environment.facts.dense_id)?, self.revision)
    }

    /// Returns the newest grant of a principal in an environment, up to the view's revision, including one that ended.
    pub fn last_grant(&self, environment: EnvironmentId, principal: &Principal) -> Option<Since<Grant>> {
        let grants = self.workspace.registry.grants(environment, principal)?;
        let mut known = grants.iter().rev().filter(|entry| entry.since <= self.revision);
        known.find_map(|entry| entry.value.map(|grant| entry.with(grant)))
    }

    /// Returns a grant if it is live at the view's instant.
    pub fn live_grant(&self, entry: &Since<Option<Grant>>) -> Option<Since<Grant>> {
        entry.value.filter(|grant| grant.is_live(self.instant)).map(|grant| entry.with(grant))
    }

    /// Returns every live grant in an environment, in the order of the principals.
    pub fn grants<'a>(
        &'a self,
        environment: &EnvironmentView<'a>,
    ) -> impl Iterator<Item = (&'a Principal, Since<Grant>)> + use<'a> {
        let facts = environment.facts;
        let holders = self.workspace.registry.granted(facts).into_iter();
        holders.filter_map(|holder| {
            let grant = self.live_grant(holder.grants.get(facts.dense_id)?.at(self.revision)?)?;
            Some((&holder.principal, grant))
        })
    }

    /// Returns the number of grants in an environment at the head.
    pub(in crate::domain) fn grants_len(environment: &EnvironmentView<'_>) -> usize {
        environment.facts.live_grants
    }

    /// Returns every environment in which the principal has a grant, in the order of their ids.
    pub fn granted(&self, principal: &Principal) -> Vec<EnvironmentId> {
        let registry = &self.workspace.registry;
        let Some(facts) = registry.principal(principal) else { return Vec::new() };
        let environments = facts.grants.ids().into_iter().filter_map(|dense_id| registry.environment_of(dense_id));
        let mut granted: Vec<_> = environments
            .filter_map(|environment| self.environment_view(environment))
            .filter(|environment| {
                self.last_grant_change_of(environment, facts).is_some_and(|grant| self.live_grant(&grant).is_some())
            })
            .map(|environment| environment.id)
            .collect();
        granted.sort_unstable();
        granted
    }

    fn live<'a, I, T, U>(
        &self,
        id: I,
        credential: &'a Credential<T>,
        terms: impl Fn(&'a T) -> &'a U,
    ) -> Option<CredentialView<'a, I, U>> {
        let Credential { issued, issued_at, issued_by, expires_at, ended, .. } = credential;
        let begun = self.exists() && *issued <= self.revision;
        let over = ended.is_some_and(|end| end <= self.revision) || expires_at.is_some_and(|end| end <= self.instant);
        let terms = terms(&credential.terms);
        let view =
            CredentialView { id, terms, issued: *issued, issued_at: *issued_at, issued_by, expires_at: *expires_at };
        (begun && !over).then_some(view)
    }

    /// Returns an API token.
    pub fn token(&self, id: TokenId) -> Option<CredentialView<'_, TokenId, TokenTerms>> {
        self.live(id, self.workspace.tokens.get(&id)?, |terms| terms)
    }

    /// Returns the holder of an API token, including one that has ended.
    pub fn token_holder(&self, id: TokenId) -> Option<&Principal> {
        self.workspace.tokens.get(&id).filter(|token| token.issued <= self.revision).map(|token| &token.terms.holder)
    }

    /// Returns every API token, in the order of their ids.
    pub fn tokens(&self) -> impl Iterator<Item = CredentialView<'_, TokenId, TokenTerms>> {
        self.workspace.tokens.keys().filter_map(|id| self.token(*id))
    }

    /// Returns every API token of a principal, in the order of their ids.
    pub fn tokens_of(&self, holder: &Principal) -> impl Iterator<Item = CredentialView<'_, TokenId, TokenTerms>> {
        self.workspace.tokens_of.get(holder).into_iter().flatten().filter_map(|id| self.token(*id))
    }

    /// Returns the number of live API tokens of a principal at the head.
    pub(in crate::domain) fn live_tokens_len(&self, holder: &Principal) -> usize {
        self.workspace.registry.principal(holder).map_or(0, |facts| facts.live_tokens)
    }

    /// Returns every live credential at the head that a user issued. API tokens are first, then proxy tokens, then
    /// access keys, each in the order of their ids.
    pub(in crate::domain) fn issued(&self, issuer: &UserId) -> impl Iterator<Item = CredentialId> {
        let issued = self.workspace.issued.get(issuer).into_iter().flatten().copied();
        issued.filter(|credential| match credential {
            CredentialId::Token(id) => self.token(*id).is_some(),
            CredentialId::ProxyToken(id) => self.proxy_token(*id).is_some(),
            CredentialId::AccessKey(id) => self.access_key(*id).is_some(),
        })
    }

    /// Returns a proxy token and its scope.
    pub fn proxy_token(&self, id: ProxyTokenId) -> Option<ProxyTokenView<'_>> {
        let credential = self.workspace.proxy_tokens.get(&id)?;
        let view = self.live(id, credential, |terms| terms)?;
        let scope = view.terms.1.at(self.revision)?;
        Some(ProxyTokenView {
            scope: scope.with(scope.value.as_deref()),
            issued: view.issued,
            issued_at: view.issued_at,
            issued_by: view.issued_by,
            id,
            expires_at: view.expires_at,
        })
    }

    /// Returns the events that made and ended a proxy token, up to the view's revision.
    pub fn proxy_token_changes(&self, id: ProxyTokenId) -> Vec<Revision> {
        let Some(token) = self.workspace.proxy_tokens.get(&id) else { return Vec::new() };
        [Some(token.issued), token.ended].into_iter().flatten().filter(|at| *at <= self.revision).collect()
    }

    /// Returns every proxy token, in the order of their ids.
    pub fn proxy_tokens(&self) -> impl Iterator<Item = ProxyTokenView<'_>> {
        self.workspace.proxy_tokens.keys().filter_map(|id| self.proxy_token(*id))
    }

    /// Returns an access key.
    pub fn access_key(&self, id: AccessKeyId) -> Option<CredentialView<'_, AccessKeyId, AccessKeyTerms>> {
        self.live(id, self.workspace.access_keys.get(&id)?, |terms| terms)
    }

    /// Returns every access key, in the order of their ids.
    pub fn access_keys(&self) -> impl Iterator<Item = CredentialView<'_, AccessKeyId, AccessKeyTerms>> {
        self.workspace.access_keys.keys().filter_map(|id| self.access_key(*id))
    }
}

/// Returns whether a view may have a revision of a later time than its instant. The revision must be ahead of now, and
/// the instant not before any revision that is not.
fn is_ahead_at(workspace: &Workspace, time: Instant, instant: Instant, now: Instant) -> bool {
    time > now && workspace.time_of(workspace.revision_at(now)).is_none_or(|last| last <= instant)
}

/// Refuses a view of the time before restored facts, because they do not cover it.
fn check_available(workspace: &Workspace, at: At, revision: Revision) -> Result<(), Rejection> {
    let requested = match at {
        At::Instant(instant) if instant < workspace.base_time => instant.to_string(),
        At::Now | At::Instant(_) | At::Revision(_) | At::Both(..) if revision < workspace.history.base() => {
            format!("revision {revision}")
        }
        At::Now | At::Instant(_) | At::Revision(_) | At::Both(..) => return Ok(()),
    };
    let (base, time) = (workspace.history.base(), workspace.base_time);
    let why = format!("`{requested}` is before revision {base} of {time}, and no facts from before that are loaded");
    Err(Rejection::Invalid { field: "at", why })
}

/// A live proxy token.
#[derive(Debug, Clone, Copy)]
pub struct ProxyTokenView<'a> {
    /// Its id.
    pub id: ProxyTokenId,
    /// The environments in which it is valid, and the event that set them.
    pub scope: ScopeView<'a>,
    /// The event that made it.
    pub issued: Revision,
    /// The time at which it was made.
    pub issued_at: Instant,
    /// The actor that made it.
    pub issued_by: &'a Actor,
    /// The instant at which it expires.
    pub expires_at: Option<Instant>,
}
