//! When snapshots are written, and which are believed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::domain::id::WorkspaceId;
use crate::domain::time::Revision;
use crate::domain::workspace::Workspace;
use crate::log::codec::StreamDecoder;
use crate::log::snapshot::{self, BadSnapshot, Seal};
use crate::log::{EventLog, LogError};

/// How many events are read from the log at a time.
const PAGE_EVENTS: usize = 4_096;
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

/// The snapshots of a log.
#[derive(Clone)]
pub(super) struct Snapshots {
    log: Arc<dyn EventLog>,
    seal: Seal,
}

impl Snapshots {
    /// The snapshots of a log, told from others by a seal.
    pub(super) fn new(log: Arc<dyn EventLog>, seal: Seal) -> Self {
        Self { log, seal }
    }

    /// A workspace's newest facts: those of its snapshot, where it has a good one, and the events after it. None if there is no log.
    /// Gives, beside them, up to where the snapshot reaches.
    ///
    /// # Errors
    /// As [`replay`].
    pub(super) fn load(&self, id: WorkspaceId) -> Result<Option<(Workspace, Reached)>, LogError> {
        let held = self.restored(id)?;
        let reached = held.as_ref().map_or(Revision::ZERO, Workspace::head);
        let facts = follow(self.log.as_ref(), held.unwrap_or_else(|| Workspace::empty(id)))?;
        Ok(facts.map(|facts| (facts, Reached(AtomicU64::new(reached.0)))))
    }

    /// The facts of a workspace's snapshot. One that does not match is thrown away.
    fn restored(&self, id: WorkspaceId) -> Result<Option<Workspace>, LogError> {
        let Some(bytes) = self.log.snapshot(id)? else { return Ok(None) };
        let restored = match snapshot::read(&bytes, id, &self.seal) {
            Ok(facts) => snapshot::check_log(&facts, self.log.as_ref())?.map(|()| facts),
            Err(why) => Err(why),
        };
        Ok(restored.map_err(|why| self.discard(id, &why)).ok())
    }

    fn discard(&self, id: WorkspaceId, why: &BadSnapshot) {
        tracing::warn!(workspace = %id, %why, "a snapshot is discarded, and the workspace is replayed from its first event");
        if let Err(error) = self.log.forget_snapshot(id) {
            tracing::warn!(workspace = %id, %error, "a snapshot could not be removed");
        }
    }

    /// Writes a snapshot if one is due. Takes a while, and holds nobody up.
    pub(super) fn save(&self, root: &Workspace, reached: &Reached) {
        let (id, head) = (root.id(), root.head());
        if !reached.claim(head) {
            return;
        }
        match self.log.keep_snapshot(id, &snapshot::write(root, &self.seal)) {
            Ok(()) => tracing::debug!(workspace = %id, revision = %head, "a snapshot was written"),
            Err(error) => tracing::warn!(workspace = %id, revision = %head, %error, "a snapshot could not be written"),
        }
    }
}

/// The facts of a workspace from the first event of its log; none if there is no log.
///
/// # Errors
/// `Unavailable`, or `Unreadable` with the first revision that is wrong.
pub fn replay(log: &dyn EventLog, id: WorkspaceId) -> Result<Option<Workspace>, LogError> {
    follow(log, Workspace::empty(id))
}

/// Facts with all that their log has after them; none if it has nothing.
fn follow(log: &dyn EventLog, mut workspace: Workspace) -> Result<Option<Workspace>, LogError> {
    let id = workspace.id();
    let mut decoder = StreamDecoder::after(id, workspace.head(), workspace.head_time());
    loop {
        let page = log.read(id, workspace.head(), PAGE_EVENTS)?;
        for stored in &page {
            workspace.evolve(&Arc::new(decoder.decode(stored)?));
        }
        if page.len() < PAGE_EVENTS {
            break;
        }
    }
    workspace.settle();
    Ok((workspace.head() != Revision::ZERO).then_some(workspace))
}
