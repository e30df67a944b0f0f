//! A rate limit on failed authentication, for each pair of a credential id and a client address.
//!
//! The secret is always checked first, in constant time. Only failures are counted, so a correct secret passes whatever others did with
//! its id. The counts are in memory only and hold no secret; a restart clears them.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use axum::http::StatusCode;
use moka::sync::Cache;
use sha2::{Digest, Sha256};

use super::problem::Problem;
use crate::domain::model::time::Instant;
use crate::log::CredentialId;

/// The most failures in a burst; further ones are answered 429.
pub const FAILURES_MAX: i64 = 10;
/// The time until one more failure is allowed, in microseconds: ten a minute in the long run.
pub const REFILL_MICROS: i64 = 6_000_000;
/// The most pairs that are counted at a time, of about 200 bytes each. Beyond that, rarely seen pairs are evicted first.
pub const PAIRS_MAX: u64 = 100_000;

/// The time after which an idle pair is certainly empty, with a margin.
const IDLE_TIME_MAX: Duration = Duration::from_mins(2);
const BURST_MICROS: i64 = (FAILURES_MAX - 1) * REFILL_MICROS;

/// The failed attempts of each pair of an id and an address.
pub struct AuthRateLimiter {
    /// For each pair, the time at which its bucket is empty again, in microseconds.
    forgotten_at: Cache<[u8; 32], Arc<AtomicI64>>,
}

/// The verdict on one failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attempt {
    /// Within the limit, and so is the next one.
    Allowed,
    /// The last one within the limit.
    LastAllowed,
    /// Over the limit; allowed again after this time.
    Refused(Duration),
}

impl Default for AuthRateLimiter {
    fn default() -> Self {
        Self { forgotten_at: Cache::builder().max_capacity(PAIRS_MAX).time_to_idle(IDLE_TIME_MAX).build() }
    }
}

impl AuthRateLimiter {
    /// Counts a failed attempt to authenticate as an id from an address.
    ///
    /// # Errors
    /// 429, with the time to wait, after too many failures of the same id and address.
    pub fn fail(&self, id: &str, address: IpAddr, now: Instant) -> Result<(), Problem> {
        match self.count(id, address, now) {
            Attempt::Allowed => Ok(()),
            Attempt::LastAllowed => {
                tracing::warn!(id = shown(id), %address, "too many attempts fail: more of them are answered 429");
                Ok(())
            }
            Attempt::Refused(wait) => {
                metrics::counter!("tenure_attempts_limited_total").increment(1);
                Err(limited(wait))
            }
        }
    }

    /// Adds a failure to the pair's bucket, by the generic cell rate algorithm: one atomic number a pair, without a lock.
    fn count(&self, id: &str, address: IpAddr, now: Instant) -> Attempt {
        let forgotten_at = self.forgotten_at.get_with(pair(id, address), Arc::default);
        let now = now.micros();
        let full = |at: i64| at.max(now).saturating_sub(now).saturating_sub(BURST_MICROS);
        let filled = |at: i64| (full(at) <= 0).then(|| at.max(now).saturating_add(REFILL_MICROS));
        match forgotten_at.fetch_update(Ordering::AcqRel, Ordering::Acquire, filled) {
            Ok(at) if full(at.max(now).saturating_add(REFILL_MICROS)) > 0 => Attempt::LastAllowed,
            Ok(_) => Attempt::Allowed,
            Err(at) => Attempt::Refused(Duration::from_micros(u64::try_from(full(at)).unwrap_or(0))),
        }
    }
}

fn limited(wait: Duration) -> Problem {
    let detail = "too many attempts to prove this id failed, all from this address: wait before the next one; the right \
                  secret is accepted at any time";
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_attempts", detail).retry_after(wait)
}

/// Returns the key of a pair. An IPv6 address counts as its /64, since one host has all of it.
fn pair(id: &str, address: IpAddr) -> [u8; 32] {
    let mut hash = Sha256::new();
    match address.to_canonical() {
        IpAddr::V4(address) => hash.update(address.octets()),
        IpAddr::V6(address) => {
            hash.update(address.octets().get(..8).unwrap_or_default());
        }
    }
    hash.update(b"\n");
    hash.update(id);
    hash.finalize().into()
}

