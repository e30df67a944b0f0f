//! Quotas: what each holder of a credential may ask for, and whose turn it is to have a large request judged.

use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;
use moka::sync::Cache;
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::queue::{Holder, Place};
use super::rates::{Rate, Rates};
use super::submission::SubmitError;
use crate::domain::model::id::WorkspaceId;
use crate::domain::model::principal::Caller;

/// How many holders may have a large request judged at a time; the rarest are forgotten.
const TURNS_MAX: u64 = 10_000;

/// For how many days the journal is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Days(pub u32);

impl fmt::Display for Days {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}d", self.0)
    }
}

/// A text is no number of days.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no number of days: write at least one, as in `400d`")]
pub struct NoDays(String);

impl FromStr for Days {
    type Err = NoDays;

    fn from_str(text: &str) -> Result<Self, NoDays> {
        let days = text.strip_suffix('d').and_then(|days| days.parse().ok()).filter(|days| *days > 0);
        days.map(Self).ok_or_else(|| NoDays(text.chars().take(40).flat_map(char::escape_debug).collect()))
    }
}

/// How much others than the operator may ask for, and how long the journal is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quotas {
    /// How many commands a holder of a credential may ask for.
    pub changes: Rate,
    /// How many recorded reads of the audit.
    pub reads: Rate,
    /// How long the journal is kept; for ever if not said.
    pub journal: Option<Days>,
}

impl Quotas {
    /// What is allowed if nobody says.
    pub const DEFAULT: Self = Self {
        changes: Rate { per_second: 1_000, burst: 20_000 },
        reads: Rate { per_second: 100, burst: 2_000 },
        journal: None,
    };
}

impl Default for Quotas {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// What is known of the holders of credentials while they ask. Each is known by a hash, which nobody outside can foresee.
pub(super) struct Holders {
    hasher: RandomState,
    changes: Rates,
    reads: Rates,
    turns: Cache<u64, Arc<Mutex<()>>>,
    pub(super) journal: Option<Days>,
}

impl Holders {
    pub(super) fn new(quotas: Quotas) -> Self {
        let Quotas { changes, reads, journal } = quotas;
        let (changes, reads) = (Rates::new(changes), Rates::new(reads));
        Self { hasher: RandomState::default(), changes, reads, turns: Cache::new(TURNS_MAX), journal }
    }

    fn hash(&self, workspace: WorkspaceId, holder: impl Hash) -> Holder {
        Holder::Other(self.hasher.hash_one((workspace, holder)))
    }

    /// Gives the place in which a caller's request of so many commands waits. All credentials of a principal are one holder's.
    pub(super) fn place(&self, workspace: WorkspaceId, caller: &Caller, commands: usize) -> Place {
        let holder = match caller {
            Caller::Operator | Caller::ImportedActor(_) => Holder::Operator,
            Caller::Principal { principal, .. } => self.hash(workspace, principal),
            Caller::AccessKey { key, .. } => self.hash(workspace, key),
            Caller::SimulatedUser(user) => self.hash(workspace, user),
        };
        Place { workspace, holder, commands }
    }

    /// Charges a holder for a request at a place.
    ///
    /// # Errors
    /// How long to wait, where they asked for too much of late.
    pub(super) fn charge_change(&self, place: Place) -> Result<(), SubmitError> {
        Self::charge(&self.changes, place)
    }

    /// As [`Self::charge_change`], for a read of the audit that is recorded.
    ///
    /// # Errors
    /// As [`Self::charge_change`].
    pub(super) fn charge_read(&self, place: Place) -> Result<(), SubmitError> {
        Self::charge(&self.reads, place)
    }

    fn charge(rates: &Rates, place: Place) -> Result<(), SubmitError> {
        let Holder::Other(holder) = place.holder else { return Ok(()) };
        rates.take(holder, place.commands).map_err(SubmitError::TooFast)
    }

    /// Waits for a holder's turn: one of their large requests is judged at a time.
    pub(super) async fn turn(&self, place: Place) -> Option<OwnedMutexGuard<()>> {
        let Holder::Other(holder) = place.holder else { return None };
        Some(self.turns.get_with(holder, Arc::default).lock_owned().await)
    }
}

/// Gives a wait as a sentence has it.
pub(super) fn seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_days_is_written_with_a_d() {
        assert_eq!("400d".parse(), Ok(Days(400)));
        assert_eq!(Days(7).to_string(), "7d");
        for wrong in ["", "400", "d", "0d", "-1d", "1.5d", "4w", "99999999999d"] {
            assert!(wrong.parse::<Days>().is_err_and(|said| said.to_string().ends_with("as in `400d`")), "{wrong}");
        }
    }
}
