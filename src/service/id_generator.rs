//! Ids and secrets: the only source of randomness.

use std::sync::Mutex;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use uuid::fmt::Simple;
use uuid::{ContextV7, Timestamp, Uuid};
use zeroize::Zeroizing;

use crate::domain::model::command::Command;
use crate::domain::model::credential::SecretDigest;
use crate::domain::model::id::{CommandId, GeneratedIds, ReadId, WorkspaceId};

/// A source of ids and secrets. Tests use one that counts.
pub trait IdGenerator: Send + Sync {
    /// Returns a new UUID version 7 (RFC 9562 §5.7).
    fn uuid(&self) -> Uuid;

    /// Returns 256 random bits.
    ///
    /// # Errors
    /// The system gave no random bits.
    fn secret_bits(&self) -> Result<[u8; 32], NoRandomness>;
}

/// The error if the system gave no random bits. Nothing that needs a secret can be made.
#[derive(Debug, thiserror::Error)]
#[error("the system gave no random bits")]
pub struct NoRandomness;

/// A generator that uses the machine's clock and randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct RandomIdGenerator;

/// The counter that orders the ids of one millisecond.
static ORDER: Mutex<ContextV7> = Mutex::new(ContextV7::new());

/// Returns an id like `Uuid::now_v7`, except that a clock before 1970 counts as 1970.
fn uuid_v7() -> Uuid {
    let now = crate::clock::since_epoch();
    Uuid::new_v7(Timestamp::from_unix(&ORDER, now.as_secs(), now.subsec_nanos()))
}

impl IdGenerator for RandomIdGenerator {
    fn uuid(&self) -> Uuid {
        uuid_v7()
    }

    fn secret_bits(&self) -> Result<[u8; 32], NoRandomness> {
        let mut bits = [0; 32];
        getrandom::fill(&mut bits).map_err(|_| NoRandomness)?;
        Ok(bits)
    }
}

/// A secret as its holder presents it. It is wiped from memory on drop, and cannot be printed or serialised by accident.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Returns a secret that a caller presented, or that was configured.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// Returns 256 new random bits in hexadecimal, which no shell, spreadsheet or header interprets.
    ///
    /// # Errors
    /// The system gave no random bits.
    pub fn make(ids: &dyn IdGenerator) -> Result<Self, NoRandomness> {
        let bits = Zeroizing::new(ids.secret_bits()?);
        Ok(Self::new(base16ct::lower::encode_string(bits.as_slice())))
    }

    /// Returns the secret itself, for the one response or file that holds it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns its SHA-256.
    pub fn digest(&self) -> SecretDigest {
        SecretDigest(Sha256::digest(self.0.as_bytes()).into())
    }

    /// Returns whether this is the secret of a digest, in constant time.
    pub fn matches(&self, digest: &SecretDigest) -> bool {
        self.digest().0.ct_eq(&digest.0).into()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Returns an id for a new workspace.
pub fn workspace_id(ids: &dyn IdGenerator) -> WorkspaceId {
    WorkspaceId::from_uuid(ids.uuid())
}

/// Returns an id for a new command.
pub fn command_id(ids: &dyn IdGenerator) -> CommandId {
    CommandId::from_uuid(ids.uuid())
}

/// Returns an id for a read of the audit.
pub fn read_id(ids: &dyn IdGenerator) -> ReadId {
    ReadId::from_uuid(ids.uuid())
}

/// Returns an id for a request without one, in hexadecimal digits.
pub fn request_id() -> [u8; Simple::LENGTH] {
    let mut digits = [0; Simple::LENGTH];
    uuid_v7().simple().encode_lower(&mut digits);
    digits
}

/// Returns the ids that any command may need, and the secret of the digest among them.
///
/// # Errors
/// The system gave no random bits.
pub fn fresh(ids: &dyn IdGenerator) -> Result<(GeneratedIds, Secret), NoRandomness> {
    let secret = Secret::make(ids)?;
    let (entity, environment, token) = (ids.uuid(), ids.uuid(), ids.uuid());
    Ok((GeneratedIds { entity, environment, token, digest: secret.digest() }, secret))
}

/// Returns the ids that a command may need, and a secret if it makes a credential. Other commands get the digest of no secret.
///
/// # Errors
/// The system gave no random bits.
pub fn fresh_for(ids: &dyn IdGenerator, command: &Command) -> Result<(GeneratedIds, Option<Secret>), NoRandomness> {
    if command.makes_credential() {
        return fresh(ids).map(|(fresh, secret)| (fresh, Some(secret)));
    }
    let (entity, environment, token) = (ids.uuid(), ids.uuid(), ids.uuid());
    Ok((GeneratedIds { entity, environment, token, digest: SecretDigest([0; 32]) }, None))
}
