//! The part of a workspace that a caller may learn of.

use crate::domain::model::command::EnvironmentRef;
use crate::domain::model::principal::Principal;
use crate::domain::model::role::EnvironmentRole;
use crate::domain::rules::authorize::{Decision, Rule, access, find_environment};
use crate::domain::state::view::{EnvironmentView, View};

/// The part of a workspace that a caller may learn of.
#[derive(Debug, Clone)]
pub enum Visibility {
    /// Everything, including environments that have ended.
    Everything,
    /// The environments that a principal has access to.
    Own {
        /// The principal.
        principal: Principal,
        /// The workspace now. An environment that still exists must be accessible in it too.
        now: View,
    },
}

impl Visibility {
    /// Returns whether the caller may learn of an environment.
    pub(super) fn includes(&self, view: &View, environment: &EnvironmentView<'_>) -> bool {
        let Self::Own { principal, now } = self else { return true };
        let has_access = |view: &View, environment: &EnvironmentView<'_>| {
            view.principal(principal).is_some() && access(view, environment, principal).role > EnvironmentRole::NoAccess
        };
        has_access(view, environment) && now.environment(environment.id).is_none_or(|found| has_access(now, &found))
    }

    /// Finds the environment that a question names.
    ///
    /// # Errors
    /// The denial. A hidden environment is denied like one that never existed.
    pub(super) fn find_environment<'a>(
        &self,
        view: &'a View,
        named: &EnvironmentRef,
    ) -> Result<EnvironmentView<'a>, Decision> {
        match self {
            Self::Everything => find_environment(view, named),
            Self::Own { .. } => {
                let found = view.resolve_environment(named).filter(|found| self.includes(view, found));
                found.ok_or_else(|| Decision::denied(Rule::NoSuchEnvironment))
            }
        }
    }
}
