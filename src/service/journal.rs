//! The journal: records of who reads the audit, written through the writer in the commit of the next batch.

use tokio::sync::oneshot;

use super::quotas::Days;
use super::submission::SubmitError;
use super::writer::Job;
use super::{INSTANCE, Service, SideRequest, id_generator};
use crate::domain::model::id::ReadId;
use crate::domain::model::principal::Caller;
use crate::domain::model::time::Instant;
use crate::log::journal::{Pruning, ReadRecord};
use crate::log::{LogError, SideWrite};

const DAY_MICROS: i64 = 24 * 3_600 * 1_000_000;
/// The most reads that are pruned in one commit, and the most commits of a round. So no other write waits long.
const PIECE_LEN: usize = 1_000;
const PIECES_MAX: usize = 20;

impl Service {
    /// Returns an id for a new record.
    pub fn read_id(&self) -> ReadId {
        id_generator::read_id(self.ids.as_ref())
    }

    /// Records a read of the audit, if its reader may still read at the head of the record. When it returns `Ok`, the record is
    /// durable and the response may be sent.
    ///
    /// # Errors
    /// The reader's right has ended, or it is not known whether the read was recorded. Then the response must not be sent.
    pub async fn record_read(&self, read: ReadRecord, caller: &Caller) -> Result<(), SubmitError> {
        let workspace = read.workspace;
        if *caller == Caller::Operator {
            // The operator's right never ends, so no facts are needed.
            return Ok(self.write(workspace, vec![SideWrite::RecordRead(Box::new(read))]).await?);
        }
        let write = SideRequest::RecordRead(Box::new(read));
        self.submit_side(workspace, caller, write, (None, None)).await.map(|_| ())
    }

    /// Records the number of rows of a read that is recorded already. Returns at once. If the writer is closed, the number stays unknown.
    pub fn finish_read(&self, read: ReadRecord) {
        let (workspace, id) = (read.workspace, read.id);
        // No caller waits for the reply. The writer logs a commit that fails.
        let (reply, _) = oneshot::channel();
        let job = Job::SideWrites(workspace, vec![SideWrite::RecordRead(Box::new(read))], reply);
        if self.enqueue_internal(workspace, job).is_err() {
            tracing::warn!(%workspace, read = %id, "the rows of an answer could not be recorded");
        }
    }

    /// Prunes reads that are older than the retention, a piece at a time, each with a record of it in the journal.
    pub(super) async fn prune_reads(&self, now: Instant) -> Result<(), LogError> {
        let Some(Days(days)) = self.holders.journal else { return Ok(()) };
        // Whole days, so that there are few records of pruning.
        let kept_from = now.micros().saturating_sub(i64::from(days).saturating_mul(DAY_MICROS));
        let before = Instant::from_micros(kept_from.saturating_sub(kept_from.rem_euclid(DAY_MICROS)));
        for _ in 0..PIECES_MAX {
            let old = self.reading(move |log| log.old_reads(before, PIECE_LEN)).await?;
            if old.rows.is_empty() {
                break;
            }
            let records = old
                .rows
                .iter()
                .map(|(workspace, rows)| ReadRecord::of_pruning(self.read_id(), *workspace, *rows, (before, now)));
            let pruning = Pruning { up_to: old.up_to, records: records.collect() };
            tracing::info!(%before, up_to = old.up_to, "the journal was pruned");
            self.write(INSTANCE, vec![SideWrite::PruneReads(Box::new(pruning))]).await?;
        }
        Ok(())
    }
}
