//! The facts of one workspace over its whole time, and `evolve`, the only function that changes them.
//!
//! A [`Workspace`] is a persistent value: a copy shares everything with its original, and changes to one never affect
//! the other. Every rule reads the facts through a [`View`](crate::domain::state::view::View). No other index over them
//! exists.

use std::collections::BTreeSet;
use std::sync::Arc;

use imbl::{OrdMap, OrdSet};

use crate::domain::history::History;
use crate::domain::model::credential::CredentialId;
use crate::domain::model::event::{
    AccessKeyTerms, Event, EventData, GrantTerms, ProxyTokenTerms, TokenTerms, WorkspaceDescription,
};
use crate::domain::model::id::{AccessKeyId, EnvironmentId, ProxyTokenId, ServiceUserId, TokenId, UserId, WorkspaceId};
use crate::domain::model::name::{EnvironmentName, ServiceUserName};
use crate::domain::model::principal::{Actor, Principal};
use crate::domain::model::role::{EnvironmentRole, Plan, WorkspaceRole};
use crate::domain::model::time::{Instant, Revision};
use crate::domain::state::coherence::{self, Incoherent};
use crate::domain::state::credential_facts::{Credential, Expiring, ScopedTerms, end_credential};
use crate::domain::state::registry::{PrincipalFacts, PrincipalLifecycle, Registry};
use crate::domain::state::resource_facts::ResourceFacts;
use crate::domain::state::timeline::{Since, Timeline};

/// The version of [`Workspace::evolve`]. It is raised when the same events make other facts; data derived with another
/// version is discarded.
pub const EVOLVE_VERSION: u32 = 1;

/// The greatest time, in microseconds, by which the newest event may be ahead of the clock and still count as now: a
/// minute.
const AHEAD_MICROS_MAX: i64 = 60_000_000;

/// The restriction of an environment, which decides for principals without a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestrictionState {
    /// Every principal is a contributor.
    Unrestricted,
    /// Principals without a grant have the default role.
    Restricted(EnvironmentRole),
    /// The environment has ended.
    Ended,
}

/// A principal's grant in a restricted environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// The role.
    pub role: EnvironmentRole,
    /// The instant at which the grant ends.
    pub expires_at: Option<Instant>,
}

impl Grant {
    /// Returns whether the grant is live at the instant.
    pub fn is_live(&self, instant: Instant) -> bool {
        self.expires_at.is_none_or(|end| instant < end)
    }
}

/// The counts of live things at the head, for the limits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::domain) struct LiveCounts {
    pub(in crate::domain) environments: usize,
    pub(in crate::domain) principals: usize,
    pub(in crate::domain) owners: usize,
    pub(in crate::domain) credentials: usize,
}

/// The facts of one workspace.
#[derive(Debug, Clone)]
pub struct Workspace {
    pub(in crate::domain) id: WorkspaceId,
    /// The events after the revision at which the facts were restored.
    pub(in crate::domain) history: History,
    pub(in crate::domain) base_time: Instant,
    /// The times of the events that restored facts name. Empty unless the workspace was restored.
    pub(in crate::domain) times: OrdMap<Revision, Instant>,
    pub(in crate::domain) description: Option<Arc<WorkspaceDescription>>,
    pub(in crate::domain) alive: Timeline<bool>,
    pub(in crate::domain) plan: Timeline<Plan>,
    pub(in crate::domain) rbac: Timeline<bool>,
    pub(in crate::domain) registry: Registry,
    pub(in crate::domain) tokens: OrdMap<TokenId, Arc<Credential<TokenTerms>>>,
    /// Every token ever issued, by holder.
    pub(in crate::domain) tokens_of: OrdMap<Principal, OrdSet<TokenId>>,
    pub(in crate::domain) proxy_tokens: OrdMap<ProxyTokenId, Arc<Credential<ScopedTerms>>>,
    pub(in crate::domain) access_keys: OrdMap<AccessKeyId, Arc<Credential<AccessKeyTerms>>>,
    /// The live credentials at the head, by issuer.
    pub(in crate::domain) issued: OrdMap<UserId, OrdSet<CredentialId>>,
    pub(in crate::domain) resources: ResourceFacts,
    /// Everything live that has an `expires_at`, the earliest first.
    pub(in crate::domain) expiries: OrdSet<(Instant, Expiring)>,
    pub(in crate::domain) live_counts: LiveCounts,
}

