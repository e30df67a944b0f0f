//! The table of a run: measured values, the values beside them, and the bars.

use std::fmt::{Display, Write as _};

/// A measured value, with its unit.
#[derive(Debug, Clone, Copy)]
pub enum Value {
    /// Nanoseconds for each operation.
    Nanos(f64),
    /// Operations per second.
    PerSecond(f64),
    /// Bytes for each item.
    Bytes(f64),
}

impl Value {
    fn show(self) -> String {
        match self {
            Self::Nanos(nanos) if nanos < 1e3 => format!("{nanos:.0} ns"),
            Self::Nanos(nanos) if nanos < 1e6 => format!("{:.2} µs", nanos / 1e3),
            Self::Nanos(nanos) if nanos < 1e9 => format!("{:.2} ms", nanos / 1e6),
            Self::Nanos(nanos) => format!("{:.2} s", nanos / 1e9),
            Self::PerSecond(rate) => format!("{} /s", thousands(rate)),
            Self::Bytes(bytes) => format!("{bytes:.0} B"),
        }
    }

    const fn number(self) -> f64 {
        match self {
            Self::Nanos(value) | Self::PerSecond(value) | Self::Bytes(value) => value,
        }
    }

    /// Returns how many times better this value is than another: faster, more per second, or smaller.
    pub fn times_as_good_as(self, other: Self) -> f64 {
        match (self, other) {
            (Self::PerSecond(ours), Self::PerSecond(theirs)) => ours / theirs,
            (ours, theirs) => theirs.number() / ours.number(),
        }
    }
}

/// Formats a number with commas between groups of three digits.
pub fn thousands(number: impl Display) -> String {
    let digits = format!("{number:.0}");
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.join(",")
}

/// The bar for a measured value.
#[derive(Debug, Clone, Copy)]
pub enum Bar {
    /// The value is at most this many nanoseconds, bytes …
    AtMost(Value),
    /// The value is at least this.
    AtLeast(Value),
    /// The value is at least this many times better than the peer's.
    Ratio(f64),
    /// The value has no bar.
    None,
}

impl Bar {
    fn show(self) -> String {
        match self {
            Self::AtMost(value) => format!("≤ {}", value.show()),
            Self::AtLeast(value) => format!("≥ {}", value.show()),
            Self::Ratio(ratio) => format!("≥ {ratio} ×"),
            Self::None => String::new(),
        }
    }

    fn is_met(self, value: Value, beside: Option<Value>) -> Option<bool> {
        match self {
            Self::AtMost(most) => Some(value.number() <= most.number()),
            Self::AtLeast(least) => Some(value.number() >= least.number()),
            Self::Ratio(ratio) => beside.map(|beside| value.times_as_good_as(beside) >= ratio),
            Self::None => None,
        }
    }
}

/// The table.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<String>,
    skipped: Vec<String>,
}

impl Table {
    /// Adds a row without a peer.
    pub fn alone(&mut self, what: &str, value: Value, bar: Bar) {
        self.push(what, value, None, bar);
    }

    /// Adds a row with a peer.
    pub fn beside(&mut self, what: &str, value: Value, peer: &str, theirs: Value, bar: Bar) {
        self.push(what, value, Some((peer, theirs)), bar);
    }

    fn push(&mut self, what: &str, value: Value, beside: Option<(&str, Value)>, bar: Bar) {
        let met = match bar.is_met(value, beside.map(|(_, theirs)| theirs)) {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => "",
        };
        let (peer, ratio) = beside.map_or_else(Default::default, |(peer, theirs)| {
            (format!("{peer}: {}", theirs.show()), format!("{:.2} ×", value.times_as_good_as(theirs)))
        });
        let row = format!("| {what} | {} | {peer} | {ratio} | {} | {met} |", value.show(), bar.show());
        eprintln!("{row}");
        self.rows.push(row);
    }

    /// Notes a missing row, and the reason.
    pub fn skip(&mut self, what: &str, why: &str) {
        eprintln!("skipped {what}: {why}");
        self.skipped.push(format!("- skipped: {what}: {why}"));
    }

    /// Returns the table in Markdown.
    pub fn markdown(&self) -> String {
        let mut text = String::from(
            "| What | Tenure | Beside | Times as good | Bar | Met |\n| --- | --- | --- | --- | --- | --- |\n",
        );
        for row in &self.rows {
            let _ = writeln!(text, "{row}");
        }
        if !self.skipped.is_empty() {
            let _ = write!(text, "\n{}\n", self.skipped.join("\n"));
        }
        text
    }
}
