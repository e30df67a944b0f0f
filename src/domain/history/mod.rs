//! `History`: every event of a workspace that is loaded, in little memory.
//!
//! All but the newest events are packed, some hundreds to a block, and unpacked when someone asks for them; decisions do not, since
//! they name events by their revisions alone. A history is a persistent value, as the facts are: a copy shares every block.
//!
//! It relies on what holds of every log (revisions without a gap, times that never run back) for where it looks, and gives
//! back each event exactly as it was taken in.

mod block;
mod stored;

use std::sync::Arc;

use block::Block;
pub use stored::PackedHistory;

use crate::domain::collections::append_vec::Tail;
use crate::domain::model::event::Event;
use crate::domain::model::packing::{Users, count};
use crate::domain::model::id::{CommandId, WorkspaceId};
use crate::domain::collections::interpolation_search::{part, search_from};
use crate::domain::model::time::{Instant, Revision};

/// How many events are packed together: the more, the less each takes, and the longer the last of them keep whoever packs.
const BLOCK_LEN: usize = 2_048;

/// How long after one instant another is, in microseconds; nothing for one that is before it.
fn passed(since: Instant, instant: Instant) -> u64 {
    u64::try_from(instant.micros().saturating_sub(since.micros())).unwrap_or_default()
}

/// The events of a workspace's log after a revision.
#[derive(Debug, Clone)]
pub(in crate::domain) struct History {
    workspace: WorkspaceId,
    base: Revision,
    // Copied once a block, and then searched in one place.
    blocks: Arc<Vec<Block>>,
    users: Users,
    packed_len: u64,
    /// Those that are not packed yet, each beside when it happened, so that a search by time reads no event.
    open: Tail<(Instant, Arc<Event>)>,
    last_time: Option<Instant>,
}

impl History {
    /// The history of a workspace from after a revision on, before its first event.
    pub(in crate::domain) fn after(workspace: WorkspaceId, base: Revision) -> Self {
        let (blocks, users) = (Arc::default(), Users::default());
        Self { workspace, base, blocks, users, packed_len: 0, open: Tail::default(), last_time: None }
    }

    /// The revision that it begins after.
    pub(in crate::domain) const fn base(&self) -> Revision {
        self.base
    }

    /// The newest revision.
    pub(in crate::domain) fn head(&self) -> Revision {
        self.revision(self.len())
    }

    /// When the newest event happened; none before the first.
    pub(in crate::domain) const fn last_time(&self) -> Option<Instant> {
        self.last_time
    }

    fn len(&self) -> u64 {
        self.packed_len.saturating_add(count(self.open.len()))
    }

    /// The revision after which so many events came.
    fn revision(&self, len: u64) -> Revision {
        Revision(self.base.0.saturating_add(len))
    }

    /// The place of a revision's event, from 0 on; none for one that is before the first.
    fn place(&self, revision: Revision) -> Option<u64> {
        revision.0.checked_sub(self.base.0)?.checked_sub(1)
    }

    /// Takes in the next event.
    pub(in crate::domain) fn push(&mut self, event: &Arc<Event>) {
        self.last_time = Some(event.time);
        self.open.push((event.time, Arc::clone(event)));
        if self.open.len() >= BLOCK_LEN {
            self.settle();
        }
    }

    /// Packs the newest events too, however few they are.
    pub(in crate::domain) fn settle(&mut self) {
        if self.open.len() == 0 {
            return;
        }
        let block = Block::pack(self.packed_len, self.open.iter().map(|(_, event)| event.as_ref()), &mut self.users);
        self.packed_len = block.end();
        Arc::make_mut(&mut self.blocks).push(block);
        self.open = Tail::default();
    }

    /// The block that holds a place, if it is packed.
    fn block(&self, place: u64) -> Option<&Block> {
        if place >= self.packed_len {
            return None;
        }
        // Blocks may be shorter than they could be, so the block is this one or a later one.
        let full = usize::try_from(place).ok()? / BLOCK_LEN;
        let holds = |block: &&Block| block.first <= place && place < block.end();
        let search = || self.blocks.get(self.blocks.partition_point(|block| block.end() <= place));
        self.blocks.get(full).filter(holds).or_else(search)
    }

