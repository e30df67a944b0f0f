//! Opening connections, and migrating an older store.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::{tree, wal};
use crate::log::LogError;

/// A migration. It runs in one transaction.
type Migration = fn(&Connection) -> rusqlite::Result<()>;

/// The migrations from an empty file, in order. A released one never changes; a new one is added at the end.
const MIGRATIONS: &[Migration] = &[
    |store| store.execute_batch(include_str!("../migrations/0001_events_and_directories.sql")),
    |store| store.execute_batch(include_str!("../migrations/0002_audit_reads.sql")),
    |store| {
        store.execute_batch(include_str!("../migrations/0003_trees.sql"))?;
        tree::grow_all(store)?;
        store.execute_batch(include_str!("../migrations/0003_trees_grown.sql"))
    },
    |store| store.execute_batch(include_str!("../migrations/0004_no_commands.sql")),
    |store| store.execute_batch(include_str!("../migrations/0005_generations_clock_keys.sql")),
    |store| store.execute_batch(include_str!("../migrations/0006_reads_pruned.sql")),
    |store| store.execute_batch(include_str!("../migrations/0007_cursor_key.sql")),
];

/// The tables of the newest form.
const TABLES: &[&str] = &[
    "events",
    "workspaces",
    "names",
    "credentials",
    "credential_uses",
    "profiles",
    "next_expiries",
    "answers",
    "openings",
    "audit_reads",
    "trees",
    "tile_hashes",
    "wal_generation",
    "clock_mark",
    "log_keys",
    "cursor_key",
];

/// The time that a connection waits for another process, such as `sqlite3`.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The capacity of the statement cache: more than there are, so each is compiled once a connection.
const CACHED_STATEMENTS: usize = 64;

/// The settings of the writer. A commit is on the disk when it returns (`synchronous`, `fullfsync`). Erased data is overwritten
/// (`secure_delete`). A long burst does not leave a long WAL (`journal_size_limit`).
const WRITER_PRAGMAS: &str = "
    PRAGMA synchronous = FULL;
    PRAGMA fullfsync = ON;
    PRAGMA checkpoint_fullfsync = ON;
    PRAGMA secure_delete = ON;
    PRAGMA journal_size_limit = 67108864;
";

/// Opens the connection that writes. Migrates the store, and resolves a commit with an unknown outcome.
pub(super) fn open_writer(file: &Path) -> Result<Connection, LogError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = connect(file, flags).map_err(|error| cannot_open(file, &error))?;
    check_version(&connection, file)?;
    use_wal(&connection, file)?;
    match prepare_writer(&mut connection) {
        Ok(()) => Ok(connection),
        Err(error) => Err(cannot_prepare(&connection, file, &error)),
    }
}

/// Opens a connection that only reads. The store may be of an older form, as for a backup before an upgrade.
pub(super) fn open_reader(file: &Path) -> Result<Connection, LogError> {
    let connection = connect_reader(file).map_err(|error| {
        LogError::Unavailable(format!("cannot open `{}`: {error}{}", file.display(), wal::advice(file)))
    })?;
    check_version(&connection, file)?;
    Ok(connection)
}

/// Connects for reading. On a read-only medium the file is read without its WAL.
fn connect_reader(file: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let shared = connect(file, flags).and_then(|connection| version(&connection).map(|_| connection));
    match shared {
        Err(_) if wal::is_unchanging(file) => prepared(wal::open_unchanging(file)?),
        shared => shared,
    }
}

/// Opens a connection that reads the file without a WAL. No process may write to it meanwhile.
pub(super) fn open_unchanging(file: &Path) -> Result<Connection, LogError> {
    let connection = wal::open_unchanging(file).and_then(prepared).map_err(|error| cannot_open(file, &error))?;
    check_version(&connection, file)?;
    Ok(connection)
}

fn cannot_open(file: &Path, error: &rusqlite::Error) -> LogError {
    LogError::Unavailable(format!("cannot open `{}`: {error}", file.display()))
}

/// Returns the error of preparing a store for writing. A statement that does not fit the tables shows that they are of another version
/// than the file says.
fn cannot_prepare(connection: &Connection, file: &Path, error: &rusqlite::Error) -> LogError {
    let code = match error {
        rusqlite::Error::SqlInputError { error, .. } | rusqlite::Error::SqliteFailure(error, _) => Some(error.code),
        _ => None,
    };
    let is_misfit = code == Some(ErrorCode::Unknown);
    match version(connection) {
        Ok(found) if is_misfit => LogError::Unavailable(format!(
            "`{}` says that it has schema version {found}, and its tables are not those of it: its `user_version` or a table was \
             altered, so restore it from a backup",
            file.display()
        )),
        _ => cannot_open(file, error),
    }
}

fn connect(file: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    prepared(Connection::open_with_flags(file, flags)?)
}

fn prepared(connection: Connection) -> rusqlite::Result<Connection> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    Ok(connection)
}

fn version(connection: &Connection) -> rusqlite::Result<usize> {
    // Tenure never writes a version below zero. It counts as newer than all known ones.
    let version = connection.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0))?;
    Ok(usize::try_from(version).unwrap_or(usize::MAX))
}

fn check_version(connection: &Connection, file: &Path) -> Result<(), LogError> {
    let found = version(connection).map_err(|error| cannot_open(file, &error))?;
    let known = MIGRATIONS.len();
    if found <= known {
        return Ok(());
    }
    Err(LogError::Unavailable(format!(
        "`{}` has schema version {found}, and this tenure knows up to {known}: start the newer tenure that wrote it",
        file.display()
    )))
}

/// Switches to WAL mode, so that readers and the writer do not wait for each other. A network file system may not support it.
fn use_wal(connection: &Connection, file: &Path) -> Result<(), LogError> {
    let mode = connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get::<_, String>(0));
    if mode.map_err(|error| cannot_open(file, &error))? == "wal" {
        return Ok(());
    }
    Err(LogError::Unavailable(format!("`{}` cannot have a WAL: use a folder on a local disk", file.display())))
}

fn prepare_writer(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.execute_batch(WRITER_PRAGMAS)?;
    migrate(connection)?;
    check_tables(connection)?;
    resolve_unknown_commit(connection)
}

/// Checks that the tables of the newest form are there.
fn check_tables(connection: &Connection) -> rusqlite::Result<()> {
    TABLES.iter().try_for_each(|table| connection.prepare(&format!("SELECT 1 FROM {table}")).map(|_| ()))
}

fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    let done = version(connection)?;
    for (before, migration) in MIGRATIONS.iter().enumerate().skip(done) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        migration(&transaction)?;
        transaction.pragma_update(None, "user_version", i64::try_from(before + 1).unwrap_or(i64::MAX))?;
        transaction.commit()?;
    }
    Ok(())
}

/// Resolves an earlier commit with an unknown outcome, before any read.
///
/// A recovered commit may be only in the system's memory, since a sync failed: the checkpoint copies it into the file and syncs that. A
/// commit that was not recovered must not reappear after a crash: the next commit overwrites it in the WAL.
fn resolve_unknown_commit(connection: &Connection) -> rusqlite::Result<()> {
    // A checkpoint that a reader delays is no failure: with an older reader, nothing was recovered.
    if truncate_wal(connection)? {
        connection.execute_batch("UPDATE wal_generation SET previous = current, current = randomblob(16)")?;
    }
    connection.execute_batch("UPDATE openings SET count = count + 1")
}

/// Copies the WAL into the file and empties it; returns false if a reader prevented that.
pub(super) fn truncate_wal(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| Ok(row.get::<_, i64>(0)? == 0))
}
