//! The principals and environments that a workspace has ever heard of, each with its facts and under a number.
//!
//! What one decision asks of a principal stands together, its grants among it: a name leads to a number, a number to the facts, and
//! an environment's number from there to the grant. The maps in the order of ids are for lists.

use std::fmt;

use imbl::OrdMap;
use smol_str::SmolStr;

use crate::domain::model::id::{EnvironmentId, ServiceUserId, UserId};
use crate::domain::collections::hash_index::Index;
use crate::domain::model::name::{EnvironmentName, ServiceUserName};
use crate::domain::collections::dense_id_map::{Number, Numbered};
use crate::domain::model::principal::Principal;
use crate::domain::model::role::WorkspaceRole;
use crate::domain::model::time::Revision;
use crate::domain::state::timeline::Timeline;
use crate::domain::state::workspace::{Grant, Mode};

/// A principal's grant in an environment, and those before it.
pub(in crate::domain) type Grants = Timeline<Option<Grant>>;

/// What makes a principal one.
#[derive(Debug, Clone)]
pub(in crate::domain) enum Presence {
    /// A user's membership, with the role.
    User(Timeline<Option<WorkspaceRole>>),
    /// Whether a service user is there, and what it is called, if it ever was.
    ServiceUser(Timeline<bool>, Option<ServiceUserName>),
}

#[derive(Debug, Clone)]
pub(in crate::domain) struct PrincipalFacts {
    pub(in crate::domain) number: Number,
    pub(in crate::domain) principal: Principal,
    pub(in crate::domain) presence: Presence,
    /// By the numbers of the environments.
    pub(in crate::domain) grants: Numbered<Grants>,
    /// How many API tokens the principal holds at the head that no event has ended.
    pub(in crate::domain) live_tokens: usize,
}

impl PrincipalFacts {
    fn new(number: Number, principal: &Principal) -> Self {
        let presence = match principal {
            Principal::User(_) => Presence::User(Timeline::default()),
            Principal::ServiceUser(_) => Presence::ServiceUser(Timeline::default(), None),
        };
        Self { number, principal: principal.clone(), presence, grants: Numbered::default(), live_tokens: 0 }
    }

    /// The roles of a user, where it is one.
    pub(in crate::domain) fn roles(&self) -> Option<&Timeline<Option<WorkspaceRole>>> {
        match &self.presence {
            Presence::User(roles) => Some(roles),
            Presence::ServiceUser(..) => None,
        }
    }

    /// When a service user was there, and its name.
    pub(in crate::domain) fn service_user(&self) -> Option<(&Timeline<bool>, &ServiceUserName)> {
        match &self.presence {
            Presence::ServiceUser(alive, Some(name)) => Some((alive, name)),
            Presence::ServiceUser(_, None) | Presence::User(_) => None,
        }
    }

    fn is_user(&self, id: &str) -> bool {
        matches!(&self.principal, Principal::User(user) if user.as_str() == id)
    }
}

#[derive(Debug, Clone)]
pub(in crate::domain) struct EnvironmentFacts {
    pub(in crate::domain) number: Number,
    pub(in crate::domain) id: EnvironmentId,
    /// The event that made it.
    pub(in crate::domain) created: Revision,
    pub(in crate::domain) mode: Timeline<Mode>,
    pub(in crate::domain) name: Timeline<EnvironmentName>,
    /// The numbers of the principals that ever had a grant.
    pub(in crate::domain) granted: Numbered<()>,
    pub(in crate::domain) live_grants: usize,
}

impl EnvironmentFacts {
    /// Takes note of a principal's grant.
    fn count(&mut self, holder: Number, before: Option<Grant>, grant: Option<Grant>) {
        if self.granted.get(holder).is_none() {
            self.granted.insert(holder, ());
        }
        let held = |grant: Option<Grant>| usize::from(grant.is_some());
        self.live_grants = (self.live_grants + held(grant)).saturating_sub(held(before));
    }
}

/// Who bore which name when. Several may have, one after the other.
#[derive(Debug, Clone, Default)]
pub(in crate::domain) struct Names {
    index: Index,
    bearers: Numbered<Bearers>,
    next: Number,
}

#[derive(Debug, Clone)]
struct Bearers {
    name: SmolStr,
    numbers: Timeline<Option<Number>>,
}

impl Names {
    fn number(&self, name: &[u8]) -> Option<Number> {
        let bears = |number| self.bearers.get(number).is_some_and(|bearers| bearers.name.as_bytes() == name);
        self.index.find(name, bears)
    }

    /// Who bore a name; a text that is none was borne by nobody.
    pub(in crate::domain) fn bearers(&self, name: &[u8]) -> Option<&Timeline<Option<Number>>> {
        self.bearers.get(self.number(name)?).map(|bearers| &bearers.numbers)
    }

