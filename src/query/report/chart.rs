//! The bars of a chart and the ticks of its time axis. `svg` draws them.

use chrono::{DateTime, Datelike, NaiveDate, Utc};

use crate::domain::model::time::Instant;

/// The most bars of a chart; nobody would read more.
pub const BARS_MAX: usize = 60;
/// The most ticks of an axis.
const TICKS_MAX: i64 = 12;

/// The meaning of a bar, drawn as a pattern that needs no colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    /// A contributor.
    Contributor,
    /// A viewer.
    Viewer,
    /// An owner.
    Owner,
    /// A manager.
    Manager,
    /// A plain member.
    Member,
    /// A service user.
    ServiceUser,
    /// A credential that is live.
    Credential,
}

impl Fill {
    /// Every fill.
    pub const ALL: &'static [Self] = &[
        Self::Owner,
        Self::Manager,
        Self::Member,
        Self::ServiceUser,
        Self::Contributor,
        Self::Viewer,
        Self::Credential,
    ];

    /// Returns the meaning as a word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Contributor => "contributor",
            Self::Viewer => "viewer",
            Self::Owner => "owner",
            Self::Manager => "manager",
            Self::Member => "member",
            Self::ServiceUser => "service user",
            Self::Credential => "live",
        }
    }
}

/// A bar of a lane.
#[derive(Debug, Clone, Copy)]
pub struct ChartBar {
    /// The index of its lane.
    pub lane: usize,
    /// Its meaning.
    pub fill: Fill,
    /// Its first instant.
    pub from: Instant,
    /// The first instant after it; none if it goes on.
    pub until: Option<Instant>,
}

/// A marked instant of a lane.
#[derive(Debug, Clone, Copy)]
pub struct ChartMark {
    /// The index of its lane.
    pub lane: usize,
    /// The label.
    pub word: &'static str,
    /// The instant.
    pub at: Instant,
}

/// Bars, as many as fit.
#[derive(Debug, Clone, Default)]
pub struct Chart {
    /// The name of each lane, from the top down.
    pub lanes: Vec<String>,
    /// The bars.
    pub bars: Vec<ChartBar>,
    /// The marks.
    pub marks: Vec<ChartMark>,
    /// The number of bars, including those that did not fit.
    pub bars_total: usize,
    until: Option<Instant>,
}

impl Chart {
    /// Sets the instant up to which facts are known.
    pub(super) const fn until(&mut self, until: Instant) {
        self.until = Some(until);
    }

    /// Adds a bar to the lane of a name, if there is room.
    pub(super) fn bar(&mut self, lane: String, fill: Fill, from: Instant, until: Option<Instant>) {
        self.bars_total += 1;
        if self.bars.len() >= BARS_MAX {
            return;
        }
        let known = self.lanes.iter().position(|known| *known == lane);
        let index = known.unwrap_or(self.lanes.len());
        if known.is_none() {
            self.lanes.push(lane);
        }
        self.bars.push(ChartBar { lane: index, fill, from, until });
    }

    /// Marks an instant in the lane of the newest bar, if that bar had room.
    pub(super) fn mark(&mut self, word: &'static str, at: Instant) {
        if let Some(bar) = self.bars.last().filter(|_| self.bars.len() == self.bars_total) {
            self.marks.push(ChartMark { lane: bar.lane, word, at });
        }
    }

    /// Returns the first and the last instant of the axis; `None` without bars.
    pub fn ends(&self) -> Option<(Instant, Instant)> {
        let froms = self.bars.iter().map(|bar| bar.from);
        let first = froms.chain(self.marks.iter().map(|mark| mark.at)).min()?;
        let untils = self.bars.iter().filter_map(|bar| bar.until);
        let last = untils.chain(self.marks.iter().map(|mark| mark.at)).chain(self.until).max().unwrap_or(first);
        Some((first, last.max(first.next())))
    }
}

/// A tick of an axis with its label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tick {
    /// The instant.
    pub at: Instant,
    /// The date or time.
    pub label: String,
}

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// The steps below a month, in seconds.
const STEPS: &[i64] =
    &[1, 10, MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 7 * DAY, 14 * DAY];
