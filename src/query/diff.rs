//! The difference between two views: the effective roles that differ, and the events in between.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use super::AuditQuery;
use super::evidence::{ShownCause, principal_name};
use super::pairs::Pairs;
use super::tenure::{Cause, held_in};
use crate::domain::model::id::EnvironmentId;
use crate::domain::model::name::EnvironmentName;
use crate::domain::model::principal::Principal;
use crate::domain::model::role::EnvironmentRole;
use crate::domain::model::time::Revision;
use crate::domain::state::view::View;

/// The most events of a row, which are the newest ones.
pub const EVENTS_SHOWN_MAX: usize = 10;

/// The differences between an earlier and a later view of one workspace.
pub struct Diff {
    before: View,
    after: View,
    pairs: Pairs,
}

/// A change of one effective role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoleDifference {
    /// The environment.
    pub environment: EnvironmentId,
    /// The role in the earlier view, above `no_access`.
    pub before: Option<EnvironmentRole>,
    /// The role in the later view, above `no_access`.
    pub after: Option<EnvironmentRole>,
}

/// An effective role that differs between the views.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct DiffRow {
    /// The principal.
    pub principal: Principal,
    /// The principal's name.
    pub principal_name: String,
    /// The environment.
    pub environment: EnvironmentId,
    /// The environment's name, or its last one.
    pub environment_name: Option<EnvironmentName>,
    /// The role in the earlier view; `null` for none and for `no_access`.
    pub before: Option<EnvironmentRole>,
    /// The role in the later view; `null` for none and for `no_access`.
    pub after: Option<EnvironmentRole>,
    /// The newest 10 events and expiries between the views that bear on the role, in order.
    pub events: Vec<ShownCause>,
    /// The number of events and expiries between the views that bear on the role.
    pub events_total: usize,
}

/// Returns a principal's role in an environment, if it is above `no_access`.
pub fn effective(view: &View, environment: EnvironmentId, principal: &Principal) -> Option<EnvironmentRole> {
    held_in(view, environment, principal).map(|held| held.role).filter(|role| *role > EnvironmentRole::NoAccess)
}

impl Diff {
    /// Compares two views, in the environments and for the principals that the filters select.
    pub fn new(
        before: View,
        after: View,
        has_environment: impl Fn(EnvironmentId) -> bool,
        has_principal: impl Fn(&Principal) -> bool,
    ) -> Self {
        let everyone: BTreeSet<Principal> = before.principals().chain(after.principals()).collect();
        let everyone: Vec<Principal> = everyone.into_iter().filter(has_principal).collect();
        let existed = |view: &View| view.environments().map(|found| found.id).collect::<Vec<_>>();
        let everywhere: BTreeSet<EnvironmentId> = existed(&before).into_iter().chain(existed(&after)).collect();
        let environments = everywhere.into_iter().filter(|id| has_environment(*id));
        let shared = SharedDifferences::between(&before, &after, &everyone);
        let pairs = environments.map(|id| shared.candidates_in(&before, &after, id)).collect();
        Self { before, after, pairs }
    }

    /// Returns the change of a candidate's role, if it differs.
    pub fn change(&self, candidate: usize) -> Option<RoleDifference> {
        let (environment, principal) = self.pairs.get(candidate)?;
        let (before, after) = [&self.before, &self.after].map(|view| effective(view, environment, principal)).into();
        (before != after).then_some(RoleDifference { environment, before, after })
    }

    fn row(&self, candidate: usize) -> Option<DiffRow> {
        let RoleDifference { environment, before, after } = self.change(candidate)?;
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

    /// Returns the events and expiries between the views that bear on a pair, in order.
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

impl AuditQuery for Diff {
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

    fn bytes(&self) -> usize {
        self.pairs.bytes()
    }

    fn rows(&self, candidate: usize) -> Vec<DiffRow> {
        self.row(candidate).into_iter().collect()
    }
}

/// The differences that affect more than one environment. They limit the pairs that are compared.
struct SharedDifferences {
    /// Whether any role may differ: RBAC does, or the workspace exists in one view only.
    everything: bool,
    everyone: Arc<[Principal]>,
    /// The principals that are in one view only or administer in one only, in order. Environments without other differences share the list.
    changed: Arc<[Principal]>,
}

impl SharedDifferences {
    fn between(before: &View, after: &View, everyone: &[Principal]) -> Self {
        let everything = before.rbac().value != after.rbac().value || before.exists() != after.exists();
        let same = |principal: &&Principal| administers(before, principal) == administers(after, principal);
        let changed = everyone.iter().filter(|principal| !same(principal)).cloned().collect();
        Self { everything, everyone: everyone.into(), changed }
    }

    /// Returns the principals whose role in an environment may differ.
    fn candidates_in(
        &self,
        before: &View,
        after: &View,
        environment: EnvironmentId,
    ) -> (EnvironmentId, Arc<[Principal]>) {
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
        let candidates: BTreeSet<&Principal> = other.into_iter().chain(self.changed.iter()).collect();
        (environment, candidates.into_iter().cloned().collect())
    }
}

/// Returns whether a principal administers the workspace; `None` if it does not exist.
fn administers(view: &View, principal: &Principal) -> Option<bool> {
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
