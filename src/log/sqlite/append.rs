//! Writing a batch in one transaction. Every part is checked before it is written, so a refused part leaves nothing to undo.

use std::collections::HashSet;

use rusqlite::{Connection, Params, params};

use super::tree::{TreeAppender, TreeCache};
use super::values::Count;
use super::{is_full, read, unavailable};
use crate::domain::model::command::Profile;
use crate::domain::model::id::{UserId, WorkspaceId};
use crate::domain::model::name::WorkspaceName;
use crate::domain::model::time::{Instant, Revision};
use crate::log::journal::{Pruning, ReadRecord};
use crate::log::{Append, Appended, CredentialId, IdempotencyRecord, LogError, Outcome, SideWrite, StoredCredential};

/// The most idempotency records that are removed in one commit, so that an append never waits long.
const FORGOTTEN_RECORDS_MAX: u32 = 1_000;

/// The connection that writes, and the cached trees of its last commit.
#[derive(Debug)]
pub(super) struct Appender {
    connection: Connection,
    trees: TreeCache,
}

impl Appender {
    /// Returns an appender without cached trees.
    pub(super) fn new(connection: Connection) -> Self {
        Self { connection, trees: TreeCache::default() }
    }

    /// Returns the connection.
    pub(super) fn into_connection(self) -> Connection {
        self.connection
    }

    /// Writes a batch and commits it.
    pub(super) fn append(&mut self, batch: &[Append]) -> Result<Appended, LogError> {
        // A failed batch leaves no cached tree.
        let cache = std::mem::take(&mut self.trees);
        let transaction = Transaction::new(&self.connection).map_err(|error| unavailable(&error))?;
        // If one part fails, the parts before it are rolled back too.
        let (appended, cache) = append_parts(transaction.0, cache, batch)?;
        transaction.commit()?;
        self.trees = cache;
        Ok(appended)
    }

    /// Removes some idempotency records of an instant or earlier, and returns their number.
    pub(super) fn forget_idempotency_records(&self, until: Instant) -> rusqlite::Result<usize> {
        let sql = "DELETE FROM answers WHERE rowid IN (SELECT rowid FROM answers WHERE at <= ?1 LIMIT ?2)";
        self.connection.prepare_cached(sql)?.execute(params![until, FORGOTTEN_RECORDS_MAX])
    }
}

/// A transaction, which is rolled back on drop unless it was committed. Its statements are compiled once a connection.
struct Transaction<'a>(&'a Connection);

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if !self.0.is_autocommit() {
            // If even this fails, so does the next statement.
            let _ = execute(self.0, "ROLLBACK", []);
        }
    }
}

impl<'a> Transaction<'a> {
    fn new(connection: &'a Connection) -> rusqlite::Result<Self> {
        execute(connection, "BEGIN IMMEDIATE", [])?;
        Ok(Self(connection))
    }

    fn commit(self) -> Result<(), LogError> {
        match execute(self.0, "COMMIT", []) {
            Ok(()) => Ok(()),
            // The transaction is still open, so nothing is committed and `drop` rolls it back.
            Err(error) if !self.0.is_autocommit() => Err(unavailable(&error)),
            // The frame that commits is written last, and the disk had no room for it: nothing is committed.
            Err(error) if is_full(&error) => Err(unavailable(&error)),
            // SQLite ended the transaction after it had begun to write the commit, which may be on the disk.
            Err(error) => Err(LogError::OutcomeUnknown(error.to_string())),
        }
    }
}

fn append_parts(
    connection: &Connection,
    cache: TreeCache,
    batch: &[Append],
) -> Result<(Appended, TreeCache), LogError> {
    let failed = |error| unavailable(&error);
    let mut trees = TreeAppender::new(connection, cache).map_err(failed)?;
    let outcomes = batch.iter().map(|part| append_part(connection, &mut trees, part)).collect::<Result<_, _>>()?;
    let (trees, cache) = trees.finish().map_err(failed)?;
    Ok((Appended { outcomes, trees }, cache))
}

fn append_part(connection: &Connection, trees: &mut TreeAppender<'_>, part: &Append) -> Result<Outcome, LogError> {
    if let Some(refused) = wrong_head(trees, part)? {
        return Ok(refused);
    }
    write_part(connection, trees, part).map_err(|error| unavailable(&error))
}

