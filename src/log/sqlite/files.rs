//! The files of a data folder: who may read them, who has them, and that they are still there after a power cut.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::NamedTempFile;

use crate::log::LogError;

const STORE_FILE: &str = "tenure.db";
const LOCK_FILE: &str = "tenure.lock";
/// How often, and how long apart, the folder is tried: a command that reads it may hold it for a moment.
const LOCK_TRIES: u32 = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(30);
/// What the name of a file that is still being written begins and ends with.
const DRAFT_PREFIX: &str = ".tenure-";
const DRAFT_SUFFIX: &str = ".draft";

fn cannot(what: &str, path: &Path, error: &io::Error) -> LogError {
    LogError::Unavailable(format!("cannot {what} `{}`: {error}", path.display()))
}

/// Why a file of the data folder cannot be had for writing, and what to do where that is a matter of rights.
fn cannot_take(path: &Path, error: &io::Error) -> LogError {
    let forbidden = matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem);
    if !forbidden {
        return cannot("open", path, error);
    }
    let advice = "the data folder and its files must be writable by the user who runs tenure";
    LogError::Unavailable(format!("cannot open `{}` for writing: {error}: {advice}", path.display()))
}

/// The data folder, made if it is missing, with a store file in it. Only the owner may read what is made here.
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

/// The store file of a folder that a server has, or had, for its data.
pub(super) fn find_store(folder: &Path) -> Result<PathBuf, LogError> {
    let file = absolute(folder)?.join(STORE_FILE);
    if file.is_file() {
        return Ok(file);
    }
    let message = format!("there is no `{}`: give the data folder of a tenure server", file.display());
    Err(LogError::Unavailable(message))
}

/// `SQLite` takes a path that begins with `file:` for a URI; an absolute one never does.
fn absolute(path: &Path) -> Result<PathBuf, LogError> {
    std::path::absolute(path).map_err(|error| cannot("find", path, &error))
}

/// A data folder is this process's for as long as this is there.
#[derive(Debug)]
pub(super) struct FolderLock(File);

impl Drop for FolderLock {
    fn drop(&mut self) {
        // To close the file is not enough: a child that another thread is just starting has it open too, until it runs its program.
        let _ = self.0.unlock();
    }
}

/// Takes the data folder for this process, until the lock is dropped or the process ends, however it ends.
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

/// Returns whether another log has the folder of a store, and may write it.
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

/// Makes a file that is removed, or gets another name, when it is dropped. While it is there it is locked.
fn new_draft(folder: &Path) -> io::Result<NamedTempFile> {
    let draft = tempfile::Builder::new().prefix(DRAFT_PREFIX).suffix(DRAFT_SUFFIX).tempfile_in(folder)?;
    draft.as_file().try_lock()?;
    Ok(draft)
}

/// Removes the drafts in a folder that a process left behind when it was killed. What cannot be removed stays.
pub(super) fn remove_drafts(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (name, path) = (entry.file_name(), entry.path());
        let is_draft = name.to_str().is_some_and(|name| name.starts_with(DRAFT_PREFIX) && name.ends_with(DRAFT_SUFFIX));
        // The process that still writes a draft holds its lock.
        if is_draft && File::open(&path).is_ok_and(|file| file.try_lock().is_ok()) {
            let _ = fs::remove_file(super::wal::beside(&path, "-journal"));
            let _ = fs::remove_file(&path);
        }
    }
}

/// Writes a new file with `write`, which gets the path of a temporary one beside it. What stands under the name in the end
/// is whole, durable, and readable by its owner only; a file that is there already is left alone.
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

/// The bytes of a file that can be made again, if it is there.
pub(super) fn read_derived(path: &Path) -> Result<Option<Vec<u8>>, LogError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(cannot("read", path, &error)),
    }
}

/// Puts a file that can be made again in the place of the one before, with its folder. Whoever reads it finds the one or the other
/// whole; after a power cut it may be gone, or damaged.
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

/// Removes a file that can be made again, if it is there.
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
    fn a_folder_is_let_go_of_whoever_else_has_the_file_open() {
        let folder = tempfile::tempdir().unwrap();
        let store = make_folder(folder.path()).unwrap();
        let lock = lock_folder(&store).unwrap();
        // As a child has it between fork and exec: the same open file.
        let child = lock.0.try_clone().unwrap();
        assert!(matches!(lock_folder(&store), Err(LogError::Locked(_))));
        drop(lock);
        lock_folder(&store).unwrap();
        drop(child);
    }
}
