//! The bytes of a whole history, for a snapshot: its blocks, one after the other.

use std::ops::Range;
use std::sync::Arc;

use super::block::Block;
use super::{BLOCK_LEN, History};
use crate::domain::model::bytes::{Bytes, put_number};
use crate::domain::model::event::Event;
use crate::domain::model::id::{UserId, WorkspaceId};
use crate::domain::model::packing::count;
use crate::domain::model::time::{Instant, Revision};

/// The number of events to unpack at a time: few enough to stay in the processor's cache until they are applied.
const PIECE_LEN: usize = 256;

impl History {
    /// Returns every event as bytes. The history must begin at the start of the log.
    pub(in crate::domain) fn packed(&self) -> Vec<u8> {
        let mut compacted = self.clone();
        compacted.compact();
        let mut bytes = Vec::new();
        put_number(&mut bytes, count(compacted.users.known().len()));
        for user in compacted.users.known() {
            put_number(&mut bytes, count(user.as_str().len()));
            bytes.extend_from_slice(user.as_str().as_bytes());
        }
        for block in compacted.blocks.iter() {
            put_number(&mut bytes, count(block.len));
            bytes.extend(block.first_time.micros().to_le_bytes());
            put_number(&mut bytes, count(block.bytes.len()));
            bytes.extend_from_slice(&block.bytes);
        }
        bytes
    }

    /// Reads the bytes that [`packed`](Self::packed) wrote, without looking at the events. Returns `None` if they are
    /// of something else.
    pub(super) fn unpack(workspace: WorkspaceId, bytes: &[u8]) -> Option<Self> {
        let mut history = Self::after(workspace, Revision::ZERO);
        let mut bytes = Bytes(bytes);
        for _ in 0..bytes.number()? {
            history.users.position(&take_user(&mut bytes)?);
        }
        let mut blocks = Vec::new();
        while !bytes.0.is_empty() {
            let block = take_block(&mut bytes, history.packed_len)?;
            history.packed_len = block.end();
            blocks.push(block);
        }
        history.blocks = Arc::new(blocks);
        Some(history)
    }

    fn events_of(&self, block: &Block, offsets: Range<usize>) -> Option<Vec<Event>> {
        let first = self.revision(block.first.saturating_add(count(offsets.start))).next();
        // Collecting into an `Option` would grow the list step by step.
        let mut events = Vec::with_capacity(offsets.len());
        for event in block.parts(&self.users)?.events(offsets, self.workspace, first) {
            events.push(event?);
        }
        Some(events)
    }
}

/// A packed history whose events are not unpacked yet. One thread can unpack pieces while another applies them in
/// order.
#[derive(Debug)]
pub struct PackedHistory(History);

impl PackedHistory {
    /// Reads the bytes that [`Workspace::packed`](crate::domain::state::workspace::Workspace::packed) wrote. Returns
    /// `None` if they are of something else.
    pub fn read(workspace: WorkspaceId, bytes: &[u8]) -> Option<Self> {
        History::unpack(workspace, bytes).map(Self)
    }

    /// Returns the events, in pieces of neighbours, with `None` for a piece that holds something else.
    pub fn pieces(&self) -> impl Iterator<Item = Option<Vec<Event>>> {
        self.0.blocks.iter().flat_map(move |block| {
            let starts = (0..block.len).step_by(PIECE_LEN);
            starts.map(move |start| self.0.events_of(block, start..block.len.min(start + PIECE_LEN)))
        })
    }

    /// Returns the workspace that the history belongs to.
    pub(in crate::domain) const fn workspace(&self) -> WorkspaceId {
        self.0.workspace
    }

    /// Returns the history. `last_time` is the time of its newest event.
    pub(in crate::domain) fn history(&self, last_time: Instant) -> History {
        let mut history = self.0.clone();
        history.last_time = (self.0.packed_len > 0).then_some(last_time);
        history
    }
}

fn take_user(bytes: &mut Bytes<'_>) -> Option<UserId> {
    let len = bytes.count()?;
    std::str::from_utf8(bytes.take(len)?).ok()?.parse().ok()
}

fn take_block(bytes: &mut Bytes<'_>, first: u64) -> Option<Block> {
    let len = bytes.count().filter(|len| (1..=BLOCK_LEN).contains(len))?;
    let first_time = Instant::from_micros(i64::from_le_bytes(bytes.array()?));
    let packed_len = bytes.count()?;
    Some(Block::new(first, first_time, len, bytes.take(packed_len)?.into()))
}
