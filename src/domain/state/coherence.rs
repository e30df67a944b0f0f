//! Checks whether an event can follow the earlier events of its log.
//!
//! [`Workspace::evolve`] ignores an event about something that does not exist. The rules append no such event, so one
//! means that the log is damaged. Ignoring a damaged restriction would give too much access. So every log is checked
//! when it is loaded, replayed or verified. These checks do not cover authority.

use std::collections::BTreeSet;

use crate::domain::model::event::{Event, EventData, GrantTerms};
use crate::domain::model::fact::Precondition;
use crate::domain::model::id::{EnvironmentId, ProxyTokenId, TokenId, WorkspaceId};
use crate::domain::model::name::EnvironmentName;
use crate::domain::model::principal::Principal;
use crate::domain::model::resource::ResourceKey;
use crate::domain::model::resource_catalogue::is_built_in;
use crate::domain::state::credential_facts::Credential;
use crate::domain::state::registry::EnvironmentFacts;
use crate::domain::state::workspace::{Grant, RestrictionState, Workspace};

/// The reason why an event cannot follow the events before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{event_type}` cannot follow what the log says before it: {what}")]
pub struct Incoherent {
    /// The stored name of the event's type.
    pub event_type: &'static str,
    /// The fact that the event contradicts.
    pub what: String,
}

/// The result of a check, before the type of the event is named.
type Checked = Result<(), String>;

/// Checks that an event can be the next one after these facts.
///
/// # Errors
/// The event contradicts the facts.
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

/// The facts before an event.
struct Before<'a> {
    facts: &'a Workspace,
    event: &'a Event,
}

