//! When a command happens: the time of its events, the instant at which it is judged, and what is recorded of what expires next.

use crate::clock::Reading;
use crate::domain::model::time::Instant;
use crate::domain::state::workspace::Workspace;
use crate::log::Note;

/// How long before something expires the end is recorded as a time that the clock has shown, in microseconds. A crash right after the
/// end, and a clock that is set back, must not bring it back.
pub(in crate::service) const MARKED_AHEAD_MICROS: i64 = 10_000_000;

/// When a command happens in a workspace.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    /// The time of its events.
    pub(super) time: Instant,
    /// The instant at which it is judged.
    pub(super) judged: Instant,
}

impl Moment {
    /// The next moment of a workspace, whose events are in order whatever the clock shows.
    pub(super) fn next(root: &Workspace, clock: &Reading) -> Self {
        let time = clock.time.max(root.head_time().next());
        let judged = if root.is_ahead_of(clock.judged) { clock.judged } else { clock.judged.max(time) };
        Self { time, judged }
    }
}

/// What the store is told of the next instant at which something expires.
pub(super) fn expiry_notes(next: Option<Instant>, clock: &Reading) -> Vec<Note> {
    let soon = clock.judged.micros().saturating_add(MARKED_AHEAD_MICROS);
    let mark = next.filter(|end| end.micros() <= soon).map(Note::RaiseClockMark);
    std::iter::once(Note::NextExpiry(next)).chain(mark).collect()
}
