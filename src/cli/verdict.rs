//! What verification comes to, whatever is verified.

use super::failure::Failure;
use crate::log::published::{FileError, KEY_FILE, LogFolder, PublishedLog};
use crate::log::verify::{Verifier, VerifyError};
use crate::proof::checkpoint::Checkpoint;
use crate::proof::note::VerifierKey;

/// Why something is not verified: because of what is wrong with it, or because it cannot be said.
pub(super) enum Unverified {
    /// The first thing that is wrong.
    Flawed(String),
    /// It cannot be said.
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

/// Makes sure that a key that came with a log is the one that was given apart from it.
pub(super) fn same_key(folder: &LogFolder, key: &VerifierKey) -> Result<(), Unverified> {
    match folder.file(KEY_FILE) {
        Ok(bytes) if bytes == format!("{key}\n").as_bytes() => Ok(()),
        Ok(_) => Err(Unverified::Flawed(format!("the folder's file `{KEY_FILE}` holds another key than `{key}`"))),
        // A mirror of a served log has none.
        Err(FileError::Missing) => Ok(()),
        Err(FileError::Foreign(what)) => Err(Unverified::Flawed(format!("`{KEY_FILE}` is {what}"))),
        Err(error) => Err(Failure::usage(format!("`{KEY_FILE}` cannot be read: {error}")).into()),
    }
}

/// What is known of a log now.
pub(super) fn verified(verifier: &Verifier<'_>, checkpoint: &Checkpoint) -> String {
    let (workspace, tree) = (verifier.workspace(), checkpoint.tree());
    let grew = match verifier.since() {
        Some(kept) => format!(", grown from the {} that were kept", kept.tree().size),
        None => String::new(),
    };
    format!("verified: workspace {workspace}, {} events{grew}, root {}", tree.size, tree.root)
}
