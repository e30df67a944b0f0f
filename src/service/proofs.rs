//! Proofs over a log for auditors: checkpoints, tiles, receipts and consistency proofs.
//!
//! Each is read from the store at one durable size, and stays valid when the log grows. Does not know who may ask.

use super::Service;
use crate::domain::model::id::WorkspaceId;
use crate::domain::model::time::Revision;
use crate::log::tiles::LogTiles;
use crate::log::{LogError, Store};
use crate::proof::checkpoint::Checkpoint;
use crate::proof::frontier::{NodeId, TreeHead};
use crate::proof::hash::{TreeHash, write_hashes};
use crate::proof::path;
use crate::proof::receipt::Receipt;
use crate::proof::tile::{NodeError, Nodes, TILE_HEIGHT, Tile, TileKind, TileSource};

/// A proof that a log's tree of one size only extends that of an earlier size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsistencyProof {
    /// The tree of the earlier size, at least 1.
    pub from: TreeHead,
    /// The tree of the later size.
    pub to: TreeHead,
    /// The hashes (RFC 6962 §2.1.2); none if the sizes are equal.
    pub proof: Vec<TreeHash>,
}

impl Service {
    /// Returns the newest checkpoint of a workspace's log, which is kept beside the store first; none if it never began.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn checkpoint(&self, workspace: WorkspaceId) -> Result<Option<Checkpoint>, LogError> {
        let tree = self.tree(workspace).await?;
        self.keep_given_checkpoint(workspace).await;
        Ok(tree.map(|tree| self.signer().sign(workspace, tree)))
    }

    /// Returns the bytes of a tile or bundle; none if the log is shorter.
    ///
    /// # Errors
    /// `Unavailable`, or `Unreadable` if the log has fewer events than its size.
    pub async fn tile(&self, workspace: WorkspaceId, tile: Tile) -> Result<Option<Vec<u8>>, LogError> {
        let size = self.tree(workspace).await?.map_or(0, |tree| tree.size);
        if !tile.is_within(size) {
            return Ok(None);
        }
        self.reading(move |log| tile_bytes(log, workspace, tile).map(Some)).await
    }

    /// Returns the receipt of an event under the newest checkpoint; none if the log is shorter.
    ///
    /// # Errors
    /// As [`Self::tile`].
    pub async fn receipt(&self, workspace: WorkspaceId, revision: Revision) -> Result<Option<Receipt>, LogError> {
        let Some(index) = revision.0.checked_sub(1) else { return Ok(None) };
        let tree = self.tree(workspace).await?;
        let Some(tree) = tree.filter(|tree| index < tree.size) else { return Ok(None) };
        let path = self.reading(move |log| {
            let tiles = LogTiles { log, workspace };
            let mut nodes = Nodes::new(&tiles, tree.size);
            let failed = |error| unreadable(workspace, error);
            let path = path::inclusion(&mut nodes, index).map_err(failed)?;
            let leaf = nodes.node(NodeId { level: 0, index }).map_err(failed)?;
            let proved = path::verify_inclusion(&tree, index, leaf, &path);
            proved.map(|()| path).map_err(|error| LogError::Unreadable { workspace, revision, why: error.to_string() })
        });
        let path = path.await?;
        self.keep_given_checkpoint(workspace).await;
        let checkpoint = self.signer().sign(workspace, tree).note().to_owned();
        Ok(Some(Receipt { index, path, checkpoint }))
    }

    /// Returns the proof between two sizes that the log had: `1 <= from <= to`.
    ///
    /// # Errors
    /// As [`Self::tile`].
    pub async fn consistency(&self, workspace: WorkspaceId, from: u64, to: u64) -> Result<ConsistencyProof, LogError> {
        let head = self.tree(workspace).await?;
        self.keep_given_checkpoint(workspace).await;
        let growth = self.reading(move |log| {
            let tiles = LogTiles { log, workspace };
            grown(&mut Nodes::new(&tiles, to), from).map_err(|error| unreadable(workspace, error))
        });
        let growth = growth.await?;
        match head.filter(|head| head.size == to && head.root != growth.to.root) {
            Some(head) => {
                let why =
                    format!("its tiles have the root `{}` there, and its events have `{}`", growth.to.root, head.root);
                Err(LogError::Unreadable { workspace, revision: Revision(to), why })
            }
            None => Ok(growth),
        }
    }
}

fn grown(nodes: &mut Nodes<'_, LogTiles<'_>>, from: u64) -> Result<ConsistencyProof, NodeError<LogError>> {
    let to = nodes.size();
    Ok(ConsistencyProof {
        from: TreeHead { size: from, root: nodes.subtree(0, from)? },
        to: TreeHead { size: to, root: nodes.subtree(0, to)? },
        proof: path::consistency(nodes, from)?,
    })
}

fn tile_bytes(log: &dyn Store, workspace: WorkspaceId, tile: Tile) -> Result<Vec<u8>, LogError> {
    let tiles = LogTiles { log, workspace };
    if tile.kind == TileKind::Entries {
        return tiles.entries(tile);
    }
    let hashes = tiles.hashes(tile)?;
    let is_whole = usize::try_from(tile.width).is_ok_and(|width| hashes.len() == width);
    if is_whole { Ok(write_hashes(&hashes)) } else { Err(unreadable(workspace, NodeError::Short(tile))) }
}

fn unreadable(workspace: WorkspaceId, error: NodeError<LogError>) -> LogError {
    match error {
        NodeError::Source(error) => error,
        NodeError::Short(tile) => {
            let height = match tile.kind {
                TileKind::Entries => 0,
                TileKind::Hashes(level) => u32::from(level) * u32::from(TILE_HEIGHT),
            };
            let first = tile.start().checked_shl(height).unwrap_or(u64::MAX);
            LogError::Unreadable {
                workspace,
                revision: Revision(first).next(),
                why: NodeError::<LogError>::Short(tile).to_string(),
            }
        }
    }
}
