//! The rows of a store, of every table, for whoever compares them with the logs.
//!
//! Owns nothing: a row is what is stored, and may be wrong in every way.

use super::CredentialRow;
use super::journal::StoredRead;
use crate::domain::model::id::{UserId, WorkspaceId};
use crate::domain::model::time::{Instant, Revision};
use crate::log::CredentialId;
use crate::proof::hash::TreeHash;

/// A row of a store.
#[derive(Debug, Clone)]
pub enum StoredRow {
    /// The newest revision of a log, as its events stand.
    Head(WorkspaceId, Revision),
    /// A workspace that is listed.
    Listed(WorkspaceId),
    /// A name, and the workspace that it leads to.
    Name(String, WorkspaceId),
    /// A credential.
    Credential(CredentialRow),
    /// The last use of a credential.
    Use(CredentialId),
    /// A profile of a person in a workspace.
    Profile(WorkspaceId, UserId),
    /// The earliest instant at which something in a workspace may expire.
    NextExpiry(WorkspaceId, Instant),
    /// The scope of an answer that is kept.
    Answer(String),
    /// A read of the audit.
    Read(Box<StoredRead>),
    /// The right edge of a tree as it was written last: its size and its hashes.
    Edge(WorkspaceId, u64, Vec<u8>),
    /// A hash of a tile above level 0: its level, and its place along it.
    TileHash(WorkspaceId, u8, u64, TreeHash),
    /// The key that cursors are signed with, which nothing else in the store depends on.
    CursorKey,
    /// A row of a table that cannot be read.
    Unreadable(&'static str, String),
}
