//! The built-in resource types, their actions, and the role that each action requires. Types that a workspace defines
//! are among its facts.

use crate::domain::model::role::{EnvironmentRole, WorkspaceRole};

/// The requirement of an action in an environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requirement {
    /// At least this role in the environment.
    Role(EnvironmentRole),
    /// A proxy token that is valid for the environment.
    ProxyToken,
}

impl Requirement {
    /// Returns the stable word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Role(role) => role.as_str(),
            Self::ProxyToken => "proxy_token",
        }
    }
}

/// The reason why there is no requirement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uncatalogued {
    /// No such resource type.
    ResourceType,
    /// The type has no such action.
    Action,
}

const VIEWER: Requirement = Requirement::Role(EnvironmentRole::Viewer);
const CONTRIBUTOR: Requirement = Requirement::Role(EnvironmentRole::Contributor);

/// The type of the workspace itself.
pub const WORKSPACE: &str = "workspace";
/// The type of an environment itself.
pub const ENVIRONMENT: &str = "environment";

/// The action that needs a proxy token.
pub const CALL: &str = "call";
/// The resource type that proxy tokens call.
pub const WEB_FUNCTION: &str = "web_function";

/// Every built-in type of resources in environments, with its actions.
pub const RESOURCE_TYPES: &[(&str, &[(&str, Requirement)])] = &[
    (ENVIRONMENT, DEPLOYABLE),
    ("app", DEPLOYABLE),
    ("function", DEPLOYABLE),
    ("secret", &[("read", VIEWER), ("write", CONTRIBUTOR), ("delete", CONTRIBUTOR), ("use", CONTRIBUTOR)]),
    ("volume", STORED),
    ("dict", STORED),
    ("queue", STORED),
    (
        WEB_FUNCTION,
        &[(CALL, Requirement::ProxyToken), ("read", VIEWER), ("deploy", CONTRIBUTOR), ("delete", CONTRIBUTOR)],
    ),
];

const DEPLOYABLE: &[(&str, Requirement)] = &[
    ("read", VIEWER),
    ("read_logs", VIEWER),
    ("read_metrics", VIEWER),
    ("read_config", VIEWER),
    ("deploy", CONTRIBUTOR),
    ("write", CONTRIBUTOR),
    ("stop", CONTRIBUTOR),
    ("delete", CONTRIBUTOR),
];

const STORED: &[(&str, Requirement)] = &[("read", VIEWER), ("write", CONTRIBUTOR), ("delete", CONTRIBUTOR)];

/// The actions on the workspace itself, and the least role for each; `None` if any principal may.
pub const WORKSPACE_ACTIONS: &[(&str, Option<WorkspaceRole>)] = &[
    ("read", None),
    ("manage_members", Some(WorkspaceRole::Manager)),
    ("manage_service_users", Some(WorkspaceRole::Manager)),
    ("manage_environments", Some(WorkspaceRole::Manager)),
    ("manage_grants", Some(WorkspaceRole::Manager)),
    ("manage_tokens", Some(WorkspaceRole::Manager)),
    ("manage_settings", Some(WorkspaceRole::Manager)),
    ("manage_billing", Some(WorkspaceRole::Manager)),
    ("read_audit_log", Some(WorkspaceRole::Manager)),
    ("manage_owners", Some(WorkspaceRole::Owner)),
];

/// Returns whether a type is built in. A workspace cannot define such a type.
pub fn is_built_in(resource_type: &str) -> bool {
    resource_type == WORKSPACE || RESOURCE_TYPES.iter().any(|(name, _)| *name == resource_type)
}

/// Returns the actions on resources of a built-in type, including the workspace; none for an unknown type.
pub fn actions(resource_type: &str) -> Vec<&'static str> {
    if resource_type == WORKSPACE {
        return WORKSPACE_ACTIONS.iter().map(|(action, _)| *action).collect();
    }
    let found = RESOURCE_TYPES.iter().find(|(name, _)| *name == resource_type);
    found.into_iter().flat_map(|(_, actions)| actions.iter()).map(|(action, _)| *action).collect()
}

/// Returns the requirement of an action on a resource of a built-in type.
///
/// # Errors
/// The type is unknown, or has no such action.
pub fn requirement(resource_type: &str, action: &str) -> Result<Requirement, Uncatalogued> {
    let (_, actions) =
        RESOURCE_TYPES.iter().find(|(name, _)| *name == resource_type).ok_or(Uncatalogued::ResourceType)?;
    actions.iter().find(|(name, _)| *name == action).map(|(_, required)| *required).ok_or(Uncatalogued::Action)
}

/// Returns the least workspace role for an action on the workspace: `None` for an unknown action, `Some(None)` if any
/// principal may.
pub fn workspace_requirement(action: &str) -> Option<Option<WorkspaceRole>> {
    WORKSPACE_ACTIONS.iter().find(|(name, _)| *name == action).map(|(_, required)| *required)
}
