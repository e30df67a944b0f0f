//! Finding the idempotency record of an earlier request: in the batch, in the one that commits now, or in the store.

use super::{CommitBatch, DecisionContext, Staged, StagedOutcome};
use crate::domain::model::time::{Instant, Revision};
use crate::log::{Append, IdempotencyRecord, LogError, RecordScope, SideWrite};
use crate::service::INSTANCE;
use crate::service::idempotency::{RecordedOutcome, outcome_of};
use crate::service::submission::{IdempotencyKey, SubmitError};

/// The source of an idempotency record.
#[derive(Clone, Copy)]
enum RecordSource {
    /// This batch, in a part.
    Batch(usize),
    /// The batch that commits now.
    Pipelined,
    /// The store.
    Store,
}

impl CommitBatch {
    /// Returns the reply to an earlier request with the same idempotency key, from this batch or the store. A write beside the log has no
    /// number of commands.
    ///
    /// A record of another request is refused. One that the log does not bear out is removed, and the request is decided anew.
    pub(super) fn find_record(
        &mut self,
        idempotency: Option<&IdempotencyKey>,
        commands_len: Option<usize>,
        context: &DecisionContext<'_>,
    ) -> Result<Option<Staged>, SubmitError> {
        let Some(wanted) = idempotency else { return Ok(None) };
        for scope in wanted.scopes() {
            let Some((record, source)) = self.record(scope, &wanted.key, context)? else { continue };
            let part = if let RecordSource::Batch(part) = source { Some(part) } else { None };
            if record.fingerprint != wanted.fingerprint {
                return Ok(Some((Err(SubmitError::KeyReused), part)));
            }
            let outcome = match source {
                RecordSource::Store => outcome_of(context.log, &record)?,
                // This process made it of events that the log does not have yet.
                RecordSource::Batch(_) | RecordSource::Pipelined => RecordedOutcome::read(&record),
            };
            match (outcome, commands_len) {
                (Some(RecordedOutcome::Change(change)), Some(len)) if change.ends.len() == len => {
                    return Ok(Some((Ok(StagedOutcome::Repeated(change)), part)));
                }
                (Some(RecordedOutcome::SideWrite), None) => {
                    return Ok(Some((Ok(StagedOutcome::SideWriteRepeated), part)));
                }
                _ => self.forget_record(record),
            }
        }
        Ok(None)
    }

    /// Removes a record that cannot be believed, in a part of its own before that of the request.
    fn forget_record(&mut self, record: IdempotencyRecord) {
        let IdempotencyRecord { scope, key, .. } = record;
        tracing::error!(%scope, "an idempotency record is not of a change in its scope, so the request is decided anew");
        let side_writes = vec![SideWrite::ForgetIdempotencyRecord(scope, key)];
        self.parts.push(Append { workspace: INSTANCE, expected: Revision::ZERO, events: Vec::new(), side_writes });
    }

    /// Returns the record of a scope and key, and its source.
    fn record(
        &self,
        scope: &RecordScope,
        key: &str,
        context: &DecisionContext<'_>,
    ) -> Result<Option<(IdempotencyRecord, RecordSource)>, LogError> {
        let both = (scope.clone(), key.to_owned());
        if let Some((record, part)) = self.records.get(&both) {
            return Ok(Some((record.clone(), RecordSource::Batch(*part))));
        }
        if let Some(record) = self.pipelined.records.get(&both) {
            return Ok(Some((record.clone(), RecordSource::Pipelined)));
        }
        let stored = context.log.idempotency_record(scope, key, Instant::EARLIEST)?;
        Ok(stored.map(|record| (record, RecordSource::Store)))
    }
}
