//! The roster: who has access to what in a view, and why.

use schemars::JsonSchema;
use serde::Serialize;

use super::Question;
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

/// Who has access to what.
pub struct Roster {
    /// When.
    pub view: View,
    /// Who and where.
    pub pairs: Pairs,
}

/// A principal's access to an environment.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct AccessRow {
    /// Who.
    pub principal: Principal,
    /// What they are called.
    pub principal_name: String,
    /// To what.
    pub environment: EnvironmentId,
    /// What that is called.
    pub environment_name: EnvironmentName,
    /// The role, above `no_access`.
    pub role: EnvironmentRole,
    /// The stable name of the rule that gives it.
    pub rule: &'static str,
    /// Since when role and rule have held without a break.
    pub since: Instant,
    /// The events that it rests on.
    pub evidence: Vec<Evidence>,
}

impl Question for Roster {
    type Row = AccessRow;

    const COLUMNS: &'static [&'static str] =
        &["principal", "principal_name", "environment", "environment_name", "role", "rule", "since", "evidence"];

    fn candidates(&self) -> usize {
        self.pairs.len()
    }

    fn rows(&self, candidate: usize) -> Vec<AccessRow> {
        let row = self.pairs.get(candidate);
        row.and_then(|(environment, principal)| access_row(&self.view, environment, principal)).into_iter().collect()
    }
}

/// A principal's access to an environment in a view; none for `no_access`, and where one of them is not there.
pub fn access_row(view: &View, environment: EnvironmentId, principal: &Principal) -> Option<AccessRow> {
    let place = view.environment(environment)?;
    view.principal(principal)?;
    let Access { role, rule, evidence: revisions } = access(view, &place, principal);
    (role > EnvironmentRole::NoAccess).then(|| AccessRow {
        principal: principal.clone(),
        principal_name: principal_name(view, principal),
        environment,
        environment_name: place.name.clone(),
        role,
        rule: rule.as_str(),
        since: since(view, environment, principal),
        evidence: evidence(view, &revisions),
    })
}
