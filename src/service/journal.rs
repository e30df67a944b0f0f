//! Recording who reads the audit: through the writer, in one commit with whatever else waits for it.

use tokio::sync::oneshot;

use super::writer::Job;
use super::{Service, mint};
use crate::domain::id::ReadId;
use crate::log::journal::ReadRecord;
use crate::log::{LogError, Note};

impl Service {
    /// An id for a read that is to be recorded.
    pub fn read_id(&self) -> ReadId {
        mint::read_id(self.mint.as_ref())
    }

    /// Records a read of the audit. When it returns, the record is durable, and the answer may be given.
    ///
    /// # Errors
    /// `Unavailable`: it was not recorded, or it is not known whether it was. Then the answer must not be given.
    pub async fn record_read(&self, read: ReadRecord) -> Result<(), LogError> {
        self.write(read.workspace, vec![Note::RecordRead(Box::new(read))]).await
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
