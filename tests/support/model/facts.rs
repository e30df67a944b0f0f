//! The facts of a workspace, computed from the first event on for each question.

use std::collections::BTreeSet;
use std::sync::Arc;

use tenure::domain::model::event::{Event, EventData};
use tenure::domain::model::id::{
    AccessKeyId, EnvironmentId, ProxyTokenId, ServiceUserId, TokenId, UserId, WorkspaceId,
};
use tenure::domain::model::principal::{Actor, Principal};
use tenure::domain::model::resource::{Actions, ResourceKey};
use tenure::domain::model::role::{EnvironmentRole, Plan, WorkspaceKind, WorkspaceRole};
use tenure::domain::model::time::Instant;

/// A live environment.
#[derive(Debug, Clone)]
pub struct Environment {
    pub id: EnvironmentId,
    pub name: String,
    /// The default role, if it is restricted.
    pub default_role: Option<EnvironmentRole>,
}

/// A live grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    pub environment: EnvironmentId,
    pub principal: Principal,
    pub role: EnvironmentRole,
    pub expires_at: Option<Instant>,
}

/// A live API token.
#[derive(Debug, Clone)]
pub struct Token {
    pub id: TokenId,
    pub issued_by: Actor,
    pub holder: Principal,
    pub expires_at: Option<Instant>,
}

/// A live proxy token.
#[derive(Debug, Clone)]
pub struct ProxyToken {
    pub id: ProxyTokenId,
    pub issued_by: Actor,
    /// `None` for a workspace-wide one.
    pub scope: Option<BTreeSet<EnvironmentId>>,
    pub expires_at: Option<Instant>,
}

/// A live access key.
#[derive(Debug, Clone)]
pub struct AccessKey {
    pub id: AccessKeyId,
    pub issued_by: Actor,
    pub expires_at: Option<Instant>,
}

/// A live workspace, as it was made.
#[derive(Debug, Clone)]
pub struct Identity {
    pub name: String,
    pub kind: WorkspaceKind,
}

/// Everything that exists at a revision and an instant.
#[derive(Debug, Clone)]
pub struct Facts {
    pub id: WorkspaceId,
    pub instant: Instant,
    /// The workspace, if it exists.
    pub workspace: Option<Identity>,
    /// Whether it ever existed.
    pub begun: bool,
    pub plan: Plan,
    pub rbac: bool,
    pub members: Vec<(UserId, WorkspaceRole)>,
    pub service_users: Vec<(ServiceUserId, String)>,
    pub environments: Vec<Environment>,
    pub grants: Vec<Grant>,
    pub tokens: Vec<Token>,
    pub proxy_tokens: Vec<ProxyToken>,
    pub access_keys: Vec<AccessKey>,
    /// The workspace's own resource types.
    pub resource_types: Vec<(String, Actions)>,
    /// The environment of each placed resource.
    pub placements: Vec<(ResourceKey, EnvironmentId)>,
    /// Every API token ever issued, including those that have ended.
    pub tokens_ever: Vec<(TokenId, Principal)>,
}

/// Returns the facts at the head, where commands are decided: every event, and an instant that is not before the last.
pub fn at_head(id: WorkspaceId, events: &[Arc<Event>], instant: Instant) -> Facts {
    let mut facts = Facts::recorded(id, events);
    facts.pass(instant);
    facts
}

/// Returns the facts at a revision and an instant. A revision inside a command means the last of the command.
pub fn at(id: WorkspaceId, events: &[Arc<Event>], revision: u64, instant: Instant) -> Facts {
    let mut reached: Vec<_> = events.iter().filter(|event| event.revision.0 <= revision).cloned().collect();
    if let Some(command) = reached.last().map(|event| event.command) {
        reached.extend(events.iter().filter(|e| e.revision.0 > revision && e.command == command).cloned());
    }
    at_head(id, &reached, instant)
}

/// Returns the time of the command that a revision belongs to. Revision 0 is before everything.
pub fn time_of(events: &[Arc<Event>], revision: u64) -> Instant {
    events.iter().find(|event| event.revision.0 == revision).map_or(Instant::EARLIEST, |event| event.time)
}

/// Returns the facts at the newest revision of an instant.
pub fn at_instant(id: WorkspaceId, events: &[Arc<Event>], instant: Instant) -> Facts {
    let reached: Vec<_> = events.iter().filter(|event| event.time <= instant).cloned().collect();
    at_head(id, &reached, instant)
}

impl Facts {
    /// Returns the recorded facts, without regard to expiries.
    pub fn recorded(id: WorkspaceId, events: &[Arc<Event>]) -> Self {
        let mut facts = Self::nothing(id);
        for event in events {
            facts.take(&event.data, &event.actor);
        }
        facts
    }

