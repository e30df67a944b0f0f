//! What is asked of the writer: charged to who asks, judged ahead where it is large, and then handed in at its place.
//!
//! A large request that is refused costs its sender, and not those who wait: it is judged on the published facts first, in the pool beside
//! the threads that decide, one of each holder at a time. What passes is judged again by the writer, since facts may have changed.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::cache::Slot;
use super::desk::NotTaken;
use super::group::{Change, Side, SideWrite};
use super::mint;
use super::queue::{Holder, Place};
use super::submission::{Answer, Expected, Repeatable, Retry, SideAnswer, Submission, SubmitError};
use super::writer::Job;
use super::{Service, stopping};
use crate::domain::model::command::Command;
use crate::domain::model::id::WorkspaceId;
use crate::domain::model::principal::Caller;
use crate::domain::model::time::Instant;
use crate::domain::state::workspace::Workspace;
use crate::log::{CredentialId, LogError, Note};

/// From how many commands on a request is judged ahead.
const JUDGED_AHEAD_MIN: usize = 17;

impl Service {
    /// Asks for a change; the answer means that it is durable.
    ///
    /// # Errors
    /// [`SubmitError`] says which rule said no, or why it could not be made durable.
    pub async fn submit(&self, submission: Submission) -> Result<Answer, SubmitError> {
        // A request that was done before gets its answer, which the writer finds.
        let is_new = submission.retry.is_none();
        if is_new && self.is_short_of_room() && !submission.commands.iter().all(Command::takes_away) {
            return Err(LogError::NoRoom.into());
        }
        let slot = match submission.workspace {
            Some(workspace) => self.slot(workspace).await?.ok_or(SubmitError::UnknownWorkspace)?,
            None => Slot::holding(Arc::new(Workspace::empty(mint::workspace_id(self.mint.as_ref())))),
        };
        let workspace = slot.root().ok_or(SubmitError::UnknownWorkspace)?.id();
        let place = self.holders.place(workspace, &submission.caller, submission.commands.len().max(1));
        self.holders.charge_change(place)?;
        let fresh = submission.commands.iter().map(|command| mint::fresh_for(self.mint.as_ref(), command));
        let fresh = fresh
            .collect::<Result<_, _>>()
            .map_err(|error: mint::NoRandomness| LogError::Unavailable(error.to_string()))?;
        let (reply, answer) = oneshot::channel();
        let mut change = Change::of(submission, slot, fresh, reply);
        if place.commands >= JUDGED_AHEAD_MIN {
            change = self.judge_ahead(change, place).await?;
        }
        self.writer.hand_in_or_do(place, Job::Change(Box::new(change)))?;
        answer.await.map_err(|_| stopping())?
    }

    /// Judges a large request on the published facts, and drops what comes of it; gives the request back if nothing speaks against it.
    async fn judge_ahead(&self, change: Change, place: Place) -> Result<Change, SubmitError> {
        let _turn = self.holders.turn(place).await;
        // The facts first: if they have what the request did before, the store has the answer that was kept then.
        let Some(root) = change.slot.root() else { return Ok(change) };
        let is_refused = change.expects_another_head(root.head());
        let known_by = change.retry.as_ref().map(Retry::known_by);
        let known_by =
            known_by.map(|(scopes, key, _)| (scopes.into_iter().map(ToOwned::to_owned).collect(), key.to_owned()));
        if is_refused || self.was_answered(known_by).await? {
            return Ok(change);
        }
        let (mint, clock) = (Arc::clone(&self.mint), self.clock.read());
        let judged = self.auditing_whole(move || change.rehearse(root, mint.as_ref(), &clock).map(|()| change));
        judged.await?
    }

    /// Whether an answer is kept in one of these scopes, under this key: then it is for the writer to give it.
    async fn was_answered(&self, known_by: Option<(Vec<String>, String)>) -> Result<bool, LogError> {
        let Some((scopes, key)) = known_by else { return Ok(false) };
        self.reading(move |log| {
            let is_kept = |scope: &String| log.kept_answer(scope, &key, Instant::EARLIEST).map(|kept| kept.is_some());
            scopes.iter().try_fold(false, |found, scope| Ok(found || is_kept(scope)?))
        })
        .await
    }

    /// Writes beside the log, through the writer.
    pub(super) async fn write(&self, workspace: WorkspaceId, notes: Vec<Note>) -> Result<(), LogError> {
        if self.is_short_of_room() && !notes.iter().all(Note::takes_away) {
            return Err(LogError::NoRoom);
        }
        let (reply, answer) = oneshot::channel();
        self.hand_in_own(workspace, Job::Notes(workspace, notes, reply))?;
        answer.await.map_err(|_| stopping())?
    }

    /// Hands in a job of the service's own.
    pub(super) fn hand_in_own(&self, workspace: WorkspaceId, job: Job) -> Result<(), LogError> {
        let place = Place { workspace, holder: Holder::System, commands: 1 };
        self.writer.hand_in(place, job).map_err(|error| match SubmitError::from(error) {
            SubmitError::Log(error) => error,
            other => LogError::Unavailable(other.to_string()),
        })
    }

    /// Asks for a write beside the log; the answer means that it is durable, and that the caller still had the right to it.
    ///
    /// # Errors
    /// As [`Self::submit`].
    pub async fn submit_side(
        &self,
        workspace: WorkspaceId,
        caller: &Caller,
        write: SideWrite,
        (expected, repeatable): (Option<Expected>, Option<Repeatable>),
    ) -> Result<SideAnswer, SubmitError> {
        let slot = self.slot(workspace).await?.ok_or(SubmitError::UnknownWorkspace)?;
        let place = self.holders.place(workspace, caller, 1);
        match write {
            SideWrite::RecordRead(_) => self.holders.charge_read(place)?,
            SideWrite::SetProfile(..) | SideWrite::ForgetAccessKey(_) => self.holders.charge_change(place)?,
        }
        let forgotten = if let SideWrite::ForgetAccessKey(key) = &write { Some(*key) } else { None };
        let (reply, answer) = oneshot::channel();
        let side = Side { slot, caller: caller.clone(), write, expected, repeatable, reply };
        self.writer.hand_in(place, Job::Side(Box::new(side)))?;
        let Some(key) = forgotten else { return answer.await.map_err(|_| stopping())? };
        let (directory, workspaces) = (Arc::clone(&self.directory), Arc::clone(&self.workspaces));
        // A task of its own, so that the key is forgotten even if the caller goes away meanwhile.
        let forgetting = tokio::spawn(async move {
            let answered = answer.await.map_err(|_| stopping())??;
            directory.forget(CredentialId::AccessKey(key));
            workspaces.wake(workspace);
            Ok(answered)
        });
        forgetting.await.map_err(|_| stopping())?
    }
}

impl From<NotTaken> for SubmitError {
    fn from(why: NotTaken) -> Self {
        match why {
            NotTaken::Full => Self::Overloaded,
            NotTaken::Crowded => Self::Crowded,
            NotTaken::Closed => stopping().into(),
        }
    }
}
