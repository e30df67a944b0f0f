//! The writer: one thread, through which every change goes.
//!
//! It takes all changes that wait, judges them one after the other ahead of durability, commits them together, publishes, and
//! only then answers. So an answer means durable, and the cost of a commit is shared by all who wait for it. If it is not
//! known whether a commit was done, the log is opened anew and asked, before anything else is judged.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::cache::{Slot, Workspaces};
use super::group::{Change, Group, Judge};
use super::mint::Mint;
use crate::clock::Clock;
use crate::domain::id::WorkspaceId;
use crate::log::{Append, Appended, EventLog, LogError, Note, Outcome};

/// How many jobs, and about how many events, share a commit at most.
const GROUP_JOBS_MAX: usize = 1_024;
const GROUP_EVENTS_MAX: usize = 32_768;
/// How long to wait before asking a log again that could not be opened.
const REOPEN_PAUSE: Duration = Duration::from_millis(200);

/// How many times it is asked before those who wait are told that nothing is known.
const TRIES_WAITED: u32 = 25;

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
    /// Whether it is not known what became of a commit.
    pub(super) undecided: Arc<AtomicBool>,
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
            if !self.commit(group) || !open {
                self.queue.close();
            }
        }
    }

    /// Judges one job; false if it is the last.
    fn take(&self, job: Job, group: &mut Group) -> bool {
        let judge = Judge { log: self.log.as_ref(), mint: self.mint.as_ref(), now: self.clock.now() };
        match job {
            // Whoever has gone away is taken to have thought better of it.
            Job::Change(change) if change.reply.is_closed() => {}
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

    /// Commits, publishes and answers; false if the writer was told to stop while it did not know what became of a commit.
    fn commit(&mut self, mut group: Group) -> bool {
        let appended = match self.append(group.parts()) {
            Err(LogError::OutcomeUnknown(why)) => {
                tracing::error!(%why, "the outcome of a commit is unknown: opening the log anew");
                let Some(found) = self.outcomes_found(&mut group) else { return false };
                Ok(found)
            }
            appended => appended,
        };
        match appended {
            Ok(appended) => group.settle(
                &appended,
                |slot, root| self.workspaces.publish(slot, root),
                |id| self.workspaces.forget(id),
            ),
            Err(error) => {
                tracing::error!(%error, "a commit failed");
                group.fail("the change could not be made durable, and was not made: try again");
            }
        }
        true
    }

    fn append(&self, parts: &[Append]) -> Result<Appended, LogError> {
        if parts.is_empty() {
            return Ok(Appended::default());
        }
        let started = std::time::Instant::now();
        let result = self.log.append(parts);
        metrics::histogram!("tenure_commit_seconds").record(started.elapsed().as_secs_f64());
        metrics::histogram!("tenure_commit_parts").record(f64::from(u32::try_from(parts.len()).unwrap_or(u32::MAX)));
        result
    }

    /// What is found in the log of each part of a group, once it can be read again; none if told to stop before. Until then
    /// nothing else is judged: who asks meanwhile is refused, and who waits for the group is after a while.
    fn outcomes_found(&mut self, group: &mut Group) -> Option<Appended> {
        let mut tries = 0;
        loop {
            match self.look_up(group.parts()) {
                Ok(found) => {
                    self.undecided.store(false, Ordering::Release);
                    return Some(found);
                }
                Err(error) => tracing::error!(%error, "the log cannot be opened: trying again"),
            }
            self.undecided.store(true, Ordering::Release);
            tries += 1;
            if tries == TRIES_WAITED {
                group.fail("the change could not be made durable: look whether it was made, and try again");
            }
            if !self.refuse_waiting() {
                group.fail("the server stopped before the change was known to be durable: look whether it was made");
                return None;
            }
            std::thread::sleep(REOPEN_PAUSE);
        }
    }

    fn look_up(&self, parts: &[Append]) -> Result<Appended, LogError> {
        self.log.reopen()?;
        let mut found = Appended::default();
        for part in parts {
            let is_there = !part.events.is_empty() && self.log.has_command(part.workspace, part.command)?;
            found.outcomes.push(if is_there { Outcome::Appended } else { Outcome::Conflict });
            if is_there && let Some(tree) = self.log.tree(part.workspace)? {
                found.trees.insert(part.workspace, tree.head());
            }
        }
        Ok(found)
    }

    /// Refuses every job that waits; false if one of them is to stop.
    fn refuse_waiting(&mut self) -> bool {
        let unavailable = || LogError::Unavailable("the log cannot be written: try again later".to_owned());
        while let Ok(job) = self.queue.try_recv() {
            // Whoever asked may have gone away.
            match job {
                Job::Change(change) => drop(change.reply.send(Err(unavailable().into()))),
                Job::Notes(_, _, reply) => drop(reply.send(Err(unavailable()))),
                Job::Expire(_) => {}
                Job::Stop => return false,
            }
        }
        true
    }
}
