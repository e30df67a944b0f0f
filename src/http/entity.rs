//! The entities of the API, made from a view.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::model::command::Profile;
use crate::domain::model::id::{AccessKeyId, EnvironmentId, ProxyTokenId, ServiceUserId, TokenId, UserId, WorkspaceId};
use crate::domain::model::name::{
    ActionName, EmailAddress, EnvironmentName, Label, PersonName, ResourceId, ResourceTypeName, ServiceUserName,
    WorkspaceName,
};
use crate::domain::model::principal::{Actor, Principal};
use crate::domain::model::resource_catalogue::RESOURCE_TYPES;
use crate::domain::model::role::{AccessKeyRole, EnvironmentRole, Plan, WorkspaceKind, WorkspaceRole};
use crate::domain::model::time::{Instant, Revision};
use crate::domain::state::timeline::Since;
use crate::domain::state::view::{EnvironmentView, PlacementView, ProxyTokenView, ServiceUserView, View};
use crate::domain::state::workspace::Grant;
use crate::query::credentials::ScopeKind;
use crate::query::evidence::principal_name;
use crate::service::id_generator::Secret;

/// A secret in the only response that shows it; `null` in later ones.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct ShownSecret(Option<String>);

impl ShownSecret {
    /// Returns the secret as a response shows it.
    pub fn new(secret: Option<&Secret>) -> Self {
        Self(secret.map(|secret| secret.expose().to_owned()))
    }
}

/// A workspace.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "Workspace")]
pub struct WorkspaceEntity {
    /// Its id.
    pub id: WorkspaceId,
    /// Its name.
    pub name: WorkspaceName,
    /// Personal or shared.
    pub kind: WorkspaceKind,
    /// Its plan.
    pub plan: Plan,
    /// Whether RBAC is on.
    pub rbac: bool,
}

/// A member.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "Member")]
pub struct MemberEntity {
    /// The user id.
    pub user: UserId,
    /// The workspace role.
    pub role: WorkspaceRole,
    /// From the profile directory; never in a pinned response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<PersonName>,
    /// From the profile directory; never in a pinned response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<EmailAddress>,
    /// The start of the membership.
    pub since: Instant,
}

/// A service user.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "ServiceUser")]
pub struct ServiceUserEntity {
    /// Its id.
    pub id: ServiceUserId,
    /// Its name.
    pub name: ServiceUserName,
    /// The time of its creation.
    pub created_at: Instant,
    /// The actor who created it.
    pub created_by: Actor,
}

/// An API token.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "Token")]
pub struct TokenEntity {
    /// Its id.
    pub id: TokenId,
    /// The principal that it authenticates.
    pub holder: Principal,
    /// The name of the holder.
    pub holder_name: String,
    /// The actor who created it.
    pub issued_by: Actor,
    /// The time of its creation.
    pub created_at: Instant,
    /// The end of its validity.
    pub expires_at: Option<Instant>,
    /// The time of its last use; `null` in a pinned response.
    pub last_used_at: Option<Instant>,
    /// Its secret, only in the response to its creation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<ShownSecret>,
}

/// An environment.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "Environment")]
pub struct EnvironmentEntity {
    /// Its id.
    pub id: EnvironmentId,
    /// Its name.
    pub name: EnvironmentName,
    /// Whether it is restricted.
    pub restricted: bool,
    /// Its role for principals without a grant; `null` while it is unrestricted.
    pub default_role: Option<EnvironmentRole>,
}

/// A grant.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "Grant")]
pub struct GrantEntity {
    /// The environment.
    pub environment: EnvironmentId,
    /// The name of the environment.
    pub environment_name: EnvironmentName,
    /// The principal.
    pub principal: Principal,
    /// The name of the principal.
    pub principal_name: String,
    /// The role.
    pub role: EnvironmentRole,
    /// The end of the grant.
    pub expires_at: Option<Instant>,
    /// The time of its last change.
    pub since: Instant,
}

/// A proxy token.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "ProxyToken")]
pub struct ProxyTokenEntity {
    /// Its id.
    pub id: ProxyTokenId,
    /// Whether it is valid everywhere.
    pub scope: ScopeKind,
    /// The environments of a scoped token.
    pub environments: Vec<EnvironmentId>,
    /// The names of the environments, in the same order.
    pub environment_names: Vec<EnvironmentName>,
    /// The end of its validity.
    pub expires_at: Option<Instant>,
    /// Its secret, only in the response to its creation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<ShownSecret>,
}

/// An access key.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "AccessKey")]
pub struct AccessKeyEntity {
    /// Its id.
    pub id: AccessKeyId,
    /// Its role.
    pub role: AccessKeyRole,
    /// Its label.
    pub label: Label,
    /// The end of its validity.
    pub expires_at: Option<Instant>,
    /// Its secret, only in the response to its creation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<ShownSecret>,
}

/// A resource type.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "ResourceType")]
pub struct ResourceTypeEntity {
    /// Its name.
    pub name: ResourceTypeName,
    /// Whether every workspace has it; the others are the workspace's own.
    pub built_in: bool,
    /// The requirement of each action: a role in the environment of the resource, or `proxy_token`.
    pub actions: BTreeMap<ActionName, &'static str>,
    /// The time of the last definition; `null` for a built-in type.
    pub since: Option<Instant>,
}

