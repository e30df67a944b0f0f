//! The rows of every table of a store, for the comparison with the logs. A row may be wrong in every way.

use super::StoredCredential;
use super::journal::StoredRead;
use crate::domain::model::id::{UserId, WorkspaceId};
use crate::domain::model::time::{Instant, Revision};
use crate::log::{CredentialId, IdempotencyRecord, StoredKey};
use crate::proof::hash::TreeHash;

/// A row of a store.
#[derive(Debug, Clone)]
pub enum StoredRow {
    /// The newest revision among a log's events.
    Head(WorkspaceId, Revision),
    /// The events of the feed: their number and the last position.
    Feed {
        /// The number of events.
        len: u64,
        /// The last position.
        last: u64,
    },
    /// A listed workspace.
    Listed(WorkspaceId),
    /// A name and its workspace.
    Name(String, WorkspaceId),
    /// A credential.
    Credential(StoredCredential),
    /// The last use of a credential, and its time.
    Use(CredentialId, Instant),
    /// A profile of a person in a workspace.
    Profile(WorkspaceId, UserId),
    /// The earliest instant at which something in a workspace may expire.
    NextExpiry(WorkspaceId, Instant),
    /// An idempotency record.
    IdempotencyRecord(Box<IdempotencyRecord>),
    /// A read of the audit.
    Read(Box<StoredRead>),
    /// The frontier of a tree as it was written last: its size and its hashes.
    Frontier(WorkspaceId, u64, Vec<u8>),
    /// A hash of a tile above level 0: its level, and its place along it.
    TileHash(WorkspaceId, u8, u64, TreeHash),
    /// The newest recorded time of a settled clock.
    ClockMark(Instant),
    /// A key that signed the logs, in the order of their use.
    LogKey(StoredKey),
    /// The key that cursors are signed with.
    CursorKey,
    /// A row of a table that cannot be read: the table and the error.
    Unreadable(&'static str, String),
}
