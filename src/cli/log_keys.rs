//! The key that signs the logs of a data folder: the check against the key that the store knows, and key rotation.

use std::path::Path;

use clap::Args;

use super::failure::Failure;
use super::output::{Format, Output};
use crate::clock::{Clock, SystemClock};
use crate::config::{self, LOG_KEY_FILE, LOG_KEY_VARIABLE};
use crate::domain::model::id::WorkspaceId;
use crate::domain::model::time::Revision;
use crate::log::snapshot::seal_anew;
use crate::log::sqlite::SqliteLog;
use crate::log::{Append, Directories, EventLog, LogError, SideWrite, SnapshotStore, Store, StoredKey};
use crate::proof::note::{LogKey, PublicKey};
use crate::proof::succession::Succession;
use crate::service::id_generator::RandomIdGenerator;

/// The number of workspaces read at a time.
const WORKSPACES_PAGE: usize = 1_000;

/// Returns the key of a data folder, from the environment or the folder, if there is one.
fn found(data: &Path) -> Result<Option<LogKey>, Failure> {
    Ok(config::find_log_key(data, std::env::var(LOG_KEY_VARIABLE).ok())?)
}

/// Returns the newest key that a store knows; none before the first start.
fn newest(log: &SqliteLog) -> Result<Option<PublicKey>, LogError> {
    Ok(log.log_keys()?.last().map(|newest| newest.key))
}

/// Returns whether a store has known a key.
fn is_known(log: &SqliteLog, key: &LogKey) -> bool {
    log.log_keys().is_ok_and(|known| known.iter().any(|known| known.key == key.public()))
}

/// Records a key as the newest of a store.
fn record(log: &SqliteLog, key: PublicKey, note: Option<String>) -> Result<(), LogError> {
    let key = StoredKey { key, at: SystemClock.now(), note };
    let (workspace, side_writes) = (WorkspaceId::from_uuid(uuid::Uuid::nil()), vec![SideWrite::AddLogKey(key)]);
    log.append(&[Append { workspace, expected: Revision::ZERO, events: Vec::new(), side_writes }]).map(|_| ())
}

/// Makes the error for a key that the store does not know, with advice.
fn exchanged(newest: PublicKey, found: Option<&LogKey>) -> Failure {
    let what = match found {
        Some(found) => {
            format!("the key that signs the logs, in `{LOG_KEY_FILE}` or {LOG_KEY_VARIABLE}, is `{}`", found.public())
        }
        None => format!("there is no `{LOG_KEY_FILE}` in the data folder"),
    };
    Failure::usage(format!(
        "{what}, and the logs of this store are signed with `{newest}`: put that key back; if it is lost, start the server once with \
         --accept-new-log-key, and give auditors the new verifier keys"
    ))
}

/// Returns the key that signs the logs of a folder. Makes it if the store knows none yet.
///
/// # Errors
/// The store knows another key.
pub(super) fn known_key(log: &SqliteLog, data: &Path) -> Result<LogKey, Failure> {
    match (newest(log)?, found(data)?) {
        (Some(newest), Some(key)) if newest == key.public() => Ok(key),
        (Some(newest), found) => Err(exchanged(newest, found.as_ref())),
        (None, _) => Ok(config::log_key(data, std::env::var(LOG_KEY_VARIABLE).ok(), &RandomIdGenerator)?),
    }
}

