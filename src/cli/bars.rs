//! Roles over time, drawn as bars: a line for each who held one, under an axis of dates.
//!
//! Pure: what is drawn depends on nothing but what is given. A role that was held for less than a character's time still has that
//! character, and where two share one, the higher role is seen: what someone could do is never drawn as nothing.

use crate::domain::role::EnvironmentRole;
use crate::domain::time::Instant;

/// The fewest characters that time has, however long the names beside it are.
const CHART_WIDTH_MIN: usize = 20;
/// How many characters there are between two dates of the axis, at least.
const TICK_DISTANCE: usize = 22;
/// Microseconds of two days: below this, the axis says hours too.
const SHORT_MICROS: i64 = 2 * 24 * 60 * 60 * 1_000_000;

/// What bars are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Glyphs {
    /// Blocks and arrows.
    Unicode,
    /// Only what every terminal has.
    Ascii,
}

impl Glyphs {
    const fn role(self, role: EnvironmentRole) -> char {
        match (self, role) {
            (Self::Unicode, EnvironmentRole::Contributor) => '█',
            (Self::Unicode, EnvironmentRole::Viewer) => '▒',
            (Self::Ascii, EnvironmentRole::Contributor) => '#',
            (Self::Ascii, EnvironmentRole::Viewer) => '=',
            (_, EnvironmentRole::NoAccess) => ' ',
        }
    }

    const fn arrow(self) -> char {
        match self {
            Self::Unicode => '▶',
            Self::Ascii => '>',
        }
    }

    /// The axis: its line, and where a date stands.
    const fn axis(self) -> (char, char) {
        match self {
            Self::Unicode => ('─', '┬'),
            Self::Ascii => ('-', '+'),
        }
    }

    /// What the glyphs mean, in a line.
    pub(super) fn legend(self) -> String {
        let role = |role| format!("{} {role}", self.role(role));
        let roles = [EnvironmentRole::Contributor, EnvironmentRole::Viewer].map(role).join("   ");
        format!("{roles}   {} goes on", self.arrow())
    }
}

/// A role held without a break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    /// Which.
    pub(super) role: EnvironmentRole,
    /// From when on.
    pub(super) from: Instant,
    /// Until when; none if it is still held.
    pub(super) until: Option<Instant>,
}

/// The roles that one held, with what to call them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bar {
    /// What stands before the bar.
    pub(super) label: String,
    /// What it is made of, in order.
    pub(super) runs: Vec<Run>,
}

/// The span of time that is drawn, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    /// Its first instant.
    pub(super) from: Instant,
    /// The first instant after it.
    pub(super) until: Instant,
    /// How many characters a line may have.
    pub(super) width: usize,
    /// What the bars are made of.
    pub(super) glyphs: Glyphs,
}

/// Draws bars under their axis, a line each.
pub(super) fn draw(bars: &[Bar], frame: Frame) -> Vec<String> {
    let label_width = bars.iter().map(|bar| bar.label.chars().count()).max().unwrap_or_default();
    let scale = Scale::new(frame, label_width);
    let label = |text: &str| format!("{text:<label_width$}  ");
    let [dates, line] = scale.axis();
    let bars = bars.iter().map(|bar| label(&bar.label) + &scale.bar(&bar.runs));
    [label("") + &dates, label("") + &line].into_iter().chain(bars).map(|line| line.trim_end().to_owned()).collect()
}

/// Which character stands for which time.
struct Scale {
    frame: Frame,
    columns: i64,
    micros: i64,
}

impl Scale {
    fn new(frame: Frame, label_width: usize) -> Self {
        let columns = frame.width.saturating_sub(label_width + 3).max(CHART_WIDTH_MIN);
        let micros = frame.until.micros().saturating_sub(frame.from.micros()).max(1);
        Self { frame, columns: i64::try_from(columns).unwrap_or(i64::MAX), micros }
    }

    /// The character that an instant falls into.
    fn column(&self, instant: Instant) -> i64 {
        let after = instant.micros().saturating_sub(self.frame.from.micros()).clamp(0, self.micros);
        let place = i128::from(after) * i128::from(self.columns) / i128::from(self.micros);
        i64::try_from(place).unwrap_or(self.columns).min(self.columns - 1)
    }

    /// The first instant of a character.
    fn instant(&self, column: i64) -> Instant {
        let after = i128::from(column) * i128::from(self.micros) / i128::from(self.columns);
        Instant::from_micros(self.frame.from.micros().saturating_add(i64::try_from(after).unwrap_or(0)))
    }

    fn bar(&self, runs: &[Run]) -> String {
        let highest = |column: i64| {
            let there = runs.iter().filter(|run| self.covers(run, column)).map(|run| run.role);
            self.frame.glyphs.role(there.max().unwrap_or(EnvironmentRole::NoAccess))
        };
        let goes_on = runs.iter().any(|run| run.until.is_none_or(|until| until > self.frame.until));
        let arrow = if goes_on { self.frame.glyphs.arrow() } else { ' ' };
        (0..self.columns).map(highest).chain([arrow]).collect()
    }