    /// Says who bears a name from a revision on.
    pub(in crate::domain) fn set(&mut self, at: Revision, name: &str, bearer: Option<Number>) {
        let number = self.number(name.as_bytes()).unwrap_or_else(|| {
            let number = self.next;
            self.next = number.next();
            self.index.insert(name.as_bytes(), number);
            self.bearers.insert(number, Bearers { name: name.into(), numbers: Timeline::default() });
            number
        });
        if let Some(bearers) = self.bearers.get_mut(number) {
            bearers.numbers.set(at, bearer);
        }
    }

    /// Every name, in order, and who bore it.
    pub(in crate::domain) fn all(&self) -> Vec<(&str, &Timeline<Option<Number>>)> {
        let all = self.bearers.values().into_iter();
        let mut all: Vec<_> = all.map(|bearers| (bearers.name.as_str(), &bearers.numbers)).collect();
        all.sort_unstable_by_key(|(name, _)| *name);
        all
    }
}

/// The principals and environments of a workspace.
#[derive(Clone, Default)]
pub(in crate::domain) struct Registry {
    users: Index,
    service_users: Index,
    principals: Numbered<PrincipalFacts>,
    pub(in crate::domain) environment_names: Names,
    environments_by_id: Index,
    environments: Numbered<EnvironmentFacts>,
    pub(in crate::domain) service_user_names: Names,
    next_principal: Number,
    next_environment: Number,
    user_ids: OrdMap<UserId, Number>,
    service_user_ids: OrdMap<ServiceUserId, Number>,
    environment_ids: OrdMap<EnvironmentId, Number>,
}

/// In the order of ids: which number each has depends on how the facts came to be.
impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let principals = self.users().map(|(_, facts)| facts).chain(self.service_users().map(|(_, facts)| facts));
        f.debug_list().entries(principals).finish()?;
        f.debug_list().entries(self.environments().map(|(_, facts)| facts)).finish()
    }
}

/// What was never heard of has no facts.
impl Registry {
    fn user_number(&self, id: &str) -> Option<Number> {
        let is_it = |number| self.principals.get(number).is_some_and(|facts| facts.is_user(id));
        self.users.find(id.as_bytes(), is_it)
    }

    fn number(&self, principal: &Principal) -> Option<Number> {
        match principal {
            Principal::User(user) => self.user_number(user.as_str()),
            Principal::ServiceUser(id) => {
                let is_it = |number| self.principals.get(number).is_some_and(|facts| facts.principal == *principal);
                self.service_users.find(id.uuid().as_bytes(), is_it)
            }
        }
    }

    /// The number of an environment that something was heard of.
    fn number_of(&self, environment: EnvironmentId) -> Option<Number> {
        let is_it = |number| self.environments.get(number).is_some_and(|facts| facts.id == environment);
        self.environments_by_id.find(environment.uuid().as_bytes(), is_it)
    }

    /// The facts of the user of an id.
    pub(in crate::domain) fn user(&self, id: &str) -> Option<&PrincipalFacts> {
        self.principals.get(self.user_number(id)?)
    }

    /// The facts of a principal.
    pub(in crate::domain) fn principal(&self, principal: &Principal) -> Option<&PrincipalFacts> {
        self.principals.get(self.number(principal)?)
    }

    /// The facts of a principal's number.
    pub(in crate::domain) fn principal_of(&self, number: Number) -> Option<&PrincipalFacts> {
        self.principals.get(number)
    }

    /// The facts of a principal, to be changed, also of one that nothing was heard of before.
    pub(in crate::domain) fn principal_mut(&mut self, principal: &Principal) -> Option<&mut PrincipalFacts> {
        let number = self.number(principal).unwrap_or_else(|| self.add_principal(principal));
        self.principals.get_mut(number)
    }

    fn add_principal(&mut self, principal: &Principal) -> Number {
        let number = self.next_principal;
        self.next_principal = number.next();
        self.principals.insert(number, PrincipalFacts::new(number, principal));
        match principal {
            Principal::User(user) => {
                self.users.insert(user.as_str().as_bytes(), number);
                self.user_ids.insert(user.clone(), number);
            }
            Principal::ServiceUser(id) => {
                self.service_users.insert(id.uuid().as_bytes(), number);
                self.service_user_ids.insert(*id, number);
            }
        }
        number
    }

    /// The principal, by the text of its id that the facts hold already, so that they hold it once.
    pub(in crate::domain) fn known(&self, principal: &Principal) -> Principal {
        self.principal(principal).map_or(principal, |facts| &facts.principal).clone()
    }

