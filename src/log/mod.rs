//! The durable log: writes stay, in order, and no partial write is ever read.
//!
//! Owns the bytes of events, the directories that are written in the same commit, and the journal of who read the audit. Knows no rule;
//! `domain` gives events their meaning. After a crash, an append that returned `Ok` is stored whole. One that did not return is stored
//! whole or not at all.

pub mod codec;
pub mod journal;
pub mod published;
mod record_scope;
pub mod rows;
pub mod schema;
pub mod snapshot;
pub mod sqlite;
mod store;
pub mod tiles;
pub mod verify;

use std::collections::BTreeMap;
use std::fmt;

pub use crate::domain::model::credential::CredentialId;
pub use record_scope::{InvalidScope, RecordPlace, RecordScope};
pub use store::{Directories, EventLog, ReadJournal, SnapshotStore, Store, TreeStore};

use journal::{Pruning, ReadRecord};
use zeroize::Zeroizing;

use crate::clock::ClockError;
use crate::domain::model::command::Profile;
use crate::domain::model::credential::SecretDigest;
use crate::domain::model::id::{UserId, WorkspaceId};
use crate::domain::model::name::WorkspaceName;
use crate::domain::model::principal::Principal;
use crate::domain::model::role::AccessKeyRole;
use crate::domain::model::time::{Instant, Revision};
use crate::proof::frontier::TreeHead;
use crate::proof::hash::TreeHash;
use crate::proof::note::PublicKey;

/// The largest event, in bytes of its stored JSON: the limit of a C2SP `tlog-tiles` entry.
pub const EVENT_BYTES_MAX: usize = 65_535;

/// The most events of a log after its stored frontier. A log with as many has one.
pub const UNWRITTEN_EVENTS_MAX: u64 = 16;

/// An error of the log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Stored bytes are no event that this build knows, or a revision is missing. Nothing after it may be served.
    #[error("workspace {workspace} cannot be read at revision {revision}: {why}")]
    Unreadable {
        /// The workspace of the log.
        workspace: WorkspaceId,
        /// The first damaged revision.
        revision: Revision,
        /// The damage.
        why: String,
    },
    /// An index beside the logs contradicts them.
    #[error(
        "{0}: the store was altered beside its logs: run `tenure verify --data` on the data folder, and restore it from a backup"
    )]
    Misindexed(String),
    /// The operation failed and wrote nothing. The caller may try again.
    #[error("the log is unavailable: {0}")]
    Unavailable(String),
    /// The disk has no room except the reserve, which is kept for removing access. Nothing was written.
    #[error("the disk of the data folder has no room but what is kept for taking access away: make room on it")]
    NoRoom,
    /// It is unknown whether the commit succeeded. The caller must reopen the log and look for the events.
    #[error("the outcome of a commit is unknown: {0}")]
    OutcomeUnknown(String),
    /// The clock cannot be trusted, so nothing is written or decided.
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// Another process has locked the data folder.
    #[error("the data folder `{0}` is in use by another tenure process: stop that one first, or use another folder")]
    Locked(String),
}

/// A stored event, whose bytes match its leaf. They may be borrowed from the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent<Bytes = Vec<u8>> {
    /// The workspace of its log.
    pub workspace: WorkspaceId,
    /// Its revision there.
    pub revision: Revision,
    /// Its position in the feed of the whole store. Within a workspace it grows with the revision.
    pub position: u64,
    /// Its leaf in the tree over the log.
    pub leaf: TreeHash,
    /// The exact bytes.
    pub bytes: Bytes,
}

impl StoredEvent<&[u8]> {
    /// Copies the bytes.
    pub fn into_owned(self) -> StoredEvent {
        let Self { workspace, revision, position, leaf, bytes } = self;
        StoredEvent { workspace, revision, position, leaf, bytes: bytes.to_vec() }
    }

