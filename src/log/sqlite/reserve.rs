//! The reserve: room on the disk that is kept for removing access, and for starting.
//!
//! It is a file beside the store, so that no other writer can use its room. On a full disk it is released piece by piece. If the file
//! system cannot allocate it, the free room counts instead.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate, fstatvfs};

const RESERVE_FILE: &str = "tenure.reserve";
/// The reserve is at most this part (1/4) of the file system, so that a small disk can be used.
const PART_OF_DISK: u64 = 4;
/// A piece of the reserve is this part (1/8) of it. As much is kept free beside it for writes in progress.
const PIECES: u64 = 8;
/// The least room for a start, in bytes: the index of the WAL, and a few pages.
pub(super) const START_BYTES: u64 = 512 * 1_024;

/// The room on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Room {
    /// The bytes that are free for this user.
    free: u64,
    /// The wanted size of the reserve on this file system, in bytes.
    wanted: u64,
}

/// The reserve of a data folder.
#[derive(Debug)]
pub(super) struct Reserve {
    folder: Option<File>,
    file: PathBuf,
    asked: u64,
    held: u64,
    /// Whether an allocation failed. It is tried once.
    cannot_hold: bool,
}

impl Reserve {
    /// Returns the reserve beside a store, of `asked` bytes; 0 for none.
    pub(super) fn beside(store: &Path, asked: u64) -> Self {
        let file = store.with_file_name(RESERVE_FILE);
        let folder = store.parent().and_then(|folder| File::open(folder).ok());
        let held = std::fs::metadata(&file).map_or(0, |file| file.len());
        Self { folder, file, asked, held, cannot_hold: false }
    }

    fn room(&self) -> Option<Room> {
        let found = fstatvfs(self.folder.as_ref()?).ok()?;
        let size = found.f_blocks.saturating_mul(found.f_frsize);
        let free = found.f_bavail.saturating_mul(found.f_frsize);
        Some(Room { free, wanted: self.asked.min(size / PART_OF_DISK) })
    }

    /// Returns the size of the whole reserve on this file system, in bytes; 0 if it is unknown.
    pub(super) fn wanted(&self) -> u64 {
        self.room().map_or(0, |room| room.wanted)
    }

    /// Returns whether the disk has no room except the reserve.
    pub(super) fn is_all_there_is(&self) -> bool {
        let is_all =
            |room: Room| room.free.saturating_add(self.held) < room.wanted.saturating_add(room.wanted / PIECES);
        self.asked > 0 && self.room().is_some_and(is_all)
    }

    /// Returns whether the disk has hardly any free room, without the reserve.
    pub(super) fn is_nothing_free(&self) -> bool {
        self.room().is_some_and(|room| room.free < START_BYTES)
    }

    /// Grows the reserve to the wanted size if there is room, or shrinks it to that size.
    pub(super) fn fill(&mut self) {
        let Some(Room { free, wanted }) = self.room() else { return };
        if self.held > wanted {
            self.shrink_to(wanted);
        }
        let missing = wanted.saturating_sub(self.held);
        if missing == 0 || self.cannot_hold || free < missing.saturating_add(wanted / PIECES) {
            return;
        }
        match self.grow_to(wanted) {
            Ok(()) => self.held = wanted,
            Err(error) => {
                self.cannot_hold = true;
                tracing::warn!(%error, "no room can be set aside on this disk: what is free is the reserve");
            }
        }
    }

    /// Releases a piece of the reserve; returns false if there is none. The room for a start stays.
    pub(super) fn give_up_piece(&mut self) -> bool {
        self.give_up(START_BYTES)
    }

    /// Releases the rest of the reserve as far as a start needs it.
    pub(super) fn give_up_to_start(&mut self) {
        while self.is_nothing_free() && self.give_up(0) {}
    }

    /// Releases pieces until there is room for the next write.
    pub(super) fn make_room(&mut self) {
        while self.room().is_some_and(|room| room.free < room.wanted / PIECES) && self.give_up_piece() {}
    }

    /// Gives up a piece of the reserve down to `kept` bytes, for opening or closing the store; false if the disk has other room, or
    /// nothing is left to give.
    pub(super) fn give_up_to_finish(&mut self, kept: u64) -> bool {
        self.is_all_there_is() && self.give_up(kept)
    }

    fn give_up(&mut self, kept: u64) -> bool {
        let piece = (self.asked / PIECES).min(self.held / 2).max(START_BYTES);
        let len = self.held.saturating_sub(piece).max(kept);
        len < self.held && self.shrink_to(len)
    }

    fn shrink_to(&mut self, len: u64) -> bool {
        let shrunk = self.open().and_then(|file| file.set_len(len));
        if shrunk.is_ok() {
            self.held = len;
        }
        shrunk.is_ok()
    }

    fn grow_to(&self, len: u64) -> io::Result<()> {
        let file = self.open()?;
        let grown = fallocate(&file, FallocateFlags::empty(), 0, len);
        if grown.is_err() {
            file.set_len(self.held)?;
        }
        Ok(grown?)
    }

    fn open(&self) -> io::Result<File> {
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&self.file)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    const MIB: u64 = 1_024 * 1_024;

    #[test]
    fn a_reserve_is_allocated_released_in_pieces_and_kept_for_a_start() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("tenure.db");
        let mut reserve = Reserve::beside(&store, 8 * MIB);
        reserve.fill();
        assert_eq!((reserve.held, std::fs::metadata(&reserve.file).unwrap().len()), (8 * MIB, 8 * MIB));
        let pieces = std::iter::from_fn(|| reserve.give_up_piece().then_some(reserve.held)).collect::<Vec<_>>();
        assert!(pieces.len() >= 8 && pieces.is_sorted_by(|one, next| one > next), "{pieces:?}");
        assert_eq!(reserve.held, START_BYTES);
        assert!(reserve.give_up(0) && reserve.held == 0 && !reserve.give_up(0));
        let again = Reserve::beside(&store, 8 * MIB);
        assert_eq!(again.held, 0, "a restart does not restore released pieces");
    }

    #[test]
    fn a_smaller_reserve_shrinks_and_none_is_empty() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("tenure.db");
        Reserve::beside(&store, 4 * MIB).fill();
        let mut smaller = Reserve::beside(&store, MIB);
        assert_eq!(smaller.held, 4 * MIB);
        smaller.fill();
        assert_eq!(smaller.held, MIB);
        let mut none = Reserve::beside(&store, 0);
        none.fill();
        assert!(none.held == 0 && !none.is_all_there_is());
    }
}
