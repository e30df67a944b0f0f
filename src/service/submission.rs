//! Submissions to the writer, and their outcomes.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::model::command::Command;
use crate::domain::model::id::WorkspaceId;
use crate::domain::model::name::Reason;
use crate::domain::model::principal::Caller;
use crate::domain::model::time::Revision;
use crate::domain::rules::decide::{Decided, Refused};
use crate::domain::state::view::View;
use crate::log::{LogError, RecordScope};
use crate::proof::frontier::TreeHead;

use super::id_generator::Secret;
use super::quotas::seconds;

/// The bytes that any request may make the store write.
pub const BYTES_FOR_ANY: usize = 64 * 1_024;
/// The further bytes that it may for each byte of its own.
pub const BYTES_FOR_A_BYTE: usize = 20;

/// A request for a change.
pub struct Submission {
    /// The workspace; none to create one.
    pub workspace: Option<WorkspaceId>,
    /// The caller.
    pub caller: Caller,
    /// The commands, decided one after the other, all or nothing.
    pub commands: Vec<Command>,
    /// The reason that the caller gives.
    pub reason: Option<Reason>,
    /// The revisions of which one must be the newest, from `If-Match`.
    pub expected: Option<Expected>,
    /// The idempotency key, if the caller gave one.
    pub idempotency: Option<IdempotencyKey>,
    /// The size of the request in bytes, which limits what it may write; none for no limit.
    pub bytes: Option<usize>,
}

/// The revisions of which one must be the newest. If there are none, no revision matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected(pub Vec<Revision>);

impl Expected {
    /// Fails unless the newest revision is an expected one.
    ///
    /// # Errors
    /// `RevisionConflict`.
    pub fn check(expected: Option<&Self>, head: Revision) -> Result<(), SubmitError> {
        match expected {
            Some(Self(expected)) if !expected.contains(&head) => Err(SubmitError::RevisionConflict(head)),
            _ => Ok(()),
        }
    }
}

/// The idempotency key of a request.
#[derive(Debug, Clone)]
pub struct IdempotencyKey {
    /// The scope within which the key is unique.
    pub scope: RecordScope,
    /// A second scope with the same record.
    pub alias: Option<RecordScope>,
    /// The key that the caller chose.
    pub key: String,
    /// SHA-256 over the request.
    pub fingerprint: [u8; 32],
}

/// The outcome of a change as its idempotency record holds it: its place in the log, from which the response is rendered again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeRecord {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The revision right after the change.
    pub revision: Revision,
    /// The instant of the change, in microseconds.
    pub instant: i64,
    /// For each command, the number of events of it and the commands before it.
    pub ends: Vec<usize>,
}

impl ChangeRecord {
    /// Parses the bytes of an idempotency record; returns none if they have another form, as those of earlier versions do.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// Returns the bytes for an idempotency record.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// A change that is durable.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// The workspace right after the change.
    pub view: View,
    /// The events.
    pub decided: Decided,
    /// The exact stored bytes of each event.
    pub stored: Vec<Vec<u8>>,
    /// For each command, the secret of the credential that it made, if it made one.
    pub secrets: Vec<Option<Secret>>,
    /// The head of the log's tree after its commit; none if the commit appended no event.
    pub tree: Option<TreeHead>,
}

/// The size of an idempotency record in the store without its scope and key, and the further bytes for each command.
const RECORD_BYTES: usize = 256;
const RECORD_BYTES_PER_COMMAND: usize = 8;

impl IdempotencyKey {
    /// Returns the approximate size of its records in the store, in bytes.
    pub(super) fn record_bytes(&self, commands_len: usize) -> usize {
        let one = self.key.len() + RECORD_BYTES + commands_len.saturating_mul(RECORD_BYTES_PER_COMMAND);
        self.scopes().map(|scope| scope.to_string().len() + one).sum()
    }

    /// Returns the scopes that may have its record.
    pub(super) fn scopes(&self) -> impl Iterator<Item = &RecordScope> {
        std::iter::once(&self.scope).chain(&self.alias)
    }
}

/// The outcome of a durable write beside the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SideOutcome {
    /// The revision at which it was authorised.
    pub head: Revision,
    /// Whether an earlier request with the same idempotency key made the write.
    pub is_repeated: bool,
}

/// The outcome of a durable submission.
#[derive(Debug)]
pub enum SubmitOutcome {
    /// The change was made now.
    Done(Box<Accepted>),
    /// An earlier request with the same idempotency key made the change.
    Repeated(ChangeRecord),
}

/// The reason why a submission failed.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// A rule refused it.
    #[error("{}", .0.rejection)]
    Refused(Refused),
    /// The newest revision is not an expected one.
    #[error("the newest revision is {0}, not the one in `If-Match`: read again, and decide again")]
    RevisionConflict(Revision),
    /// The idempotency key was used for another request.
    #[error("this idempotency key was used for a different request: use a new key")]
    KeyReused,
    /// The workspace never existed.
    #[error("there is no such workspace")]
    UnknownWorkspace,
    /// The disk has only its reserve, and the holder has used up a share of that.
    #[error(
        "the disk of the data folder has no room but what is kept for taking access away, and your share of that is used up: \
         make room on it, or let an owner or the operator do this"
    )]
    ShareUsed,
    /// It could not be made durable. The caller may try again.
    #[error("{0}")]
    Log(#[from] LogError),
    /// Too many changes of the same holder wait.
    #[error("too many of your changes are waiting: wait for the answers to those")]
    Crowded,
    /// The same holder exceeded its rate. It may go on after this time.
    #[error("this credential's holder asks for too much at a time: try again in {} s", seconds(*.0))]
    TooFast(Duration),
    /// Too many changes wait in all.
    #[error("too many changes are waiting: try again in a moment")]
    Overloaded,
}
