//! The macros of the event catalogue: the code that its rows and its data expand into.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::id::{AccessKeyId, EnvironmentId, ProxyTokenId, ServiceUserId, TokenId, UserId, WorkspaceId};
use super::name::{ResourceTypeName, StoredText as _};
use super::resource::ResourceKey;

/// The reason why stored data is not an event that this build knows.
#[derive(Debug, thiserror::Error)]
pub enum UnknownEvent {
    /// No row of the catalogue has this name.
    #[error("the event type `{0}` is unknown to this version of tenure")]
    Type(String),
    /// The subject is not of the kind that the type is about.
    #[error("the subject `{0}` does not fit the event type")]
    EventSubject(String),
    /// The data has another shape than its type says.
    #[error("the data does not have the shape of its type: {0}")]
    Data(String),
}

/// The subject of an event, written as text in its `subject`.
pub(super) trait EventSubject: Sized {
    fn write(&self) -> String;
    fn read(text: &str) -> Option<Self>;
    fn schema(generator: &mut SchemaGenerator) -> Schema;
}

macro_rules! text_subject {
    ($($text:ty),*) => {$(
        impl EventSubject for $text {
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

impl EventSubject for ResourceKey {
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

impl EventSubject for UserId {
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
    /// The sentence of the catalogue.
    pub sentence: &'static str,
    /// The schema of the subject.
    pub subject: Schema,
    /// The schema of the data, with its own `$defs`.
    pub data: Schema,
}

macro_rules! event_catalogue {
    ($($(#[doc = $doc:literal])+ $variant:ident($s:ident: $subject:ty, $d:ident: $data:ty) = $name:literal $(described $description:literal)? {
        fact: $fact:expr,
        follows: $precondition:expr,
        only_ends: $only_ends:literal,
        summary($environment_name:ident): $summary:expr,
    })*) => {
        /// The type of an event, with its subject and its data.
        #[derive(Debug, Clone)]
        pub enum EventData {
            $($(#[doc = $doc])+ $variant($subject, $data),)*
        }

        impl EventData {
            /// Every stored name, in the order of the catalogue.
            pub const TYPES: &'static [&'static str] = &[$($name),*];

            /// Returns the stored name, with its version.
            pub const fn type_name(&self) -> &'static str {
                match self {
                    $(Self::$variant(..) => $name,)*
                }
            }

            /// Returns the subject as text.
            pub fn subject(&self) -> String {
                match self {
                    $(Self::$variant(subject, _) => subject.write(),)*
                }
            }

            /// Returns the data as JSON text.
            ///
            /// # Errors
            /// None with the shapes of this catalogue; serialisation is fallible by type.
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
                let bad_subject = || UnknownEvent::EventSubject(subject.to_owned());
                let bad_data = |error: serde_json::Error| UnknownEvent::Data(error.to_string());
                match type_name {
                    $($name => Ok(Self::$variant(
                        EventSubject::read(subject).ok_or_else(bad_subject)?,
                        serde_json::from_str(data).map_err(bad_data)?,
                    )),)*
                    _ => Err(UnknownEvent::Type(type_name.to_owned())),
                }
            }

            /// Packs the name, the subject and the data.
            pub(in crate::domain) fn pack<'a>(&'a self, out: &mut Packer<'a>) {
                out.text(self.type_name());
                match self {
                    $(Self::$variant(subject, data) => {
                        subject.pack(out);
                        data.pack(out);
                    })*
                }
            }

            /// Takes what [`Self::pack`] packed, or returns `None` if the name is unknown or something else follows it.
            pub(in crate::domain) fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
                match from.text()? {
                    $($name => Some(Self::$variant(Packed::unpack(from)?, Packed::unpack(from)?)),)*
                    _ => None,
                }
            }

            /// Returns the fact that the event changes.
            #[allow(unused_variables, reason = "not every row needs its subject and its data here")]
            pub fn fact(&self) -> Fact<'_> {
                match self {
                    $(Self::$variant($s, $d) => $fact,)*
                }
            }

            /// Returns what must hold in the facts before the event.
            #[allow(unused_variables, reason = "not every row needs its subject and its data here")]
            pub fn precondition(&self) -> Precondition<'_> {
                match self {
                    $(Self::$variant($s, $d) => $precondition,)*
                }
            }

            /// Returns whether the event only ends something. Such events do not count towards the limit of a single command, so
            /// everything that could be made can be ended.
            pub const fn only_ends(&self) -> bool {
                match self {
                    $(Self::$variant(..) => $only_ends,)*
                }
            }

            /// Returns a sentence about the event, `environment_name` giving the names of environments.
            #[allow(unused_variables, reason = "not every sentence names everything")]
            pub fn summary(&self, environment_name: &dyn Fn(EnvironmentId) -> String) -> String {
                match self {
                    $(Self::$variant($s, $d) => {
                        let $environment_name = environment_name;
                        $summary
                    })*
                }
            }

            /// Returns every type in JSON Schema, in the order of the catalogue.
            pub fn schemas() -> Vec<EventSchema> {
                vec![$(EventSchema {
                    type_name: $name,
                    sentence: [$($description,)? concat!($($doc),+).trim_ascii()].into_iter().next().unwrap_or_default(),
                    subject: <$subject as EventSubject>::schema(&mut SchemaGenerator::default()),
                    data: SchemaGenerator::default().into_root_schema_for::<$data>(),
                }),*]
            }
        }
    };
}
pub(super) use event_catalogue;

macro_rules! event_data {
    ($($(#[$meta:meta])+ $name:ident { $($(#[$fmeta:meta])* $field:ident: $ty:ty,)* })*) => {$(
        #[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
        $(#[$meta])+
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
pub(super) use event_data;
