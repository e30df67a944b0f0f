//! Random histories.
//!
//! There are few names, so they collide, are freed and reused. The clock stands, runs and steps back, so things expire.
//! There are callers of every kind, with credentials that are live or have ended.
//!
//! A history is drawn before it runs, so requests name things by position: `Live(3)` is the third live thing when the
//! request runs. [`Step::resolve`] looks it up.

use std::sync::Arc;

use tenure::domain::model::command::{
    AddMember, ChangeMemberRole, ChangePlan, Command, CreateEnvironment, CreateProxyToken, CreateServiceUser,
    CreateWorkspace, DefineResourceType, DeleteEnvironment, DeleteServiceUser, DeleteWorkspace, DisableRbac,
    EnableRbac, EnvironmentRef, GrantExpiry, GrantSpec, IssueAccessKey, IssueToken, Owner, PlaceResource, PrincipalRef,
    RemoveMember, RemoveResource, RenameEnvironment, ResourceRef, ResourceSpec, RestrictEnvironment, RevokeAccessKey,
    RevokeGrant, RevokeProxyToken, RevokeToken, ServiceUserRef, SetDefaultRole, SetGrant, SetProxyTokenEnvironments,
    UnrestrictEnvironment,
};
use tenure::domain::model::event::{Event, EventData};
use tenure::domain::model::id::{AccessKeyId, EnvironmentId, ProxyTokenId, ServiceUserId, TokenId, WorkspaceId};
use tenure::domain::model::principal::{Actor, Caller, Principal};
use tenure::domain::model::role::{AccessKeyRole, EnvironmentRole, Plan, RequiredRole, WorkspaceKind, WorkspaceRole};
use tenure::domain::model::time::Instant;

use super::facts::{Facts, at_head};
use crate::support::after;

/// Every user who can become a member. The first is the first owner.
pub const USERS: [&str; 5] = ["ada", "bob", "cyd", "dee", "repo:acme/app:ref|1"];
/// Every name of an environment. Two are equal except in case.
pub const ENVIRONMENTS: [&str; 6] = ["main", "dev", "prod", "PROD", "Staging", "staging"];
/// Every name of a service user.
pub const SERVICE_USERS: [&str; 3] = ["ci", "bot", "_env_sync"];
/// Every resource type. The last but one is undefined, and resources of the last cannot be placed.
pub const RESOURCE_TYPES: [&str; 7] = ["gpu", "robot", "app", "queue", "web_function", "ghost", "environment"];
/// Every id of a resource.
pub const RESOURCE_IDS: [&str; 2] = ["one", "two/2"];
/// The possible actions of a type.
const ACTIONS: [&[(&str, RequiredRole)]; 4] = [
    &[("read", RequiredRole::Viewer), ("reserve", RequiredRole::Contributor)],
    &[("read", RequiredRole::Contributor)],
    &[("reserve", RequiredRole::Viewer)],
    &[],
];
/// References that name nothing.
pub const NOTHING: [&str; 6] =
    ["nowhere", "", "env_", "nobody@example.com", "not a name", "svc_00000000000000000000000000"];
/// The workspace's name.
pub const WORKSPACE: &str = "acme";

/// A reference to something.
#[derive(Debug, Clone, Copy)]
pub enum Pick {
    /// A name in use.
    Name(u8),
    /// The id of a live thing.
    Live(u8),
    /// The id of a live or ended thing.
    Ever(u8),
    /// Nothing.
    Bogus(u8),
}

/// The caller of a step.
#[derive(Debug, Clone, Copy)]
pub enum CallerKind {
    Operator,
    ImportedActor(u8),
    /// An owner or manager with a live token.
    Administrator(u8),
    /// Anyone with a live token.
    Anyone(u8),
    /// Anyone who ever had a token, with that token.
    Formerly(u8),
    /// The holder of an access key, live or not.
    Key(u8),
}

/// A grant for an environment: the principal, the role and the end.
pub type GrantDraft = (Pick, EnvironmentRole, EndDraft);

/// The requested end of a grant.
#[derive(Debug, Clone, Copy)]
pub enum EndDraft {
    Unspecified,
    Never,
    /// This many microseconds from now.
    In(i64),
}

