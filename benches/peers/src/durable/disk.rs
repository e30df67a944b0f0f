//! The disk alone.

use std::fs::File;
use std::io::Write as _;
use std::time::Instant;

use crate::measure::middle;
use crate::peer::Outcome;

/// The approximate size of an event, in bytes.
const RECORD_BYTES: usize = 512;
const RECORDS: usize = 1_500;

/// Returns the median time of an append of a record with `fdatasync`, in nanoseconds.
///
/// # Errors
/// The file cannot be written.
pub fn append_and_sync() -> Outcome<f64> {
    let folder = tempfile::tempdir()?;
    let mut file = File::create(folder.path().join("log"))?;
    let record = [7; RECORD_BYTES];
    let mut times = Vec::new();
    for _ in 0..RECORDS {
        let started = Instant::now();
        file.write_all(&record)?;
        file.sync_data()?;
        times.push(started.elapsed().as_secs_f64() * 1e9);
    }
    Ok(middle(times))
}
