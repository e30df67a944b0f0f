//! `tenure backup`: a copy of the whole store, also while a server runs.

use std::path::PathBuf;

use clap::Args;

use super::failure::Failure;
use super::output::{Format, Output};
use crate::log::Store;
use crate::log::sqlite::SqliteLog;

/// Copy a data folder's store into one file, even while a server uses it
///
/// The copy has every change that was acknowledged before the command began. To restore it, put it into a new data
/// folder as `tenure.db`.
#[derive(Debug, Args)]
pub(super) struct BackupArgs {
    /// The data folder
    #[arg(long, env = "TENURE_DATA", value_name = "DIR")]
    data: PathBuf,
    /// The new file
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

pub(super) fn backup(args: &BackupArgs) -> Result<(), Failure> {
    let log = SqliteLog::attach(&args.data)?;
    log.backup(&args.out)?;
    log.close()?;
    let bytes = std::fs::metadata(&args.out).map_err(|error| Failure::file("read", &args.out, error))?.len();
    let mut out = Output::stdout(Format::Table);
    out.line(&format!("copied `{}` to `{}`: {bytes} bytes", args.data.display(), args.out.display()))?;
    out.flush()
}
