//! Ids and secrets: the only source of randomness.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use uuid::fmt::Simple;
use uuid::{ContextV7, NoContext, Timestamp, Uuid};
use zeroize::Zeroizing;

use crate::clock::WatchedClock;
use crate::domain::model::command::Command;
use crate::domain::model::credential::SecretDigest;
use crate::domain::model::id::{CommandId, GeneratedIds, ReadId, WorkspaceId};
use crate::domain::model::time::Instant;

/// A source of ids and secrets. Tests use one that counts.
pub trait IdGenerator: Send + Sync {
    /// Returns a new UUID version 7 (RFC 9562 §5.7).
    fn uuid(&self) -> Uuid;

    /// Returns a new UUID version 7 of a time, after those that were made in the same order. A generator that counts has no times.
    fn uuid_at(&self, _order: &IdOrder, _time: Instant) -> Uuid {
        self.uuid()
    }

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

/// The step back of the clock from which on the order of ids begins anew. After a smaller one, ids keep the later time.
const ORDER_STEP_BACK: Duration = Duration::from_mins(1);

/// The order of ids within a millisecond, and after a small step back of the clock. Each clock has its own.
pub struct IdOrder(Mutex<NewestId>);

struct NewestId {
    context: ContextV7,
    time: Duration,
}

/// The order of ids that have the time of the machine's clock.
static MACHINE_ORDER: IdOrder = IdOrder::new();

impl NewestId {
    const fn at(time: Duration) -> Self {
        Self { context: ContextV7::new(), time }
    }
}

impl IdOrder {
    const fn new() -> Self {
        Self(Mutex::new(NewestId::at(Duration::ZERO)))
    }

    /// Returns an id of a time after 1970.
    fn uuid_v7(&self, time: Duration) -> Uuid {
        let mut newest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if time.saturating_add(ORDER_STEP_BACK) < newest.time {
            *newest = NewestId::at(time);
        }
        newest.time = newest.time.max(time);
        Uuid::new_v7(Timestamp::from_unix(&newest.context, time.as_secs(), time.subsec_nanos()))
    }
}

impl IdGenerator for RandomIdGenerator {
    fn uuid(&self) -> Uuid {
        MACHINE_ORDER.uuid_v7(crate::clock::since_epoch())
    }

    fn uuid_at(&self, order: &IdOrder, time: Instant) -> Uuid {
        order.uuid_v7(Duration::from_micros(u64::try_from(time.micros()).unwrap_or_default()))
    }

    fn secret_bits(&self) -> Result<[u8; 32], NoRandomness> {
        let mut bits = [0; 32];
        getrandom::fill(&mut bits).map_err(|_| NoRandomness)?;
        Ok(bits)
    }
}

/// A generator whose ids have the settled time of a watched clock. So no id in a log has the time of a clock that jumped.
pub(super) struct SettledIds {
    ids: Arc<dyn IdGenerator>,
    clock: Arc<WatchedClock>,
    order: IdOrder,
}

impl SettledIds {
    pub(super) fn new(ids: Arc<dyn IdGenerator>, clock: Arc<WatchedClock>) -> Self {
        Self { ids, clock, order: IdOrder::new() }
    }
}

impl IdGenerator for SettledIds {
    fn uuid(&self) -> Uuid {
        self.ids.uuid_at(&self.order, self.clock.read().time)
    }

    fn secret_bits(&self) -> Result<[u8; 32], NoRandomness> {
        self.ids.secret_bits()
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

/// Returns an id for a request without one, in hexadecimal digits. It has the time of the machine's clock, and leaves no trace in the
/// order of other ids.
pub fn request_id() -> [u8; Simple::LENGTH] {
    let mut digits = [0; Simple::LENGTH];
    let time = crate::clock::since_epoch();
    let id = Uuid::new_v7(Timestamp::from_unix(NoContext, time.as_secs(), time.subsec_nanos()));
    id.simple().encode_lower(&mut digits);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(id: Uuid) -> i64 {
        let (seconds, nanos) = id.get_timestamp().map(|time| time.to_unix()).unwrap_or_default();
        i64::try_from(seconds).unwrap_or_default() * 1_000 + i64::from(nanos / 1_000_000)
    }

    #[test]
    fn ids_grow_within_a_millisecond_and_after_a_small_step_back_and_follow_the_clock_after_a_large_one() {
        let order = IdOrder::new();
        let at = |millis: i64| RandomIdGenerator.uuid_at(&order, Instant::from_micros(millis * 1_000));
        let noon = 1_772_323_200_000;
        let ids: Vec<_> = [0, 0, 0, 1, -59_000, 0, 2].map(|offset| at(noon + offset)).to_vec();
        assert!(ids.is_sorted(), "{ids:?}");
        let year = 365 * 24 * 3_600_000;
        assert_eq!(millis(at(noon + year)), noon + year);
        assert_eq!(millis(at(noon + 3)), noon + 3, "a clock that was a year ahead leaves nothing");
        request_id();
        let first = at(noon + 4);
        IdOrder::new().uuid_v7(Duration::from_millis(u64::try_from(noon + year).unwrap_or_default()));
        let second = at(noon + 4);
        assert_eq!(millis(first), noon + 4, "the machine's clock is not among them");
        assert!(first < second, "and neither is the clock of another service");
    }
}
