//! The clock: the only code that reads the time, and that decides whether to trust it.
//!
//! The machine's clock can be set, so it is compared with a monotonic one. After a jump of more than a minute its time is not trusted
//! until it has been steady for a while. Meanwhile nothing is written, and the later of the two times decides what has expired. A time
//! that a settled clock has shown stays passed, even after a crash if it was recorded.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::domain::model::time::Instant;

/// The largest move of the clock against the monotonic one that is no jump, in microseconds.
pub const JUMP_MICROS: i64 = 60_000_000;
/// The largest time that a clock may be behind the newest recorded time without a warning, in microseconds.
pub const BEHIND_MICROS: i64 = 60_000_000;
/// The default time that the clock must be steady after a jump, in seconds.
pub const SETTLE_SECONDS_DEFAULT: u64 = 60;

/// The largest difference of readings on the same timeline, in microseconds.
const STEADY_MICROS: i64 = 1_000_000;
/// The instants that a machine's clock may show, in microseconds: 1970-01-01 to 9999-12-31.
const POSSIBLE_MICROS: std::ops::RangeInclusive<i64> = 0..=253_402_300_799_999_999;

/// A source of the time. Tests use one that they set.
pub trait Clock: Send + Sync {
    /// Returns the time in UTC. It may step back.
    fn now(&self) -> Instant;

    /// Returns the time since a fixed moment by a monotonic clock. By default it passes with `now`, so `now` never jumps.
    fn elapsed(&self) -> Duration {
        let micros = self.now().micros().saturating_sub(Instant::EARLIEST.micros());
        Duration::from_micros(u64::try_from(micros).unwrap_or_default())
    }
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

static PROCESS_START: LazyLock<std::time::Instant> = LazyLock::new(std::time::Instant::now);

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        let micros = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Instant::from_micros(since.map_or_else(|before| micros(before.duration()).saturating_neg(), micros))
    }

    fn elapsed(&self) -> Duration {
        PROCESS_START.elapsed()
    }
}

/// Returns the time since 1970 by the machine's clock; zero for an earlier time.
pub fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The reason why the clock's time is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClockError {
    /// It jumped, and was not steady for long enough. The caller may try again after this time.
    #[error(
        "the machine's clock has jumped: changes are taken again once it has been steady for {} s more",
        .0.as_millis().div_ceil(1_000)
    )]
    Unsettled(Duration),
    /// It shows an impossible time.
    #[error("the machine's clock shows `{0}`, and a year from 1970 to 9999 is expected: set the clock")]
    Impossible(Instant),
}

/// Checks that a clock shows a possible time.
///
/// # Errors
/// `Impossible`.
pub fn check_possible(now: Instant) -> Result<(), ClockError> {
    if POSSIBLE_MICROS.contains(&now.micros()) { Ok(()) } else { Err(ClockError::Impossible(now)) }
}

/// A reading of a clock, compared with the settled timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting {
    /// The time on the settled timeline. After a jump it passes with the monotonic clock.
    pub settled: Instant,
    /// The time that the clock must still be steady until its own time is the settled one; none if it is.
    pub unsettled: Option<Duration>,
}

/// A detector of jumps. From pairs of readings of a clock and a monotonic one, it keeps the distance of the two on the settled timeline and
/// on the one that is shown.
#[derive(Debug, Clone)]
pub struct ClockWatch {
    settle: Duration,
    settled: i64,
    shown: i64,
    shown_since: Duration,
}

impl ClockWatch {
    /// Returns a watch whose first reading is settled.
    pub fn new(settle: Duration, now: Instant, elapsed: Duration) -> Self {
        let apart = apart(now, elapsed);
        Self { settle, settled: apart, shown: apart, shown_since: elapsed }
    }

    /// Adds a reading, and returns its meaning.
    pub fn see(&mut self, now: Instant, elapsed: Duration) -> Sighting {
        let apart = apart(now, elapsed);
        let is_possible = check_possible(now).is_ok();
        if !is_possible || apart.saturating_sub(self.shown).saturating_abs() > STEADY_MICROS {
            (self.shown, self.shown_since) = (apart, elapsed);
        }
        let steady = elapsed.saturating_sub(self.shown_since);
        if is_possible && steady >= self.settle {
            (self.settled, self.shown) = (apart, apart);
        }
        if is_possible && apart.saturating_sub(self.settled).saturating_abs() <= JUMP_MICROS {
            return Sighting { settled: now, unsettled: None };
        }
        let settled = Instant::from_micros(self.settled.saturating_add(micros(elapsed)));
        Sighting { settled, unsettled: Some(self.settle.saturating_sub(steady)) }
    }

    /// Returns the distance of the clocks, if only the settled timeline was shown lately.
    const fn calm(&self) -> Option<i64> {
        if self.settled == self.shown { Some(self.settled) } else { None }
    }
}

fn micros(elapsed: Duration) -> i64 {
    i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX)
}

fn apart(now: Instant, elapsed: Duration) -> i64 {
    now.micros().saturating_sub(micros(elapsed))
}

