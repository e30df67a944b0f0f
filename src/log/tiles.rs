//! A workspace's log as the tiles of its tree: what proofs over a stored log are made from.
//!
//! Owns nothing but the way from a log to its tiles. It must not know whether a size is durable: whoever asks says of which
//! size, and [`EventLog`] gives only what was committed.

use super::{EventLog, LogError};
use crate::domain::id::WorkspaceId;
use crate::proof::hash::TreeHash;
use crate::proof::tile::{Tile, TileSource};

/// The tiles of the tree over a workspace's log.
pub struct LogTiles<'a> {
    /// Where the log is.
    pub log: &'a dyn EventLog,
    /// Whose log.
    pub workspace: WorkspaceId,
}

impl TileSource for LogTiles<'_> {
    type Error = LogError;

    fn hashes(&self, tile: Tile) -> Result<Vec<TreeHash>, LogError> {
        self.log.tile_hashes(self.workspace, tile)
    }
}
