//! What is handed to the writer, and what it answers.

use crate::domain::command::Command;
use crate::domain::decide::{Decided, Refused};
use crate::domain::id::WorkspaceId;
use crate::domain::name::Reason;
use crate::domain::principal::Caller;
use crate::domain::time::Revision;
use crate::domain::view::View;
use crate::log::LogError;
use crate::proof::frontier::TreeHead;

use super::mint::Secret;

/// A change that is asked for.
pub struct Submission {
    /// Of which workspace; none for one that is to be made.
    pub workspace: Option<WorkspaceId>,
    /// By whom.
    pub caller: Caller,
    /// The commands, judged one after the other, all or nothing.
    pub commands: Vec<Command>,
    /// Why.
    pub reason: Option<Reason>,
    /// The revision that must be the newest one, if the caller says so.
    pub expected: Option<Revision>,
    /// How the request is known again, if the caller may send it again.
    pub retry: Option<Retry>,
}

/// Makes the answer to keep of what was done.
pub type Keep = Box<dyn FnOnce(&Accepted) -> Vec<u8> + Send>;

/// How a request that may be sent again is known again.
pub struct Retry {
    /// Within which the key is unique.
    pub scope: String,
    /// The key that the caller chose.
    pub key: String,
    /// SHA-256 over the request.
    pub fingerprint: [u8; 32],
    /// Writes the answer to keep; it must hold no secret.
    pub keep: Keep,
}

/// A change that is durable.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// The workspace right after it.
    pub view: View,
    /// What it appended.
    pub decided: Decided,
    /// The exact bytes of each event, as they are stored.
    pub stored: Vec<Vec<u8>>,
    /// For each command, the secret of what it made, if it made a credential.
    pub secrets: Vec<Option<Secret>>,
    /// The head of the log's tree after the commit that it is durable with; none if that commit did not grow the tree.
    pub tree: Option<TreeHead>,
}

/// What a submission came to.
#[derive(Debug)]
pub enum Answer {
    /// It was done now.
    Done(Box<Accepted>),
    /// It had been done before: the answer that was kept then.
    Kept(Vec<u8>),
}

/// Why a submission was not done.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// A rule said no.
    #[error("{}", .0.rejection)]
    Refused(Refused),
    /// The newest revision is not the expected one.
    #[error("the newest revision is {0}, not the one in `If-Match`: read again, and decide again")]
    RevisionConflict(Revision),
    /// The key was used for another request.
    #[error("this idempotency key was used for a different request: use a new key")]
    KeyReused,
    /// There never was such a workspace.
    #[error("there is no such workspace")]
    UnknownWorkspace,
    /// It could not be made durable; it may be tried again.
    #[error("{0}")]
    Log(#[from] LogError),
    /// More is waiting than can be done soon.
    #[error("too many changes are waiting: try again in a moment")]
    Overloaded,
}
