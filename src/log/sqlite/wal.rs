//! The write-ahead log (WAL) beside the store's file: checking that they belong together, and emptying it into the file.
//!
//! A WAL has the newest pages of one file. `SQLite` applies it to any file of that name, so a file that was copied beside the WAL of
//! another one would be read as a mixture. The check runs before `SQLite` reads the two together.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use rusqlite::{Connection, OpenFlags, OptionalExtension};

use super::schema;
use crate::log::LogError;

/// Every byte of a path that a URI must escape (RFC 3986 §3.3).
const RESERVED_IN_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The length of a file's header up to the byte for its WAL mode.
const HEADER_LEN: usize = 19;
/// The value of that byte in a file without WAL mode, such as a backup.
const WITHOUT_WAL: u8 = 1;

/// The name of a WAL, and of the one before it.
type Generation = (Vec<u8>, Vec<u8>);

/// Returns the path of a file that `SQLite` keeps beside the store's.
pub(super) fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(file);
    name.push(suffix);
    name.into()
}

/// Returns whether there is a WAL beside the file that is not empty.
pub(super) fn has_wal(file: &Path) -> bool {
    fs::metadata(beside(file, "-wal")).is_ok_and(|wal| wal.len() > 0)
}

/// Checks that a WAL beside the file, if there is one, belongs to it. No process may be writing the store.
///
/// # Errors
/// `Unavailable`, with advice, if it belongs to another file.
pub(super) fn check(file: &Path) -> Result<(), LogError> {
    if !has_wal(file) {
        return Ok(());
    }
    let belongs = match header(file) {
        None => false,
        Some(header) if header.last() == Some(&WITHOUT_WAL) => false,
        Some(_) => is_of_one_store(file),
    };
    if belongs {
        return Ok(());
    }
    let (store, wal, shm) = (file.display(), beside(file, "-wal"), beside(file, "-shm"));
    let (wal, shm) = (wal.display(), shm.display());
    Err(LogError::Unavailable(format!(
        "`{wal}` does not belong to `{store}`: to use this copy of the store, move `{wal}` and `{shm}` away; \
         to go on with the store that was there before, put its `tenure.db` back"
    )))
}

/// Returns the first bytes of the file; none if it is empty or cannot be read.
fn header(file: &Path) -> Option<[u8; HEADER_LEN]> {
    let mut header = [0; HEADER_LEN];
    File::open(file).ok()?.read_exact(&mut header).ok().map(|()| header)
}

/// Returns whether the file is the same store with and without its WAL; true for stores of older forms, which do not show it.
fn is_of_one_store(file: &Path) -> bool {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let read = |opened: rusqlite::Result<Connection>| opened.ok().and_then(|store| generation(&store).ok().flatten());
    let (alone, both) = (read(open_unchanging(file)), read(Connection::open_with_flags(file, flags)));
    match (alone, both) {
        (Some((current, _)), Some((newer, before))) => newer == current || before == current,
        _ => true,
    }
}

fn generation(store: &Connection) -> rusqlite::Result<Option<Generation>> {
    let sql = "SELECT current, previous FROM wal_generation";
    store.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).optional()
}

/// Opens the file for reading without its WAL and without locks. No process may write to it meanwhile.
pub(super) fn open_unchanging(file: &Path) -> rusqlite::Result<Connection> {
    let path = percent_encode(file.as_os_str().as_bytes(), RESERVED_IN_PATH);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    Connection::open_with_flags(format!("file:{path}?immutable=1"), flags)
}

/// Returns whether the file can be read alone: it is on a read-only medium and has no WAL.
pub(super) fn is_unchanging(file: &Path) -> bool {
    is_on_read_only_medium(file) && !has_wal(file)
}

fn is_on_read_only_medium(file: &Path) -> bool {
    let opened = OpenOptions::new().write(true).open(file);
    opened.is_err_and(|error| error.kind() == io::ErrorKind::ReadOnlyFilesystem)
}

/// Returns advice for a store that cannot be read because `SQLite` may not write beside it; empty for another reason.
pub(super) fn advice(file: &Path) -> String {
    let wal = beside(file, "-wal");
    if is_on_read_only_medium(file) && has_wal(file) {
        return format!(
            ": `{}` holds the newest changes, and reading them takes a folder that can be written: copy `{}` and it together \
             into one, and give that",
            wal.display(),
            file.display()
        );
    }
    let forbidden = tempfile::tempfile_in(file.parent().unwrap_or(file)).is_err();
    if !forbidden {
        return String::new();
    }
    ": reading it takes a file beside it, and this user may not write in the folder: run this as the user who runs tenure, or \
     copy `tenure.db`, with `tenure.db-wal` if it is there, into a folder of your own, and give that"
        .to_owned()
}

/// Copies the WAL into the file, and empties it.
///
/// # Errors
/// `Unavailable` if another process reads the store, or the file cannot be written.
pub(super) fn empty(connection: &Connection, file: &Path) -> Result<(), LogError> {
    let wal = beside(file, "-wal");
    let failed = |why: &dyn std::fmt::Display| {
        let (wal, store) = (wal.display(), file.display());
        LogError::Unavailable(format!(
            "`{wal}` could not be emptied into `{store}`: {why}; until the next start and stop, copy both files or neither"
        ))
    };
    match schema::truncate_wal(connection) {
        Ok(true) => Ok(()),
        Ok(false) => Err(failed(&"another process still reads the store")),
        Err(error) => Err(failed(&error)),
    }
}

/// Empties and removes the files that an earlier process or a reader left beside the file. Errors are ignored.
pub(super) fn tidy(file: &Path) {
    if !["-wal", "-shm"].iter().any(|suffix| beside(file, suffix).exists()) {
        return;
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    // Closing the last connection removes both.
    if let Ok(connection) = Connection::open_with_flags(file, flags)
        && let Err(error) = empty(&connection, file)
    {
        tracing::debug!(%error, "the store could not be tidied");
    }
}
