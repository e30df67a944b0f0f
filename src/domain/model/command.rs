//! The commands, in the shape in which callers and recorded histories write them.
//!
//! A command names a new entity by a validated name. It names an existing entity by a reference, a name or an id.
//! References are looked up in the view in which the command is decided; a malformed reference names nothing.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::domain::model::id::UserId;
use crate::domain::model::name::{
    EmailAddress, EnvironmentName, Label, PersonName, ResourceId, ResourceTypeName, ServiceUserName, WorkspaceName,
};
use crate::domain::model::object::{object, objects};
use crate::domain::model::resource::Actions;
use crate::domain::model::role::{AccessKeyRole, EnvironmentRole, Plan, WorkspaceKind, WorkspaceRole};
use crate::domain::model::shape::ShapeError;
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

macro_rules! commands {
    ($($(#[doc = $doc:literal])+ $variant:ident $(= $name:literal)? {
        $($(#[$fmeta:meta])* $field:ident: $ty:ty,)*
    } => |$command:pat_param| $row:expr;)*) => {
        $($(#[doc = $doc])+
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $variant {
            $($(#[$fmeta])* pub $field: $ty,)*
        })*

        /// A change to a workspace.
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

            /// Returns the properties of the command beside its fields.
            fn row(&self) -> Row<'_> {
                match self {
                    $(Self::$variant($command) => $row,)*
                }
            }

            /// Returns the JSON Schema of each command's fields beside `type`, by type.
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

/// The profile of a person in the profile directory. It never reaches an event.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The person's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<PersonName>,
    /// The person's e-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<EmailAddress>,
}

impl Profile {
    /// Returns its size in bytes.
    pub fn bytes(&self) -> usize {
        let name = self.name.as_ref().map_or(0, |name| name.as_str().len());
        name + self.email.as_ref().map_or(0, |email| email.as_str().len())
    }

    /// Returns whether it has neither.
    pub const fn is_empty(&self) -> bool {
        self.name.is_none() && self.email.is_none()
    }
}

/// The first owner of a new workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Owner {
    /// The owner's user id.
    pub user: UserId,
    /// For the profile directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<PersonName>,
    /// For the profile directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<EmailAddress>,
}

/// The requested end of a grant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum GrantExpiry {
    /// Left out: no end. It cannot replace a grant that has an end.
    #[default]
    Unspecified,
    /// `null`: no end. It can replace a grant that has an end.
    Never,
    /// An end.
    At(Instant),
}

impl GrantExpiry {
    /// Returns whether the field is left out.
    pub const fn is_unspecified(&self) -> bool {
        matches!(self, Self::Unspecified)
    }

    /// Returns the instant at which the grant ends.
    pub const fn instant(self) -> Option<Instant> {
        match self {
            Self::At(end) => Some(end),
            Self::Unspecified | Self::Never => None,
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
    /// The principal that gets the grant.
    pub principal: PrincipalRef,
    /// The role.
    pub role: EnvironmentRole,
    /// The end of the grant; none if left out or `null`. It must be given if it replaces a grant that has an end.
    #[serde(default, skip_serializing_if = "GrantExpiry::is_unspecified")]
    pub expires_at: GrantExpiry,
}

/// A resource to place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResourceSpec {
    /// Its type, built in or of the workspace's own.
    #[serde(rename = "type")]
    pub resource_type: ResourceTypeRef,
    /// Its id within the type.
    pub id: ResourceId,
}

/// A resource that has been placed, by its type and id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResourceRef {
    /// Its type.
    #[serde(rename = "type")]
    pub resource_type: String,
    /// Its id within the type.
    pub id: String,
}

impl fmt::Display for ResourceRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.resource_type, self.id)
    }
}

