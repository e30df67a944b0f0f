//! A Gantt chart of roles over time: one row a principal or environment, under an axis of dates.
//!
//! Pure: the chart depends on its arguments alone. A role held for less than one character still fills one. Where two
//! share a character, the higher role is drawn, so access is never hidden.

use crate::domain::model::role::EnvironmentRole;
use crate::domain::model::time::Instant;

/// The minimum width of the time axis in characters, however long the labels are.
const CHART_WIDTH_MIN: usize = 20;
/// The minimum distance between two dates of the axis, in characters.
const TICK_DISTANCE: usize = 22;
/// Two days in microseconds. Shorter spans get hours on the axis too.
const SHORT_MICROS: i64 = 2 * 24 * 60 * 60 * 1_000_000;

/// The characters that rows are drawn with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Glyphs {
    /// Blocks and arrows.
    Unicode,
    /// ASCII, for every terminal.
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

    /// Returns the characters of the axis: its line, and the tick under a date.
    const fn axis(self) -> (char, char) {
        match self {
            Self::Unicode => ('─', '┬'),
            Self::Ascii => ('-', '+'),
        }
    }

    /// Returns the legend as one line.
    pub(super) fn legend(self) -> String {
        let role = |role| format!("{} {role}", self.role(role));
        let roles = [EnvironmentRole::Contributor, EnvironmentRole::Viewer].map(role).join("   ");
        format!("{roles}   {} goes on", self.arrow())
    }
}

/// One role, held without a break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GanttSegment {
    /// The role.
    pub(super) role: EnvironmentRole,
    /// The first instant.
    pub(super) from: Instant,
    /// The first instant after it; none if the role is still held.
    pub(super) until: Option<Instant>,
}

/// One row of the chart: a label and its segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GanttRow {
    /// The text to the left of the row.
    pub(super) label: String,
    /// The segments, in order of time.
    pub(super) segments: Vec<GanttSegment>,
}

/// The time span and layout of a chart.
#[derive(Debug, Clone, Copy)]
pub(super) struct GanttFrame {
    /// The first instant.
    pub(super) from: Instant,
    /// The first instant after it.
    pub(super) until: Instant,
    /// The maximum width of a line, in characters.
    pub(super) width: usize,
    /// The characters to draw with.
    pub(super) glyphs: Glyphs,
}

/// Draws the axis and the rows, one line each.
pub(super) fn draw(rows: &[GanttRow], frame: GanttFrame) -> Vec<String> {
    let label_width = rows.iter().map(|row| row.label.chars().count()).max().unwrap_or_default();
    let scale = Scale::new(frame, label_width);
    let label = |text: &str| format!("{text:<label_width$}  ");
    let [dates, line] = scale.axis();
    let rows = rows.iter().map(|row| label(&row.label) + &scale.row(&row.segments));
    [label("") + &dates, label("") + &line].into_iter().chain(rows).map(|line| line.trim_end().to_owned()).collect()
}

/// The mapping between instants and columns of characters.
struct Scale {
    frame: GanttFrame,
    columns: i64,
    micros: i64,
}

impl Scale {
    fn new(frame: GanttFrame, label_width: usize) -> Self {
        let columns = frame.width.saturating_sub(label_width + 3).max(CHART_WIDTH_MIN);
        let micros = frame.until.micros().saturating_sub(frame.from.micros()).max(1);
        Self { frame, columns: i64::try_from(columns).unwrap_or(i64::MAX), micros }
    }

    /// Returns the column that contains an instant.
    fn column(&self, instant: Instant) -> i64 {
        let after = instant.micros().saturating_sub(self.frame.from.micros()).clamp(0, self.micros);
        let position = i128::from(after) * i128::from(self.columns) / i128::from(self.micros);
        i64::try_from(position).unwrap_or(self.columns).min(self.columns - 1)
    }

    /// Returns the first instant of a column.
    fn instant(&self, column: i64) -> Instant {
        let after = i128::from(column) * i128::from(self.micros) / i128::from(self.columns);
        Instant::from_micros(self.frame.from.micros().saturating_add(i64::try_from(after).unwrap_or(0)))
    }

    fn row(&self, segments: &[GanttSegment]) -> String {
        let highest = |column: i64| {
            let there = segments.iter().filter(|segment| self.covers(segment, column)).map(|segment| segment.role);
            self.frame.glyphs.role(there.max().unwrap_or(EnvironmentRole::NoAccess))
        };
        let goes_on = segments.iter().any(|segment| segment.until.is_none_or(|until| until > self.frame.until));
        let arrow = if goes_on { self.frame.glyphs.arrow() } else { ' ' };
        (0..self.columns).map(highest).chain([arrow]).collect()
    }