/// A command with references to resolve.
#[derive(Debug, Clone)]
pub enum Draft {
    DeleteWorkspace,
    ChangePlan(Plan),
    EnableRbac,
    DisableRbac,
    AddMember(u8, WorkspaceRole),
    ChangeRole(Pick, WorkspaceRole),
    /// The member, and whether to revoke the credentials that the member issued.
    RemoveMember(Pick, bool),
    RemoveOneself(bool),
    CreateServiceUser(u8),
    DeleteServiceUser(Pick),
    IssueToken {
        user: Option<Pick>,
        service_user: Option<Pick>,
        expiry: Option<i64>,
    },
    IssueOwnToken(Option<i64>),
    RevokeToken(Pick),
    CreateEnvironment {
        name: u8,
        restricted: bool,
        role: Option<EnvironmentRole>,
        grants: Vec<GrantDraft>,
    },
    Rename(Pick, u8),
    Restrict(Pick, Option<EnvironmentRole>, Vec<GrantDraft>),
    SetDefaultRole(Pick, EnvironmentRole),
    Unrestrict(Pick),
    DeleteEnvironment(Pick),
    SetGrant(Pick, GrantDraft),
    RevokeGrant(Pick, Pick),
    CreateProxyToken(Option<Vec<Pick>>, Option<i64>),
    SetScope(Pick, Vec<Pick>),
    RevokeProxyToken(Pick),
    IssueKey(AccessKeyRole, Option<i64>),
    RevokeKey(Pick),
    /// The type and its actions.
    DefineType(u8, u8),
    /// The type, the id and the environment.
    Place(u8, u8, Pick),
    RemoveResource(u8, u8),
}

/// One request: the movement of the clock before it, the caller and the commands.
#[derive(Debug, Clone)]
pub struct Step {
    pub clock: i64,
    pub caller: CallerKind,
    pub drafts: Vec<Draft>,
}

/// The whole life of a workspace.
#[derive(Debug, Clone)]
pub struct History {
    pub kind: WorkspaceKind,
    pub plan: Plan,
    pub steps: Vec<Step>,
}

impl History {
    /// Returns the first command, by the operator.
    pub fn start(&self) -> Command {
        let owner = Owner { user: USERS[0].parse().unwrap(), name: None, email: None };
        let (kind, plan) = (self.kind, self.plan);
        CreateWorkspace { name: WORKSPACE.parse().unwrap(), kind, plan, owner }.into()
    }
}

/// Everything that can be named: live, and ever.
#[derive(Debug)]
pub struct Known {
    pub facts: Facts,
    pub environments: Vec<EnvironmentId>,
    pub service_users: Vec<ServiceUserId>,
    pub tokens: Vec<(TokenId, Principal)>,
    pub proxy_tokens: Vec<ProxyTokenId>,
    pub access_keys: Vec<(AccessKeyId, AccessKeyRole)>,
}

impl Known {
    /// Returns everything that a log names at an instant.
    pub fn of(id: WorkspaceId, events: &[Arc<Event>], now: Instant) -> Self {
        let mut known = Self {
            facts: at_head(id, events, now),
            environments: Vec::new(),
            service_users: Vec::new(),
            tokens: Vec::new(),
            proxy_tokens: Vec::new(),
            access_keys: Vec::new(),
        };
        for event in events {
            match &event.data {
                EventData::EnvironmentCreated(id, _) => known.environments.push(*id),
                EventData::ServiceUserCreated(id, _) => known.service_users.push(*id),
                EventData::TokenIssued(id, terms) => known.tokens.push((*id, terms.holder.clone())),
                EventData::ProxyTokenCreated(id, _) => known.proxy_tokens.push(*id),
                EventData::AccessKeyIssued(id, terms) => known.access_keys.push((*id, terms.role)),
                _ => {}
            }
        }
        known
    }

    fn environment(&self, pick: Pick) -> EnvironmentRef {
        let live: Vec<_> = self.facts.environments.iter().map(|environment| environment.id).collect();
        choose(pick, &ENVIRONMENTS, &live, &self.environments).into()
    }

    fn environments(&self, picks: &[Pick]) -> Vec<EnvironmentRef> {
        picks.iter().map(|pick| self.environment(*pick)).collect()
    }

    fn user(&self, pick: Pick) -> String {
        let live: Vec<_> = self.facts.members.iter().map(|(user, _)| user.clone()).collect();
        choose(pick, &USERS, &live, &live)
    }

    fn service_user(&self, pick: Pick) -> ServiceUserRef {
        let live: Vec<_> = self.facts.service_users.iter().map(|(id, _)| *id).collect();
        choose(pick, &SERVICE_USERS, &live, &self.service_users).into()
    }

    fn principal(&self, pick: Pick) -> PrincipalRef {
        let ever: Vec<_> = self.service_users.iter().map(|id| Principal::ServiceUser(*id)).collect();
        let last = format!("user:{}", USERS[4]);
        let names = ["user:bob", "user:cyd", "user:dee", &last, "service_user:ci", "service_user:bot", "team:ci"];
        choose(pick, &names, &self.facts.principals(), &ever).into()
    }