/// Returns the refusal if the log has another revision than the part expects, or is damaged.
fn wrong_head(trees: &mut TreeAppender<'_>, part: &Append) -> Result<Option<Outcome>, LogError> {
    if part.events.is_empty() {
        return Ok(None);
    }
    match trees.head(part.workspace) {
        Ok(head) => Ok((head != part.expected).then_some(Outcome::Conflict)),
        Err(error @ LogError::Unreadable { .. }) => {
            tracing::error!(%error, "nothing is appended to a damaged log");
            Ok(Some(Outcome::Damaged))
        }
        Err(error) => Err(error),
    }
}

fn write_part(connection: &Connection, trees: &mut TreeAppender<'_>, part: &Append) -> rusqlite::Result<Outcome> {
    if let Some(refused) = refusal(connection, part)? {
        return Ok(refused);
    }
    write_events(connection, trees, part)?;
    for note in &part.side_writes {
        write_side(connection, part.workspace, note)?;
    }
    Ok(Outcome::Appended)
}

fn refusal(connection: &Connection, part: &Append) -> rusqlite::Result<Option<Outcome>> {
    let mut keys = HashSet::new();
    let mut credentials = HashSet::new();
    for note in &part.side_writes {
        let refused = match note {
            SideWrite::ClaimName(name) => name_refusal(connection, part.workspace, name)?,
            SideWrite::KeepIdempotencyRecord(record) if !keys.insert((&record.scope, &record.key)) => {
                Some(Outcome::Conflict)
            }
            SideWrite::KeepIdempotencyRecord(record) => {
                read::idempotency_record(connection, &record.scope, &record.key, Instant::EARLIEST)?
                    .map(|_| Outcome::Conflict)
            }
            SideWrite::AddCredential(row) if !credentials.insert(row.id) => Some(Outcome::Conflict),
            // Ids are never generated twice, but a log from elsewhere may have a known one. It must not replace the credential.
            SideWrite::AddCredential(row) => read::credential(connection, row.id)?.map(|_| Outcome::Conflict),
            _ => None,
        };
        if refused.is_some() {
            return Ok(refused);
        }
    }
    Ok(None)
}

fn name_refusal(
    connection: &Connection,
    workspace: WorkspaceId,
    name: &WorkspaceName,
) -> rusqlite::Result<Option<Outcome>> {
    let holder = read::workspace_named(connection, name.as_str())?;
    Ok(holder.filter(|holder| *holder != workspace).map(|_| Outcome::NameTaken))
}

fn execute(connection: &Connection, sql: &str, params: impl Params) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute(params).map(|_| ())
}

fn write_events(connection: &Connection, trees: &mut TreeAppender<'_>, part: &Append) -> rusqlite::Result<()> {
    if part.expected == Revision::ZERO && !part.events.is_empty() {
        execute(connection, "INSERT INTO workspaces (id) VALUES (?1)", [part.workspace])?;
    }
    let mut insert =
        connection.prepare_cached("INSERT INTO events (workspace, revision, leaf, event) VALUES (?1, ?2, ?3, ?4)")?;
    let mut revision = part.expected;
    for event in &part.events {
        revision = revision.next();
        let leaf = trees.push(part.workspace, event)?;
        insert.execute(params![part.workspace, revision, leaf, event])?;
    }
    Ok(())
}

fn write_side(connection: &Connection, workspace: WorkspaceId, note: &SideWrite) -> rusqlite::Result<()> {
    match note {
        SideWrite::ClaimName(name) => claim_name(connection, workspace, name),
        SideWrite::ReleaseName => execute(connection, "DELETE FROM names WHERE workspace = ?1", [workspace]),
        SideWrite::AddCredential(row) => add_credential(connection, row),
        SideWrite::ForgetCredential(id) => execute(connection, "DELETE FROM credentials WHERE id = ?1", [id]),
        SideWrite::SetProfile(user, profile) => set_profile(connection, workspace, user, profile),
        SideWrite::EraseProfile(user) => erase_profile(connection, workspace, user),
        SideWrite::NextExpiry(instant) => set_next_expiry(connection, workspace, *instant),
        SideWrite::KeepIdempotencyRecord(record) => keep_idempotency_record(connection, record),
        SideWrite::ForgetIdempotencyRecord(scope, key) => {
            execute(connection, "DELETE FROM answers WHERE scope = ?1 AND key = ?2", params![scope, key])
        }
        SideWrite::Used(id, at) => record_use(connection, *id, *at),
        SideWrite::RaiseClockMark(at) => {
            let sql = "INSERT INTO clock_mark (id, at) VALUES (1, ?1) \
                       ON CONFLICT (id) DO UPDATE SET at = excluded.at WHERE excluded.at > at";
            execute(connection, sql, [at])
        }
        SideWrite::ResetClockMark(at) => {
            execute(connection, "INSERT OR REPLACE INTO clock_mark (id, at) VALUES (1, ?1)", [at])
        }
        SideWrite::AddLogKey(key) => {
            let sql = "INSERT INTO log_keys (key, at, note) VALUES (?1, ?2, ?3)";
            execute(connection, sql, params![key.key.0, key.at, key.note])
        }
        SideWrite::KeepCursorKey(key) => {
            execute(connection, "INSERT OR IGNORE INTO cursor_key (id, key) VALUES (1, ?1)", [key])
        }
        SideWrite::RecordRead(read) => record_read(connection, read),
        SideWrite::PruneReads(pruning) => prune_reads(connection, pruning),
    }
}

