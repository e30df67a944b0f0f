//! The clock: the only place that asks what time it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::domain::time::Instant;

/// Says what time it is. Tests give a fixed one.
pub trait Clock: Send + Sync {
    /// Now, in UTC. It may step back; nothing relies on it to grow.
    fn now(&self) -> Instant;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        let micros = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Instant::from_micros(since.map_or_else(|before| micros(before.duration()).saturating_neg(), micros))
    }
}

/// A clock that never steps back, whatever the one behind it does: what has expired stays so.
pub struct SteadyClock {
    clock: Arc<dyn Clock>,
    latest: AtomicI64,
}

impl SteadyClock {
    /// A clock that follows another one forwards.
    pub fn following(clock: Arc<dyn Clock>) -> Self {
        Self { clock, latest: AtomicI64::new(i64::MIN) }
    }
}

impl Clock for SteadyClock {
    fn now(&self) -> Instant {
        let now = self.clock.now().micros();
        Instant::from_micros(self.latest.fetch_max(now, Ordering::AcqRel).max(now))
    }
}
