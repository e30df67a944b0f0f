//! The principals and environments that a workspace knows or ever knew. Each has a dense id and facts.
//!
//! All facts that a decision needs of a principal are stored together, including the grants. A name leads to a dense
//! id, this to the facts, and the dense id of an environment to the grant. The maps that are ordered by id serve lists.

use std::fmt;

use imbl::OrdMap;
use smol_str::SmolStr;

use crate::domain::collections::dense_id_map::{DenseId, DenseIdMap};
use crate::domain::collections::hash_index::HashIndex;
use crate::domain::model::id::{EnvironmentId, ServiceUserId, UserId};
use crate::domain::model::name::{EnvironmentName, ServiceUserName};
use crate::domain::model::principal::Principal;
use crate::domain::model::role::WorkspaceRole;
use crate::domain::model::time::Revision;
use crate::domain::state::timeline::Timeline;
use crate::domain::state::workspace::{Grant, RestrictionState};

/// The current and earlier grants of a principal in an environment.
pub(in crate::domain) type Grants = Timeline<Option<Grant>>;

/// The existence of a principal over time.
#[derive(Debug, Clone)]
pub(in crate::domain) enum PrincipalLifecycle {
    /// The roles of a user as a member.
    User(Timeline<Option<WorkspaceRole>>),
    /// Whether a service user exists, and its name once it was created.
    ServiceUser(Timeline<bool>, Option<ServiceUserName>),
}

#[derive(Debug, Clone)]
pub(in crate::domain) struct PrincipalFacts {
    pub(in crate::domain) dense_id: DenseId,
    pub(in crate::domain) principal: Principal,
    pub(in crate::domain) lifecycle: PrincipalLifecycle,
    /// The grants, by the dense ids of the environments.
    pub(in crate::domain) grants: DenseIdMap<Grants>,
    /// The number of live API tokens of the principal at the head.
    pub(in crate::domain) live_tokens: usize,
}

impl PrincipalFacts {
    fn new(dense_id: DenseId, principal: &Principal) -> Self {
        let lifecycle = match principal {
            Principal::User(_) => PrincipalLifecycle::User(Timeline::default()),
            Principal::ServiceUser(_) => PrincipalLifecycle::ServiceUser(Timeline::default(), None),
        };
        Self { dense_id, principal: principal.clone(), lifecycle, grants: DenseIdMap::default(), live_tokens: 0 }
    }

    /// Returns the roles of a user, or `None` for a service user.
    pub(in crate::domain) fn roles(&self) -> Option<&Timeline<Option<WorkspaceRole>>> {
        match &self.lifecycle {
            PrincipalLifecycle::User(roles) => Some(roles),
            PrincipalLifecycle::ServiceUser(..) => None,
        }
    }

    /// Returns the existence and the name of a service user, or `None` for a user.
    pub(in crate::domain) fn service_user(&self) -> Option<(&Timeline<bool>, &ServiceUserName)> {
        match &self.lifecycle {
            PrincipalLifecycle::ServiceUser(alive, Some(name)) => Some((alive, name)),
            PrincipalLifecycle::ServiceUser(_, None) | PrincipalLifecycle::User(_) => None,
        }
    }

    fn is_user(&self, id: &str) -> bool {
        matches!(&self.principal, Principal::User(user) if user.as_str() == id)
    }
}

#[derive(Debug, Clone)]
pub(in crate::domain) struct EnvironmentFacts {
    pub(in crate::domain) dense_id: DenseId,
    pub(in crate::domain) id: EnvironmentId,
    /// The event that made it.
    pub(in crate::domain) created: Revision,
    pub(in crate::domain) restriction: Timeline<RestrictionState>,
    pub(in crate::domain) name: Timeline<EnvironmentName>,
    /// The dense ids of the principals that ever had a grant.
    pub(in crate::domain) granted: DenseIdMap<()>,
    pub(in crate::domain) live_grants: usize,
}

