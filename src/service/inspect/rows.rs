//! The rows of a store, by workspace.

use std::collections::{BTreeMap, BTreeSet};

use super::NamedWitness;
use crate::domain::model::id::{TokenId, UserId, WorkspaceId};
use crate::domain::model::time::{Instant, Revision};
use crate::log::journal::{AuditReader, ReadRecord, StoredRead};
use crate::log::rows::StoredRow;
use crate::log::{CredentialId, IdempotencyRecord, RecordPlace, StoredCredential, StoredKey};
use crate::proof::hash::TreeHash;

/// A row of the journal.
pub(super) struct JournalRow {
    pub(super) sequence: u64,
    pub(super) at: Instant,
    pub(super) revision: Revision,
    pub(super) reader: AuditReader,
    pub(super) token: Option<TokenId>,
    /// Whether it records a pruning.
    pub(super) is_of_pruning: bool,
}

impl JournalRow {
    fn of(StoredRead { sequence, record }: StoredRead) -> Self {
        let is_of_pruning = record.is_of_pruning();
        let ReadRecord { at, revision, reader, token, .. } = record;
        Self { sequence, at, revision, reader, token, is_of_pruning }
    }
}

/// The rows about one workspace.
#[derive(Default)]
pub(super) struct WorkspaceRows {
    pub(super) head: Revision,
    pub(super) is_listed: bool,
    pub(super) names: Vec<String>,
    pub(super) credentials: BTreeMap<CredentialId, StoredCredential>,
    pub(super) profiles: Vec<UserId>,
    pub(super) next_expiry: Option<Instant>,
    pub(super) reads: Vec<JournalRow>,
    pub(super) frontier: Option<(u64, Vec<u8>)>,
    pub(super) tile_hashes: BTreeMap<(u8, u64), TreeHash>,
    pub(super) witnesses: Vec<NamedWitness>,
}

/// The credentials that the logs created.
#[derive(Default)]
pub(super) struct Created {
    pub(super) credentials: BTreeSet<CredentialId>,
    /// The workspaces whose logs cannot be read.
    pub(super) unknown: BTreeSet<WorkspaceId>,
}

/// All rows of a store.
#[derive(Default)]
pub(super) struct StoredRows {
    pub(super) workspaces: BTreeMap<WorkspaceId, WorkspaceRows>,
    pub(super) uses: Vec<(CredentialId, Instant)>,
    pub(super) records: Vec<IdempotencyRecord>,
    /// The keys that signed the logs, in order.
    pub(super) keys: Vec<StoredKey>,
    pub(super) clock_mark: Option<Instant>,
    /// The number of events, and the last position of the feed.
    pub(super) feed: Option<(u64, u64)>,
    /// A sentence for each row that cannot be read.
    pub(super) flaws: Vec<String>,
}

impl StoredRows {
    /// Returns the rows about a workspace.
    pub(super) fn of(&mut self, id: WorkspaceId) -> &mut WorkspaceRows {
        self.workspaces.entry(id).or_default()
    }

    /// Adds a row.
    pub(super) fn add(&mut self, row: StoredRow) {
        match row {
            StoredRow::Head(id, head) => self.of(id).head = head,
            StoredRow::Listed(id) => self.of(id).is_listed = true,
            StoredRow::Name(name, id) => self.of(id).names.push(name),
            StoredRow::Credential(row) => drop(self.of(row.workspace).credentials.insert(row.id, row)),
            StoredRow::Use(id, at) => self.uses.push((id, at)),
            StoredRow::ClockMark(at) => self.clock_mark = Some(at),
            StoredRow::LogKey(key) => self.keys.push(key),
            StoredRow::Feed { len, last } => self.feed = Some((len, last)),
            StoredRow::Profile(id, user) => self.of(id).profiles.push(user),
            StoredRow::NextExpiry(id, at) => self.of(id).next_expiry = Some(at),
            StoredRow::IdempotencyRecord(record) => self.add_idempotency_record(*record),
            StoredRow::Read(read) => {
                self.of(read.record.workspace).reads.push(JournalRow::of(*read));
            }
            StoredRow::Frontier(id, size, bytes) => self.of(id).frontier = Some((size, bytes)),
            StoredRow::TileHash(id, level, place, hash) => {
                self.of(id).tile_hashes.insert((level, place), hash);
            }
            // Nothing follows from it, and a cursor gives nobody a right.
            StoredRow::CursorKey => {}
            StoredRow::Unreadable(table, why) => self.flaws.push(format!("a row of `{table}` cannot be read: {why}")),
        }
    }

    /// Adds an idempotency record. One in a workspace is a row about that workspace.
    fn add_idempotency_record(&mut self, record: IdempotencyRecord) {
        if let RecordPlace::Workspace(id) = record.scope.place {
            self.of(id);
        }
        self.records.push(record);
    }
}
