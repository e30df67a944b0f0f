//! Validated texts: names, reasons, labels.
//!
//! A value of one of these types was checked when it was made. A text of a caller holds no hidden character. Older logs
//! were recorded when fewer characters were refused, so their texts are read with [`StoredText`].

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smol_str::{SmolStr, StrExt as _};

use crate::domain::model::characters::hides_something;
use crate::domain::model::id::has_id_form;
use crate::domain::model::parsed::parsed;

/// The longest name of a workspace, a service user or an environment, in characters.
pub const NAME_CHARS_MAX: usize = 64;
/// The longest reason, in characters.
pub const REASON_CHARS_MAX: usize = 1_000;
/// The longest name of a person, in characters.
pub const PERSON_NAME_CHARS_MAX: usize = 200;
/// The longest label of an access key, in characters.
pub const LABEL_CHARS_MAX: usize = 128;
/// The longest id of a resource, in characters.
pub const RESOURCE_ID_CHARS_MAX: usize = 256;

/// The words that no resource type has as its name: they name subjects and credentials.
const NOT_RESOURCE_TYPES: [&str; 9] =
    ["user", "service_user", "task", "proxy_token", "token", "access_key", "member", "operator", "system"];

/// A text that breaks the rule of its type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not accepted: {rule}")]
pub struct InvalidText {
    text: String,
    rule: &'static str,
}

impl InvalidText {
    /// Returns the refusal of `text`. At most 80 characters of it are repeated, with hidden ones escaped.
    pub fn new(text: &str, rule: &'static str) -> Self {
        Self { text: text.chars().take(80).flat_map(char::escape_debug).collect(), rule }
    }
}

/// Returns whether the first version refused this character, so that no log holds it.
fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn is_lowercase_name(text: &str) -> bool {
    let first = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    is_name(text, first, |b| first(b) || b == b'_' || b == b'-')
}

fn is_service_user_name(text: &str) -> bool {
    let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let any = |b: u8| letter(b) || b == b'_' || b == b'-';
    is_name(text, any, any) && text.bytes().any(letter)
}

