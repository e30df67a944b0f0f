//! A whole history as bytes, for a snapshot: its blocks, one after the other.

use std::ops::Range;
use std::sync::Arc;

use super::block::Block;
use crate::domain::model::bytes::{Bytes, put_number};
use crate::domain::model::packing::count;
use super::{BLOCK_LEN, History};
use crate::domain::model::event::Event;
use crate::domain::model::id::{UserId, WorkspaceId};
use crate::domain::model::time::{Instant, Revision};

/// How many events are unpacked at a time: few enough that they are still in the processor's cache when they are taken in.
const PIECE_LEN: usize = 256;

impl History {
    /// Every event, from the first one of the log; what the history begins after must be nothing.
    pub(in crate::domain) fn packed(&self) -> Vec<u8> {
        let mut settled = self.clone();
        settled.settle();
        let mut bytes = Vec::new();
        put_number(&mut bytes, count(settled.users.known().len()));
        for user in settled.users.known() {
            put_number(&mut bytes, count(user.as_str().len()));
            bytes.extend_from_slice(user.as_str().as_bytes());
        }
        for block in settled.blocks.iter() {
            put_number(&mut bytes, count(block.len));
            bytes.extend(block.first_time.micros().to_le_bytes());
            put_number(&mut bytes, count(block.bytes.len()));
            bytes.extend_from_slice(&block.bytes);
        }
        bytes
    }

    /// What [`packed`](Self::packed) gave, but for looking at its events; none if the bytes are of something else.
    pub(super) fn unpack(workspace: WorkspaceId, bytes: &[u8]) -> Option<Self> {
        let mut history = Self::after(workspace, Revision::ZERO);
        let mut bytes = Bytes(bytes);
        for _ in 0..bytes.number()? {
            history.users.place(&take_user(&mut bytes)?);
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
        // A list that is collected of what may be none grows from nothing, and is copied each time.
        let mut events = Vec::with_capacity(offsets.len());
        for event in block.parts(&self.users)?.events(offsets, self.workspace, first) {
            events.push(event?);
        }
        Some(events)
    }
}

/// A packed history whose events nobody has looked at yet. They are unpacked piece by piece, and the pieces taken in in their order:
/// the one can be done ahead of the other, elsewhere.
#[derive(Debug)]
pub struct PackedHistory(History);

impl PackedHistory {
    /// What [`Workspace::packed`](crate::domain::state::workspace::Workspace::packed) gave; none if the bytes are of something else.
    pub fn read(workspace: WorkspaceId, bytes: &[u8]) -> Option<Self> {
        History::unpack(workspace, bytes).map(Self)
    }

    /// Its events, in pieces of neighbours; none in the place of a piece that holds something else.
    pub fn pieces(&self) -> impl Iterator<Item = Option<Vec<Event>>> {
        self.0.blocks.iter().flat_map(move |block| {
            let starts = (0..block.len).step_by(PIECE_LEN);
            starts.map(move |start| self.0.events_of(block, start..block.len.min(start + PIECE_LEN)))
        })
    }

    /// The workspace whose history it is.
    pub(in crate::domain) const fn workspace(&self) -> WorkspaceId {
        self.0.workspace
    }

    /// The history, `last_time` being when its newest event happened.
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