    fn token(&self, pick: Pick) -> String {
        let live: Vec<_> = self.facts.tokens.iter().map(|token| token.id).collect();
        let ever: Vec<_> = self.tokens.iter().map(|(id, _)| *id).collect();
        choose(pick, &[], &live, &ever)
    }

    fn proxy_token(&self, pick: Pick) -> String {
        let live: Vec<_> = self.facts.proxy_tokens.iter().map(|token| token.id).collect();
        choose(pick, &[], &live, &self.proxy_tokens)
    }

    fn access_key(&self, pick: Pick) -> String {
        let live: Vec<_> = self.facts.access_keys.iter().map(|key| key.id).collect();
        let ever: Vec<_> = self.access_keys.iter().map(|(id, _)| *id).collect();
        choose(pick, &[], &live, &ever)
    }

    fn caller(&self, caller: CallerKind) -> Caller {
        let live = self.facts.tokens.iter().map(|token| (token.id, token.holder.clone()));
        let (index, tokens): (_, Vec<_>) = match caller {
            CallerKind::Operator => return Caller::Operator,
            CallerKind::ImportedActor(n) => {
                return Caller::ImportedActor(Actor::User(nth(&USERS, n).unwrap().parse().unwrap()));
            }
            CallerKind::Key(n) => {
                let (key, role) = nth(&self.access_keys, n).copied().unwrap_or((nothing(), AccessKeyRole::Auditor));
                return Caller::AccessKey { key, role };
            }
            CallerKind::Administrator(n) => (n, live.filter(|(_, holder)| self.facts.administers(holder)).collect()),
            CallerKind::Anyone(n) => (n, live.collect()),
            CallerKind::Formerly(n) => (n, self.tokens.clone()),
        };
        nth(&tokens, index).map_or(Caller::Operator, |(token, principal)| Caller::Principal {
            principal: principal.clone(),
            token: *token,
        })
    }
}

fn nothing() -> AccessKeyId {
    AccessKeyId::from_uuid(uuid::Uuid::nil())
}

fn nth<T>(all: &[T], n: u8) -> Option<&T> {
    all.get(usize::from(n) % all.len().max(1))
}

fn choose<T: ToString>(pick: Pick, names: &[&str], live: &[T], ever: &[T]) -> String {
    let found = match pick {
        Pick::Name(n) if !names.is_empty() => nth(names, n).map(ToString::to_string),
        Pick::Name(n) | Pick::Live(n) => nth(live, n).map(ToString::to_string),
        Pick::Ever(n) => nth(ever, n).map(ToString::to_string),
        Pick::Bogus(n) => nth(&NOTHING, n).map(ToString::to_string),
    };
    found.unwrap_or_else(|| NOTHING[0].to_owned())
}

impl Step {
    /// Resolves the caller and the commands of the step.
    pub fn resolve(&self, known: &Known, now: Instant) -> (Caller, Vec<Command>) {
        let caller = known.caller(self.caller);
        let commands = self.drafts.iter().map(|draft| command(draft, known, &caller, now)).collect();
        (caller, commands)
    }
}

fn command(draft: &Draft, known: &Known, caller: &Caller, now: Instant) -> Command {
    let own = || match caller {
        Caller::Principal { principal: Principal::User(user), .. } => user.to_string(),
        _ => USERS[1].to_owned(),
    };
    match draft {
        Draft::DeleteWorkspace => DeleteWorkspace {}.into(),
        Draft::ChangePlan(plan) => ChangePlan { plan: *plan }.into(),
        Draft::EnableRbac => EnableRbac {}.into(),
        Draft::DisableRbac => DisableRbac {}.into(),
        Draft::AddMember(n, role) => {
            let user = nth(&USERS, *n).unwrap().parse().unwrap();
            AddMember { user, role: *role, name: None, email: None }.into()
        }
        Draft::ChangeRole(user, role) => ChangeMemberRole { user: known.user(*user).into(), role: *role }.into(),
        Draft::RemoveMember(user, all) => RemoveMember { user: known.user(*user).into(), revoke_issued: *all }.into(),
        Draft::RemoveOneself(all) => RemoveMember { user: own().into(), revoke_issued: *all }.into(),
        Draft::CreateServiceUser(n) => {
            CreateServiceUser { name: nth(&SERVICE_USERS, *n).unwrap().parse().unwrap() }.into()
        }
        Draft::DeleteServiceUser(pick) => DeleteServiceUser { service_user: known.service_user(*pick) }.into(),
        Draft::IssueOwnToken(expiry) => {
            IssueToken { user: Some(own().into()), service_user: None, expires_at: from(now, *expiry) }.into()
        }
        Draft::IssueToken { user, service_user, expiry } => IssueToken {
            user: user.map(|pick| known.user(pick).into()),
            service_user: service_user.map(|pick| known.service_user(pick)),
            expires_at: from(now, *expiry),
        }
        .into(),
        Draft::RevokeToken(pick) => RevokeToken { token: known.token(*pick).into() }.into(),
        Draft::CreateProxyToken(scope, expiry) => CreateProxyToken {
            environments: scope.as_deref().map(|picks| known.environments(picks)),
            expires_at: from(now, *expiry),
        }
        .into(),
        Draft::SetScope(token, scope) => SetProxyTokenEnvironments {
            proxy_token: known.proxy_token(*token).into(),
            environments: known.environments(scope),
        }
        .into(),
        Draft::RevokeProxyToken(pick) => RevokeProxyToken { proxy_token: known.proxy_token(*pick).into() }.into(),
        Draft::IssueKey(role, expiry) => {
            IssueAccessKey { role: *role, label: "for a test".parse().unwrap(), expires_at: from(now, *expiry) }.into()
        }
        Draft::RevokeKey(pick) => RevokeAccessKey { access_key: known.access_key(*pick).into() }.into(),
        Draft::DefineType(..) | Draft::Place(..) | Draft::RemoveResource(..) => resource_command(draft, known),
        _ => environment_command(draft, known, now),
    }
}