/// The placement of a resource.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "Resource")]
pub struct ResourceEntity {
    /// Its type.
    #[serde(rename = "type")]
    pub resource_type: ResourceTypeName,
    /// Its id.
    pub id: ResourceId,
    /// The environment.
    pub environment: EnvironmentId,
    /// The name of the environment.
    pub environment_name: EnvironmentName,
    /// The time of the placement.
    pub since: Instant,
}

fn time_of(view: &View, revision: Revision) -> Instant {
    view.time_of(revision)
}

/// Returns the workspace, if it exists in the view.
pub fn workspace(view: &View) -> Option<WorkspaceEntity> {
    let description = view.description()?;
    Some(WorkspaceEntity {
        id: view.workspace().id(),
        name: description.name.clone(),
        kind: description.kind,
        plan: view.plan().value,
        rbac: view.rbac().value,
    })
}

/// Returns a member with their profile.
pub fn member(view: &View, user: &UserId, profile: Profile) -> Option<MemberEntity> {
    let role = view.member(user)?.value;
    let since = time_of(view, view.member_since(user)?);
    Some(MemberEntity { user: user.clone(), role, name: profile.name, email: profile.email, since })
}

/// Returns a service user.
pub fn service_user(view: &View, found: &ServiceUserView<'_>) -> ServiceUserEntity {
    let created_by = view.event(found.created).map_or(Actor::System, |event| event.actor.clone());
    ServiceUserEntity { id: found.id, name: found.name.clone(), created_at: time_of(view, found.created), created_by }
}

/// Returns an API token.
pub fn token(view: &View, id: TokenId, secret: Option<ShownSecret>) -> Option<TokenEntity> {
    let token = view.token(id)?;
    Some(TokenEntity {
        id,
        holder: token.terms.holder.clone(),
        holder_name: principal_name(view, &token.terms.holder),
        issued_by: token.issued_by.clone(),
        created_at: token.issued_at,
        expires_at: token.expires_at,
        last_used_at: None,
        secret,
    })
}

/// Returns an environment.
pub fn environment(found: &EnvironmentView<'_>) -> EnvironmentEntity {
    let default_role = found.default_role();
    EnvironmentEntity { id: found.id, name: found.name.clone(), restricted: default_role.is_some(), default_role }
}

/// Returns a grant.
pub fn grant(view: &View, found: &EnvironmentView<'_>, principal: &Principal, grant: &Since<Grant>) -> GrantEntity {
    GrantEntity {
        environment: found.id,
        environment_name: found.name.clone(),
        principal: principal.clone(),
        principal_name: principal_name(view, principal),
        role: grant.value.role,
        expires_at: grant.value.expires_at,
        since: time_of(view, grant.since),
    }
}

/// Returns a proxy token.
pub fn proxy_token(view: &View, found: &ProxyTokenView<'_>, secret: Option<ShownSecret>) -> ProxyTokenEntity {
    let scope = found.scope.value;
    let environments: Vec<_> = scope.into_iter().flatten().copied().collect();
    let environment_names = environments.iter().filter_map(|id| view.environment_name(*id)).cloned().collect();
    let scope = if scope.is_some() { ScopeKind::Scoped } else { ScopeKind::WorkspaceWide };
    ProxyTokenEntity { id: found.id, scope, environments, environment_names, expires_at: found.expires_at, secret }
}

/// Returns an access key.
pub fn access_key(view: &View, id: AccessKeyId, secret: Option<ShownSecret>) -> Option<AccessKeyEntity> {
    let key = view.access_key(id)?;
    let (role, label) = (key.terms.role, key.terms.label.clone());
    Some(AccessKeyEntity { id, role, label, expires_at: key.expires_at, secret })
}

/// Returns a resource type, built in or of the workspace's own.
pub fn resource_type(view: &View, name: &str) -> Option<ResourceTypeEntity> {
    if let Some(own) = view.resource_type(name) {
        let actions = own.actions.value.iter().map(|(action, role)| (action.clone(), role.as_str())).collect();
        let since = Some(time_of(view, own.actions.since));
        return Some(ResourceTypeEntity { name: own.name.clone(), built_in: false, actions, since });
    }
    let (name, actions) = RESOURCE_TYPES.iter().find(|(known, _)| *known == name && view.exists())?;
    let actions = actions.iter().filter_map(|(action, required)| Some((action.parse().ok()?, required.as_str())));
    Some(ResourceTypeEntity { name: name.parse().ok()?, built_in: true, actions: actions.collect(), since: None })
}

/// Returns the placement of a resource.
pub fn resource(view: &View, found: &PlacementView<'_>) -> Option<ResourceEntity> {
    Some(ResourceEntity {
        resource_type: found.resource_type.clone(),
        id: found.id.clone(),
        environment: found.environment.value,
        environment_name: view.environment_name(found.environment.value)?.clone(),
        since: time_of(view, found.environment.since),
    })
}