/// Returns an id as log lines show it. A text that is no id may be a misplaced secret, so it is not shown.
fn shown(id: &str) -> &str {
    if id == "operator" || id.parse::<CredentialId>().is_ok() { id } else { "(no id)" }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const START: i64 = 1_772_323_200_000_000;

    fn at(micros: i64) -> Instant {
        Instant::from_micros(START + micros)
    }

    /// Returns how many of `tried` failures at an instant are within the limit.
    fn allowed(limiter: &AuthRateLimiter, id: &str, address: IpAddr, micros: i64, tried: usize) -> usize {
        (0..tried).filter(|_| limiter.fail(id, address, at(micros)).is_ok()).count()
    }

    #[test]
    fn ten_failures_are_allowed_and_one_more_every_six_seconds() {
        let limiter = AuthRateLimiter::default();
        assert_eq!(allowed(&limiter, "operator", HERE, 0, 50), 10);
        assert_eq!(allowed(&limiter, "operator", HERE, REFILL_MICROS - 1, 50), 0);
        assert_eq!(allowed(&limiter, "operator", HERE, REFILL_MICROS, 50), 1);
        assert_eq!(allowed(&limiter, "operator", HERE, 4 * REFILL_MICROS, 50), 3);
        assert_eq!(allowed(&limiter, "operator", HERE, 14 * REFILL_MICROS, 50), 10);
    }

    #[test]
    fn the_wait_is_exact() {
        let limiter = AuthRateLimiter::default();
        for micros in [0, 1_000_000, 17_000_000] {
            allowed(&limiter, "operator", HERE, micros, 50);
            let Attempt::Refused(wait) = limiter.count("operator", HERE, at(micros)) else { panic!("limited") };
            let wait = i64::try_from(wait.as_micros()).unwrap();
            assert!(wait > 0 && matches!(limiter.count("operator", HERE, at(micros + wait - 1)), Attempt::Refused(_)));
            assert_eq!(limiter.count("operator", HERE, at(micros + wait)), Attempt::LastAllowed);
        }
    }

    #[test]
    fn ids_and_addresses_are_counted_apart_and_a_slash_64_as_one_address() {
        let limiter = AuthRateLimiter::default();
        let [near, same, other]: [IpAddr; 3] =
            ["2001:db8::1", "2001:db8::ffff:2", "2001:db8:0:1::1"].map(|text| text.parse().unwrap());
        assert_eq!(allowed(&limiter, "a", near, 0, 10), 10);
        assert_eq!(allowed(&limiter, "a", same, 0, 10), 0);
        assert_eq!(allowed(&limiter, "a", other, 0, 10), 10);
        assert_eq!(allowed(&limiter, "b", near, 0, 10), 10);
        assert_eq!(allowed(&limiter, "a", "::ffff:192.0.2.1".parse().unwrap(), 0, 10), 10);
        assert_eq!(allowed(&limiter, "a", HERE, 0, 10), 0);
    }

    #[test]
    fn a_flood_of_ids_takes_bounded_memory() {
        let limiter = AuthRateLimiter::default();
        for number in 0..2 * PAIRS_MAX {
            let _ = limiter.fail(&number.to_string(), HERE, at(0));
        }
        limiter.forgotten_at.run_pending_tasks();
        assert!(limiter.forgotten_at.entry_count() <= PAIRS_MAX);
        assert_eq!(allowed(&limiter, "operator", HERE, 0, 50), 10, "and one id is limited as before");
    }

    #[test]
    fn a_text_that_is_no_id_is_not_logged() {
        assert_eq!(shown("hunter2"), "(no id)");
        assert_eq!(shown("operator"), "operator");
        assert_eq!(shown("tok_01m83dj683efcspd8kgx6fytqj"), "tok_01m83dj683efcspd8kgx6fytqj");
    }
}
