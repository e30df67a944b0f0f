//! The catalogue of events.
//!
//! A row has all of an event that does not depend on the facts: its stored name, its subject and data, and four
//! properties. These are the [`Fact`] that it changes, the [`Precondition`] that must hold before it, whether it only
//! ends something, and a sentence. Its effect on the facts is its arm in `Workspace::evolve`.
//!
//! A stored name ends in the version of its data's shape and never changes; a new shape is a new row. All events share
//! an envelope, which `log::codec` writes as bytes.

use std::collections::BTreeSet;

use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::credential::SecretDigest;
pub use super::event_macros::{EventSchema, UnknownEvent};
use super::event_macros::{EventSubject, event_catalogue, event_data};
use super::fact::{Fact, Precondition};
use crate::domain::model::id::{
    AccessKeyId, CommandId, EnvironmentId, EventId, ProxyTokenId, ServiceUserId, TokenId, UserId, WorkspaceId,
};
use crate::domain::model::name::{
    EnvironmentName, Label, Reason, ResourceTypeName, ServiceUserName, WorkspaceName, stored,
};
use crate::domain::model::packing::{Packed, Packer, Unpacker};
use crate::domain::model::principal::{Actor, ActorCredential, Principal};
use crate::domain::model::resource::{Actions, ResourceKey};
use crate::domain::model::role::{AccessKeyRole, EnvironmentRole, Plan, WorkspaceKind, WorkspaceRole};
use crate::domain::model::time::{Instant, Revision};

/// One event of a workspace's log.
#[derive(Debug, Clone)]
pub struct Event {
    /// Its own id.
    pub id: EventId,
    /// The workspace whose log it stands in.
    pub workspace: WorkspaceId,
    /// Its number in that log.
    pub revision: Revision,
    /// The time of the event, which as-of questions use.
    pub time: Instant,
    /// The time at which it was recorded, if that was later: an imported event.
    pub recorded: Option<Instant>,
    /// The actor of the change.
    pub actor: Actor,
    /// The credential of the actor.
    pub credential: Option<ActorCredential>,
    /// The command that the event is part of.
    pub command: CommandId,
    /// The actor's reason. If it is long, only the first events of a command have it; `View::reason_of` finds it for
    /// all.
    pub reason: Option<Reason>,
    /// The type of the event, with its subject and its data.
    pub data: EventData,
}

