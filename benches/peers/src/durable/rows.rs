//! Bare SQLite: the rows that Tenure wrote, in its own tables without their triggers, in transactions of 100.

use std::path::Path;
use std::time::Instant;

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use crate::peer::Outcome;

const ROWS_A_TRANSACTION: usize = 100;

/// Returns the rows per second for the events of a data folder that no process has open.
///
/// # Errors
/// SQLite reports an error, or the folder has no such table.
pub fn rate(data: &Path) -> Outcome<f64> {
    let from = Connection::open(data.join("tenure.db"))?;
    let tables = schema(&from)?;
    let rows = rows(&from)?;
    let folder = tempfile::tempdir()?;
    let into = Connection::open(folder.path().join("rows.db"))?;
    into.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")?;
    into.execute_batch(&tables)?;
    let places = vec!["?"; rows[0].len()].join(", ");
    let started = Instant::now();
    for some in rows.chunks(ROWS_A_TRANSACTION) {
        let all = into.unchecked_transaction()?;
        let mut insert = all.prepare_cached(&format!("INSERT INTO events VALUES ({places})"))?;
        for row in some {
            insert.execute(params_from_iter(row))?;
        }
        drop(insert);
        all.commit()?;
    }
    Ok(f64::from(u32::try_from(rows.len())?) / started.elapsed().as_secs_f64())
}

/// Returns the schema of the table of events and of its indices.
fn schema(from: &Connection) -> Outcome<String> {
    let mut statements =
        from.prepare("SELECT sql || ';' FROM sqlite_schema WHERE tbl_name = 'events' AND type <> 'trigger' AND sql IS NOT NULL ORDER BY rowid")?;
    let statements = statements.query_map([], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
    Ok(statements.concat())
}

fn rows(from: &Connection) -> Outcome<Vec<Vec<Value>>> {
    let mut rows = from.prepare("SELECT * FROM events")?;
    let columns = rows.column_count();
    let row = |row: &rusqlite::Row<'_>| (0..columns).map(|column| row.get(column)).collect::<Result<Vec<Value>, _>>();
    Ok(rows.query_map([], row)?.collect::<Result<_, _>>()?)
}
