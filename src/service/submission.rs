//! What is handed to the writer, and what it answers.

use std::time::Duration;

use crate::domain::model::command::Command;
use crate::domain::model::id::WorkspaceId;
use crate::domain::model::name::Reason;
use crate::domain::model::principal::Caller;
use crate::domain::model::time::Revision;
use crate::domain::rules::decide::{Decided, Refused};
use crate::domain::state::view::View;
use crate::log::LogError;
use crate::proof::frontier::TreeHead;

use super::mint::Secret;
use super::quotas::seconds;

/// How many bytes a request may make the store write, whatever its size.
pub const BYTES_FOR_ANY: usize = 64 * 1_024;
/// How many bytes more it may for each byte of its own.
pub const BYTES_FOR_A_BYTE: usize = 20;

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
    /// The revisions of which one must be the newest one, if the caller says so.
    pub expected: Option<Expected>,
    /// How the request is known again, if the caller may send it again.
    pub retry: Option<Retry>,
    /// How many bytes the request had, by which it is limited what it may write; none for one that is not limited.
    pub bytes: Option<usize>,
}

/// The revisions of which one must be the newest one. Without any, none is.
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

/// Makes the answer to keep of what was done.
pub type Keep = Box<dyn FnOnce(&Accepted) -> Vec<u8> + Send>;

/// How a request that may be sent again is known again.
pub struct Retry {
    /// Within which the key is unique.
    pub scope: String,
    /// A second scope, under which the answer is kept too.
    pub alias: Option<String>,
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

/// How a request is known again whose answer is known before it is done.
#[derive(Debug, Clone)]
pub struct Repeatable {
    /// Within which the key is unique.
    pub scope: String,
    /// The key that the caller chose.
    pub key: String,
    /// SHA-256 over the request.
    pub fingerprint: [u8; 32],
    /// The answer to keep; it must hold no secret.
    pub answer: Vec<u8>,
}

impl Repeatable {
    /// The scopes, the key and the fingerprint that the request is known by.
    pub(super) fn known_by(&self) -> KnownBy<'_> {
        (vec![&self.scope], &self.key, self.fingerprint)
    }
}

/// What a kept answer takes in the store beside its scope, its key, and a number for each command.
const KEPT_BYTES: usize = 256;
const KEPT_BYTES_A_COMMAND: usize = 8;

impl Retry {
    /// About how many bytes the store takes for it, where so many commands are asked for.
    pub(super) fn bytes(&self, commands_len: usize) -> usize {
        let scopes = std::iter::once(&self.scope).chain(&self.alias);
        let one = self.key.len() + KEPT_BYTES + commands_len.saturating_mul(KEPT_BYTES_A_COMMAND);
        scopes.map(|scope| scope.len() + one).sum()
    }

    /// The scopes, the key and the fingerprint that the request is known by.
    pub(super) fn known_by(&self) -> KnownBy<'_> {
        (std::iter::once(&self.scope).chain(&self.alias).map(String::as_str).collect(), &self.key, self.fingerprint)
    }
}

/// The scopes, the key and the fingerprint that a request is known by.
pub(super) type KnownBy<'a> = (Vec<&'a str>, &'a str, [u8; 32]);

/// What a write beside the log came to, once it is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SideAnswer {
    /// The revision that it was judged at.
    pub head: Revision,
    /// The answer that was kept for the same request before; none if it was done now.
    pub kept: Option<Vec<u8>>,
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
    /// The same holder asks for more than is done soon.
    #[error("too many of your changes are waiting: wait for the answers to those")]
    Crowded,
    /// The same holder has asked for too much of late.
    #[error("this credential's holder asks for too much at a time: try again in {} s", seconds(*.0))]
    TooFast(Duration),
    /// More is waiting than can be done soon.
    #[error("too many changes are waiting: try again in a moment")]
    Overloaded,
}
