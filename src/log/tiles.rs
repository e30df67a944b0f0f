//! The tiles of a workspace's log, from which proofs over a stored log are made.
//!
//! The caller gives the size of the tree. [`EventLog`](super::EventLog) returns only committed events.

use super::{LogError, Store};
use crate::domain::model::id::WorkspaceId;
use crate::domain::model::time::Revision;
use crate::proof::hash::TreeHash;
use crate::proof::tile::{Tile, TileSource, write_entries};

/// The tiles of the tree over a workspace's log.
pub struct LogTiles<'a> {
    /// The store.
    pub log: &'a dyn Store,
    /// The workspace of the log.
    pub workspace: WorkspaceId,
}

impl TileSource for LogTiles<'_> {
    type Error = LogError;

    fn hashes(&self, tile: Tile) -> Result<Vec<TreeHash>, LogError> {
        self.log.tile_hashes(self.workspace, tile)
    }
}

impl LogTiles<'_> {
    /// Returns the bytes of a bundle of entries.
    ///
    /// # Errors
    /// `Unavailable`, or `Unreadable` at the first missing revision.
    pub fn entries(&self, bundle: Tile) -> Result<Vec<u8>, LogError> {
        let (start, width) = (bundle.start(), usize::try_from(bundle.width).unwrap_or(usize::MAX));
        let stored = self.log.read(self.workspace, Revision(start), width)?;
        let unreadable =
            |revision, why: &str| LogError::Unreadable { workspace: self.workspace, revision, why: why.to_owned() };
        let mut found = stored.iter();
        for expected in (start + 1..).map(Revision).take(width) {
            if found.next().is_none_or(|event| event.revision != expected) {
                return Err(unreadable(expected, "there is no event of it"));
            }
        }
        let too_long = || unreadable(Revision(start + 1), "an event there is longer than any that is stored");
        write_entries(stored.iter().map(|event| event.bytes.as_slice())).ok_or_else(too_long)
    }
}
