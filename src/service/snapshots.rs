//! When snapshots are written, and which are believed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::load::{Start, follow};
use super::witness::{Kind, Witness};
use crate::domain::model::id::WorkspaceId;
use crate::domain::model::time::Revision;
use crate::domain::state::workspace::Workspace;
use crate::log::snapshot::{self, BadSnapshot, Snapshot};
use crate::log::{EventLog, LogError};
use crate::proof::checkpoint::Signer;
use crate::proof::frontier::TreeHead;

/// How many events a log must have grown by before a snapshot of it is worth writing, and by which part of what the last one held.
const GROWN_EVENTS_MIN: u64 = 5_000;
const GROWN_PART: u64 = 4;

/// Up to which revision a workspace's snapshot reaches, or the one that is being written.
#[derive(Debug, Default)]
pub(super) struct Reached(AtomicU64);

impl Reached {
    /// Whether the log has grown enough for another snapshot.
    pub(super) fn is_due(&self, head: Revision) -> bool {
        let last = self.0.load(Ordering::Acquire);
        head.0.saturating_sub(last) >= GROWN_EVENTS_MIN.max(last / GROWN_PART)
    }

    /// Takes it upon the caller to write a snapshot, if one is due and nobody else has.
    fn claim(&self, head: Revision) -> bool {
        let last = self.0.load(Ordering::Acquire);
        self.is_due(head) && self.0.compare_exchange(last, head.0, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

/// A workspace that was loaded.
pub(super) struct Loaded {
    /// Its newest facts.
    pub(super) facts: Workspace,
    /// The head of its log's tree, which every leaf and every witness agreed with.
    pub(super) tree: TreeHead,
    /// Up to where its snapshot reaches.
    pub(super) reached: Reached,
}

/// The snapshots of a log.
#[derive(Clone)]
pub(super) struct Snapshots {
    log: Arc<dyn EventLog>,
    signer: Signer,
}

impl Snapshots {
    /// The snapshots of a log, told from others by a seal that the signer's key makes.
    pub(super) fn new(log: Arc<dyn EventLog>, signer: Signer) -> Self {
        Self { log, signer }
    }

    /// A workspace's newest facts: those of its snapshot, where it has a good one, and the events after it. None if there is no log.
    ///
    /// # Errors
    /// As [`replay`](super::replay), and `Unreadable` if the log is not the one that its snapshot or its kept checkpoint was made of.
    pub(super) fn load(&self, id: WorkspaceId) -> Result<Option<Loaded>, LogError> {
        let log = self.log.as_ref();
        let mut witnesses: Vec<Witness> = Witness::kept(log, id, &self.signer)?.into_iter().collect();
        let opened = self.stored(id).map(|bytes| self.opened(id, &bytes, &mut witnesses));
        let (held, bad) = opened
            .map_or((None, None), |opened| opened.map_or_else(|bad| (None, Some(bad)), |held| (Some(held), None)));
        let reached = held.as_ref().map_or(Revision::ZERO, |held| held.facts.head());
        let start = held.map_or_else(|| Ok(Start::empty(id)), |held| Start::of_snapshot(held, log))?;
        let followed = follow(log, start, witnesses)?;
        if let Some(why) = bad {
            self.discard(id, &why);
        }
        Ok(followed.map(|(facts, tree)| Loaded { facts, tree, reached: Reached(AtomicU64::new(reached.0)) }))
    }

    /// The snapshot in these bytes. One whose seal is right is a witness of its log, even if its facts are of no use.
    fn opened(&self, id: WorkspaceId, bytes: &[u8], witnesses: &mut Vec<Witness>) -> Result<Snapshot, BadSnapshot> {
        let sealed = snapshot::open(bytes, id, &self.signer.key)?;
        witnesses.push(Witness { tree: sealed.tree(), kind: Kind::Snapshot });
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

    /// Writes a snapshot if one is due. `tree` is the head of the log's tree, as far as it is known. Takes a while, and holds nobody up.
    pub(super) fn save(&self, root: &Workspace, tree: Option<TreeHead>, reached: &Reached) {
        let (id, head) = (root.id(), root.head());
        if !reached.claim(head) {
            return;
        }
        let taken = snapshot::take(root, tree, self.log.as_ref(), &self.signer.key);
        match taken.and_then(|taken| self.log.keep_snapshot(id, &taken)) {
            Ok(()) => tracing::debug!(workspace = %id, revision = %head, "a snapshot was written"),
            Err(error) => tracing::warn!(workspace = %id, revision = %head, %error, "a snapshot could not be written"),
        }
    }
}