impl Workspace {
    /// Returns a workspace before its first event.
    pub fn empty(id: WorkspaceId) -> Self {
        Self {
            id,
            history: History::after(id, Revision::ZERO),
            base_time: Instant::EARLIEST,
            times: OrdMap::new(),
            description: None,
            alive: Timeline::default(),
            plan: Timeline::default(),
            rbac: Timeline::default(),
            registry: Registry::default(),
            tokens: OrdMap::new(),
            tokens_of: OrdMap::new(),
            proxy_tokens: OrdMap::new(),
            access_keys: OrdMap::new(),
            issued: OrdMap::new(),
            resources: ResourceFacts::default(),
            expiries: OrdSet::new(),
            live_counts: LiveCounts::default(),
        }
    }

    /// Returns the number of live credentials that a person issued. One that has expired counts until its event.
    pub fn issued_len(&self, issuer: &UserId) -> usize {
        self.issued.get(issuer).map_or(0, OrdSet::len)
    }

    /// Returns the workspace's id.
    pub const fn id(&self) -> WorkspaceId {
        self.id
    }

    /// Returns the newest revision.
    pub fn head(&self) -> Revision {
        self.history.head()
    }

    /// Returns the time of the newest event.
    pub fn head_time(&self) -> Instant {
        self.history.last_time().unwrap_or(self.base_time)
    }

    /// Returns whether the newest event is too far ahead of a clock: it was written under a wrong clock.
    pub fn is_ahead_of(&self, clock: Instant) -> bool {
        self.head_time().micros().saturating_sub(clock.micros()) > AHEAD_MICROS_MAX
    }

    /// Returns the instant at which the newest facts are evaluated: the later of the clock and the newest event. If the
    /// event is too far ahead, it is the clock.
    pub fn evaluated_at(&self, clock: Instant) -> Instant {
        if self.is_ahead_of(clock) { clock } else { clock.max(self.head_time()) }
    }

    /// Returns the event of a revision, or `None` if the facts were restored after it.
    pub fn event(&self, revision: Revision) -> Option<Arc<Event>> {
        self.history.event(revision)
    }

    /// Returns the time of a revision's event, or `None` if the facts were restored after it and do not name it.
    pub(in crate::domain) fn time_of(&self, revision: Revision) -> Option<Instant> {
        self.history.time_of(revision).or_else(|| self.times.get(&revision).copied())
    }

    /// Returns the events after one revision, up to and including another.
    pub fn events(&self, after: Revision, until: Revision) -> impl Iterator<Item = Arc<Event>> {
        self.history.events(after, until)
    }

    /// Returns the newest revision whose event happened at or before the instant.
    pub fn revision_at(&self, instant: Instant) -> Revision {
        self.history.revision_at(instant)
    }

    /// Returns the last revision of the command that the revision belongs to.
    pub fn end_of_command(&self, revision: Revision) -> Revision {
        self.history.end_of_command(revision)
    }

    /// Returns the first revision of the command that a revision belongs to, among those that are loaded.
    pub(in crate::domain) fn start_of_command(&self, revision: Revision) -> Revision {
        self.history.start_of_command(revision)
    }

    /// Packs the events that are not packed yet, for a workspace that will not change soon.
    pub fn compact(&mut self) {
        self.history.compact();
    }

    /// Returns every event up to the head, packed for [`PackedHistory`](crate::domain::history::PackedHistory). In a
    /// restored workspace, these are the events after the restored state.
    pub fn packed(&self) -> Vec<u8> {
        self.history.packed()
    }

    /// Returns the earliest `expires_at` of anything live.
    pub fn next_expiry(&self) -> Option<Instant> {
        self.expiries.get_min().map(|(instant, _)| *instant)
    }

    /// Applies an event. This is the only function that changes facts; it is total and cannot fail. An event about
    /// something that does not exist changes only the history.
    pub fn evolve(&mut self, event: &Arc<Event>) {
        self.apply(event);
        self.history.push(event);
    }

    /// Applies an event of a log that may be damaged.
    ///
    /// # Errors
    /// The event contradicts the earlier ones. Nothing is changed.
    pub fn evolve_checked(&mut self, event: &Arc<Event>) -> Result<(), Incoherent> {
        coherence::check(self, event)?;
        self.evolve(event);
        Ok(())
    }

    /// Returns whether an event belongs to the command of the newest event.
    pub(in crate::domain) fn is_within_command(&self, event: &Event) -> bool {
        self.history.command_of(self.head()) == Some(event.command)
    }

