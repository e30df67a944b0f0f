//! The built-in resource types, their actions, and the role that each action requires. A workspace's own types are facts of it.

use crate::domain::model::role::{EnvironmentRole, WorkspaceRole};

/// What an action in an environment requires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requirement {
    /// At least this role in the environment.
    Role(EnvironmentRole),
    /// A proxy token that is valid for the environment.
    ProxyToken,
}

impl Requirement {
    /// The stable word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Role(role) => role.as_str(),
            Self::ProxyToken => "proxy_token",
        }
    }
}

/// Why there is no requirement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uncatalogued {
    /// No such resource type.
    ResourceType,
    /// The type has no such action.
    Action,
}

const VIEWER: Requirement = Requirement::Role(EnvironmentRole::Viewer);
const CONTRIBUTOR: Requirement = Requirement::Role(EnvironmentRole::Contributor);

/// The resource type that stands for the workspace itself.
pub const WORKSPACE: &str = "workspace";
/// The resource type that stands for an environment itself.
pub const ENVIRONMENT: &str = "environment";

/// The action that proxy tokens are presented for.
pub const CALL: &str = "call";
/// The resource type that proxy tokens are presented to.
pub const WEB_FUNCTION: &str = "web_function";

/// Every built-in type that lives in an environment, with its actions.
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

/// The actions on the workspace itself, and the least role for each; `None` where any principal may.
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

/// Whether a type is built in, and so cannot be defined by a workspace.
pub fn is_built_in(resource_type: &str) -> bool {
    resource_type == WORKSPACE || RESOURCE_TYPES.iter().any(|(name, _)| *name == resource_type)
}

/// Every action on resources of a built-in type, the workspace among them; none for a type that there is not.
pub fn actions(resource_type: &str) -> Vec<&'static str> {
    if resource_type == WORKSPACE {
        return WORKSPACE_ACTIONS.iter().map(|(action, _)| *action).collect();
    }
    let found = RESOURCE_TYPES.iter().find(|(name, _)| *name == resource_type);
    found.into_iter().flat_map(|(_, actions)| actions.iter()).map(|(action, _)| *action).collect()
}

/// What an action on a resource of a built-in type requires.
///
/// # Errors
/// That the type, or the action of the type, is not in the catalogue.
pub fn requirement(resource_type: &str, action: &str) -> Result<Requirement, Uncatalogued> {
    let (_, actions) =
        RESOURCE_TYPES.iter().find(|(name, _)| *name == resource_type).ok_or(Uncatalogued::ResourceType)?;
    actions.iter().find(|(name, _)| *name == action).map(|(_, required)| *required).ok_or(Uncatalogued::Action)
}

/// The least workspace role for an action on the workspace itself; `None` inside where any principal may.
pub fn workspace_requirement(action: &str) -> Option<Option<WorkspaceRole>> {
    WORKSPACE_ACTIONS.iter().find(|(name, _)| *name == action).map(|(_, required)| *required)
}
