//! What can happen: the catalogue of events, each with its stored name, its subject and its data.
//!
//! A stored name ends in the version of its data's shape and never changes; a new shape is a new row. The envelope around the
//! data is the same for all. How it is written as bytes is the log's affair (`log::codec`).

use std::collections::BTreeSet;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::domain::model::credential::SecretDigest;
use crate::domain::model::packing::{Packed, Packer, Unpacker};
use crate::domain::model::id::{
    AccessKeyId, CommandId, EnvironmentId, EventId, ProxyTokenId, ServiceUserId, TokenId, UserId, WorkspaceId,
};
use crate::domain::model::name::{
    EnvironmentName, Label, Reason, ResourceTypeName, ServiceUserName, StoredText as _, WorkspaceName, stored,
};
use crate::domain::model::principal::{Actor, CredentialId, Principal};
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
    /// When it happened; as-of questions go by it.
    pub time: Instant,
    /// When it was recorded, where that was later: an imported event.
    pub recorded: Option<Instant>,
    /// Who made the change.
    pub actor: Actor,
    /// What they proved themselves with.
    pub credential: Option<CredentialId>,
    /// The command it came from, shared by all events of that command.
    pub command: CommandId,
    /// Why, in the actor's words. A long one stands with the first events of a command only: `View::reason_of` finds it.
    pub reason: Option<Reason>,
    /// What happened.
    pub data: EventData,
}

/// Why stored data is not an event that this build knows.
#[derive(Debug, thiserror::Error)]
pub enum UnknownEvent {
    /// No row of the catalogue has this name.
    #[error("the event type `{0}` is unknown to this version of tenure")]
    Type(String),
    /// The subject is not of the kind that the type is about.
    #[error("the subject `{0}` does not fit the event type")]
    Subject(String),
    /// The data has another shape than its type says.
    #[error("the data does not have the shape of its type: {0}")]
    Data(String),
}

/// What an event can be about: written as text in the event's `subject`.
trait Subject: Sized {
    fn write(&self) -> String;
    fn read(text: &str) -> Option<Self>;
    fn schema(generator: &mut SchemaGenerator) -> Schema;
}

macro_rules! text_subject {
    ($($text:ty),*) => {$(
        impl Subject for $text {
            fn write(&self) -> String {
                self.to_string()
            }

            fn read(text: &str) -> Option<Self> {
                text.parse().ok()
            }

            fn schema(generator: &mut SchemaGenerator) -> Schema {
                <Self as JsonSchema>::json_schema(generator)
            }
        }
    )*};
}
text_subject!(WorkspaceId, ServiceUserId, EnvironmentId, TokenId, ProxyTokenId, AccessKeyId, ResourceTypeName);

impl Subject for ResourceKey {
    fn write(&self) -> String {
        self.to_string()
    }

    fn read(text: &str) -> Option<Self> {
        Self::stored(text).ok()
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        Self::json_schema(generator)
    }
}

impl Subject for UserId {
    fn write(&self) -> String {
        format!("user:{self}")
    }