event_catalogue! {
    /// The workspace was created.
    WorkspaceCreated(id: WorkspaceId, description: WorkspaceDescription) = "workspace.created.v1" described "The workspace came to be." {
        fact: Fact::Workspace(Some(&description.name)),
        follows: Precondition::Workspace(*id),
        only_ends: false,
        summary(name): "the workspace was made".to_owned(),
    }

    /// The workspace and everything in it ended.
    WorkspaceDeleted(id: WorkspaceId, _none: Nothing) = "workspace.deleted.v1" {
        fact: Fact::Workspace(None),
        follows: Precondition::Workspace(*id),
        only_ends: true,
        summary(name): "the workspace was deleted".to_owned(),
    }

    /// The workspace subscribes to another plan.
    PlanChanged(id: WorkspaceId, change: PlanChange) = "plan.changed.v1" {
        fact: Fact::Plan,
        follows: Precondition::Workspace(*id),
        only_ends: false,
        summary(name): format!("the plan became {}", change.plan),
    }

    /// Restrictions, grants and scopes are enforced from now on.
    RbacEnabled(id: WorkspaceId, _none: Nothing) = "rbac.enabled.v1" {
        fact: Fact::Rbac,
        follows: Precondition::RbacOff(*id),
        only_ends: false,
        summary(name): "RBAC was turned on".to_owned(),
    }

    /// Restrictions, grants and scopes stay recorded and are not enforced.
    RbacDisabled(id: WorkspaceId, _none: Nothing) = "rbac.disabled.v1" {
        fact: Fact::Rbac,
        follows: Precondition::RbacOn(*id),
        only_ends: false,
        summary(name): "RBAC was turned off".to_owned(),
    }

    /// A person became a member.
    MemberAdded(user: UserId, member: Membership) = "member.added.v1" {
        fact: Fact::Member(user, Some(member.role)),
        follows: Precondition::NotMember(user),
        only_ends: false,
        summary(name): format!("the user became {} of the workspace", article(member.role)),
    }

    /// A member has another workspace role.
    MemberRoleChanged(user: UserId, member: Membership) = "member.role_changed.v1" {
        fact: Fact::Member(user, Some(member.role)),
        follows: Precondition::Member(user),
        only_ends: false,
        summary(name): format!("the user became {}", article(member.role)),
    }

    /// A person is no longer a member.
    MemberRemoved(user: UserId, _none: Nothing) = "member.removed.v1" {
        fact: Fact::Member(user, None),
        follows: Precondition::Member(user),
        only_ends: true,
        summary(name): "the user was removed from the workspace".to_owned(),
    }

    /// A service user was created.
    ServiceUserCreated(id: ServiceUserId, description: ServiceUserDescription) = "service_user.created.v1" described "A service user came to be." {
        fact: Fact::ServiceUser(*id, Some(&description.name)),
        follows: Precondition::NewServiceUser(*id, &description.name),
        only_ends: false,
        summary(name): "the service user was made".to_owned(),
    }

    /// A service user is no more.
    ServiceUserDeleted(id: ServiceUserId, _none: Nothing) = "service_user.deleted.v1" {
        fact: Fact::ServiceUser(*id, None),
        follows: Precondition::ServiceUser(*id),
        only_ends: true,
        summary(name): "the service user was deleted".to_owned(),
    }

    /// An API token was made.
    TokenIssued(id: TokenId, terms: TokenTerms) = "token.issued.v1" {
        fact: Fact::Token(*id, &terms.holder, Some(terms)),
        follows: Precondition::NewToken(*id, &terms.holder),
        only_ends: false,
        summary(name): "the API token was issued".to_owned(),
    }

    /// An API token was taken back.
    TokenRevoked(id: TokenId, end: TokenEnd) = "token.revoked.v1" {
        fact: Fact::Token(*id, &end.holder, None),
        follows: Precondition::LiveToken(*id, &end.holder),
        only_ends: true,
        summary(name): "the API token was revoked".to_owned(),
    }

    /// An API token passed its expiry.
    TokenExpired(id: TokenId, end: TokenEnd) = "token.expired.v1" {
        fact: Fact::Token(*id, &end.holder, None),
        follows: Precondition::LiveToken(*id, &end.holder),
        only_ends: true,
        summary(name): "the API token expired".to_owned(),
    }

    /// An environment was created, unrestricted.
    EnvironmentCreated(id: EnvironmentId, description: EnvironmentDescription) = "environment.created.v1" described "An environment came to be, unrestricted." {
        fact: Fact::Environment(*id, Some(&description.name)),
        follows: Precondition::NewEnvironment(*id, &description.name),
        only_ends: false,
        summary(name): format!("the environment {} was made", name(*id)),
    }

    /// An environment has another name.
    EnvironmentRenamed(id: EnvironmentId, description: EnvironmentDescription) = "environment.renamed.v1" {
        fact: Fact::EnvironmentName(*id, &description.name),
        follows: Precondition::FreeName(*id, &description.name),
        only_ends: false,
        summary(name): format!("the environment got the name `{}`", description.name),
    }

    /// An environment is restricted from now on.
    EnvironmentRestricted(id: EnvironmentId, restriction: Restriction) = "environment.restricted.v1" {
        fact: Fact::Restriction(*id),
        follows: Precondition::Unrestricted(*id),
        only_ends: false,
        summary(name): format!("{} was restricted, with the default role {},", name(*id), restriction.default_role),
    }

    /// A restricted environment gives another role to those without a grant.
    EnvironmentDefaultRoleChanged(id: EnvironmentId, restriction: Restriction) = "environment.default_role_changed.v1" {
        fact: Fact::Restriction(*id),
        follows: Precondition::Restricted(*id),
        only_ends: false,
        summary(name): format!("the default role of {} became {}", name(*id), restriction.default_role),
    }

    /// An environment is open to every principal again.
    EnvironmentUnrestricted(id: EnvironmentId, _none: Nothing) = "environment.unrestricted.v1" {
        fact: Fact::Restriction(*id),
        follows: Precondition::Restricted(*id),
        only_ends: true,
        summary(name): format!("{} was opened to every principal", name(*id)),
    }

    /// An environment is no more.
    EnvironmentDeleted(id: EnvironmentId, _none: Nothing) = "environment.deleted.v1" {
        fact: Fact::Environment(*id, None),
        follows: Precondition::Environment(*id),
        only_ends: true,
        summary(name): format!("the environment {} was deleted", name(*id)),
    }

    /// A principal was given a role of their own in a restricted environment.
    GrantAdded(id: EnvironmentId, terms: GrantTerms) = "grant.added.v1" {
        fact: Fact::Grant(*id, &terms.principal, Some(terms)),
        follows: Precondition::NewGrant(*id, terms),
        only_ends: false,
        summary(name): format!("the role {} was granted in {}", terms.role, name(*id)),
    }

    /// A principal's grant has another role or expiry.
    GrantChanged(id: EnvironmentId, terms: GrantTerms) = "grant.changed.v1" {
        fact: Fact::Grant(*id, &terms.principal, Some(terms)),
        follows: Precondition::Grant(*id, &terms.principal),
        only_ends: false,
        summary(name): format!("the grant in {} became {}", name(*id), terms.role),
    }

    /// A principal's grant was taken back.
    GrantRevoked(id: EnvironmentId, end: GrantEnd) = "grant.revoked.v1" {
        fact: Fact::Grant(*id, &end.principal, None),
        follows: Precondition::Grant(*id, &end.principal),
        only_ends: true,
        summary(name): format!("the grant in {} was revoked", name(*id)),
    }

    /// A principal's grant passed its expiry.
    GrantExpired(id: EnvironmentId, end: GrantEnd) = "grant.expired.v1" {
        fact: Fact::Grant(*id, &end.principal, None),
        follows: Precondition::ExpiredGrant(*id, &end.principal),
        only_ends: true,
        summary(name): format!("the grant in {} expired", name(*id)),
    }

    /// A proxy token was made.
    ProxyTokenCreated(id: ProxyTokenId, terms: ProxyTokenTerms) = "proxy_token.created.v1" {
        fact: Fact::ProxyToken(*id, Some(terms)),
        follows: Precondition::NewProxyToken(*id, terms.environments.as_ref()),
        only_ends: false,
        summary(name): "the token was made".to_owned(),
    }

    /// A scoped proxy token is valid for other environments.
    ProxyTokenScoped(id: ProxyTokenId, scope: ProxyTokenScope) = "proxy_token.scoped.v1" {
        fact: Fact::ProxyTokenScope(*id, &scope.environments),
        follows: Precondition::ScopedProxyToken(*id, &scope.environments),
        only_ends: true,
        summary(name): "the token got this scope".to_owned(),
    }

    /// A proxy token was taken back.
    ProxyTokenRevoked(id: ProxyTokenId, _none: Nothing) = "proxy_token.revoked.v1" {
        fact: Fact::ProxyToken(*id, None),
        follows: Precondition::LiveProxyToken(*id),
        only_ends: true,
        summary(name): "the proxy token was revoked".to_owned(),
    }

    /// A proxy token passed its expiry.
    ProxyTokenExpired(id: ProxyTokenId, _none: Nothing) = "proxy_token.expired.v1" {
        fact: Fact::ProxyToken(*id, None),
        follows: Precondition::LiveProxyToken(*id),
        only_ends: true,
        summary(name): "the proxy token expired".to_owned(),
    }

    /// An access key was made.
    AccessKeyIssued(id: AccessKeyId, terms: AccessKeyTerms) = "access_key.issued.v1" {
        fact: Fact::AccessKey(*id, Some(terms)),
        follows: Precondition::NewAccessKey(*id),
        only_ends: false,
        summary(name): "the access key was issued".to_owned(),
    }

    /// An access key was taken back.
    AccessKeyRevoked(id: AccessKeyId, _none: Nothing) = "access_key.revoked.v1" {
        fact: Fact::AccessKey(*id, None),
        follows: Precondition::LiveAccessKey(*id),
        only_ends: true,
        summary(name): "the access key was revoked".to_owned(),
    }

    /// An access key passed its expiry.
    AccessKeyExpired(id: AccessKeyId, _none: Nothing) = "access_key.expired.v1" {
        fact: Fact::AccessKey(*id, None),
        follows: Precondition::LiveAccessKey(*id),
        only_ends: true,
        summary(name): "the access key expired".to_owned(),
    }

    /// A resource type of the workspace's own has these actions from now on.
    ResourceTypeDefined(resource_type: ResourceTypeName, terms: ResourceTypeTerms) = "resource_type.defined.v1" {
        fact: Fact::ResourceType,
        follows: Precondition::LiveWorkspace,
        only_ends: false,
        summary(name): format!("the actions of the resource type `{resource_type}` were defined"),
    }

    /// A resource, of which no environment was recorded, lives in one.
    ResourcePlaced(key: ResourceKey, placement: Placement) = "resource.placed.v1" {
        fact: Fact::Placement { from: None, to: Some(placement.environment) },
        follows: Precondition::NotPlaced(key, placement.environment),
        only_ends: false,
        summary(name): format!("`{key}` was placed in {}", name(placement.environment)),
    }

    /// A resource lives in another environment.
    ResourceMoved(key: ResourceKey, change: Move) = "resource.moved.v1" {
        fact: Fact::Placement { from: Some(change.from), to: Some(change.environment) },
        follows: Precondition::Movable(key, change.from, change.environment),
        only_ends: false,
        summary(name): format!("`{key}` was moved to {}", name(change.environment)),
    }

    /// It is no longer recorded where a resource lives.
    ResourceRemoved(key: ResourceKey, placement: Placement) = "resource.removed.v1" {
        fact: Fact::Placement { from: Some(placement.environment), to: None },
        follows: Precondition::Placed(key, placement.environment),
        only_ends: true,
        summary(name): format!("`{key}` was removed from {}", name(placement.environment)),
    }
}

