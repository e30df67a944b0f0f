//! What a principal holds in restricted environments: what they have that not every principal has.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

use super::{Asked, Found, TooLarge};
use crate::audit::tenure::held_in;
use crate::domain::model::id::EnvironmentId;
use crate::domain::model::name::EnvironmentName;
use crate::domain::model::principal::Principal;
use crate::domain::model::role::EnvironmentRole;
use crate::domain::model::time::Revision;
use crate::domain::rules::authorize::{Rule, access};
use crate::domain::state::view::View;

/// A role held in a restricted environment.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct HeldRole {
    /// Where.
    pub environment: EnvironmentId,
    /// What that is called.
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

/// Whether a rule opens an environment to every principal.
const fn is_open(rule: Rule) -> bool {
    matches!(rule, Rule::Unrestricted | Rule::RbacOff)
}

fn held_role(view: &View, environment: EnvironmentId, principal: &Principal) -> Option<HeldRole> {
    let place = view.environment(environment)?;
    view.principal(principal)?;
    let found = access(view, &place, principal);
    (found.role > EnvironmentRole::NoAccess && !is_open(found.rule)).then(|| HeldRole {
        environment,
        environment_name: place.name.clone(),
        role: found.role,
        rule: found.rule.as_str(),
        rests_on: found.evidence.to_vec(),
    })
}

/// What a principal holds in a view, in the order of environments.
pub(super) fn held_roles(found: &mut Found, asked: &Asked, principal: &Principal) -> Result<Vec<HeldRole>, TooLarge> {
    let mut held = Vec::new();
    for environment in asked.environments() {
        found.look()?;
        held.extend(held_role(&asked.view, environment, principal));
    }
    Ok(held)
}

/// What a principal holds after a change and held before it as well, at least as much of it, in the order of environments.
pub(super) fn kept_roles(
    found: &mut Found,
    before: &View,
    after: &View,
    principal: &Principal,
) -> Result<Vec<HeldRole>, TooLarge> {
    let mut kept = Vec::new();
    for place in after.environments() {
        found.look()?;
        let had = held_in(before, place.id, principal).map(|held| held.role);
        let holds = held_role(after, place.id, principal);
        kept.extend(holds.filter(|holds| had.is_some_and(|had| had >= holds.role)));
    }
    Ok(kept)
}

/// How many environments of a view are open to every principal.
pub(super) fn open_environments(view: &View) -> usize {
    let open = !view.rbac().value;
    view.environments().filter(|place| open || place.default_role().is_none()).count()
}