    /// Checks that the bytes match the leaf.
    ///
    /// # Errors
    /// `Unreadable` at the event's revision.
    pub fn check_leaf(&self) -> Result<(), LogError> {
        let (found, leaf) = (TreeHash::of_leaf(self.bytes), self.leaf);
        if found == leaf {
            return Ok(());
        }
        let why = format!("the hash of its bytes is `{found}`, and the tree has `{leaf}` there");
        Err(LogError::Unreadable { workspace: self.workspace, revision: self.revision, why })
    }
}

/// The bytes of most events, at most.
const USUAL_EVENT_BYTES: usize = 512;

/// Rows of a log as they are stored. Their bytes are not compared with their leaves yet, and [`check`](Self::check) is the only way to
/// the events. So a thread can read rows while another one compares those before.
#[derive(Debug, Default)]
pub struct UncheckedEvents {
    /// Each row without its bytes, and the end of its bytes.
    rows: Vec<(StoredEvent<()>, usize)>,
    bytes: Vec<u8>,
}

impl UncheckedEvents {
    /// Returns no rows, with room for `rows` of them.
    pub fn with_capacity(rows: usize) -> Self {
        let bytes = rows.saturating_mul(USUAL_EVENT_BYTES);
        Self { rows: Vec::with_capacity(rows), bytes: Vec::with_capacity(bytes) }
    }

    /// Appends a row.
    pub fn push(&mut self, row: &StoredEvent<&[u8]>) {
        let StoredEvent { workspace, revision, position, leaf, bytes } = *row;
        self.bytes.extend_from_slice(bytes);
        self.rows.push((StoredEvent { workspace, revision, position, leaf, bytes: () }, self.bytes.len()));
    }

    /// Returns the number of rows.
    pub const fn len(&self) -> usize {
        self.rows.len()
    }

    /// Returns whether there are no rows.
    pub const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Returns the revision of the last row, to go on reading after it.
    pub fn last_revision(&self) -> Option<Revision> {
        self.rows.last().map(|(row, _)| row.revision)
    }

    /// Passes the events to `each`, in order.
    ///
    /// # Errors
    /// `Unreadable` at the first event that does not match its leaf, or the first error of `each`.
    pub fn check(&self, each: EachEvent<'_>) -> Result<(), LogError> {
        let mut start = 0;
        for (row, end) in &self.rows {
            let StoredEvent { workspace, revision, position, leaf, bytes: () } = *row;
            let bytes = self.bytes.get(start..*end).unwrap_or_default();
            let stored = StoredEvent { workspace, revision, position, leaf, bytes };
            stored.check_leaf()?;
            each(stored)?;
            start = *end;
        }
        Ok(())
    }
}

/// The holder of a credential. It never changes. The workspace's facts say whether the credential is live.
#[derive(Debug, Clone)]
pub enum CredentialHolder {
    /// The principal of an API token.
    Principal(Principal),
    /// A proxy token, which acts for itself.
    ProxyToken,
    /// The role of an access key.
    AccessKey(AccessKeyRole),
}

/// A row of the credential directory, which leads from an id to its workspace.
#[derive(Debug, Clone)]
pub struct StoredCredential {
    /// Its id.
    pub id: CredentialId,
    /// The workspace it belongs to.
    pub workspace: WorkspaceId,
    /// SHA-256 of its secret.
    pub sha256: SecretDigest,
    /// Its holder.
    pub holder: CredentialHolder,
}

/// The record of a request with an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyRecord {
    /// The scope within which the key is unique.
    pub scope: RecordScope,
    /// The key that the caller chose.
    pub key: String,
    /// SHA-256 over the request. Another request with the same key has another one.
    pub fingerprint: [u8; 32],
    /// The time of the request.
    pub at: Instant,
    /// The outcome, in the form of the service; without secrets.
    pub response: Vec<u8>,
}

/// A key that signed the logs of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredKey {
    /// The public key.
    pub key: PublicKey,
    /// The time of its first use.
    pub at: Instant,
    /// The signed note of its succession; none for the first key.
    pub note: Option<String>,
}