    fn nothing(id: WorkspaceId) -> Self {
        Self {
            id,
            instant: Instant::EARLIEST,
            workspace: None,
            begun: false,
            plan: Plan::Starter,
            rbac: false,
            members: Vec::new(),
            service_users: Vec::new(),
            environments: Vec::new(),
            grants: Vec::new(),
            tokens: Vec::new(),
            proxy_tokens: Vec::new(),
            access_keys: Vec::new(),
            resource_types: Vec::new(),
            placements: Vec::new(),
            tokens_ever: Vec::new(),
        }
    }

    /// Removes everything that has expired, with or without an event.
    pub fn pass(&mut self, instant: Instant) {
        self.instant = instant;
        let live = |expires_at: Option<Instant>| expires_at.is_none_or(|end| instant < end);
        self.grants.retain(|grant| live(grant.expires_at));
        self.tokens.retain(|token| live(token.expires_at));
        self.proxy_tokens.retain(|token| live(token.expires_at));
        self.access_keys.retain(|key| live(key.expires_at));
    }

    /// Applies one event by an actor.
    pub fn take(&mut self, data: &EventData, actor: &Actor) {
        match data {
            EventData::WorkspaceCreated(_, made) => {
                self.workspace = Some(Identity { name: made.name.to_string(), kind: made.kind });
                self.begun = true;
                self.plan = made.plan;
            }
            EventData::WorkspaceDeleted(..) => {
                *self = Self {
                    begun: true,
                    instant: self.instant,
                    tokens_ever: std::mem::take(&mut self.tokens_ever),
                    ..Self::nothing(self.id)
                };
            }
            EventData::PlanChanged(_, change) => self.plan = change.plan,
            EventData::RbacEnabled(..) => self.rbac = true,
            EventData::RbacDisabled(..) => self.rbac = false,
            EventData::MemberAdded(user, member) => self.members.push((user.clone(), member.role)),
            EventData::MemberRoleChanged(user, member) => {
                self.members.iter_mut().filter(|(id, _)| id == user).for_each(|(_, role)| *role = member.role);
            }
            EventData::MemberRemoved(user, _) => self.members.retain(|(id, _)| id != user),
            EventData::ServiceUserCreated(id, made) => self.service_users.push((*id, made.name.to_string())),
            EventData::ServiceUserDeleted(id, _) => self.service_users.retain(|(other, _)| other != id),
            _ => self.take_environment(data, actor),
        }
    }

    fn take_environment(&mut self, data: &EventData, actor: &Actor) {
        match data {
            EventData::EnvironmentCreated(id, made) => {
                self.environments.push(Environment { id: *id, name: made.name.to_string(), default_role: None });
            }
            EventData::EnvironmentRenamed(id, made) => self.change(*id, |found| found.name = made.name.to_string()),
            EventData::EnvironmentRestricted(id, given) | EventData::EnvironmentDefaultRoleChanged(id, given) => {
                self.change(*id, |found| found.default_role = Some(given.default_role));
            }
            EventData::EnvironmentUnrestricted(id, _) => self.change(*id, |found| found.default_role = None),
            EventData::EnvironmentDeleted(id, _) => self.environments.retain(|found| found.id != *id),
            EventData::GrantAdded(id, terms) | EventData::GrantChanged(id, terms) => {
                self.grants.retain(|grant| grant.environment != *id || grant.principal != terms.principal);
                self.grants.push(Grant {
                    environment: *id,
                    principal: terms.principal.clone(),
                    role: terms.role,
                    expires_at: terms.expires_at,
                });
            }
            EventData::GrantRevoked(id, end) | EventData::GrantExpired(id, end) => {
                self.grants.retain(|grant| grant.environment != *id || grant.principal != end.principal);
            }
            _ => self.take_credential(data, actor),
        }
    }