/// A reading of a watched clock, as the parts of a server use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// The time of new events.
    pub time: Instant,
    /// The time that decides what has expired: the latest of the shown, the settled and the newest recorded time.
    pub decision_time: Instant,
    /// The time until anything may be written; none if it may now.
    pub unsettled: Option<Duration>,
}

/// A clock with a detector of jumps. A reading of a steady clock takes no lock.
pub struct WatchedClock {
    clock: Arc<dyn Clock>,
    watch: Mutex<ClockWatch>,
    /// The distance of the clocks if only the settled timeline was shown lately; else [`NOT_CALM`].
    calm: AtomicI64,
    /// The newest settled time, in microseconds.
    newest: AtomicI64,
}

impl fmt::Debug for WatchedClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchedClock").field("newest", &self.newest()).finish_non_exhaustive()
    }
}

const NOT_CALM: i64 = i64::MIN;

impl WatchedClock {
    /// Watches a clock. `recorded` is the newest time that it showed in earlier runs.
    pub fn new(clock: Arc<dyn Clock>, settle: Duration, recorded: Option<Instant>) -> Self {
        let watch = ClockWatch::new(settle, clock.now(), clock.elapsed());
        let newest = AtomicI64::new(recorded.map_or(i64::MIN, Instant::micros));
        let watched = Self { clock, calm: AtomicI64::new(NOT_CALM), watch: Mutex::new(watch), newest };
        watched.read();
        watched
    }

    /// Reads the clock.
    pub fn read(&self) -> Reading {
        let (now, elapsed) = (self.clock.now(), self.clock.elapsed());
        let Sighting { settled, unsettled } = self.see(now, elapsed);
        let newest = self.newest.fetch_max(settled.micros(), Ordering::AcqRel).max(settled.micros());
        let shown = if check_possible(now).is_ok() { now } else { settled };
        Reading { time: settled, decision_time: shown.max(Instant::from_micros(newest)), unsettled }
    }

    fn see(&self, now: Instant, elapsed: Duration) -> Sighting {
        let calm = self.calm.load(Ordering::Acquire);
        if calm != NOT_CALM
            && apart(now, elapsed).saturating_sub(calm).saturating_abs() <= STEADY_MICROS
            && check_possible(now).is_ok()
        {
            return Sighting { settled: now, unsettled: None };
        }
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        let sighting = watch.see(now, elapsed);
        self.calm.store(watch.calm().unwrap_or(NOT_CALM), Ordering::Release);
        sighting
    }

    /// Returns the time that decides what has expired.
    pub fn now(&self) -> Instant {
        self.read().decision_time
    }

    /// Returns the newest settled time that was read or recorded.
    pub fn newest(&self) -> Instant {
        Instant::from_micros(self.newest.load(Ordering::Acquire))
    }

    /// Returns the time since a fixed moment by the monotonic clock, as an instant: for measuring spans.
    pub fn monotonic(&self) -> Instant {
        Instant::from_micros(micros(self.clock.elapsed()))
    }

    /// Checks that the clock shows a possible time.
    ///
    /// # Errors
    /// `Impossible`.
    pub fn check_possible(&self) -> Result<(), ClockError> {
        check_possible(self.clock.now())
    }

