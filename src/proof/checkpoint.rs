//! Checkpoints: a log's size and root, signed (C2SP `tlog-checkpoint`).

use super::frontier::TreeHead;
use super::hash::TreeHash;
use super::note::{LogKey, NoteError, Origin, VerifierKey};
use crate::domain::model::id::WorkspaceId;

/// A signed head of a log's tree, with its note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    tree: TreeHead,
    note: String,
}

/// The signer of the checkpoints of an instance's logs.
#[derive(Debug, Clone)]
pub struct Signer {
    /// The key of the instance.
    pub key: LogKey,
    /// The prefix of the names of its logs.
    pub instance: Origin,
}

impl Signer {
    /// Returns the name of a workspace's log.
    pub fn origin(&self, workspace: WorkspaceId) -> Origin {
        self.instance.of_workspace(workspace)
    }

    /// Returns the verifier key of a workspace's checkpoints.
    pub fn verifier(&self, workspace: WorkspaceId) -> VerifierKey {
        self.key.verifier(&self.origin(workspace))
    }

    /// Signs the head of a workspace's log. The head must be durable, since a signature cannot be revoked.
    pub fn sign(&self, workspace: WorkspaceId, tree: TreeHead) -> Checkpoint {
        let origin = self.origin(workspace);
        let note = self.key.sign(&origin, &format!("{origin}\n{}\n{}\n", tree.size, tree.root));
        Checkpoint { tree, note }
    }
}

/// The reason why a checkpoint is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Its signature is invalid.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The signed text is no checkpoint.
    #[error("it is signed, but no checkpoint: it says an origin, a size and a root, a line each")]
    Form,
    /// It is of another log.
    #[error("it is a checkpoint of `{found}`, and `{expected}` was expected")]
    OtherLog {
        /// The log that it names.
        found: String,
        /// The log of the key.
        expected: Origin,
    },
}

impl Checkpoint {
    /// Opens a checkpoint that is signed with the key.
    ///
    /// # Errors
    /// [`CheckpointError`] if it is invalid.
    pub fn open(note: &str, key: &VerifierKey) -> Result<Self, CheckpointError> {
        let text = key.open(note)?;
        let mut lines = text.lines();
        let origin = lines.next().unwrap_or_default();
        if origin != key.origin().as_str() {
            return Err(CheckpointError::OtherLog { found: origin.to_owned(), expected: key.origin().clone() });
        }
        let mut line = || lines.next().ok_or(CheckpointError::Form);
        let (size, root) = (read_size(line()?)?, line()?.parse::<TreeHash>().map_err(|_| CheckpointError::Form)?);
        Ok(Self { tree: TreeHead { size, root }, note: note.to_owned() })
    }

    /// Opens a checkpoint that is signed with one of the keys, and returns that key too. An error is about the first key.
    ///
    /// # Errors
    /// [`CheckpointError`] if it is invalid.
    pub fn open_with<'a>(note: &str, keys: &'a [VerifierKey]) -> Result<(Self, &'a VerifierKey), CheckpointError> {
        let mut wrong = None;
        for key in keys {
            match Self::open(note, key) {
                Ok(checkpoint) => return Ok((checkpoint, key)),
                Err(error) => wrong = wrong.or(Some(error)),
            }
        }
        Err(wrong.unwrap_or(CheckpointError::Form))
    }

    /// Returns the signed size and root.
    pub const fn tree(&self) -> &TreeHead {
        &self.tree
    }

    /// Returns the signed note.
    pub fn note(&self) -> &str {
        &self.note
    }
}

fn read_size(text: &str) -> Result<u64, CheckpointError> {
    let size: u64 = text.parse().map_err(|_| CheckpointError::Form)?;
    if size.to_string() == text { Ok(size) } else { Err(CheckpointError::Form) }
}
