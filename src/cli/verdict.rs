//! The results of verification.

use std::path::Path;

use super::failure::Failure;
use crate::log::published::{FileError, KEY_FILE, KeysError, LogFolder, PublishedLog, ignored_files_of, key_chain};
use crate::log::verify::{Verifier, VerifyError};
use crate::proof::checkpoint::Checkpoint;
use crate::proof::note::VerifierKey;

/// The reason that something is not verified.
pub(super) enum Unverified {
    /// It has a flaw: the first one found.
    Flawed(String),
    /// The verification could not be completed.
    Failed(Failure),
}

impl From<Failure> for Unverified {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<VerifyError> for Unverified {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Flawed(flaw) => Self::Flawed(flaw.to_string()),
            error => Self::Failed(Failure::usage(error.to_string())),
        }
    }
}

impl From<KeysError> for Unverified {
    fn from(error: KeysError) -> Self {
        match error {
            KeysError::Wrong(_) => Self::Flawed(error.to_string()),
            KeysError::File(_) => Self::Failed(Failure::usage(error.to_string())),
        }
    }
}

/// Checks that the key in a folder is the one given separately, or a successor of it.
pub(super) fn same_key(folder: &LogFolder, key: &VerifierKey) -> Result<(), Unverified> {
    let is = |bytes: &[u8], key: &VerifierKey| bytes == format!("{key}\n").as_bytes();
    match folder.file(KEY_FILE) {
        Ok(bytes) if is(&bytes, key) => Ok(()),
        Ok(bytes) if key_chain(folder)?.after(key).iter().any(|later| is(&bytes, later)) => Ok(()),
        Ok(_) => Err(Unverified::Flawed(format!("the folder's file `{KEY_FILE}` holds another key than `{key}`"))),
        // A mirror of a served log has no key file.
        Err(FileError::Missing) => Ok(()),
        Err(FileError::Foreign(what)) => Err(Unverified::Flawed(format!("`{KEY_FILE}` is {what}"))),
        Err(error) => Err(Failure::usage(format!("`{KEY_FILE}` cannot be read: {error}")).into()),
    }
}

/// Describes a verified log in one line.
pub(super) fn verified(verifier: &Verifier<'_>, checkpoint: &Checkpoint) -> String {
    let (workspace, tree) = (verifier.workspace(), checkpoint.tree());
    let grew = match verifier.since() {
        Some(kept) => format!(", grown from the {} that were kept", kept.tree().size),
        None => String::new(),
    };
    format!("verified: workspace {workspace}, {} events{grew}, root {}", tree.size, tree.root)
}

/// The maximum number of ignored files named.
const IGNORED_NAMED_MAX: usize = 20;

/// Returns a line that names the ignored files of a folder, such as those of operating systems; none if there are none.
///
/// # Errors
/// The folder cannot be read.
pub(super) fn ignored(folder: &Path) -> Result<Option<String>, Failure> {
    let files = ignored_files_of(folder).map_err(|error| Failure::file("read", folder, error))?;
    let named: Vec<String> =
        files.iter().take(IGNORED_NAMED_MAX).map(|file| format!("`{}`", file.escape_debug())).collect();
    let more = files.len().saturating_sub(IGNORED_NAMED_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let line = format!("ignored, for operating systems leave such files: {}{more}", named.join(", "));
    Ok((!files.is_empty()).then_some(line))
}