    /// Returns every API token that the log made.
    pub fn token_ids(&self) -> impl Iterator<Item = TokenId> {
        self.tokens.keys().copied()
    }

    /// Returns every proxy token that the log made.
    pub fn proxy_token_ids(&self) -> impl Iterator<Item = ProxyTokenId> {
        self.proxy_tokens.keys().copied()
    }

    /// Returns every access key that the log made.
    pub fn access_key_ids(&self) -> impl Iterator<Item = AccessKeyId> {
        self.access_keys.keys().copied()
    }

    /// Returns the terms of an API token, including one that has ended.
    pub fn token_terms(&self, id: TokenId) -> Option<&TokenTerms> {
        self.tokens.get(&id).map(|token| &token.terms)
    }

    /// Returns the terms of a proxy token, including one that has ended.
    pub fn proxy_token_terms(&self, id: ProxyTokenId) -> Option<&ProxyTokenTerms> {
        self.proxy_tokens.get(&id).map(|token| &token.terms.0)
    }

    /// Returns the terms of an access key, including one that has ended.
    pub fn access_key_terms(&self, id: AccessKeyId) -> Option<&AccessKeyTerms> {
        self.access_keys.get(&id).map(|key| &key.terms)
    }

    /// Applies an event to the facts, except the history.
    pub(in crate::domain) fn apply(&mut self, event: &Event) {
        let at = event.revision;
        match &event.data {
            EventData::WorkspaceCreated(_, description) => self.begin(at, description),
            EventData::WorkspaceDeleted(..) => self.end(at),
            EventData::PlanChanged(_, change) => self.plan.set(at, change.plan),
            EventData::RbacEnabled(..) => self.rbac.set(at, true),
            EventData::RbacDisabled(..) => self.rbac.set(at, false),
            EventData::MemberAdded(user, member) | EventData::MemberRoleChanged(user, member) => {
                self.set_member(at, user, Some(member.role));
            }
            EventData::MemberRemoved(user, _) => self.set_member(at, user, None),
            EventData::ServiceUserCreated(id, description) => self.add_service_user(at, *id, &description.name),
            EventData::ServiceUserDeleted(id, _) => self.end_service_user(at, *id),
            EventData::TokenIssued(id, terms) => self.add_token(event, *id, terms),
            EventData::TokenRevoked(id, _) | EventData::TokenExpired(id, _) => self.end_token(at, *id),
            EventData::EnvironmentCreated(id, description) => self.add_environment(at, *id, &description.name),
            EventData::EnvironmentRenamed(id, description) => self.rename_environment(at, *id, &description.name),
            EventData::EnvironmentRestricted(id, restriction)
            | EventData::EnvironmentDefaultRoleChanged(id, restriction) => {
                self.set_restriction(at, *id, RestrictionState::Restricted(restriction.default_role));
            }
            EventData::EnvironmentUnrestricted(id, _) => self.set_restriction(at, *id, RestrictionState::Unrestricted),
            EventData::EnvironmentDeleted(id, _) => self.end_environment(at, *id),
            EventData::GrantAdded(id, terms) | EventData::GrantChanged(id, terms) => self.give(at, *id, terms),
            EventData::GrantRevoked(id, end) | EventData::GrantExpired(id, end) => {
                self.set_grant(at, *id, &end.principal, None);
            }
            EventData::ProxyTokenCreated(id, terms) => self.add_proxy_token(event, *id, terms),
            EventData::ProxyTokenScoped(id, scope) => self.set_scope(at, *id, &scope.environments),
            EventData::ProxyTokenRevoked(id, _) | EventData::ProxyTokenExpired(id, _) => self.end_proxy_token(at, *id),
            EventData::AccessKeyIssued(id, terms) => self.add_access_key(event, *id, terms),
            EventData::AccessKeyRevoked(id, _) | EventData::AccessKeyExpired(id, _) => self.end_access_key(at, *id),
            EventData::ResourceTypeDefined(name, terms) => self.resources.define(at, name, &terms.actions),
            EventData::ResourcePlaced(key, placement) => self.resources.set_place(at, key, Some(placement.environment)),
            EventData::ResourceMoved(key, moved) => self.resources.set_place(at, key, Some(moved.environment)),
            EventData::ResourceRemoved(key, _) => self.resources.set_place(at, key, None),
        }
    }

    fn begin(&mut self, at: Revision, description: &WorkspaceDescription) {
        self.description = Some(Arc::new(description.clone()));
        self.alive.set(at, true);
        self.plan.set(at, description.plan);
        self.rbac.set(at, false);
    }