impl EnvironmentFacts {
    /// Counts a change of a principal's grant.
    fn count(&mut self, holder: DenseId, before: Option<Grant>, grant: Option<Grant>) {
        if self.granted.get(holder).is_none() {
            self.granted.insert(holder, ());
        }
        let held = |grant: Option<Grant>| usize::from(grant.is_some());
        self.live_grants = (self.live_grants + held(grant)).saturating_sub(held(before));
    }
}

/// An index from names to their owners over time.
#[derive(Debug, Clone, Default)]
pub(in crate::domain) struct NameIndex {
    index: HashIndex,
    owners: DenseIdMap<NameOwners>,
    next: DenseId,
}

#[derive(Debug, Clone)]
struct NameOwners {
    name: SmolStr,
    ids: Timeline<Option<DenseId>>,
}

impl NameIndex {
    fn dense_id(&self, name: &[u8]) -> Option<DenseId> {
        let has_name = |dense_id| self.owners.get(dense_id).is_some_and(|owners| owners.name.as_bytes() == name);
        self.index.find(name, has_name)
    }

    /// Returns the owners of a name over time.
    pub(in crate::domain) fn owners(&self, name: &[u8]) -> Option<&Timeline<Option<DenseId>>> {
        self.owners.get(self.dense_id(name)?).map(|owners| &owners.ids)
    }

    /// Sets the owner of a name from a revision on.
    pub(in crate::domain) fn set(&mut self, at: Revision, name: &str, owner: Option<DenseId>) {
        let dense_id = self.dense_id(name.as_bytes()).unwrap_or_else(|| {
            let dense_id = self.next;
            self.next = dense_id.next();
            self.index.insert(name.as_bytes(), dense_id);
            self.owners.insert(dense_id, NameOwners { name: name.into(), ids: Timeline::default() });
            dense_id
        });
        if let Some(owners) = self.owners.get_mut(dense_id) {
            owners.ids.set(at, owner);
        }
    }

    /// Returns every name, in order, with its owners.
    pub(in crate::domain) fn all(&self) -> Vec<(&str, &Timeline<Option<DenseId>>)> {
        let all = self.owners.values().into_iter();
        let mut all: Vec<_> = all.map(|owners| (owners.name.as_str(), &owners.ids)).collect();
        all.sort_unstable_by_key(|(name, _)| *name);
        all
    }
}

/// The principals and environments of a workspace.
#[derive(Clone, Default)]
pub(in crate::domain) struct Registry {
    users: HashIndex,
    service_users: HashIndex,
    principals: DenseIdMap<PrincipalFacts>,
    pub(in crate::domain) environment_names: NameIndex,
    environments_by_id: HashIndex,
    environments: DenseIdMap<EnvironmentFacts>,
    pub(in crate::domain) service_user_names: NameIndex,
    next_principal: DenseId,
    next_environment: DenseId,
    user_ids: OrdMap<UserId, DenseId>,
    service_user_ids: OrdMap<ServiceUserId, DenseId>,
    environment_ids: OrdMap<EnvironmentId, DenseId>,
}

/// Prints in the order of ids, because dense ids depend on the order of the events.
impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let principals = self.users().map(|(_, facts)| facts).chain(self.service_users().map(|(_, facts)| facts));
        f.debug_list().entries(principals).finish()?;
        f.debug_list().entries(self.environments().map(|(_, facts)| facts)).finish()
    }
}

/// An entity that the workspace never knew has no facts.
impl Registry {
    fn user_dense_id(&self, id: &str) -> Option<DenseId> {
        let is_match = |dense_id| self.principals.get(dense_id).is_some_and(|facts| facts.is_user(id));
        self.users.find(id.as_bytes(), is_match)
    }

