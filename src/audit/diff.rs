//! The difference between two views: whose effective role in which environment is another one, and the events between.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use super::Question;
use super::evidence::{ShownCause, principal_name};
use super::pairs::Pairs;
use super::tenure::{Cause, held_in};
use crate::domain::model::id::EnvironmentId;
use crate::domain::model::name::EnvironmentName;
use crate::domain::model::principal::Principal;
use crate::domain::model::role::EnvironmentRole;
use crate::domain::model::time::Revision;
use crate::domain::state::view::View;

/// The most events that a row names; the newest ones.
pub const EVENTS_SHOWN_MAX: usize = 10;

/// Two views of one workspace, the first of them the earlier.
pub struct Diff {
    before: View,
    after: View,
    pairs: Pairs,
}

/// Where an effective role is another one than before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Where.
    pub environment: EnvironmentId,
    /// The role in the earlier view, above `no_access`.
    pub before: Option<EnvironmentRole>,
    /// The role in the later view, above `no_access`.
    pub after: Option<EnvironmentRole>,
}

/// An effective role that is another one than before.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct DiffRow {
    /// Whose.
    pub principal: Principal,
    /// What they are called.
    pub principal_name: String,
    /// Where.
    pub environment: EnvironmentId,
    /// What that is called, or was called last.
    pub environment_name: Option<EnvironmentName>,
    /// The role in the earlier view; `null` for none and for `no_access`.
    pub before: Option<EnvironmentRole>,
    /// The role in the later view; `null` for none and for `no_access`.
    pub after: Option<EnvironmentRole>,
    /// What happened between the views that bears on it, in order: the newest 10 of `events_total`.
    pub events: Vec<ShownCause>,
    /// How many events and expiries between the views bear on it.
    pub events_total: usize,
}

/// The role above `no_access` that a principal has in an environment.
pub fn effective(view: &View, environment: EnvironmentId, principal: &Principal) -> Option<EnvironmentRole> {
    held_in(view, environment, principal).map(|held| held.role).filter(|role| *role > EnvironmentRole::NoAccess)
}

impl Diff {
    /// What differs between two views, in the environments and for the principals that are asked about.
    pub fn new(
        before: View,
        after: View,
        asks_environment: impl Fn(EnvironmentId) -> bool,
        asks_principal: impl Fn(&Principal) -> bool,
    ) -> Self {
        let everyone: BTreeSet<Principal> = before.principals().chain(after.principals()).collect();
        let everyone: Vec<Principal> = everyone.into_iter().filter(asks_principal).collect();
        let existed = |view: &View| view.environments().map(|found| found.id).collect::<Vec<_>>();
        let everywhere: BTreeSet<EnvironmentId> = existed(&before).into_iter().chain(existed(&after)).collect();
        let environments = everywhere.into_iter().filter(|id| asks_environment(*id));
        let changes = Changes::between(&before, &after, &everyone);
        let pairs = environments.map(|id| changes.touched(&before, &after, id)).collect();
        Self { before, after, pairs }
    }

    /// How much memory its lists take, in bytes.
    pub fn bytes(&self) -> usize {
        self.pairs.bytes()
    }

    /// Where a candidate's role differs, and the roles before and after.
    pub fn change(&self, candidate: usize) -> Option<Change> {
        let (environment, principal) = self.pairs.get(candidate)?;
        let (before, after) = [&self.before, &self.after].map(|view| effective(view, environment, principal)).into();
        (before != after).then_some(Change { environment, before, after })
    }

    fn row(&self, candidate: usize) -> Option<DiffRow> {
        let Change { environment, before, after } = self.change(candidate)?;
        let (_, principal) = self.pairs.get(candidate)?;
        let view = &self.after;
        let causes = self.causes(environment, principal);
        let shown = causes.iter().skip(causes.len().saturating_sub(EVENTS_SHOWN_MAX));
        Some(DiffRow {
            principal: principal.clone(),
            principal_name: principal_name(view, principal),
            environment,
            environment_name: view.environment_name(environment).cloned(),
            before,
            after,
            events: shown.filter_map(|cause| ShownCause::of(view, cause)).collect(),
            events_total: causes.len(),
        })
    }

