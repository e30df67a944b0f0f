//! Copying the whole store while it is in use.

use std::path::Path;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use super::unavailable;
use crate::log::LogError;

/// Copies what a reader sees into an empty file.
pub(super) fn copy(reader: &Connection, file: &Path) -> Result<(), LogError> {
    match copy_pages(reader, file).map_err(|error| unavailable(&error))? {
        StepResult::Done => Ok(()),
        _ => Err(LogError::Unavailable("the store was busy while it was copied: try again".to_owned())),
    }
}

fn copy_pages(reader: &Connection, file: &Path) -> rusqlite::Result<StepResult> {
    let mut copy = Connection::open(file)?;
    // All pages in one step are pages of one snapshot; in WAL mode that holds up neither the writer nor other readers.
    let result = Backup::new(reader, &mut copy)?.step(-1)?;
    // A copy without a WAL is one file, and can be read where nothing can be written.
    copy.pragma_update_and_check(None, "journal_mode", "delete", |row| row.get::<_, String>(0))?;
    Ok(result)
}