    fn read(text: &str) -> Option<Self> {
        text.strip_prefix("user:")?.parse().ok()
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^user:[A-Za-z0-9._@+:|/~='-]{1,255}$"})
    }
}

/// A type of the catalogue in JSON Schema (draft 2020-12).
#[derive(Debug, Clone)]
pub struct EventSchema {
    /// The stored name, with its version.
    pub type_name: &'static str,
    /// What happened, in a sentence.
    pub sentence: &'static str,
    /// The text of the subject.
    pub subject: Schema,
    /// The particulars; what it refers to is in its own `$defs`.
    pub data: Schema,
}

macro_rules! event_catalogue {
    ($($(#[doc = $doc:literal])+ $variant:ident($subject:ty, $data:ty) = $name:literal,)*) => {
        /// What happened, to whom or what (the subject, first), and the particulars.
        #[derive(Debug, Clone)]
        pub enum EventData {
            $($(#[doc = $doc])+ $variant($subject, $data),)*
        }

        impl EventData {
            /// Every stored name, in the order of the catalogue.
            pub const TYPES: &'static [&'static str] = &[$($name),*];

            /// The stored name, with its version.
            pub const fn type_name(&self) -> &'static str {
                match self {
                    $(Self::$variant(..) => $name,)*
                }
            }

            /// What the event is about, as text.
            pub fn subject(&self) -> String {
                match self {
                    $(Self::$variant(subject, _) => subject.write(),)*
                }
            }

            /// The particulars, as JSON text.
            ///
            /// # Errors
            /// None that can arise with the shapes of this catalogue; serialisation is fallible by type.
            pub fn data_json(&self) -> serde_json::Result<Box<RawValue>> {
                match self {
                    $(Self::$variant(_, data) => serde_json::value::to_raw_value(data),)*
                }
            }

            /// Reads what [`Self::type_name`], [`Self::subject`] and [`Self::data_json`] wrote.
            ///
            /// # Errors
            /// [`UnknownEvent`] names the part that this build does not know.
            pub fn from_stored(type_name: &str, subject: &str, data: &str) -> Result<Self, UnknownEvent> {
                let bad_subject = || UnknownEvent::Subject(subject.to_owned());
                let bad_data = |error: serde_json::Error| UnknownEvent::Data(error.to_string());
                match type_name {
                    $($name => Ok(Self::$variant(
                        Subject::read(subject).ok_or_else(bad_subject)?,
                        serde_json::from_str(data).map_err(bad_data)?,
                    )),)*
                    _ => Err(UnknownEvent::Type(type_name.to_owned())),
                }
            }

            /// Packs the name, the subject and the particulars.
            pub(in crate::domain) fn pack<'a>(&'a self, out: &mut Packer<'a>) {
                out.text(self.type_name());
                match self {
                    $(Self::$variant(subject, data) => {
                        subject.pack(out);
                        data.pack(out);
                    })*
                }
            }

            /// What [`Self::pack`] packed; none if the name is unknown or something else follows it.
            pub(in crate::domain) fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
                match from.text()? {
                    $($name => Some(Self::$variant(Packed::unpack(from)?, Packed::unpack(from)?)),)*
                    _ => None,
                }
            }

            /// Every type in JSON Schema, in the order of the catalogue.
            pub fn schemas() -> Vec<EventSchema> {
                vec![$(EventSchema {
                    type_name: $name,
                    sentence: concat!($($doc),+).trim_ascii(),
                    subject: <$subject as Subject>::schema(&mut SchemaGenerator::default()),
                    data: SchemaGenerator::default().into_root_schema_for::<$data>(),
                }),*]
            }
        }
    };
}

event_catalogue! {
    /// The workspace came to be.
    WorkspaceCreated(WorkspaceId, WorkspaceDescription) = "workspace.created.v1",
    /// The workspace and everything in it ended.
    WorkspaceDeleted(WorkspaceId, Nothing) = "workspace.deleted.v1",
    /// The workspace subscribes to another plan.
    PlanChanged(WorkspaceId, PlanChange) = "plan.changed.v1",
    /// Restrictions, grants and scopes are enforced from now on.
    RbacEnabled(WorkspaceId, Nothing) = "rbac.enabled.v1",
    /// Restrictions, grants and scopes stay recorded and are not enforced.
    RbacDisabled(WorkspaceId, Nothing) = "rbac.disabled.v1",
    /// A person became a member.
    MemberAdded(UserId, Membership) = "member.added.v1",
    /// A member has another workspace role.
    MemberRoleChanged(UserId, Membership) = "member.role_changed.v1",
    /// A person is no longer a member.
    MemberRemoved(UserId, Nothing) = "member.removed.v1",
    /// A service user came to be.
    ServiceUserCreated(ServiceUserId, ServiceUserDescription) = "service_user.created.v1",
    /// A service user is no more.
    ServiceUserDeleted(ServiceUserId, Nothing) = "service_user.deleted.v1",
    /// An API token was made.
    TokenIssued(TokenId, TokenTerms) = "token.issued.v1",
    /// An API token was taken back.
    TokenRevoked(TokenId, TokenEnd) = "token.revoked.v1",
    /// An API token passed its expiry.
    TokenExpired(TokenId, TokenEnd) = "token.expired.v1",
    /// An environment came to be, unrestricted.
    EnvironmentCreated(EnvironmentId, EnvironmentDescription) = "environment.created.v1",
    /// An environment has another name.
    EnvironmentRenamed(EnvironmentId, EnvironmentDescription) = "environment.renamed.v1",
    /// An environment is restricted from now on.
    EnvironmentRestricted(EnvironmentId, Restriction) = "environment.restricted.v1",
    /// A restricted environment gives another role to those without a grant.
    EnvironmentDefaultRoleChanged(EnvironmentId, Restriction) = "environment.default_role_changed.v1",
    /// An environment is open to every principal again.
    EnvironmentUnrestricted(EnvironmentId, Nothing) = "environment.unrestricted.v1",
    /// An environment is no more.
    EnvironmentDeleted(EnvironmentId, Nothing) = "environment.deleted.v1",
    /// A principal was given a role of their own in a restricted environment.
    GrantAdded(EnvironmentId, GrantTerms) = "grant.added.v1",
    /// A principal's grant has another role or expiry.
    GrantChanged(EnvironmentId, GrantTerms) = "grant.changed.v1",
    /// A principal's grant was taken back.
    GrantRevoked(EnvironmentId, GrantEnd) = "grant.revoked.v1",
    /// A principal's grant passed its expiry.
    GrantExpired(EnvironmentId, GrantEnd) = "grant.expired.v1",
    /// A proxy token was made.
    ProxyTokenCreated(ProxyTokenId, ProxyTokenTerms) = "proxy_token.created.v1",
    /// A scoped proxy token is valid for other environments.
    ProxyTokenScoped(ProxyTokenId, ProxyTokenScope) = "proxy_token.scoped.v1",
    /// A proxy token was taken back.
    ProxyTokenRevoked(ProxyTokenId, Nothing) = "proxy_token.revoked.v1",
    /// A proxy token passed its expiry.
    ProxyTokenExpired(ProxyTokenId, Nothing) = "proxy_token.expired.v1",
    /// An access key was made.
    AccessKeyIssued(AccessKeyId, AccessKeyTerms) = "access_key.issued.v1",
    /// An access key was taken back.
    AccessKeyRevoked(AccessKeyId, Nothing) = "access_key.revoked.v1",
    /// An access key passed its expiry.
    AccessKeyExpired(AccessKeyId, Nothing) = "access_key.expired.v1",
    /// A resource type of the workspace's own has these actions from now on.
    ResourceTypeDefined(ResourceTypeName, ResourceTypeTerms) = "resource_type.defined.v1",
    /// A resource, of which no environment was recorded, lives in one.
    ResourcePlaced(ResourceKey, Placement) = "resource.placed.v1",
    /// A resource lives in another environment.
    ResourceMoved(ResourceKey, Move) = "resource.moved.v1",
    /// It is no longer recorded where a resource lives.
    ResourceRemoved(ResourceKey, Placement) = "resource.removed.v1",
}

macro_rules! event_data {
    ($($(#[doc = $doc:literal])+ $name:ident { $($(#[$fmeta:meta])* $field:ident: $ty:ty,)* })*) => {$(
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$fmeta])* pub $field: $ty,)*
        }

