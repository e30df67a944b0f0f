//! Typed identifiers.
//!
//! An entity has a `TypeID` (specification 0.3): a prefix for its kind, an underscore, and the 128 bits of a `UUIDv7`
//! as 26 letters of Crockford's base 32. Each kind has its own type, so an environment cannot be passed as a token. Ids
//! are not made here, because that needs a clock and randomness (see [`GeneratedIds`]).

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smol_str::SmolStr;
use uuid::Uuid;

use crate::domain::model::credential::SecretDigest;
use crate::domain::model::parsed::parsed;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const SUFFIX_LEN: usize = 26;
/// The digit of each byte; 32 for a byte that is no digit. Decoding is hot: each event that is read has several ids.
const DIGITS: [u8; 256] = digits();

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated when it is compiled, where an index that is too large is an error"
)]
const fn digits() -> [u8; 256] {
    let mut digits = [32; 256];
    let mut digit = 0_u8;
    let mut rest: &[u8] = ALPHABET;
    while let [letter, after @ ..] = rest {
        digits[letter_place(*letter)] = digit;
        digit += 1;
        rest = after;
    }
    digits
}

#[expect(clippy::as_conversions, reason = "`From` cannot be called when it is compiled, and nothing is lost")]
const fn letter_place(letter: u8) -> usize {
    letter as usize
}

/// Every prefix of an id in an event. No name has the whole form of such an id, so a name is never taken for one.
pub const PREFIXES: [&str; 8] = ["ws", "env", "svc", "tok", "prx", "key", "evt", "cmd"];

/// A text that is no identifier of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an id of this kind")]
pub struct NotAnId(pub String);

/// Writes 128 bits as letters, without an allocation.
fn write_suffix(f: &mut fmt::Formatter<'_>, uuid: Uuid) -> fmt::Result {
    let mut bits = uuid.as_u128();
    let mut letters = [b'0'; SUFFIX_LEN];
    for letter in letters.iter_mut().rev() {
        let digit = usize::try_from(bits & 31).unwrap_or_default();
        *letter = ALPHABET.get(digit).copied().unwrap_or(b'0');
        bits >>= 5;
    }
    f.write_str(std::str::from_utf8(&letters).unwrap_or_default())
}

/// Returns whether a text has the whole form of an id in any case: a prefix, an underscore and 26 letters of the
/// alphabet.
pub(in crate::domain) fn has_id_form(text: &str) -> bool {
    let is_letter = |b: u8| DIGITS.get(usize::from(b.to_ascii_lowercase())).is_some_and(|digit| *digit < 32);
    text.split_once('_').is_some_and(|(head, letters)| {
        PREFIXES.iter().any(|prefix| prefix.eq_ignore_ascii_case(head))
            && letters.len() == SUFFIX_LEN
            && letters.bytes().all(is_letter)
    })
}

fn decode_suffix(suffix: &str) -> Option<Uuid> {
    if suffix.len() != SUFFIX_LEN || suffix.as_bytes().first().is_some_and(|first| *first > b'7') {
        return None;
    }
    suffix
        .bytes()
        .try_fold(0_u128, |bits, letter| {
            let digit = DIGITS.get(usize::from(letter)).copied().filter(|digit| *digit < 32)?;
            Some((bits << 5) | u128::from(digit))
        })
        .map(Uuid::from_u128)
}

macro_rules! typed_id {
    ($(#[doc = $doc:literal] $name:ident = $prefix:literal;)*) => {$(
        #[doc = $doc]
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// The text before the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// Returns the id with these 128 bits.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// Returns the 128 bits of this id.
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!($prefix, "_"))?;
                write_suffix(f, self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;

            fn from_str(text: &str) -> Result<Self, NotAnId> {
                text.strip_prefix($prefix)
                    .and_then(|rest| rest.strip_prefix('_'))
                    .and_then(decode_suffix)
                    .map(Self)
                    .ok_or_else(|| NotAnId(text.to_owned()))
            }
        }

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
                json_schema!({"type": "string", "pattern": concat!("^", $prefix, "_[0-7][0-9a-hjkmnp-tv-z]{25}$")})
            }
        }
    )*};
}

typed_id! {
    /// A workspace.
    WorkspaceId = "ws";
    /// An environment.
    EnvironmentId = "env";
    /// A service user.
    ServiceUserId = "svc";
    /// An API token.
    TokenId = "tok";
    /// A proxy token.
    ProxyTokenId = "prx";
    /// An access key.
    AccessKeyId = "key";
    /// An event.
    EventId = "evt";
    /// The command that an event came from.
    CommandId = "cmd";
    /// A read of the audit. It is recorded beside the log, never in it.
    ReadId = "read";
}

/// A person, by the opaque and stable id that the caller chose: `[A-Za-z0-9._@+:|/~='-]{1,255}`, not `.` or `..`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(SmolStr);

impl UserId {
    /// Returns the id as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

// INVARIANT: ids compare as their texts do.
impl Borrow<str> for UserId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The longest user id, in characters.
pub const USER_ID_CHARS_MAX: usize = 255;
/// The rule for a user id, for messages.
const USER_ID_RULE: &str = "a user id is 1 to 255 of `A-Z a-z 0-9 . _ @ + - : | / ~ = '`, and not `.` or `..`";

impl FromStr for UserId {
    type Err = crate::domain::model::name::InvalidText;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._@+-:|/~='".contains(&b);
        let fits = (1..=USER_ID_CHARS_MAX).contains(&text.len());
        if fits && text.bytes().all(allowed) && !matches!(text, "." | "..") {
            Ok(Self(text.into()))
        } else {
            Err(crate::domain::model::name::InvalidText::new(text, USER_ID_RULE))
        }
    }
}

impl Serialize for UserId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for UserId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer)
    }
}

impl JsonSchema for UserId {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "UserId".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^[A-Za-z0-9._@+:|/~='-]{1,255}$"})
    }
}

/// The ids and the digest that one command may need. They are generated before it is decided, so that `decide` depends
/// on its arguments only.
///
/// A command makes at most one entity, and with it one environment and one credential.
#[derive(Debug, Clone)]
pub struct GeneratedIds {
    /// The id of the new entity.
    pub entity: Uuid,
    /// The id of the environment `main` of a new workspace.
    pub environment: Uuid,
    /// The id of the first token of a new entity.
    pub token: Uuid,
    /// The SHA-256 of the secret of the new credential.
    pub digest: SecretDigest,
}
