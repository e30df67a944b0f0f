//! The log in one `SQLite` file: the embedded default.
//!
//! Owns the data folder: `tenure.db` (with its `-wal` and `-shm`), `tenure.lock`, which keeps other processes out, `snapshots/` and `checkpoints/`. One
//! connection writes, in WAL mode and with a sync for each commit; others only read, each from a snapshot, so that no read
//! waits for a commit. Knows no rule and no event. After a crash `SQLite` recovers whole commits from the WAL and nothing else.

mod append;
mod backup;
mod files;
mod read;
mod reserve;
mod rows;
mod schema;
mod tree;
mod values;
mod wal;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use append::Appender;
use arc_swap::ArcSwap;
use files::FolderLock;
use reserve::Reserve;
use rusqlite::{Connection, ErrorCode};

use super::journal::{OldReads, ReadFilter, StoredRead};
use super::rows::StoredRow;
use super::{
    Append, Appended, CredentialId, CredentialRow, CursorSecret, EachEvent, EventLog, KeptAnswer, LogError, StoredEvent, StoredKey,
};
use crate::domain::model::command::Profile;
use crate::domain::model::id::{UserId, WorkspaceId};
use crate::domain::model::time::{Instant, Revision};
use crate::proof::frontier::Frontier;
use crate::proof::hash::TreeHash;
use crate::proof::tile::Tile;

const SNAPSHOTS_FOLDER: &str = "snapshots";
const CHECKPOINTS_FOLDER: &str = "checkpoints";
/// How many connections are kept open for reading. More are opened when more are needed at once.
const IDLE_READERS_MAX: usize = 8;

fn unavailable(error: &rusqlite::Error) -> LogError {
    if is_full(error) { LogError::NoRoom } else { LogError::Unavailable(error.to_string()) }
}

/// Returns whether a write failed because the disk has no room for it.
fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
}

/// Locks, also after a panic elsewhere: a connection rolls back what it left half-done, so there is nothing to mistrust.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the store can be written through this log.
#[derive(Debug)]
enum Writer {
    /// It can.
    Ready(Appender),
    /// A commit's outcome is unknown, or the last reopening failed: the next one decides.
    Undecided,
    /// There was no room on the disk to open it: it is tried again when there is.
    NoRoom,
    /// It never could.
    ReadOnly,
    /// It cannot any more.
    Closed,
}

impl Writer {
    fn opened(connection: Connection) -> Self {
        Self::Ready(Appender::new(connection))
    }

    fn ready(&mut self) -> Result<&mut Appender, LogError> {
        let why = match self {
            Self::Ready(appender) => return Ok(appender),
            Self::Undecided => "it has to be reopened first",
            Self::NoRoom => "there is no room on the disk of the data folder",
            Self::ReadOnly => "it was opened for reading only",
            Self::Closed => "it was closed",
        };
        Err(LogError::Unavailable(why.to_owned()))
    }
}

/// The connections that read. A reader takes one for itself, so no reader waits for another.
#[derive(Debug)]
struct Readers {
    file: PathBuf,
    /// Whether nobody writes to the store for as long as these read it.
    is_still: bool,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    fn new(file: PathBuf, is_still: bool) -> Self {
        Self { file, is_still, idle: Mutex::default() }
    }

    /// Runs `query` with a connection. One that an error happened on is not used again.
    fn with<T>(&self, query: impl FnOnce(&Connection) -> Result<T, LogError>) -> Result<T, LogError> {
        let idle = lock(&self.idle).pop();
        let connection = idle.map_or_else(|| self.open(), Ok)?;
        let found = query(&connection)?;
        self.put_back(connection);
        Ok(found)
    }

    fn open(&self) -> Result<Connection, LogError> {
        let opened = schema::open_reader(&self.file);
        // A reader needs room for the index of the WAL; without one, and while nobody can write, the file alone is all there is.
        if opened.is_err() && self.is_still && !wal::has_wal(&self.file) {
            return schema::open_still(&self.file);
        }
        opened
    }

