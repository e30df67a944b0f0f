//! The queries of the store, a function each.

use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use super::unavailable;
use super::values::Count;
use crate::domain::model::command::Profile;
use crate::domain::model::id::{UserId, WorkspaceId};
use crate::domain::model::time::{Instant, Revision};
use crate::log::journal::{OldReads, ReadFilter, ReadRecord, StoredRead};
use crate::log::{
    CredentialId, CursorSecret, EachEvent, IdempotencyRecord, LogError, RecordScope, StoredCredential, StoredEvent,
    StoredKey, UncheckedEvents,
};
use crate::proof::note::PublicKey;

fn one<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Option<T>> {
    connection.prepare_cached(sql)?.query_row(params, read).optional()
}

fn all<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    connection.prepare_cached(sql)?.query_map(params, read)?.collect()
}

/// Returns a value for `LIMIT`. A larger number means all rows.
fn at_most(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// The most rows that room is made for ahead.
const PAGE_ROWS_MAX: usize = 1_024;

const EVENTS_OF: &str = "SELECT position, workspace, revision, leaf, event FROM events \
                         WHERE workspace = ?1 AND revision > ?2 ORDER BY revision LIMIT ?3";

/// Reads a row, whose bytes are not compared with its leaf yet.
fn stored_event<'a>(row: &'a Row<'_>) -> rusqlite::Result<StoredEvent<&'a [u8]>> {
    Ok(StoredEvent {
        position: row.get::<_, Count>(0)?.0,
        workspace: row.get(1)?,
        revision: row.get(2)?,
        leaf: row.get(3)?,
        bytes: row.get_ref(4)?.as_blob()?,
    })
}

/// Passes the events of a statement to `each`, after each matched its leaf.
fn each_event(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    mut each: impl FnMut(StoredEvent<&[u8]>) -> Result<(), LogError>,
) -> Result<(), LogError> {
    let failed = |error| unavailable(&error);
    let mut select = connection.prepare_cached(sql).map_err(failed)?;
    let mut rows = select.query(params).map_err(failed)?;
    while let Some(row) = rows.next().map_err(failed)? {
        let stored = stored_event(row).map_err(failed)?;
        stored.check_leaf()?;
        each(stored)?;
    }
    Ok(())
}

pub(super) fn head(connection: &Connection, workspace: WorkspaceId) -> rusqlite::Result<Option<Revision>> {
    let sql = "SELECT max(revision) FROM events WHERE workspace = ?1";
    one(connection, sql, [workspace], |row| row.get(0)).map(Option::flatten)
}

pub(super) fn visit(
    connection: &Connection,
    workspace: WorkspaceId,
    after: Revision,
    limit: usize,
    each: EachEvent<'_>,
) -> Result<(), LogError> {
    each_event(connection, EVENTS_OF, params![workspace, after, at_most(limit)], each)
}

pub(super) fn unchecked(
    connection: &Connection,
    workspace: WorkspaceId,
    after: Revision,
    limit: usize,
) -> rusqlite::Result<UncheckedEvents> {
    let mut select = connection.prepare_cached(EVENTS_OF)?;
    let mut rows = select.query(params![workspace, after, at_most(limit)])?;
    let mut events = UncheckedEvents::with_capacity(limit.min(PAGE_ROWS_MAX));
    while let Some(row) = rows.next()? {
        events.push(&stored_event(row)?);
    }
    Ok(events)
}

pub(super) fn feed(connection: &Connection, after: u64, limit: usize) -> Result<Vec<StoredEvent>, LogError> {
    let sql =
        "SELECT position, workspace, revision, leaf, event FROM events WHERE position > ?1 ORDER BY position LIMIT ?2";
    let mut events = Vec::new();
    each_event(connection, sql, params![Count(after), at_most(limit)], |event| {
        events.push(event.into_owned());
        Ok(())
    })?;
    Ok(events)
}

pub(super) fn workspace_named(connection: &Connection, name: &str) -> rusqlite::Result<Option<WorkspaceId>> {
    one(connection, "SELECT workspace FROM names WHERE name = ?1", [name], |row| row.get(0))
}

pub(super) fn workspaces(
    connection: &Connection,
    after: Option<WorkspaceId>,
    limit: usize,
) -> rusqlite::Result<Vec<WorkspaceId>> {
    let sql = "SELECT id FROM workspaces WHERE id > coalesce(?1, x'') ORDER BY id LIMIT ?2";
    all(connection, sql, params![after, at_most(limit)], |row| row.get(0))
}

pub(super) fn credential(connection: &Connection, id: CredentialId) -> rusqlite::Result<Option<StoredCredential>> {
    one(connection, "SELECT workspace, sha256, holder FROM credentials WHERE id = ?1", [id], |row| {
        Ok(StoredCredential { id, workspace: row.get(0)?, sha256: row.get(1)?, holder: row.get(2)? })
    })
}

pub(super) fn last_used(connection: &Connection, ids: &[CredentialId]) -> rusqlite::Result<Vec<Option<Instant>>> {
    let snapshot = connection.unchecked_transaction()?;
    let sql = "SELECT at FROM credential_uses WHERE id = ?1";
    ids.iter().map(|id| one(&snapshot, sql, [id], |row| row.get(0))).collect()
}

pub(super) fn profiles(
    connection: &Connection,
    workspace: WorkspaceId,
    users: &[UserId],
) -> rusqlite::Result<Vec<Profile>> {
    let snapshot = connection.unchecked_transaction()?;
    let sql = "SELECT name, email FROM profiles WHERE workspace = ?1 AND user = ?2";
    let profile = |row: &Row<'_>| Ok(Profile { name: row.get(0)?, email: row.get(1)? });
    users.iter().map(|user| Ok(one(&snapshot, sql, params![workspace, user], profile)?.unwrap_or_default())).collect()
}

pub(super) fn idempotency_record(
    connection: &Connection,
    scope: &RecordScope,
    key: &str,
    after: Instant,
) -> rusqlite::Result<Option<IdempotencyRecord>> {
    let sql = "SELECT scope, key, fingerprint, at, answer FROM answers WHERE scope = ?1 AND key = ?2 AND at > ?3";
    let found = one(connection, sql, params![scope, key, after], |row| Ok(stored_record(row)))?;
    Ok(found.and_then(|record| {
        record.inspect_err(|error| tracing::error!(%scope, %error, "an idempotency record cannot be read")).ok()
    }))
}

pub(super) fn stored_record(row: &Row<'_>) -> rusqlite::Result<IdempotencyRecord> {
    Ok(IdempotencyRecord {
        scope: row.get(0)?,
        key: row.get(1)?,
        fingerprint: row.get(2)?,
        at: row.get(3)?,
        response: row.get(4)?,
    })
}

pub(super) fn due(connection: &Connection, now: Instant) -> rusqlite::Result<Vec<WorkspaceId>> {
    all(connection, "SELECT workspace FROM next_expiries WHERE at <= ?1 ORDER BY at", [now], |row| row.get(0))
}

pub(super) fn last_end(connection: &Connection, after: Instant, until: Instant) -> rusqlite::Result<Option<Instant>> {
    let sql = "SELECT max(at) FROM next_expiries WHERE at > ?1 AND at <= ?2";
    one(connection, sql, [after, until], |row| row.get(0)).map(Option::flatten)
}

pub(super) fn clock_mark(connection: &Connection) -> rusqlite::Result<Option<Instant>> {
    one(connection, "SELECT at FROM clock_mark", [], |row| row.get(0))
}

/// Returns whether the store has a table. A store of an older form lacks newer ones.
pub(super) fn has_table(connection: &Connection, table: &str) -> rusqlite::Result<bool> {
    let sql = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1";
    Ok(one(connection, sql, [table], |_| Ok(()))?.is_some())
}

pub(super) fn cursor_key(connection: &Connection) -> rusqlite::Result<Option<CursorSecret>> {
    if !has_table(connection, "cursor_key")? {
        return Ok(None);
    }
    one(connection, "SELECT key FROM cursor_key", [], |row| row.get(0))
}

pub(super) fn log_keys(connection: &Connection) -> rusqlite::Result<Vec<StoredKey>> {
    if !has_table(connection, "log_keys")? {
        return Ok(Vec::new());
    }
    all(connection, "SELECT key, at, note FROM log_keys ORDER BY sequence", [], stored_key)
}

pub(super) fn stored_key(row: &Row<'_>) -> rusqlite::Result<StoredKey> {
    Ok(StoredKey { key: PublicKey(row.get(0)?), at: row.get(1)?, note: row.get(2)? })
}

pub(super) fn reads(
    connection: &Connection,
    workspace: WorkspaceId,
    filter: &ReadFilter,
    limit: usize,
) -> rusqlite::Result<Vec<StoredRead>> {
    let sql = "SELECT sequence, id, workspace, at, reader, token, request, question, query, form, revision, view_at, rows \
               FROM audit_reads WHERE workspace = ?1 AND sequence > ?2 AND sequence <= ?3 \
               AND (?4 IS NULL OR at >= ?4) AND (?5 IS NULL OR at < ?5) AND (?6 IS NULL OR reader = ?6) \
               ORDER BY sequence LIMIT ?7";
    let ReadFilter { after, until_sequence, from, until, reader } = filter;
    let params = params![workspace, Count(*after), Count(*until_sequence), from, until, reader, at_most(limit)];
    all(connection, sql, params, stored_read)
}

pub(super) fn stored_read(row: &Row<'_>) -> rusqlite::Result<StoredRead> {
    let record = ReadRecord {
        id: row.get(1)?,
        workspace: row.get(2)?,
        at: row.get(3)?,
        reader: row.get(4)?,
        token: row.get(5)?,
        request: row.get(6)?,
        question: row.get(7)?,
        query: row.get(8)?,
        form: row.get(9)?,
        revision: row.get(10)?,
        view_at: row.get(11)?,
        rows: row.get::<_, Option<Count>>(12)?.map(|count| count.0),
    };
    Ok(StoredRead { sequence: row.get::<_, Count>(0)?.0, record })
}

pub(super) fn old_reads(connection: &Connection, before: Instant, limit: usize) -> rusqlite::Result<OldReads> {
    let sql = "SELECT sequence, workspace, at FROM audit_reads ORDER BY sequence LIMIT ?1";
    let mut select = connection.prepare_cached(sql)?;
    let mut rows = select.query([at_most(limit)])?;
    let mut old = OldReads::default();
    while let Some(row) = rows.next()? {
        if row.get::<_, Instant>(2)? >= before {
            break;
        }
        old.up_to = row.get::<_, Count>(0)?.0;
        *old.rows.entry(row.get(1)?).or_default() += 1;
    }
    Ok(old)
}

pub(super) fn newest_read(connection: &Connection, workspace: WorkspaceId) -> rusqlite::Result<u64> {
    let sql = "SELECT max(sequence) FROM audit_reads WHERE workspace = ?1";
    let newest = one(connection, sql, [workspace], |row| row.get::<_, Option<Count>>(0))?;
    Ok(newest.flatten().map_or(0, |newest| newest.0))
}
