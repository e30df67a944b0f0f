//! `tenure export`: a workspace's log as files, for any static file server or unrelated tool.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use clap::Args;

use super::failure::Failure;
use super::log_key::LogArgs;
use super::output::{Format, Output};
use crate::log::published::{self, FileError, KEY_FILE, KEYS_FILE, PublishedLog, StoredLog};

/// Write a workspace's log as files, with the verifier key beside it
///
/// The files are those of C2SP tlog-tiles: `checkpoint`, `tile/…`, `tile/entries/…`, and `key`. Any static file server
/// can serve them. `tenure verify`, or any tool that knows the layout, verifies them.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  tenure export --data ./data --workspace acme --out acme-log
  tenure verify acme-log --key acme.vkey")]
pub(super) struct ExportArgs {
    #[command(flatten)]
    log: LogArgs,
    /// The new folder
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

pub(super) fn export(args: &ExportArgs) -> Result<(), Failure> {
    let (log, workspace, signer) = args.log.open()?;
    let stored = StoredLog::of(&log, workspace, &signer)?;
    let stored = stored.ok_or_else(|| Failure::usage(format!("the log of {workspace} never began")))?;
    let tree = *stored.checkpoint().tree();
    let draft = Draft::of(&args.out)?;
    draft.write_log("", &stored, tree.size)?;
    draft.write_keys("", &stored)?;
    draft.write(KEY_FILE, format!("{}\n", signer.verifier(workspace)).as_bytes())?;
    draft.finish()?;
    let mut out = Output::stdout(Format::Table);
    let (size, root) = (tree.size, tree.root);
    out.line(&format!("wrote {size} events of {workspace} to `{}`; the root is {root}", args.out.display()))?;
    out.flush()
}

/// A new folder under a temporary name. It gets its final name when it is complete.
pub(super) struct Draft {
    folder: tempfile::TempDir,
    out: PathBuf,
}

impl Draft {
    /// Makes a temporary folder beside the final place.
    ///
    /// # Errors
    /// The name is taken, or the parent folder cannot be written.
    pub(super) fn of(out: &Path) -> Result<Self, Failure> {
        let failed = |error| Failure::file("make", out, error);
        let out = std::path::absolute(out).map_err(failed)?;
        if fs::symlink_metadata(&out).is_ok() {
            let message = format!("`{}` exists already: give the name of a new folder", out.display());
            return Err(Failure::usage(message));
        }
        let private = fs::Permissions::from_mode(0o700);
        let beside = out.parent().unwrap_or(&out);
        let folder =
            tempfile::Builder::new().prefix(".tenure-").permissions(private).tempdir_in(beside).map_err(failed)?;
        Ok(Self { folder, out })
    }

    /// Returns the temporary path.
    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file.
    pub(super) fn write(&self, path: &str, bytes: &[u8]) -> Result<(), Failure> {
        let file = self.folder.path().join(path);
        let write = || -> io::Result<()> {
            fs::create_dir_all(file.parent().unwrap_or(&file))?;
            fs::write(&file, bytes)
        };
        write().map_err(|error| Failure::file("write", &self.out.join(path), error))
    }

    /// Writes the files of a log of `size` events, under a prefix.
    pub(super) fn write_log(&self, prefix: &str, log: &dyn PublishedLog, size: u64) -> Result<(), Failure> {
        for path in published::paths(size) {
            let bytes = log.file(&path).map_err(|error| not_had(&path, &error))?;
            self.write(&format!("{prefix}{path}"), &bytes)?;
        }
        Ok(())
    }

    /// Writes the records of key rotations, if there are any, under a prefix.
    pub(super) fn write_keys(&self, prefix: &str, log: &dyn PublishedLog) -> Result<(), Failure> {
        match log.file(KEYS_FILE) {
            Ok(bytes) if !bytes.is_empty() => self.write(&format!("{prefix}{KEYS_FILE}"), &bytes),
            Ok(_) | Err(FileError::Missing) => Ok(()),
            Err(error) => Err(not_had(KEYS_FILE, &error)),
        }
    }

    /// Moves the folder to its final name. Its permissions stay those of a temporary folder: owner only.
    pub(super) fn finish(self) -> Result<(), Failure> {
        let named = fs::rename(self.folder.path(), &self.out);
        named.map_err(|error| Failure::file("make", &self.out, error))?;
        // The folder was renamed, so there is nothing to clean up.
        let _ = self.folder.keep();
        Ok(())
    }
}

/// Describes a file of a log that cannot be read.
pub(super) fn not_had(path: &str, error: &FileError) -> Failure {
    Failure::usage(format!("`{path}` of the log cannot be read: {error}"))
}
