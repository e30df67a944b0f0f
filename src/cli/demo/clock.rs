//! A clock that the demo's scenario sets, and that follows the system afterwards.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::clock::{Clock, SystemClock};
use crate::domain::model::time::Instant;

/// The stored value that means "the system's time".
const SYSTEM: i64 = i64::MIN;

/// The clock of the scenario.
#[derive(Debug)]
pub(super) struct ScriptedClock(AtomicI64);

/// Starts in 1970: the service never believes an earlier time than the latest it has seen, so the first value must
/// precede the whole story.
impl Default for ScriptedClock {
    fn default() -> Self {
        Self(AtomicI64::new(0))
    }
}

impl ScriptedClock {
    /// Sets the clock to an instant.
    pub(super) fn set(&self, instant: Instant) {
        self.0.store(instant.micros(), Ordering::SeqCst);
    }

    /// Makes the clock follow the system.
    pub(super) fn follow_the_system(&self) {
        self.0.store(SYSTEM, Ordering::SeqCst);
    }
}

impl Clock for ScriptedClock {
    fn now(&self) -> Instant {
        match self.0.load(Ordering::SeqCst) {
            SYSTEM => SystemClock.now(),
            micros => Instant::from_micros(micros),
        }
    }
}