    fn put_back(&self, connection: Connection) {
        let mut idle = lock(&self.idle);
        if idle.len() < IDLE_READERS_MAX {
            idle.push(connection);
        }
    }
}

/// An event log in a data folder.
#[derive(Debug)]
pub struct SqliteLog {
    file: PathBuf,
    writer: Mutex<Writer>,
    readers: ArcSwap<Readers>,
    reserve: Mutex<Reserve>,
    is_short: AtomicBool,
    /// The folder is this process's for as long as it is open; none where the log is only read.
    folder_lock: Option<FolderLock>,
}

impl SqliteLog {
    /// Opens the log in a folder, which is made (mode 0700) if it is missing, and brings an older store to the newest form.
    ///
    /// # Errors
    /// `Locked` if another log has the folder open, in this process or another; `Unavailable` if the folder or the store in
    /// it cannot be made, read or written, or if a newer tenure wrote it.
    pub fn open(folder: &Path) -> Result<Self, LogError> {
        Self::open_with_reserve(folder, 0)
    }

    /// As [`Self::open`], with so many bytes of the disk set aside for taking access away. Where there is no room to open a store for
    /// writing it is opened for reading, until there is.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_with_reserve(folder: &Path, reserve_bytes: u64) -> Result<Self, LogError> {
        let file = files::make_folder(folder)?;
        let folder_lock = files::lock_folder(&file)?;
        for folder in [folder, &file.with_file_name(SNAPSHOTS_FOLDER)] {
            files::remove_drafts(folder);
        }
        let mut reserve = Reserve::beside(&file, reserve_bytes);
        if reserve_bytes > 0 {
            reserve.give_up_to_start();
        }
        wal::check(&file)?;
        let writer = match schema::open_writer(&file) {
            Ok(connection) => Writer::opened(connection),
            Err(error) if reserve_bytes > 0 && reserve.is_nothing_free() => {
                tracing::error!(%error, "there is no room on the disk: only what is there already can be read");
                Writer::NoRoom
            }
            Err(error) => return Err(error),
        };
        let log = Self::new(file, (writer, reserve), Some(folder_lock));
        log.look_after_room();
        Ok(log)
    }

    /// Opens the log in a folder for reading only, whether a server has the folder open or not. Nothing can be appended.
    ///
    /// # Errors
    /// `Unavailable` if there is no store in the folder, if it cannot be read, or if a newer tenure wrote it.
    pub fn attach(folder: &Path) -> Result<Self, LogError> {
        let file = files::find_store(folder)?;
        if !files::is_taken(&file) {
            wal::check(&file)?;
        }
        let reserve = Reserve::beside(&file, 0);
        let log = Self::new(file, (Writer::ReadOnly, reserve), None);
        log.readers.load().with(|_| Ok(()))?;
        Ok(log)
    }

    /// Whether a folder has a store in it.
    pub fn is_in(folder: &Path) -> bool {
        files::find_store(folder).is_ok()
    }

    fn new(file: PathBuf, (writer, reserve): (Writer, Reserve), folder_lock: Option<FolderLock>) -> Self {
        let readers = ArcSwap::from_pointee(Readers::new(file.clone(), matches!(writer, Writer::NoRoom)));
        let (writer, reserve, is_short) = (Mutex::new(writer), Mutex::new(reserve), AtomicBool::new(false));
        Self { file, writer, readers, reserve, is_short, folder_lock }
    }

    /// Takes note of how much room there is, and says so where that has changed.
    fn look(&self, reserve: &Reserve) {
        let is_short = reserve.is_all_there_is();
        match (self.is_short.swap(is_short, Ordering::AcqRel), is_short) {
            (false, true) => tracing::warn!("{}", LogError::NoRoom),
            (true, false) => tracing::info!("there is room on the disk again: all changes are taken"),
            _ => {}
        }
    }

    /// Writes a group; where the disk is full, once more with a piece of the reserve.
    fn append_with_room(&self, writer: &mut Writer, group: &[Append]) -> Result<Appended, LogError> {
        let mut reserve = lock(&self.reserve);
        if self.is_short_of_room() {
            reserve.make_room();
        }
        let mut appended = writer.ready()?.append(group);
        if matches!(appended, Err(LogError::NoRoom)) && reserve.give_up_piece() {
            appended = writer.ready()?.append(group);
        }
        self.look(&reserve);
        appended
    }

    /// Opens a store for writing that could not be for want of room.
    fn open_again(&self) {
        if !matches!(*lock(&self.writer), Writer::NoRoom) {
            return;
        }
        match self.reopen() {
            Ok(()) => tracing::info!("there is room on the disk again: the store is opened for writing"),
            Err(error) => {
                tracing::error!(%error, "the store cannot be opened for writing");
                *lock(&self.writer) = Writer::NoRoom;
                drop(self.readers.swap(Readers::new(self.file.clone(), true).into()));
            }
        }
    }

    /// Closes the idle readers. `SQLite` empties the WAL, or recovers from it, only where nobody reads.
    fn close_readers(&self) {
        drop(self.readers.swap(Readers::new(self.file.clone(), false).into()));
    }

    /// Snapshots are large and can be made again, so each is a file of its own: in the store they would be in the way of commits.
    fn snapshot_file(&self, workspace: WorkspaceId) -> PathBuf {
        let [snapshot, _] = self.witness_names(workspace);
        self.file.with_file_name(snapshot)
    }

    /// A kept checkpoint is a witness of what the store held, so it is not in the store.
    fn checkpoint_file(&self, workspace: WorkspaceId) -> PathBuf {
        let [_, checkpoint] = self.witness_names(workspace);
        self.file.with_file_name(checkpoint)
    }

    fn check_writable(&self) -> Result<(), LogError> {
        let why = match *lock(&self.writer) {
            Writer::Ready(_) | Writer::Undecided => return Ok(()),
            Writer::NoRoom => "there is no room on the disk of the data folder",
            Writer::ReadOnly => "it was opened for reading only",
            Writer::Closed => "it was closed",
        };
        Err(LogError::Unavailable(why.to_owned()))
    }

    fn ask<T>(&self, query: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, LogError> {
        self.readers.load_full().with(|connection| query(connection).map_err(|error| unavailable(&error)))
    }
}

