//! Points in time as people write them: an instant, a date, or a revision.

use std::fmt;
use std::str::FromStr;

use crate::domain::name::InvalidText;
use crate::domain::time::{Instant, Revision};
use crate::domain::view::At;

const INSTANT_RULE: &str =
    "write an instant such as `2026-03-01T09:30:00Z`, or a date such as `2026-03-01`, which is its midnight in UTC";
const WHEN_RULE: &str = "write an instant such as `2026-03-01T09:30:00Z`, a date such as `2026-03-01`, which is its midnight in \
                         UTC, or a revision such as `17`";

/// An instant; a plain date is its midnight in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment(pub(super) Instant);

impl FromStr for Moment {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        let midnight = text.len() == "2026-03-01".len();
        let parsed = if midnight { format!("{text}T00:00:00Z").parse() } else { text.parse() };
        parsed.map(Self).map_err(|_: InvalidText| InvalidText::new(text, INSTANT_RULE))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The view that a question is about: as of an instant, or of a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// The newest revision at or before it.
    Instant(Instant),
    /// This one, at its own time.
    Revision(Revision),
}

impl FromStr for When {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        let instant = || text.parse().map(|Moment(instant)| Self::Instant(instant));
        let revision = text.parse().map(Self::Revision);
        revision.or_else(|_: InvalidText| instant()).map_err(|_| InvalidText::new(text, WHEN_RULE))
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instant(instant) => fmt::Display::fmt(instant, f),
            Self::Revision(revision) => fmt::Display::fmt(revision, f),
        }
    }
}

impl From<When> for At {
    fn from(when: When) -> Self {
        match when {
            When::Instant(instant) => Self::Instant(instant),
            When::Revision(revision) => Self::Revision(revision),
        }
    }
}