    /// As [`Self::known`].
    pub(in crate::domain) fn known_user(&self, user: &UserId) -> UserId {
        match self.user(user.as_str()).map(|facts| &facts.principal) {
            Some(Principal::User(known)) => known.clone(),
            _ => user.clone(),
        }
    }

    /// Every user, in the order of their ids.
    pub(in crate::domain) fn users(&self) -> impl Iterator<Item = (&UserId, &PrincipalFacts)> {
        self.user_ids.iter().filter_map(|(user, number)| Some((user, self.principals.get(*number)?)))
    }

    /// Every service user, in the order of their ids.
    pub(in crate::domain) fn service_users(&self) -> impl Iterator<Item = (ServiceUserId, &PrincipalFacts)> {
        self.service_user_ids.iter().filter_map(|(id, number)| Some((*id, self.principals.get(*number)?)))
    }

    /// The facts of an environment.
    pub(in crate::domain) fn environment(&self, id: EnvironmentId) -> Option<&EnvironmentFacts> {
        self.environments.get(self.number_of(id)?)
    }

    /// The facts of an environment's number.
    pub(in crate::domain) fn environment_of(&self, number: Number) -> Option<&EnvironmentFacts> {
        self.environments.get(number)
    }

    /// The id of an environment's number.
    pub(in crate::domain) fn environment_id(&self, number: Number) -> Option<EnvironmentId> {
        self.environments.get(number).map(|facts| facts.id)
    }

    /// The facts of an environment, to be changed.
    pub(in crate::domain) fn environment_mut(&mut self, id: EnvironmentId) -> Option<&mut EnvironmentFacts> {
        self.environments.get_mut(self.number_of(id)?)
    }

    /// The number of an environment, also of one that nothing was heard of before.
    pub(in crate::domain) fn environment_number(&mut self, id: EnvironmentId) -> Number {
        self.number_of(id).unwrap_or_else(|| {
            let number = self.next_environment;
            self.next_environment = number.next();
            self.environments_by_id.insert(id.uuid().as_bytes(), number);
            self.environment_ids.insert(id, number);
            let (mode, name, granted) = (Timeline::default(), Timeline::default(), Numbered::default());
            self.environments.insert(
                number,
                EnvironmentFacts { number, id, created: Revision::ZERO, mode, name, granted, live_grants: 0 },
            );
            number
        })
    }

    /// Gives an environment its first name and mode.
    pub(in crate::domain) fn begin_environment(
        &mut self,
        id: EnvironmentId,
        name: Timeline<EnvironmentName>,
        mode: Timeline<Mode>,
    ) {
        let number = self.environment_number(id);
        if let Some(facts) = self.environments.get_mut(number) {
            facts.created = mode.first().map_or(Revision::ZERO, |first| first.since);
            (facts.name, facts.mode) = (name, mode);
        }
    }

    /// Every environment, in the order of their ids.
    pub(in crate::domain) fn environments(&self) -> impl Iterator<Item = (EnvironmentId, &EnvironmentFacts)> {
        self.environment_ids.iter().filter_map(|(id, number)| Some((*id, self.environments.get(*number)?)))
    }

    /// A principal's grants in an environment.
    pub(in crate::domain) fn grants(&self, environment: EnvironmentId, principal: &Principal) -> Option<&Grants> {
        self.principal(principal)?.grants.get(self.number_of(environment)?)
    }

    /// Sets a principal's grant in an environment; gives the one before. None if the environment was never heard of.
    #[expect(clippy::option_option, reason = "there may have been no grant, and there may be no environment")]
    pub(in crate::domain) fn set_grant(
        &mut self,
        at: Revision,
        environment: EnvironmentId,
        principal: &Principal,
        grant: Option<Grant>,
    ) -> Option<Option<Grant>> {
        let number = self.number_of(environment)?;
        let facts = self.principal_mut(principal)?;
        let holder = facts.number;
        let before = if let Some(grants) = facts.grants.get_mut(number) {
            let before = grants.last().and_then(|entry| entry.value);
            grants.set(at, grant);
            before
        } else {
            facts.grants.insert(number, Timeline::starting(at, grant));
            None
        };
        // What is not changed is not copied.
        if before.is_some() != grant.is_some() || self.environments.get(number)?.granted.get(holder).is_none() {
            self.environments.get_mut(number)?.count(holder, before, grant);
        }
        Some(before)
    }

    /// Every principal that ever had a grant in an environment, in order.
    pub(in crate::domain) fn granted(&self, environment: &EnvironmentFacts) -> Vec<&PrincipalFacts> {
        let granted = environment.granted.numbers().into_iter();
        let mut granted: Vec<_> = granted.filter_map(|number| self.principals.get(number)).collect();
        granted.sort_unstable_by_key(|facts| &facts.principal);
        granted
    }
}
