//! A published log: files under one prefix, in the layout of C2SP `tlog-tiles`.
//!
//! A server serves them, an export writes them, and the verifier reads them in the same way from a server, a folder or a store.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::tiles::LogTiles;
use super::{LogError, Store};
use crate::domain::model::id::WorkspaceId;
use crate::domain::model::time::Revision;
use crate::proof::checkpoint::{Checkpoint, Signer};
use crate::proof::hash::{TreeHash, read_hashes, write_hashes};
use crate::proof::succession::{KeyChain, SuccessionError};
use crate::proof::tile::{Tile, TileKind, TileSource};

/// The file with the newest checkpoint.
pub const CHECKPOINT_FILE: &str = "checkpoint";
/// The file of an export with the verifier key. It is no part of `tlog-tiles`.
pub const KEY_FILE: &str = "key";
/// The file with the successions of keys; missing if there was only one key. It is no part of `tlog-tiles`.
pub const KEYS_FILE: &str = "keys";

/// The reason why a file of a log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It does not exist.
    #[error("it is not there")]
    Missing,
    /// Its events are damaged at a revision.
    #[error("{what}")]
    Damaged {
        /// The revision.
        revision: Revision,
        /// The damage.
        what: String,
    },
    /// Its name is taken by something else, or it is far too long.
    #[error("it is {0}")]
    Foreign(&'static str),
    /// It may exist, but cannot be read.
    #[error("{0}")]
    Unreadable(String),
}

/// The longest file of a log, in bytes: a bundle of 256 events, each after its length.
const FILE_BYTES_MAX: u64 = 256 * (65_535 + 2);

/// Returns the bytes of a regular file of up to `bytes_max`. A folder from elsewhere may contain anything.
///
/// # Errors
/// `Missing`, `Foreign` or `Unreadable`.
pub fn read_regular(path: &Path, bytes_max: u64) -> Result<Vec<u8>, FileError> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => FileError::Missing,
        _ => FileError::Unreadable(error.to_string()),
    };
    // Before it is opened: opening a pipe would wait for a writer.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(FileError::Foreign("no regular file"));
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(failed)?;
    let len = file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    if u64::try_from(len).is_ok_and(|len| len <= bytes_max) {
        return Ok(bytes);
    }
    Err(FileError::Foreign("longer than such a file can be"))
}

/// The files of a log.
pub trait PublishedLog: Sync {
    /// Returns the bytes of a file: `checkpoint`, or a tile by its path.
    ///
    /// # Errors
    /// It cannot be read.
    fn file(&self, path: &str) -> Result<Vec<u8>, FileError>;

    /// Returns the bytes of a tile or bundle.
    ///
    /// # Errors
    /// It cannot be read.
    fn tile(&self, tile: Tile) -> Result<Vec<u8>, FileError> {
        self.file(&tile.to_string())
    }

    /// Returns something that is no part of a log of this size, if there is any that can be found.
    ///
    /// # Errors
    /// It cannot be searched.
    fn stray(&self, _size: u64) -> Result<Option<String>, FileError> {
        Ok(None)
    }
}

/// The reason why the keys of a log are unknown.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// They cannot be read.
    #[error("`{KEYS_FILE}` cannot be read: {0}")]
    File(FileError),
    /// A record is invalid.
    #[error("`{KEYS_FILE}`: {0}")]
    Wrong(SuccessionError),
}

/// Returns the successions of a log's keys; none if there was only one key.
///
/// # Errors
/// They cannot be read, or one is invalid.
pub fn key_chain(log: &dyn PublishedLog) -> Result<KeyChain, KeysError> {
    match log.file(KEYS_FILE) {
        Ok(bytes) => {
            let text = String::from_utf8(bytes).map_err(|_| KeysError::Wrong(SuccessionError::Form))?;
            text.parse().map_err(KeysError::Wrong)
        }
        Err(FileError::Missing) => Ok(KeyChain::default()),
        Err(error) => Err(KeysError::File(error)),
    }
}

/// Returns the notes of the successions of a store's keys, concatenated.
///
/// # Errors
/// `Unavailable`.
pub fn stored_key_chain(log: &dyn Store) -> Result<String, LogError> {
    Ok(log.log_keys()?.into_iter().filter_map(|key| key.note).collect())
}

/// The files of a workspace's log from a store, at the size of its creation.
pub struct StoredLog<'a> {
    log: &'a dyn Store,
    workspace: WorkspaceId,
    checkpoint: Checkpoint,
}

impl<'a> StoredLog<'a> {
    /// Returns the log of a workspace; none if it never began.
    ///
    /// # Errors
    /// `Unavailable`.
    pub fn of(log: &'a dyn Store, workspace: WorkspaceId, signer: &Signer) -> Result<Option<Self>, LogError> {
        let tree = log.tree(workspace)?;
        Ok(tree.map(|tree| Self { log, workspace, checkpoint: signer.sign(workspace, tree.head()) }))
    }

    /// Returns the checkpoint of the log.
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }
}

fn unreadable(error: LogError) -> FileError {
    match error {
        LogError::Unreadable { revision, why, .. } => FileError::Damaged { revision, what: why },
        error => FileError::Unreadable(error.to_string()),
    }
}