    fn open_event(&self, place: u64) -> Option<&Arc<Event>> {
        self.open.get(usize::try_from(place.checked_sub(self.packed_len)?).ok()?).map(|(_, event)| event)
    }

    /// What a block, with the offset in it, or an open event says of a place.
    fn of<T>(
        &self,
        place: u64,
        packed: impl FnOnce(&Block, usize) -> Option<T>,
        open: impl FnOnce(&Arc<Event>) -> T,
    ) -> Option<T> {
        match self.block(place) {
            Some(block) => packed(block, usize::try_from(place.checked_sub(block.first)?).ok()?),
            None => self.open_event(place).map(open),
        }
    }

    /// The event of a revision.
    pub(in crate::domain) fn event(&self, revision: Revision) -> Option<Arc<Event>> {
        let packed =
            |block: &Block, offset| block.parts(&self.users)?.event(offset, self.workspace, revision).map(Arc::new);
        self.of(self.place(revision)?, packed, Arc::clone)
    }

    /// When the event of a revision happened.
    pub(in crate::domain) fn time_of(&self, revision: Revision) -> Option<Instant> {
        self.of(self.place(revision)?, Block::time, |event| event.time)
    }

    /// The command that the event of a revision came from.
    pub(in crate::domain) fn command_of(&self, revision: Revision) -> Option<CommandId> {
        self.of(self.place(revision)?, Block::command, |event| event.command)
    }

    /// The newest revision whose event happened at or before an instant.
    pub(in crate::domain) fn revision_at(&self, instant: Instant) -> Revision {
        let time = |place: usize| self.open.get(place).map(|(time, _)| *time);
        let open = match time(0).zip(self.last_time) {
            Some((first, last)) if first <= instant => {
                let happened = |place: usize| time(place).is_some_and(|time| time <= instant);
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

    /// How many blocks have an event that happened at or before an instant.
    fn blocks_begun(&self, instant: Instant) -> usize {
        let begun = |place: usize| self.blocks.get(place).is_some_and(|block| block.first_time <= instant);
        let (Some(first), Some(last)) = (self.blocks.first(), self.blocks.last()) else { return 0 };
        let whole = passed(first.first_time, last.first_time);
        search_from(part(self.blocks.len(), passed(first.first_time, instant), whole), 1, self.blocks.len(), begun)
    }

    /// The last revision of the command that the revision belongs to.
    pub(in crate::domain) fn end_of_command(&self, revision: Revision) -> Revision {
        Revision(revision.0.saturating_add(self.neighbours(revision, u64::saturating_add)))
    }

    /// The first revision of the command that the revision belongs to, as far as it is loaded.
    pub(in crate::domain) fn start_of_command(&self, revision: Revision) -> Revision {
        Revision(revision.0.saturating_sub(self.neighbours(revision, u64::saturating_sub)))
    }

    /// How many events of the same command lie beside the one of a revision, in a direction.
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

    /// The events after one revision, up to and with another.
    pub(in crate::domain) fn events(&self, after: Revision, until: Revision) -> impl Iterator<Item = Arc<Event>> + use<'_> {
        let place = |revision: Revision| revision.0.saturating_sub(self.base.0).min(self.len());
        let (start, end) = (place(after), place(until));
        let first = self.blocks.partition_point(|block| block.end() <= start);
        let blocks = self.blocks.iter().skip(first).take_while(move |block| block.first < end);
        let packed = blocks.flat_map(move |block| self.unpacked(block, start, end));
        let open_from = start.max(self.packed_len);
        let open = (open_from..end.max(open_from)).filter_map(|place| self.open_event(place).cloned());
        packed.chain(open)
    }

    /// The events of a block from one place on, before another.
    fn unpacked<'a>(&'a self, block: &'a Block, start: u64, end: u64) -> impl Iterator<Item = Arc<Event>> + use<'a> {
        let offset = |place: u64| usize::try_from(place.saturating_sub(block.first)).unwrap_or_default().min(block.len);
        let (offsets, first) = (offset(start)..offset(end), self.revision(start.max(block.first)).next());
        let parts = block.parts(&self.users).into_iter();
        parts.flat_map(move |parts| parts.events(offsets.clone(), self.workspace, first)).flatten().map(Arc::new)
    }
}
