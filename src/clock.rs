//! The clock: the only place that asks what time it is.

use chrono::Utc;

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
        Instant::from_micros(Utc::now().timestamp_micros())
    }
}
