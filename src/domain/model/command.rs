//! What can be asked for: the commands, in the shape that callers and recorded histories write them.
//!
//! What is made is named by a validated name. What is acted on is named by a reference, a name or an id, that is looked up in
//! the view the command is judged against; a reference that cannot name anything simply names nothing.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::domain::model::characters::shown;
use crate::domain::model::id::UserId;
use crate::domain::model::name::{
    EmailAddress, EnvironmentName, Label, PersonName, ResourceId, ResourceTypeName, ServiceUserName, WorkspaceName,
};
use crate::domain::model::object::{object, objects};
use crate::domain::model::resource::Actions;
use crate::domain::model::role::{AccessKeyRole, EnvironmentRole, Plan, WorkspaceKind, WorkspaceRole};
use crate::domain::model::time::Instant;

/// The most commands that one request may ask for.
pub const COMMANDS_MAX: usize = 1_000;

macro_rules! reference {
    ($(#[doc = $doc:literal] $name:ident;)*) => {$(
        #[doc = $doc]
        #[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<T: Into<String>> From<T> for $name {
            fn from(text: T) -> Self {
                Self(text.into())
            }
        }
    )*};
}

reference! {
    /// A member, by user id.
    UserRef;
    /// A service user, by name or id.
    ServiceUserRef;
    /// An environment, by name (in any case) or id.
    EnvironmentRef;
    /// A principal: `user:ID`, `service_user:NAME` or `service_user:svc_…`.
    PrincipalRef;
    /// An API token, by id.
    TokenRef;
    /// A proxy token, by id.
    ProxyTokenRef;
    /// An access key, by id.
    AccessKeyRef;
    /// A resource type, built in or of the workspace's own, by name.
    ResourceTypeRef;
}

/// The longest path in an error, in characters.
const PATH_CHARS_MAX: usize = 200;
/// The longest message in an error, in characters.
const MESSAGE_CHARS_MAX: usize = 1_000;

/// Why a JSON value is not a command, or not the body that was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", if path.is_empty() || path == "." { String::new() } else { format!("`{path}`: ") })]
pub struct ShapeError {
    /// Where, as a path of fields and positions.
    pub path: String,
    /// Whether a value is of the wrong JSON type, rather than a wrong value or field.
    pub wrong_type: bool,
    /// What is wrong.
    pub message: String,
}

impl ShapeError {
    /// Reads a value in a given shape.
    ///
    /// # Errors
    /// The first place where the value does not fit.
    pub fn read<T: for<'de> Deserialize<'de>>(value: Value) -> Result<T, Self> {
        if !value.is_object() {
            let message = "invalid type: expected an object".to_owned();
            return Err(Self { path: String::new(), wrong_type: true, message });
        }
        serde_path_to_error::deserialize(value).map_err(|error| {
            // Both may hold names of fields that nobody has looked at yet.
            let message = shown(&error.inner().to_string(), MESSAGE_CHARS_MAX);
            let path = shown(&error.path().to_string(), PATH_CHARS_MAX);
            Self { path, wrong_type: message.starts_with("invalid type"), message }
        })
    }

    /// The same error, found at a place inside a larger value.
    #[must_use]
    pub fn within(mut self, place: &str) -> Self {
        self.path =
            if self.path.is_empty() || self.path == "." { place.to_owned() } else { format!("{place}.{}", self.path) };
        self
    }
}

