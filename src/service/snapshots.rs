//! Loading from snapshots, and writing those that are due.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::load::{ReplayStart, replay_from};
use super::witness::{Witness, WitnessKind};
use crate::domain::model::id::WorkspaceId;
use crate::domain::model::time::Revision;
use crate::domain::state::workspace::Workspace;
use crate::log::snapshot::{self, BadSnapshot, Snapshot};
use crate::log::{LogError, Store};
use crate::proof::checkpoint::Signer;
use crate::proof::frontier::TreeHead;

/// The growth of a log after which a snapshot is due: this many events, and this part (1/4) of the last snapshot's events.
const GROWN_EVENTS_MIN: u64 = 5_000;
const GROWN_PART: u64 = 4;

/// The revision of a workspace's newest snapshot, or of the one that is being written.
#[derive(Debug, Default)]
pub(super) struct SnapshotProgress(AtomicU64);

impl SnapshotProgress {
    /// Returns whether the log has grown enough for another snapshot.
    pub(super) fn is_due(&self, head: Revision) -> bool {
        let last = self.0.load(Ordering::Acquire);
        head.0.saturating_sub(last) >= GROWN_EVENTS_MIN.max(last / GROWN_PART)
    }

    /// Returns whether a snapshot is due and no other thread has claimed it; claims it for the caller.
    fn claim(&self, head: Revision) -> bool {
        let last = self.0.load(Ordering::Acquire);
        self.is_due(head) && self.0.compare_exchange(last, head.0, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

/// A workspace that was loaded.
pub(super) struct LoadedWorkspace {
    /// Its newest facts.
    pub(super) facts: Workspace,
    /// The head of its log's tree, which agrees with every leaf and every witness.
    pub(super) tree: TreeHead,
    /// Whether a checkpoint of that head is kept.
    pub(super) is_kept: bool,
    /// The revision of its snapshot.
    pub(super) snapshot_progress: SnapshotProgress,
}

/// The snapshots of a log.
#[derive(Clone)]
pub(super) struct Snapshots {
    log: Arc<dyn Store>,
    signer: Signer,
}

impl Snapshots {
    /// Returns the snapshots of a log that are sealed with the signer's key.
    pub(super) fn new(log: Arc<dyn Store>, signer: Signer) -> Self {
        Self { log, signer }
    }

    /// Returns a workspace's newest facts: those of its snapshot, if it has a valid one, and of the events after it. None if there is no log.
    ///
    /// # Errors
    /// As [`replay`](super::replay), and `Unreadable` if the log differs from its snapshot or its kept checkpoint.
    pub(super) fn load(&self, id: WorkspaceId) -> Result<Option<LoadedWorkspace>, LogError> {
        let log = self.log.as_ref();
        let kept = Witness::kept(log, id, &self.signer)?;
        let mut witnesses: Vec<Witness> = kept.into_iter().collect();
        let opened = self.stored(id).map(|bytes| self.open(id, &bytes, &mut witnesses));
        let (snapshot, bad) = opened.map_or((None, None), |opened| {
            opened.map_or_else(|bad| (None, Some(bad)), |snapshot| (Some(snapshot), None))
        });
        let revision = snapshot.as_ref().map_or(Revision::ZERO, |snapshot| snapshot.facts.head());
        let start =
            snapshot.map_or_else(|| Ok(ReplayStart::empty(id)), |snapshot| ReplayStart::at_snapshot(snapshot, log))?;
        let replayed = replay_from(log, start, witnesses)?;
        if let Some(why) = bad {
            self.discard(id, &why);
        }
        let snapshot_progress = SnapshotProgress(AtomicU64::new(revision.0));
        Ok(replayed.map(|(facts, tree)| {
            let is_kept = kept.is_some_and(|kept| kept.tree == tree);
            LoadedWorkspace { facts, tree, is_kept, snapshot_progress }
        }))
    }

    /// Opens a snapshot. One with a valid seal is a witness of its log, even if its facts cannot be used.
    fn open(&self, id: WorkspaceId, bytes: &[u8], witnesses: &mut Vec<Witness>) -> Result<Snapshot, BadSnapshot> {
        let sealed = snapshot::open(bytes, id, &self.signer.key)?;
        witnesses.push(Witness { tree: sealed.tree(), kind: WitnessKind::Snapshot });
        sealed.read()
    }

    fn stored(&self, id: WorkspaceId) -> Option<Vec<u8>> {
        self.log.snapshot(id).unwrap_or_else(|error| {
            tracing::warn!(workspace = %id, %error, "a snapshot cannot be read, and the workspace is replayed from its first event");
            None
        })
    }

    fn discard(&self, id: WorkspaceId, why: &BadSnapshot) {
        tracing::warn!(workspace = %id, %why, "a snapshot is discarded, and the workspace is replayed from its first event");
        if let Err(error) = self.log.forget_snapshot(id) {
            tracing::warn!(workspace = %id, %error, "a snapshot could not be removed");
        }
    }

    /// Writes a snapshot if one is due. `tree` is the head of the log's tree, if known. Blocks only its caller.
    pub(super) fn save(&self, root: &Workspace, tree: Option<TreeHead>, progress: &SnapshotProgress) {
        let (id, head) = (root.id(), root.head());
        if !progress.claim(head) {
            return;
        }
        let taken = snapshot::take(root, tree, self.log.as_ref(), &self.signer.key);
        match taken.and_then(|taken| self.log.keep_snapshot(id, &taken)) {
            Ok(()) => tracing::debug!(workspace = %id, revision = %head, "a snapshot was written"),
            Err(error) => tracing::warn!(workspace = %id, revision = %head, %error, "a snapshot could not be written"),
        }
    }
}
