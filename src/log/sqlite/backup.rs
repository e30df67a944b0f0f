//! Copying the whole store while it is in use.

use std::path::Path;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use super::unavailable;
use crate::log::LogError;

/// Copies the snapshot of a reader into an empty file.
pub(super) fn copy(reader: &Connection, file: &Path) -> Result<(), LogError> {
    match copy_pages(reader, file).map_err(|error| unavailable(&error))? {
        StepResult::Done => Ok(()),
        _ => Err(LogError::Unavailable("the store was busy while it was copied: try again".to_owned())),
    }
}

fn copy_pages(reader: &Connection, file: &Path) -> rusqlite::Result<StepResult> {
    let mut copy = Connection::open(file)?;
    // One step copies the pages of one snapshot. In WAL mode it delays neither the writer nor other readers.
    let result = Backup::new(reader, &mut copy)?.step(-1)?;
    // A copy without a WAL is one file, and can be read on a read-only medium.
    copy.pragma_update_and_check(None, "journal_mode", "delete", |row| row.get::<_, String>(0))?;
    Ok(result)
}
