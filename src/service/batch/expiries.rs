//! Expiries in a batch: those of a workspace are recorded before its next change, in pieces.

use std::sync::Arc;

use super::change::stamp_of_system;
use super::command_time::{CommandTime, expiry_writes};
use super::{CommitBatch, DecisionContext, StagedWorkspace};
use crate::domain::model::time::Revision;
use crate::domain::rules::decide::{Refused, expire_at, last_due};
use crate::log::{Append, SideWrite};
use crate::service::cache::WorkspaceEntry;
use crate::service::event_encoder::EventEncoder;
use crate::service::fair_queue::{Holder, Ticket};
use crate::service::submission::SubmitError;
use crate::service::writer::Job;

/// The most expiries of one workspace that a batch records.
const EXPIRIES_MAX: usize = 256;

impl CommitBatch {
    /// Records what has expired in a workspace, over several batches if it is much. If nothing has, records when something may.
    pub(in crate::service) fn add_expiry(
        &mut self,
        entry: &Arc<WorkspaceEntry>,
        context: &DecisionContext<'_>,
    ) -> Result<(), SubmitError> {
        let StagedWorkspace { root, is_behind, .. } = self.workspace(entry)?;
        let (workspace, before, is_behind) = (root.id(), root.head(), *is_behind);
        if is_behind {
            // A job that waits already records the rest.
            return Ok(());
        }
        if self.expire(entry, context)?.is_none() {
            let ticket = Ticket { workspace, holder: Holder::System, commands: 1 };
            self.put_off.push((ticket, Job::Expire(Arc::clone(entry))));
            return Ok(());
        }
        let root = &self.workspace(entry)?.root;
        if root.head() == before {
            let side_writes = vec![SideWrite::NextExpiry(root.next_expiry())];
            self.parts.push(Append { workspace, expected: Revision::ZERO, events: Vec::new(), side_writes });
        }
        Ok(())
    }

    /// Appends expiries until nothing has expired at the time of the next command, and returns that time; none if the batch records
    /// no more of them.
    pub(super) fn expire(
        &mut self,
        entry: &Arc<WorkspaceEntry>,
        context: &DecisionContext<'_>,
    ) -> Result<Option<CommandTime>, SubmitError> {
        loop {
            let StagedWorkspace { root, expired, is_behind, .. } = self.workspace(entry)?;
            let next = CommandTime::next(root, &context.clock);
            let left = EXPIRIES_MAX.saturating_sub(*expired);
            let Some(end) = last_due(root, next.decision_time, left.max(1)) else { return Ok(Some(next)) };
            if left == 0 {
                *is_behind = true;
                return Ok(None);
            }
            // If the clock is behind, the event must not have a time before the end that it records.
            let time = next.event_time.max(end);
            let stamp = stamp_of_system(context.ids, time);
            let mut stored = EventEncoder::new(context.ids);
            let refused = |rejection| SubmitError::Refused(Refused { index: 0, rejection });
            expire_at(root, next.decision_time, left, &stamp, &mut stored).map_err(refused)?;
            *expired += stored.bytes.len();
            // The stored next expiry has passed; write the new one.
            let writes = expiry_writes(root.next_expiry(), &context.clock);
            let (workspace, head) = (root.id(), root.head());
            self.push(workspace, head, stored.bytes, writes);
        }
    }
}
