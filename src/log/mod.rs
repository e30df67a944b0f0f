//! The durable log: what is written stays, in order, and nothing half-done is ever read.
//!
//! Owns the bytes of events, the small directories that are written in one commit with them, and the journal of who read the
//! audit. Knows no rule: what an event means is `domain`'s affair. After a crash, an append whose call returned `Ok` is there
//! whole, in its place; one whose call did not return is there whole or not at all.

pub mod codec;
pub mod journal;
pub mod published;
pub mod rows;
pub mod schema;
pub mod snapshot;
pub mod sqlite;
pub mod tiles;
pub mod verify;

use std::collections::BTreeMap;
use std::path::Path;

pub use crate::domain::model::credential::CredentialId;
use journal::{OldReads, Pruning, ReadFilter, ReadRecord, StoredRead};
use rows::StoredRow;

use zeroize::Zeroizing;

use crate::clock::ClockError;
use crate::domain::model::command::Profile;
use crate::domain::model::credential::SecretDigest;
use crate::domain::model::id::{UserId, WorkspaceId};
use crate::domain::model::name::WorkspaceName;
use crate::domain::model::principal::Principal;
use crate::domain::model::role::AccessKeyRole;
use crate::domain::model::time::{Instant, Revision};
use crate::proof::frontier::{Frontier, TreeHead};
use crate::proof::hash::TreeHash;
use crate::proof::note::PublicKey;
use crate::proof::tile::Tile;

/// The largest event, in bytes of its stored JSON: what a C2SP `tlog-tiles` entry can hold.
pub const EVENT_BYTES_MAX: usize = 65_535;

/// What went wrong with the log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Stored bytes are no event that this build knows, or a revision is missing. Nothing after it may be served.
    #[error("workspace {workspace} cannot be read at revision {revision}: {why}")]
    Unreadable {
        /// Whose log.
        workspace: WorkspaceId,
        /// The first revision that is wrong.
        revision: Revision,
        /// What is wrong with it.
        why: String,
    },
    /// An index beside the logs says what no log says.
    #[error(
        "{0}: the store was altered beside its logs: run `tenure verify --data` on the data folder, and restore it from a backup"
    )]
    Misindexed(String),
    /// The store did not do it, and nothing of it was done; it may be tried again.
    #[error("the log is unavailable: {0}")]
    Unavailable(String),
    /// There is no room but the reserve, which is kept for taking access away. Nothing was done.
    #[error("the disk of the data folder has no room but what is kept for taking access away: make room on it")]
    NoRoom,
    /// The store cannot say whether it was done: reopen the log and look for the events.
    #[error("the outcome of a commit is unknown: {0}")]
    OutcomeUnknown(String),
    /// Nothing is written, or judged, by a clock that is not to be believed.
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// Another process has the data folder.
    #[error("the data folder `{0}` is in use by another tenure process: stop that one first, or use another folder")]
    Locked(String),
}

/// An event as stored, whose bytes are those of its leaf; they may be looked at where the store has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent<Bytes = Vec<u8>> {
    /// Whose log it stands in.
    pub workspace: WorkspaceId,
    /// Its number there.
    pub revision: Revision,
    /// Its place in the feed of the whole store: within a workspace it grows with the revision.
    pub position: u64,
    /// Its leaf in the tree over the log.
    pub leaf: TreeHash,
    /// The exact bytes.
    pub bytes: Bytes,
}

impl StoredEvent<&[u8]> {
    /// The same, for longer than the store has the bytes there.
    pub fn into_owned(self) -> StoredEvent {
        let Self { workspace, revision, position, leaf, bytes } = self;
        StoredEvent { workspace, revision, position, leaf, bytes: bytes.to_vec() }
    }

    /// Checks that the bytes are those that the leaf was made of.
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

/// What a credential stands for. It never changes: whether the credential is still good is for the workspace to say.
#[derive(Debug, Clone)]
pub enum CredentialHolder {
    /// An API token's principal.
    Principal(Principal),
    /// A proxy token stands for itself.
    ProxyToken,
    /// An access key has a role.
    AccessKey(AccessKeyRole),
}

/// A row of the credential directory, by which a request is authenticated before any workspace is loaded.
#[derive(Debug, Clone)]
pub struct CredentialRow {
    /// Its id.
    pub id: CredentialId,
    /// The workspace it belongs to.
    pub workspace: WorkspaceId,
    /// SHA-256 of its secret.
    pub sha256: SecretDigest,
    /// What it stands for.
    pub holder: CredentialHolder,
}

/// The answer to a request that carried an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptAnswer {
    /// Within which the key is unique: the workspace (or the instance) and the credential's holder.
    pub scope: String,
    /// The key that the caller chose.
    pub key: String,
    /// SHA-256 over the request, by which a different request under the same key is told apart.
    pub fingerprint: [u8; 32],
    /// When it was given.
    pub at: Instant,
    /// What was answered, in the form of whoever keeps it; no secret in it.
    pub answer: Vec<u8>,
}