/// The key that cursors are signed with: 32 random bytes, in no event and no response. It cannot be printed by accident.
#[derive(Clone)]
pub struct CursorSecret(Zeroizing<[u8; 32]>);

impl CursorSecret {
    /// The secret of these bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Returns the bytes, to sign with or to store.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for CursorSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CursorSecret(…)")
    }
}

/// A write beside events, in the same commit.
#[derive(Debug, Clone)]
pub enum SideWrite {
    /// Gives the workspace this name. At most one live workspace has it.
    ClaimName(WorkspaceName),
    /// Frees the workspace's name.
    ReleaseName,
    /// Adds a credential.
    AddCredential(StoredCredential),
    /// Removes a credential, so that it cannot even read the log of a deleted workspace.
    ForgetCredential(CredentialId),
    /// Replaces the profile of a person in the workspace.
    SetProfile(UserId, Profile),
    /// Erases the profile of a person in the workspace.
    EraseProfile(UserId),
    /// Replaces the earliest instant at which something in the workspace may expire.
    NextExpiry(Option<Instant>),
    /// Adds an idempotency record.
    KeepIdempotencyRecord(IdempotencyRecord),
    /// Removes the idempotency record of a scope and key, if there is one.
    ForgetIdempotencyRecord(RecordScope, String),
    /// Records the time of a credential's use, unless a later one is stored.
    Used(CredentialId, Instant),
    /// Records a time that a settled clock has shown or will soon show, unless a later one is stored.
    RaiseClockMark(Instant),
    /// Replaces the recorded time of the clock, even by an earlier one.
    ResetClockMark(Instant),
    /// Adds the key that signs the logs of the store from now on.
    AddLogKey(StoredKey),
    /// Stores the key that cursors are signed with, unless there is one.
    KeepCursorKey(CursorSecret),
    /// Records a read of the audit. For an id that is recorded already, sets only the count of rows, if there is none.
    RecordRead(Box<ReadRecord>),
    /// Removes the oldest reads, and records that.
    PruneReads(Box<Pruning>),
}

impl SideWrite {
    /// Returns whether it may be written if the disk has only the reserve.
    pub const fn takes_away(&self) -> bool {
        !matches!(self, Self::SetProfile(..) | Self::Used(..) | Self::RecordRead(_))
    }
}

/// The part of a batch about one stream: all of it is written, or none.
#[derive(Debug, Clone)]
pub struct Append {
    /// The workspace of the log.
    pub workspace: WorkspaceId,
    /// The revision that the log must have; [`Revision::ZERO`] for a new log. Ignored if `events` is empty.
    pub expected: Revision,
    /// The exact bytes of the events, for the revisions after `expected`.
    pub events: Vec<Vec<u8>>,
    /// The writes beside the events.
    pub side_writes: Vec<SideWrite>,
}

/// The outcome of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// All of it is durable.
    Appended,
    /// The log had another revision, or the idempotency key or the id of a credential existed. Nothing of the part was written.
    Conflict,
    /// Another live workspace has the name. Nothing of the part was written.
    NameTaken,
    /// The stored frontier of the log's tree is damaged. Nothing of the part was written.
    Damaged,
}

/// The outcome of a batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Appended {
    /// The outcome of each part, in order.
    pub outcomes: Vec<Outcome>,
    /// The heads of the trees of all logs that grew, after the whole batch.
    pub trees: BTreeMap<WorkspaceId, TreeHead>,
}

impl Appended {
    /// Returns whether every part was appended, except new workspaces with a taken name.
    pub fn is_as_expected(&self) -> bool {
        self.outcomes.iter().all(|outcome| !matches!(outcome, Outcome::Conflict | Outcome::Damaged))
    }
}

/// A callback for each event.
pub type EachEvent<'a> = &'a mut dyn FnMut(StoredEvent<&[u8]>) -> Result<(), LogError>;
