//! Writes beside the log: profiles, the journal, and the access keys of deleted workspaces. The writer authorises each on the facts of
//! the head at which it is written, and commits it with the rest of the batch.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::{CommitBatch, DecisionContext, StagedOutcome};
use crate::domain::model::command::{Profile, UserRef};
use crate::domain::model::id::{AccessKeyId, WorkspaceId};
use crate::domain::model::principal::Caller;
use crate::domain::model::rejection::Rejection;
use crate::domain::model::time::{Instant, Revision};
use crate::domain::rules::decide::{Refused, authorize_audit, authorize_profile};
use crate::domain::state::view::View;
use crate::domain::state::workspace::Workspace;
use crate::log::journal::ReadRecord;
use crate::log::{Append, CredentialId, IdempotencyRecord, LogError, Outcome, SideWrite};
use crate::service::before_its_end;
use crate::service::cache::WorkspaceEntry;
use crate::service::event_encoder::stored_bytes;
use crate::service::fair_queue::Ticket;
use crate::service::submission::{Expected, IdempotencyKey, SideOutcome, SubmitError};

/// A request for a write beside the log.
#[derive(Debug, Clone)]
pub enum SideRequest {
    /// Replaces a person's profile, or erases it with an empty one.
    SetProfile(UserRef, Profile),
    /// Ends an access key of a deleted workspace, whose log accepts no more events.
    ForgetAccessKey(AccessKeyId),
    /// Records a read of the audit. The read is answered after that.
    RecordRead(Box<ReadRecord>),
}

/// A request for a write beside the log on its way to the writer.
pub(in crate::service) struct SideJob {
    pub(in crate::service) entry: Arc<WorkspaceEntry>,
    pub(in crate::service) ticket: Ticket,
    pub(in crate::service) caller: Caller,
    pub(in crate::service) request: SideRequest,
    pub(in crate::service) expected: Option<Expected>,
    pub(in crate::service) idempotency: Option<IdempotencyKey>,
    pub(in crate::service) reply: oneshot::Sender<Result<SideOutcome, SubmitError>>,
}

/// A client that waits for a write beside the log.
pub(super) struct PendingSide {
    reply: oneshot::Sender<Result<SideOutcome, SubmitError>>,
    result: Result<SideOutcome, SubmitError>,
    /// The part that the reply depends on.
    part: Option<usize>,
}

impl PendingSide {
    /// Replies, once the outcomes of the parts are known.
    pub(super) fn complete(self, outcomes: &[Outcome]) {
        let outcome = self.part.and_then(|part| outcomes.get(part)).unwrap_or(&Outcome::Appended);
        let unavailable = || LogError::Unavailable("what was asked could not be written: try again".to_owned());
        // The client may have gone away; the write stays.
        let _ = self.reply.send(match outcome {
            Outcome::Appended => self.result,
            Outcome::Conflict | Outcome::NameTaken | Outcome::Damaged => Err(unavailable().into()),
        });
    }

    /// Refuses: nothing was made durable.
    pub(super) fn fail(self, why: LogError) {
        let _ = self.reply.send(Err(why.into()));
    }
}

impl CommitBatch {
    /// Authorises a write beside the log at the head, and adds it.
    pub(in crate::service) fn add_side(&mut self, side: SideJob, context: &DecisionContext<'_>) {
        let SideJob { entry, ticket, caller, request, expected, idempotency, reply } = side;
        let staged = self.stage_side(&entry, (&caller, ticket), request, (expected, idempotency), context);
        let (result, part) = match staged {
            Ok((outcome, part)) => (Ok(outcome), part),
            Err(error) => (Err(error), self.last_part(&entry)),
        };
        self.pending_sides.push(PendingSide { reply, result, part });
    }

    fn stage_side(
        &mut self,
        entry: &Arc<WorkspaceEntry>,
        (caller, ticket): (&Caller, Ticket),
        request: SideRequest,
        (expected, idempotency): (Option<Expected>, Option<IdempotencyKey>),
        context: &DecisionContext<'_>,
    ) -> Result<(SideOutcome, Option<usize>), SubmitError> {
        let root = Arc::clone(&self.workspace(entry)?.root);
        let head = root.head();
        self.authorize_side(&root, caller, &request, context).map_err(refused)?;
        if let Some((repeated, part)) = self.find_record(idempotency.as_ref(), None, context)? {
            let is_repeated = matches!(repeated?, StagedOutcome::SideWriteRepeated);
            return Ok((SideOutcome { head, is_repeated }, part));
        }
        Expected::check(expected.as_ref(), head)?;
        let write = self.side_write_of(&root, request, context)?;
        if context.log.is_short_of_room() {
            if !write.takes_away() {
                return Err(LogError::NoRoom.into());
            }
            if self.erases_nothing(root.id(), &write, context)? {
                return Ok((SideOutcome { head, is_repeated: false }, self.last_part(entry)));
            }
            let bytes = stored_bytes(idempotency.as_ref().map_or(0, |key| key.record_bytes(0)));
            context.share(&root, caller, ticket, bytes)?;
            context.shares.charge(ticket, bytes);
        }
        let record = idempotency.map(|key| key.empty_record(context.clock.time));
        let part = self.push_side_write(root.id(), write, record);
        Ok((SideOutcome { head, is_repeated: false }, Some(part)))
    }