/// Returns the key that a server signs the logs with. The first key is recorded; another one is refused unless
/// `accepts_new`.
///
/// # Errors
/// The store knows another key, or the key cannot be recorded.
pub(super) fn served_key(log: &SqliteLog, data: &Path, accepts_new: bool) -> Result<LogKey, Failure> {
    // A store that cannot be written, as on a full disk, may have an older format without keys.
    let newest = newest(log)?;
    if let Some(newest) = newest {
        finish_rotation(data, newest)?;
    }
    match (newest, found(data)?) {
        (Some(newest), Some(key)) if newest == key.public() => Ok(key),
        (Some(newest), found) if !accepts_new => Err(exchanged(newest, found.as_ref())),
        (Some(newest), found) => {
            if let Some(older) = found.as_ref().filter(|key| is_known(log, key)) {
                return Err(Failure::usage(format!(
                    "`{}` is an older key of this store: move `{LOG_KEY_FILE}` away, and start again to have a new one made",
                    older.public()
                )));
            }
            let key = found.map_or_else(|| config::log_key(data, None, &RandomIdGenerator), Ok)?;
            let succession = Succession::unsigned(newest, &key, SystemClock.now());
            record(log, key.public(), Some(succession.note().to_owned()))?;
            tracing::error!(
                "the logs are signed with another key from now on, `{}`, which the one before, `{newest}`, did not sign: verifier keys \
                 that were given out do not verify the logs any more; give auditors the new ones (`tenure key`)",
                key.public()
            );
            Ok(key)
        }
        (None, found) => {
            if found.is_none() && !log.workspaces(None, 1)?.is_empty() {
                tracing::warn!(
                    "there are logs in the data folder and no `{LOG_KEY_FILE}`, so one is made: if they were signed before, stop, put \
                     the old one back, and start again; verifier keys that were given out do not fit the new one"
                );
            }
            let key = config::log_key(data, std::env::var(LOG_KEY_VARIABLE).ok(), &RandomIdGenerator)?;
            if let Err(error) = record(log, key.public(), None) {
                tracing::warn!(%error, "the key that signs the logs could not be recorded; the next start tries again");
            }
            Ok(key)
        }
    }
}

/// Finishes an interrupted rotation: installs the new key if it was recorded, and removes it if not.
fn finish_rotation(data: &Path, newest: PublicKey) -> Result<(), Failure> {
    match config::find_next_log_key(data)? {
        Some(next) if next.public() == newest => Ok(config::put_next_log_key_in_place(data)?),
        Some(_) => Ok(config::remove_next_log_key(data)?),
        None => Ok(()),
    }
}

/// Exchange the key that signs the logs for a new one
///
/// Stop the server first. The old key signs a record of the new one; the store keeps the record, and the server,
/// exports and evidence include it. Verifier keys that auditors have stay valid: `tenure verify` follows the record.
/// Destroy copies of the old `log.key`. If the old key leaked, give auditors the new verifier keys all the same.
#[derive(Debug, Args)]
pub(super) struct RotateArgs {
    /// The data folder
    #[arg(long, env = "TENURE_DATA", value_name = "DIR")]
    data: std::path::PathBuf,
}

pub(super) fn rotate(args: &RotateArgs) -> Result<(), Failure> {
    let data = &args.data;
    if std::env::var_os(LOG_KEY_VARIABLE).is_some() {
        return Err(Failure::usage(format!(
            "{LOG_KEY_VARIABLE} gives the key, and only one that is kept can be exchanged: put it into `{LOG_KEY_FILE}` of the data \
             folder, unset the variable, and try again"
        )));
    }
    let log = SqliteLog::open(data)?;
    if let Some(newest) = newest(&log)? {
        finish_rotation(data, newest)?;
    }
    let old = known_key(&log, data)?;
    if newest(&log)?.is_none() {
        record(&log, old.public(), None)?;
    }
    let new = config::make_next_log_key(data, &RandomIdGenerator)?;
    let succession = Succession::signed(&old, &new, SystemClock.now());
    record(&log, new.public(), Some(succession.note().to_owned()))?;
    config::put_next_log_key_in_place(data)?;
    seal_snapshots_anew(&log, &old, &new)?;
    log.close()?;
    let mut out = Output::stdout(Format::Table);
    out.line(&format!("the logs are signed with `{}` from now on, which `{}` has signed", new.public(), old.public()))?;
    out.flush()
}

/// Seals the snapshots with the new key. The server makes those anew that cannot be sealed.
fn seal_snapshots_anew(log: &SqliteLog, old: &LogKey, new: &LogKey) -> Result<(), LogError> {
    let mut after = None;
    loop {
        let page = log.workspaces(after, WORKSPACES_PAGE)?;
        for workspace in &page {
            let sealed = log.snapshot(*workspace)?.and_then(|snapshot| seal_anew(&snapshot, old, new));
            if let Some(snapshot) = sealed {
                log.keep_snapshot(*workspace, &snapshot)?;
            }
        }
        match page.last() {
            Some(last) => after = Some(*last),
            None => return Ok(()),
        }
    }
}
