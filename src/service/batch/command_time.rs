//! The times of a command: of its events, and of the decision about it; and the stored next expiry.

use crate::clock::Reading;
use crate::domain::model::time::Instant;
use crate::domain::state::workspace::Workspace;
use crate::log::SideWrite;

/// The time before an expiry at which the clock mark is raised to it, in microseconds. So neither a crash right after the expiry
/// nor a clock that is set back can undo it.
pub(in crate::service) const MARKED_AHEAD_MICROS: i64 = 10_000_000;

/// The times of a command in a workspace.
#[derive(Debug, Clone, Copy)]
pub(super) struct CommandTime {
    /// The time of its events.
    pub(super) event_time: Instant,
    /// The instant of the view that it is decided on.
    pub(super) decision_time: Instant,
}

impl CommandTime {
    /// Returns the times of the next command. The times of events never run back, whatever the clock shows.
    pub(super) fn next(root: &Workspace, clock: &Reading) -> Self {
        let event_time = clock.time.max(root.head_time().next());
        let is_ahead = root.is_ahead_of(clock.decision_time);
        let decision_time = if is_ahead { clock.decision_time } else { clock.decision_time.max(event_time) };
        Self { event_time, decision_time }
    }
}

/// Returns the writes that record the next expiry of a workspace. One that comes soon raises the clock mark too.
pub(super) fn expiry_writes(next: Option<Instant>, clock: &Reading) -> Vec<SideWrite> {
    let soon = clock.decision_time.micros().saturating_add(MARKED_AHEAD_MICROS);
    let mark = next.filter(|end| end.micros() <= soon).map(SideWrite::RaiseClockMark);
    std::iter::once(SideWrite::NextExpiry(next)).chain(mark).collect()
}
