//! Witnesses of a log: snapshots and checkpoints of it that this instance sealed or signed, kept beside the store.
//!
//! A store that was replaced by an older copy is valid in itself. A snapshot and a kept checkpoint show the loss: each holds the size
//! and root of its log's tree. A log with another root at that size is not served, and the witness stays in its place.

use std::sync::Arc;

use super::Service;
use crate::domain::model::id::WorkspaceId;
use crate::domain::model::time::Revision;
use crate::log::published::stored_key_chain;
use crate::log::{LogError, Store};
use crate::proof::checkpoint::{Checkpoint, CheckpointError, Signer};
use crate::proof::frontier::TreeHead;
use crate::proof::note::NoteError;
use crate::proof::succession::KeyChain;

/// The most checkpoints that are kept in a round of maintenance. The others wait for the next round.
pub(super) const CHECKPOINTS_A_ROUND_MAX: usize = 256;

impl Service {
    /// Signs the heads of up to `limit` logs that grew, and keeps the checkpoints beside the store.
    pub(super) async fn keep_checkpoints(&self, limit: usize) {
        self.keep_checkpoints_of(self.workspaces.grown_logs(limit)).await;
    }

    /// Keeps the checkpoint of a log that is about to be given away. The store must not fall behind it unnoticed. A failure is logged only:
    /// on a full disk, the reader still gets the checkpoint.
    pub(super) async fn keep_given_checkpoint(&self, workspace: WorkspaceId) {
        if self.workspaces.grown_tree(workspace).is_some() {
            self.keep_checkpoints_of(vec![workspace]).await;
        }
    }

    async fn keep_checkpoints_of(&self, grown: Vec<WorkspaceId>) {
        if grown.is_empty() {
            return;
        }
        let (signer, workspaces) = (self.signer.clone(), Arc::clone(&self.workspaces));
        let kept = self.reading(move |log| {
            let keep = |id| workspaces.keep_checkpoint(id, log, &signer);
            grown.into_iter().map(keep).fold(Ok(()), Result::and)
        });
        if let Err(error) = kept.await {
            tracing::warn!(%error, "checkpoints could not be kept beside the store");
        }
    }
}

/// The kind of a witness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WitnessKind {
    /// The frontier of the tree in the store itself.
    Frontier,
    /// A snapshot with a valid seal.
    Snapshot,
    /// A checkpoint with a valid signature.
    Checkpoint,
}

/// The size and root that a log's tree once had.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Witness {
    /// The size and root.
    pub(crate) tree: TreeHead,
    /// The kind.
    pub(crate) kind: WitnessKind,
}

impl Witness {
    /// Returns the kept checkpoint of a workspace's log. One that cannot be opened is logged and put aside, so that no newer one
    /// overwrites it; then there is none.
    ///
    /// # Errors
    /// `Unavailable`.
    pub(crate) fn kept(log: &dyn Store, id: WorkspaceId, signer: &Signer) -> Result<Option<Self>, LogError> {
        let Some(bytes) = log.kept_checkpoint(id)? else { return Ok(None) };
        match open_kept(&bytes, log, id, signer)? {
            Ok(checkpoint) => Ok(Some(Self { tree: *checkpoint.tree(), kind: WitnessKind::Checkpoint })),
            Err(why) => {
                let [_, name] = log.witness_names(id);
                let aside = log.set_checkpoint_aside(id)?;
                tracing::error!(
                    workspace = %id, %why,
                    "the log is not compared with the kept checkpoint `{name}`, which is now `{aside}`"
                );
                Ok(None)
            }
        }
    }

    fn name(&self, log: &dyn Store, id: WorkspaceId) -> String {
        let [snapshot, checkpoint] = log.witness_names(id);
        match self.kind {
            WitnessKind::Frontier => "the edge of its tree".to_owned(),
            WitnessKind::Snapshot => format!("the snapshot `{snapshot}`, which was sealed here,"),
            WitnessKind::Checkpoint => format!("the checkpoint `{checkpoint}`, which was signed here,"),
        }
    }

    /// Checks that a log has the witness's root at its size.
    ///
    /// # Errors
    /// `Unreadable`, with advice.
    pub(crate) fn check(&self, found: TreeHead, log: &dyn Store, id: WorkspaceId) -> Result<(), LogError> {
        if found == self.tree {
            return Ok(());
        }
        let TreeHead { size, root } = self.tree;
        let what =
            format!("up to there the log has the root `{}`, and {} has `{root}`", found.root, self.name(log, id));
        Err(self.unreadable(size, &what, log, id))
    }

    /// Returns the error for a log that ends before the size of the witness.
    pub(crate) fn missing(&self, head: Revision, log: &dyn Store, id: WorkspaceId) -> LogError {
        let size = self.tree.size;
        let what = match self.kind {
            WitnessKind::Frontier => format!("the log ends before it, and its tree has {size} events"),
            WitnessKind::Snapshot | WitnessKind::Checkpoint => {
                format!("the log ends before it, and {} has {size} events", self.name(log, id))
            }
        };
        self.unreadable(head.next().0, &what, log, id)
    }

    fn unreadable(&self, revision: u64, what: &str, log: &dyn Store, id: WorkspaceId) -> LogError {
        let [snapshot, checkpoint] = log.witness_names(id);
        let advice = match self.kind {
            WitnessKind::Frontier => "restore the data folder from a backup".to_owned(),
            WitnessKind::Snapshot | WitnessKind::Checkpoint => format!(
                "the store was set back to an older copy, or was altered: put the right store back or, to go on from this \
                 one, move `{snapshot}` and `{checkpoint}` out of the data folder"
            ),
        };
        LogError::Unreadable { workspace: id, revision: Revision(revision), why: format!("{what}: {advice}") }
    }
}

/// Opens a kept checkpoint with the key that signs its log, or with an earlier key in the store's chain.
///
/// # Errors
/// `Unavailable`; the inner error is a sentence about the checkpoint.
pub(crate) fn open_kept(
    bytes: &[u8],
    log: &dyn Store,
    id: WorkspaceId,
    signer: &Signer,
) -> Result<Result<Checkpoint, String>, LogError> {
    let Ok(note) = std::str::from_utf8(bytes) else { return Ok(Err("it is no text".to_owned())) };
    let key = signer.verifier(id);
    Ok(match Checkpoint::open(note, &key) {
        Err(CheckpointError::Note(NoteError::Unsigned(_))) => match stored_key_chain(log)?.parse::<KeyChain>() {
            Ok(chain) => Checkpoint::open_with(note, &chain.around(&key)).map(|(checkpoint, _)| checkpoint),
            Err(error) => return Ok(Err(error.to_string())),
        },
        opened => opened,
    }
    .map_err(|error| error.to_string()))
}
