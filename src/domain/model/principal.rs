//! Who acts: principals hold access, actors make changes, callers ask for them.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::domain::model::id::{AccessKeyId, ServiceUserId, TokenId, UserId};
use crate::domain::model::name::InvalidText;
use crate::domain::model::parsed::parsed;
use crate::domain::model::role::AccessKeyRole;

/// Who can hold access: a member or a service user. Written `user:ID` or `service_user:svc_…`.
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

/// Who made a change, as it stands in the event.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Actor {
    /// The holder of the instance's own credential.
    Operator,
    /// A member.
    User(UserId),
    /// A service user; none may change anything today, but a log may have been recorded elsewhere.
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

/// What an actor proved itself with, as it stands in the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CredentialId {
    /// The instance's own credential.
    Operator,
    /// An API token.
    Token(TokenId),
}

impl fmt::Display for CredentialId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operator => f.write_str("operator"),
            Self::Token(token) => fmt::Display::fmt(token, f),
        }
    }
}

impl FromStr for CredentialId {
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
    ($($name:ident: $pattern:literal;)*) => {$(
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
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"type": "string", "pattern": $pattern})
            }
        }
    )*};
}

as_text! {
    Principal: "^(user:[A-Za-z0-9._@+:|/~='-]{1,255}|service_user:svc_[0-7][0-9a-hjkmnp-tv-z]{25})$";
    Actor: "^(operator|system|user:[A-Za-z0-9._@+:|/~='-]{1,255}|service_user:svc_[0-7][0-9a-hjkmnp-tv-z]{25})$";
    CredentialId: "^(operator|tok_[0-7][0-9a-hjkmnp-tv-z]{25})$";
}

/// Who asks for a change or a decision, after they proved it. Whether they still may is judged at the head, each time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// The holder of the instance's own credential: may do anything in any workspace.
    Operator,
    /// The holder of an API token.
    Principal {
        /// Whose token it is.
        principal: Principal,
        /// The token.
        token: TokenId,
    },
    /// The holder of an access key: asks, never changes.
    AccessKey {
        /// The key.
        key: AccessKeyId,
        /// What it may ask for.
        role: AccessKeyRole,
    },
    /// The actor of a recorded change, for whose authority the importing operator vouches.
    Vouched(Actor),
    /// An owner that someone supposes to be, in a question of what would happen; nothing is ever submitted as one.
    Supposed(UserId),
}

impl Caller {
    /// The actor that the caller's changes are recorded under.
    pub fn actor(&self) -> Actor {
        match self {
            Self::Operator | Self::AccessKey { .. } => Actor::Operator,
            Self::Principal { principal: Principal::User(user), .. } | Self::Supposed(user) => {
                Actor::User(user.clone())
            }
            Self::Principal { principal: Principal::ServiceUser(id), .. } => Actor::ServiceUser(*id),
            Self::Vouched(actor) => actor.clone(),
        }
    }

    /// The credential that the caller's changes are recorded under.
    pub const fn credential(&self) -> Option<CredentialId> {
        match self {
            Self::Operator => Some(CredentialId::Operator),
            Self::Principal { token, .. } => Some(CredentialId::Token(*token)),
            Self::AccessKey { .. } | Self::Vouched(_) | Self::Supposed(_) => None,
        }
    }
}
