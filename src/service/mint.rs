//! Where ids and secrets are made: the only source of chance.

use std::sync::Mutex;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use uuid::fmt::Simple;
use uuid::{ContextV7, Timestamp, Uuid};
use zeroize::Zeroizing;

use crate::domain::model::command::Command;
use crate::domain::model::credential::SecretDigest;
use crate::domain::model::id::{CommandId, GeneratedIds, ReadId, WorkspaceId};

/// Makes ids and secrets. Tests give one that counts.
pub trait Mint: Send + Sync {
    /// A new UUID version 7 (RFC 9562 §5.7).
    fn uuid(&self) -> Uuid;

    /// 256 random bits.
    ///
    /// # Errors
    /// The system has no randomness to give.
    fn secret_bits(&self) -> Result<[u8; 32], NoRandomness>;
}

/// The system has no randomness to give; nothing that needs a secret can be made.
#[derive(Debug, thiserror::Error)]
#[error("the system gave no random bits")]
pub struct NoRandomness;

/// Ids from the machine's clock and randomness, secrets from its randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct RandomMint;

/// Orders the ids of one millisecond.
static ORDER: Mutex<ContextV7> = Mutex::new(ContextV7::new());

/// Makes an id as `Uuid::now_v7` does, but for a clock before 1970, which counts as 1970.
fn uuid_v7() -> Uuid {
    let now = crate::clock::since_epoch();
    Uuid::new_v7(Timestamp::from_unix(&ORDER, now.as_secs(), now.subsec_nanos()))
}

impl Mint for RandomMint {
    fn uuid(&self) -> Uuid {
        uuid_v7()
    }

    fn secret_bits(&self) -> Result<[u8; 32], NoRandomness> {
        let mut bits = [0; 32];
        getrandom::fill(&mut bits).map_err(|_| NoRandomness)?;
        Ok(bits)
    }
}

/// A secret as its holder presents it. It is wiped from memory when dropped, and cannot be printed or serialised by accident.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// A secret that someone presented, or configured.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// 256 new random bits, in hexadecimal: no shell, spreadsheet or header takes any of it for something else.
    ///
    /// # Errors
    /// The system has no randomness to give.
    pub fn make(mint: &dyn Mint) -> Result<Self, NoRandomness> {
        let bits = Zeroizing::new(mint.secret_bits()?);
        Ok(Self::new(base16ct::lower::encode_string(bits.as_slice())))
    }

    /// The secret itself, for the one answer or file that it is written to.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Its SHA-256.
    pub fn digest(&self) -> SecretDigest {
        SecretDigest(Sha256::digest(self.0.as_bytes()).into())
    }

    /// Whether this is the secret of a digest, in a time that does not depend on where they differ.
    pub fn matches(&self, digest: &SecretDigest) -> bool {
        self.digest().0.ct_eq(&digest.0).into()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A new workspace's id.
pub fn workspace_id(mint: &dyn Mint) -> WorkspaceId {
    WorkspaceId::from_uuid(mint.uuid())
}

/// A new command's id.
pub fn command_id(mint: &dyn Mint) -> CommandId {
    CommandId::from_uuid(mint.uuid())
}

/// An id for a read of the audit.
pub fn read_id(mint: &dyn Mint) -> ReadId {
    ReadId::from_uuid(mint.uuid())
}

/// An id for a request that came without one, in hexadecimal digits.
pub fn request_id() -> [u8; Simple::LENGTH] {
    let mut digits = [0; Simple::LENGTH];
    uuid_v7().simple().encode_lower(&mut digits);
    digits
}

/// What one command may need, and the secret whose digest is in it.
///
/// # Errors
/// The system has no randomness to give.
pub fn fresh(mint: &dyn Mint) -> Result<(GeneratedIds, Secret), NoRandomness> {
    let secret = Secret::make(mint)?;
    let (entity, environment, token) = (mint.uuid(), mint.uuid(), mint.uuid());
    Ok((GeneratedIds { entity, environment, token, digest: secret.digest() }, secret))
}

/// As [`fresh`], for a command that is known: a secret is drawn only where it makes a credential. The digest of any other is
/// none that a secret could have.
///
/// # Errors
/// The system has no randomness to give.
pub fn fresh_for(mint: &dyn Mint, command: &Command) -> Result<(GeneratedIds, Option<Secret>), NoRandomness> {
    if command.makes_credential() {
        return fresh(mint).map(|(fresh, secret)| (fresh, Some(secret)));
    }
    let (entity, environment, token) = (mint.uuid(), mint.uuid(), mint.uuid());
    Ok((GeneratedIds { entity, environment, token, digest: SecretDigest([0; 32]) }, None))
}
