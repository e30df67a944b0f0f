//! Rates: limits on the requests of each holder of a credential, in the long run and at once.
//!
//! A leaky bucket (the generic cell rate algorithm): one atomic number for each holder. The operator is not limited. The buckets are in
//! memory only, so a restart empties them.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use moka::sync::Cache;

/// The most holders that are counted. The least used are forgotten.
const HOLDERS_MAX: u64 = 100_000;
/// The time after which an unused bucket is surely empty.
const IDLE_TIME_MAX: Duration = Duration::from_mins(10);
const NANOS: u64 = 1_000_000_000;

/// A limit on requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Requests a second; 0 for no limit.
    pub per_second: u32,
    /// Requests at once.
    pub burst: u32,
}

impl Rate {
    /// No limit.
    pub const NONE: Self = Self { per_second: 0, burst: 0 };
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.per_second, self.burst)
    }
}

/// The error for a text that is no rate.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no rate: write how many a second and how many at once, as in `100/2000`, or `0` for no limit")]
pub struct InvalidRate(String);

impl FromStr for Rate {
    type Err = InvalidRate;

    fn from_str(text: &str) -> Result<Self, InvalidRate> {
        if text == "0" {
            return Ok(Self::NONE);
        }
        let numbers = text.split_once('/').and_then(|(rate, burst)| Some((rate.parse().ok()?, burst.parse().ok()?)));
        match numbers {
            Some((per_second, burst)) if per_second > 0 && burst > 0 => Ok(Self { per_second, burst }),
            Some((0, 0)) => Ok(Self::NONE),
            _ => Err(InvalidRate(text.chars().take(40).flat_map(char::escape_debug).collect())),
        }
    }
}

/// The buckets of all holders.
pub(super) struct Rates {
    rate: Rate,
    began: Instant,
    /// For each holder, the time at which its bucket is empty, in nanoseconds after `began`.
    empty_at: Cache<u64, Arc<AtomicU64>>,
}

impl Rates {
    pub(super) fn new(rate: Rate) -> Self {
        let empty_at = Cache::builder().max_capacity(HOLDERS_MAX).time_to_idle(IDLE_TIME_MAX).build();
        Self { rate, began: Instant::now(), empty_at }
    }

    /// Takes an amount of a holder's rate. An amount above the burst is taken if the bucket is empty, and delays the next one.
    ///
    /// # Errors
    /// The time to wait, if the bucket is too full.
    pub(super) fn take(&self, holder: u64, amount: usize) -> Result<(), Duration> {
        let now = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.take_at(holder, amount, now)
    }

    fn take_at(&self, holder: u64, amount: usize, now: u64) -> Result<(), Duration> {
        let Rate { per_second, burst } = self.rate;
        if per_second == 0 {
            return Ok(());
        }
        let one = NANOS.div_ceil(u64::from(per_second));
        let (cost, full) = (one.saturating_mul(u64::try_from(amount).unwrap_or(u64::MAX)), one * u64::from(burst));
        let empty_at = self.empty_at.get_with(holder, Arc::default);
        let filled = |at: u64| {
            let filled = at.max(now).saturating_add(cost);
            (filled - now <= full || at <= now).then_some(filled)
        };
        let taken = empty_at.fetch_update(Ordering::AcqRel, Ordering::Acquire, filled);
        taken
            .map(|_| ())
            .map_err(|at| Duration::from_nanos(at.saturating_add(cost.min(full)).saturating_sub(now + full)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    fn rates(text: &str) -> Rates {
        Rates::new(text.parse().unwrap())
    }

    /// Returns the number of requests that succeed at one time.
    fn taken(rates: &Rates, holder: u64, tried: usize, now: u64) -> usize {
        (0..tried).filter(|_| rates.take_at(holder, 1, now).is_ok()).count()
    }

    #[test]
    fn a_burst_is_taken_at_once_and_then_the_rate_a_second() {
        let rates = rates("10/50");
        assert_eq!(taken(&rates, 1, 100, 0), 50);
        assert_eq!(taken(&rates, 1, 100, NANOS / 10 - 1), 0);
        assert_eq!(taken(&rates, 1, 100, NANOS), 10);
        assert_eq!(taken(&rates, 1, 100, 100 * NANOS), 50);
        assert_eq!(taken(&rates, 2, 100, 0), 50, "others are counted apart");
    }

    #[test]
    fn the_time_to_wait_is_exact() {
        let rates = rates("7/20");
        assert_eq!(taken(&rates, 1, 100, 0), 20);
        for amount in [1, 5, 20] {
            let wait = u64::try_from(rates.take_at(1, amount, 0).unwrap_err().as_nanos()).unwrap();
            let at = Rates::new(rates.rate);
            assert_eq!(taken(&at, 1, 100, 0), 20);
            at.take_at(1, amount, wait - 1).unwrap_err();
            at.take_at(1, amount, wait).unwrap();
        }
    }

    #[test]
    fn an_amount_above_the_burst_is_taken_once_and_delays_the_next() {
        let rates = rates("10/50");
        rates.take_at(1, 1_000, 0).unwrap();
        let wait = rates.take_at(1, 1, 0).unwrap_err();
        assert!(wait > Duration::from_secs(95) && wait < Duration::from_secs(100), "{wait:?}");
    }

    #[test]
    fn a_rate_is_two_numbers_or_zero() {
        assert_eq!("100/2000".parse(), Ok(Rate { per_second: 100, burst: 2_000 }));
        assert_eq!(("0".parse(), "0/0".parse()), (Ok(Rate::NONE), Ok(Rate::NONE)));
        assert_eq!(Rate { per_second: 1, burst: 2 }.to_string(), "1/2");
        for wrong in ["", "1", "1/", "/2", "0/5", "5/0", "-1/2", "1/2/3", "a/b", "1.5/2"] {
            assert!(wrong.parse::<Rate>().is_err_and(|said| said.to_string().contains("`100/2000`")), "{wrong}");
        }
        let none = Rates::new(Rate::NONE);
        assert_eq!(taken(&none, 1, 1_000, 0), 1_000);
    }
}
