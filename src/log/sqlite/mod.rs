//! The log in one `SQLite` file: the embedded default.
//!
//! Owns the data folder: `tenure.db` (with its `-wal` and `-shm`), `tenure.lock`, which keeps other processes out, `snapshots/` and
//! `checkpoints/`. One connection writes, in WAL mode and with a sync for each commit. Others only read, each from a snapshot, so no read
//! waits for a commit. Knows no rule and no event. After a crash, `SQLite` recovers exactly the whole commits from the WAL.

mod append;
mod backup;
mod files;
mod read;
mod reserve;
mod rows;
mod schema;
mod store;
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

use super::{Append, Appended, LogError, SnapshotStore, Store};
use crate::domain::model::id::WorkspaceId;

const SNAPSHOTS_FOLDER: &str = "snapshots";
const CHECKPOINTS_FOLDER: &str = "checkpoints";
/// The most idle connections for reading that stay open.
const IDLE_READERS_MAX: usize = 8;

fn unavailable(error: &rusqlite::Error) -> LogError {
    if is_full(error) { LogError::NoRoom } else { LogError::Unavailable(error.to_string()) }
}

/// Returns whether a write failed because the disk has no room for it.
fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
}

/// Locks, also after a panic: a connection rolls back a transaction that was not committed, so no state is inconsistent.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The connection that writes, or the reason why there is none.
#[derive(Debug)]
enum Writer {
    /// The store can be written.
    Ready(Appender),
    /// The outcome of a commit is unknown, or reopening failed. The store must be reopened.
    NeedsReopen,
    /// The disk had no room to open the store for writing. It is tried again when there is.
    NoRoom,
    /// The store was opened for reading only.
    ReadOnly,
    /// The store was closed.
    Closed,
}

impl Writer {
    fn opened(connection: Connection) -> Self {
        Self::Ready(Appender::new(connection))
    }

    fn ready(&mut self) -> Result<&mut Appender, LogError> {
        let why = match self {
            Self::Ready(appender) => return Ok(appender),
            Self::NeedsReopen => "it has to be reopened first",
            Self::NoRoom => "there is no room on the disk of the data folder",
            Self::ReadOnly => "it was opened for reading only",
            Self::Closed => "it was closed",
        };
        Err(LogError::Unavailable(why.to_owned()))
    }
}

/// The connections that read. Each reader has one of its own, so no reader waits for another.
#[derive(Debug)]
struct Readers {
    file: PathBuf,
    /// Whether the store cannot change while these connections read it.
    is_unchanging: bool,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    fn new(file: PathBuf, is_unchanging: bool) -> Self {
        Self { file, is_unchanging, idle: Mutex::default() }
    }

    /// Runs `query` with a connection. A connection with an error is not used again.
    fn with<T>(&self, query: impl FnOnce(&Connection) -> Result<T, LogError>) -> Result<T, LogError> {
        let idle = lock(&self.idle).pop();
        let connection = idle.map_or_else(|| self.open(), Ok)?;
        let found = query(&connection)?;
        self.put_back(connection);
        Ok(found)
    }

    fn open(&self) -> Result<Connection, LogError> {
        let opened = schema::open_reader(&self.file);
        // A reader needs room for the index of the WAL. Without a WAL, and while nobody can write, the file alone is complete.
        if opened.is_err() && self.is_unchanging && !wal::has_wal(&self.file) {
            return schema::open_unchanging(&self.file);
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
    /// Keeps other processes out of the folder; none if the log is only read.
    folder_lock: Option<FolderLock>,
}

impl SqliteLog {
    /// Opens the log in a folder. Creates the folder (mode 0700) if it is missing, and migrates an older store.
    ///
    /// # Errors
    /// `Locked` if another log has the folder open, in this process or another. `Unavailable` if the folder or the store cannot be created,
    /// read or written, or if a newer tenure wrote it.
    pub fn open(folder: &Path) -> Result<Self, LogError> {
        Self::open_with_reserve(folder, 0)
    }

    /// Opens as [`Self::open`], with a reserve of disk for removing access. If the disk has no room to open a store for writing, opens it
    /// for reading until there is.
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

    /// Opens the log in a folder for reading only, even while a server has it open.
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

    /// Returns whether a folder contains a store.
    pub fn is_in(folder: &Path) -> bool {
        files::find_store(folder).is_ok()
    }

    fn new(file: PathBuf, (writer, reserve): (Writer, Reserve), folder_lock: Option<FolderLock>) -> Self {
        let readers = ArcSwap::from_pointee(Readers::new(file.clone(), matches!(writer, Writer::NoRoom)));
        let (writer, reserve, is_short) = (Mutex::new(writer), Mutex::new(reserve), AtomicBool::new(false));
        Self { file, writer, readers, reserve, is_short, folder_lock }
    }

    /// Updates whether the disk is short of room, and logs a change.
    fn check_room(&self, reserve: &Reserve) {
        let is_short = reserve.is_all_there_is();
        match (self.is_short.swap(is_short, Ordering::AcqRel), is_short) {
            (false, true) => tracing::warn!("{}", LogError::NoRoom),
            (true, false) => tracing::info!("there is room on the disk again: all changes are taken"),
            _ => {}
        }
    }

    /// Writes a batch. If the disk is full, tries once more with a piece of the reserve.
    fn append_with_room(&self, writer: &mut Writer, batch: &[Append]) -> Result<Appended, LogError> {
        let mut reserve = lock(&self.reserve);
        if self.is_short_of_room() {
            reserve.make_room();
        }
        let mut appended = writer.ready()?.append(batch);
        if matches!(appended, Err(LogError::NoRoom)) && reserve.give_up_piece() {
            appended = writer.ready()?.append(batch);
        }
        self.check_room(&reserve);
        appended
    }

    /// Opens the store for writing, with pieces of the reserve if there is no other room.
    fn open_writer(&self) -> Result<Connection, LogError> {
        self.with_reserve(0, || schema::open_writer(&self.file))
    }

    /// Runs `attempt`. While it fails and the disk has only the reserve, gives up a piece of that, down to `kept` bytes, and runs it again.
    fn with_reserve<T>(&self, kept: u64, attempt: impl Fn() -> Result<T, LogError>) -> Result<T, LogError> {
        let mut done = attempt();
        if done.is_err() {
            let mut reserve = lock(&self.reserve);
            while done.is_err() && reserve.give_up_to_finish(kept) {
                done = attempt();
            }
        }
        done
    }

    /// Opens a store for writing that was opened without room on the disk.
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

    /// Closes the idle readers. `SQLite` empties the WAL, or recovers from it, only without readers.
    fn close_readers(&self) {
        drop(self.readers.swap(Readers::new(self.file.clone(), false).into()));
    }

    /// Returns the file of a snapshot. It is outside the store, where so large a write would delay commits.
    fn snapshot_file(&self, workspace: WorkspaceId) -> PathBuf {
        let [snapshot, _] = self.witness_names(workspace);
        self.file.with_file_name(snapshot)
    }

    /// Returns the file of a kept checkpoint. It is outside the store because it is a witness of it.
    fn checkpoint_file(&self, workspace: WorkspaceId) -> PathBuf {
        let [_, checkpoint] = self.witness_names(workspace);
        self.file.with_file_name(checkpoint)
    }

    fn check_writable(&self) -> Result<(), LogError> {
        let why = match *lock(&self.writer) {
            Writer::Ready(_) | Writer::NeedsReopen => return Ok(()),
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

/// Closes a log on drop, and logs an error.
impl Drop for SqliteLog {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::warn!(%error, "the log was not closed cleanly");
        }
    }
}
