//! The writer: through which every change goes.
//!
//! The changes that wait are judged, one after the other, ahead of durability, then committed together, published, and only then
//! answered. So an answer means durable, and the cost of a commit is shared by all who wait for it. While a group is committed the
//! next is judged, on the facts that the first will leave; if it does not leave them, nothing that was judged on them is written.
//! A change that comes alone is judged and committed by the thread that hands it in, which has to be woken by nobody. If it is not
//! known whether a commit was done, the log is opened anew and asked, before anything else is judged.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::oneshot;

use super::cache::{Slot, Workspaces};
use super::desk::{Desk, Due, NotTaken, Whose};
use super::group::{Change, Group, Judge, Side, SideWrite};
use super::health::Health;
use super::mint::Mint;
use super::queue::Place;
use crate::clock::{ClockError, Reading, WatchedClock};
use crate::domain::model::id::WorkspaceId;
use crate::log::{Append, Appended, EventLog, LogError, Note, Outcome};

/// How long to wait before asking a log again that could not be opened.
const REOPEN_PAUSE: Duration = Duration::from_millis(200);

/// How many times it is asked before those who wait are told that nothing is known.
const TRIES_WAITED: u32 = 25;

const NOT_MADE: &str = "the change could not be made durable, and was not made: try again";

/// What the writer is asked to do.
pub(super) enum Job {
    /// Judge a change.
    Change(Box<Change>),
    /// Take note of what has expired in a workspace.
    Expire(Arc<Slot>),
    /// Judge a write beside the log.
    Side(Box<Side>),
    /// Write beside the log what needs no authority.
    Notes(WorkspaceId, Vec<Note>, oneshot::Sender<Result<(), LogError>>),
}

/// What the threads share, and those who hand in changes.
pub(super) struct Writer {
    log: Arc<dyn EventLog>,
    clock: Arc<WatchedClock>,
    mint: Arc<dyn Mint>,
    workspaces: Arc<Workspaces>,
    health: Arc<Health>,
    desk: Desk,
    /// What is committed next.
    next: Mutex<Group>,
}

/// Held by whoever is at work: what a panic leaves half-done is dropped, and nothing more is taken.
struct AtWork<'a>(&'a Writer);

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.health.fail("writer");
            self.0.desk.abandon();
            *self.0.next() = Group::default();
        }
    }
}

impl Writer {
    /// A writer at whose desk nobody is yet.
    pub(super) fn new(
        log: Arc<dyn EventLog>,
        clock: Arc<WatchedClock>,
        mint: Arc<dyn Mint>,
        workspaces: Arc<Workspaces>,
        health: Arc<Health>,
    ) -> Self {
        Self { log, clock, mint, workspaces, health, desk: Desk::default(), next: Mutex::default() }
    }

    /// Hands in a job, to be done soon.
    pub(super) fn hand_in(&self, place: Place, job: Job) -> Result<(), NotTaken> {
        self.desk.hand_in(place, job, false).map(|_| ())
    }

    /// Hands in a job and, where nobody is at work and the runtime lets this thread block, does it.
    pub(super) fn hand_in_or_do(&self, place: Place, job: Job) -> Result<(), NotTaken> {
        let may_block = |handle: Handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread;
        let whose = self.desk.hand_in(place, job, Handle::try_current().is_ok_and(may_block))?;
        if whose == Whose::Yours {
            tokio::task::block_in_place(|| {
                let _at_work = AtWork(self);
                self.judge(1);
                self.commit();
            });
        }
        Ok(())
    }

    /// Takes nothing more. What was handed in is still done.
    pub(super) fn close(&self) {
        self.desk.close();
    }

    /// Whether changes are taken, and it is known what became of those before.
    pub(super) fn is_ready(&self) -> bool {
        self.desk.is_ready()
    }

    /// Judges ahead of commits, until the desk is closed.
    pub(super) fn run_judge(&self) {
        let _at_work = AtWork(self);
        while let Some(waiting) = self.desk.wait_to_judge() {
            self.judge(waiting);
        }
    }

    /// Judges and commits what is handed in, until the desk is closed and nothing is left to do.
    pub(super) fn run_committer(&self) {
        let _at_work = AtWork(self);
        while let Some(due) = self.desk.wait_to_commit() {
            match due {
                Due::JudgeAndCommit(waiting) => {
                    self.judge(waiting);
                    self.commit();
                }
                Due::Commit => self.commit(),
                Due::LookUp(group) => self.look_up(*group),
            }
        }
    }

    fn next(&self) -> MutexGuard<'_, Group> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Judges so many of the jobs that wait, fewer if the group is full.
    fn judge(&self, waiting: usize) {
        let mut next = self.next();
        for _ in 0..waiting {
            let Some(job) = self.desk.take() else { break };
            self.add(job, &mut next);
            if next.is_full() {
                break;
            }
        }
        self.desk.judged(next.standing());
    }