impl EventLog for SqliteLog {
    fn append(&self, group: &[Append]) -> Result<Appended, LogError> {
        let mut writer = lock(&self.writer);
        let appended = self.append_with_room(&mut writer, group);
        if matches!(appended, Err(LogError::OutcomeUnknown(_))) {
            // Nothing may be written after it until it is decided whether it counts.
            *writer = Writer::Undecided;
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

    fn tree(&self, workspace: WorkspaceId) -> Result<Option<Frontier>, LogError> {
        let edge = self.readers.load_full().with(|connection| tree::read(connection, workspace))?.edge;
        Ok((edge.size() > 0).then_some(edge))
    }

    fn tile_hashes(&self, workspace: WorkspaceId, tile: Tile) -> Result<Vec<TreeHash>, LogError> {
        self.ask(|connection| tree::hashes(connection, workspace, tile))
    }

    fn feed(&self, after: u64, limit: usize) -> Result<Vec<StoredEvent>, LogError> {
        self.readers.load_full().with(|connection| read::feed(connection, after, limit))
    }

    fn workspace_named(&self, name: &str) -> Result<Option<WorkspaceId>, LogError> {
        self.ask(|connection| read::workspace_named(connection, name))
    }

    fn workspaces(&self, after: Option<WorkspaceId>, limit: usize) -> Result<Vec<WorkspaceId>, LogError> {
        self.ask(|connection| read::workspaces(connection, after, limit))
    }

    fn credential(&self, id: CredentialId) -> Result<Option<CredentialRow>, LogError> {
        self.ask(|connection| read::credential(connection, id))
    }

    fn last_used(&self, ids: &[CredentialId]) -> Result<Vec<Option<Instant>>, LogError> {
        self.ask(|connection| read::last_used(connection, ids))
    }

    fn profiles(&self, workspace: WorkspaceId, users: &[UserId]) -> Result<Vec<Profile>, LogError> {
        self.ask(|connection| read::profiles(connection, workspace, users))
    }

    fn kept_answer(&self, scope: &str, key: &str, after: Instant) -> Result<Option<KeptAnswer>, LogError> {
        self.ask(|connection| read::kept_answer(connection, scope, key, after))
    }

    fn forget_answers(&self, until: Instant) -> Result<(), LogError> {
        // The writer is let go of after each commit, so that appends come between.
        let forget_some = || {
            let mut writer = lock(&self.writer);
            writer.ready()?.forget_answers(until).map_err(|error| unavailable(&error))
        };
        while forget_some()? > 0 {}
        Ok(())
    }

    fn reads(&self, workspace: WorkspaceId, filter: &ReadFilter, limit: usize) -> Result<Vec<StoredRead>, LogError> {
        self.ask(|connection| read::reads(connection, workspace, filter, limit))
    }

    fn old_reads(&self, before: Instant, limit: usize) -> Result<OldReads, LogError> {
        self.ask(|connection| read::old_reads(connection, before, limit))
    }

    fn newest_read(&self, workspace: WorkspaceId) -> Result<u64, LogError> {
        self.ask(|connection| read::newest_read(connection, workspace))
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

    fn stored_rows(&self, each: &mut dyn FnMut(StoredRow)) -> Result<(), LogError> {
        self.ask(|connection| rows::all(connection, each))
    }

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

    fn witness_names(&self, workspace: WorkspaceId) -> [String; 2] {
        let snapshot = format!("{SNAPSHOTS_FOLDER}/{workspace}.snapshot");
        [snapshot, format!("{CHECKPOINTS_FOLDER}/{workspace}.checkpoint")]
    }

    fn reopen(&self) -> Result<(), LogError> {
        let mut writer = lock(&self.writer);
        let may_write = self.folder_lock.is_some();
        // Every connection is closed before the first is opened, because SQLite recovers the WAL only when nobody has it.
        if may_write {
            *writer = Writer::Undecided;
        }
        self.close_readers();
        if may_write {
            *writer = Writer::opened(schema::open_writer(&self.file)?);
        }
        Ok(())
    }

    fn close(&self) -> Result<(), LogError> {
        let mut writer = lock(&self.writer);
        self.close_readers();
        let connection = match std::mem::replace(&mut *writer, Writer::Closed) {
            Writer::Ready(appender) => appender.into_connection(),
            // Opening it decides what the last commit came to.
            Writer::Undecided => schema::open_writer(&self.file)?,
            Writer::ReadOnly => {
                if !files::is_taken(&self.file) {
                    wal::tidy(&self.file);
                }
                return Ok(());
            }
            Writer::NoRoom | Writer::Closed => return Ok(()),
        };
        wal::empty(&connection, &self.file)
    }

    fn is_short_of_room(&self) -> bool {
        self.is_short.load(Ordering::Acquire)
    }

    fn look_after_room(&self) {
        let is_nothing_free = {
            let mut reserve = lock(&self.reserve);
            reserve.fill();
            self.look(&reserve);
            reserve.is_nothing_free()
        };
        // Without the reserve, since whoever appends takes it after the writer.
        if !is_nothing_free {
            self.open_again();
        }
    }

    fn backup(&self, out: &Path) -> Result<(), LogError> {
        let readers = self.readers.load_full();
        readers.with(|reader| files::write_new(out, |draft| backup::copy(reader, draft)))
    }
}

/// A log that is dropped is closed as well as that is possible.
impl Drop for SqliteLog {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::warn!(%error, "the log was not closed cleanly");
        }
    }
}