    fn principal_dense_id(&self, principal: &Principal) -> Option<DenseId> {
        match principal {
            Principal::User(user) => self.user_dense_id(user.as_str()),
            Principal::ServiceUser(id) => {
                let is_match =
                    |dense_id| self.principals.get(dense_id).is_some_and(|facts| facts.principal == *principal);
                self.service_users.find(id.uuid().as_bytes(), is_match)
            }
        }
    }

    /// Returns the dense id of a known environment.
    fn environment_dense_id_of(&self, environment: EnvironmentId) -> Option<DenseId> {
        let is_match = |dense_id| self.environments.get(dense_id).is_some_and(|facts| facts.id == environment);
        self.environments_by_id.find(environment.uuid().as_bytes(), is_match)
    }

    /// Returns the facts of the user with an id.
    pub(in crate::domain) fn user(&self, id: &str) -> Option<&PrincipalFacts> {
        self.principals.get(self.user_dense_id(id)?)
    }

    /// Returns the facts of a principal.
    pub(in crate::domain) fn principal(&self, principal: &Principal) -> Option<&PrincipalFacts> {
        self.principals.get(self.principal_dense_id(principal)?)
    }

    /// Returns the facts of a principal by its dense id.
    pub(in crate::domain) fn principal_of(&self, dense_id: DenseId) -> Option<&PrincipalFacts> {
        self.principals.get(dense_id)
    }

    /// Returns the facts of a principal, to be changed. An unknown principal is added.
    pub(in crate::domain) fn principal_mut(&mut self, principal: &Principal) -> Option<&mut PrincipalFacts> {
        let dense_id = self.principal_dense_id(principal).unwrap_or_else(|| self.add_principal(principal));
        self.principals.get_mut(dense_id)
    }

    fn add_principal(&mut self, principal: &Principal) -> DenseId {
        let dense_id = self.next_principal;
        self.next_principal = dense_id.next();
        self.principals.insert(dense_id, PrincipalFacts::new(dense_id, principal));
        match principal {
            Principal::User(user) => {
                self.users.insert(user.as_str().as_bytes(), dense_id);
                self.user_ids.insert(user.clone(), dense_id);
            }
            Principal::ServiceUser(id) => {
                self.service_users.insert(id.uuid().as_bytes(), dense_id);
                self.service_user_ids.insert(*id, dense_id);
            }
        }
        dense_id
    }

    /// Returns a principal that shares the text of its id with the facts.
    pub(in crate::domain) fn known(&self, principal: &Principal) -> Principal {
        self.principal(principal).map_or(principal, |facts| &facts.principal).clone()
    }

    /// Returns a user id that shares its text with the facts.
    pub(in crate::domain) fn known_user(&self, user: &UserId) -> UserId {
        match self.user(user.as_str()).map(|facts| &facts.principal) {
            Some(Principal::User(known)) => known.clone(),
            _ => user.clone(),
        }
    }

    /// Returns every user, in the order of their ids.
    pub(in crate::domain) fn users(&self) -> impl Iterator<Item = (&UserId, &PrincipalFacts)> {
        self.user_ids.iter().filter_map(|(user, dense_id)| Some((user, self.principals.get(*dense_id)?)))
    }

    /// Returns every service user, in the order of their ids.
    pub(in crate::domain) fn service_users(&self) -> impl Iterator<Item = (ServiceUserId, &PrincipalFacts)> {
        self.service_user_ids.iter().filter_map(|(id, dense_id)| Some((*id, self.principals.get(*dense_id)?)))
    }

    /// Returns the facts of an environment.
    pub(in crate::domain) fn environment(&self, id: EnvironmentId) -> Option<&EnvironmentFacts> {
        self.environments.get(self.environment_dense_id_of(id)?)
    }

    /// Returns the facts of an environment by its dense id.
    pub(in crate::domain) fn environment_of(&self, dense_id: DenseId) -> Option<&EnvironmentFacts> {
        self.environments.get(dense_id)
    }