// The descriptions stand in the event schemas, which never change.
event_data! {
    /// Events whose type and subject say it all.
    Nothing {}

    /// The initial properties of a workspace. RBAC is off.
    #[schemars(description = "What a workspace begins with; RBAC is off.")]
    WorkspaceDescription {
        /// Its name.
        name: WorkspaceName,
        /// Whether it is personal or shared.
        #[schemars(description = "Whose it is.")]
        kind: WorkspaceKind,
        /// Its plan.
        #[schemars(description = "What it subscribes to.")]
        plan: Plan,
    }

    /// The plan from now on.
    PlanChange {
        /// The plan.
        plan: Plan,
    }

    /// A member's place in the workspace.
    Membership {
        /// The role from now on.
        role: WorkspaceRole,
    }

    /// The name of a service user.
    #[schemars(description = "What a service user is called.")]
    ServiceUserDescription {
        /// Its name.
        name: ServiceUserName,
    }

    /// The properties of an API token.
    #[schemars(description = "What an API token is.")]
    TokenTerms {
        /// The holder.
        #[schemars(description = "Whom it authenticates.")]
        holder: Principal,
        /// SHA-256 of its secret.
        sha256: SecretDigest,
        /// The instant at which it expires.
        #[schemars(description = "From when on it is worth nothing.")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<Instant>,
    }

    /// The holder of an API token that ended.
    #[schemars(description = "Whose API token ended.")]
    TokenEnd {
        /// The holder.
        #[schemars(description = "Whom it authenticated.")]
        holder: Principal,
    }

    /// The name of an environment.
    #[schemars(description = "What an environment is called.")]
    EnvironmentDescription {
        /// Its name.
        name: EnvironmentName,
    }

    /// The default role of a restricted environment.
    #[schemars(description = "What a restricted environment gives to those without a grant.")]
    Restriction {
        /// The role from now on.
        default_role: EnvironmentRole,
    }

    /// A grant.
    GrantTerms {
        /// The holder.
        #[schemars(description = "Who holds it.")]
        principal: Principal,
        /// The role it gives.
        role: EnvironmentRole,
        /// The instant at which it expires.
        #[schemars(description = "From when on it gives nothing.")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<Instant>,
    }

    /// The holder of a grant that ended.
    #[schemars(description = "Whose grant ended.")]
    GrantEnd {
        /// The holder.
        #[schemars(description = "Who held it.")]
        principal: Principal,
    }

    /// The properties of a proxy token.
    #[schemars(description = "What a proxy token is.")]
    ProxyTokenTerms {
        /// The environments it is valid for; absent for a workspace-wide token.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        environments: Option<BTreeSet<EnvironmentId>>,
        /// SHA-256 of its secret.
        sha256: SecretDigest,
        /// The instant at which it expires.
        #[schemars(description = "From when on it is worth nothing.")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<Instant>,
    }

    /// The scope of a proxy token.
    #[schemars(description = "What a scoped proxy token is valid for.")]
    ProxyTokenScope {
        /// The environments from now on; none of them: valid nowhere.
        environments: BTreeSet<EnvironmentId>,
    }

    /// The properties of an access key.
    #[schemars(description = "What an access key is.")]
    AccessKeyTerms {
        /// The role of the key.
        #[schemars(description = "What it may ask for.")]
        role: AccessKeyRole,
        /// The purpose of the key.
        #[schemars(description = "What it is for.")]
        #[serde(deserialize_with = "stored")]
        label: Label,
        /// SHA-256 of its secret.
        sha256: SecretDigest,
        /// The instant at which it expires.
        #[schemars(description = "From when on it is worth nothing.")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<Instant>,
    }

    /// The actions of a resource type.
    #[schemars(description = "What can be done to resources of a type.")]
    ResourceTypeTerms {
        /// The role that each action requires.
        actions: Actions,
    }

    /// The environment of a resource, now or until now.
    #[schemars(description = "Where a resource lives, or lived until now.")]
    Placement {
        /// The environment.
        environment: EnvironmentId,
    }

    /// The environments of a resource, until now and from now on.
    #[schemars(description = "Where a resource lived, and lives from now on.")]
    Move {
        /// The environment until now.
        from: EnvironmentId,
        /// The environment from now on.
        environment: EnvironmentId,
    }
}

/// Returns the role with its article: `an owner`, `a manager`.
fn article(role: WorkspaceRole) -> String {
    if role == WorkspaceRole::Owner { format!("an {role}") } else { format!("a {role}") }
}
