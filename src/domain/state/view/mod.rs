//! `View`: the facts of a workspace as they stood at a revision and an instant.
//!
//! A view owns a root of the facts for as long as it likes and holds no lock. The one called "now" is made like any other, so
//! there is no second way to read the past. In a workspace that does not exist, nothing does.

mod names;
mod past;
mod resources;

use std::collections::BTreeSet;
use std::sync::Arc;

pub use resources::{PlacementView, ResourceTypeView};

use crate::domain::model::event::{AccessKeyTerms, Event, TokenTerms, WorkspaceDescription};
use crate::domain::model::id::{AccessKeyId, EnvironmentId, ProxyTokenId, ServiceUserId, TokenId, UserId};
use crate::domain::model::name::{EnvironmentName, Reason, ServiceUserName};
use crate::domain::model::principal::{Actor, Principal};
use crate::domain::state::registry::{EnvironmentFacts, PrincipalFacts};
use crate::domain::model::rejection::Rejection;
use crate::domain::model::role::{EnvironmentRole, Plan, WorkspaceRole};
use crate::domain::model::time::{Instant, Revision};
use crate::domain::state::timeline::Since;
use crate::domain::state::workspace::{AnyCredentialId, Credential, Grant, Mode, Workspace, newest};

pub(in crate::domain) use names::Present;
pub use past::TokenLife;

/// When a question is about: what `?at=` and `?revision=` say.
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
    /// How it stands to those without a grant; never [`Mode::Ended`].
    pub mode: Since<Mode>,
    /// The event that made it.
    pub created: Revision,
    facts: &'a EnvironmentFacts,
}