    /// Returns the id of an environment by its dense id.
    pub(in crate::domain) fn environment_id(&self, dense_id: DenseId) -> Option<EnvironmentId> {
        self.environments.get(dense_id).map(|facts| facts.id)
    }

    /// Returns the facts of an environment, to be changed.
    pub(in crate::domain) fn environment_mut(&mut self, id: EnvironmentId) -> Option<&mut EnvironmentFacts> {
        self.environments.get_mut(self.environment_dense_id_of(id)?)
    }

    /// Returns the dense id of an environment. An unknown environment is added.
    pub(in crate::domain) fn environment_dense_id(&mut self, id: EnvironmentId) -> DenseId {
        self.environment_dense_id_of(id).unwrap_or_else(|| {
            let dense_id = self.next_environment;
            self.next_environment = dense_id.next();
            self.environments_by_id.insert(id.uuid().as_bytes(), dense_id);
            self.environment_ids.insert(id, dense_id);
            let (restriction, name, granted) = (Timeline::default(), Timeline::default(), DenseIdMap::default());
            self.environments.insert(
                dense_id,
                EnvironmentFacts { dense_id, id, created: Revision::ZERO, restriction, name, granted, live_grants: 0 },
            );
            dense_id
        })
    }

    /// Sets the first name and restriction of an environment.
    pub(in crate::domain) fn begin_environment(
        &mut self,
        id: EnvironmentId,
        name: Timeline<EnvironmentName>,
        restriction: Timeline<RestrictionState>,
    ) {
        let dense_id = self.environment_dense_id(id);
        if let Some(facts) = self.environments.get_mut(dense_id) {
            facts.created = restriction.first().map_or(Revision::ZERO, |first| first.since);
            (facts.name, facts.restriction) = (name, restriction);
        }
    }

    /// Returns every environment, in the order of their ids.
    pub(in crate::domain) fn environments(&self) -> impl Iterator<Item = (EnvironmentId, &EnvironmentFacts)> {
        self.environment_ids.iter().filter_map(|(id, dense_id)| Some((*id, self.environments.get(*dense_id)?)))
    }

    /// Returns a principal's grants in an environment.
    pub(in crate::domain) fn grants(&self, environment: EnvironmentId, principal: &Principal) -> Option<&Grants> {
        self.principal(principal)?.grants.get(self.environment_dense_id_of(environment)?)
    }

    /// Sets a principal's grant in an environment and returns the earlier one, or `None` if the environment is unknown.
    #[expect(clippy::option_option, reason = "there may have been no grant, and there may be no environment")]
    pub(in crate::domain) fn set_grant(
        &mut self,
        at: Revision,
        environment: EnvironmentId,
        principal: &Principal,
        grant: Option<Grant>,
    ) -> Option<Option<Grant>> {
        let dense_id = self.environment_dense_id_of(environment)?;
        let facts = self.principal_mut(principal)?;
        let holder = facts.dense_id;
        let before = if let Some(grants) = facts.grants.get_mut(dense_id) {
            let before = grants.last().and_then(|entry| entry.value);
            grants.set(at, grant);
            before
        } else {
            facts.grants.insert(dense_id, Timeline::starting(at, grant));
            None
        };
        // Avoids a copy of the environment's facts if its counts stay.
        if before.is_some() != grant.is_some() || self.environments.get(dense_id)?.granted.get(holder).is_none() {
            self.environments.get_mut(dense_id)?.count(holder, before, grant);
        }
        Some(before)
    }

    /// Returns every principal that ever had a grant in an environment, in order.
    pub(in crate::domain) fn granted(&self, environment: &EnvironmentFacts) -> Vec<&PrincipalFacts> {
        let granted = environment.granted.ids().into_iter();
        let mut granted: Vec<_> = granted.filter_map(|dense_id| self.principals.get(dense_id)).collect();
        granted.sort_unstable_by_key(|facts| &facts.principal);
        granted
    }
}
