//! The store's traits over the data folder: each method takes a connection and passes on to the module of its tables or files.

use std::path::Path;
use std::sync::atomic::Ordering;

use super::reserve::START_BYTES;
use super::{CHECKPOINTS_FOLDER, SNAPSHOTS_FOLDER};
use super::{SqliteLog, Writer, backup, files, lock, read, rows, tree, unavailable, wal};
use crate::domain::model::command::Profile;
use crate::domain::model::id::{UserId, WorkspaceId};
use crate::domain::model::time::{Instant, Revision};
use crate::log::journal::{OldReads, ReadFilter, StoredRead};
use crate::log::rows::StoredRow;
use crate::log::{
    Append, Appended, CredentialId, CursorSecret, Directories, EachEvent, EventLog, IdempotencyRecord, LogError,
    ReadJournal, RecordScope, SnapshotStore, Store, StoredCredential, StoredEvent, StoredKey, TreeStore,
    UncheckedEvents,
};
use crate::proof::frontier::Frontier;
use crate::proof::hash::TreeHash;
use crate::proof::tile::Tile;

impl EventLog for SqliteLog {
    fn append(&self, batch: &[Append]) -> Result<Appended, LogError> {
        let mut writer = lock(&self.writer);
        let appended = self.append_with_room(&mut writer, batch);
        if matches!(appended, Err(LogError::OutcomeUnknown(_))) {
            // Nothing may be written after it until the store is reopened.
            *writer = Writer::NeedsReopen;
        }
        appended
    }

    fn head(&self, workspace: WorkspaceId) -> Result<Option<Revision>, LogError> {
        self.ask(|connection| read::head(connection, workspace))
    }

    fn visit(
        &self,
        workspace: WorkspaceId,
        after: Revision,
        limit: usize,
        each: EachEvent<'_>,
    ) -> Result<(), LogError> {
        self.readers.load_full().with(|connection| read::visit(connection, workspace, after, limit, each))
    }

    fn read_unchecked(
        &self,
        workspace: WorkspaceId,
        after: Revision,
        limit: usize,
    ) -> Result<UncheckedEvents, LogError> {
        self.ask(|connection| read::unchecked(connection, workspace, after, limit))
    }

    fn feed(&self, after: u64, limit: usize) -> Result<Vec<StoredEvent>, LogError> {
        self.readers.load_full().with(|connection| read::feed(connection, after, limit))
    }
}

impl TreeStore for SqliteLog {
    fn tree(&self, workspace: WorkspaceId) -> Result<Option<Frontier>, LogError> {
        let frontier = self.readers.load_full().with(|connection| tree::read(connection, workspace))?.frontier;
        Ok((frontier.size() > 0).then_some(frontier))
    }

    fn tile_hashes(&self, workspace: WorkspaceId, tile: Tile) -> Result<Vec<TreeHash>, LogError> {
        self.ask(|connection| tree::hashes(connection, workspace, tile))
    }
}

impl Directories for SqliteLog {
    fn workspace_named(&self, name: &str) -> Result<Option<WorkspaceId>, LogError> {
        self.ask(|connection| read::workspace_named(connection, name))
    }

    fn workspaces(&self, after: Option<WorkspaceId>, limit: usize) -> Result<Vec<WorkspaceId>, LogError> {
        self.ask(|connection| read::workspaces(connection, after, limit))
    }

    fn credential(&self, id: CredentialId) -> Result<Option<StoredCredential>, LogError> {
        self.ask(|connection| read::credential(connection, id))
    }

    fn last_used(&self, ids: &[CredentialId]) -> Result<Vec<Option<Instant>>, LogError> {
        self.ask(|connection| read::last_used(connection, ids))
    }

    fn profiles(&self, workspace: WorkspaceId, users: &[UserId]) -> Result<Vec<Profile>, LogError> {
        self.ask(|connection| read::profiles(connection, workspace, users))
    }

    fn idempotency_record(
        &self,
        scope: &RecordScope,
        key: &str,
        after: Instant,
    ) -> Result<Option<IdempotencyRecord>, LogError> {
        self.ask(|connection| read::idempotency_record(connection, scope, key, after))
    }

    fn forget_idempotency_records(&self, until: Instant) -> Result<(), LogError> {
        // The lock is released after each commit, so that appends run between.
        let forget_some = || {
            let mut writer = lock(&self.writer);
            writer.ready()?.forget_idempotency_records(until).map_err(|error| unavailable(&error))
        };
        while forget_some()? > 0 {}
        Ok(())
    }

    fn due(&self, now: Instant) -> Result<Vec<WorkspaceId>, LogError> {
        self.ask(|connection| read::due(connection, now))
    }

    fn last_end(&self, after: Instant, until: Instant) -> Result<Option<Instant>, LogError> {
        self.ask(|connection| read::last_end(connection, after, until))
    }