    fn end(&mut self, at: Revision) {
        self.alive.set(at, false);
        self.expiries = OrdSet::new();
        self.live_counts = LiveCounts::default();
        self.resources.placed_len = 0;
    }

    pub(in crate::domain) fn set_member(&mut self, at: Revision, user: &UserId, role: Option<WorkspaceRole>) {
        let principal = Principal::User(user.clone());
        let facts = self.registry.principal_mut(&principal).map(|facts| &mut facts.lifecycle);
        let Some(PrincipalLifecycle::User(roles)) = facts else { return };
        let before = roles.last().and_then(|entry| entry.value);
        roles.set(at, role);
        let owner = |role: Option<WorkspaceRole>| usize::from(role == Some(WorkspaceRole::Owner));
        let member = |role: Option<WorkspaceRole>| usize::from(role.is_some());
        self.live_counts.owners = (self.live_counts.owners + owner(role)).saturating_sub(owner(before));
        self.live_counts.principals = (self.live_counts.principals + member(role)).saturating_sub(member(before));
    }

    pub(in crate::domain) fn add_service_user(&mut self, at: Revision, id: ServiceUserId, name: &ServiceUserName) {
        let Some(facts) = self.registry.principal_mut(&Principal::ServiceUser(id)) else { return };
        facts.lifecycle = PrincipalLifecycle::ServiceUser(Timeline::starting(at, true), Some(name.clone()));
        let dense_id = facts.dense_id;
        self.registry.service_user_names.set(at, name.as_str(), Some(dense_id));
        self.live_counts.principals += 1;
    }

    pub(in crate::domain) fn end_service_user(&mut self, at: Revision, id: ServiceUserId) {
        let principal = Principal::ServiceUser(id);
        if self.registry.principal(&principal).and_then(PrincipalFacts::service_user).is_none() {
            return;
        }
        let facts = self.registry.principal_mut(&principal).map(|facts| &mut facts.lifecycle);
        let Some(PrincipalLifecycle::ServiceUser(alive, Some(name))) = facts else { return };
        alive.set(at, false);
        let name = name.clone();
        self.registry.service_user_names.set(at, name.as_str(), None);
        self.live_counts.principals = self.live_counts.principals.saturating_sub(1);
    }

    pub(in crate::domain) fn add_environment(&mut self, at: Revision, id: EnvironmentId, name: &EnvironmentName) {
        let restriction = Timeline::starting(at, RestrictionState::Unrestricted);
        self.registry.begin_environment(id, Timeline::starting(at, name.clone()), restriction);
        self.set_environment_name(at, name, Some(id));
        self.live_counts.environments += 1;
    }

    pub(in crate::domain) fn set_environment_name(
        &mut self,
        at: Revision,
        name: &EnvironmentName,
        owner: Option<EnvironmentId>,
    ) {
        let owner = owner.map(|id| self.registry.environment_dense_id(id));
        self.registry.environment_names.set(at, &name.key(), owner);
    }

    fn rename_environment(&mut self, at: Revision, id: EnvironmentId, name: &EnvironmentName) {
        let Some(facts) = self.registry.environment_mut(id) else { return };
        let before = facts.name.last().map(|entry| entry.value.clone());
        facts.name.set(at, name.clone());
        if let Some(before) = before.filter(|before| before.key() != name.key()) {
            self.set_environment_name(at, &before, None);
        }
        self.set_environment_name(at, name, Some(id));
    }

    pub(in crate::domain) fn set_restriction(
        &mut self,
        at: Revision,
        id: EnvironmentId,
        restriction: RestrictionState,
    ) {
        if let Some(facts) = self.registry.environment_mut(id) {
            facts.restriction.set(at, restriction);
        }
    }

    fn end_environment(&mut self, at: Revision, id: EnvironmentId) {
        self.set_restriction(at, id, RestrictionState::Ended);
        let name = self.registry.environment(id).and_then(|facts| facts.name.last()).map(|entry| entry.value.clone());
        if let Some(name) = name {
            self.set_environment_name(at, &name, None);
        }
        self.live_counts.environments = self.live_counts.environments.saturating_sub(1);
    }

    fn give(&mut self, at: Revision, environment: EnvironmentId, terms: &GrantTerms) {
        let grant = Grant { role: terms.role, expires_at: terms.expires_at };
        self.set_grant(at, environment, &terms.principal, Some(grant));
    }