fn claim_name(connection: &Connection, workspace: WorkspaceId, name: &WorkspaceName) -> rusqlite::Result<()> {
    // A replaced row can only be the workspace's own: another one was refused before.
    execute(connection, "INSERT OR REPLACE INTO names (name, workspace) VALUES (?1, ?2)", params![name, workspace])
}

fn add_credential(connection: &Connection, row: &StoredCredential) -> rusqlite::Result<()> {
    let sql = "INSERT INTO credentials (id, workspace, sha256, holder) VALUES (?1, ?2, ?3, ?4)";
    execute(connection, sql, params![row.id, row.workspace, row.sha256, row.holder])
}

fn set_profile(
    connection: &Connection,
    workspace: WorkspaceId,
    user: &UserId,
    profile: &Profile,
) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO profiles (workspace, user, name, email) VALUES (?1, ?2, ?3, ?4)";
    execute(connection, sql, params![workspace, user, profile.name, profile.email])
}

fn erase_profile(connection: &Connection, workspace: WorkspaceId, user: &UserId) -> rusqlite::Result<()> {
    execute(connection, "DELETE FROM profiles WHERE workspace = ?1 AND user = ?2", params![workspace, user])
}

fn set_next_expiry(connection: &Connection, workspace: WorkspaceId, instant: Option<Instant>) -> rusqlite::Result<()> {
    match instant {
        Some(at) => {
            let sql = "INSERT OR REPLACE INTO next_expiries (workspace, at) VALUES (?1, ?2)";
            execute(connection, sql, params![workspace, at])
        }
        None => execute(connection, "DELETE FROM next_expiries WHERE workspace = ?1", [workspace]),
    }
}

fn keep_idempotency_record(connection: &Connection, record: &IdempotencyRecord) -> rusqlite::Result<()> {
    // A readable record refused the part before. One that cannot be read is replaced.
    let sql = "INSERT OR REPLACE INTO answers (scope, key, fingerprint, at, answer) VALUES (?1, ?2, ?3, ?4, ?5)";
    execute(connection, sql, params![record.scope, record.key, record.fingerprint, record.at, record.response])
}

fn record_use(connection: &Connection, id: CredentialId, at: Instant) -> rusqlite::Result<()> {
    let sql = "INSERT INTO credential_uses (id, at) VALUES (?1, ?2) \
               ON CONFLICT (id) DO UPDATE SET at = excluded.at WHERE excluded.at > at";
    execute(connection, sql, params![id, at])
}

fn record_read(connection: &Connection, read: &ReadRecord) -> rusqlite::Result<()> {
    let sql = "INSERT INTO audit_reads \
               (id, workspace, at, reader, token, request, question, query, form, revision, view_at, rows) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) \
               ON CONFLICT (id) DO UPDATE SET rows = excluded.rows WHERE rows IS NULL";
    let params = params![
        read.id,
        read.workspace,
        read.at,
        read.reader,
        read.token,
        read.request,
        read.question,
        read.query,
        read.form,
        read.revision,
        read.view_at,
        read.rows.map(Count),
    ];
    execute(connection, sql, params)
}

fn prune_reads(connection: &Connection, pruning: &Pruning) -> rusqlite::Result<()> {
    // The records first, so that the journal is never empty and no sequence number is reused.
    for record in &pruning.records {
        record_read(connection, record)?;
    }
    execute(connection, "DELETE FROM audit_reads WHERE sequence <= ?1", [Count(pruning.up_to)])
}
