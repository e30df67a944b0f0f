//! The traits of a store: the events, the tree over them, the directories, the snapshots and the journal, and [`Store`] with all of them.
//!
//! # Contract
//! `tests/store/log_contract.rs` holds every implementation to these clauses:
//! 1. [`append`](EventLog::append) handles the parts of a batch in order and commits once. When it returns `Ok`, every part with the
//!    outcome [`Outcome::Appended`](super::Outcome::Appended) survives a power cut. A part with another outcome left nothing, and did not
//!    harm the others. A later part of the same stream sees the events of an earlier one.
//! 2. `Err(Unavailable)` and `Err(NoRoom)` mean that nothing of the batch was written; `Err(OutcomeUnknown)` that it is unknown.
//! 3. Revisions of a stream have no gap, and bytes never change. An event whose bytes do not match its leaf is `Unreadable`.
//! 4. A name belongs to at most one workspace at a time. The scope and key of an idempotency record are unique.
//! 5. Reads see all of a commit or none, and never wait for one.
//! 6. Nothing in a stream is ever updated or deleted.
//! 7. A recorded read never changes, except that its count of rows is set once. The oldest reads may be removed, in the commit of a record
//!    of that.
//! 8. A stream's tree (RFC 6962 §2.1, over the exact bytes) grows in the commit of its events. An append reads only its frontier. Its size
//!    is the newest revision. The hashes of a tile exist as far as the tree is full below them. A stored frontier that differs from the
//!    tiles is neither returned nor appended to.
//! 9. A snapshot, or a kept checkpoint, is the last one of its workspace, or missing. Anyone with access to the store could have made it,
//!    so the reader checks it. No append waits for one.

use std::path::Path;

use super::journal::{OldReads, ReadFilter, StoredRead};
use super::rows::StoredRow;
use super::{
    Append, Appended, CredentialId, CursorSecret, EachEvent, IdempotencyRecord, LogError, RecordScope,
    StoredCredential, StoredEvent, StoredKey, UncheckedEvents,
};
use crate::domain::model::command::Profile;
use crate::domain::model::id::{UserId, WorkspaceId};
use crate::domain::model::time::{Instant, Revision};
use crate::proof::frontier::Frontier;
use crate::proof::hash::TreeHash;
use crate::proof::tile::Tile;

/// The event streams, one for each workspace. Each method fails with `Unavailable`; others are named.
pub trait EventLog: Send + Sync {
    /// Writes a batch in one commit, and returns the outcome of each part, in order.
    ///
    /// # Errors
    /// `NoRoom` or `OutcomeUnknown`; see the contract.
    fn append(&self, batch: &[Append]) -> Result<Appended, LogError>;

    /// Returns the newest revision of a workspace's log; none if it never began.
    ///
    /// # Errors
    /// `Unavailable`.
    fn head(&self, workspace: WorkspaceId) -> Result<Option<Revision>, LogError>;

    /// Passes up to `limit` events of a workspace after a revision to `each`, in order, borrowed from the store.
    ///
    /// # Errors
    /// `Unreadable` at an event that does not match its leaf, or the first error of `each`. The visit ends there.
    fn visit(&self, workspace: WorkspaceId, after: Revision, limit: usize, each: EachEvent<'_>)
    -> Result<(), LogError>;

    /// Returns up to `limit` rows of a workspace's log after a revision, in order, to be checked elsewhere.
    ///
    /// # Errors
    /// `Unavailable`.
    fn read_unchecked(
        &self,
        workspace: WorkspaceId,
        after: Revision,
        limit: usize,
    ) -> Result<UncheckedEvents, LogError> {
        let mut rows = UncheckedEvents::default();
        self.visit(workspace, after, limit, &mut |event| {
            rows.push(&event);
            Ok(())
        })?;
        Ok(rows)
    }

    /// Returns up to `limit` events of a workspace after a revision, in order.
    ///
    /// # Errors
    /// As [`visit`](Self::visit).
    fn read(&self, workspace: WorkspaceId, after: Revision, limit: usize) -> Result<Vec<StoredEvent>, LogError> {
        let mut events = Vec::new();
        self.visit(workspace, after, limit, &mut |event| {
            events.push(event.into_owned());
            Ok(())
        })?;
        Ok(events)
    }

    /// Returns up to `limit` events of all workspaces after a position of the feed. Events that are appended later have later positions,
    /// so a reader that goes on from the last position misses none.
    ///
    /// # Errors
    /// As [`visit`](Self::visit).
    fn feed(&self, after: u64, limit: usize) -> Result<Vec<StoredEvent>, LogError>;

    /// Returns whether the events of a part are in its log, at its revision. A part without events never is.
    ///
    /// # Errors
    /// `Unavailable`.
    fn holds(&self, part: &Append) -> Result<bool, LogError> {
        let Some(first) = part.events.first() else { return Ok(false) };
        let found = self.read(part.workspace, part.expected, 1)?;
        Ok(found.first().is_some_and(|stored| stored.bytes == *first))
    }
}

/// The Merkle tree over each event stream.
pub trait TreeStore: Send + Sync {
    /// Returns the frontier of the tree over a workspace's log; none if it never began.
    ///
    /// # Errors
    /// `Unavailable`, or `Unreadable` if the stored frontier is of no tree, or of another tree than the tiles.
    fn tree(&self, workspace: WorkspaceId) -> Result<Option<Frontier>, LogError>;