/// A key that signed the logs of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredKey {
    /// The public key.
    pub key: PublicKey,
    /// When it began to.
    pub at: Instant,
    /// The note that made it follow the one before; none for the first.
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

/// What is written beside events, in the same commit.
#[derive(Debug, Clone)]
pub enum Note {
    /// The workspace takes this name; at most one live workspace has it.
    ClaimName(WorkspaceName),
    /// The workspace's name is free again.
    ReleaseName,
    /// A credential was made.
    AddCredential(CredentialRow),
    /// A credential is good for nothing any more, not even for reading the log of a deleted workspace.
    ForgetCredential(CredentialId),
    /// What the profile directory keeps of a person in the workspace from now on.
    SetProfile(UserId, Profile),
    /// The profile directory forgets the person in the workspace.
    EraseProfile(UserId),
    /// The earliest instant at which something in the workspace may expire; replaces the one before.
    NextExpiry(Option<Instant>),
    /// An answer to give again.
    KeepAnswer(KeptAnswer),
    /// When a credential was last used, if that is later than what is kept.
    Used(CredentialId, Instant),
    /// A settled clock has shown, or will soon show, this time; it replaces an earlier one.
    RaiseClockMark(Instant),
    /// The clock counts from this time on, also if it showed a later one.
    ResetClockMark(Instant),
    /// A key signs the logs of the store from now on.
    AddLogKey(StoredKey),
    /// Cursors are signed with this key from now on, unless the store has one already.
    KeepCursorKey(CursorSecret),
    /// Someone reads the audit. Where the id is recorded already, only the count of rows is taken, if none was yet.
    RecordRead(Box<ReadRecord>),
    /// The oldest reads are forgotten, and that they are is recorded.
    PruneReads(Box<Pruning>),
}

impl Note {
    /// Whether it may be written where only the reserve of room is left.
    pub const fn takes_away(&self) -> bool {
        !matches!(self, Self::SetProfile(..) | Self::Used(..) | Self::RecordRead(_))
    }
}

/// One stream's part of a group: all of it is written, or none.
#[derive(Debug, Clone)]
pub struct Append {
    /// Whose log.
    pub workspace: WorkspaceId,
    /// The revision the log must be at; [`Revision::ZERO`] for a log that begins here. Not looked at where `events` is empty.
    pub expected: Revision,
    /// The events' exact bytes, for the revisions after `expected`.
    pub events: Vec<Vec<u8>>,
    /// What goes with them.
    pub notes: Vec<Note>,
}

/// What became of one stream's part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is durable.
    Appended,
    /// The log was at another revision, or the idempotency key or the id of a credential was taken: nothing of this part was
    /// written.
    Conflict,
    /// A live workspace has the name: nothing of this part was written.
    NameTaken,
    /// The stored edge of the log's tree is damaged, and nothing may be appended to it: nothing of this part was written.
    Damaged,
}

/// What became of a group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Appended {
    /// Of each part, in order.
    pub outcomes: Vec<Outcome>,
    /// The heads of the trees of all logs that grew, after the whole group.
    pub trees: BTreeMap<WorkspaceId, TreeHead>,
}

impl Appended {
    /// Whether every part was appended, but for new workspaces whose names were taken.
    pub fn is_as_expected(&self) -> bool {
        self.outcomes.iter().all(|outcome| !matches!(outcome, Outcome::Conflict | Outcome::Damaged))
    }
}

/// What events are handed to.
pub type EachEvent<'a> = &'a mut dyn FnMut(StoredEvent<&[u8]>) -> Result<(), LogError>;

/// A durable store of event streams.
///
/// # Contract
/// Every implementation is run against `tests/store/log_contract.rs`, which holds it to each of these:
/// 1. [`append`](Self::append) handles the parts of a group in order and commits once. When it returns `Ok`, every part whose
///    outcome is [`Outcome::Appended`] survives a power cut; a part with another outcome left nothing, and did not harm
///    its neighbours. A later part of the same stream sees what an earlier part appended.
/// 2. `Err(Unavailable)` means that nothing of the group was written, `Err(OutcomeUnknown)` that nobody knows.
/// 3. Revisions of a stream have no gap, and bytes come back exactly as they went in: an event whose bytes are not those of its
///    leaf is `Unreadable`, and never given.
/// 4. A name is claimed by at most one workspace at a time; a kept answer's scope and key are unique.
/// 5. Reads see all of a commit or none, and never wait for one.
/// 6. Nothing is ever updated or deleted in a stream.
/// 7. A read that was recorded stays as it was; only its count of rows is set later, once, where it had none. The oldest may be
///    forgotten, in the commit of a record that they are.
/// 8. A stream's tree (RFC 6962 §2.1, over the exact bytes) grows in the commit of its events, and an append reads no more of it
///    than its right edge. Its size is the newest revision, and it gives a tile's hashes wherever the tree is full below them. An
///    edge that was read from the disk counts only if the tiles have the same: a damaged one is neither given nor appended to.
/// 9. A snapshot, and a checkpoint that is kept beside the store, comes back exactly as the last one of its workspace, or not at all. It
///    may be lost, and whoever can reach the store could have made it: it is for the reader to judge. No append waits for one.
pub trait EventLog: Send + Sync {
    /// Writes a group in one commit; an outcome for each part, in order.
    ///
    /// # Errors
    /// `Unavailable` or `OutcomeUnknown`; see the contract.
    fn append(&self, group: &[Append]) -> Result<Appended, LogError>;

