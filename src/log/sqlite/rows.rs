//! Every row of every table except `events`, from one snapshot.

use rusqlite::{Connection, Row};

use super::read::{has_table, stored_key, stored_read, stored_record};
use super::values::Count;
use crate::log::rows::StoredRow;
use crate::log::{CursorSecret, StoredCredential};

type Read = fn(&Row<'_>) -> rusqlite::Result<StoredRow>;

/// Each table, its query, and its row.
const TABLES: &[(&str, &str, Read)] = &[
    ("events", "SELECT workspace, max(revision) FROM events GROUP BY workspace", |row| {
        Ok(StoredRow::Head(row.get(0)?, row.get(1)?))
    }),
    ("events", "SELECT count(*), coalesce(max(position), 0) FROM events", |row| {
        Ok(StoredRow::Feed { len: row.get::<_, Count>(0)?.0, last: row.get::<_, Count>(1)?.0 })
    }),
    ("workspaces", "SELECT id FROM workspaces", |row| Ok(StoredRow::Listed(row.get(0)?))),
    ("names", "SELECT name, workspace FROM names", |row| Ok(StoredRow::Name(row.get(0)?, row.get(1)?))),
    ("credentials", "SELECT id, workspace, sha256, holder FROM credentials", |row| {
        let (id, workspace, sha256, holder) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        Ok(StoredRow::Credential(StoredCredential { id, workspace, sha256, holder }))
    }),
    ("credential_uses", "SELECT id, at FROM credential_uses", |row| Ok(StoredRow::Use(row.get(0)?, row.get(1)?))),
    ("profiles", "SELECT workspace, user FROM profiles", |row| Ok(StoredRow::Profile(row.get(0)?, row.get(1)?))),
    ("next_expiries", "SELECT workspace, at FROM next_expiries", |row| {
        Ok(StoredRow::NextExpiry(row.get(0)?, row.get(1)?))
    }),
    ("answers", "SELECT scope, key, fingerprint, at, answer FROM answers", |row| {
        Ok(StoredRow::IdempotencyRecord(Box::new(stored_record(row)?)))
    }),
    (
        "audit_reads",
        "SELECT sequence, id, workspace, at, reader, token, request, question, query, form, revision, view_at, rows \
         FROM audit_reads",
        |row| Ok(StoredRow::Read(Box::new(stored_read(row)?))),
    ),
    ("trees", "SELECT workspace, size, frontier FROM trees", |row| {
        Ok(StoredRow::Frontier(row.get(0)?, row.get::<_, Count>(1)?.0, row.get(2)?))
    }),
    ("tile_hashes", "SELECT workspace, level, place, hash FROM tile_hashes", |row| {
        Ok(StoredRow::TileHash(row.get(0)?, row.get(1)?, row.get::<_, Count>(2)?.0, row.get(3)?))
    }),
    ("clock_mark", "SELECT at FROM clock_mark", |row| Ok(StoredRow::ClockMark(row.get(0)?))),
    ("log_keys", "SELECT key, at, note FROM log_keys ORDER BY sequence", |row| Ok(StoredRow::LogKey(stored_key(row)?))),
    ("cursor_key", "SELECT key FROM cursor_key", |row| {
        row.get::<_, CursorSecret>(0)?;
        Ok(StoredRow::CursorKey)
    }),
];

/// Passes every row to `each`, from one snapshot. A row that cannot be read is passed as `Unreadable`.
pub(super) fn all(connection: &Connection, each: &mut dyn FnMut(StoredRow)) -> rusqlite::Result<()> {
    let snapshot = connection.unchecked_transaction()?;
    for (table, sql, read) in TABLES {
        // A store of an older form lacks the newer tables.
        if !has_table(&snapshot, table)? {
            continue;
        }
        let mut select = snapshot.prepare(sql)?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            each(read(row).unwrap_or_else(|error| StoredRow::Unreadable(table, error.to_string())));
        }
    }
    Ok(())
}
