//! Checks whether an event can follow the events before it in its log.
//!
//! [`Workspace::evolve`] ignores an event about something that is not there. In a log that the rules made there is no such event,
//! so one means that the log is damaged: a damaged restriction that was ignored would give more access than is right. A log is
//! held to these checks wherever it is loaded, replayed or verified. They say what can follow, and never who may do it.

use crate::domain::model::resource_catalogue::is_built_in;
use crate::domain::model::event::{Event, EventData, GrantTerms};
use crate::domain::model::id::{AccessKeyId, EnvironmentId, ProxyTokenId, TokenId, WorkspaceId};
use crate::domain::model::name::EnvironmentName;
use crate::domain::model::principal::Principal;
use crate::domain::state::registry::EnvironmentFacts;
use crate::domain::model::resource::ResourceKey;
use crate::domain::state::workspace::{Credential, Grant, Mode, Workspace};

/// The reason why an event cannot follow the events before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{event_type}` cannot follow what the log says before it: {what}")]
pub struct Incoherent {
    /// The stored name of the event's type.
    pub event_type: &'static str,
    /// The fact that is in its way.
    pub what: String,
}

/// What is in an event's way, before its type is named.
type Checked = Result<(), String>;

/// Checks that an event can be the next one of a log that came to these facts.
///
/// # Errors
/// The event names what the log did not make, or repeats or ends what cannot be.
pub fn check(facts: &Workspace, event: &Event) -> Result<(), Incoherent> {
    let before = Before { facts, event };
    before.check().map_err(|what| Incoherent { event_type: event.data.type_name(), what })
}

fn holds(condition: bool, otherwise: impl FnOnce() -> String) -> Checked {
    if condition { Ok(()) } else { Err(otherwise()) }
}

fn new_id(is_known: bool, id: &dyn std::fmt::Display) -> Checked {
    holds(!is_known, || format!("{id} was made before"))
}

/// The facts right before an event.
struct Before<'a> {
    facts: &'a Workspace,
    event: &'a Event,
}

