//! A log that counts how often a workspace is read from its first event.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tenure::domain::model::command::Profile;
use tenure::domain::model::id::{UserId, WorkspaceId};
use tenure::domain::model::time::{Instant, Revision};
use tenure::log::journal::{OldReads, ReadFilter, StoredRead};
use tenure::log::rows::StoredRow;
use tenure::log::sqlite::SqliteLog;
use tenure::log::{
    Append, Appended, CredentialId, CursorSecret, Directories, EachEvent, EventLog, IdempotencyRecord, LogError,
    ReadJournal, RecordScope, SnapshotStore, Store, StoredCredential, StoredEvent, StoredKey, TreeStore,
};
use tenure::proof::frontier::Frontier;
use tenure::proof::hash::TreeHash;
use tenure::proof::tile::Tile;

/// The log, and how often it was asked for the first event of a workspace, and for a snapshot.
pub struct CountingLog {
    pub log: Arc<SqliteLog>,
    pub replays: AtomicUsize,
    pub loads: AtomicUsize,
}

impl CountingLog {
    pub fn new(log: Arc<SqliteLog>) -> Arc<Self> {
        Arc::new(Self { log, replays: AtomicUsize::new(0), loads: AtomicUsize::new(0) })
    }

    pub fn replays(&self) -> usize {
        self.replays.load(Ordering::SeqCst)
    }

    pub fn loads(&self) -> usize {
        self.loads.load(Ordering::SeqCst)
    }
}

macro_rules! pass_on {
    ($($name:ident($($argument:ident: $ty:ty),*) -> $given:ty;)*) => {$(
        fn $name(&self, $($argument: $ty),*) -> Result<$given, LogError> {
            self.log.$name($($argument),*)
        }
    )*};
}

impl EventLog for CountingLog {
    fn visit(
        &self,
        workspace: WorkspaceId,
        after: Revision,
        limit: usize,
        each: EachEvent<'_>,
    ) -> Result<(), LogError> {
        if after == Revision::ZERO {
            self.replays.fetch_add(1, Ordering::SeqCst);
        }
        self.log.visit(workspace, after, limit, each)
    }

    pass_on! {
        append(group: &[Append]) -> Appended;
        head(workspace: WorkspaceId) -> Option<Revision>;
        feed(after: u64, limit: usize) -> Vec<StoredEvent>;
    }
}

impl TreeStore for CountingLog {
    pass_on! {
        tree(workspace: WorkspaceId) -> Option<Frontier>;
        tile_hashes(workspace: WorkspaceId, tile: Tile) -> Vec<TreeHash>;
    }
}

impl Directories for CountingLog {
    pass_on! {
        workspace_named(name: &str) -> Option<WorkspaceId>;
        workspaces(after: Option<WorkspaceId>, limit: usize) -> Vec<WorkspaceId>;
        credential(id: CredentialId) -> Option<StoredCredential>;
        last_used(ids: &[CredentialId]) -> Vec<Option<Instant>>;
        profiles(workspace: WorkspaceId, users: &[UserId]) -> Vec<Profile>;
        idempotency_record(scope: &RecordScope, key: &str, after: Instant) -> Option<IdempotencyRecord>;
        forget_idempotency_records(until: Instant) -> ();
        due(now: Instant) -> Vec<WorkspaceId>;
        last_end(after: Instant, until: Instant) -> Option<Instant>;
        clock_mark() -> Option<Instant>;
        log_keys() -> Vec<StoredKey>;
        cursor_key() -> Option<CursorSecret>;
    }
}

impl SnapshotStore for CountingLog {
    fn snapshot(&self, workspace: WorkspaceId) -> Result<Option<Vec<u8>>, LogError> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        self.log.snapshot(workspace)
    }

    fn witness_names(&self, workspace: WorkspaceId) -> [String; 2] {
        self.log.witness_names(workspace)
    }

    pass_on! {
        keep_snapshot(workspace: WorkspaceId, snapshot: &[u8]) -> ();
        forget_snapshot(workspace: WorkspaceId) -> ();
        kept_checkpoint(workspace: WorkspaceId) -> Option<Vec<u8>>;
        keep_checkpoint(workspace: WorkspaceId, note: &[u8]) -> ();
        set_checkpoint_aside(workspace: WorkspaceId) -> String;
    }
}

impl ReadJournal for CountingLog {
    pass_on! {
        reads(workspace: WorkspaceId, filter: &ReadFilter, limit: usize) -> Vec<StoredRead>;
        old_reads(before: Instant, limit: usize) -> OldReads;
        newest_read(workspace: WorkspaceId) -> u64;
    }
}

impl Store for CountingLog {
    pass_on! {
        stored_rows(each: &mut dyn FnMut(StoredRow)) -> ();
        reopen() -> ();
        close() -> ();
        backup(out: &Path) -> ();
    }
}