fn is_mixed_case_name(text: &str) -> bool {
    is_name(text, |b| b.is_ascii_alphanumeric(), |b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

fn is_name(text: &str, first: impl Fn(u8) -> bool, rest: impl Fn(u8) -> bool) -> bool {
    text.len() <= NAME_CHARS_MAX
        && text.bytes().next().is_some_and(first)
        && text.bytes().all(rest)
        && !has_id_form(text)
}

fn is_word(text: &str) -> bool {
    is_name(text, |b| b.is_ascii_lowercase(), |b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

fn is_resource_type(text: &str) -> bool {
    is_word(text) && !NOT_RESOURCE_TYPES.contains(&text)
}

/// Returns whether a text can be a segment in the path of a URL: `.` and `..` cannot.
fn is_resource_id(text: &str) -> bool {
    !text.trim().is_empty()
        && text.chars().count() <= RESOURCE_ID_CHARS_MAX
        && !text.chars().any(is_deceptive)
        && !matches!(text, "." | "..")
}

fn is_reason(text: &str) -> bool {
    text.chars().count() <= REASON_CHARS_MAX && !text.chars().any(is_deceptive)
}

fn is_label(text: &str) -> bool {
    !text.trim().is_empty() && text.chars().count() <= LABEL_CHARS_MAX && !text.chars().any(is_deceptive)
}

fn is_person_name(text: &str) -> bool {
    text.chars().count() <= PERSON_NAME_CHARS_MAX && !text.chars().any(is_deceptive)
}

fn is_email_address(text: &str) -> bool {
    text.len() <= 254
        && !text.chars().any(|c| is_deceptive(c) || c.is_whitespace())
        && text.trim_matches('@').contains('@')
}

/// A text that a log or a directory may hold.
pub trait StoredText: Sized {
    /// Reads a text that was accepted when it was stored, even if callers may not give it now.
    ///
    /// # Errors
    /// The text was never accepted.
    fn stored(text: &str) -> Result<Self, InvalidText>;
}

/// A [`StoredText`] that was read by its stored rule.
struct Stored<T>(T);

impl<T: StoredText> FromStr for Stored<T> {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        T::stored(text).map(Self)
    }
}

/// Reads a text of a log.
///
/// # Errors
/// It is no string, or was never accepted.
pub fn stored<'de, D: Deserializer<'de>, T: StoredText>(deserializer: D) -> Result<T, D::Error> {
    parsed(deserializer).map(|Stored(text)| text)
}

/// Reads a text of a log that may be left out, but not be `null`.
///
/// # Errors
/// It is no string, or was never accepted.
pub fn stored_if_given<'de, D: Deserializer<'de>, T: StoredText>(deserializer: D) -> Result<Option<T>, D::Error> {
    stored(deserializer).map(Some)
}

macro_rules! validated_text {
    ($(#[doc = $doc:literal] $name:ident: $check:path, $rule:literal, $schema:tt;)*) => {$(
        #[doc = $doc]
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(SmolStr);

        impl $name {
            /// The rule, as a sentence.
            pub const RULE: &'static str = $rule;

            /// Returns the text as it was given.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidText;

            fn from_str(text: &str) -> Result<Self, InvalidText> {
                if hides_something(text) { Err(InvalidText::new(text, Self::RULE)) } else { Self::stored(text) }
            }
        }

        impl StoredText for $name {
            fn stored(text: &str) -> Result<Self, InvalidText> {
                if $check(text) { Ok(Self(text.into())) } else { Err(InvalidText::new(text, Self::RULE)) }
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
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
                json_schema!($schema)
            }
        }
    )*};
}

validated_text! {
    /// The name of a workspace: `[a-z0-9][a-z0-9_-]{0,63}`.
    WorkspaceName: is_lowercase_name,
        "a workspace name is 1 to 64 of `a-z 0-9 _ -`, begins with a letter or digit, and has not the form of an id such as `ws_…`",
        {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]{0,63}$"};
    /// The name of a service user: `[a-z0-9_-]{1,64}`, with a letter or digit.
    ServiceUserName: is_service_user_name,
        "a service user name is 1 to 64 of `a-z 0-9 _ -`, at least one of them a letter or digit, and has not the form of an id such as `svc_…`",
        {"type": "string", "pattern": "^[_-]*[a-z0-9][a-z0-9_-]*$", "maxLength": 64};
    /// The name of an environment: `[A-Za-z0-9][A-Za-z0-9_-]{0,63}`; two that differ only in case are the same.
    EnvironmentName: is_mixed_case_name,
        "an environment name is 1 to 64 of `A-Z a-z 0-9 _ -`, begins with a letter or digit, and has not the form of an id such as `env_…`",
        {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"};
    /// The name of a resource type: `[a-z][a-z0-9_]{0,63}`.
    ResourceTypeName: is_resource_type,
        "a resource type is 1 to 64 of `a-z 0-9 _`, begins with a letter, has not the form of an id such as `env_…`, and is no word for who acts, such as `user` or `task`",
        {"type": "string", "pattern": "^[a-z][a-z0-9_]{0,63}$"};
    /// The name of an action on resources of a type: `[a-z][a-z0-9_]{0,63}`.
    ActionName: is_word,
        "an action is 1 to 64 of `a-z 0-9 _`, begins with a letter, and has not the form of an id such as `env_…`",
        {"type": "string", "pattern": "^[a-z][a-z0-9_]{0,63}$"};
    /// The id of a resource within its type. The caller chooses it.
    ResourceId: is_resource_id,
        "a resource id is 1 to 256 characters, not all of them blank, not `.` or `..`, none of them invisible or a line separator",
        {"type": "string", "minLength": 1, "maxLength": 256};
    /// The reason of a change in the actor's words: a ticket, an approval.
    Reason: is_reason,
        "a reason is at most 1,000 characters, none of them invisible or a line separator",
        {"type": "string", "maxLength": 1000};
    /// The purpose of an access key in the issuer's words.
    Label: is_label,
        "a label is 1 to 128 characters, not all of them blank, none of them invisible or a line separator",
        {"type": "string", "minLength": 1, "maxLength": 128};
    /// The name of a person; kept in the profile directory only.
    PersonName: is_person_name,
        "a person's name is at most 200 characters, none of them invisible or a line separator",
        {"type": "string", "maxLength": 200};
    /// The e-mail address of a person; kept in the profile directory only.
    EmailAddress: is_email_address,
        "an e-mail address is at most 254 bytes, holds an `@` between other characters, and no blanks or invisible characters",
        {"type": "string", "maxLength": 254};
}

macro_rules! looked_up_as_text {
    ($($name:ty),*) => {$(
        // INVARIANT: values compare as their texts do.
        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    )*};
}
looked_up_as_text!(ServiceUserName, ResourceTypeName, ActionName, ResourceId);

impl EnvironmentName {
    /// Returns the key of the name. Two names with one key are the same name.
    pub fn key(&self) -> SmolStr {
        self.0.to_ascii_lowercase_smolstr()
    }

    /// Looks up the key of a text, or returns `None` if the text cannot be a name. It allocates nothing: each decision
    /// looks a name up.
    pub fn look_up<T>(text: &str, look: impl FnOnce(&[u8]) -> Option<T>) -> Option<T> {
        let mut key = [0; NAME_CHARS_MAX];
        key.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        // The whole array takes fewer steps than a loop that stops at the end of the text.
        key.make_ascii_lowercase();
        look(key.get(..text.len())?)
    }
}