macro_rules! commands {
    ($($(#[doc = $doc:literal])+ $variant:ident $(= $name:literal)? {
        $($(#[$fmeta:meta])* $field:ident: $ty:ty,)*
    })*) => {
        $($(#[doc = $doc])+
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $variant {
            $($(#[$fmeta])* pub $field: $ty,)*
        })*

        /// One change that is asked for.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Command {
            $($(#[doc = $doc])+ $variant($variant),)*
        }

        impl Command {
            /// The types that a batch may hold, in the order of the catalogue.
            pub const TYPES: &'static [&'static str] = &[$($($name,)?)*];

            fn read(type_name: &str, fields: Value) -> Result<Self, ShapeError> {
                match type_name {
                    $($($name => ShapeError::read(fields).map(Self::$variant),)?)*
                    unknown => Err(ShapeError {
                        path: "type".to_owned(),
                        wrong_type: false,
                        message: format!(
                            "`{}` is no command; the commands are {}",
                            unknown.chars().take(80).flat_map(char::escape_debug).collect::<String>(),
                            Self::TYPES.join(", "),
                        ),
                    }),
                }
            }

            /// The JSON Schema of each command's fields beside `type`, by type.
            pub fn schemas(generator: &mut SchemaGenerator) -> Vec<(&'static str, Schema)> {
                vec![$($(($name, <$variant as JsonSchema>::json_schema(generator)),)?)*]
            }
        }

        $(impl From<$variant> for Command {
            fn from(command: $variant) -> Self {
                Self::$variant(command)
            }
        })*
    };
}

/// What the profile directory keeps of a person; it never reaches an event.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// What the person is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<PersonName>,
    /// Where the person is written to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<EmailAddress>,
}

impl Profile {
    /// How many bytes it has.
    pub fn bytes(&self) -> usize {
        let name = self.name.as_ref().map_or(0, |name| name.as_str().len());
        name + self.email.as_ref().map_or(0, |email| email.as_str().len())
    }

    /// Whether nothing is known.
    pub const fn is_empty(&self) -> bool {
        self.name.is_none() && self.email.is_none()
    }
}

/// The first owner of a new workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Owner {
    /// Who.
    pub user: UserId,
    /// For the profile directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<PersonName>,
    /// For the profile directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<EmailAddress>,
}

/// The end that a grant is to have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum GrantExpiry {
    /// Left out: no end. It does not take the place of a grant that has one.
    #[default]
    Unsaid,
    /// `null`: no end, also in place of a grant that has one.
    Never,
    /// An end.
    At(Instant),
}

impl GrantExpiry {
    /// Returns whether the field is left out.
    pub const fn is_unsaid(&self) -> bool {
        matches!(self, Self::Unsaid)
    }

    /// Returns the instant from which on the grant gives nothing.
    pub const fn instant(self) -> Option<Instant> {
        match self {
            Self::At(end) => Some(end),
            Self::Unsaid | Self::Never => None,
        }
    }
}

impl Serialize for GrantExpiry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.instant().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for GrantExpiry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Self::Never, Self::At))
    }
}

impl JsonSchema for GrantExpiry {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "GrantExpiry".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        <Option<Instant>>::json_schema(generator)
    }
}

/// A grant that comes with an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GrantSpec {
    /// To whom.
    pub principal: PrincipalRef,
    /// Which role.
    pub role: EnvironmentRole,
    /// Until when; for good if left out or `null`. Over a grant that has an end, it cannot be left out.
    #[serde(default, skip_serializing_if = "GrantExpiry::is_unsaid")]
    pub expires_at: GrantExpiry,
}

/// A resource that is placed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResourceSpec {
    /// Its type, built in or of the workspace's own.
    #[serde(rename = "type")]
    pub resource_type: ResourceTypeRef,
    /// Which of its type.
    pub id: ResourceId,
}

/// A resource that has been placed, by its type and id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResourceRef {
    /// Its type.
    #[serde(rename = "type")]
    pub resource_type: String,
    /// Which of its type.
    pub id: String,
}

impl fmt::Display for ResourceRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.resource_type, self.id)
    }
}

