//! A whole history as bytes, for a snapshot: its blocks, one after the other.

use imbl::Vector;

use super::block::Block;
use super::bytes::{Bytes, put_number};
use super::pack::count;
use super::{BLOCK_LEN, History};
use crate::domain::event::Event;
use crate::domain::id::{UserId, WorkspaceId};
use crate::domain::time::{Instant, Revision};

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
        for block in &settled.blocks {
            put_number(&mut bytes, count(block.len));
            bytes.extend(block.first_time.micros().to_le_bytes());
            put_number(&mut bytes, count(block.bytes.len()));
            bytes.extend_from_slice(&block.bytes);
        }
        bytes
    }

    /// What [`packed`](Self::packed) gave, and each event of it shown to `see`, in order; none if the bytes are of something else.
    pub(in crate::domain) fn unpack(workspace: WorkspaceId, bytes: &[u8], mut see: impl FnMut(&Event)) -> Option<Self> {
        let mut history = Self::after(workspace, Revision::ZERO);
        let mut bytes = Bytes(bytes);
        for _ in 0..bytes.number()? {
            history.users.place(&take_user(&mut bytes)?);
        }
        let mut blocks = Vector::new();
        while !bytes.0.is_empty() {
            let block = take_block(&mut bytes, history.packed_len)?;
            history.last_time = Some(history.see_block(&block, &mut see)?);
            history.packed_len = block.end();
            blocks.push_back(block);
        }
        history.blocks = blocks;
        Some(history)
    }

    /// Shows the events of the block that comes next, and gives the time of the last; none if a log could not hold them.
    fn see_block(&self, block: &Block, see: &mut impl FnMut(&Event)) -> Option<Instant> {
        let parts = block.parts(&self.users)?;
        let mut time = self.last_time.unwrap_or(Instant::EARLIEST);
        for offset in 0..block.len {
            let revision = self.revision(block.first.saturating_add(count(offset))).next();
            let event = parts.event(offset, self.workspace, revision).filter(|event| event.time >= time)?;
            time = event.time;
            see(&event);
        }
        Some(time)
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
    Some(Block { first, first_time, len, bytes: bytes.take(packed_len)?.into() })
}
