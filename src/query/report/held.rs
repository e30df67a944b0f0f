//! A principal's roles in restricted environments, which not every principal has.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

use super::request::ReportRequest;
use super::{ReportBuilder, TooLarge};
use crate::domain::model::id::EnvironmentId;
use crate::domain::model::name::EnvironmentName;
use crate::domain::model::principal::Principal;
use crate::domain::model::role::EnvironmentRole;
use crate::domain::model::time::Revision;
use crate::domain::rules::authorize::{Rule, access};
use crate::domain::state::view::View;
use crate::query::tenure::held_in;

/// A role held in a restricted environment.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct HeldRole {
    /// The environment.
    pub environment: EnvironmentId,
    /// The environment's name.
    pub environment_name: EnvironmentName,
    /// The role, above `no_access`.
    pub role: EnvironmentRole,
    /// The stable name of the rule that gives it.
    pub rule: &'static str,
    #[serde(skip)]
    pub(super) rests_on: Vec<Revision>,
}

impl fmt::Display for HeldRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} by {}", self.environment_name, self.role, self.rule)
    }
}

/// Checks whether a rule opens an environment to every principal.
const fn is_open(rule: Rule) -> bool {
    matches!(rule, Rule::Unrestricted | Rule::RbacOff)
}

fn held_role(view: &View, environment: EnvironmentId, principal: &Principal) -> Option<HeldRole> {
    let environment = view.environment(environment)?;
    view.principal(principal)?;
    let found = access(view, &environment, principal);
    (found.role > EnvironmentRole::NoAccess && !is_open(found.rule)).then(|| HeldRole {
        environment: environment.id,
        environment_name: environment.name.clone(),
        role: found.role,
        rule: found.rule.as_str(),
        rests_on: found.evidence.to_vec(),
    })
}

/// Returns a principal's roles in the requested view, in the order of environments.
pub(super) fn held_roles(
    builder: &mut ReportBuilder,
    request: &ReportRequest,
    principal: &Principal,
) -> Result<Vec<HeldRole>, TooLarge> {
    let mut held = Vec::new();
    for environment in request.environments() {
        builder.count_pair()?;
        held.extend(held_role(&request.view, environment, principal));
    }
    Ok(held)
}

/// Returns the roles that a principal kept over a change: as high after it as before it or lower, in the order of environments.
pub(super) fn kept_roles(
    builder: &mut ReportBuilder,
    before: &View,
    after: &View,
    principal: &Principal,
) -> Result<Vec<HeldRole>, TooLarge> {
    let mut kept = Vec::new();
    for environment in after.environments() {
        builder.count_pair()?;
        let had = held_in(before, environment.id, principal).map(|held| held.role);
        let holds = held_role(after, environment.id, principal);
        kept.extend(holds.filter(|holds| had.is_some_and(|had| had >= holds.role)));
    }
    Ok(kept)
}

/// Returns the number of environments that are open to every principal.
pub(super) fn open_environments(view: &View) -> usize {
    let open = !view.rbac().value;
    view.environments().filter(|environment| open || environment.default_role().is_none()).count()
}
