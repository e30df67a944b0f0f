//! Arguments for points in time: an instant, a date or a revision.

use std::fmt;
use std::str::FromStr;

use crate::domain::model::name::InvalidText;
use crate::domain::model::time::{Instant, Revision};
use crate::domain::state::view::At;

const INSTANT_RULE: &str =
    "write an instant such as `2026-03-01T09:30:00Z`, or a date such as `2026-03-01`, which is its midnight in UTC";
const POINT_IN_TIME_RULE: &str = "write an instant such as `2026-03-01T09:30:00Z`, a date such as `2026-03-01`, which is its midnight in \
                         UTC, or a revision such as `r17`";

/// An instant. A date means its midnight in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct InstantArg(pub(super) Instant);

impl FromStr for InstantArg {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        let midnight = text.len() == "2026-03-01".len();
        let parsed = if midnight { format!("{text}T00:00:00Z").parse() } else { text.parse() };
        parsed.map(Self).map_err(|_: InvalidText| InvalidText::new(text, INSTANT_RULE))
    }
}

impl fmt::Display for InstantArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A point in time, given as an instant or a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PointInTime {
    /// An instant. Its view is the newest revision at or before it.
    Instant(Instant),
    /// A revision, at its own time.
    Revision(Revision),
}

impl PointInTime {
    /// Returns the instant; none for a revision, whose instant only the log knows.
    pub(super) const fn instant(self) -> Option<Instant> {
        match self {
            Self::Instant(instant) => Some(instant),
            Self::Revision(_) => None,
        }
    }
}

impl FromStr for PointInTime {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        let instant = || text.parse().map(|InstantArg(instant)| Self::Instant(instant));
        match Revision::beside_instants(text)? {
            Some(revision) => Ok(Self::Revision(revision)),
            None => instant().map_err(|_: InvalidText| InvalidText::new(text, POINT_IN_TIME_RULE)),
        }
    }
}

impl fmt::Display for PointInTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instant(instant) => fmt::Display::fmt(instant, f),
            Self::Revision(revision) => write!(f, "r{revision}"),
        }
    }
}

impl From<PointInTime> for At {
    fn from(point: PointInTime) -> Self {
        match point {
            PointInTime::Instant(instant) => Self::Instant(instant),
            PointInTime::Revision(revision) => Self::Revision(revision),
        }
    }
}

/// Shortens each instant in a text to seconds: `2026-03-01 09:30:00Z`.
pub(super) fn to_the_second(text: &str) -> String {
    const LEN: usize = "2026-03-01T09:30:00.000000Z".len();
    let (mut shortened, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(first) = rest.chars().next() {
        let instant =
            rest.split_at_checked(LEN).filter(|(found, _)| found.ends_with('Z') && found.parse::<Instant>().is_ok());
        let seconds = instant.and_then(|(found, after)| Some((found.get(..10)?, found.get(11..19)?, after)));
        if let Some((date, time, after)) = seconds {
            shortened.extend([date, " ", time, "Z"]);
            rest = after;
        } else {
            shortened.push(first);
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
        }
    }
    shortened
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_shortened_to_seconds_everywhere_in_a_text() {
        assert_eq!(to_the_second("2026-03-01T09:30:00.123456Z"), "2026-03-01 09:30:00Z");
        let shortened = to_the_second("until 2026-03-01T09:30:00.000000Z, é; 2026-03-01T09:30:00Z as it was");
        assert_eq!(shortened, "until 2026-03-01 09:30:00Z, é; 2026-03-01T09:30:00Z as it was");
        assert_eq!(to_the_second("2026-13-01T09:30:00.000000Z"), "2026-13-01T09:30:00.000000Z");
    }

    #[test]
    fn shown_instants_and_revisions_can_be_parsed_again() {
        assert_eq!("2026-03-01 09:30:00Z".parse::<InstantArg>().ok(), "2026-03-01T09:30:00Z".parse().ok());
        assert!("2026-03-01 09:30:00Z".parse::<PointInTime>().is_ok());
        assert_eq!("2016".parse::<PointInTime>().ok(), None, "a revision or a year");
        for text in ["r2016", "r17"] {
            assert_eq!(text.parse::<PointInTime>().map(|when| when.to_string()).as_deref(), Ok(text));
        }
    }
}