        #[allow(unused_variables, reason = "some have no fields")]
        impl Packed for $name {
            fn pack<'a>(&'a self, out: &mut Packer<'a>) {
                $(self.$field.pack(out);)*
            }

            fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
                Some(Self { $($field: Packed::unpack(from)?,)* })
            }
        }
    )*};
}

event_data! {
    /// Events whose type and subject say it all.
    Nothing {}

    /// What a workspace begins with; RBAC is off.
    WorkspaceDescription {
        /// Its name.
        name: WorkspaceName,
        /// Whose it is.
        kind: WorkspaceKind,
        /// What it subscribes to.
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

    /// What a service user is called.
    ServiceUserDescription {
        /// Its name.
        name: ServiceUserName,
    }

    /// What an API token is.
    TokenTerms {
        /// Whom it authenticates.
        holder: Principal,
        /// SHA-256 of its secret.
        sha256: SecretDigest,
        /// From when on it is worth nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<Instant>,
    }

    /// Whose API token ended.
    TokenEnd {
        /// Whom it authenticated.
        holder: Principal,
    }

    /// What an environment is called.
    EnvironmentDescription {
        /// Its name.
        name: EnvironmentName,
    }

    /// What a restricted environment gives to those without a grant.
    Restriction {
        /// The role from now on.
        default_role: EnvironmentRole,
    }

    /// A grant.
    GrantTerms {
        /// Who holds it.
        principal: Principal,
        /// The role it gives.
        role: EnvironmentRole,
        /// From when on it gives nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<Instant>,
    }

    /// Whose grant ended.
    GrantEnd {
        /// Who held it.
        principal: Principal,
    }

    /// What a proxy token is.
    ProxyTokenTerms {
        /// The environments it is valid for; absent for a workspace-wide token.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        environments: Option<BTreeSet<EnvironmentId>>,
        /// SHA-256 of its secret.
        sha256: SecretDigest,
        /// From when on it is worth nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<Instant>,
    }

    /// What a scoped proxy token is valid for.
    ProxyTokenScope {
        /// The environments from now on; none of them: valid nowhere.
        environments: BTreeSet<EnvironmentId>,
    }

    /// What an access key is.
    AccessKeyTerms {
        /// What it may ask for.
        role: AccessKeyRole,
        /// What it is for.
        #[serde(deserialize_with = "stored")]
        label: Label,
        /// SHA-256 of its secret.
        sha256: SecretDigest,
        /// From when on it is worth nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<Instant>,
    }

    /// What can be done to resources of a type.
    ResourceTypeTerms {
        /// The role that each action requires.
        actions: Actions,
    }

    /// Where a resource lives, or lived until now.
    Placement {
        /// The environment.
        environment: EnvironmentId,
    }

    /// Where a resource lived, and lives from now on.
    Move {
        /// The environment until now.
        from: EnvironmentId,
        /// The environment from now on.
        environment: EnvironmentId,
    }
}

impl EventData {
    /// The principal that the event is about: as subject, holder of a grant, or holder of a token.
    pub fn principal(&self) -> Option<Principal> {
        match self {
            Self::MemberAdded(user, _) | Self::MemberRoleChanged(user, _) | Self::MemberRemoved(user, _) => {
                Some(Principal::User(user.clone()))
            }
            Self::ServiceUserCreated(id, _) | Self::ServiceUserDeleted(id, _) => Some(Principal::ServiceUser(*id)),
            Self::GrantAdded(_, grant) | Self::GrantChanged(_, grant) => Some(grant.principal.clone()),
            Self::GrantRevoked(_, end) | Self::GrantExpired(_, end) => Some(end.principal.clone()),
            Self::TokenIssued(_, token) => Some(token.holder.clone()),
            Self::TokenRevoked(_, end) | Self::TokenExpired(_, end) => Some(end.holder.clone()),
            _ => None,
        }
    }

    /// Whether the event only ends something. Such events are not counted against the limit of a command, so that nothing
    /// that was made can be too large to end.
    pub const fn is_end(&self) -> bool {
        matches!(
            self,
            Self::WorkspaceDeleted(..)
                | Self::MemberRemoved(..)
                | Self::ServiceUserDeleted(..)
                | Self::TokenRevoked(..)
                | Self::TokenExpired(..)
                | Self::EnvironmentUnrestricted(..)
                | Self::EnvironmentDeleted(..)
                | Self::GrantRevoked(..)
                | Self::GrantExpired(..)
                | Self::ProxyTokenScoped(..)
                | Self::ProxyTokenRevoked(..)
                | Self::ProxyTokenExpired(..)
                | Self::AccessKeyRevoked(..)
                | Self::AccessKeyExpired(..)
                | Self::ResourceRemoved(..)
        )
    }
}