    /// Returns whether a column overlaps a segment. The end of a segment is exclusive.
    fn covers(&self, segment: &GanttSegment, column: i64) -> bool {
        let seen = segment.from < self.frame.until && segment.until.is_none_or(|until| until > self.frame.from);
        let last = segment
            .until
            .map_or(self.columns - 1, |until| self.column(Instant::from_micros(until.micros().saturating_sub(1))));
        seen && (self.column(segment.from)..=last).contains(&column)
    }

    /// Returns the dates, and the line below them with a tick under the first character of each.
    fn axis(&self) -> [String; 2] {
        let (plain, mark) = self.frame.glyphs.axis();
        let distance = i64::try_from(TICK_DISTANCE).unwrap_or(i64::MAX);
        let ticks = (self.columns / distance).max(1);
        let positions: Vec<i64> = (0..ticks).map(|tick| tick * self.columns / ticks).collect();
        let mut dates = String::new();
        for position in &positions {
            let width = usize::try_from(*position).unwrap_or_default();
            dates = format!("{dates:<width$}{}", self.date(self.instant(*position)));
        }
        let line = (0..self.columns).map(|column| if positions.contains(&column) { mark } else { plain });
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

    fn segment(role: EnvironmentRole, from: &str, until: Option<&str>) -> GanttSegment {
        GanttSegment { role, from: instant(from), until: until.map(instant) }
    }

    fn row(label: &str, segments: Vec<GanttSegment>) -> GanttRow {
        GanttRow { label: label.to_owned(), segments }
    }

    fn drawn(rows: &[GanttRow], glyphs: Glyphs) -> String {
        let frame = GanttFrame { from: instant("2026-01-01"), until: instant("2026-03-02"), width: 73, glyphs };
        draw(rows, frame).join("\n")
    }

    fn team() -> Vec<GanttRow> {
        use EnvironmentRole::{Contributor, Viewer};
        vec![
            row("user:alice", vec![segment(Contributor, "2025-06-01", None)]),
            row(
                "user:bob",
                vec![
                    segment(Viewer, "2026-01-11", Some("2026-01-31")),
                    segment(Contributor, "2026-01-31", Some("2026-02-10")),
                    segment(Viewer, "2026-02-10", Some("2026-02-15")),
                ],
            ),
            row("user:eve", vec![segment(Contributor, "2025-01-01", Some("2026-04-01"))]),
            row("user:past", vec![segment(Contributor, "2025-01-01", Some("2026-01-01"))]),
        ]
    }

    #[test]
    fn segments_are_drawn_at_their_time() {
        let expected = "            2026-01-01                    2026-01-31\n            \
            ┬─────────────────────────────┬─────────────────────────────\n\
            user:alice  ████████████████████████████████████████████████████████████▶\n\
            user:bob              ▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒██████████▒▒▒▒▒\n\
            user:eve    ████████████████████████████████████████████████████████████▶\n\
            user:past";
        assert_eq!(drawn(&team(), Glyphs::Unicode), expected);
    }

    #[test]
    fn ascii_glyphs_work_on_every_terminal() {
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
    fn a_short_segment_is_drawn_and_the_higher_role_wins() {
        use EnvironmentRole::{Contributor, Viewer};
        let blink: Instant = "2026-01-05T10:00:00Z".parse().unwrap_or(Instant::EARLIEST);
        let moment = GanttSegment { role: Contributor, from: blink, until: Some(blink.next()) };
        let long = segment(Viewer, "2026-01-01", Some("2026-01-08"));
        assert_eq!(drawn(&[row("x", vec![long, moment])], Glyphs::Ascii).lines().last(), Some("x  =====#==="));
    }

    #[test]
    fn a_short_span_shows_hours_and_an_empty_one_is_drawn() {
        let from = instant("2026-01-01");
        let frame = GanttFrame { from, until: from.next(), width: 10, glyphs: Glyphs::Ascii };
        assert!(draw(&[], frame).first().is_some_and(|dates| dates.contains("2026-01-01 00:00:00")));
        let frame = GanttFrame { until: from, ..frame };
        assert_eq!(draw(&team(), frame).len(), 6);
    }
}