    /// Returns the hashes of a tile that exist, up to its width; of a bundle of entries, their leaves.
    ///
    /// # Errors
    /// `Unavailable`.
    fn tile_hashes(&self, workspace: WorkspaceId, tile: Tile) -> Result<Vec<TreeHash>, LogError>;
}

/// The directories, which change in the commits of events: names, credentials, profiles, idempotency records, expiries and keys.
pub trait Directories: Send + Sync {
    /// Returns the live workspace of a name.
    ///
    /// # Errors
    /// `Unavailable`.
    fn workspace_named(&self, name: &str) -> Result<Option<WorkspaceId>, LogError>;

    /// Returns up to `limit` workspaces after one of them, deleted ones too, in the order of their ids.
    ///
    /// # Errors
    /// `Unavailable`.
    fn workspaces(&self, after: Option<WorkspaceId>, limit: usize) -> Result<Vec<WorkspaceId>, LogError>;

    /// Returns a row of the credential directory.
    ///
    /// # Errors
    /// `Unavailable`.
    fn credential(&self, id: CredentialId) -> Result<Option<StoredCredential>, LogError>;

    /// Returns the times of credentials' last uses, in the order of `ids`; none for an unused one.
    ///
    /// # Errors
    /// `Unavailable`.
    fn last_used(&self, ids: &[CredentialId]) -> Result<Vec<Option<Instant>>, LogError>;

    /// Returns the profiles of people in a workspace, in the order of `users`; empty if there is none.
    ///
    /// # Errors
    /// `Unavailable`.
    fn profiles(&self, workspace: WorkspaceId, users: &[UserId]) -> Result<Vec<Profile>, LogError>;

    /// Returns the idempotency record of a scope and key, if it was made after an instant. One that cannot be read counts as none.
    ///
    /// # Errors
    /// `Unavailable`.
    fn idempotency_record(
        &self,
        scope: &RecordScope,
        key: &str,
        after: Instant,
    ) -> Result<Option<IdempotencyRecord>, LogError>;

    /// Removes the idempotency records that were made at or before an instant.
    ///
    /// # Errors
    /// `Unavailable`.
    fn forget_idempotency_records(&self, until: Instant) -> Result<(), LogError>;

    /// Returns the workspaces in which something has expired by an instant without an event that records it.
    ///
    /// # Errors
    /// `Unavailable`.
    fn due(&self, now: Instant) -> Result<Vec<WorkspaceId>, LogError>;

    /// Returns the newest next expiry of a workspace after one instant and until another.
    ///
    /// # Errors
    /// `Unavailable`.
    fn last_end(&self, after: Instant, until: Instant) -> Result<Option<Instant>, LogError>;

    /// Returns the newest recorded time of a settled clock.
    ///
    /// # Errors
    /// `Unavailable`.
    fn clock_mark(&self) -> Result<Option<Instant>, LogError>;

    /// Returns the keys that signed the logs of the store, the newest last.
    ///
    /// # Errors
    /// `Unavailable`.
    fn log_keys(&self) -> Result<Vec<StoredKey>, LogError>;