impl EnvironmentView<'_> {
    /// The default role, if it is restricted.
    pub const fn default_role(&self) -> Option<EnvironmentRole> {
        match self.mode.value {
            Mode::Restricted(role) => Some(role),
            Mode::Unrestricted | Mode::Ended => None,
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

/// A live credential: its particulars, and the event that made it.
#[derive(Debug, Clone, Copy)]
pub struct CredentialView<'a, I, T> {
    /// Its id.
    pub id: I,
    /// What it is.
    pub terms: &'a T,
    /// The event that made it.
    pub issued: Revision,
    /// When it was made.
    pub issued_at: Instant,
    /// Who made it.
    pub issued_by: &'a Actor,
    /// From when on it is worth nothing.
    pub expires_at: Option<Instant>,
}

/// A live proxy token's scope: none for a workspace-wide one.
pub type ScopeView<'a> = Since<Option<&'a BTreeSet<EnvironmentId>>>;

impl View {
    /// The workspace as it stands at `at`, `clock` being now.
    ///
    /// # Errors
    /// `invalid` for an instant or revision later than now, or a revision later than the instant beside it; and for one
    /// before the revision that the facts were restored at.
    pub fn new(workspace: Arc<Workspace>, at: At, clock: Instant) -> Result<Self, Rejection> {
        let now = workspace.judged_at(clock);
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

    /// The workspace as it stands at the head, at the later of `clock` and the head's time; at `clock` where the head is ahead of it.
    pub fn now(workspace: Arc<Workspace>, clock: Instant) -> Self {
        let (revision, instant) = (workspace.head(), workspace.judged_at(clock));
        Self { workspace, revision, instant }
    }

    /// The workspace as it stands at the head, at the head's own time.
    pub fn at_head(workspace: Arc<Workspace>) -> Self {
        let (revision, instant) = (workspace.head(), workspace.head_time());
        Self { workspace, revision, instant }
    }

    /// The workspace as whoever judged at a revision saw it at an instant, on facts that reach at least as far.
    pub(crate) const fn seen_at(workspace: Arc<Workspace>, revision: Revision, instant: Instant) -> Self {
        Self { workspace, revision, instant }
    }

    /// The facts that are looked at.
    pub const fn workspace(&self) -> &Arc<Workspace> {
        &self.workspace
    }

    /// The revision looked at.
    pub const fn revision(&self) -> Revision {
        self.revision
    }

    /// The instant looked at.
    pub const fn instant(&self) -> Instant {
        self.instant
    }

    /// Returns whether the newest event is ahead of the instant by more than clocks differ by: it was written under a clock that was wrong.
    pub fn is_behind_head(&self) -> bool {
        self.revision == self.workspace.head() && self.workspace.is_ahead_of(self.instant)
    }

    /// The event of a revision, if the view reaches it.
    pub fn event(&self, revision: Revision) -> Option<Arc<Event>> {
        (revision <= self.revision).then(|| self.workspace.event(revision)).flatten()
    }

    /// Gives the reason of an event: its own or, where it has none, that of its command's first event, which need not be repeated.
    pub fn reason_of(&self, event: &Event) -> Option<Reason> {
        event.reason.clone().or_else(|| self.reason_elsewhere(event).map(|(_, reason)| reason))
    }

    /// Gives the reason that the first event of an event's command has, and the revision of that, where it is another one.
    pub fn reason_elsewhere(&self, event: &Event) -> Option<(Revision, Reason)> {
        let first = self.workspace.start_of_command(event.revision);
        let reason = (first != event.revision).then(|| self.event(first)).flatten()?.reason.clone()?;
        Some((first, reason))
    }

    /// Whether the workspace is there, and the event that made or ended it.
    pub fn existence(&self) -> Since<bool> {
        newest(&self.workspace.alive, self.revision).unwrap_or(Since { since: Revision::ZERO, value: false })
    }

    /// Whether the workspace is there.
    pub fn exists(&self) -> bool {
        self.existence().value
    }

    /// What the workspace began with: its name and kind.
    pub fn description(&self) -> Option<&WorkspaceDescription> {
        self.workspace.description.as_deref().filter(|_| self.exists())
    }

    /// The plan.
    pub fn plan(&self) -> Since<Plan> {
        newest(&self.workspace.plan, self.revision).unwrap_or(Since { since: Revision::ZERO, value: Plan::Starter })
    }

    /// Whether RBAC is on.
    pub fn rbac(&self) -> Since<bool> {
        newest(&self.workspace.rbac, self.revision).unwrap_or(Since { since: Revision::ZERO, value: false })
    }

    /// A member's role.
    pub fn member(&self, user: &UserId) -> Option<Since<WorkspaceRole>> {
        self.member_named(user.as_str()).map(|(_, role)| role)
    }

    /// The member of a text that may be a user id.
    fn member_named(&self, user: &str) -> Option<(&PrincipalFacts, Since<WorkspaceRole>)> {
        let facts = self.workspace.registry.user(user)?;
        Some((facts, self.role(facts)?))
    }

    /// The role of a member.
    pub(in crate::domain) fn role(&self, facts: &PrincipalFacts) -> Option<Since<WorkspaceRole>> {
        let entry = facts.roles()?.at(self.revision)?;
        Some(entry.with(entry.value.filter(|_| self.exists())?))
    }

    /// What was last said of a user's membership, even that it ended.
    pub fn member_trace(&self, user: &UserId) -> Option<Since<Option<WorkspaceRole>>> {
        newest(self.workspace.registry.user(user.as_str())?.roles()?, self.revision)
    }

    /// Every member, in the order of their ids.
    pub fn members(&self) -> impl Iterator<Item = (&UserId, Since<WorkspaceRole>)> {
        self.workspace.registry.users().filter_map(|(user, facts)| Some((user, self.role(facts)?)))
    }

    /// A service user.
    pub fn service_user(&self, id: ServiceUserId) -> Option<ServiceUserView<'_>> {
        self.service_user_view(id, self.workspace.registry.principal(&Principal::ServiceUser(id))?)
    }

    fn service_user_view<'a>(&self, id: ServiceUserId, facts: &'a PrincipalFacts) -> Option<ServiceUserView<'a>> {
        let (alive, name) = facts.service_user().filter(|_| self.exists())?;
        let alive = alive.at(self.revision)?;
        alive.value.then_some(ServiceUserView { id, name, created: alive.since })
    }

    /// Whether a service user was last said to be there, and by which event.
    pub fn service_user_trace(&self, id: ServiceUserId) -> Option<Since<bool>> {
        let facts = self.workspace.registry.principal(&Principal::ServiceUser(id))?;
        newest(facts.service_user()?.0, self.revision)
    }

    /// Every service user, in the order of their ids.
    pub fn service_users(&self) -> impl Iterator<Item = ServiceUserView<'_>> {
        self.workspace.registry.service_users().filter_map(|(id, facts)| self.service_user_view(id, facts))
    }

    /// Whether the principal exists, and the event that it rests on.
    pub fn principal(&self, principal: &Principal) -> Option<Revision> {
        self.presence(principal).map(|found| found.since)
    }

    /// The principal, if it exists, with what makes it one.
    pub(in crate::domain) fn presence(&self, principal: &Principal) -> Option<Present<'_>> {
        self.present_of(self.workspace.registry.principal(principal)?)
    }

    pub(in crate::domain) fn present_of<'a>(&self, facts: &'a PrincipalFacts) -> Option<Present<'a>> {
        match &facts.principal {
            Principal::User(_) => {
                let role = self.role(facts)?;
                Some(Present { facts, since: role.since, role: Some(role) })
            }
            Principal::ServiceUser(id) => {
                let since = self.service_user_view(*id, facts)?.created;
                Some(Present { facts, since, role: None })
            }
        }
    }

    /// Every principal: members, then service users.
    pub fn principals(&self) -> impl Iterator<Item = Principal> {
        let users = self.members().map(|(user, _)| Principal::User(user.clone()));
        users.chain(self.service_users().map(|service_user| Principal::ServiceUser(service_user.id)))
    }

    /// An environment.
    pub fn environment(&self, id: EnvironmentId) -> Option<EnvironmentView<'_>> {
        self.environment_view(self.workspace.registry.environment(id)?)
    }

    fn environment_view<'a>(&self, facts: &'a EnvironmentFacts) -> Option<EnvironmentView<'a>> {
        let mode = newest(&facts.mode, self.revision).filter(|mode| self.exists() && mode.value != Mode::Ended)?;
        let name = &facts.name.at(self.revision)?.value;
        Some(EnvironmentView { id: facts.id, name, mode, created: facts.created, facts })
    }

    /// What was last said of an environment, even that it ended.
    pub fn environment_trace(&self, id: EnvironmentId) -> Option<Since<Mode>> {
        newest(&self.workspace.registry.environment(id)?.mode, self.revision)
    }

    /// The name that an environment had when it was last there.
    pub fn environment_name(&self, id: EnvironmentId) -> Option<&EnvironmentName> {
        Some(&self.workspace.registry.environment(id)?.name.at(self.revision)?.value)
    }

    /// The name of a service user, also of one that is gone.
    pub fn service_user_name(&self, id: ServiceUserId) -> Option<&ServiceUserName> {
        let (alive, name) = self.workspace.registry.principal(&Principal::ServiceUser(id))?.service_user()?;
        alive.at(self.revision).map(|_| name)
    }

    /// Every environment, in the order of their ids.
    pub fn environments(&self) -> impl Iterator<Item = EnvironmentView<'_>> {
        self.workspace.registry.environments().filter_map(|(_, facts)| self.environment_view(facts))
    }

    /// A principal's grant in an environment, if it still gives something.
    pub fn grant(&self, environment: &EnvironmentView<'_>, principal: &Principal) -> Option<Since<Grant>> {
        self.live_grant(&self.grant_trace(environment, principal)?)
    }

    /// What was last said of a principal's grant in an environment, even that it ended; it may have expired.
    pub fn grant_trace(
        &self,
        environment: &EnvironmentView<'_>,
        principal: &Principal,
    ) -> Option<Since<Option<Grant>>> {
        self.grant_trace_of(environment, self.workspace.registry.principal(principal)?)
    }

    /// As [`Self::grant_trace`].
    pub(in crate::domain) fn grant_trace_of(
        &self,
        environment: &EnvironmentView<'_>,
        principal: &PrincipalFacts,
    ) -> Option<Since<Option<Grant>>> {
        newest(principal.grants.get(environment.facts.number)?, self.revision)
    }

    /// The newest grant that a principal ever had in an environment, as far as the view reaches, even if it ended.
    pub fn last_grant(&self, environment: EnvironmentId, principal: &Principal) -> Option<Since<Grant>> {
        let grants = self.workspace.registry.grants(environment, principal)?;
        let mut known = grants.iter().rev().filter(|entry| entry.since <= self.revision);
        known.find_map(|entry| entry.value.map(|grant| entry.with(grant)))
    }

    /// The grant that was last said to be there, if it still gives something.
    pub fn live_grant(&self, entry: &Since<Option<Grant>>) -> Option<Since<Grant>> {
        entry.value.filter(|grant| grant.is_live(self.instant)).map(|grant| entry.with(grant))
    }

    /// Every grant in an environment, in the order of their principals.
    pub fn grants<'a>(
        &'a self,
        environment: &EnvironmentView<'a>,
    ) -> impl Iterator<Item = (&'a Principal, Since<Grant>)> + use<'a> {
        let facts = environment.facts;
        let holders = self.workspace.registry.granted(facts).into_iter();
        holders.filter_map(|holder| {
            let grant = self.live_grant(holder.grants.get(facts.number)?.at(self.revision)?)?;
            Some((&holder.principal, grant))
        })
    }

    /// How many grants there are in an environment at the head.
    pub(in crate::domain) fn grants_len(environment: &EnvironmentView<'_>) -> usize {
        environment.facts.live_grants
    }

    /// Every environment in which the principal has a grant, in the order of their ids.
    pub fn granted(&self, principal: &Principal) -> Vec<EnvironmentId> {
        let registry = &self.workspace.registry;
        let Some(facts) = registry.principal(principal) else { return Vec::new() };
        let environments = facts.grants.numbers().into_iter().filter_map(|number| registry.environment_of(number));
        let mut granted: Vec<_> = environments
            .filter_map(|environment| self.environment_view(environment))
            .filter(|environment| {
                self.grant_trace_of(environment, facts).is_some_and(|grant| self.live_grant(&grant).is_some())
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

    /// An API token.
    pub fn token(&self, id: TokenId) -> Option<CredentialView<'_, TokenId, TokenTerms>> {
        self.live(id, self.workspace.tokens.get(&id)?, |terms| terms)
    }

    /// The holder of an API token, also of one that has ended.
    pub fn token_holder(&self, id: TokenId) -> Option<&Principal> {
        self.workspace.tokens.get(&id).filter(|token| token.issued <= self.revision).map(|token| &token.terms.holder)
    }

    /// Every API token, in the order of their ids.
    pub fn tokens(&self) -> impl Iterator<Item = CredentialView<'_, TokenId, TokenTerms>> {
        self.workspace.tokens.keys().filter_map(|id| self.token(*id))
    }

    /// Every API token of a principal, in the order of their ids.
    pub fn tokens_of(&self, holder: &Principal) -> impl Iterator<Item = CredentialView<'_, TokenId, TokenTerms>> {
        self.workspace.tokens_of.get(holder).into_iter().flatten().filter_map(|id| self.token(*id))
    }

    /// Returns how many live API tokens a principal holds at the head.
    pub(in crate::domain) fn live_tokens_len(&self, holder: &Principal) -> usize {
        self.workspace.registry.principal(holder).map_or(0, |facts| facts.live_tokens)
    }

    /// Returns every live credential at the head that a user issued: API tokens, proxy tokens, access keys, each in the order of
    /// their ids.
    pub(in crate::domain) fn issued(&self, issuer: &UserId) -> impl Iterator<Item = AnyCredentialId> {
        let issued = self.workspace.issued.get(issuer).into_iter().flatten().copied();
        issued.filter(|credential| match credential {
            AnyCredentialId::Token(id) => self.token(*id).is_some(),
            AnyCredentialId::ProxyToken(id) => self.proxy_token(*id).is_some(),
            AnyCredentialId::AccessKey(id) => self.access_key(*id).is_some(),
        })
    }

    /// A proxy token and its scope.
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

    /// When a proxy token was made and when it ended, as far as the view reaches.
    pub fn proxy_token_trace(&self, id: ProxyTokenId) -> Vec<Revision> {
        let Some(token) = self.workspace.proxy_tokens.get(&id) else { return Vec::new() };
        [Some(token.issued), token.ended].into_iter().flatten().filter(|at| *at <= self.revision).collect()
    }

    /// Every proxy token, in the order of their ids.
    pub fn proxy_tokens(&self) -> impl Iterator<Item = ProxyTokenView<'_>> {
        self.workspace.proxy_tokens.keys().filter_map(|id| self.proxy_token(*id))
    }

    /// An access key.
    pub fn access_key(&self, id: AccessKeyId) -> Option<CredentialView<'_, AccessKeyId, AccessKeyTerms>> {
        self.live(id, self.workspace.access_keys.get(&id)?, |terms| terms)
    }

    /// Every access key, in the order of their ids.
    pub fn access_keys(&self) -> impl Iterator<Item = CredentialView<'_, AccessKeyId, AccessKeyTerms>> {
        self.workspace.access_keys.keys().filter_map(|id| self.access_key(*id))
    }
}