    fn clock_mark(&self) -> Result<Option<Instant>, LogError> {
        self.ask(read::clock_mark)
    }

    fn log_keys(&self) -> Result<Vec<StoredKey>, LogError> {
        self.ask(read::log_keys)
    }

    fn cursor_key(&self) -> Result<Option<CursorSecret>, LogError> {
        self.ask(read::cursor_key)
    }
}

impl SnapshotStore for SqliteLog {
    fn snapshot(&self, workspace: WorkspaceId) -> Result<Option<Vec<u8>>, LogError> {
        files::read_derived(&self.snapshot_file(workspace))
    }

    fn keep_snapshot(&self, workspace: WorkspaceId, snapshot: &[u8]) -> Result<(), LogError> {
        self.check_writable()?;
        files::replace_derived(&self.snapshot_file(workspace), snapshot)
    }

    fn forget_snapshot(&self, workspace: WorkspaceId) -> Result<(), LogError> {
        files::remove_derived(&self.snapshot_file(workspace))
    }

    fn kept_checkpoint(&self, workspace: WorkspaceId) -> Result<Option<Vec<u8>>, LogError> {
        files::read_derived(&self.checkpoint_file(workspace))
    }

    fn keep_checkpoint(&self, workspace: WorkspaceId, note: &[u8]) -> Result<(), LogError> {
        self.check_writable()?;
        files::replace_derived(&self.checkpoint_file(workspace), note)
    }

    fn set_checkpoint_aside(&self, workspace: WorkspaceId) -> Result<String, LogError> {
        if self.folder_lock.is_none() {
            return Err(LogError::Unavailable("it was opened for reading only".to_owned()));
        }
        let aside = files::set_aside(&self.checkpoint_file(workspace))?;
        Ok(format!("{CHECKPOINTS_FOLDER}/{aside}"))
    }

    fn witness_names(&self, workspace: WorkspaceId) -> [String; 2] {
        let snapshot = format!("{SNAPSHOTS_FOLDER}/{workspace}.snapshot");
        [snapshot, format!("{CHECKPOINTS_FOLDER}/{workspace}.checkpoint")]
    }
}

impl ReadJournal for SqliteLog {
    fn reads(&self, workspace: WorkspaceId, filter: &ReadFilter, limit: usize) -> Result<Vec<StoredRead>, LogError> {
        self.ask(|connection| read::reads(connection, workspace, filter, limit))
    }

    fn old_reads(&self, before: Instant, limit: usize) -> Result<OldReads, LogError> {
        self.ask(|connection| read::old_reads(connection, before, limit))
    }

    fn newest_read(&self, workspace: WorkspaceId) -> Result<u64, LogError> {
        self.ask(|connection| read::newest_read(connection, workspace))
    }
}

impl Store for SqliteLog {
    fn stored_rows(&self, each: &mut dyn FnMut(StoredRow)) -> Result<(), LogError> {
        self.ask(|connection| rows::all(connection, each))
    }

    fn reopen(&self) -> Result<(), LogError> {
        let mut writer = lock(&self.writer);
        let may_write = self.folder_lock.is_some();
        // Every connection is closed before the first is opened: SQLite recovers the WAL only then.
        if may_write {
            *writer = Writer::NeedsReopen;
        }
        self.close_readers();
        if may_write {
            *writer = Writer::opened(self.open_writer()?);
        }
        Ok(())
    }

    fn close(&self) -> Result<(), LogError> {
        let mut writer = lock(&self.writer);
        self.close_readers();
        let connection = match std::mem::replace(&mut *writer, Writer::Closed) {
            Writer::Ready(appender) => appender.into_connection(),
            // Opening it decides the outcome of the last commit.
            Writer::NeedsReopen => self.open_writer()?,
            Writer::ReadOnly => {
                if !files::is_taken(&self.file) {
                    wal::tidy(&self.file);
                }
                return Ok(());
            }
            Writer::NoRoom | Writer::Closed => return Ok(()),
        };
        self.with_reserve(START_BYTES, || wal::empty(&connection, &self.file))
    }

    fn is_short_of_room(&self) -> bool {
        self.is_short.load(Ordering::Acquire)
    }

    fn reserve_bytes(&self) -> u64 {
        lock(&self.reserve).wanted()
    }

    fn look_after_room(&self) {
        let is_nothing_free = {
            let mut reserve = lock(&self.reserve);
            reserve.fill();
            self.check_room(&reserve);
            reserve.is_nothing_free()
        };
        // Without the lock of the reserve: appends lock the writer first.
        if !is_nothing_free {
            self.open_again();
        }
    }

    fn backup(&self, out: &Path) -> Result<(), LogError> {
        let readers = self.readers.load_full();
        readers.with(|reader| files::write_new(out, |draft| backup::copy(reader, draft)))
    }
}