commands! {
    /// Makes a workspace with its first owner, the owner's first token, and the environment `main`.
    CreateWorkspace {
        /// Its name.
        name: WorkspaceName,
        /// Whose it is.
        kind: WorkspaceKind,
        /// What it subscribes to.
        plan: Plan,
        /// Its first owner.
        #[serde(deserialize_with = "object")]
        owner: Owner,
    }

    /// Ends the workspace and everything in it.
    DeleteWorkspace {}

    /// Subscribes the workspace to another plan; without RBAC in it, RBAC goes off too.
    ChangePlan = "plan.change" {
        /// The plan from now on.
        plan: Plan,
    }

    /// Enforces restrictions, grants and scopes.
    EnableRbac = "rbac.enable" {}

    /// Stops enforcing restrictions, grants and scopes; they stay recorded.
    DisableRbac = "rbac.disable" {}

    /// Makes a person a member.
    AddMember = "member.add" {
        /// Who.
        user: UserId,
        /// As what.
        role: WorkspaceRole,
        /// For the profile directory.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<PersonName>,
        /// For the profile directory.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        email: Option<EmailAddress>,
    }

    /// Gives a member another workspace role.
    ChangeMemberRole = "member.change_role" {
        /// Who.
        user: UserRef,
        /// The role from now on.
        role: WorkspaceRole,
    }

    /// Ends a membership, with the grants and tokens of it.
    RemoveMember = "member.remove" {
        /// Who.
        user: UserRef,
        /// Whether to revoke each API token, proxy token and access key that the member issued and that still lives.
        #[serde(default)]
        revoke_issued: bool,
    }

    /// Makes a service user with its first token.
    CreateServiceUser = "service_user.create" {
        /// Its name.
        name: ServiceUserName,
    }

    /// Ends a service user, with its grants and tokens.
    DeleteServiceUser = "service_user.delete" {
        /// Which.
        service_user: ServiceUserRef,
    }

    /// Makes an API token for exactly one holder.
    IssueToken = "token.issue" {
        /// The holder, if a member.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<UserRef>,
        /// The holder, if a service user.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        service_user: Option<ServiceUserRef>,
        /// Until when; never later than the token it is asked with, which is also what it gets if this is left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<Instant>,
    }

    /// Takes an API token back.
    RevokeToken = "token.revoke" {
        /// Which.
        token: TokenRef,
    }

    /// Makes an environment, restricted from its first moment if so asked.
    CreateEnvironment = "environment.create" {
        /// Its name.
        name: EnvironmentName,
        /// Whether it is restricted.
        #[serde(default)]
        restricted: bool,
        /// What a restricted one gives to those without a grant; `viewer` if left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        default_role: Option<EnvironmentRole>,
        /// The first grants in a restricted one.
        #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "objects")]
        grants: Vec<GrantSpec>,
    }

    /// Gives an environment another name.
    RenameEnvironment = "environment.rename" {
        /// Which.
        environment: EnvironmentRef,
        /// The name from now on.
        name: EnvironmentName,
    }

    /// Restricts an environment, or changes the default role of one that is restricted.
    RestrictEnvironment = "environment.restrict" {
        /// Which.
        environment: EnvironmentRef,
        /// What it gives to those without a grant; `viewer`, or what it was, if left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        default_role: Option<EnvironmentRole>,
        /// Grants to add.
        #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "objects")]
        grants: Vec<GrantSpec>,
    }

    /// Changes what a restricted environment gives to those without a grant.
    SetDefaultRole = "environment.set_default_role" {
        /// Which.
        environment: EnvironmentRef,
        /// The role from now on.
        default_role: EnvironmentRole,
    }

    /// Opens an environment to every principal, and ends every grant in it.
    UnrestrictEnvironment = "environment.unrestrict" {
        /// Which.
        environment: EnvironmentRef,
    }

    /// Ends an environment, with its grants, its place in the scopes of proxy tokens, and the placements of resources in it.
    DeleteEnvironment = "environment.delete" {
        /// Which.
        environment: EnvironmentRef,
    }

    /// Gives a principal a role of their own in a restricted environment, in place of the one they had there.
    SetGrant = "grant.set" {
        /// Where.
        environment: EnvironmentRef,
        /// To whom.
        principal: PrincipalRef,
        /// Which role.
        role: EnvironmentRole,
        /// Until when; for good if left out or `null`. Over a grant that has an end, it cannot be left out.
        #[serde(default, skip_serializing_if = "GrantExpiry::is_unsaid")]
        expires_at: GrantExpiry,
    }

    /// Takes a grant back.
    RevokeGrant = "grant.revoke" {
        /// Where.
        environment: EnvironmentRef,
        /// From whom.
        principal: PrincipalRef,
    }

    /// Makes a proxy token: scoped while RBAC is on, workspace-wide while it is off.
    CreateProxyToken = "proxy_token.create" {
        /// Where a scoped one is valid.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        environments: Option<Vec<EnvironmentRef>>,
        /// Until when; never later than the token it is asked with, which is also what it gets if this is left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<Instant>,
    }

    /// Makes a scoped proxy token valid for other environments.
    SetProxyTokenEnvironments = "proxy_token.set_environments" {
        /// Which.
        proxy_token: ProxyTokenRef,
        /// Where it is valid from now on; nowhere if empty.
        environments: Vec<EnvironmentRef>,
    }

    /// Takes a proxy token back.
    RevokeProxyToken = "proxy_token.revoke" {
        /// Which.
        proxy_token: ProxyTokenRef,
    }

    /// Makes an access key, which may ask but never change.
    IssueAccessKey = "access_key.issue" {
        /// What it may ask for.
        role: AccessKeyRole,
        /// What it is for.
        label: Label,
        /// Until when; never later than the token it is asked with, which is also what it gets if this is left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<Instant>,
    }

    /// Takes an access key back.
    RevokeAccessKey = "access_key.revoke" {
        /// Which.
        access_key: AccessKeyRef,
    }

    /// Gives the workspace a resource type of its own, or one that it has other actions.
    DefineResourceType = "resource_type.define" {
        /// Its name.
        name: ResourceTypeName,
        /// The role that each action requires; these are all its actions from now on.
        actions: Actions,
    }

    /// Records which environment a resource lives in, in place of the one that was recorded.
    PlaceResource = "resource.place" {
        /// Which.
        #[serde(deserialize_with = "object")]
        resource: ResourceSpec,
        /// Where it lives from now on.
        environment: EnvironmentRef,
    }

    /// Records no longer which environment a resource lives in.
    RemoveResource = "resource.remove" {
        /// Which.
        #[serde(deserialize_with = "object")]
        resource: ResourceRef,
    }
}