    fn take_credential(&mut self, data: &EventData, actor: &Actor) {
        let issued_by = actor.clone();
        match data {
            EventData::TokenIssued(id, terms) => {
                let (holder, expires_at) = (terms.holder.clone(), terms.expires_at);
                self.tokens.push(Token { id: *id, issued_by, holder, expires_at });
                self.tokens_ever.push((*id, terms.holder.clone()));
            }
            EventData::TokenRevoked(id, _) | EventData::TokenExpired(id, _) => {
                self.tokens.retain(|token| token.id != *id);
            }
            EventData::ProxyTokenCreated(id, terms) => {
                let (scope, expires_at) = (terms.environments.clone(), terms.expires_at);
                self.proxy_tokens.push(ProxyToken { id: *id, issued_by, scope, expires_at });
            }
            EventData::ProxyTokenScoped(id, scope) => {
                let scope = &scope.environments;
                self.proxy_tokens.iter_mut().filter(|t| t.id == *id).for_each(|t| t.scope = Some(scope.clone()));
            }
            EventData::ProxyTokenRevoked(id, _) | EventData::ProxyTokenExpired(id, _) => {
                self.proxy_tokens.retain(|token| token.id != *id);
            }
            EventData::AccessKeyIssued(id, terms) => {
                self.access_keys.push(AccessKey { id: *id, issued_by, expires_at: terms.expires_at });
            }
            EventData::AccessKeyRevoked(id, _) | EventData::AccessKeyExpired(id, _) => {
                self.access_keys.retain(|key| key.id != *id);
            }
            _ => self.take_resource(data),
        }
    }

    fn take_resource(&mut self, data: &EventData) {
        match data {
            EventData::ResourceTypeDefined(name, terms) => {
                self.resource_types.retain(|(known, _)| known != name.as_str());
                self.resource_types.push((name.to_string(), terms.actions.clone()));
            }
            EventData::ResourcePlaced(key, place) => self.placements.push((key.clone(), place.environment)),
            EventData::ResourceMoved(key, moved) => {
                self.placements.retain(|(known, _)| known != key);
                self.placements.push((key.clone(), moved.environment));
            }
            EventData::ResourceRemoved(key, _) => self.placements.retain(|(known, _)| known != key),
            other => panic!("the model does not know {}", other.type_name()),
        }
    }

    fn change(&mut self, id: EnvironmentId, change: impl FnOnce(&mut Environment)) {
        change(self.environments.iter_mut().find(|found| found.id == id).expect("an event about a live environment"));
    }
}

/// Lookups of the entities that a command or question names.
impl Facts {
    /// Returns a member's role.
    pub fn role(&self, user: &str) -> Option<WorkspaceRole> {
        self.members.iter().find(|(id, _)| id.as_str() == user).map(|(_, role)| *role)
    }

    /// Returns the service user of a name or id.
    pub fn service_user(&self, reference: &str) -> Option<ServiceUserId> {
        let id = reference.parse().ok();
        let names = |(other, name): &&(ServiceUserId, String)| name == reference || Some(*other) == id;
        self.service_users.iter().find(names).map(|(id, _)| *id)
    }

    /// Returns the principal of `user:ID` or `service_user:NAME-OR-ID`.
    pub fn principal(&self, reference: &str) -> Option<Principal> {
        if let Some(user) = reference.strip_prefix("user:") {
            return self.role(user).map(|_| Principal::User(user.parse().expect("a member's id")));
        }
        self.service_user(reference.strip_prefix("service_user:")?).map(Principal::ServiceUser)
    }

    /// Returns every principal.
    pub fn principals(&self) -> Vec<Principal> {
        let users = self.members.iter().map(|(user, _)| Principal::User(user.clone()));
        users.chain(self.service_users.iter().map(|(id, _)| Principal::ServiceUser(*id))).collect()
    }

    /// Returns the environment of a name, in any case, or id.
    pub fn environment(&self, reference: &str) -> Option<&Environment> {
        let id = reference.parse().ok();
        self.environments.iter().find(|found| found.name.eq_ignore_ascii_case(reference) || Some(found.id) == id)
    }

    /// Returns a principal's grant in an environment.
    pub fn grant(&self, environment: EnvironmentId, principal: &Principal) -> Option<&Grant> {
        self.grants.iter().find(|grant| grant.environment == environment && grant.principal == *principal)
    }

    /// Returns the actions of a resource type that the workspace defined.
    pub fn resource_type(&self, name: &str) -> Option<&Actions> {
        self.resource_types.iter().find(|(known, _)| known == name).map(|(_, actions)| actions)
    }

    /// Returns the environment of a placed resource.
    pub fn placement(&self, resource_type: &str, id: &str) -> Option<EnvironmentId> {
        let named = |(key, _): &&(ResourceKey, _)| key.resource_type.as_str() == resource_type && key.id.as_str() == id;
        self.placements.iter().find(named).map(|(_, environment)| *environment)
    }

    /// Returns whether the principal is a contributor everywhere by workspace role.
    pub fn administers(&self, principal: &Principal) -> bool {
        match principal {
            Principal::User(user) => {
                matches!(self.role(user.as_str()), Some(WorkspaceRole::Owner | WorkspaceRole::Manager))
            }
            Principal::ServiceUser(_) => false,
        }
    }
}
