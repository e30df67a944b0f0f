//! Checking idempotency records against the log.
//!
//! A record holds the place of a change in a log, from which the response is rendered again. It stands beside the log, and anyone with
//! access to the store could have made it. So it is believed only if the log has what it says: whole commands of the scope's holder, in
//! the scope's place. Any other record is no record, and the request is decided anew.

use super::Service;
use super::submission::{ChangeRecord, IdempotencyKey, SubmitError};
use crate::domain::model::event::{Event, EventData};
use crate::domain::model::id::WorkspaceId;
use crate::domain::model::time::{Instant, Revision};
use crate::log::{IdempotencyRecord, LogError, RecordPlace, RecordScope, Store, codec};

/// The outcome that an idempotency record keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RecordedOutcome {
    /// A change.
    Change(ChangeRecord),
    /// A write beside the log, whose response follows from the request.
    SideWrite,
}

impl RecordedOutcome {
    /// Reads a record without looking into the log; returns none if it has another form.
    pub(super) fn read(record: &IdempotencyRecord) -> Option<Self> {
        if record.response.is_empty() {
            return Some(Self::SideWrite);
        }
        ChangeRecord::read(&record.response).map(Self::Change)
    }
}

impl ChangeRecord {
    /// Returns the number of events.
    pub fn events_len(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    /// Returns the revision right before the change; none if it has more events than revisions.
    pub fn before(&self) -> Option<Revision> {
        let len = u64::try_from(self.events_len()).ok()?;
        self.revision.0.checked_sub(len).map(Revision)
    }

    /// Returns whether the log has the change, as whole commands of the scope's holder in the scope's place.
    fn is_in(&self, log: &dyn Store, scope: &RecordScope) -> Result<bool, LogError> {
        let Some(before) = self.before().filter(|_| self.ends.is_sorted()) else { return Ok(false) };
        let (first, last) =
            (event_at(log, self.workspace, before.next())?, event_at(log, self.workspace, self.revision)?);
        if before == self.revision {
            // It appended nothing. Such a change is made in a workspace only.
            let is_head = log.head(self.workspace)?.is_some_and(|head| head >= self.revision);
            return Ok(is_head && scope.place == RecordPlace::Workspace(self.workspace));
        }
        let (Some(first), Some(last)) = (first, last) else { return Ok(false) };
        let is_of_holder = |event: &Event| event.actor == scope.holder && event.command == first.command;
        let is_whole = event_at(log, self.workspace, before)?.is_none_or(|event| event.command != first.command)
            && event_at(log, self.workspace, self.revision.next())?.is_none_or(|event| event.command != first.command);
        let is_in_place = match &scope.place {
            RecordPlace::Instance => before == Revision::ZERO,
            RecordPlace::Workspace(id) => *id == self.workspace,
            RecordPlace::Name(name) => {
                let created = event_at(log, self.workspace, Revision::ZERO.next())?.map(|event| event.data);
                let has_name = matches!(created, Some(EventData::WorkspaceCreated(_, of)) if of.name == *name);
                has_name && matches!(last.data, EventData::WorkspaceDeleted(..))
            }
        };
        Ok(is_in_place && is_whole && is_of_holder(&first) && is_of_holder(&last))
    }
}

/// Returns the event of a revision, if the log has it.
fn event_at(log: &dyn Store, workspace: WorkspaceId, revision: Revision) -> Result<Option<Event>, LogError> {
    let Some(before) = revision.0.checked_sub(1).map(Revision) else { return Ok(None) };
    let found = log.read(workspace, before, 1)?.into_iter().find(|stored| stored.revision == revision);
    let decode = |bytes: &[u8]| {
        codec::decode(bytes).map_err(|error| LogError::Unreadable { workspace, revision, why: error.to_string() })
    };
    found.map(|stored| decode(&stored.bytes)).transpose()
}

/// Returns the outcome that a record keeps; none if the log does not have what the record says.
///
/// # Errors
/// `Unavailable` or `Unreadable`.
pub(super) fn outcome_of(log: &dyn Store, record: &IdempotencyRecord) -> Result<Option<RecordedOutcome>, LogError> {
    Ok(match RecordedOutcome::read(record) {
        Some(RecordedOutcome::Change(change)) => {
            change.is_in(log, &record.scope)?.then_some(RecordedOutcome::Change(change))
        }
        side_write => side_write.filter(|_| matches!(record.scope.place, RecordPlace::Workspace(_))),
    })
}

impl Service {
    /// Returns the change of an earlier request with the same key in a scope, if there is one.
    ///
    /// # Errors
    /// The key was used for another request there, or the store cannot be read.
    pub async fn recorded_change(
        &self,
        wanted: IdempotencyKey,
        commands_len: usize,
    ) -> Result<Option<ChangeRecord>, SubmitError> {
        let fingerprint = wanted.fingerprint;
        let read = self.reading(move |log| {
            let Some(record) = log.idempotency_record(&wanted.scope, &wanted.key, Instant::EARLIEST)? else {
                return Ok(None);
            };
            Ok(Some((record.fingerprint, outcome_of(log, &record)?)))
        });
        match read.await? {
            Some((found, _)) if found != fingerprint => Err(SubmitError::KeyReused),
            Some((_, Some(RecordedOutcome::Change(change)))) if change.ends.len() == commands_len => Ok(Some(change)),
            _ => Ok(None),
        }
    }
}