    /// The events and expiries between the views that bear on a pair, in order.
    fn causes(&self, environment: EnvironmentId, principal: &Principal) -> Vec<Cause> {
        let (first, view) = (&self.before, &self.after);
        let between = |revision: &Revision| *revision > first.revision();
        let events = view.relevant_revisions(environment, principal).into_iter().filter(between);
        let mut causes: Vec<_> = events.map(|revision| (view.time_of(revision), Cause::Event(revision))).collect();
        let ends = view.grant_ends(environment, principal).into_iter().filter(|end| end.value > first.instant());
        causes.extend(ends.map(|end| (end.value, Cause::Expiry { at: end.value, set_by: end.since })));
        causes.sort_by_key(|(instant, cause)| (*instant, matches!(cause, Cause::Event(_))));
        causes.into_iter().map(|(_, cause)| cause).collect()
    }
}

impl Question for Diff {
    type Row = DiffRow;

    const COLUMNS: &'static [&'static str] = &[
        "principal",
        "principal_name",
        "environment",
        "environment_name",
        "before",
        "after",
        "events",
        "events_total",
    ];

    fn candidates(&self) -> usize {
        self.pairs.len()
    }

    fn rows(&self, candidate: usize) -> Vec<DiffRow> {
        self.row(candidate).into_iter().collect()
    }
}

/// What differs between two views and not only in one environment: it says where a closer look is needed.
struct Changes {
    /// Whether a role anywhere may differ: RBAC does, or one of the views has no workspace.
    everything: bool,
    everyone: Arc<[Principal]>,
    /// Those who are in one view only, or with another workspace role, in order: one list for all environments where no more differs.
    changed: Arc<[Principal]>,
}

impl Changes {
    fn between(before: &View, after: &View, everyone: &[Principal]) -> Self {
        let everything = before.rbac().value != after.rbac().value || before.exists() != after.exists();
        let same = |principal: &&Principal| standing(before, principal) == standing(after, principal);
        let changed = everyone.iter().filter(|principal| !same(principal)).cloned().collect();
        Self { everything, everyone: everyone.into(), changed }
    }

    /// Whose role in an environment may differ.
    fn touched(&self, before: &View, after: &View, environment: EnvironmentId) -> (EnvironmentId, Arc<[Principal]>) {
        if self.everything || before.restriction(environment) != after.restriction(environment) {
            return (environment, Arc::clone(&self.everyone));
        }
        let (given, now) = (grants(before, environment), grants(after, environment));
        let other = given.iter().chain(&now).filter(|(principal, _)| given.get(principal) != now.get(principal));
        let other = other.map(|(principal, _)| principal).filter(|found| self.everyone.binary_search(found).is_ok());
        let other: Vec<&Principal> = other.filter(|found| self.changed.binary_search(found).is_err()).collect();
        if other.is_empty() {
            return (environment, Arc::clone(&self.changed));
        }
        let touched: BTreeSet<&Principal> = other.into_iter().chain(self.changed.iter()).collect();
        (environment, touched.into_iter().cloned().collect())
    }
}

/// Whether a principal is there, and whether it administers.
fn standing(view: &View, principal: &Principal) -> Option<bool> {
    view.principal(principal)?;
    let member = match principal {
        Principal::User(user) => view.member(user),
        Principal::ServiceUser(_) => None,
    };
    Some(member.is_some_and(|role| role.value.administers()))
}

fn grants(view: &View, environment: EnvironmentId) -> BTreeMap<Principal, EnvironmentRole> {
    let found = view.environment(environment);
    let grants = found.iter().flat_map(|found| view.grants(found));
    grants.map(|(principal, grant)| (principal.clone(), grant.value.role)).collect()
}
