//! Every question that is asked of the store, a function each. A question of several statements asks them of one snapshot.

use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use super::values::Position;
use crate::domain::command::Profile;
use crate::domain::id::{CommandId, UserId, WorkspaceId};
use crate::domain::time::{Instant, Revision};
use crate::log::{CredentialRow, KeptAnswer, PresentedId, StoredEvent};

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

/// As a `LIMIT` takes it: more rows than it can count are all rows.
fn at_most(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

fn stored_event(row: &Row<'_>) -> rusqlite::Result<StoredEvent> {
    Ok(StoredEvent {
        position: row.get::<_, Position>(0)?.0,
        workspace: row.get(1)?,
        revision: row.get(2)?,
        bytes: row.get(3)?,
    })
}

pub(super) fn head(connection: &Connection, workspace: WorkspaceId) -> rusqlite::Result<Option<Revision>> {
    let sql = "SELECT max(revision) FROM events WHERE workspace = ?1";
    one(connection, sql, [workspace], |row| row.get(0)).map(Option::flatten)
}

pub(super) fn events(
    connection: &Connection,
    workspace: WorkspaceId,
    after: Revision,
    limit: usize,
) -> rusqlite::Result<Vec<StoredEvent>> {
    let sql = "SELECT position, workspace, revision, event FROM events \
               WHERE workspace = ?1 AND revision > ?2 ORDER BY revision LIMIT ?3";
    all(connection, sql, params![workspace, after, at_most(limit)], stored_event)
}

pub(super) fn feed(connection: &Connection, after: u64, limit: usize) -> rusqlite::Result<Vec<StoredEvent>> {
    let sql = "SELECT position, workspace, revision, event FROM events WHERE position > ?1 ORDER BY position LIMIT ?2";
    all(connection, sql, params![Position(after), at_most(limit)], stored_event)
}

pub(super) fn has_command(
    connection: &Connection,
    workspace: WorkspaceId,
    command: CommandId,
) -> rusqlite::Result<bool> {
    let sql = "SELECT 1 FROM events WHERE command = ?1 AND workspace = ?2 LIMIT 1";
    one(connection, sql, params![command, workspace], |_| Ok(())).map(|found| found.is_some())
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

pub(super) fn credential(connection: &Connection, id: PresentedId) -> rusqlite::Result<Option<CredentialRow>> {
    one(connection, "SELECT workspace, sha256, holder FROM credentials WHERE id = ?1", [id], |row| {
        Ok(CredentialRow { id, workspace: row.get(0)?, sha256: row.get(1)?, holder: row.get(2)? })
    })
}

pub(super) fn last_used(connection: &Connection, ids: &[PresentedId]) -> rusqlite::Result<Vec<Option<Instant>>> {
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

pub(super) fn kept_answer(
    connection: &Connection,
    scope: &str,
    key: &str,
    after: Instant,
) -> rusqlite::Result<Option<KeptAnswer>> {
    let sql = "SELECT scope, key, fingerprint, at, answer FROM answers WHERE scope = ?1 AND key = ?2 AND at > ?3";
    one(connection, sql, params![scope, key, after], |row| {
        Ok(KeptAnswer {
            scope: row.get(0)?,
            key: row.get(1)?,
            fingerprint: row.get(2)?,
            at: row.get(3)?,
            answer: row.get(4)?,
        })
    })
}

pub(super) fn due(connection: &Connection, now: Instant) -> rusqlite::Result<Vec<WorkspaceId>> {
    all(connection, "SELECT workspace FROM next_expiries WHERE at <= ?1 ORDER BY at", [now], |row| row.get(0))
}