    /// Whether a character stands for some time of a run; the instant of its end is no part of it.
    fn covers(&self, run: &Run, column: i64) -> bool {
        let seen = run.from < self.frame.until && run.until.is_none_or(|until| until > self.frame.from);
        let last = run
            .until
            .map_or(self.columns - 1, |until| self.column(Instant::from_micros(until.micros().saturating_sub(1))));
        seen && (self.column(run.from)..=last).contains(&column)
    }

    /// The dates, and the line below them with a mark under the first character of each.
    fn axis(&self) -> [String; 2] {
        let (plain, mark) = self.frame.glyphs.axis();
        let distance = i64::try_from(TICK_DISTANCE).unwrap_or(i64::MAX);
        let ticks = (self.columns / distance).max(1);
        let places: Vec<i64> = (0..ticks).map(|tick| tick * self.columns / ticks).collect();
        let mut dates = String::new();
        for place in &places {
            let width = usize::try_from(*place).unwrap_or_default();
            dates = format!("{dates:<width$}{}", self.date(self.instant(*place)));
        }
        let line = (0..self.columns).map(|column| if places.contains(&column) { mark } else { plain });
        [dates, line.collect()]
    }

    fn date(&self, instant: Instant) -> String {
        let text = instant.to_string().replacen('T', " ", 1);
        let len = if self.micros < SHORT_MICROS { "2026-03-01 09:30:00" } else { "2026-03-01" }.len();
        text.chars().take(len).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instant(text: &str) -> Instant {
        format!("{text}T00:00:00Z").parse().unwrap_or(Instant::EARLIEST)
    }

    fn run(role: EnvironmentRole, from: &str, until: Option<&str>) -> Run {
        Run { role, from: instant(from), until: until.map(instant) }
    }

    fn bar(label: &str, runs: Vec<Run>) -> Bar {
        Bar { label: label.to_owned(), runs }
    }

    fn drawn(bars: &[Bar], glyphs: Glyphs) -> String {
        let frame = Frame { from: instant("2026-01-01"), until: instant("2026-03-02"), width: 73, glyphs };
        draw(bars, frame).join("\n")
    }

    fn team() -> Vec<Bar> {
        use EnvironmentRole::{Contributor, Viewer};
        vec![
            bar("user:alice", vec![run(Contributor, "2025-06-01", None)]),
            bar(
                "user:bob",
                vec![
                    run(Viewer, "2026-01-11", Some("2026-01-31")),
                    run(Contributor, "2026-01-31", Some("2026-02-10")),
                    run(Viewer, "2026-02-10", Some("2026-02-15")),
                ],
            ),
            bar("user:eve", vec![run(Contributor, "2025-01-01", Some("2026-04-01"))]),
            bar("user:past", vec![run(Contributor, "2025-01-01", Some("2026-01-01"))]),
        ]
    }

    #[test]
    fn bars_stand_where_their_time_is() {
        let expected = "            2026-01-01                    2026-01-31\n            \
            ┬─────────────────────────────┬─────────────────────────────\n\
            user:alice  ████████████████████████████████████████████████████████████▶\n\
            user:bob              ▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒██████████▒▒▒▒▒\n\
            user:eve    ████████████████████████████████████████████████████████████▶\n\
            user:past";
        assert_eq!(drawn(&team(), Glyphs::Unicode), expected);
    }

    #[test]
    fn every_terminal_can_show_them() {
        let shown = drawn(&team(), Glyphs::Ascii);
        assert!(shown.is_ascii(), "{shown}");
        let bob = "user:bob              ====================##########=====";
        assert_eq!(shown.lines().nth(3), Some(bob));
        assert_eq!(
            shown.lines().nth(1).map(str::trim),
            Some("+-----------------------------+-----------------------------")
        );
    }

    #[test]
    fn a_moment_is_seen_and_the_higher_role_wins() {
        use EnvironmentRole::{Contributor, Viewer};
        let blink: Instant = "2026-01-05T10:00:00Z".parse().unwrap_or(Instant::EARLIEST);
        let moment = Run { role: Contributor, from: blink, until: Some(blink.next()) };
        let long = run(Viewer, "2026-01-01", Some("2026-01-08"));
        assert_eq!(drawn(&[bar("x", vec![long, moment])], Glyphs::Ascii).lines().last(), Some("x  =====#==="));
    }

    #[test]
    fn a_short_span_says_hours_and_an_empty_one_is_no_failure() {
        let from = instant("2026-01-01");
        let frame = Frame { from, until: from.next(), width: 10, glyphs: Glyphs::Ascii };
        assert!(draw(&[], frame).first().is_some_and(|dates| dates.contains("2026-01-01 00:00:00")));
        let frame = Frame { until: from, ..frame };
        assert_eq!(draw(&team(), frame).len(), 6);
    }
}
