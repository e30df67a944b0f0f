//! Submitting to the writer: each request is charged to its holder, tried first if it is large, and then enqueued.
//!
//! A large request is decided on the published facts first, in the audit pool, one of each holder at a time. So one that is refused
//! costs its sender and delays nobody else. The writer decides one that passes again, since facts may have changed.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::batch::{ChangeJob, SideJob, SideRequest};
use super::cache::WorkspaceEntry;
use super::commit_queue::EnqueueError;
use super::fair_queue::{Holder, Ticket};
use super::id_generator;
use super::submission::{Expected, IdempotencyKey, SideOutcome, Submission, SubmitError, SubmitOutcome};
use super::writer::Job;
use super::{Service, stopping};
use crate::domain::model::command::Command;
use crate::domain::model::id::WorkspaceId;
use crate::domain::model::principal::Caller;
use crate::domain::model::time::Instant;
use crate::domain::state::workspace::Workspace;
use crate::log::{CredentialId, LogError, RecordScope, SideWrite};

/// The fewest commands of a request that has a dry run.
const DRY_RUN_COMMANDS_MIN: usize = 17;

impl Service {
    /// Submits a change, and returns once it is durable.
    ///
    /// # Errors
    /// [`SubmitError`]: a rule refused it, or it could not be made durable.
    pub async fn submit(&self, submission: Submission) -> Result<SubmitOutcome, SubmitError> {
        // A request that may be a repetition goes to the writer, which looks for the record of the first.
        let is_new = submission.idempotency.is_none();
        if is_new && self.is_short_of_room() && !submission.commands.iter().all(Command::takes_away) {
            return Err(LogError::NoRoom.into());
        }
        let entry = match submission.workspace {
            Some(workspace) => self.entry(workspace).await?.ok_or(SubmitError::UnknownWorkspace)?,
            None => {
                WorkspaceEntry::with_root(Arc::new(Workspace::empty(id_generator::workspace_id(self.ids.as_ref()))))
            }
        };
        let workspace = entry.root().ok_or(SubmitError::UnknownWorkspace)?.id();
        let ticket = self.holders.ticket(workspace, &submission.caller, submission.commands.len().max(1));
        self.holders.charge_change(ticket)?;
        let fresh = submission.commands.iter().map(|command| id_generator::fresh_for(self.ids.as_ref(), command));
        let fresh = fresh
            .collect::<Result<_, _>>()
            .map_err(|error: id_generator::NoRandomness| LogError::Unavailable(error.to_string()))?;
        let (reply, replied) = oneshot::channel();
        let mut change = ChangeJob::new(submission, (entry, ticket), fresh, reply);
        if ticket.commands >= DRY_RUN_COMMANDS_MIN {
            change = self.dry_run(change, ticket).await?;
        }
        self.writer.enqueue_or_run(ticket, Job::Change(Box::new(change)))?;
        replied.await.map_err(|_| stopping())?
    }

    /// Decides a large request on the published facts, drops the result, and returns the request if it passes.
    async fn dry_run(&self, change: ChangeJob, ticket: Ticket) -> Result<ChangeJob, SubmitError> {
        let _turn = self.holders.turn(ticket).await;
        // The facts before the records: if the facts have an earlier request's change, the store has its record.
        let Some(root) = change.entry.root() else { return Ok(change) };
        let is_refused = change.expects_another_head(root.head());
        if is_refused || self.has_record(change.request.idempotency.clone()).await? {
            return Ok(change);
        }
        let (ids, clock) = (Arc::clone(&self.ids), self.clock.read());
        let passed = self.auditing_whole(move || change.dry_run(root, ids.as_ref(), &clock).map(|()| change));
        passed.await?
    }

    /// Returns whether there is an idempotency record under a key. The writer then repeats the response.
    async fn has_record(&self, idempotency: Option<IdempotencyKey>) -> Result<bool, LogError> {
        let Some(wanted) = idempotency else { return Ok(false) };
        self.reading(move |log| {
            let record = |scope: &RecordScope| log.idempotency_record(scope, &wanted.key, Instant::EARLIEST);
            let is_known = |scope: &RecordScope| record(scope).map(|record| record.is_some());
            wanted.scopes().try_fold(false, |found, scope| Ok(found || is_known(scope)?))
        })
        .await
    }

    /// Writes beside the log through the writer, and returns once the writes are durable.
    pub(super) async fn write(&self, workspace: WorkspaceId, side_writes: Vec<SideWrite>) -> Result<(), LogError> {
        if self.is_short_of_room() && !side_writes.iter().all(SideWrite::takes_away) {
            return Err(LogError::NoRoom);
        }
        let (reply, replied) = oneshot::channel();
        self.enqueue_internal(workspace, Job::SideWrites(workspace, side_writes, reply))?;
        replied.await.map_err(|_| stopping())?
    }

    /// Enqueues a job of the service itself.
    pub(super) fn enqueue_internal(&self, workspace: WorkspaceId, job: Job) -> Result<(), LogError> {
        let ticket = Ticket { workspace, holder: Holder::System, commands: 1 };
        self.writer.enqueue(ticket, job).map_err(|error| match SubmitError::from(error) {
            SubmitError::Log(error) => error,
            other @ (SubmitError::Refused(_)
            | SubmitError::RevisionConflict(_)
            | SubmitError::KeyReused
            | SubmitError::UnknownWorkspace
            | SubmitError::ShareUsed
            | SubmitError::Crowded
            | SubmitError::TooFast(_)
            | SubmitError::Overloaded) => LogError::Unavailable(other.to_string()),
        })
    }

    /// Submits a write beside the log, and returns once it is durable. The caller is authorised at the head at which it is written.
    ///
    /// # Errors
    /// As [`Self::submit`].
    pub async fn submit_side(
        &self,
        workspace: WorkspaceId,
        caller: &Caller,
        request: SideRequest,
        (expected, idempotency): (Option<Expected>, Option<IdempotencyKey>),
    ) -> Result<SideOutcome, SubmitError> {
        let entry = self.entry(workspace).await?.ok_or(SubmitError::UnknownWorkspace)?;
        let ticket = self.holders.ticket(workspace, caller, 1);
        match request {
            SideRequest::RecordRead(_) => self.holders.charge_read(ticket)?,
            SideRequest::SetProfile(..) | SideRequest::ForgetAccessKey(_) => self.holders.charge_change(ticket)?,
        }
        let forgotten = if let SideRequest::ForgetAccessKey(key) = &request { Some(*key) } else { None };
        let (reply, replied) = oneshot::channel();
        let side = SideJob { entry, ticket, caller: caller.clone(), request, expected, idempotency, reply };
        self.writer.enqueue(ticket, Job::Side(Box::new(side)))?;
        let Some(key) = forgotten else { return replied.await.map_err(|_| stopping())? };
        let (directory, workspaces) = (Arc::clone(&self.directory), Arc::clone(&self.workspaces));
        // A task of its own, so that the key is forgotten even if the client goes away.
        let forgetting = tokio::spawn(async move {
            let outcome = replied.await.map_err(|_| stopping())??;
            directory.forget(CredentialId::AccessKey(key));
            workspaces.wake(workspace);
            Ok(outcome)
        });
        forgetting.await.map_err(|_| stopping())?
    }
}

impl From<EnqueueError> for SubmitError {
    fn from(why: EnqueueError) -> Self {
        match why {
            EnqueueError::Full => Self::Overloaded,
            EnqueueError::Crowded => Self::Crowded,
            EnqueueError::Closed => stopping().into(),
        }
    }
}
