//! The table that a run ends with: what was measured, beside what, and the bar it is held to.

use std::fmt::{Display, Write as _};

/// A measured value, with its unit.
#[derive(Debug, Clone, Copy)]
pub enum Value {
    /// Nanoseconds that one takes.
    Nanos(f64),
    /// How many there are in a second.
    PerSecond(f64),
    /// Bytes that one takes.
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

    /// How many times as good as another value this is: quicker, or more in a second, or smaller.
    pub fn times_as_good_as(self, other: Self) -> f64 {
        match (self, other) {
            (Self::PerSecond(ours), Self::PerSecond(theirs)) => ours / theirs,
            (ours, theirs) => theirs.number() / ours.number(),
        }
    }
}

/// A number with a comma before each three digits.
pub fn thousands(number: impl Display) -> String {
    let digits = format!("{number:.0}");
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.join(",")
}

/// What a measured value is held to.
#[derive(Debug, Clone, Copy)]
pub enum Bar {
    /// The value is no more than this many nanoseconds, bytes …
    AtMost(Value),
    /// The value is no less than this.
    AtLeast(Value),
    /// It is at least so many times as good as what it stands beside.
    Ratio(f64),
    /// It is shown, and held to nothing.
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
    /// Adds a row that stands alone.
    pub fn alone(&mut self, what: &str, value: Value, bar: Bar) {
        self.push(what, value, None, bar);
    }

    /// Adds a row beside a peer.
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

    /// Says what is not in it, and why.
    pub fn skip(&mut self, what: &str, why: &str) {
        eprintln!("skipped {what}: {why}");
        self.skipped.push(format!("- skipped: {what}: {why}"));
    }

    /// The table in Markdown.
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