impl Command {
    /// Whether doing it makes a credential, and so takes a secret.
    pub const fn makes_credential(&self) -> bool {
        matches!(
            self,
            Self::CreateWorkspace(_)
                | Self::CreateServiceUser(_)
                | Self::IssueToken(_)
                | Self::CreateProxyToken(_)
                | Self::IssueAccessKey(_)
        )
    }

    /// Whether doing it only takes access away, and so is done also where hardly any room is left to write it down.
    pub fn takes_away(&self) -> bool {
        match self {
            Self::DeleteWorkspace(_)
            | Self::EnableRbac(_)
            | Self::RemoveMember(_)
            | Self::DeleteServiceUser(_)
            | Self::RevokeToken(_)
            | Self::DeleteEnvironment(_)
            | Self::RevokeGrant(_)
            | Self::RevokeProxyToken(_)
            | Self::RevokeAccessKey(_) => true,
            Self::ChangeMemberRole(command) => command.role == WorkspaceRole::Member,
            Self::RestrictEnvironment(command) => command.grants.is_empty() && gives_nothing(command.default_role),
            Self::SetDefaultRole(command) => gives_nothing(Some(command.default_role)),
            Self::SetProxyTokenEnvironments(command) => command.environments.is_empty(),
            _ => false,
        }
    }

    /// Reads `{"type": TYPE, …}`.
    ///
    /// # Errors
    /// What is missing, unknown, of the wrong type or not accepted, and where.
    pub fn from_value(value: Value) -> Result<Self, ShapeError> {
        let shape = |path: &str, wrong_type, message: &str| ShapeError {
            path: path.into(),
            wrong_type,
            message: message.into(),
        };
        let Value::Object(mut fields) = value else {
            return Err(shape("", true, "invalid type: a command is an object with a `type`"));
        };
        match fields.shift_remove("type") {
            Some(Value::String(type_name)) => Self::read(&type_name, Value::Object(fields)),
            Some(_) => Err(shape("type", true, "invalid type: expected a string")),
            None => Err(shape("type", false, "missing field `type`")),
        }
    }

    /// What the profile directory is told when the command succeeds.
    pub fn profile(&self) -> Option<(UserId, Profile)> {
        let (user, name, email) = match self {
            Self::CreateWorkspace(command) => (&command.owner.user, &command.owner.name, &command.owner.email),
            Self::AddMember(command) => (&command.user, &command.name, &command.email),
            _ => return None,
        };
        let profile = Profile { name: name.clone(), email: email.clone() };
        (!profile.is_empty()).then(|| (user.clone(), profile))
    }
}

/// Whether a default role gives nothing that there was not before.
const fn gives_nothing(role: Option<EnvironmentRole>) -> bool {
    matches!(role, None | Some(EnvironmentRole::NoAccess))
}
