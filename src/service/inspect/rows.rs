//! The rows of a store, by workspace.

use std::collections::{BTreeMap, BTreeSet};

use super::NamedWitness;
use crate::domain::model::id::{TokenId, UserId, WorkspaceId};
use crate::domain::model::time::{Instant, Revision};
use crate::log::journal::AuditReader;
use crate::log::rows::StoredRow;
use crate::log::{CredentialId, StoredCredential};
use crate::proof::hash::TreeHash;

/// A row of the journal.
pub(super) struct JournalRow {
    pub(super) sequence: u64,
    pub(super) revision: Revision,
    pub(super) reader: AuditReader,
    pub(super) token: Option<TokenId>,
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
    pub(super) answers: u64,
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
    uses: Vec<CredentialId>,
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
            StoredRow::Use(id) => self.uses.push(id),
            StoredRow::Profile(id, user) => self.of(id).profiles.push(user),
            StoredRow::NextExpiry(id, at) => self.of(id).next_expiry = Some(at),
            StoredRow::IdempotencyRecord(scope) => self.add_idempotency_record(&scope),
            StoredRow::Read(read) => {
                let (sequence, record) = (read.sequence, read.record);
                let (revision, reader, token) = (record.revision, record.reader, record.token);
                self.of(record.workspace).reads.push(JournalRow { sequence, revision, reader, token });
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

    /// Counts a record by its scope, which names the workspace or the instance, and the holder.
    fn add_idempotency_record(&mut self, scope: &str) {
        let within = scope.split(' ').next().unwrap_or_default();
        match within.parse() {
            Ok(id) => self.of(id).answers += 1,
            Err(_) if within == "instance" => {}
            Err(_) => {
                self.flaws.push(format!("a row of `answers` has a scope that is none: `{}`", scope.escape_debug()));
            }
        }
    }

    /// Reports uses of credentials that no log made. If a log cannot be read, nothing is known.
    pub(super) fn check_uses(&self, created: &Created, flaws: &mut Vec<String>) {
        if !created.unknown.is_empty() {
            return;
        }
        for id in self.uses.iter().filter(|id| !created.credentials.contains(id)) {
            flaws.push(format!("`credential_uses` has {id}, which no log made"));
        }
    }
}
