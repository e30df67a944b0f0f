//! `State`: the permission state of a view, to be read by people, compared byte for byte, and restored.
//!
//! The lists at the top hold what is live in the view, in the order of ids and names. What is no more stands apart, in
//! [`Past`]: nothing in it gives access, but a denial names the event that ended what was there, and an expiry that no event
//! has taken note of yet is still to be noted. Two views of equal facts give the same bytes, however the facts came to be:
//! replayed from the first event, or restored ([`Workspace::restore`](crate::domain::state::workspace::Workspace::restore)) and replayed from there.

mod read;
mod resources;
mod restore;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::domain::model::credential::SecretDigest;
use crate::domain::model::id::{AccessKeyId, EnvironmentId, ProxyTokenId, ServiceUserId, TokenId, UserId, WorkspaceId};
use crate::domain::model::name::{EnvironmentName, Label, ResourceId, ResourceTypeName, ServiceUserName, WorkspaceName, stored};
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
    State {
        /// The revision, the last one of its command.
        revision: Revision,
        /// When the event of that revision happened; none before the first.
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
        /// The resource types of its own, by name.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        resource_types: Vec<ResourceTypeState>,
        /// Where resources live, by type and id.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        resources: Vec<PlacementState>,
        /// What is no more.
        past: Past,
        /// When the events happened whose revisions stand above without a time beside them.
        times: BTreeMap<Revision, Instant>,
    }

    /// A workspace, but for what is in it.
    WorkspaceState {
        /// Its id.
        id: WorkspaceId,
        /// Its name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<WorkspaceName>,
        /// Whose it is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kind: Option<WorkspaceKind>,
        /// What it subscribes to.
        plan: Plan,
        /// The event that said so.
        plan_since: Revision,
        /// Whether restrictions, grants and scopes are enforced.
        rbac: bool,
        /// The event that said so.
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
        /// Whose.
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
        /// What a restricted one gives to those without a grant; null for one that is open to every principal.
        default_role: Option<EnvironmentRole>,
        /// The event that said so.
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

    /// A principal's own role in a restricted environment.
    GrantState {
        /// Whose.
        principal: Principal,
        /// The role.
        role: EnvironmentRole,
        /// From when on it gives nothing.
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
        /// From when on it would have given nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<Instant>,
        /// The event that gave it.
        since: Revision,
    }

    /// An API token.
    TokenState {
        /// Its id.
        id: TokenId,
        /// Whom it authenticates.
        holder: Principal,
        /// SHA-256 of its secret.
        sha256: SecretDigest,
        /// Who made it.
        issued_by: Actor,
        /// When it was made.
        issued_at: Instant,
        /// The event that made it.
        issued: Revision,
        /// From when on it is worth nothing.
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
        /// The event that said so.
        since: Revision,
        /// SHA-256 of its secret.
        sha256: SecretDigest,
        /// Who made it.
        issued_by: Actor,
        /// When it was made.
        issued_at: Instant,
        /// The event that made it.
        issued: Revision,
        /// From when on it is worth nothing.
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
        /// What it may ask for.
        role: AccessKeyRole,
        /// What it is for.
        #[serde(deserialize_with = "stored")]
        label: Label,
        /// SHA-256 of its secret.
        sha256: SecretDigest,
        /// Who made it.
        issued_by: Actor,
        /// When it was made.
        issued_at: Instant,
        /// The event that made it.
        issued: Revision,
        /// From when on it is worth nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<Instant>,
        /// The event that ended it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ended: Option<Revision>,
    }

    /// A resource type of the workspace's own.
    ResourceTypeState {
        /// Its name.
        name: ResourceTypeName,
        /// The role that each action requires.
        actions: Actions,
        /// The event that said so.
        since: Revision,
        /// The event that defined the type first.
        defined: Revision,
    }

    /// Where a resource lives.
    PlacementState {
        /// The resource's type.
        #[serde(rename = "type")]
        resource_type: ResourceTypeName,
        /// Which of its type.
        #[serde(deserialize_with = "stored")]
        id: ResourceId,
        /// The environment.
        environment: EnvironmentId,
        /// The event that said so.
        since: Revision,
        /// The event since which it is no longer recorded.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ended: Option<Revision>,
    }

    /// What is no more: ended by an event, or by an expiry that no event has taken note of yet (then without `ended`), or with
    /// the workspace.
    Past {
        /// The last membership of each user who is a member no longer.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        members: Vec<MemberState>,
        /// Service users.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        service_users: Vec<ServiceUserState>,
        /// Environments.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        environments: Vec<EnvironmentState>,
        /// The names that environments no longer have, by name and in the order of time.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        environment_names: Vec<FormerName>,
        /// The last grant of each principal who has none, in the environments that have not ended.
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
        /// Where each resource lived last that is no longer recorded.
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

    /// A grant that is no more.
    FormerGrant {
        /// Where.
        environment: EnvironmentId,
        /// What it was.
        grant: GrantState,
    }
}

impl State {
    /// The state of a view. What has expired by the view's instant is in [`Past`].
    pub fn of(view: &View) -> Self {
        read::state(view)
    }

    /// The one way in which the state is written: JSON in lines, two blanks a step, a newline at the end.
    ///
    /// # Errors
    /// None that can arise with these shapes; serialisation is fallible by type.
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self).map(|json| json + "\n")
    }

    /// Reads what [`Self::to_json`] wrote.
    ///
    /// # Errors
    /// What does not have the shape of a state, and where.
    pub fn from_json(json: &str) -> serde_json::Result<Self> {
        serde_json::from_str(json)
    }
}
