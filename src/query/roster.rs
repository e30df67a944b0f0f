//! The roster: all access in a view, with its evidence.

use schemars::JsonSchema;
use serde::Serialize;

use super::AuditQuery;
use super::evidence::{Evidence, evidence, principal_name};
use super::pairs::Pairs;
use super::tenure::since;
use crate::domain::model::id::EnvironmentId;
use crate::domain::model::name::EnvironmentName;
use crate::domain::model::principal::Principal;
use crate::domain::model::role::EnvironmentRole;
use crate::domain::model::time::Instant;
use crate::domain::rules::authorize::{Access, access};
use crate::domain::state::view::View;

/// The access of each pair in a view.
pub struct Roster {
    /// The view.
    pub view: View,
    /// The pairs.
    pub pairs: Pairs,
}

/// A principal's access to an environment.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct AccessRow {
    /// The principal.
    pub principal: Principal,
    /// The principal's name.
    pub principal_name: String,
    /// The environment.
    pub environment: EnvironmentId,
    /// The environment's name.
    pub environment_name: EnvironmentName,
    /// The role, above `no_access`.
    pub role: EnvironmentRole,
    /// The stable name of the rule that gives it.
    pub rule: &'static str,
    /// The instant since when role and rule have been the same.
    pub since: Instant,
    /// The events that it is based on.
    pub evidence: Vec<Evidence>,
}

impl AuditQuery for Roster {
    type Row = AccessRow;

    const COLUMNS: &'static [&'static str] =
        &["principal", "principal_name", "environment", "environment_name", "role", "rule", "since", "evidence"];

    fn candidates(&self) -> usize {
        self.pairs.len()
    }

    fn bytes(&self) -> usize {
        self.pairs.bytes()
    }

    fn rows(&self, candidate: usize) -> Vec<AccessRow> {
        let row = self.pairs.get(candidate);
        row.and_then(|(environment, principal)| access_row(&self.view, environment, principal)).into_iter().collect()
    }
}

/// Returns a principal's access to an environment; `None` for `no_access`, or if the view lacks either of them.
pub fn access_row(view: &View, environment: EnvironmentId, principal: &Principal) -> Option<AccessRow> {
    let found = view.environment(environment)?;
    view.principal(principal)?;
    let Access { role, rule, evidence: revisions } = access(view, &found, principal);
    (role > EnvironmentRole::NoAccess).then(|| AccessRow {
        principal: principal.clone(),
        principal_name: principal_name(view, principal),
        environment,
        environment_name: found.name.clone(),
        role,
        rule: rule.as_str(),
        since: since(view, environment, principal),
        evidence: evidence(view, &revisions),
    })
}
