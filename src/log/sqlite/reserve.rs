//! The reserve: room on the disk that is kept for taking access away, and for starting.
//!
//! It is a file beside the store, so that no other writer can take its room; it is given up piece by piece where there is no other. Where
//! the file system cannot set room aside, what is free counts in its place.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate, fstatvfs};

const RESERVE_FILE: &str = "tenure.reserve";
/// The reserve takes this part of a file system at most, so that a small disk can be used at all.
const PART_OF_DISK: u64 = 4;
/// One piece of the reserve, and what is left free beside it for what is under way, is this part of it.
const PIECES: u64 = 8;
/// Room that a start needs at least, in bytes: the index of the WAL, and a few pages.
pub(super) const START_BYTES: u64 = 512 * 1_024;

/// How much room there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Room {
    /// How many bytes are free for this user.
    free: u64,
    /// How many bytes the reserve should have on this file system.
    wanted: u64,
}

/// The reserve of a data folder.
#[derive(Debug)]
pub(super) struct Reserve {
    folder: Option<File>,
    file: PathBuf,
    asked: u64,
    held: u64,
    /// Whether the file system was found unable to set room aside: it is asked once.
    cannot_hold: bool,
}

impl Reserve {
    /// A reserve of so many bytes beside a store; of none, where there is to be none.
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

    /// Whether there is no room left but the reserve.
    pub(super) fn is_all_there_is(&self) -> bool {
        let is_all =
            |room: Room| room.free.saturating_add(self.held) < room.wanted.saturating_add(room.wanted / PIECES);
        self.asked > 0 && self.room().is_some_and(is_all)
    }

    /// Whether hardly anything is free, whatever is held.
    pub(super) fn is_nothing_free(&self) -> bool {
        self.room().is_some_and(|room| room.free < START_BYTES)
    }

    /// Sets room aside, as much as there should be and the others leave; gives back what is too much.
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

    /// Gives up a piece of the reserve; false if nothing of it is left to give. What a start needs is given to a start only.
    pub(super) fn give_up_piece(&mut self) -> bool {
        self.give_up(START_BYTES)
    }

    /// Gives up what is left of the reserve as far as a start needs it.
    pub(super) fn give_up_to_start(&mut self) {
        while self.is_nothing_free() && self.give_up(0) {}
    }

    /// Gives up as many pieces as it takes for what is written next.
    pub(super) fn make_room(&mut self) {
        while self.room().is_some_and(|room| room.free < room.wanted / PIECES) && self.give_up_piece() {}
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
    fn room_is_set_aside_given_up_by_pieces_and_kept_for_a_start() {
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
        assert_eq!(again.held, 0, "what was given up is not there after a restart either");
    }

    #[test]
    fn a_smaller_reserve_gives_back_what_is_too_much_and_none_takes_nothing() {
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