impl PublishedLog for StoredLog<'_> {
    fn file(&self, path: &str) -> Result<Vec<u8>, FileError> {
        if path == CHECKPOINT_FILE {
            return Ok(self.checkpoint.note().as_bytes().to_vec());
        }
        if path == KEYS_FILE {
            let chain = stored_key_chain(self.log).map_err(unreadable)?;
            return if chain.is_empty() { Err(FileError::Missing) } else { Ok(chain.into_bytes()) };
        }
        let tile: Tile = path.parse().map_err(|_| FileError::Missing)?;
        match tile.kind {
            TileKind::Entries => {
                LogTiles { log: self.log, workspace: self.workspace }.entries(tile).map_err(unreadable)
            }
            TileKind::Hashes(_) => {
                let hashes = self.log.tile_hashes(self.workspace, tile).map_err(unreadable)?;
                Ok(write_hashes(&hashes))
            }
        }
    }

    fn stray(&self, size: u64) -> Result<Option<String>, FileError> {
        let after = self.log.read(self.workspace, Revision(size), 1).map_err(unreadable)?;
        let Some(event) = after.first() else { return Ok(None) };
        // A server may append meanwhile. Its new events are in the tree that is read now.
        let tree = self.log.tree(self.workspace).map_err(unreadable)?;
        let is_stray = tree.is_none_or(|tree| tree.size() < event.revision.0);
        Ok(is_stray.then(|| format!("revision {}", event.revision)))
    }
}

/// The tiles of a log's hashes.
pub struct PublishedTiles<'a>(pub &'a dyn PublishedLog);

impl TileSource for PublishedTiles<'_> {
    type Error = FileError;

    fn hashes(&self, tile: Tile) -> Result<Vec<TreeHash>, FileError> {
        let malformed = || FileError::Unreadable(format!("`{tile}` is no tile"));
        read_hashes(&self.0.tile(tile)?).ok_or_else(malformed)
    }
}

/// The files of a log in a folder.
#[derive(Debug, Clone)]
pub struct LogFolder(PathBuf);

impl LogFolder {
    /// Returns the log in a folder, without reading it.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    /// Returns the folder.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl PublishedLog for LogFolder {
    fn file(&self, path: &str) -> Result<Vec<u8>, FileError> {
        read_regular(&self.0.join(path), FILE_BYTES_MAX)
    }

    fn stray(&self, size: u64) -> Result<Option<String>, FileError> {
        let known: BTreeSet<String> = paths(size).chain([KEY_FILE, KEYS_FILE].map(str::to_owned)).collect();
        let found = files_of(&self.0).map_err(|error| FileError::Unreadable(error.to_string()))?;
        Ok(found.into_iter().find(|path| !known.contains(path)).map(|path| format!("the file `{path}`")))
    }
}

/// Returns the sorted relative paths of the files in a folder and below, without those of [`ignored_files_of`].
///
/// # Errors
/// A folder cannot be read.
pub fn files_of(folder: &Path) -> io::Result<Vec<String>> {
    all_files_of(folder, |is_ignored| !is_ignored)
}

/// Returns the sorted relative paths of the files and folders that operating systems leave in folders. That of a folder ends in `/`.
///
/// # Errors
/// A folder cannot be read.
pub fn ignored_files_of(folder: &Path) -> io::Result<Vec<String>> {
    all_files_of(folder, |is_ignored| is_ignored)
}

fn all_files_of(folder: &Path, wanted: impl Fn(bool) -> bool) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    let mut below = vec![String::new()];
    while let Some(path) = below.pop() {
        for entry in fs::read_dir(folder.join(&path))? {
            let entry = entry?;
            let (name, kind) = (entry.file_name(), entry.file_type()?);
            let name = name.to_string_lossy();
            if kind.is_dir() && is_folder_left_by_a_system(&name) {
                // Such a folder is named once, and not entered: some are readable by the system only.
                if wanted(true) {
                    found.push(format!("{path}{name}/"));
                }
            } else if kind.is_dir() {
                below.push(format!("{path}{name}/"));
            } else if wanted(kind.is_file() && is_file_left_by_a_system(&name)) {
                found.push(format!("{path}{name}"));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Returns whether an operating system leaves files of this name: macOS `.DS_Store`, `._*` and `Icon` with a carriage return, KDE
/// `.directory`, and Windows, in any case, `Thumbs.db`, `ehthumbs.db` and `desktop.ini`.
///
/// The copies that editors keep, such as `checkpoint~`, are no such files: somebody opened the folder with an editor.
fn is_file_left_by_a_system(name: &str) -> bool {
    [".DS_Store", "Icon\r", ".localized", ".apdisk", ".VolumeIcon.icns", ".directory"].contains(&name)
        || name.starts_with("._")
        || ["Thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini"]
            .iter()
            .any(|known| name.eq_ignore_ascii_case(known))
}

/// Returns whether an operating system, or its archiver, leaves folders of this name.
fn is_folder_left_by_a_system(name: &str) -> bool {
    const MACOS: [&str; 7] = [
        "__MACOSX",
        ".AppleDouble",
        ".DocumentRevisions-V100",
        ".fseventsd",
        ".Spotlight-V100",
        ".TemporaryItems",
        ".Trashes",
    ];
    MACOS.contains(&name)
        || ["$RECYCLE.BIN", "System Volume Information"].iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// Returns the path of every file of a log of this size, except the keys.
pub fn paths(size: u64) -> impl Iterator<Item = String> {
    std::iter::once(CHECKPOINT_FILE.to_owned()).chain(Tile::all(size).map(|tile| tile.to_string()))
}