    fn authorize_side(
        &self,
        root: &Arc<Workspace>,
        caller: &Caller,
        request: &SideRequest,
        context: &DecisionContext<'_>,
    ) -> Result<(), Rejection> {
        let now = View::now(Arc::clone(root), context.clock.decision_time);
        match request {
            SideRequest::SetProfile(user, _) => authorize_profile(&now, caller, &user.0).map(|_| ()),
            SideRequest::ForgetAccessKey(_) if *caller == Caller::Operator => Ok(()),
            SideRequest::ForgetAccessKey(_) => Err(Rejection::Forbidden("only the operator may do this")),
            SideRequest::RecordRead(_) => match caller {
                Caller::AccessKey { key, .. } if !now.exists() => self.authorize_after_end(root, caller, *key, context),
                Caller::Operator
                | Caller::Principal { .. }
                | Caller::AccessKey { .. }
                | Caller::ImportedActor(_)
                | Caller::SimulatedUser(_) => authorize_audit(&now, caller),
            },
        }
    }

    /// Authorises an access key that was live when its workspace was deleted, unless it was forgotten since.
    fn authorize_after_end(
        &self,
        root: &Arc<Workspace>,
        caller: &Caller,
        key: AccessKeyId,
        context: &DecisionContext<'_>,
    ) -> Result<(), Rejection> {
        let id = CredentialId::AccessKey(key);
        let is_known = !self.is_forgotten(id) && matches!(context.log.credential(id), Ok(Some(_)));
        let view = before_its_end(Arc::clone(root), context.clock.decision_time).filter(|_| is_known);
        authorize_audit(&view.ok_or(Rejection::Unauthenticated)?, caller)
    }

    /// Returns whether this batch, or the one before it, forgets a credential.
    fn is_forgotten(&self, id: CredentialId) -> bool {
        self.forgotten.contains(&id) || self.pipelined.forgotten.contains(&id)
    }

    /// Returns the write that an authorised request makes.
    fn side_write_of(
        &mut self,
        root: &Arc<Workspace>,
        request: SideRequest,
        context: &DecisionContext<'_>,
    ) -> Result<SideWrite, SubmitError> {
        match request {
            SideRequest::SetProfile(user, profile) => {
                let user = user.0.parse().map_err(|_| refused(Rejection::not_found("member", &user.0)))?;
                let is_empty = profile.is_empty();
                Ok(if is_empty { SideWrite::EraseProfile(user) } else { SideWrite::SetProfile(user, profile) })
            }
            SideRequest::ForgetAccessKey(key) => {
                let id = CredentialId::AccessKey(key);
                let row = context.log.credential(id)?.filter(|row| row.workspace == root.id());
                if row.is_none() || self.is_forgotten(id) {
                    return Err(refused(Rejection::not_found("access key", &key.to_string())));
                }
                self.forgotten.push(id);
                Ok(SideWrite::ForgetCredential(id))
            }
            SideRequest::RecordRead(read) => Ok(SideWrite::RecordRead(read)),
        }
    }

    /// Returns whether a write would erase a profile that does not exist, or that this batch erases already.
    fn erases_nothing(
        &self,
        workspace: WorkspaceId,
        write: &SideWrite,
        context: &DecisionContext<'_>,
    ) -> Result<bool, LogError> {
        let SideWrite::EraseProfile(user) = write else { return Ok(false) };
        let is_same = |write: &SideWrite| matches!(write, SideWrite::EraseProfile(erased) if erased == user);
        let mut parts = self.parts.iter().filter(|part| part.workspace == workspace);
        if parts.any(|part| part.side_writes.iter().any(is_same)) {
            return Ok(true);
        }
        Ok(context.log.profiles(workspace, std::slice::from_ref(user))?.iter().all(Profile::is_empty))
    }

    /// Adds a part without events, and returns its index.
    fn push_side_write(
        &mut self,
        workspace: WorkspaceId,
        write: SideWrite,
        record: Option<IdempotencyRecord>,
    ) -> usize {
        let part = self.parts.len();
        if let Some(record) = &record {
            self.records.insert((record.scope.clone(), record.key.clone()), (record.clone(), part));
        }
        let side_writes = std::iter::once(write).chain(record.map(SideWrite::KeepIdempotencyRecord)).collect();
        self.parts.push(Append { workspace, expected: Revision::ZERO, events: Vec::new(), side_writes });
        part
    }
}

fn refused(rejection: Rejection) -> SubmitError {
    SubmitError::Refused(Refused { index: 0, rejection })
}

impl IdempotencyKey {
    /// Returns the record of a write beside the log, whose response follows from the request alone.
    fn empty_record(self, at: Instant) -> IdempotencyRecord {
        let Self { scope, key, fingerprint, .. } = self;
        IdempotencyRecord { scope, key, fingerprint, at, response: Vec::new() }
    }
}