fn resource_command(draft: &Draft, known: &Known) -> Command {
    let resource_type = |n: &u8| *nth(&RESOURCE_TYPES, *n).unwrap();
    let id = |n: &u8| *nth(&RESOURCE_IDS, *n).unwrap();
    match draft {
        Draft::DefineType(name, actions) => {
            let action = |(name, role): &(&str, RequiredRole)| (name.parse().unwrap(), *role);
            let actions = nth(&ACTIONS, *actions).unwrap().iter().map(action).collect();
            DefineResourceType { name: resource_type(name).parse().unwrap(), actions }.into()
        }
        Draft::Place(name, which, place) => {
            let resource = ResourceSpec { resource_type: resource_type(name).into(), id: id(which).parse().unwrap() };
            PlaceResource { resource, environment: known.environment(*place) }.into()
        }
        Draft::RemoveResource(name, which) => {
            let (resource_type, id) = (resource_type(name).to_owned(), id(which).to_owned());
            RemoveResource { resource: ResourceRef { resource_type, id } }.into()
        }
        other => unreachable!("{other:?} is not about a resource"),
    }
}

fn environment_command(draft: &Draft, known: &Known, now: Instant) -> Command {
    let name = |n: &u8| nth(&ENVIRONMENTS, *n).unwrap().parse().unwrap();
    let grant = |(principal, role, expiry): &GrantDraft| GrantSpec {
        principal: known.principal(*principal),
        role: *role,
        expires_at: match expiry {
            EndDraft::Unspecified => GrantExpiry::Unspecified,
            EndDraft::Never => GrantExpiry::Never,
            EndDraft::In(micros) => GrantExpiry::At(after(now, *micros)),
        },
    };
    let all = |drafts: &[GrantDraft]| drafts.iter().map(grant).collect();
    match draft {
        Draft::CreateEnvironment { name: n, restricted, role, grants } => {
            CreateEnvironment { name: name(n), restricted: *restricted, default_role: *role, grants: all(grants) }
                .into()
        }
        Draft::Rename(pick, n) => RenameEnvironment { environment: known.environment(*pick), name: name(n) }.into(),
        Draft::Restrict(pick, role, grants) => {
            let environment = known.environment(*pick);
            RestrictEnvironment { environment, default_role: *role, grants: all(grants) }.into()
        }
        Draft::SetDefaultRole(pick, role) => {
            SetDefaultRole { environment: known.environment(*pick), default_role: *role }.into()
        }
        Draft::Unrestrict(pick) => UnrestrictEnvironment { environment: known.environment(*pick) }.into(),
        Draft::DeleteEnvironment(pick) => DeleteEnvironment { environment: known.environment(*pick) }.into(),
        Draft::SetGrant(pick, given) => {
            let GrantSpec { principal, role, expires_at } = grant(given);
            SetGrant { environment: known.environment(*pick), principal, role, expires_at }.into()
        }
        Draft::RevokeGrant(pick, principal) => {
            RevokeGrant { environment: known.environment(*pick), principal: known.principal(*principal) }.into()
        }
        other => unreachable!("{other:?} is not about an environment"),
    }
}

fn from(now: Instant, expiry: Option<i64>) -> Option<Instant> {
    expiry.map(|micros| after(now, micros))
}

mod strategies;
pub use strategies::{Mix, histories};
