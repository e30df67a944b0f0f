//! Writes beside the log, such as who reads the audit: through the writer, in one commit with whatever else waits for it.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::group::Side;
use super::submission::{Expected, Repeatable, SideAnswer, SubmitError};
use super::writer::Job;
use super::{Service, SideWrite, mint, not_taken, stopping};
use crate::domain::id::{ReadId, WorkspaceId};
use crate::domain::principal::Caller;
use crate::log::journal::ReadRecord;
use crate::log::{Note, PresentedId};

impl Service {
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
        let forgotten = if let SideWrite::ForgetAccessKey(key) = &write { Some(*key) } else { None };
        let (reply, answer) = oneshot::channel();
        let side = Side { slot, caller: caller.clone(), write, expected, repeatable, reply };
        self.writer.hand_in(Job::Side(Box::new(side))).map_err(not_taken)?;
        let Some(key) = forgotten else { return answer.await.map_err(|_| stopping())? };
        let (directory, workspaces) = (Arc::clone(&self.directory), Arc::clone(&self.workspaces));
        // A task of its own, so that the key is forgotten even if the caller goes away meanwhile.
        let forgetting = tokio::spawn(async move {
            let answered = answer.await.map_err(|_| stopping())??;
            directory.forget(PresentedId::AccessKey(key));
            workspaces.wake(workspace);
            Ok(answered)
        });
        forgetting.await.map_err(|_| stopping())?
    }

    /// An id for a read that is to be recorded.
    pub fn read_id(&self) -> ReadId {
        mint::read_id(self.mint.as_ref())
    }

    /// Records a read of the audit, if its reader may still read at the head that it is recorded at. When it returns, the record is
    /// durable, and the answer may be given.
    ///
    /// # Errors
    /// The reader's right has ended, or it is not known whether the read was recorded. Then the answer must not be given.
    pub async fn record_read(&self, read: ReadRecord, caller: &Caller) -> Result<(), SubmitError> {
        let workspace = read.workspace;
        if *caller == Caller::Operator {
            // Nothing ends the operator's right, so no facts are needed.
            return Ok(self.write(workspace, vec![Note::RecordRead(Box::new(read))]).await?);
        }
        let write = SideWrite::RecordRead(Box::new(read));
        self.submit_side(workspace, caller, write, (None, None)).await.map(|_| ())
    }

    /// Records how many rows a read came to, soon, and waits for nothing: the read itself is recorded already. Where the
    /// writer takes nothing more the number stays unknown.
    pub fn finish_read(&self, read: ReadRecord) {
        let (workspace, id) = (read.workspace, read.id);
        // Nobody waits for the answer; a commit that fails is logged by the writer.
        let (reply, _) = oneshot::channel();
        let job = Job::Notes(workspace, vec![Note::RecordRead(Box::new(read))], reply);
        if self.writer.hand_in(job).is_err() {
            tracing::warn!(%workspace, read = %id, "the rows of an answer could not be recorded");
        }
    }
}
