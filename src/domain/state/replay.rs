//! Facts from a packed history.

use crate::domain::history::PackedHistory;
use crate::domain::model::event::Event;
use crate::domain::model::time::Instant;
use crate::domain::state::workspace::Workspace;

impl PackedHistory {
    /// Returns the facts that the events of its pieces make, or `None` if no log could hold them.
    pub fn facts(&self, pieces: impl Iterator<Item = Option<Vec<Event>>>) -> Option<Workspace> {
        let mut facts = Workspace::empty(self.workspace());
        let mut time = Instant::EARLIEST;
        for piece in pieces {
            for event in piece? {
                time = Some(event.time).filter(|next| *next >= time)?;
                facts.apply(&event);
            }
        }
        facts.history = self.history(time);
        Some(facts)
    }
}
