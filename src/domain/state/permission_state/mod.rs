//! The permission state of a view, to be read, compared byte for byte, and restored.
//!
//! The lists at the top hold everything that is live in the view, in the order of ids and names. Everything that ended
//! is in [`Past`]. It gives no access, but a denial names the event that ended something, and an expiry without an
//! event is still due.
//!
//! Two views of equal facts give the same bytes. It does not matter whether the facts were replayed from the first
//! event or restored by [`Workspace::restore`](crate::domain::state::workspace::Workspace::restore).

mod read;
mod resources;
mod restore;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::domain::model::credential::SecretDigest;
use crate::domain::model::id::{AccessKeyId, EnvironmentId, ProxyTokenId, ServiceUserId, TokenId, UserId, WorkspaceId};
use crate::domain::model::name::{
    EnvironmentName, Label, ResourceId, ResourceTypeName, ServiceUserName, WorkspaceName, stored,
};
use crate::domain::model::principal::{Actor, Principal};
use crate::domain::model::resource::Actions;
use crate::domain::model::role::{AccessKeyRole, EnvironmentRole, Plan, WorkspaceKind, WorkspaceRole};
use crate::domain::model::time::{Instant, Revision};
use crate::domain::state::view::View;

macro_rules! records {
    ($($(#[doc = $doc:literal])+ $name:ident { $($(#[$fmeta:meta])* $field:ident: $ty:ty,)* })*) => {$(
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$fmeta])* pub $field: $ty,)*
        }
    )*};
}

