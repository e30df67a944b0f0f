//! The writer: one thread, through which every change goes.
//!
//! It takes all changes that wait, judges them one after the other ahead of durability, commits them together, publishes, and
//! only then answers. So an answer means durable, and the cost of a commit is shared by all who wait for it. If it is not
//! known whether a commit was done, the log is opened anew and asked, before anything else is judged.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::cache::{Slot, Workspaces};
use super::group::{Change, Group, Judge};
use super::mint::Mint;
use crate::clock::Clock;
use crate::domain::id::WorkspaceId;
use crate::log::{Append, EventLog, LogError, Note, Outcome};

/// How many jobs, and about how many events, share a commit at most.
const GROUP_JOBS_MAX: usize = 1_024;
const GROUP_EVENTS_MAX: usize = 32_768;
/// How long to wait before asking a log again that could not be opened.
const REOPEN_PAUSE: Duration = Duration::from_millis(200);

/// What the writer is asked to do.
pub(super) enum Job {
    /// Judge a change.
    Change(Box<Change>),
    /// Take note of what has expired in a workspace.
    Expire(Arc<Slot>),
    /// Write beside the log.
    Notes(WorkspaceId, Vec<Note>, oneshot::Sender<Result<(), LogError>>),
    /// Finish what was asked before this, and end.
    Stop,
}

/// The thread's own.
pub(super) struct Writer {
    pub(super) log: Arc<dyn EventLog>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) mint: Arc<dyn Mint>,
    pub(super) workspaces: Arc<Workspaces>,
    pub(super) queue: mpsc::Receiver<Job>,
}

impl Writer {
    /// Works until it is told to stop, or nobody is left to ask.
    pub(super) fn run(mut self) {
        while let Some(job) = self.queue.blocking_recv() {
            let mut group = Group::default();
            let mut open = self.take(job, &mut group);
            let mut jobs = 1;
            while open && jobs < GROUP_JOBS_MAX && group.events_len() < GROUP_EVENTS_MAX {
                let Ok(job) = self.queue.try_recv() else { break };
                open = self.take(job, &mut group);
                jobs += 1;
            }
            self.commit(group);
            if !open {
                self.queue.close();
            }
        }
    }

    /// Judges one job; false if it is the last.
    fn take(&self, job: Job, group: &mut Group) -> bool {
        let judge = Judge { log: self.log.as_ref(), mint: self.mint.as_ref(), now: self.clock.now() };
        match job {
            Job::Change(change) => group.add(*change, &judge),
            Job::Notes(workspace, notes, reply) => group.add_notes(workspace, notes, reply, &judge),
            Job::Expire(slot) => {
                if let Err(error) = group.add_expiry(&slot, &judge) {
                    tracing::error!(%error, "an expiry could not be recorded");
                }
            }
            Job::Stop => return false,
        }
        true
    }

    fn commit(&self, group: Group) {
        let outcomes = if group.parts().is_empty() { Ok(Vec::new()) } else { self.append(group.parts()) };
        match outcomes {
            Ok(outcomes) => group.settle(
                &outcomes,
                |slot, root| self.workspaces.publish(slot, root),
                |id| self.workspaces.forget(id),
            ),
            Err(error) => {
                tracing::error!(%error, "a commit failed");
                group.fail("the change could not be made durable, and was not made: try again");
            }
        }
    }

    fn append(&self, parts: &[Append]) -> Result<Vec<Outcome>, LogError> {
        let started = std::time::Instant::now();
        let result = match self.log.append(parts) {
            Err(LogError::OutcomeUnknown(why)) => {
                tracing::error!(%why, "the outcome of a commit is unknown: opening the log anew");
                self.outcomes_found(parts)
            }
            outcome => outcome,
        };
        metrics::histogram!("tenure_commit_seconds").record(started.elapsed().as_secs_f64());
        metrics::histogram!("tenure_commit_parts").record(f64::from(u32::try_from(parts.len()).unwrap_or(u32::MAX)));
        result
    }

    /// What is found in the log of each part, once it can be read again. Until then nothing else may be judged.
    fn outcomes_found(&self, parts: &[Append]) -> Result<Vec<Outcome>, LogError> {
        loop {
            let found = self.log.reopen().and_then(|()| {
                let outcome = |part: &Append| {
                    let found = !part.events.is_empty() && self.log.has_command(part.workspace, part.command)?;
                    Ok(if found { Outcome::Appended } else { Outcome::Conflict })
                };
                parts.iter().map(outcome).collect()
            });
            match found {
                Err(error) => tracing::error!(%error, "the log cannot be opened: trying again"),
                found => return found,
            }
            std::thread::sleep(REOPEN_PAUSE);
        }
    }
}