    /// Returns the shown and the newest recorded time, if the clock is more than a minute behind.
    pub fn behind(&self) -> Option<(Instant, Instant)> {
        let (reading, newest) = (self.read(), self.newest());
        let is_behind = newest.micros().saturating_sub(reading.time.micros()) > BEHIND_MICROS;
        is_behind.then_some((reading.time, newest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000_000;
    const YEAR: i64 = 365 * 24 * 60 * MINUTE;
    const NOON: i64 = 1_772_323_200_000_000;
    const SETTLE: Duration = Duration::from_mins(1);

    fn at(micros: i64) -> Instant {
        Instant::from_micros(NOON + micros)
    }

    /// Whether each second of a span is settled, where the clock is off by `off` at each of them.
    fn settled(watch: &mut ClockWatch, seconds: std::ops::Range<u64>, off: impl Fn(u64) -> i64) -> Vec<bool> {
        let see = |second: u64| {
            let elapsed = Duration::from_secs(second);
            let sighting = watch.see(at(micros(elapsed) + off(second)), elapsed);
            let expected = if sighting.unsettled.is_none() { off(second) } else { 0 };
            assert!((sighting.settled.micros() - NOON - micros(elapsed) - expected).abs() <= JUMP_MICROS);
            sighting.unsettled.is_none()
        };
        seconds.map(see).collect()
    }

    fn watch() -> ClockWatch {
        ClockWatch::new(SETTLE, at(0), Duration::ZERO)
    }

    #[test]
    fn a_clock_that_runs_or_drifts_is_always_settled() {
        for off in [
            |_| 0,
            |second| i64::try_from(second).unwrap_or(0) * 500,
            |second| -i64::try_from(second).unwrap_or(0) * 500,
        ] {
            assert!(settled(&mut watch(), 0..100_000, off).iter().all(|settled| *settled));
        }
    }

    #[test]
    fn steps_of_up_to_a_minute_are_no_jumps_and_many_of_them_are_none_either() {
        for step in [1, 1_000_000, MINUTE] {
            for step in [step, -step] {
                let off = |second: u64| step * i64::try_from(second / 61).unwrap_or(0);
                assert!(settled(&mut watch(), 0..1_000, off).iter().all(|settled| *settled), "{step}");
            }
        }
    }

    #[test]
    fn after_a_jump_either_way_the_time_has_to_be_steady_for_the_whole_of_the_span() {
        for jump in [MINUTE + 1, -MINUTE - 1, YEAR, -YEAR, 40 * YEAR] {
            let seen = settled(&mut watch(), 0..200, |second| if second < 10 { 0 } else { jump });
            let expected: Vec<_> = (0..200).map(|second| !(10..70).contains(&second)).collect();
            assert_eq!(seen, expected, "{jump}");
        }
    }

    #[test]
    fn a_clock_that_goes_back_to_where_it_was_is_settled_at_once_and_one_that_jumps_on_waits_on() {
        let away = |second: u64| if (10..12).contains(&second) { YEAR } else { 0 };
        let seen = settled(&mut watch(), 0..30, away);
        assert_eq!(seen, (0..30).map(|second| !(10..12).contains(&second)).collect::<Vec<_>>());
        let jumping = |second: u64| i64::try_from(second / 30).unwrap_or(0) * YEAR;
        let seen = settled(&mut watch(), 0..1_000, jumping);
        assert_eq!(seen, (0..1_000).map(|second| second < 30).collect::<Vec<_>>());
    }

    #[test]
    fn a_clock_that_shows_what_cannot_be_never_settles() {
        let mut watch = watch();
        for second in 1..1_000 {
            let before_1970 = Instant::from_micros(-1);
            assert!(watch.see(before_1970, Duration::from_secs(second)).unsettled.is_some());
        }
        assert!(watch.see(at(1_000_000_000), Duration::from_secs(1_000)).unsettled.is_none());
        for wrong in [Instant::from_micros(-1), Instant::from_micros(*POSSIBLE_MICROS.end() + 1)] {
            assert_eq!(check_possible(wrong), Err(ClockError::Impossible(wrong)));
        }
    }

    #[test]
    fn without_a_time_to_settle_every_time_is_believed_at_once() {
        let mut watch = ClockWatch::new(Duration::ZERO, at(0), Duration::ZERO);
        assert!(settled(&mut watch, 0..50, |second| if second < 10 { 0 } else { YEAR }).iter().all(|settled| *settled));
    }

    #[test]
    fn the_time_to_wait_counts_down() {
        let mut watch = watch();
        let wait = |watch: &mut ClockWatch, second: i64| {
            watch.see(at(YEAR + second * 1_000_000), Duration::from_secs(second.unsigned_abs()))
        };
        assert_eq!(wait(&mut watch, 5).unsettled, Some(Duration::from_mins(1)));
        assert_eq!(wait(&mut watch, 35).unsettled, Some(Duration::from_secs(30)));
        assert_eq!(wait(&mut watch, 65).unsettled, None);
    }

    /// A clock and a monotonic one, each told.
    struct Told(AtomicI64, AtomicI64);

    impl Clock for Told {
        fn now(&self) -> Instant {
            at(self.0.load(Ordering::SeqCst))
        }

        fn elapsed(&self) -> Duration {
            Duration::from_micros(self.1.load(Ordering::SeqCst).unsigned_abs())
        }
    }

    #[test]
    fn a_settled_time_stays_passed_and_an_unsettled_one_leaves_nothing() {
        let told = Arc::new(Told(AtomicI64::new(0), AtomicI64::new(0)));
        let show = |now: i64, elapsed: i64| {
            told.0.store(now, Ordering::SeqCst);
            told.1.store(elapsed, Ordering::SeqCst);
        };
        let clock = WatchedClock::new(told.clone(), SETTLE, Some(at(-5)));
        show(YEAR, 1);
        assert_eq!(clock.read(), Reading { time: at(1), decision_time: at(YEAR), unsettled: Some(SETTLE) });
        show(2, 2);
        assert_eq!(clock.read(), Reading { time: at(2), decision_time: at(2), unsettled: None });
        show(-MINUTE + 3, 3);
        assert_eq!(
            clock.read(),
            Reading { time: at(-MINUTE + 3), decision_time: at(2), unsettled: None },
            "a small step"
        );
        assert_eq!(clock.behind(), None);
        show(-YEAR, MINUTE);
        assert_eq!(clock.read(), Reading { time: at(MINUTE), decision_time: at(MINUTE), unsettled: Some(SETTLE) });
        show(MINUTE - YEAR, 2 * MINUTE);
        assert_eq!(clock.read(), Reading { time: at(MINUTE - YEAR), decision_time: at(MINUTE), unsettled: None });
        assert_eq!(clock.behind(), Some((at(MINUTE - YEAR), at(MINUTE))));
        let restarted = WatchedClock::new(told.clone(), SETTLE, Some(at(MINUTE)));
        assert_eq!((restarted.now(), restarted.behind().is_some()), (at(MINUTE), true));
        assert_eq!(WatchedClock::new(told.clone(), SETTLE, None).behind(), None);
    }
}