records! {
    /// The permission state of a workspace as of a revision.
    PermissionState {
        /// The revision, the last one of its command.
        revision: Revision,
        /// The time of that revision's event; `None` before the first.
        time: Option<Instant>,
        /// The workspace itself.
        workspace: WorkspaceState,
        /// Its members, by user id.
        members: Vec<MemberState>,
        /// Its service users, by id.
        service_users: Vec<ServiceUserState>,
        /// Its environments, by id, each with its grants.
        environments: Vec<EnvironmentState>,
        /// Its API tokens, by id.
        tokens: Vec<TokenState>,
        /// Its proxy tokens, by id.
        proxy_tokens: Vec<ProxyTokenState>,
        /// Its access keys, by id.
        access_keys: Vec<AccessKeyState>,
        /// The resource types that it defined, by name.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        resource_types: Vec<ResourceTypeState>,
        /// Its placed resources, by type and id.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        resources: Vec<PlacementState>,
        /// Everything that ended.
        past: Past,
        /// The times of the revisions above that have no time beside them.
        times: BTreeMap<Revision, Instant>,
    }

    /// A workspace, without its contents.
    WorkspaceState {
        /// Its id.
        id: WorkspaceId,
        /// Its name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<WorkspaceName>,
        /// Whether it is personal or shared.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kind: Option<WorkspaceKind>,
        /// Its plan.
        plan: Plan,
        /// The event that set the plan.
        plan_since: Revision,
        /// Whether restrictions, grants and scopes are enforced.
        rbac: bool,
        /// The event that set it.
        rbac_since: Revision,
        /// The event that made it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        created: Option<Revision>,
        /// The event that ended it and everything in it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deleted: Option<Revision>,
    }

    /// A membership.
    MemberState {
        /// The member.
        user: UserId,
        /// The role in the workspace.
        role: WorkspaceRole,
        /// The event that gave the role.
        since: Revision,
        /// The roles before it, since the user became a member.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        before: Vec<RoleBefore>,
        /// The event that ended it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ended: Option<Revision>,
    }

    /// A role that a member had.
    RoleBefore {
        /// The role.
        role: WorkspaceRole,
        /// The event that gave it.
        since: Revision,
    }

    /// A service user.
    ServiceUserState {
        /// Its id.
        id: ServiceUserId,
        /// Its name.
        name: ServiceUserName,
        /// The event that made it.
        since: Revision,
        /// The event that ended it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ended: Option<Revision>,
    }

    /// An environment.
    EnvironmentState {
        /// Its id.
        id: EnvironmentId,
        /// Its name.
        name: EnvironmentName,
        /// The event that gave it the name.
        named: Revision,
        /// The event that made it.
        created: Revision,
        /// The default role of a restricted environment; null for an unrestricted one.
        default_role: Option<EnvironmentRole>,
        /// The event that set it.
        since: Revision,
        /// The default roles before it, since the environment was restricted.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        before: Vec<DefaultRoleBefore>,
        /// Its grants, by principal.
        grants: Vec<GrantState>,
        /// The event that ended it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ended: Option<Revision>,
    }

    /// A default role that a restricted environment had.
    DefaultRoleBefore {
        /// The role.
        default_role: EnvironmentRole,
        /// The event that set it.
        since: Revision,
    }

    /// A principal's grant in a restricted environment.
    GrantState {
        /// The holder.
        principal: Principal,
        /// The role.
        role: EnvironmentRole,
        /// The instant at which it expires.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<Instant>,
        /// The event that gave it, or that moved its expiry.
        since: Revision,
        /// The grants before it that gave the same role, without a break.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        before: Vec<GrantBefore>,
        /// The event that ended it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ended: Option<Revision>,
    }

    /// A grant of the same role with another expiry.
    GrantBefore {
        /// The instant at which it would have expired.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<Instant>,
        /// The event that gave it.
        since: Revision,
    }

    /// An API token.
    TokenState {
        /// Its id.
        id: TokenId,
        /// The holder.
        holder: Principal,
        /// SHA-256 of its secret.
        sha256: SecretDigest,
        /// The actor that made it.
        issued_by: Actor,
        /// The time at which it was made.
        issued_at: Instant,
        /// The event that made it.
        issued: Revision,
        /// The instant at which it expires.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<Instant>,
        /// The event that ended it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ended: Option<Revision>,
    }

    /// A proxy token.
    ProxyTokenState {
        /// Its id.
        id: ProxyTokenId,
        /// The environments that it is valid for; null for a workspace-wide one.
        scope: Option<BTreeSet<EnvironmentId>>,
        /// The event that set them.
        since: Revision,
        /// SHA-256 of its secret.
        sha256: SecretDigest,
        /// The actor that made it.
        issued_by: Actor,
        /// The time at which it was made.
        issued_at: Instant,
        /// The event that made it.
        issued: Revision,
        /// The instant at which it expires.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<Instant>,
        /// The event that ended it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ended: Option<Revision>,
    }

    /// An access key.
    AccessKeyState {
        /// Its id.
        id: AccessKeyId,
        /// The role of the key.
        role: AccessKeyRole,
        /// The purpose of the key.
        #[serde(deserialize_with = "stored")]
        label: Label,
        /// SHA-256 of its secret.
        sha256: SecretDigest,
        /// The actor that made it.
        issued_by: Actor,
        /// The time at which it was made.
        issued_at: Instant,
        /// The event that made it.
        issued: Revision,
        /// The instant at which it expires.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<Instant>,
        /// The event that ended it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ended: Option<Revision>,
    }

    /// A resource type that the workspace defined.
    ResourceTypeState {
        /// Its name.
        name: ResourceTypeName,
        /// The role that each action requires.
        actions: Actions,
        /// The event that set them.
        since: Revision,
        /// The event that defined the type first.
        defined: Revision,
    }

    /// The placement of a resource.
    PlacementState {
        /// The resource's type.
        #[serde(rename = "type")]
        resource_type: ResourceTypeName,
        /// Its id within the type.
        #[serde(deserialize_with = "stored")]
        id: ResourceId,
        /// The environment.
        environment: EnvironmentId,
        /// The event that recorded it.
        since: Revision,
        /// The event that removed the record.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ended: Option<Revision>,
    }

    /// Everything that ended: by an event, with the workspace, or by an expiry without an event (then without `ended`).
    Past {
        /// The last membership of each former member.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        members: Vec<MemberState>,
        /// Service users.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        service_users: Vec<ServiceUserState>,
        /// Environments.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        environments: Vec<EnvironmentState>,
        /// The names that environments no longer have, by name and then by time.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        environment_names: Vec<FormerName>,
        /// The last grant of each principal without one, in the environments that have not ended.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        grants: Vec<FormerGrant>,
        /// API tokens.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tokens: Vec<TokenState>,
        /// Proxy tokens.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        proxy_tokens: Vec<ProxyTokenState>,
        /// Access keys.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        access_keys: Vec<AccessKeyState>,
        /// Resource types.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        resource_types: Vec<ResourceTypeState>,
        /// The last placement of each resource that is no longer placed.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        resources: Vec<PlacementState>,
    }

    /// A name that an environment had.
    FormerName {
        /// The name, in lower case.
        name: EnvironmentName,
        /// The environment.
        environment: EnvironmentId,
        /// The event that gave it that name.
        since: Revision,
        /// The event that took it away.
        until: Revision,
    }

    /// A grant that ended.
    FormerGrant {
        /// The environment.
        environment: EnvironmentId,
        /// The grant.
        grant: GrantState,
    }
}

impl PermissionState {
    /// Returns the state of a view. Anything that has expired by the view's instant is in [`Past`].
    pub fn of(view: &View) -> Self {
        read::state(view)
    }

    /// Returns the state as JSON in lines, with two blanks a level and a newline at the end.
    ///
    /// # Errors
    /// None with these shapes; serialisation is fallible by type.
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self).map(|json| json + "\n")
    }

    /// Reads the JSON that [`Self::to_json`] wrote.
    ///
    /// # Errors
    /// The first error in the JSON.
    pub fn from_json(json: &str) -> serde_json::Result<Self> {
        serde_json::from_str(json)
    }
}
