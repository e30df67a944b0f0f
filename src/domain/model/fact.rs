//! The facts that events change, and what a log must say before an event.
//!
//! A reader of events matches on these kinds, without a wildcard, and not on every type of event. So a new event of a known kind
//! needs its row of the catalogue only, and the compiler lists every reader of a new kind.

use std::collections::BTreeSet;

use super::event::{AccessKeyTerms, GrantTerms, ProxyTokenTerms, TokenTerms};
use super::id::{AccessKeyId, EnvironmentId, ProxyTokenId, ServiceUserId, TokenId, UserId, WorkspaceId};
use super::name::{EnvironmentName, ServiceUserName, WorkspaceName};
use super::principal::Principal;
use super::resource::ResourceKey;
use super::role::WorkspaceRole;
use super::time::Instant;

/// The fact that an event changes, with its new value; `None` if the event ends it.
#[derive(Debug, Clone, Copy)]
pub enum Fact<'a> {
    /// Whether the workspace exists.
    Workspace(Option<&'a WorkspaceName>),
    /// The plan.
    Plan,
    /// Whether RBAC is on.
    Rbac,
    /// The role of a member.
    Member(&'a UserId, Option<WorkspaceRole>),
    /// Whether a service user exists.
    ServiceUser(ServiceUserId, Option<&'a ServiceUserName>),
    /// An API token of a holder.
    Token(TokenId, &'a Principal, Option<&'a TokenTerms>),
    /// Whether an environment exists.
    Environment(EnvironmentId, Option<&'a EnvironmentName>),
    /// The name of an environment.
    EnvironmentName(EnvironmentId, &'a EnvironmentName),
    /// Whether an environment is restricted, and its default role.
    Restriction(EnvironmentId),
    /// The grant of a principal in an environment.
    Grant(EnvironmentId, &'a Principal, Option<&'a GrantTerms>),
    /// A proxy token.
    ProxyToken(ProxyTokenId, Option<&'a ProxyTokenTerms>),
    /// The environments that a proxy token is valid for.
    ProxyTokenScope(ProxyTokenId, &'a BTreeSet<EnvironmentId>),
    /// An access key.
    AccessKey(AccessKeyId, Option<&'a AccessKeyTerms>),
    /// The actions of a resource type.
    ResourceType,
    /// The environment of a resource.
    Placement {
        /// The environment before.
        from: Option<EnvironmentId>,
        /// The environment from now on.
        to: Option<EnvironmentId>,
    },
    /// A detail of the workspace, or of an environment, on which no access depends and that no directory holds.
    Detail(Option<EnvironmentId>),
}

impl Fact<'_> {
    /// Returns the principal that the fact is about.
    pub fn principal(&self) -> Option<Principal> {
        match self {
            Self::Member(user, _) => Some(Principal::User((*user).clone())),
            Self::ServiceUser(id, _) => Some(Principal::ServiceUser(*id)),
            Self::Token(_, principal, _) | Self::Grant(_, principal, _) => Some((*principal).clone()),
            Self::Workspace(_)
            | Self::Plan
            | Self::Rbac
            | Self::Environment(..)
            | Self::EnvironmentName(..)
            | Self::Restriction(_)
            | Self::ProxyToken(..)
            | Self::ProxyTokenScope(..)
            | Self::AccessKey(..)
            | Self::ResourceType
            | Self::Placement { .. }
            | Self::Detail(_) => None,
        }
    }

    /// Returns the environments that the event names as its subject or as a scope.
    pub fn environments(&self) -> Vec<EnvironmentId> {
        match self {
            Self::Environment(id, _)
            | Self::EnvironmentName(id, _)
            | Self::Restriction(id)
            | Self::Grant(id, ..)
            | Self::Detail(Some(id)) => vec![*id],
            Self::ProxyToken(_, Some(terms)) => terms.environments.iter().flatten().copied().collect(),
            Self::ProxyTokenScope(_, scope) => scope.iter().copied().collect(),
            Self::Workspace(_)
            | Self::Plan
            | Self::Rbac
            | Self::Member(..)
            | Self::ServiceUser(..)
            | Self::Token(..)
            | Self::ProxyToken(_, None)
            | Self::AccessKey(..)
            | Self::ResourceType
            | Self::Placement { .. }
            | Self::Detail(None) => Vec::new(),
        }
    }

    /// Returns the end that the event sets for a grant or a credential.
    pub const fn expires_at(&self) -> Option<Instant> {
        match self {
            Self::Grant(.., Some(terms)) => terms.expires_at,
            Self::Token(.., Some(terms)) => terms.expires_at,
            Self::ProxyToken(_, Some(terms)) => terms.expires_at,
            Self::AccessKey(_, Some(terms)) => terms.expires_at,
            Self::Workspace(_)
            | Self::Plan
            | Self::Rbac
            | Self::Member(..)
            | Self::ServiceUser(..)
            | Self::Token(.., None)
            | Self::Environment(..)
            | Self::EnvironmentName(..)
            | Self::Restriction(_)
            | Self::Grant(.., None)
            | Self::ProxyToken(_, None)
            | Self::ProxyTokenScope(..)
            | Self::AccessKey(_, None)
            | Self::ResourceType
            | Self::Placement { .. }
            | Self::Detail(_) => None,
        }
    }

    /// Returns whether the event makes a credential.
    pub const fn is_new_credential(&self) -> bool {
        matches!(self, Self::Token(.., Some(_)) | Self::ProxyToken(_, Some(_)) | Self::AccessKey(_, Some(_)))
    }
}

/// The condition that the facts must meet for an event to follow. `state::coherence` checks it.
#[derive(Debug, Clone, Copy)]
pub enum Precondition<'a> {
    /// The workspace exists; the event may follow anything else.
    LiveWorkspace,
    /// The log is that of this workspace.
    Workspace(WorkspaceId),
    /// As [`Self::Workspace`], and RBAC is on.
    RbacOn(WorkspaceId),
    /// As [`Self::Workspace`], and RBAC is off.
    RbacOff(WorkspaceId),
    /// The user is a member.
    Member(&'a UserId),
    /// The user is no member.
    NotMember(&'a UserId),
    /// The service user exists.
    ServiceUser(ServiceUserId),
    /// The service user never existed, and its name is free.
    NewServiceUser(ServiceUserId, &'a ServiceUserName),
    /// The token never existed, and its holder exists.
    NewToken(TokenId, &'a Principal),
    /// The token has not ended, and is that of the holder.
    LiveToken(TokenId, &'a Principal),
    /// The environment exists.
    Environment(EnvironmentId),
    /// The environment never existed, and its name is free.
    NewEnvironment(EnvironmentId, &'a EnvironmentName),
    /// The environment exists, and no other one has the name.
    FreeName(EnvironmentId, &'a EnvironmentName),
    /// The environment is restricted.
    Restricted(EnvironmentId),
    /// The environment is unrestricted.
    Unrestricted(EnvironmentId),
    /// The environment is restricted, and the principal exists and has no live grant in it.
    NewGrant(EnvironmentId, &'a GrantTerms),
    /// The principal has a grant in the environment.
    Grant(EnvironmentId, &'a Principal),
    /// The principal has a grant in the environment that is past its end.
    ExpiredGrant(EnvironmentId, &'a Principal),
    /// The proxy token never existed, and its environments exist.
    NewProxyToken(ProxyTokenId, Option<&'a BTreeSet<EnvironmentId>>),
    /// The proxy token is scoped and has not ended, and its environments exist.
    ScopedProxyToken(ProxyTokenId, &'a BTreeSet<EnvironmentId>),
    /// The proxy token has not ended.
    LiveProxyToken(ProxyTokenId),
    /// The access key never existed.
    NewAccessKey(AccessKeyId),
    /// The access key has not ended.
    LiveAccessKey(AccessKeyId),
    /// The resource is in no environment, and its type and the environment exist.
    NotPlaced(&'a ResourceKey, EnvironmentId),
    /// The resource is in the environment.
    Placed(&'a ResourceKey, EnvironmentId),
    /// The resource is in the first environment, and the second one exists.
    Movable(&'a ResourceKey, EnvironmentId, EnvironmentId),
}
