//! Checking the rows that are about the whole instance: the order of the feed, the uses of credentials, the journal, the idempotency
//! records and the keys.

use super::rows::{Created, JournalRow, StoredRows};
use crate::domain::model::time::Instant;
use crate::log::{LogError, Store, StoredKey};
use crate::proof::checkpoint::Signer;
use crate::proof::succession::Succession;
use crate::service::idempotency::outcome_of;

/// The time by which a stored time may be after the present, in microseconds: another machine may run the check.
const AHEAD_MICROS: i64 = 600_000_000;

/// Checks the rows about the whole instance, and passes each flaw to `wrong`. Nothing in them is after `newest`.
///
/// # Errors
/// `Unavailable`.
pub(super) fn check(
    log: &dyn Store,
    rows: &StoredRows,
    created: &Created,
    (signer, newest): (Option<&Signer>, Instant),
    wrong: &mut dyn FnMut(String),
) -> Result<(), LogError> {
    let limit = Instant::from_micros(newest.micros().saturating_add(AHEAD_MICROS));
    check_feed(rows, wrong);
    check_uses(rows, created, limit, wrong);
    check_journal(rows, limit, wrong);
    check_records(log, rows, created, wrong)?;
    check_keys(&rows.keys, signer, wrong);
    Ok(())
}

/// Checks that the feed has no gap: nothing is deleted from it, and each event has the next position.
fn check_feed(rows: &StoredRows, wrong: &mut dyn FnMut(String)) {
    if let Some((len, last)) = rows.feed.filter(|(len, last)| len != last) {
        wrong(format!("`events` has {len} events, and the last one has the position {last}"));
    }
}

/// Checks that each use is of a credential that a log made, and not in the future. If a log cannot be read, its credentials are unknown.
fn check_uses(rows: &StoredRows, created: &Created, limit: Instant, wrong: &mut dyn FnMut(String)) {
    for (id, at) in &rows.uses {
        if created.unknown.is_empty() && !created.credentials.contains(id) {
            wrong(format!("`credential_uses` has {id}, which no log made"));
        }
        if *at > limit {
            wrong(format!("`credential_uses` has a use of {id} in the future, at `{at}`"));
        }
    }
}

/// Checks that the journal has every read from its first one on, none of them in the future.
fn check_journal(rows: &StoredRows, limit: Instant, wrong: &mut dyn FnMut(String)) {
    let mut reads: Vec<&JournalRow> = rows.workspaces.values().flat_map(|rows| &rows.reads).collect();
    reads.sort_unstable_by_key(|read| read.sequence);
    let is_pruned = reads.iter().any(|read| read.is_of_pruning);
    if let Some(first) = reads.first().filter(|first| first.sequence != 1 && !is_pruned) {
        wrong(format!("`audit_reads` begins at {}, and no pruning of it is recorded", first.sequence));
    }
    for pair in reads.windows(2) {
        if let [before, after] = pair
            && before.sequence.checked_add(1) != Some(after.sequence)
        {
            wrong(format!("`audit_reads` has nothing between {} and {}", before.sequence, after.sequence));
        }
    }
    for read in reads {
        let JournalRow { sequence, at, .. } = read;
        if *at > limit {
            wrong(format!("`audit_reads` {sequence} is in the future, at `{at}`"));
        }
    }
}

/// Checks that each idempotency record is of a change of its holder in its place. Logs that cannot be read are reported elsewhere.
fn check_records(
    log: &dyn Store,
    rows: &StoredRows,
    created: &Created,
    wrong: &mut dyn FnMut(String),
) -> Result<(), LogError> {
    for record in &rows.records {
        match outcome_of(log, record) {
            Ok(Some(_)) => {}
            Ok(None) => wrong(format!(
                "`answers` has a record in the scope `{}` that is not of a change there by that holder",
                record.scope
            )),
            Err(LogError::Unreadable { workspace, .. }) if created.unknown.contains(&workspace) => {}
            Err(error @ LogError::Unreadable { .. }) => wrong(error.to_string()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Checks that each key follows the one before it by a signed record, and that the signer's key is the newest.
fn check_keys(keys: &[StoredKey], signer: Option<&Signer>, wrong: &mut dyn FnMut(String)) {
    let mut before: Option<&StoredKey> = None;
    for stored in keys {
        let is_next = match (before, &stored.note) {
            (None, None) => true,
            (Some(before), Some(note)) => {
                Succession::open(note).is_ok_and(|record| record.old == before.key && record.new == stored.key)
            }
            _ => false,
        };
        if !is_next {
            wrong(format!(
                "`log_keys` has the key `{}`, and no signed record makes it follow the one before",
                stored.key
            ));
        }
        before = Some(stored);
    }
    if let (Some(newest), Some(signer)) = (before, signer)
        && newest.key != signer.key.public()
    {
        let own = signer.key.public();
        wrong(format!("the key of the data folder is `{own}`, and `log_keys` has `{}` as the newest one", newest.key));
    }
}