    pub(in crate::domain) fn set_grant(
        &mut self,
        at: Revision,
        id: EnvironmentId,
        principal: &Principal,
        grant: Option<Grant>,
    ) {
        let Some(before) = self.registry.set_grant(at, id, principal, grant) else { return };
        let (before, after) = (before.and_then(|grant| grant.expires_at), grant.and_then(|grant| grant.expires_at));
        if before.is_some() || after.is_some() {
            self.reschedule(before, after, Expiring::Grant(id, self.registry.known(principal)));
        }
    }

    fn reschedule(&mut self, before: Option<Instant>, after: Option<Instant>, expiring: Expiring) {
        if let Some(before) = before {
            self.expiries.remove(&(before, expiring.clone()));
        }
        if let Some(after) = after {
            self.expiries.insert((after, expiring));
        }
    }

    fn add_token(&mut self, event: &Event, id: TokenId, terms: &TokenTerms) {
        let terms = TokenTerms { holder: self.registry.known(&terms.holder), ..terms.clone() };
        self.tokens_of.entry(terms.holder.clone()).or_default().insert(id);
        let expires_at = terms.expires_at;
        let token = Credential::new(&self.registry, event, terms, expires_at);
        self.token_added(id, &token);
        self.tokens.insert(id, token);
    }

    pub(in crate::domain) fn token_added(&mut self, id: TokenId, token: &Credential<TokenTerms>) {
        self.credential_added(token, CredentialId::Token(id));
        if let Some(holder) = self.registry.principal_mut(&token.terms.holder) {
            holder.live_tokens += 1;
        }
    }

    fn add_proxy_token(&mut self, event: &Event, id: ProxyTokenId, terms: &ProxyTokenTerms) {
        let scope = Timeline::starting(event.revision, terms.environments.clone().map(Arc::new));
        let token = Credential::new(&self.registry, event, (terms.clone(), scope), terms.expires_at);
        self.credential_added(&token, CredentialId::ProxyToken(id));
        self.proxy_tokens.insert(id, token);
    }

    fn add_access_key(&mut self, event: &Event, id: AccessKeyId, terms: &AccessKeyTerms) {
        let key = Credential::new(&self.registry, event, terms.clone(), terms.expires_at);
        self.credential_added(&key, CredentialId::AccessKey(id));
        self.access_keys.insert(id, key);
    }

    pub(in crate::domain) fn credential_added<T>(&mut self, credential: &Credential<T>, id: CredentialId) {
        self.reschedule(None, credential.expires_at, id.into());
        self.live_counts.credentials += 1;
        if let Actor::User(issuer) = &credential.issued_by {
            self.issued.entry(issuer.clone()).or_default().insert(id);
        }
    }

    fn credential_ended<T>(&mut self, credential: &Credential<T>, id: CredentialId) {
        self.reschedule(credential.expires_at, None, id.into());
        self.live_counts.credentials = self.live_counts.credentials.saturating_sub(1);
        if let Actor::User(issuer) = &credential.issued_by
            && let Some(issued) = self.issued.get_mut(issuer)
        {
            issued.remove(&id);
        }
    }

    fn end_token(&mut self, at: Revision, id: TokenId) {
        let Some(token) = self.tokens.get_mut(&id).map(|token| end_credential(token, at)) else { return };
        self.credential_ended(&token, CredentialId::Token(id));
        if let Some(holder) = self.registry.principal_mut(&token.terms.holder) {
            holder.live_tokens = holder.live_tokens.saturating_sub(1);
        }
    }

    fn end_proxy_token(&mut self, at: Revision, id: ProxyTokenId) {
        if let Some(token) = self.proxy_tokens.get_mut(&id).map(|token| end_credential(token, at)) {
            self.credential_ended(&token, CredentialId::ProxyToken(id));
        }
    }

    fn end_access_key(&mut self, at: Revision, id: AccessKeyId) {
        if let Some(key) = self.access_keys.get_mut(&id).map(|key| end_credential(key, at)) {
            self.credential_ended(&key, CredentialId::AccessKey(id));
        }
    }

    fn set_scope(&mut self, at: Revision, id: ProxyTokenId, environments: &BTreeSet<EnvironmentId>) {
        if let Some(token) = self.proxy_tokens.get_mut(&id) {
            Arc::make_mut(token).terms.1.set(at, Some(Arc::new(environments.clone())));
        }
    }
}

/// Returns the value of a fact at a revision.
pub(in crate::domain) fn newest<T: Clone>(timeline: &Timeline<T>, at: Revision) -> Option<Since<T>> {
    timeline.at(at).cloned()
}