    /// The newest revision of a workspace's log; none if it never began.
    ///
    /// # Errors
    /// `Unavailable`.
    fn head(&self, workspace: WorkspaceId) -> Result<Option<Revision>, LogError>;

    /// Hands up to `limit` events of a workspace after a revision to `each`, in order, where the store has them.
    ///
    /// # Errors
    /// `Unavailable`, `Unreadable` at an event whose bytes are not those of its leaf, or the first error that `each` gives. Nothing
    /// more is handed over after it.
    fn visit(&self, workspace: WorkspaceId, after: Revision, limit: usize, each: EachEvent<'_>)
    -> Result<(), LogError>;

    /// Up to `limit` events of a workspace after a revision, in order.
    ///
    /// # Errors
    /// As [`visit`](Self::visit).
    fn read(&self, workspace: WorkspaceId, after: Revision, limit: usize) -> Result<Vec<StoredEvent>, LogError> {
        let mut events = Vec::new();
        self.visit(workspace, after, limit, &mut |event| {
            events.push(event.into_owned());
            Ok(())
        })?;
        Ok(events)
    }

    /// The right edge of the tree over a workspace's log; none if it never began.
    ///
    /// # Errors
    /// `Unavailable`, or `Unreadable` if what is stored is the edge of no tree, or of another tree than the tiles.
    fn tree(&self, workspace: WorkspaceId) -> Result<Option<Frontier>, LogError>;

    /// As many of the hashes of a tile as there are, up to its width; of a bundle of entries, their leaves.
    ///
    /// # Errors
    /// `Unavailable`.
    fn tile_hashes(&self, workspace: WorkspaceId, tile: Tile) -> Result<Vec<TreeHash>, LogError>;

    /// Up to `limit` events of all workspaces after a position of the feed. What is appended after this was asked has a later
    /// position than all that it gave, so whoever goes on from the last one misses nothing.
    ///
    /// # Errors
    /// As [`visit`](Self::visit).
    fn feed(&self, after: u64, limit: usize) -> Result<Vec<StoredEvent>, LogError>;

    /// Whether the events of a part are in its log, where it says: no two events are alike. A part without events is nowhere.
    ///
    /// # Errors
    /// `Unavailable`.
    fn holds(&self, part: &Append) -> Result<bool, LogError> {
        let Some(first) = part.events.first() else { return Ok(false) };
        let found = self.read(part.workspace, part.expected, 1)?;
        Ok(found.first().is_some_and(|stored| stored.bytes == *first))
    }

    /// The live workspace of a name.
    ///
    /// # Errors
    /// `Unavailable`.
    fn workspace_named(&self, name: &str) -> Result<Option<WorkspaceId>, LogError>;

    /// Up to `limit` workspaces, deleted ones too, in the order of their ids, after one of them.
    ///
    /// # Errors
    /// `Unavailable`.
    fn workspaces(&self, after: Option<WorkspaceId>, limit: usize) -> Result<Vec<WorkspaceId>, LogError>;

    /// A row of the credential directory.
    ///
    /// # Errors
    /// `Unavailable`.
    fn credential(&self, id: CredentialId) -> Result<Option<CredentialRow>, LogError>;

    /// When each of these credentials was last used, where it was; in the order asked.
    ///
    /// # Errors
    /// `Unavailable`.
    fn last_used(&self, ids: &[CredentialId]) -> Result<Vec<Option<Instant>>, LogError>;

    /// What the profile directory keeps of these people in a workspace, in the order asked; empty where nothing.
    ///
    /// # Errors
    /// `Unavailable`.
    fn profiles(&self, workspace: WorkspaceId, users: &[UserId]) -> Result<Vec<Profile>, LogError>;

    /// The answer kept under a scope and key, if it was given after an instant.
    ///
    /// # Errors
    /// `Unavailable`.
    fn kept_answer(&self, scope: &str, key: &str, after: Instant) -> Result<Option<KeptAnswer>, LogError>;

    /// Forgets the answers that were given at or before an instant.
    ///
    /// # Errors
    /// `Unavailable`.
    fn forget_answers(&self, until: Instant) -> Result<(), LogError>;

    /// Up to `limit` reads of a workspace's audit, in the order in which they were recorded.
    ///
    /// # Errors
    /// `Unavailable`.
    fn reads(&self, workspace: WorkspaceId, filter: &ReadFilter, limit: usize) -> Result<Vec<StoredRead>, LogError>;

    /// Up to `limit` of the oldest reads of the journal, as far as all of them were asked before an instant.
    ///
    /// # Errors
    /// `Unavailable`.
    fn old_reads(&self, before: Instant, limit: usize) -> Result<OldReads, LogError>;

    /// The place in the journal of the newest read of a workspace's audit; 0 if there is none.
    ///
    /// # Errors
    /// `Unavailable`.
    fn newest_read(&self, workspace: WorkspaceId) -> Result<u64, LogError>;

    /// The workspaces in which something has expired by an instant and no event says so yet.
    ///
    /// # Errors
    /// `Unavailable`.
    fn due(&self, now: Instant) -> Result<Vec<WorkspaceId>, LogError>;

    /// Returns the newest instant after one and until another at which something expires next in a workspace.
    ///
    /// # Errors
    /// `Unavailable`.
    fn last_end(&self, after: Instant, until: Instant) -> Result<Option<Instant>, LogError>;

    /// Returns the newest time that a settled clock is recorded to have shown.
    ///
    /// # Errors
    /// `Unavailable`.
    fn clock_mark(&self) -> Result<Option<Instant>, LogError>;

    /// Returns the keys that signed the logs of the store, the newest last.
    ///
    /// # Errors
    /// `Unavailable`.
    fn log_keys(&self) -> Result<Vec<StoredKey>, LogError>;

    /// Returns the key that cursors are signed with; none before the first start.
    ///
    /// # Errors
    /// `Unavailable`.
    fn cursor_key(&self) -> Result<Option<CursorSecret>, LogError>;

    /// Hands every row of the store but its events to `each`, in no order, all of them as of one instant.
    ///
    /// # Errors
    /// `Unavailable`.
    fn stored_rows(&self, each: &mut dyn FnMut(StoredRow)) -> Result<(), LogError>;

    /// The snapshot of a workspace, if there is one.
    ///
    /// # Errors
    /// `Unavailable`.
    fn snapshot(&self, workspace: WorkspaceId) -> Result<Option<Vec<u8>>, LogError>;

    /// Keeps a snapshot of a workspace in the place of the one before.
    ///
    /// # Errors
    /// `Unavailable`, and then the one before may still be there.
    fn keep_snapshot(&self, workspace: WorkspaceId, snapshot: &[u8]) -> Result<(), LogError>;

    /// Forgets the snapshot of a workspace, if there is one.
    ///
    /// # Errors
    /// `Unavailable`.
    fn forget_snapshot(&self, workspace: WorkspaceId) -> Result<(), LogError>;

    /// The newest checkpoint of a workspace's log that was kept beside the store, as it was signed; none if none was.
    ///
    /// # Errors
    /// `Unavailable`.
    fn kept_checkpoint(&self, workspace: WorkspaceId) -> Result<Option<Vec<u8>>, LogError>;

    /// Keeps a checkpoint of a workspace's log beside the store, in the place of the one before.
    ///
    /// # Errors
    /// `Unavailable`, and then the one before may still be there.
    fn keep_checkpoint(&self, workspace: WorkspaceId, note: &[u8]) -> Result<(), LogError>;

    /// Names the snapshot and the kept checkpoint of a workspace as an operator finds them.
    fn witness_names(&self, workspace: WorkspaceId) -> [String; 2];

    /// Opens the store anew, as after a restart: what follows sees only what is durable.
    ///
    /// # Errors
    /// `Unavailable`.
    fn reopen(&self) -> Result<(), LogError>;

    /// Closes the store: all that was appended is in its lasting place, and no copy of what was erased is left. Nothing can be
    /// appended after it, until the store is reopened.
    ///
    /// # Errors
    /// `Unavailable`, with what is not as it should be. Nothing that was appended is lost.
    fn close(&self) -> Result<(), LogError>;

    /// Whether there is no room left but the reserve, which is kept for taking access away.
    fn is_short_of_room(&self) -> bool {
        false
    }

    /// Looks how much room there is, sets a reserve aside where there is enough, and opens for writing what could not be before.
    fn look_after_room(&self) {}

    /// Copies the whole store into a new file while it is in use.
    ///
    /// # Errors
    /// `Unavailable`, also where the file exists.
    fn backup(&self, out: &Path) -> Result<(), LogError>;
}
