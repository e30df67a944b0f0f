//! Principals hold access, actors make changes, and callers ask for them.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::domain::model::id::{AccessKeyId, ServiceUserId, TokenId, UserId};
use crate::domain::model::name::InvalidText;
use crate::domain::model::parsed::parsed;
use crate::domain::model::role::AccessKeyRole;

/// A holder of access: a member or a service user, written `user:ID` or `service_user:svc_…`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Principal {
    /// A person.
    User(UserId),
    /// A programmatic identity of the workspace.
    ServiceUser(ServiceUserId),
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(user) => write!(f, "user:{user}"),
            Self::ServiceUser(service_user) => write!(f, "service_user:{service_user}"),
        }
    }
}

impl FromStr for Principal {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        let invalid = || InvalidText::new(text, "a principal is written `user:ID` or `service_user:svc_…`");
        match text.split_once(':').ok_or_else(invalid)? {
            ("user", user) => user.parse().map(Self::User),
            ("service_user", id) => id.parse().map(Self::ServiceUser).map_err(|_| invalid()),
            _ => Err(invalid()),
        }
    }
}

/// The maker of a change, as recorded in its event.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Actor {
    /// The holder of the instance's own credential.
    Operator,
    /// A member.
    User(UserId),
    /// A service user. Today none may make changes, but a log may come from elsewhere.
    ServiceUser(ServiceUserId),
    /// Tenure itself, when something expires.
    System,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operator => f.write_str("operator"),
            Self::User(user) => write!(f, "user:{user}"),
            Self::ServiceUser(service_user) => write!(f, "service_user:{service_user}"),
            Self::System => f.write_str("system"),
        }
    }
}

impl FromStr for Actor {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        match text {
            "operator" => Ok(Self::Operator),
            "system" => Ok(Self::System),
            _ => text.parse().map(|principal| match principal {
                Principal::User(user) => Self::User(user),
                Principal::ServiceUser(service_user) => Self::ServiceUser(service_user),
            }),
        }
    }
}

/// The credential that an actor proved itself with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ActorCredential {
    /// The instance's own credential.
    Operator,
    /// An API token.
    Token(TokenId),
}

impl fmt::Display for ActorCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operator => f.write_str("operator"),
            Self::Token(token) => fmt::Display::fmt(token, f),
        }
    }
}

impl FromStr for ActorCredential {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        match text {
            "operator" => Ok(Self::Operator),
            _ => text
                .parse()
                .map(Self::Token)
                .map_err(|_| InvalidText::new(text, "a credential is `operator` or the id of an API token")),
        }
    }
}

macro_rules! as_text {
    ($($name:ident = $schema_name:literal: $pattern:literal;)*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                parsed(deserializer)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $schema_name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"type": "string", "pattern": $pattern})
            }
        }
    )*};
}

as_text! {
    Principal = "Principal": "^(user:[A-Za-z0-9._@+:|/~='-]{1,255}|service_user:svc_[0-7][0-9a-hjkmnp-tv-z]{25})$";
    Actor = "Actor": "^(operator|system|user:[A-Za-z0-9._@+:|/~='-]{1,255}|service_user:svc_[0-7][0-9a-hjkmnp-tv-z]{25})$";
    ActorCredential = "CredentialId": "^(operator|tok_[0-7][0-9a-hjkmnp-tv-z]{25})$";
}

/// An authenticated caller that asks for a change or a decision. Its authority is checked again at the head, each time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// The holder of the instance's own credential: may do anything in any workspace.
    Operator,
    /// The holder of an API token.
    Principal {
        /// The holder of the token.
        principal: Principal,
        /// The token.
        token: TokenId,
    },
    /// The holder of an access key, which can ask but never change.
    AccessKey {
        /// The key.
        key: AccessKeyId,
        /// The role of the key.
        role: AccessKeyRole,
    },
    /// The actor of an imported change. The importing operator vouches for the actor's authority.
    ImportedActor(Actor),
    /// An owner in a simulation. Nothing is ever submitted in this role.
    SimulatedUser(UserId),
}

impl Caller {
    /// Returns the actor that the caller's changes are recorded under.
    pub fn actor(&self) -> Actor {
        match self {
            Self::Operator | Self::AccessKey { .. } => Actor::Operator,
            Self::Principal { principal: Principal::User(user), .. } | Self::SimulatedUser(user) => {
                Actor::User(user.clone())
            }
            Self::Principal { principal: Principal::ServiceUser(id), .. } => Actor::ServiceUser(*id),
            Self::ImportedActor(actor) => actor.clone(),
        }
    }

    /// Returns the credential that the caller's changes are recorded under.
    pub const fn credential(&self) -> Option<ActorCredential> {
        match self {
            Self::Operator => Some(ActorCredential::Operator),
            Self::Principal { token, .. } => Some(ActorCredential::Token(*token)),
            Self::AccessKey { .. } | Self::ImportedActor(_) | Self::SimulatedUser(_) => None,
        }
    }
}