    /// Returns the key that cursors are signed with; none before the first start.
    ///
    /// # Errors
    /// `Unavailable`.
    fn cursor_key(&self) -> Result<Option<CursorSecret>, LogError>;
}

/// The snapshots and the kept checkpoints, which lie beside the store.
pub trait SnapshotStore: Send + Sync {
    /// Returns the snapshot of a workspace, if there is one.
    ///
    /// # Errors
    /// `Unavailable`.
    fn snapshot(&self, workspace: WorkspaceId) -> Result<Option<Vec<u8>>, LogError>;

    /// Replaces the snapshot of a workspace.
    ///
    /// # Errors
    /// `Unavailable`. The old one may still be there.
    fn keep_snapshot(&self, workspace: WorkspaceId, snapshot: &[u8]) -> Result<(), LogError>;

    /// Removes the snapshot of a workspace, if there is one.
    ///
    /// # Errors
    /// `Unavailable`.
    fn forget_snapshot(&self, workspace: WorkspaceId) -> Result<(), LogError>;

    /// Returns the kept checkpoint of a workspace's log as it was signed, if there is one.
    ///
    /// # Errors
    /// `Unavailable`.
    fn kept_checkpoint(&self, workspace: WorkspaceId) -> Result<Option<Vec<u8>>, LogError>;

    /// Replaces the kept checkpoint of a workspace's log.
    ///
    /// # Errors
    /// `Unavailable`. The old one may still be there.
    fn keep_checkpoint(&self, workspace: WorkspaceId, note: &[u8]) -> Result<(), LogError>;

    /// Gives the kept checkpoint of a workspace's log another name, under which nothing replaces it, and returns the name.
    ///
    /// # Errors
    /// `Unavailable`. It still has its own name.
    fn set_checkpoint_aside(&self, workspace: WorkspaceId) -> Result<String, LogError>;

    /// Returns the names of a workspace's snapshot and kept checkpoint, as an operator finds them.
    fn witness_names(&self, workspace: WorkspaceId) -> [String; 2];
}

/// The journal of reads of the audit.
pub trait ReadJournal: Send + Sync {
    /// Returns up to `limit` reads of a workspace's audit, in the order of their records.
    ///
    /// # Errors
    /// `Unavailable`.
    fn reads(&self, workspace: WorkspaceId, filter: &ReadFilter, limit: usize) -> Result<Vec<StoredRead>, LogError>;

    /// Returns up to `limit` of the oldest reads of the journal, up to the first one at or after an instant.
    ///
    /// # Errors
    /// `Unavailable`.
    fn old_reads(&self, before: Instant, limit: usize) -> Result<OldReads, LogError>;

    /// Returns the sequence number of the newest read of a workspace's audit; 0 if there is none.
    ///
    /// # Errors
    /// `Unavailable`.
    fn newest_read(&self, workspace: WorkspaceId) -> Result<u64, LogError>;
}

/// A durable store of everything that a server keeps.
pub trait Store: EventLog + TreeStore + Directories + SnapshotStore + ReadJournal {
    /// Passes every row of the store except its events to `each`, in no order, all from one snapshot.
    ///
    /// # Errors
    /// `Unavailable`.
    fn stored_rows(&self, each: &mut dyn FnMut(StoredRow)) -> Result<(), LogError>;

    /// Reopens the store, as after a restart. Later reads see only durable commits.
    ///
    /// # Errors
    /// `Unavailable`.
    fn reopen(&self) -> Result<(), LogError>;

    /// Closes the store: every commit is in the main file, and no copy of erased data is left. Appends fail until it is reopened.
    ///
    /// # Errors
    /// `Unavailable`, with the reason. No commit is lost.
    fn close(&self) -> Result<(), LogError>;

    /// Returns whether the disk has no room except the reserve, which is kept for removing access.
    fn is_short_of_room(&self) -> bool {
        false
    }

    /// Returns the size of the reserve in bytes; 0 if there is none.
    fn reserve_bytes(&self) -> u64 {
        0
    }

    /// Looks at the room on the disk, refills the reserve if there is enough, and opens a store that could not be written before.
    fn look_after_room(&self) {}

    /// Copies the whole store into a new file while it is in use.
    ///
    /// # Errors
    /// `Unavailable`, also if the file exists.
    fn backup(&self, out: &Path) -> Result<(), LogError>;
}