impl Before<'_> {
    fn check(&self) -> Checked {
        self.exists()?;
        match &self.event.data {
            EventData::WorkspaceCreated(id, _)
            | EventData::WorkspaceDeleted(id, _)
            | EventData::PlanChanged(id, _)
            | EventData::RbacEnabled(id, _)
            | EventData::RbacDisabled(id, _) => self.workspace(*id),
            EventData::MemberAdded(user, _) => self.absent(&Principal::User(user.clone())),
            EventData::MemberRoleChanged(user, _) | EventData::MemberRemoved(user, _) => {
                self.present(&Principal::User(user.clone()))
            }
            EventData::ServiceUserCreated(id, description) => self.new_service_user(*id, description.name.as_str()),
            EventData::ServiceUserDeleted(id, _) => self.present(&Principal::ServiceUser(*id)),
            EventData::TokenIssued(id, terms) => self.new_token(*id, &terms.holder),
            EventData::TokenRevoked(id, end) | EventData::TokenExpired(id, end) => self.live_token(*id, &end.holder),
            EventData::EnvironmentCreated(id, description) => self.new_environment(*id, &description.name),
            EventData::EnvironmentRenamed(id, description) => self.renamed(*id, &description.name),
            EventData::EnvironmentRestricted(id, _) => self.mode(*id, false),
            EventData::EnvironmentDefaultRoleChanged(id, _) | EventData::EnvironmentUnrestricted(id, _) => {
                self.mode(*id, true)
            }
            EventData::EnvironmentDeleted(id, _) => self.environment(*id).map(drop),
            EventData::GrantAdded(id, terms) => self.new_grant(*id, terms),
            EventData::GrantChanged(id, terms) => self.held(*id, &terms.principal).map(drop),
            EventData::GrantRevoked(id, end) => self.held(*id, &end.principal).map(drop),
            EventData::GrantExpired(id, end) => self.expired_grant(*id, &end.principal),
            _ => self.check_others(),
        }
    }

    fn check_others(&self) -> Checked {
        let facts = self.facts;
        match &self.event.data {
            EventData::ProxyTokenCreated(id, terms) => {
                new_id(facts.proxy_tokens.contains_key(id), id)?;
                self.environments(terms.environments.iter().flatten())
            }
            EventData::ProxyTokenScoped(id, scope) => self.scoped(*id, scope.environments.iter()),
            EventData::ProxyTokenRevoked(id, _) | EventData::ProxyTokenExpired(id, _) => {
                live(facts.proxy_tokens.get(id), id).map(drop)
            }
            EventData::AccessKeyIssued(id, _) => new_id(facts.access_keys.contains_key(id), id),
            EventData::AccessKeyRevoked(id, _) | EventData::AccessKeyExpired(id, _) => self.live_access_key(*id),
            EventData::ResourcePlaced(key, place) => self.new_placement(key, place.environment),
            EventData::ResourceMoved(key, moved) => {
                self.placed(key, moved.from)?;
                self.environment(moved.environment).map(drop)
            }
            EventData::ResourceRemoved(key, place) => self.placed(key, place.environment),
            _ => Ok(()),
        }
    }

    /// A log begins with the creation of its workspace, once, and ends with its deletion.
    fn exists(&self) -> Checked {
        let begins = matches!(self.event.data, EventData::WorkspaceCreated(..));
        match self.facts.alive.last().map(|entry| entry.value) {
            None => holds(begins, || "a log begins with `workspace.created.v1`".to_owned()),
            Some(true) => holds(!begins, || "the workspace is there already".to_owned()),
            Some(false) => Err("nothing follows the end of the workspace".to_owned()),
        }
    }

    fn workspace(&self, id: WorkspaceId) -> Checked {
        let rbac = self.facts.rbac.last().is_some_and(|entry| entry.value);
        holds(id == self.facts.id, || format!("it is about workspace {id}"))?;
        match self.event.data {
            EventData::RbacEnabled(..) => holds(!rbac, || "RBAC is on already".to_owned()),
            EventData::RbacDisabled(..) => holds(rbac, || "RBAC is off already".to_owned()),
            _ => Ok(()),
        }
    }

    fn is_present(&self, principal: &Principal) -> bool {
        let Some(facts) = self.facts.registry.principal(principal) else { return false };
        let role = facts.roles().and_then(|roles| roles.last()).is_some_and(|entry| entry.value.is_some());
        let alive = facts.service_user().and_then(|(alive, _)| alive.last()).is_some_and(|entry| entry.value);
        role || alive
    }

    fn present(&self, principal: &Principal) -> Checked {
        holds(self.is_present(principal), || format!("`{principal}` is not in the workspace"))
    }

    fn absent(&self, principal: &Principal) -> Checked {
        holds(!self.is_present(principal), || format!("`{principal}` is in the workspace already"))
    }

    fn new_service_user(&self, id: crate::domain::model::id::ServiceUserId, name: &str) -> Checked {
        let registry = &self.facts.registry;
        let known = registry.principal(&Principal::ServiceUser(id)).and_then(|facts| facts.service_user());
        new_id(known.is_some(), &id)?;
        let bearer = registry.service_user_names.bearers(name.as_bytes()).and_then(|bearers| bearers.last());
        holds(bearer.is_none_or(|entry| entry.value.is_none()), || format!("another service user is called `{name}`"))
    }

    fn new_token(&self, id: TokenId, holder: &Principal) -> Checked {
        new_id(self.facts.tokens.contains_key(&id), &id)?;
        self.present(holder)
    }

    fn live_token(&self, id: TokenId, holder: &Principal) -> Checked {
        let token = live(self.facts.tokens.get(&id), &id)?;
        holds(token.terms.holder == *holder, || format!("{id} is not a token of `{holder}`"))
    }

    fn live_access_key(&self, id: AccessKeyId) -> Checked {
        live(self.facts.access_keys.get(&id), &id).map(drop)
    }

    /// An environment that is there.
    fn environment(&self, id: EnvironmentId) -> Result<(&EnvironmentFacts, Mode), String> {
        let facts = self.facts.registry.environment(id);
        let found = facts.and_then(|facts| Some((facts, facts.mode.last()?.value)));
        let found = found.ok_or_else(|| format!("the log made no environment {id} before it"))?;
        if found.1 == Mode::Ended { Err(format!("environment {id} has ended")) } else { Ok(found) }
    }

    fn environments<'e>(&self, mut ids: impl Iterator<Item = &'e EnvironmentId>) -> Checked {
        ids.try_for_each(|id| self.environment(*id).map(drop))
    }

    fn new_environment(&self, id: EnvironmentId, name: &EnvironmentName) -> Checked {
        let known = self.facts.registry.environment(id).is_some_and(|facts| facts.mode.last().is_some());
        new_id(known, &id)?;
        self.name_is_free(name, None)
    }

    fn renamed(&self, id: EnvironmentId, name: &EnvironmentName) -> Checked {
        self.environment(id)?;
        self.name_is_free(name, Some(id))
    }

    fn name_is_free(&self, name: &EnvironmentName, but_for: Option<EnvironmentId>) -> Checked {
        let registry = &self.facts.registry;
        let bearer = registry.environment_names.bearers(name.key().as_bytes()).and_then(|bearers| bearers.last());
        let bearer = bearer.and_then(|entry| registry.environment_id(entry.value?));
        holds(bearer.is_none() || bearer == but_for, || format!("another environment is called `{name}`"))
    }

    fn mode(&self, id: EnvironmentId, restricted: bool) -> Checked {
        let (_, mode) = self.environment(id)?;
        let state = if restricted { "unrestricted" } else { "restricted" };
        holds(matches!(mode, Mode::Restricted(_)) == restricted, || format!("environment {id} is {state}"))
    }

    fn grant(&self, id: EnvironmentId, principal: &Principal) -> Option<Grant> {
        self.facts.registry.grants(id, principal)?.last()?.value
    }

    fn held(&self, id: EnvironmentId, principal: &Principal) -> Result<Grant, String> {
        self.environment(id)?;
        self.grant(id, principal).ok_or_else(|| format!("`{principal}` has no grant in {id}"))
    }

    fn new_grant(&self, id: EnvironmentId, terms: &GrantTerms) -> Checked {
        self.mode(id, true)?;
        self.present(&terms.principal)?;
        let held = self.grant(id, &terms.principal).is_some_and(|grant| grant.is_live(self.event.time));
        holds(!held, || format!("`{}` has a grant in {id} already", terms.principal))
    }

    fn expired_grant(&self, id: EnvironmentId, principal: &Principal) -> Checked {
        let grant = self.held(id, principal)?;
        holds(!grant.is_live(self.event.time), || format!("the grant of `{principal}` in {id} has not ended yet"))
    }

    fn scoped<'e>(&self, id: ProxyTokenId, environments: impl Iterator<Item = &'e EnvironmentId>) -> Checked {
        let token = live(self.facts.proxy_tokens.get(&id), &id)?;
        let is_scoped = token.terms.1.last().is_some_and(|entry| entry.value.is_some());
        holds(is_scoped, || format!("{id} is not scoped"))?;
        self.environments(environments)
    }

    fn placement(&self, key: &ResourceKey) -> Option<EnvironmentId> {
        self.facts.resources.whereabouts.get(&key.resource_type)?.get(&key.id)?.last()?.value
    }

    fn placed(&self, key: &ResourceKey, environment: EnvironmentId) -> Checked {
        holds(self.placement(key) == Some(environment), || format!("`{key}` is not in {environment}"))
    }

    fn new_placement(&self, key: &ResourceKey, environment: EnvironmentId) -> Checked {
        let named = &key.resource_type;
        let is_type = is_built_in(named.as_str()) || self.facts.resources.types.contains_key(named);
        holds(is_type, || format!("the log defined no resource type `{named}` before it"))?;
        self.environment(environment)?;
        holds(self.placement(key).is_none(), || format!("`{key}` is in an environment already"))
    }
}

/// A credential that was made and has not ended.
fn live<'a, T>(
    credential: Option<&'a std::sync::Arc<Credential<T>>>,
    id: &dyn std::fmt::Display,
) -> Result<&'a Credential<T>, String> {
    let credential = credential.ok_or_else(|| format!("the log made no {id} before it"))?;
    if credential.ended.is_some() { Err(format!("{id} has ended")) } else { Ok(credential) }
}
