//! The loaded events of a workspace, in little memory.
//!
//! All but the newest events are packed in blocks and unpacked on request. Decisions unpack none: they name events by
//! their revisions. A copy of a history shares every block.
//!
//! Searches rely on two properties of every log: revisions have no gap, and times never decrease. Each event is
//! returned exactly as it was appended.

mod block;
mod stored;

use std::sync::Arc;

use block::Block;
pub use stored::PackedHistory;

use crate::domain::collections::append_vec::AppendVec;
use crate::domain::collections::interpolation_search::{part, search_from};
use crate::domain::model::event::Event;
use crate::domain::model::id::{CommandId, WorkspaceId};
use crate::domain::model::packing::{Users, count};
use crate::domain::model::time::{Instant, Revision};

/// The number of events in a full block. A larger block takes less memory for an event, and more time to pack.
const BLOCK_LEN: usize = 2_048;

/// Returns the microseconds from one instant to another, or 0 if the second is earlier.
fn passed(since: Instant, instant: Instant) -> u64 {
    u64::try_from(instant.micros().saturating_sub(since.micros())).unwrap_or_default()
}

/// The events of a workspace's log after a revision.
#[derive(Debug, Clone)]
pub(in crate::domain) struct History {
    workspace: WorkspaceId,
    base: Revision,
    // Copied once a block; one indirection for a search.
    blocks: Arc<Vec<Block>>,
    users: Users,
    packed_len: u64,
    /// The events that are not packed yet. Each has its time beside it, so a search by time reads no event.
    open: AppendVec<(Instant, Arc<Event>)>,
    last_time: Option<Instant>,
}

impl History {
    /// Returns an empty history of a workspace that begins after a revision.
    pub(in crate::domain) fn after(workspace: WorkspaceId, base: Revision) -> Self {
        let (blocks, users) = (Arc::default(), Users::default());
        Self { workspace, base, blocks, users, packed_len: 0, open: AppendVec::default(), last_time: None }
    }

    /// Returns the revision that the history begins after.
    pub(in crate::domain) const fn base(&self) -> Revision {
        self.base
    }

    /// Returns the newest revision.
    pub(in crate::domain) fn head(&self) -> Revision {
        self.revision(self.len())
    }

    /// Returns the time of the newest event, or `None` before the first.
    pub(in crate::domain) const fn last_time(&self) -> Option<Instant> {
        self.last_time
    }

    fn len(&self) -> u64 {
        self.packed_len.saturating_add(count(self.open.len()))
    }

    /// Returns the revision of the event with this count.
    fn revision(&self, len: u64) -> Revision {
        Revision(self.base.0.saturating_add(len))
    }

    /// Returns the position of a revision's event, from 0, or `None` if the history begins after it.
    fn position(&self, revision: Revision) -> Option<u64> {
        revision.0.checked_sub(self.base.0)?.checked_sub(1)
    }

    /// Appends the next event.
    pub(in crate::domain) fn push(&mut self, event: &Arc<Event>) {
        self.last_time = Some(event.time);
        self.open.push((event.time, Arc::clone(event)));
        if self.open.len() >= BLOCK_LEN {
            self.compact();
        }
    }

    /// Packs the events that are not packed yet, however few.
    pub(in crate::domain) fn compact(&mut self) {
        if self.open.len() == 0 {
            return;
        }
        let block = Block::pack(self.packed_len, self.open.iter().map(|(_, event)| event.as_ref()), &mut self.users);
        self.packed_len = block.end();
        Arc::make_mut(&mut self.blocks).push(block);
        self.open = AppendVec::default();
    }

    /// Returns the packed block that holds a position.
    fn block(&self, position: u64) -> Option<&Block> {
        if position >= self.packed_len {
            return None;
        }
        // Blocks may be shorter than the maximum, so it is this block or a later one.
        let full = usize::try_from(position).ok()? / BLOCK_LEN;
        let holds = |block: &&Block| block.first <= position && position < block.end();
        let search = || self.blocks.get(self.blocks.partition_point(|block| block.end() <= position));
        self.blocks.get(full).filter(holds).or_else(search)
    }

    fn open_event(&self, position: u64) -> Option<&Arc<Event>> {
        self.open.get(usize::try_from(position.checked_sub(self.packed_len)?).ok()?).map(|(_, event)| event)
    }

    /// Applies `packed` to the block that holds a position, with the offset in it, or else `open` to the unpacked
    /// event.
    fn of<T>(
        &self,
        position: u64,
        packed: impl FnOnce(&Block, usize) -> Option<T>,
        open: impl FnOnce(&Arc<Event>) -> T,
    ) -> Option<T> {
        match self.block(position) {
            Some(block) => packed(block, usize::try_from(position.checked_sub(block.first)?).ok()?),
            None => self.open_event(position).map(open),
        }
    }

