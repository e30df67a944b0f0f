//! Recording who reads the audit: through the writer, in one commit with whatever else waits for it.

use tokio::sync::oneshot;

use super::quotas::Days;
use super::submission::SubmitError;
use super::writer::Job;
use super::{INSTANCE, Service, SideWrite, mint};
use crate::domain::model::id::{ReadId, WorkspaceId};
use crate::domain::model::principal::Caller;
use crate::domain::model::time::{Instant, Revision};
use crate::log::journal::{AnswerForm, AuditReader, Pruning, ReadRecord};
use crate::log::{LogError, Note};

const DAY_MICROS: i64 = 24 * 3_600 * 1_000_000;
/// How many reads are forgotten in one commit, and in how many commits at a time, so that nothing waits long for it.
const PIECE_LEN: usize = 1_000;
const PIECES_MAX: usize = 20;

impl Service {
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
        if self.hand_in_own(workspace, job).is_err() {
            tracing::warn!(%workspace, read = %id, "the rows of an answer could not be recorded");
        }
    }

    /// Forgets what is older in the journal than it is kept, a piece at a time; each piece with a record of it in the journal.
    pub(super) async fn prune_reads(&self, now: Instant) -> Result<(), LogError> {
        let Some(Days(days)) = self.holders.journal else { return Ok(()) };
        // Whole days, so that few records are made of it.
        let kept_from = now.micros().saturating_sub(i64::from(days).saturating_mul(DAY_MICROS));
        let before = Instant::from_micros(kept_from.saturating_sub(kept_from.rem_euclid(DAY_MICROS)));
        for _ in 0..PIECES_MAX {
            let old = self.reading(move |log| log.old_reads(before, PIECE_LEN)).await?;
            if old.rows.is_empty() {
                break;
            }
            let records = old.rows.iter().map(|(workspace, rows)| self.pruned(*workspace, *rows, (before, now)));
            let pruning = Pruning { up_to: old.up_to, records: records.collect() };
            tracing::info!(%before, up_to = old.up_to, "the journal was pruned");
            self.write(INSTANCE, vec![Note::PruneReads(Box::new(pruning))]).await?;
        }
        Ok(())
    }

    /// Makes the record that so many reads of a workspace's audit are forgotten.
    fn pruned(&self, workspace: WorkspaceId, rows: u64, (before, now): (Instant, Instant)) -> ReadRecord {
        ReadRecord {
            id: self.read_id(),
            workspace,
            at: now,
            reader: AuditReader::System,
            token: None,
            request: "journal-retention".to_owned(),
            question: "audit/reads/pruned".to_owned(),
            query: format!("before={before}"),
            form: AnswerForm::Json,
            revision: Revision::ZERO,
            view_at: before,
            rows: Some(rows),
        }
    }
}