impl Before<'_> {
    fn check(&self) -> Checked {
        self.exists()?;
        let facts = self.facts;
        match self.event.data.precondition() {
            Precondition::LiveWorkspace => Ok(()),
            Precondition::Workspace(id) => self.workspace(id),
            Precondition::RbacOn(id) => self.rbac(id, true),
            Precondition::RbacOff(id) => self.rbac(id, false),
            Precondition::Member(user) => self.present(&Principal::User(user.clone())),
            Precondition::NotMember(user) => self.absent(&Principal::User(user.clone())),
            Precondition::ServiceUser(id) => self.present(&Principal::ServiceUser(id)),
            Precondition::NewServiceUser(id, name) => self.new_service_user(id, name.as_str()),
            Precondition::NewToken(id, holder) => self.new_token(id, holder),
            Precondition::LiveToken(id, holder) => self.live_token(id, holder),
            Precondition::Environment(id) => self.environment(id).map(drop),
            Precondition::NewEnvironment(id, name) => self.new_environment(id, name),
            Precondition::FreeName(id, name) => self.renamed(id, name),
            Precondition::Restricted(id) => self.restriction(id, true),
            Precondition::Unrestricted(id) => self.restriction(id, false),
            Precondition::NewGrant(id, terms) => self.new_grant(id, terms),
            Precondition::Grant(id, principal) => self.held(id, principal).map(drop),
            Precondition::ExpiredGrant(id, principal) => self.expired_grant(id, principal),
            Precondition::NewProxyToken(id, scope) => self.new_proxy_token(id, scope),
            Precondition::ScopedProxyToken(id, scope) => self.scoped(id, scope.iter()),
            Precondition::LiveProxyToken(id) => live(facts.proxy_tokens.get(&id), &id).map(drop),
            Precondition::NewAccessKey(id) => new_id(facts.access_keys.contains_key(&id), &id),
            Precondition::LiveAccessKey(id) => live(facts.access_keys.get(&id), &id).map(drop),
            Precondition::NotPlaced(key, environment) => self.new_placement(key, environment),
            Precondition::Placed(key, environment) => self.placed(key, environment),
            Precondition::Movable(key, from, to) => {
                self.placed(key, from)?;
                self.environment(to).map(drop)
            }
        }
    }

    /// Checks that a log begins with the creation of its workspace and ends with its deletion.
    fn exists(&self) -> Checked {
        let begins = matches!(self.event.data, EventData::WorkspaceCreated(..));
        match self.facts.alive.last().map(|entry| entry.value) {
            None => holds(begins, || "a log begins with `workspace.created.v1`".to_owned()),
            Some(true) => holds(!begins, || "the workspace is there already".to_owned()),
            Some(false) => Err("nothing follows the end of the workspace".to_owned()),
        }
    }

    fn workspace(&self, id: WorkspaceId) -> Checked {
        holds(id == self.facts.id, || format!("it is about workspace {id}"))
    }

    fn rbac(&self, id: WorkspaceId, expected: bool) -> Checked {
        self.workspace(id)?;
        let is_on = self.facts.rbac.last().is_some_and(|entry| entry.value);
        holds(is_on == expected, || format!("RBAC is {} already", if is_on { "on" } else { "off" }))
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
        let owner = registry.service_user_names.owners(name.as_bytes()).and_then(|owners| owners.last());
        holds(owner.is_none_or(|entry| entry.value.is_none()), || format!("another service user is called `{name}`"))
    }

    fn new_token(&self, id: TokenId, holder: &Principal) -> Checked {
        new_id(self.facts.tokens.contains_key(&id), &id)?;
        self.present(holder)
    }

    fn live_token(&self, id: TokenId, holder: &Principal) -> Checked {
        let token = live(self.facts.tokens.get(&id), &id)?;
        holds(token.terms.holder == *holder, || format!("{id} is not a token of `{holder}`"))
    }

    fn new_proxy_token(&self, id: ProxyTokenId, scope: Option<&BTreeSet<EnvironmentId>>) -> Checked {
        new_id(self.facts.proxy_tokens.contains_key(&id), &id)?;
        self.environments(scope.into_iter().flatten())
    }

    /// Returns the facts of an existing environment.
    fn environment(&self, id: EnvironmentId) -> Result<(&EnvironmentFacts, RestrictionState), String> {
        let facts = self.facts.registry.environment(id);
        let found = facts.and_then(|facts| Some((facts, facts.restriction.last()?.value)));
        let found = found.ok_or_else(|| format!("the log made no environment {id} before it"))?;
        if found.1 == RestrictionState::Ended { Err(format!("environment {id} has ended")) } else { Ok(found) }
    }

    fn environments<'e>(&self, mut ids: impl Iterator<Item = &'e EnvironmentId>) -> Checked {
        ids.try_for_each(|id| self.environment(*id).map(drop))
    }

    fn new_environment(&self, id: EnvironmentId, name: &EnvironmentName) -> Checked {
        let known = self.facts.registry.environment(id).is_some_and(|facts| facts.restriction.last().is_some());
        new_id(known, &id)?;
        self.name_is_free(name, None)
    }

    fn renamed(&self, id: EnvironmentId, name: &EnvironmentName) -> Checked {
        self.environment(id)?;
        self.name_is_free(name, Some(id))
    }

    fn name_is_free(&self, name: &EnvironmentName, but_for: Option<EnvironmentId>) -> Checked {
        let registry = &self.facts.registry;
        let owner = registry.environment_names.owners(name.key().as_bytes()).and_then(|owners| owners.last());
        let owner = owner.and_then(|entry| registry.environment_id(entry.value?));
        holds(owner.is_none() || owner == but_for, || format!("another environment is called `{name}`"))
    }

    fn restriction(&self, id: EnvironmentId, restricted: bool) -> Checked {
        let (_, restriction) = self.environment(id)?;
        let state = if restricted { "unrestricted" } else { "restricted" };
        holds(matches!(restriction, RestrictionState::Restricted(_)) == restricted, || {
            format!("environment {id} is {state}")
        })
    }

    fn grant(&self, id: EnvironmentId, principal: &Principal) -> Option<Grant> {
        self.facts.registry.grants(id, principal)?.last()?.value
    }

    fn held(&self, id: EnvironmentId, principal: &Principal) -> Result<Grant, String> {
        self.environment(id)?;
        self.grant(id, principal).ok_or_else(|| format!("`{principal}` has no grant in {id}"))
    }

    fn new_grant(&self, id: EnvironmentId, terms: &GrantTerms) -> Checked {
        self.restriction(id, true)?;
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
        self.facts.resources.placements.get(&key.resource_type)?.get(&key.id)?.last()?.value
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

/// Returns a credential that exists and has not ended.
fn live<'a, T>(
    credential: Option<&'a std::sync::Arc<Credential<T>>>,
    id: &dyn std::fmt::Display,
) -> Result<&'a Credential<T>, String> {
    let credential = credential.ok_or_else(|| format!("the log made no {id} before it"))?;
    if credential.ended.is_some() { Err(format!("{id} has ended")) } else { Ok(credential) }
}