    /// Returns the event of a revision.
    pub(in crate::domain) fn event(&self, revision: Revision) -> Option<Arc<Event>> {
        let packed =
            |block: &Block, offset| block.parts(&self.users)?.event(offset, self.workspace, revision).map(Arc::new);
        self.of(self.position(revision)?, packed, Arc::clone)
    }

    /// Returns the time of a revision's event.
    pub(in crate::domain) fn time_of(&self, revision: Revision) -> Option<Instant> {
        self.of(self.position(revision)?, Block::time, |event| event.time)
    }

    /// Returns the command of a revision's event.
    pub(in crate::domain) fn command_of(&self, revision: Revision) -> Option<CommandId> {
        self.of(self.position(revision)?, Block::command, |event| event.command)
    }

    /// Returns the newest revision whose event happened at or before an instant.
    pub(in crate::domain) fn revision_at(&self, instant: Instant) -> Revision {
        let time = |position: usize| self.open.get(position).map(|(time, _)| *time);
        let open = match time(0).zip(self.last_time) {
            Some((first, last)) if first <= instant => {
                let happened = |position: usize| time(position).is_some_and(|time| time <= instant);
                let len = self.open.len();
                search_from(part(len, passed(first, instant), passed(first, last)), 4, len, happened)
            }
            _ => 0,
        };
        if open > 0 {
            return self.revision(self.packed_len.saturating_add(count(open)));
        }
        let begun = self.blocks_begun(instant);
        let last = begun.checked_sub(1).and_then(|last| self.blocks.get(last));
        let end = self.blocks.get(begun).map(|next| next.first_time).or(self.last_time);
        let count = |block: &Block| block.first.saturating_add(count(block.count_until(instant, end)));
        self.revision(last.map_or(0, count))
    }

    /// Returns the number of blocks whose first event happened at or before an instant.
    fn blocks_begun(&self, instant: Instant) -> usize {
        let begun = |position: usize| self.blocks.get(position).is_some_and(|block| block.first_time <= instant);
        let (Some(first), Some(last)) = (self.blocks.first(), self.blocks.last()) else { return 0 };
        let whole = passed(first.first_time, last.first_time);
        search_from(part(self.blocks.len(), passed(first.first_time, instant), whole), 1, self.blocks.len(), begun)
    }

    /// Returns the last revision of the command that the revision belongs to.
    pub(in crate::domain) fn end_of_command(&self, revision: Revision) -> Revision {
        Revision(revision.0.saturating_add(self.neighbours(revision, u64::saturating_add)))
    }

    /// Returns the first revision of the command that the revision belongs to, among those that are loaded.
    pub(in crate::domain) fn start_of_command(&self, revision: Revision) -> Revision {
        Revision(revision.0.saturating_sub(self.neighbours(revision, u64::saturating_sub)))
    }

    /// Returns the number of neighbouring events of the same command in one direction.
    fn neighbours(&self, revision: Revision, away: impl Fn(u64, u64) -> u64) -> u64 {
        let Some(command) = self.command_of(revision) else { return 0 };
        let is_same = |count: u64| self.command_of(Revision(away(revision.0, count))) == Some(command);
        let (mut within, mut step) = (0, 1_u64);
        while is_same(within + step) {
            within += step;
            step = step.saturating_mul(2);
        }
        while step > 1 {
            step /= 2;
            if is_same(within + step) {
                within += step;
            }
        }
        within
    }

    /// Returns the events after one revision, up to and including another.
    pub(in crate::domain) fn events(
        &self,
        after: Revision,
        until: Revision,
    ) -> impl Iterator<Item = Arc<Event>> + use<'_> {
        let position = |revision: Revision| revision.0.saturating_sub(self.base.0).min(self.len());
        let (start, end) = (position(after), position(until));
        let first = self.blocks.partition_point(|block| block.end() <= start);
        let blocks = self.blocks.iter().skip(first).take_while(move |block| block.first < end);
        let packed = blocks.flat_map(move |block| self.unpacked(block, start, end));
        let open_from = start.max(self.packed_len);
        let open = (open_from..end.max(open_from)).filter_map(|position| self.open_event(position).cloned());
        packed.chain(open)
    }

    /// Returns the events of a block in a range of positions.
    fn unpacked<'a>(&'a self, block: &'a Block, start: u64, end: u64) -> impl Iterator<Item = Arc<Event>> + use<'a> {
        let offset =
            |position: u64| usize::try_from(position.saturating_sub(block.first)).unwrap_or_default().min(block.len);
        let (offsets, first) = (offset(start)..offset(end), self.revision(start.max(block.first)).next());
        let parts = block.parts(&self.users).into_iter();
        parts.flat_map(move |parts| parts.events(offsets.clone(), self.workspace, first)).flatten().map(Arc::new)
    }
}