/// The authority that a command requires of its caller. The operator has every authority.
#[derive(Debug, Clone, Copy)]
pub enum Authority<'a> {
    /// The operator.
    Operator,
    /// An owner.
    Owner,
    /// An owner or a manager.
    Administrator,
    /// An administrator, or the member itself.
    Removal(&'a RemoveMember),
    /// The holder itself, an owner for another member, or an administrator for a service user.
    Issue(&'a IssueToken),
    /// An administrator, or the holder of the token.
    Revocation(&'a RevokeToken),
}

/// The person whose profile a command sets.
#[derive(Debug, Clone, Copy)]
struct Person<'a> {
    user: &'a UserId,
    name: &'a Option<PersonName>,
    email: &'a Option<EmailAddress>,
}

impl<'a> From<&'a Owner> for Person<'a> {
    fn from(Owner { user, name, email }: &'a Owner) -> Self {
        Self { user, name, email }
    }
}

impl<'a> From<&'a AddMember> for Person<'a> {
    fn from(AddMember { user, name, email, .. }: &'a AddMember) -> Self {
        Self { user, name, email }
    }
}

/// The properties of a command beside its fields. Each row states the authority, and whether the command only takes
/// access away.
#[derive(Debug, Clone, Copy)]
struct Row<'a> {
    authority: Authority<'a>,
    takes_away: bool,
    makes_credential: bool,
    person: Option<Person<'a>>,
}

impl<'a> Row<'a> {
    const fn new(authority: Authority<'a>, takes_away: bool) -> Self {
        Self { authority, takes_away, makes_credential: false, person: None }
    }

    const fn gives(authority: Authority<'a>) -> Self {
        Self::new(authority, false)
    }

    const fn takes_away(authority: Authority<'a>) -> Self {
        Self::new(authority, true)
    }

    const fn making_credential(self) -> Self {
        Self { makes_credential: true, ..self }
    }

    fn with_profile(self, person: impl Into<Person<'a>>) -> Self {
        Self { person: Some(person.into()), ..self }
    }
}

