//! The facts of one workspace, each with its whole tenure, and the one way in which they change.
//!
//! A [`Workspace`] is a persistent value: a copy shares everything with its original, and a change to one is never seen in the
//! other. Every rule reads the facts through a [`View`](crate::domain::state::view::View). No index over them lives anywhere else.

use std::collections::BTreeSet;
use std::sync::Arc;

use imbl::{OrdMap, OrdSet};

use crate::domain::state::coherence::{self, Incoherent};
use crate::domain::model::event::{AccessKeyTerms, Event, EventData, GrantTerms, ProxyTokenTerms, TokenTerms, WorkspaceDescription};
use crate::domain::history::History;
use crate::domain::model::id::{AccessKeyId, EnvironmentId, ProxyTokenId, ServiceUserId, TokenId, UserId, WorkspaceId};
use crate::domain::model::name::{EnvironmentName, ServiceUserName};
use crate::domain::model::principal::{Actor, Principal};
use crate::domain::state::registry::{Presence, PrincipalFacts, Registry};
use crate::domain::state::resource_facts::ResourceFacts;
use crate::domain::model::role::{EnvironmentRole, Plan, WorkspaceRole};
use crate::domain::model::time::{Instant, Revision};
use crate::domain::state::timeline::{Since, Timeline};

/// Raised when [`Workspace::evolve`] makes other facts of the same events: what was derived with another version is not believed.
pub const EVOLVE_VERSION: u32 = 1;

/// How far the newest event may be ahead of the clock, in microseconds, and still be taken for now: a minute.
const AHEAD_MICROS_MAX: i64 = 60_000_000;

/// How an environment stands to those who have no grant in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Open to every principal.
    Unrestricted,
    /// Gives the default role.
    Restricted(EnvironmentRole),
    /// Is no more.
    Ended,
}

/// A role of one's own in a restricted environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// The role.
    pub role: EnvironmentRole,
    /// From when on it gives nothing.
    pub expires_at: Option<Instant>,
}

impl Grant {
    /// Whether the grant still gives something at the instant.
    pub fn is_live(&self, instant: Instant) -> bool {
        self.expires_at.is_none_or(|end| instant < end)
    }
}

/// A credential's facts that never change, and when it ended.
#[derive(Debug, Clone)]
pub(in crate::domain) struct Credential<T> {
    pub(in crate::domain) terms: T,
    pub(in crate::domain) issued: Revision,
    pub(in crate::domain) issued_at: Instant,
    pub(in crate::domain) issued_by: Actor,
    pub(in crate::domain) expires_at: Option<Instant>,
    pub(in crate::domain) ended: Option<Revision>,
}

impl<T> Credential<T> {
    fn new(registry: &Registry, event: &Event, terms: T, expires_at: Option<Instant>) -> Arc<Self> {
        let (issued, issued_at) = (event.revision, event.time);
        let issued_by = match &event.actor {
            Actor::User(user) => Actor::User(registry.known_user(user)),
            other => other.clone(),
        };
        Arc::new(Self { terms, issued, issued_at, issued_by, expires_at, ended: None })
    }
}

/// The environments that a proxy token is valid for; none for a workspace-wide one.
pub(in crate::domain) type Scope = Option<Arc<BTreeSet<EnvironmentId>>>;

/// What a proxy token was made as, and its scope since.
pub(in crate::domain) type ScopedTerms = (ProxyTokenTerms, Timeline<Scope>);

/// What can pass its `expires_at`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Expiring {
    /// A principal's grant in an environment.
    Grant(EnvironmentId, Principal),
    /// An API token.
    Token(TokenId),
    /// A proxy token.
    ProxyToken(ProxyTokenId),
    /// An access key.
    AccessKey(AccessKeyId),
}

/// A credential of any kind that an event makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AnyCredentialId {
    /// An API token.
    Token(TokenId),
    /// A proxy token.
    ProxyToken(ProxyTokenId),
    /// An access key.
    AccessKey(AccessKeyId),
}

impl From<AnyCredentialId> for Expiring {
    fn from(id: AnyCredentialId) -> Self {
        match id {
            AnyCredentialId::Token(id) => Self::Token(id),
            AnyCredentialId::ProxyToken(id) => Self::ProxyToken(id),
            AnyCredentialId::AccessKey(id) => Self::AccessKey(id),
        }
    }
}