/// The steps from a month on, in months.
const MONTHS: &[i64] = &[1, 2, 3, 6, 12, 24, 60, 120, 240, 600, 1_200, 2_400, 6_000, 12_000];

/// Returns the ticks of an axis, at most a dozen, at round dates and times in UTC.
pub fn ticks(first: Instant, last: Instant) -> Vec<Tick> {
    let (first, last) = (first.micros().div_euclid(1_000_000), last.micros().div_euclid(1_000_000));
    let fits = |step: &&i64| (last - first) / **step < TICKS_MAX;
    match STEPS.iter().find(fits) {
        Some(step) => even_ticks(first, last, *step),
        None => month_ticks(first, last),
    }
}

fn time(seconds: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(seconds, 0)
}

fn even_ticks(first: i64, last: i64, step: i64) -> Vec<Tick> {
    let begin = first.div_euclid(step) + i64::from(first.rem_euclid(step) != 0);
    let format = match step {
        DAY.. => "%Y-%m-%d",
        MINUTE.. => "%m-%d %H:%M",
        _ => "%H:%M:%S",
    };
    let seconds = (begin..).map(|count| count * step).take_while(|seconds| *seconds <= last);
    seconds.filter_map(|seconds| Some(tick(time(seconds)?, format))).collect()
}

fn tick(at: DateTime<Utc>, format: &str) -> Tick {
    Tick { at: Instant::from_micros(at.timestamp_micros()), label: at.format(format).to_string() }
}

/// Returns the months since the year 0.
fn month_of(seconds: i64) -> Option<i64> {
    let time = time(seconds)?;
    Some(i64::from(time.year()) * 12 + i64::from(time.month0()))
}

fn month_start(month: i64) -> Option<DateTime<Utc>> {
    let (year, of_year) = (i32::try_from(month.div_euclid(12)).ok()?, u32::try_from(month.rem_euclid(12)).ok()?);
    Some(NaiveDate::from_ymd_opt(year, of_year + 1, 1)?.and_hms_opt(0, 0, 0)?.and_utc())
}

fn month_ticks(first: i64, last: i64) -> Vec<Tick> {
    let Some((from, until)) = month_of(first).zip(month_of(last)) else { return Vec::new() };
    let step = MONTHS.iter().copied().find(|step| (until - from) / step < TICKS_MAX).unwrap_or(12_000);
    let format = if step >= 12 { "%Y" } else { "%Y-%m" };
    let begin = from.div_euclid(step);
    let starts = (begin..).map(|count| count * step).take_while(|month| *month <= until).filter_map(month_start);
    starts.filter(|at| at.timestamp() >= first).map(|at| tick(at, format)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(first: &str, last: &str) -> Option<Vec<String>> {
        let ticks = ticks(first.parse().ok()?, last.parse().ok()?);
        Some(ticks.into_iter().map(|tick| tick.label).collect())
    }

    #[test]
    fn an_axis_has_round_dates() {
        let year = labels("2025-01-02T09:00:07Z", "2026-01-01T00:00:00Z");
        assert_eq!(year.as_ref().map(Vec::len), Some(6));
        assert_eq!(year.and_then(|year| year.first().cloned()).as_deref(), Some("2025-03"));
        let minutes = labels("2025-01-02T09:00:07Z", "2025-01-02T09:03:00Z");
        assert_eq!(minutes.map(|labels| labels.join(", ")).as_deref(), Some("01-02 09:01, 01-02 09:02, 01-02 09:03"));
        let century = labels("1900-06-01T00:00:00Z", "2000-01-01T00:00:00Z");
        assert_eq!(century.and_then(|years| years.last().cloned()).as_deref(), Some("2000"));
    }

    #[test]
    fn an_axis_has_never_more_than_a_dozen_ticks() {
        for seconds in (0..40).map(|power| 1_i64 << power).filter(|seconds| *seconds < 200_000_000_000) {
            let (first, last) = (Instant::from_micros(0), Instant::from_micros(seconds * 1_000_000));
            let count = ticks(first, last).len();
            assert!((1..=13).contains(&count), "{count} ticks in {seconds} s");
        }
    }
}
