//! Credentials: their ids, and the digests of their secrets. Secrets themselves never reach the rules.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::id::{AccessKeyId, NotAnId, ProxyTokenId, TokenId};

/// The id of a credential of any kind that an event makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CredentialId {
    /// An API token.
    Token(TokenId),
    /// A proxy token.
    ProxyToken(ProxyTokenId),
    /// An access key.
    AccessKey(AccessKeyId),
}

impl FromStr for CredentialId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        match text.split_once('_').map(|(prefix, _)| prefix) {
            Some(TokenId::PREFIX) => text.parse().map(Self::Token),
            Some(ProxyTokenId::PREFIX) => text.parse().map(Self::ProxyToken),
            Some(AccessKeyId::PREFIX) => text.parse().map(Self::AccessKey),
            _ => Err(NotAnId(text.to_owned())),
        }
    }
}

impl fmt::Display for CredentialId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(id) => fmt::Display::fmt(id, f),
            Self::ProxyToken(id) => fmt::Display::fmt(id, f),
            Self::AccessKey(id) => fmt::Display::fmt(id, f),
        }
    }
}

/// The SHA-256 (FIPS 180-4) of a secret, written in base64url without padding (RFC 4648 §5).
///
/// It has no `==`: digests are compared in constant time, by the one function that authenticates.
#[derive(Clone, Copy)]
pub struct SecretDigest(pub [u8; 32]);

impl fmt::Display for SecretDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for SecretDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretDigest(…)")
    }
}

impl Serialize for SecretDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SecretDigest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes =
            URL_SAFE_NO_PAD.decode(&text).map_err(|_| de::Error::custom("a digest is base64url without padding"))?;
        bytes.try_into().map(Self).map_err(|_| de::Error::custom("a SHA-256 digest has 32 bytes"))
    }
}

impl JsonSchema for SecretDigest {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SecretDigest".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^[A-Za-z0-9_-]{43}$"})
    }
}
