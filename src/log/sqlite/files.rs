//! The files of a data folder: their permissions, their lock, and their durability after a power cut.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::NamedTempFile;

use crate::log::LogError;

const STORE_FILE: &str = "tenure.db";
const LOCK_FILE: &str = "tenure.lock";
/// The attempts to lock the folder, and the pause between them: a command that reads it may hold the lock for a moment.
const LOCK_TRIES: u32 = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(30);
/// The prefix and suffix of the name of an unfinished file.
const DRAFT_PREFIX: &str = ".tenure-";
const DRAFT_SUFFIX: &str = ".draft";
/// The most files that are set aside under one name.
const SET_ASIDE_MAX: usize = 1_000;

fn cannot(what: &str, path: &Path, error: &io::Error) -> LogError {
    LogError::Unavailable(format!("cannot {what} `{}`: {error}", path.display()))
}

/// Returns the error for a file of the data folder that cannot be opened for writing, with advice about permissions.
fn cannot_take(path: &Path, error: &io::Error) -> LogError {
    let forbidden = matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem);
    if !forbidden {
        return cannot("open", path, error);
    }
    let advice = "the data folder and its files must be writable by the user who runs tenure";
    LogError::Unavailable(format!("cannot open `{}` for writing: {error}: {advice}", path.display()))
}

/// Creates the data folder and the store file in it, if they are missing, for their owner only. Returns the file's path.
pub(super) fn make_folder(folder: &Path) -> Result<PathBuf, LogError> {
    let folder = absolute(folder)?;
    let file = folder.join(STORE_FILE);
    let make = || -> io::Result<()> {
        if !folder.is_dir() {
            DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
            sync_folder_of(&folder)?;
        }
        open_private(&file)?;
        sync_folder_of(&file)
    };
    make().map_err(|error| cannot_take(&file, &error))?;
    Ok(file)
}

/// Returns the path of the store file in a data folder.
pub(super) fn find_store(folder: &Path) -> Result<PathBuf, LogError> {
    let file = absolute(folder)?.join(STORE_FILE);
    if file.is_file() {
        return Ok(file);
    }
    let message = format!("there is no `{}`: give the data folder of a tenure server", file.display());
    Err(LogError::Unavailable(message))
}

/// Returns an absolute path: `SQLite` treats one that begins with `file:` as a URI.
fn absolute(path: &Path) -> Result<PathBuf, LogError> {
    std::path::absolute(path).map_err(|error| cannot("find", path, &error))
}

/// The lock of a data folder, held until it is dropped.
#[derive(Debug)]
pub(super) struct FolderLock(File);

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Closing the file is not enough: a child between `fork` and `exec` has it open too.
        let _ = self.0.unlock();
    }
}

/// Locks the data folder for this process, until the lock is dropped or the process ends.
pub(super) fn lock_folder(store: &Path) -> Result<FolderLock, LogError> {
    let path = store.with_file_name(LOCK_FILE);
    let file = open_private(&path).map_err(|error| cannot_take(&path, &error))?;
    for _ in 1..LOCK_TRIES {
        if file.try_lock().is_ok() {
            return Ok(FolderLock(file));
        }
        std::thread::sleep(LOCK_PAUSE);
    }
    match file.try_lock() {
        Ok(()) => Ok(FolderLock(file)),
        Err(TryLockError::WouldBlock) => Err(LogError::Locked(folder_of(store).display().to_string())),
        Err(TryLockError::Error(error)) => Err(cannot("lock", &path, &error)),
    }
}

/// Returns whether another log has locked the folder of a store.
pub(super) fn is_taken(store: &Path) -> bool {
    let Ok(file) = File::open(store.with_file_name(LOCK_FILE)) else { return false };
    matches!(file.try_lock(), Err(TryLockError::WouldBlock))
}

fn open_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

/// Makes the entry of a file in its folder durable.
fn sync_folder_of(path: &Path) -> io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}