/// How many live things there are at the head, for the limits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::domain) struct Census {
    pub(in crate::domain) environments: usize,
    pub(in crate::domain) principals: usize,
    pub(in crate::domain) owners: usize,
    pub(in crate::domain) credentials: usize,
}

/// The facts of one workspace.
#[derive(Debug, Clone)]
pub struct Workspace {
    pub(in crate::domain) id: WorkspaceId,
    /// Begins after the revision that the facts were restored at.
    pub(in crate::domain) history: History,
    pub(in crate::domain) base_time: Instant,
    /// When the events that the restored facts name happened; empty in a workspace that was not restored.
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
    /// What each user issued and no event has ended, at the head.
    pub(in crate::domain) issued: OrdMap<UserId, OrdSet<AnyCredentialId>>,
    pub(in crate::domain) resources: ResourceFacts,
    /// What is live and has an `expires_at`, soonest first.
    pub(in crate::domain) expiries: OrdSet<(Instant, Expiring)>,
    pub(in crate::domain) census: Census,
}

impl Workspace {
    /// A workspace before its first event.
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
            census: Census::default(),
        }
    }

    /// The workspace's id.
    pub const fn id(&self) -> WorkspaceId {
        self.id
    }

    /// The newest revision.
    pub fn head(&self) -> Revision {
        self.history.head()
    }

    /// When the newest event happened.
    pub fn head_time(&self) -> Instant {
        self.history.last_time().unwrap_or(self.base_time)
    }

    /// Returns whether the newest event is ahead of a clock by more than clocks differ by: it was written under a clock that was wrong.
    pub fn is_ahead_of(&self, clock: Instant) -> bool {
        self.head_time().micros().saturating_sub(clock.micros()) > AHEAD_MICROS_MAX
    }

    /// Returns the instant at which the newest facts are judged: the later of a clock and the newest event, but the clock alone where the
    /// event is ahead of it.
    pub fn judged_at(&self, clock: Instant) -> Instant {
        if self.is_ahead_of(clock) { clock } else { clock.max(self.head_time()) }
    }

    /// The event of a revision, unless the facts were restored after it.
    pub fn event(&self, revision: Revision) -> Option<Arc<Event>> {
        self.history.event(revision)
    }

    /// When the event of a revision happened, unless it came before the facts were restored and none of them names it.
    pub(in crate::domain) fn time_of(&self, revision: Revision) -> Option<Instant> {
        self.history.time_of(revision).or_else(|| self.times.get(&revision).copied())
    }

    /// The events after one revision, up to and with another.
    pub fn events(&self, after: Revision, until: Revision) -> impl Iterator<Item = Arc<Event>> {
        self.history.events(after, until)
    }

    /// The newest revision whose event happened at or before the instant.
    pub fn revision_at(&self, instant: Instant) -> Revision {
        self.history.revision_at(instant)
    }

    /// The last revision of the command that the revision belongs to.
    pub fn end_of_command(&self, revision: Revision) -> Revision {
        self.history.end_of_command(revision)
    }

    /// The first revision of the command that a revision belongs to, as far as it is loaded.
    pub(in crate::domain) fn start_of_command(&self, revision: Revision) -> Revision {
        self.history.start_of_command(revision)
    }

    /// Packs what of the history is not packed yet, for a workspace that is to lie still.
    pub fn settle(&mut self) {
        self.history.settle();
    }

    /// Every event up to the head, packed for [`PackedHistory`](crate::domain::history::PackedHistory). Of facts that were restored from a state, those after it.
    pub fn packed(&self) -> Vec<u8> {
        self.history.packed()
    }

    /// When the next thing expires.
    pub fn next_expiry(&self) -> Option<Instant> {
        self.expiries.get_min().map(|(instant, _)| *instant)
    }

    /// Takes in one event. This is the only way in which facts change; it is total and cannot fail. An event about something
    /// that is not there changes nothing but the history.
    pub fn evolve(&mut self, event: &Arc<Event>) {
        self.apply(event);
        self.history.push(event);
    }

    /// Takes in one event of a log that may be damaged: an event that cannot follow those before it is refused, and changes nothing.
    ///
    /// # Errors
    /// [`Incoherent`] says what is in its way.
    pub fn evolve_checked(&mut self, event: &Arc<Event>) -> Result<(), Incoherent> {
        coherence::check(self, event)?;
        self.evolve(event);
        Ok(())
    }

    /// Whether an event goes on with the command of the newest event.
    pub(in crate::domain) fn is_within_command(&self, event: &Event) -> bool {
        self.history.command_of(self.head()) == Some(event.command)
    }

    /// Every API token that the log made.
    pub fn token_ids(&self) -> impl Iterator<Item = TokenId> {
        self.tokens.keys().copied()
    }

    /// Every proxy token that the log made.
    pub fn proxy_token_ids(&self) -> impl Iterator<Item = ProxyTokenId> {
        self.proxy_tokens.keys().copied()
    }

    /// Every access key that the log made.
    pub fn access_key_ids(&self) -> impl Iterator<Item = AccessKeyId> {
        self.access_keys.keys().copied()
    }

    /// The terms of an API token that the log made, also of one that has ended.
    pub fn token_terms(&self, id: TokenId) -> Option<&TokenTerms> {
        self.tokens.get(&id).map(|token| &token.terms)
    }

    /// The terms of a proxy token that the log made, also of one that has ended.
    pub fn proxy_token_terms(&self, id: ProxyTokenId) -> Option<&ProxyTokenTerms> {
        self.proxy_tokens.get(&id).map(|token| &token.terms.0)
    }

    /// The terms of an access key that the log made, also of one that has ended.
    pub fn access_key_terms(&self, id: AccessKeyId) -> Option<&AccessKeyTerms> {
        self.access_keys.get(&id).map(|key| &key.terms)
    }

    /// What an event changes, but for the history.
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
                self.set_mode(at, *id, Mode::Restricted(restriction.default_role));
            }
            EventData::EnvironmentUnrestricted(id, _) => self.set_mode(at, *id, Mode::Unrestricted),
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
            EventData::ResourcePlaced(key, place) => self.resources.set_place(at, key, Some(place.environment)),
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
        self.census = Census::default();
        self.resources.placed_len = 0;
    }

    pub(in crate::domain) fn set_member(&mut self, at: Revision, user: &UserId, role: Option<WorkspaceRole>) {
        let principal = Principal::User(user.clone());
        let facts = self.registry.principal_mut(&principal).map(|facts| &mut facts.presence);
        let Some(Presence::User(roles)) = facts else { return };
        let before = roles.last().and_then(|entry| entry.value);
        roles.set(at, role);
        let owner = |role: Option<WorkspaceRole>| usize::from(role == Some(WorkspaceRole::Owner));
        let member = |role: Option<WorkspaceRole>| usize::from(role.is_some());
        self.census.owners = (self.census.owners + owner(role)).saturating_sub(owner(before));
        self.census.principals = (self.census.principals + member(role)).saturating_sub(member(before));
    }

    pub(in crate::domain) fn add_service_user(&mut self, at: Revision, id: ServiceUserId, name: &ServiceUserName) {
        let Some(facts) = self.registry.principal_mut(&Principal::ServiceUser(id)) else { return };
        facts.presence = Presence::ServiceUser(Timeline::starting(at, true), Some(name.clone()));
        let number = facts.number;
        self.registry.service_user_names.set(at, name.as_str(), Some(number));
        self.census.principals += 1;
    }

    pub(in crate::domain) fn end_service_user(&mut self, at: Revision, id: ServiceUserId) {
        let principal = Principal::ServiceUser(id);
        if self.registry.principal(&principal).and_then(PrincipalFacts::service_user).is_none() {
            return;
        }
        let facts = self.registry.principal_mut(&principal).map(|facts| &mut facts.presence);
        let Some(Presence::ServiceUser(alive, Some(name))) = facts else { return };
        alive.set(at, false);
        let name = name.clone();
        self.registry.service_user_names.set(at, name.as_str(), None);
        self.census.principals = self.census.principals.saturating_sub(1);
    }

    pub(in crate::domain) fn add_environment(&mut self, at: Revision, id: EnvironmentId, name: &EnvironmentName) {
        let mode = Timeline::starting(at, Mode::Unrestricted);
        self.registry.begin_environment(id, Timeline::starting(at, name.clone()), mode);
        self.set_environment_name(at, name, Some(id));
        self.census.environments += 1;
    }

    pub(in crate::domain) fn set_environment_name(&mut self, at: Revision, name: &EnvironmentName, bearer: Option<EnvironmentId>) {
        let number = bearer.map(|id| self.registry.environment_number(id));
        self.registry.environment_names.set(at, &name.key(), number);
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

    pub(in crate::domain) fn set_mode(&mut self, at: Revision, id: EnvironmentId, mode: Mode) {
        if let Some(facts) = self.registry.environment_mut(id) {
            facts.mode.set(at, mode);
        }
    }

    fn end_environment(&mut self, at: Revision, id: EnvironmentId) {
        self.set_mode(at, id, Mode::Ended);
        let name = self.registry.environment(id).and_then(|facts| facts.name.last()).map(|entry| entry.value.clone());
        if let Some(name) = name {
            self.set_environment_name(at, &name, None);
        }
        self.census.environments = self.census.environments.saturating_sub(1);
    }

    fn give(&mut self, at: Revision, environment: EnvironmentId, terms: &GrantTerms) {
        let grant = Grant { role: terms.role, expires_at: terms.expires_at };
        self.set_grant(at, environment, &terms.principal, Some(grant));
    }

    pub(in crate::domain) fn set_grant(&mut self, at: Revision, id: EnvironmentId, principal: &Principal, grant: Option<Grant>) {
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
        self.credential_added(token, AnyCredentialId::Token(id));
        if let Some(holder) = self.registry.principal_mut(&token.terms.holder) {
            holder.live_tokens += 1;
        }
    }

    fn add_proxy_token(&mut self, event: &Event, id: ProxyTokenId, terms: &ProxyTokenTerms) {
        let scope = Timeline::starting(event.revision, terms.environments.clone().map(Arc::new));
        let token = Credential::new(&self.registry, event, (terms.clone(), scope), terms.expires_at);
        self.credential_added(&token, AnyCredentialId::ProxyToken(id));
        self.proxy_tokens.insert(id, token);
    }

    fn add_access_key(&mut self, event: &Event, id: AccessKeyId, terms: &AccessKeyTerms) {
        let key = Credential::new(&self.registry, event, terms.clone(), terms.expires_at);
        self.credential_added(&key, AnyCredentialId::AccessKey(id));
        self.access_keys.insert(id, key);
    }

    pub(in crate::domain) fn credential_added<T>(&mut self, credential: &Credential<T>, id: AnyCredentialId) {
        self.reschedule(None, credential.expires_at, id.into());
        self.census.credentials += 1;
        if let Actor::User(issuer) = &credential.issued_by {
            self.issued.entry(issuer.clone()).or_default().insert(id);
        }
    }

    fn credential_ended<T>(&mut self, credential: &Credential<T>, id: AnyCredentialId) {
        self.reschedule(credential.expires_at, None, id.into());
        self.census.credentials = self.census.credentials.saturating_sub(1);
        if let Actor::User(issuer) = &credential.issued_by
            && let Some(issued) = self.issued.get_mut(issuer)
        {
            issued.remove(&id);
        }
    }

    fn end_token(&mut self, at: Revision, id: TokenId) {
        let Some(token) = self.tokens.get_mut(&id).map(|token| end_credential(token, at)) else { return };
        self.credential_ended(&token, AnyCredentialId::Token(id));
        if let Some(holder) = self.registry.principal_mut(&token.terms.holder) {
            holder.live_tokens = holder.live_tokens.saturating_sub(1);
        }
    }

    fn end_proxy_token(&mut self, at: Revision, id: ProxyTokenId) {
        if let Some(token) = self.proxy_tokens.get_mut(&id).map(|token| end_credential(token, at)) {
            self.credential_ended(&token, AnyCredentialId::ProxyToken(id));
        }
    }

    fn end_access_key(&mut self, at: Revision, id: AccessKeyId) {
        if let Some(key) = self.access_keys.get_mut(&id).map(|key| end_credential(key, at)) {
            self.credential_ended(&key, AnyCredentialId::AccessKey(id));
        }
    }

    fn set_scope(&mut self, at: Revision, id: ProxyTokenId, environments: &BTreeSet<EnvironmentId>) {
        if let Some(token) = self.proxy_tokens.get_mut(&id) {
            Arc::make_mut(token).terms.1.set(at, Some(Arc::new(environments.clone())));
        }
    }
}

/// Ends a credential, and returns it.
fn end_credential<T: Clone>(credential: &mut Arc<Credential<T>>, at: Revision) -> Arc<Credential<T>> {
    Arc::make_mut(credential).ended = Some(at);
    Arc::clone(credential)
}

/// The newest value of a fact, where there is one.
pub(in crate::domain) fn newest<T: Clone>(timeline: &Timeline<T>, at: Revision) -> Option<Since<T>> {
    timeline.at(at).cloned()
}