commands! {
    /// Makes a workspace with its first owner, the owner's first token, and the environment `main`.
    CreateWorkspace {
        /// Its name.
        name: WorkspaceName,
        /// Whether it is personal or shared.
        kind: WorkspaceKind,
        /// Its plan.
        plan: Plan,
        /// Its first owner.
        #[serde(deserialize_with = "object")]
        owner: Owner,
    } => |command| Row::gives(Authority::Operator).making_credential().with_profile(&command.owner);

    /// Ends the workspace and everything in it.
    DeleteWorkspace {} => |_| Row::takes_away(Authority::Owner);

    /// Subscribes the workspace to another plan; without RBAC in it, RBAC goes off too.
    ChangePlan = "plan.change" {
        /// The plan from now on.
        plan: Plan,
    } => |_| Row::gives(Authority::Operator);

    /// Enforces restrictions, grants and scopes.
    EnableRbac = "rbac.enable" {} => |_| Row::takes_away(Authority::Administrator);

    /// Stops enforcing restrictions, grants and scopes; they stay recorded.
    DisableRbac = "rbac.disable" {} => |_| Row::gives(Authority::Administrator);

    /// Makes a person a member.
    AddMember = "member.add" {
        /// The person's user id.
        user: UserId,
        /// The person's workspace role.
        role: WorkspaceRole,
        /// The person's name, for the profile directory.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<PersonName>,
        /// The person's e-mail address, for the profile directory.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        email: Option<EmailAddress>,
    } => |command| Row::gives(Authority::Administrator).with_profile(command);

    /// Gives a member another workspace role.
    ChangeMemberRole = "member.change_role" {
        /// The member.
        user: UserRef,
        /// The role from now on.
        role: WorkspaceRole,
    } => |command| Row::new(Authority::Administrator, command.role == WorkspaceRole::Member);

    /// Ends a membership, with its grants and tokens.
    RemoveMember = "member.remove" {
        /// The member.
        user: UserRef,
        /// Whether to revoke each API token, proxy token and access key that the member issued and that still lives.
        #[serde(default)]
        revoke_issued: bool,
    } => |command| Row::takes_away(Authority::Removal(command));

    /// Makes a service user with its first token.
    CreateServiceUser = "service_user.create" {
        /// Its name.
        name: ServiceUserName,
    } => |_| Row::gives(Authority::Administrator).making_credential();

    /// Ends a service user, with its grants and tokens.
    DeleteServiceUser = "service_user.delete" {
        /// The service user.
        service_user: ServiceUserRef,
    } => |_| Row::takes_away(Authority::Administrator);

    /// Makes an API token for exactly one holder.
    IssueToken = "token.issue" {
        /// The holder, if a member.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<UserRef>,
        /// The holder, if a service user.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        service_user: Option<ServiceUserRef>,
        /// The end of the token. It is at most that of the token that authenticates the request, which is also the
        /// default.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<Instant>,
    } => |command| Row::gives(Authority::Issue(command)).making_credential();

    /// Revokes an API token.
    RevokeToken = "token.revoke" {
        /// The token.
        token: TokenRef,
    } => |command| Row::takes_away(Authority::Revocation(command));

    /// Makes an environment, which can be restricted from its first moment.
    CreateEnvironment = "environment.create" {
        /// Its name.
        name: EnvironmentName,
        /// Whether it is restricted.
        #[serde(default)]
        restricted: bool,
        /// The role of principals without a grant in a restricted environment; `viewer` if left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        default_role: Option<EnvironmentRole>,
        /// The first grants in a restricted environment.
        #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "objects")]
        grants: Vec<GrantSpec>,
    } => |_| Row::gives(Authority::Administrator);

    /// Gives an environment another name.
    RenameEnvironment = "environment.rename" {
        /// The environment.
        environment: EnvironmentRef,
        /// The name from now on.
        name: EnvironmentName,
    } => |_| Row::gives(Authority::Administrator);

    /// Restricts an environment, or changes the default role of one that is restricted.
    RestrictEnvironment = "environment.restrict" {
        /// The environment.
        environment: EnvironmentRef,
        /// The role of principals without a grant. If left out, it is kept, or `viewer` for an environment that was
        /// unrestricted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        default_role: Option<EnvironmentRole>,
        /// Grants to add.
        #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "objects")]
        grants: Vec<GrantSpec>,
    } => |command| Row::new(
        Authority::Administrator,
        command.grants.is_empty() && gives_nothing(command.default_role),
    );

    /// Changes the role of principals without a grant in a restricted environment.
    SetDefaultRole = "environment.set_default_role" {
        /// The environment.
        environment: EnvironmentRef,
        /// The role from now on.
        default_role: EnvironmentRole,
    } => |command| Row::new(Authority::Administrator, gives_nothing(Some(command.default_role)));

    /// Opens an environment to every principal, and ends every grant in it.
    UnrestrictEnvironment = "environment.unrestrict" {
        /// The environment.
        environment: EnvironmentRef,
    } => |_| Row::gives(Authority::Administrator);

    /// Ends an environment, with its grants and the placements in it, and removes it from the scopes of proxy tokens.
    DeleteEnvironment = "environment.delete" {
        /// The environment.
        environment: EnvironmentRef,
    } => |_| Row::takes_away(Authority::Administrator);

    /// Grants a principal a role in a restricted environment, in place of an earlier grant there.
    SetGrant = "grant.set" {
        /// The environment.
        environment: EnvironmentRef,
        /// The principal that gets the grant.
        principal: PrincipalRef,
        /// The role.
        role: EnvironmentRole,
        /// The end of the grant; none if left out or `null`. It must be given if it replaces a grant that has an end.
        #[serde(default, skip_serializing_if = "GrantExpiry::is_unspecified")]
        expires_at: GrantExpiry,
    } => |_| Row::gives(Authority::Administrator);

    /// Revokes a grant.
    RevokeGrant = "grant.revoke" {
        /// The environment.
        environment: EnvironmentRef,
        /// The principal that loses the grant.
        principal: PrincipalRef,
    } => |_| Row::takes_away(Authority::Administrator);

    /// Makes a proxy token: scoped while RBAC is on, workspace-wide while it is off.
    CreateProxyToken = "proxy_token.create" {
        /// The environments in which a scoped token is valid.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        environments: Option<Vec<EnvironmentRef>>,
        /// The end of the token. It is at most that of the token that authenticates the request, which is also the
        /// default.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<Instant>,
    } => |_| Row::gives(Authority::Administrator).making_credential();

    /// Sets the environments of a scoped proxy token.
    SetProxyTokenEnvironments = "proxy_token.set_environments" {
        /// The proxy token.
        proxy_token: ProxyTokenRef,
        /// The environments in which it is valid from now on; none of them if empty.
        environments: Vec<EnvironmentRef>,
    } => |command| Row::new(Authority::Administrator, command.environments.is_empty());

    /// Revokes a proxy token.
    RevokeProxyToken = "proxy_token.revoke" {
        /// The proxy token.
        proxy_token: ProxyTokenRef,
    } => |_| Row::takes_away(Authority::Administrator);

    /// Makes an access key, which can ask but never change.
    IssueAccessKey = "access_key.issue" {
        /// The role of the key.
        role: AccessKeyRole,
        /// The purpose of the key.
        label: Label,
        /// The end of the key. It is at most that of the token that authenticates the request, which is also the
        /// default.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<Instant>,
    } => |_| Row::gives(Authority::Administrator).making_credential();

    /// Revokes an access key.
    RevokeAccessKey = "access_key.revoke" {
        /// The access key.
        access_key: AccessKeyRef,
    } => |_| Row::takes_away(Authority::Administrator);

    /// Defines a resource type of the workspace, or replaces the actions of one.
    DefineResourceType = "resource_type.define" {
        /// Its name.
        name: ResourceTypeName,
        /// The role that each action requires. They replace earlier actions.
        actions: Actions,
    } => |_| Row::gives(Authority::Administrator);

    /// Records the environment of a resource, in place of an earlier one.
    PlaceResource = "resource.place" {
        /// The resource.
        #[serde(deserialize_with = "object")]
        resource: ResourceSpec,
        /// The environment from now on.
        environment: EnvironmentRef,
    } => |_| Row::gives(Authority::Administrator);

    /// Removes the record of a resource's environment.
    RemoveResource = "resource.remove" {
        /// The resource.
        #[serde(deserialize_with = "object")]
        resource: ResourceRef,
    } => |_| Row::gives(Authority::Administrator);
}

impl Command {
    /// Returns the authority that the command requires.
    pub fn authority(&self) -> Authority<'_> {
        self.row().authority
    }

    /// Returns whether the command makes a credential, and so needs a secret.
    pub fn makes_credential(&self) -> bool {
        self.row().makes_credential
    }

    /// Returns whether the command only takes access away. Such a command is accepted even if almost no disk space is
    /// left.
    pub fn takes_away(&self) -> bool {
        self.row().takes_away
    }

    /// Reads `{"type": TYPE, …}`.
    ///
    /// # Errors
    /// The first missing, unknown or unacceptable field.
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

    /// Returns the person and the profile that the command sets, if it sets one.
    pub fn profile(&self) -> Option<(UserId, Profile)> {
        let Person { user, name, email } = self.row().person?;
        let profile = Profile { name: name.clone(), email: email.clone() };
        (!profile.is_empty()).then(|| (user.clone(), profile))
    }
}

/// Returns whether a default role gives nobody more access.
const fn gives_nothing(role: Option<EnvironmentRole>) -> bool {
    matches!(role, None | Some(EnvironmentRole::NoAccess))
}
