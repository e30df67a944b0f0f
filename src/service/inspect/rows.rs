//! The rows of a store by the workspace that they are about.

use std::collections::{BTreeMap, BTreeSet};

use super::Said;
use crate::domain::model::id::{TokenId, UserId, WorkspaceId};
use crate::domain::model::time::{Instant, Revision};
use crate::log::journal::AuditReader;
use crate::log::rows::StoredRow;
use crate::log::{CredentialId, CredentialRow};
use crate::proof::hash::TreeHash;

/// What the journal says of a read.
pub(super) struct JournalRow {
    pub(super) sequence: u64,
    pub(super) revision: Revision,
    pub(super) reader: AuditReader,
    pub(super) token: Option<TokenId>,
}

/// The rows about one workspace.
#[derive(Default)]
pub(super) struct Rows {
    pub(super) head: Revision,
    pub(super) is_listed: bool,
    pub(super) names: Vec<String>,
    pub(super) credentials: BTreeMap<CredentialId, CredentialRow>,
    pub(super) profiles: Vec<UserId>,
    pub(super) next_expiry: Option<Instant>,
    pub(super) answers: u64,
    pub(super) reads: Vec<JournalRow>,
    pub(super) edge: Option<(u64, Vec<u8>)>,
    pub(super) tile_hashes: BTreeMap<(u8, u64), TreeHash>,
    pub(super) witnesses: Vec<Said>,
}

/// What the logs made.
#[derive(Default)]
pub(super) struct Made {
    pub(super) credentials: BTreeSet<CredentialId>,
    /// The workspaces whose logs cannot be read.
    pub(super) unknown: BTreeSet<WorkspaceId>,
}

/// All rows of a store.
#[derive(Default)]
pub(super) struct Stored {
    pub(super) workspaces: BTreeMap<WorkspaceId, Rows>,
    uses: Vec<CredentialId>,
    /// The rows that cannot be read.
    pub(super) flaws: Vec<String>,
}

impl Stored {
    /// The rows about a workspace.
    pub(super) fn of(&mut self, id: WorkspaceId) -> &mut Rows {
        self.workspaces.entry(id).or_default()
    }

    /// Takes in a row.
    pub(super) fn take(&mut self, row: StoredRow) {
        match row {
            StoredRow::Head(id, head) => self.of(id).head = head,
            StoredRow::Listed(id) => self.of(id).is_listed = true,
            StoredRow::Name(name, id) => self.of(id).names.push(name),
            StoredRow::Credential(row) => drop(self.of(row.workspace).credentials.insert(row.id, row)),
            StoredRow::Use(id) => self.uses.push(id),
            StoredRow::Profile(id, user) => self.of(id).profiles.push(user),
            StoredRow::NextExpiry(id, at) => self.of(id).next_expiry = Some(at),
            StoredRow::Answer(scope) => self.take_answer(&scope),
            StoredRow::Read(read) => {
                let (sequence, record) = (read.sequence, read.record);
                let (revision, reader, token) = (record.revision, record.reader, record.token);
                self.of(record.workspace).reads.push(JournalRow { sequence, revision, reader, token });
            }
            StoredRow::Edge(id, size, bytes) => self.of(id).edge = Some((size, bytes)),
            StoredRow::TileHash(id, level, place, hash) => {
                self.of(id).tile_hashes.insert((level, place), hash);
            }
            // Whoever could alter it could alter everything; a cursor gives nobody a right.
            StoredRow::CursorKey => {}
            StoredRow::Unreadable(table, why) => self.flaws.push(format!("a row of `{table}` cannot be read: {why}")),
        }
    }

    /// A scope names the workspace, or the instance, and who asked.
    fn take_answer(&mut self, scope: &str) {
        let within = scope.split(' ').next().unwrap_or_default();
        match within.parse() {
            Ok(id) => self.of(id).answers += 1,
            Err(_) if within == "instance" => {}
            Err(_) => {
                self.flaws.push(format!("a row of `answers` has a scope that is none: `{}`", scope.escape_debug()));
            }
        }
    }

    /// Says which uses are of credentials that no log made. Nothing is known if a log cannot be read.
    pub(super) fn check_uses(&self, made: &Made, flaws: &mut Vec<String>) {
        if !made.unknown.is_empty() {
            return;
        }
        for id in self.uses.iter().filter(|id| !made.credentials.contains(id)) {
            flaws.push(format!("`credential_uses` has {id}, which no log made"));
        }
    }
}
