//! Quotas: the rate of each holder of a credential, and one dry run of a large request at a time for each.

use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;
use moka::sync::Cache;
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::fair_queue::{Holder, Ticket};
use super::rates::{Rate, Rates};
use super::submission::SubmitError;
use crate::domain::model::id::WorkspaceId;
use crate::domain::model::principal::Caller;

/// The most holders with a lock for dry runs. The least used are forgotten.
const TURNS_MAX: u64 = 10_000;

/// The retention of the journal, in days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Days(pub u32);

impl fmt::Display for Days {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}d", self.0)
    }
}

/// The error for a text that is no number of days.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no number of days: write at least one, as in `400d`")]
pub struct InvalidDays(String);

impl FromStr for Days {
    type Err = InvalidDays;

    fn from_str(text: &str) -> Result<Self, InvalidDays> {
        let days = text.strip_suffix('d').and_then(|days| days.parse().ok()).filter(|days| *days > 0);
        days.map(Self).ok_or_else(|| InvalidDays(text.chars().take(40).flat_map(char::escape_debug).collect()))
    }
}

/// The limits of all callers except the operator, and the retention of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quotas {
    /// The rate of commands of each holder.
    pub changes: Rate,
    /// The rate of recorded reads of the audit of each holder.
    pub reads: Rate,
    /// The most live credentials that one person may have issued; 0 for no limit.
    pub issued: usize,
    /// The retention of the journal; none for ever.
    pub journal: Option<Days>,
}

impl Quotas {
    /// The defaults.
    pub const DEFAULT: Self = Self {
        changes: Rate { per_second: 1_000, burst: 20_000 },
        reads: Rate { per_second: 100, burst: 2_000 },
        issued: 5_000,
        journal: None,
    };
}

impl Default for Quotas {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The holders of credentials and their rates. Each is identified by a hash that outsiders cannot predict.
pub(super) struct Holders {
    hasher: RandomState,
    changes: Rates,
    reads: Rates,
    turns: Cache<u64, Arc<Mutex<()>>>,
    pub(super) journal: Option<Days>,
}

impl Holders {
    pub(super) fn new(quotas: Quotas) -> Self {
        let Quotas { changes, reads, journal, .. } = quotas;
        let (changes, reads) = (Rates::new(changes), Rates::new(reads));
        Self { hasher: RandomState::default(), changes, reads, turns: Cache::new(TURNS_MAX), journal }
    }

    fn hash(&self, workspace: WorkspaceId, holder: impl Hash) -> Holder {
        Holder::Other(self.hasher.hash_one((workspace, holder)))
    }

    /// Returns the ticket of a caller's request. All credentials of a principal belong to one holder.
    pub(super) fn ticket(&self, workspace: WorkspaceId, caller: &Caller, commands: usize) -> Ticket {
        let holder = match caller {
            Caller::Operator | Caller::ImportedActor(_) => Holder::Operator,
            Caller::Principal { principal, .. } => self.hash(workspace, principal),
            Caller::AccessKey { key, .. } => self.hash(workspace, key),
            Caller::SimulatedUser(user) => self.hash(workspace, user),
        };
        Ticket { workspace, holder, commands }
    }

    /// Charges a holder for the commands of a change.
    ///
    /// # Errors
    /// `TooFast` with the time to wait, if the holder exceeded its rate.
    pub(super) fn charge_change(&self, ticket: Ticket) -> Result<(), SubmitError> {
        Self::charge(&self.changes, ticket)
    }

    /// Charges a holder for a recorded read of the audit.
    ///
    /// # Errors
    /// As [`Self::charge_change`].
    pub(super) fn charge_read(&self, ticket: Ticket) -> Result<(), SubmitError> {
        Self::charge(&self.reads, ticket)
    }

    fn charge(rates: &Rates, ticket: Ticket) -> Result<(), SubmitError> {
        let Holder::Other(holder) = ticket.holder else { return Ok(()) };
        rates.take(holder, ticket.commands).map_err(SubmitError::TooFast)
    }

    /// Waits for the holder's lock: one of its large requests has a dry run at a time.
    pub(super) async fn turn(&self, ticket: Ticket) -> Option<OwnedMutexGuard<()>> {
        let Holder::Other(holder) = ticket.holder else { return None };
        Some(self.turns.get_with(holder, Arc::default).lock_owned().await)
    }
}

/// Returns a time in whole seconds, rounded up.
pub(super) fn seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_written_with_a_d() {
        assert_eq!("400d".parse(), Ok(Days(400)));
        assert_eq!(Days(7).to_string(), "7d");
        for wrong in ["", "400", "d", "0d", "-1d", "1.5d", "4w", "99999999999d"] {
            assert!(wrong.parse::<Days>().is_err_and(|said| said.to_string().ends_with("as in `400d`")), "{wrong}");
        }
    }
}