/// Returns whether a revision may be looked at under an instant before its own time: the time is ahead of now, and the instant is not
/// before any revision that is not.
fn is_ahead_at(workspace: &Workspace, time: Instant, instant: Instant, now: Instant) -> bool {
    time > now && workspace.time_of(workspace.revision_at(now)).is_none_or(|last| last <= instant)
}

/// Restored facts say nothing of the time before them, so a view of it would answer wrongly.
fn check_available(workspace: &Workspace, at: At, revision: Revision) -> Result<(), Rejection> {
    let asked = match at {
        At::Instant(instant) if instant < workspace.base_time => instant.to_string(),
        _ if revision < workspace.history.base() => format!("revision {revision}"),
        _ => return Ok(()),
    };
    let (base, time) = (workspace.history.base(), workspace.base_time);
    let why = format!("`{asked}` is before revision {base} of {time}, and no facts from before that are loaded");
    Err(Rejection::Invalid { field: "at", why })
}

/// A live proxy token.
#[derive(Debug, Clone, Copy)]
pub struct ProxyTokenView<'a> {
    /// Its id.
    pub id: ProxyTokenId,
    /// Where it is valid, and the event that said so.
    pub scope: ScopeView<'a>,
    /// The event that made it.
    pub issued: Revision,
    /// When it was made.
    pub issued_at: Instant,
    /// Who made it.
    pub issued_by: &'a Actor,
    /// From when on it is worth nothing.
    pub expires_at: Option<Instant>,
}
