//! The ordered roles, and the other closed lists that describe workspaces.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::domain::model::name::InvalidText;
use crate::domain::model::parsed::parsed;

macro_rules! word_list {
    ($($(#[$meta:meta])+ $name:ident, $rule:literal { $(#[doc = $vdoc:literal] $variant:ident = $word:literal,)* })*) => {$(
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
        $(#[$meta])+
        pub enum $name {
            $(#[doc = $vdoc] #[serde(rename = $word)] $variant,)*
        }

        impl $name {
            /// Every value, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Returns the stored and public word; it never changes.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                parsed(deserializer)
            }
        }

        impl FromStr for $name {
            type Err = InvalidText;

            fn from_str(text: &str) -> Result<Self, InvalidText> {
                Self::ALL.iter().copied().find(|value| value.as_str() == text).ok_or_else(|| InvalidText::new(text, $rule))
            }
        }
    )*};
}

word_list! {
    /// A role in an environment. Each role includes those before it.
    #[schemars(description = "What a principal may do in an environment; each role includes those below it.")]
    EnvironmentRole, "an environment role is `no_access`, `viewer` or `contributor`" {
        /// Nothing: the environment is private to others.
        NoAccess = "no_access",
        /// Read-only access.
        Viewer = "viewer",
        /// Full read and write access.
        Contributor = "contributor",
    }
    /// The role that an action of a workspace's own resource type requires.
    #[schemars(description = "What an action on a resource of a workspace's own type requires.")]
    RequiredRole, "the role that an action requires is `viewer` or `contributor`" {
        /// At least `viewer` in the environment of the resource.
        Viewer = "viewer",
        /// `contributor` in the environment of the resource.
        Contributor = "contributor",
    }
    /// The role of a member in the workspace.
    #[schemars(description = "What a member may do in the workspace.")]
    WorkspaceRole, "a workspace role is `member`, `manager` or `owner`" {
        /// Deploys and manages apps; changes no access.
        Member = "member",
        /// As an owner, but cannot touch owners.
        Manager = "manager",
        /// Everything.
        Owner = "owner",
    }
    /// The role of an access key.
    #[schemars(description = "What an access key may ask for.")]
    AccessKeyRole, "an access key's role is `evaluator` or `auditor`" {
        /// Asks for decisions.
        Evaluator = "evaluator",
        /// Reads everything that the audit offers.
        Auditor = "auditor",
    }
    /// Whether a workspace belongs to one person or to many.
    WorkspaceKind, "a workspace's kind is `personal` or `shared`" {
        /// One person's.
        Personal = "personal",
        /// Many people's.
        Shared = "shared",
    }
    /// The plan of a workspace.
    #[schemars(description = "What the workspace has subscribed to.")]
    Plan, "a plan is `starter`, `team` or `enterprise`" {
        /// Without RBAC.
        Starter = "starter",
        /// With RBAC.
        Team = "team",
        /// With RBAC.
        Enterprise = "enterprise",
    }
}

impl From<RequiredRole> for EnvironmentRole {
    fn from(required: RequiredRole) -> Self {
        match required {
            RequiredRole::Viewer => Self::Viewer,
            RequiredRole::Contributor => Self::Contributor,
        }
    }
}

impl WorkspaceRole {
    /// Returns whether the role administers the workspace, and so makes its holder a contributor everywhere.
    pub const fn administers(self) -> bool {
        matches!(self, Self::Owner | Self::Manager)
    }
}

impl Plan {
    /// Returns whether the plan includes role-based access control.
    pub const fn includes_rbac(self) -> bool {
        matches!(self, Self::Team | Self::Enterprise)
    }
}