    fn add(&self, job: Job, group: &mut Group) {
        let clock = self.clock.read();
        let Some(job) = settled(job, &clock) else { return };
        let judge = Judge { log: self.log.as_ref(), mint: self.mint.as_ref(), clock };
        match job {
            // Whoever has gone away is taken to have thought better of it.
            Job::Change(change) if change.reply.is_closed() => {}
            Job::Change(change) => group.add(*change, &judge),
            Job::Side(side) => group.add_side(*side, &judge),
            Job::Notes(workspace, notes, reply) => group.add_notes(workspace, notes, reply),
            Job::Expire(slot) => {
                if let Err(error) = group.add_expiry(&slot, &judge) {
                    tracing::error!(%error, "an expiry could not be recorded");
                }
            }
        }
    }

    /// Commits the next group, publishes and answers; and begins another one.
    fn commit(&self) {
        let group = {
            let mut next = self.next();
            let group = next.take();
            self.desk.begin_next(group.waiting_len());
            group
        };
        match self.append(group.parts()) {
            Err(LogError::OutcomeUnknown(why)) => {
                tracing::error!(%why, "the outcome of a commit is unknown: opening the log anew");
                self.desk.leave(group);
            }
            appended => self.conclude(group, appended),
        }
    }

    /// Publishes and answers what is known of a group, and lets the next be committed.
    fn conclude(&self, mut group: Group, appended: Result<Appended, LogError>) {
        match appended {
            Ok(appended) => {
                group.settle(
                    &appended,
                    |slot, root, tree| self.workspaces.publish(slot, root, tree),
                    |id| self.workspaces.forget(id),
                );
                // Only now: what is judged until a workspace is forgotten still rests on what the store does not have.
                if !appended.is_as_expected() {
                    self.drop_next(NOT_MADE);
                }
            }
            Err(error) => {
                tracing::error!(%error, "a commit failed");
                self.drop_next(NOT_MADE);
                let is_full = matches!(error, LogError::NoRoom);
                group.fail(&|| if is_full { LogError::NoRoom } else { unavailable(NOT_MADE) });
            }
        }
        self.next().settled();
        self.desk.committed();
    }

    /// Drops what was judged on facts that did not come to be.
    fn drop_next(&self, why: &str) {
        let mut next = self.next();
        next.fail(&|| unavailable(why));
        *next = Group::default();
        self.desk.drop_next();
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

    /// Finds out what became of a group, once the log can be read again. Until then nothing else is judged: who asks meanwhile is
    /// refused, and who waits for the group is after a while.
    fn look_up(&self, mut group: Group) {
        for tries in 1_u32.. {
            match self.found(group.parts()) {
                Ok(found) => return self.conclude(group, Ok(found)),
                Err(error) => tracing::error!(%error, "the log cannot be opened: trying again"),
            }
            if tries == TRIES_WAITED {
                group.fail(&|| unavailable("the change could not be made durable: look whether it was made, and try again"));
            }
            self.refuse_waiting();
            if self.desk.is_closed() {
                break;
            }
            std::thread::sleep(REOPEN_PAUSE);
        }
        group.fail(&|| unavailable("the server stopped before the change was known to be durable: look whether it was made"));
        self.desk.committed();
    }

    fn found(&self, parts: &[Append]) -> Result<Appended, LogError> {
        self.log.reopen()?;
        let mut found = Appended::default();
        for part in parts {
            let is_there = self.log.holds(part)?;
            found.outcomes.push(if is_there { Outcome::Appended } else { Outcome::Conflict });
            if is_there && let Some(tree) = self.log.tree(part.workspace)? {
                found.trees.insert(part.workspace, tree.head());
            }
        }
        Ok(found)
    }

    /// Refuses every job that waits, and what was judged already.
    fn refuse_waiting(&self) {
        let refusal = || unavailable("the log cannot be written: try again later");
        for job in self.desk.set_undecided() {
            // Whoever asked may have gone away.
            match job {
                Job::Change(change) => drop(change.reply.send(Err(refusal().into()))),
                Job::Side(side) => drop(side.reply.send(Err(refusal().into()))),
                Job::Notes(_, _, reply) => drop(reply.send(Err(refusal()))),
                Job::Expire(_) => {}
            }
        }
        self.drop_next(NOT_MADE);
    }
}

fn unavailable(why: &str) -> LogError {
    LogError::Unavailable(why.to_owned())
}

/// Gives a job back that may be done by the clock as it was read. Under one that has not settled, whoever asked for it is told to try
/// again.
fn settled(job: Job, clock: &Reading) -> Option<Job> {
    let Some(wait) = clock.unsettled else { return Some(job) };
    let unsettled = || LogError::Clock(ClockError::Unsettled(wait));
    // Whoever asked may have gone away.
    match job {
        Job::Change(change) => drop(change.reply.send(Err(unsettled().into()))),
        Job::Side(side) if matches!(side.write, SideWrite::ForgetAccessKey(_)) => return Some(Job::Side(side)),
        Job::Side(side) => drop(side.reply.send(Err(unsettled().into()))),
        Job::Notes(_, notes, reply) if notes.iter().any(waits) => drop(reply.send(Err(unsettled()))),
        Job::Notes(..) => return Some(job),
        Job::Expire(_) => {}
    }
    None
}

/// Returns whether something that is written beside the log waits for a clock that has settled. What only ends something does not, nor
/// what has no time, or one of a settled clock.
const fn waits(note: &Note) -> bool {
    !matches!(note, Note::ForgetCredential(_) | Note::Used(..) | Note::KeepCursorKey(_))
}
