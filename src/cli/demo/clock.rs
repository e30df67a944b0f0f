//! A clock that shows whatever the story says, until it is let go.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::clock::{Clock, SystemClock};
use crate::domain::time::Instant;

/// Stands for no time of its own.
const SYSTEM: i64 = i64::MIN;

/// The story's clock.
#[derive(Debug)]
pub(super) struct ScriptedClock(AtomicI64);

/// The clock begins in 1970: a time that it has shown stays passed, so it shows none that is later than the story's first.
impl Default for ScriptedClock {
    fn default() -> Self {
        Self(AtomicI64::new(0))
    }
}

impl ScriptedClock {
    /// Shows an instant from now on.
    pub(super) fn set(&self, instant: Instant) {
        self.0.store(instant.micros(), Ordering::SeqCst);
    }

    /// Shows the machine's time from now on.
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