/// Creates a locked file that is removed on drop, unless it was renamed.
fn new_draft(folder: &Path) -> io::Result<NamedTempFile> {
    let draft = tempfile::Builder::new().prefix(DRAFT_PREFIX).suffix(DRAFT_SUFFIX).tempfile_in(folder)?;
    draft.as_file().try_lock()?;
    Ok(draft)
}

/// Removes the drafts of killed processes from a folder. Errors are ignored.
pub(super) fn remove_drafts(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (name, path) = (entry.file_name(), entry.path());
        let is_draft = name.to_str().is_some_and(|name| name.starts_with(DRAFT_PREFIX) && name.ends_with(DRAFT_SUFFIX));
        // A process that still writes the draft holds its lock.
        if is_draft && File::open(&path).is_ok_and(|file| file.try_lock().is_ok()) {
            let _ = fs::remove_file(super::wal::beside(&path, "-journal"));
            let _ = fs::remove_file(&path);
        }
    }
}

/// Writes a new file with `write`, which gets the path of a draft beside it. The new file is whole, durable, and readable by its owner
/// only. An existing file is not replaced.
pub(super) fn write_new(out: &Path, write: impl FnOnce(&Path) -> Result<(), LogError>) -> Result<(), LogError> {
    let out = absolute(out)?;
    if fs::symlink_metadata(&out).is_ok() {
        return Err(LogError::Unavailable(format!("`{}` exists already: give the name of a new file", out.display())));
    }
    let failed = |error: &io::Error| cannot("write", &out, error);
    remove_drafts(folder_of(&out));
    let draft = new_draft(folder_of(&out)).map_err(|error| failed(&error))?;
    write(draft.path())?;
    draft.as_file().sync_all().map_err(|error| failed(&error))?;
    draft.persist_noclobber(&out).map_err(|error| failed(&error.error))?;
    sync_folder_of(&out).map_err(|error| failed(&error))
}

/// Returns the bytes of a derived file, if it exists.
pub(super) fn read_derived(path: &Path) -> Result<Option<Vec<u8>>, LogError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(cannot("read", path, &error)),
    }
}

/// Replaces a derived file, and creates its folder. A reader finds the old or the new one whole. After a power cut it may be missing or
/// damaged.
pub(super) fn replace_derived(path: &Path, bytes: &[u8]) -> Result<(), LogError> {
    let folder = folder_of(path);
    let replace = || -> io::Result<()> {
        if !folder.is_dir() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let mut draft = new_draft(folder)?;
        draft.write_all(bytes)?;
        draft.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    replace().map_err(|error| cannot("write", path, &error))
}

/// Gives a file another name in its folder that no file has, and returns the name.
pub(super) fn set_aside(path: &Path) -> Result<String, LogError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let names = (1_u32..).map(|number| format!("{name}.unreadable-{number}"));
    let is_free = |name: &String| fs::symlink_metadata(path.with_file_name(name)).is_err();
    let aside = names.take(SET_ASIDE_MAX).find(is_free).unwrap_or_else(|| format!("{name}.unreadable"));
    fs::rename(path, path.with_file_name(&aside)).map_err(|error| cannot("rename", path, &error))?;
    Ok(aside)
}

/// Removes a derived file, if it exists.
pub(super) fn remove_derived(path: &Path) -> Result<(), LogError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(cannot("remove", path, &error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn dropping_the_lock_releases_it_although_a_child_has_the_file_open() {
        let folder = tempfile::tempdir().unwrap();
        let store = make_folder(folder.path()).unwrap();
        let lock = lock_folder(&store).unwrap();
        // The same open file, as in a child between `fork` and `exec`.
        let child = lock.0.try_clone().unwrap();
        assert!(matches!(lock_folder(&store), Err(LogError::Locked(_))));
        drop(lock);
        lock_folder(&store).unwrap();
        drop(child);
    }
}
