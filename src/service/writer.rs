//! The writer: every change goes through it.
//!
//! It decides the waiting changes one after the other, ahead of durability, commits them together, publishes the new facts, and only
//! then replies. So a reply means that the change is durable, and the clients of a batch share the cost of its commit. While one batch
//! is committed, the next is decided on the facts that the first will leave. If the first fails, the next is dropped too.
//! A single change is decided and committed on its caller's thread, so no other thread has to wake up. If the outcome of a commit is
//! unknown, the writer reopens the log and looks for its events before it decides anything else.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::oneshot;

use super::batch::{ChangeJob, CommitBatch, DecisionContext, SideJob, SideRequest};
use super::cache::{WorkspaceEntry, Workspaces};
use super::commit_queue::{CommitQueue, EnqueueError, Enqueued, WorkItem};
use super::fair_queue::Ticket;
use super::health::Health;
use super::id_generator::IdGenerator;
use super::reserve_shares::ReserveShares;
use crate::clock::{ClockError, Reading, WatchedClock};
use crate::domain::model::id::WorkspaceId;
use crate::log::{Append, Appended, LogError, Outcome, SideWrite, Store};

/// The pause between attempts to reopen the log.
const REOPEN_PAUSE: Duration = Duration::from_millis(200);

/// The attempts to reopen the log before the clients of a batch are refused.
const REOPEN_TRIES: u32 = 25;

const NOT_MADE: &str = "the change could not be made durable, and was not made: try again";

/// A job of the writer.
pub(super) enum Job {
    /// Decide a change.
    Change(Box<ChangeJob>),
    /// Record what has expired in a workspace.
    Expire(Arc<WorkspaceEntry>),
    /// Authorise a write beside the log.
    Side(Box<SideJob>),
    /// Write beside the log what needs no authority.
    SideWrites(WorkspaceId, Vec<SideWrite>, oneshot::Sender<Result<(), LogError>>),
}

/// The state that the writer's threads and its callers share.
pub(super) struct Writer {
    log: Arc<dyn Store>,
    clock: Arc<WatchedClock>,
    ids: Arc<dyn IdGenerator>,
    workspaces: Arc<Workspaces>,
    health: Arc<Health>,
    shares: ReserveShares,
    issued_max: usize,
    queue: CommitQueue,
    /// The batch that is committed next.
    next: Mutex<CommitBatch>,
}

/// A guard of a thread that decides or commits: after a panic it drops all jobs and the next batch.
struct PanicGuard<'a>(&'a Writer);

impl Drop for PanicGuard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.health.fail("writer");
            self.0.queue.abandon();
            *self.0.next() = CommitBatch::default();
        }
    }
}

impl Writer {
    /// Returns a writer without threads.
    pub(super) fn new(
        log: Arc<dyn Store>,
        clock: Arc<WatchedClock>,
        ids: Arc<dyn IdGenerator>,
        workspaces: Arc<Workspaces>,
        health: Arc<Health>,
        issued_max: usize,
    ) -> Self {
        let (shares, queue, next) = (ReserveShares::default(), CommitQueue::default(), Mutex::default());
        Self { log, clock, ids, workspaces, health, shares, issued_max, queue, next }
    }

    /// Enqueues a job for the writer's threads.
    pub(super) fn enqueue(&self, ticket: Ticket, job: Job) -> Result<(), EnqueueError> {
        self.queue.enqueue(ticket, job, false).map(|_| ())
    }

    /// Enqueues a job. If the queue is idle and the runtime lets this thread block, runs it on this thread.
    pub(super) fn enqueue_or_run(&self, ticket: Ticket, job: Job) -> Result<(), EnqueueError> {
        let may_block = |handle: Handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread;
        let enqueued = self.queue.enqueue(ticket, job, Handle::try_current().is_ok_and(may_block))?;
        if enqueued == Enqueued::RunInline {
            tokio::task::block_in_place(|| {
                let _guard = PanicGuard(self);
                self.decide(1);
                self.commit();
            });
        }
        Ok(())
    }

    /// Gives all holders their whole shares of the disk reserve again.
    pub(super) fn clear_shares(&self) {
        self.shares.clear();
    }

    /// Refuses new jobs. Those in the queue still run.
    pub(super) fn close(&self) {
        self.queue.close();
    }

    /// Returns whether changes are accepted, and the outcome of every commit is known.
    pub(super) fn is_ready(&self) -> bool {
        self.queue.is_ready()
    }

    /// Decides jobs during commits, until the queue is closed.
    pub(super) fn run_decider(&self) {
        let _guard = PanicGuard(self);
        while let Some(count) = self.queue.wait_to_decide() {
            self.decide(count);
        }
    }

    /// Decides and commits jobs, until the queue is closed and empty.
    pub(super) fn run_committer(&self) {
        let _guard = PanicGuard(self);
        while let Some(item) = self.queue.wait_to_commit() {
            match item {
                WorkItem::DecideAndCommit(count) => {
                    self.decide(count);
                    self.commit();
                }
                WorkItem::Commit => self.commit(),
                WorkItem::Resolve(batch) => self.resolve(*batch),
            }
        }
    }

    fn next(&self) -> MutexGuard<'_, CommitBatch> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides up to `count` waiting jobs into the next batch, fewer if it is full.
    fn decide(&self, count: usize) {
        let mut next = self.next();
        for _ in 0..count {
            let Some(job) = self.queue.pop() else { break };
            self.add(job, &mut next);
            if next.is_full() {
                break;
            }
        }
        self.queue.finish_deciding(next.size());
    }

    fn add(&self, job: Job, batch: &mut CommitBatch) {
        let clock = self.clock.read();
        let Some(job) = runnable(job, &clock) else { return };
        let Self { log, ids, shares, issued_max, .. } = self;
        let (log, ids, issued_max) = (log.as_ref(), ids.as_ref(), *issued_max);
        let context = DecisionContext { log, ids, clock, shares, issued_max };
        match job {
            // A client that went away no longer wants the change.
            Job::Change(change) if change.reply.is_closed() => {}
            Job::Change(change) => batch.add(*change, &context),
            Job::Side(side) => batch.add_side(*side, &context),
            Job::SideWrites(workspace, writes, reply) => batch.add_side_writes(workspace, writes, reply),
            Job::Expire(entry) => {
                if let Err(error) = batch.add_expiry(&entry, &context) {
                    tracing::error!(%error, "an expiry could not be recorded");
                }
            }
        }
    }

    /// Commits the next batch, publishes and replies; and begins another one.
    fn commit(&self) {
        let batch = {
            let mut next = self.next();
            let batch = next.take();
            self.queue.begin_next(batch.waiting_len());
            batch
        };
        match self.append(batch.parts()) {
            Err(LogError::OutcomeUnknown(why)) => {
                tracing::error!(%why, "the outcome of a commit is unknown: opening the log anew");
                self.queue.defer(batch);
            }
            appended => self.finish_commit(batch, appended),
        }
    }

    /// Publishes a batch and replies to its clients, and allows the next commit.
    fn finish_commit(&self, mut batch: CommitBatch, appended: Result<Appended, LogError>) {
        match appended {
            Ok(appended) => {
                let put_off = batch.take_put_off();
                batch.complete(
                    &appended,
                    |entry, root, tree| self.workspaces.publish(entry, root, tree),
                    |id| self.workspaces.evict(id),
                );
                self.queue.put_back(put_off);
                // After the eviction: until then, changes are decided on facts that the store does not have.
                if !appended.is_as_expected() {
                    self.drop_next(NOT_MADE);
                }
            }
            Err(error) => {
                tracing::error!(%error, "a commit failed");
                self.drop_next(NOT_MADE);
                let is_full = matches!(error, LogError::NoRoom);
                batch.fail(&|| if is_full { LogError::NoRoom } else { unavailable(NOT_MADE) });
            }
        }
        self.next().clear_pipelined();
        self.queue.finish_commit();
    }

    /// Drops the next batch, which was decided on facts that were not committed.
    fn drop_next(&self, why: &str) {
        let mut next = self.next();
        next.fail(&|| unavailable(why));
        *next = CommitBatch::default();
        self.queue.drop_next();
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

    /// Reopens the log and finds out whether a batch was committed. Until then nothing else is decided and new jobs are refused. The
    /// clients of the batch are refused after [`REOPEN_TRIES`] attempts.
    fn resolve(&self, mut batch: CommitBatch) {
        for tries in 1_u32.. {
            match self.find_committed(batch.parts()) {
                Ok(found) => return self.finish_commit(batch, Ok(found)),
                Err(error) => tracing::error!(%error, "the log cannot be opened: trying again"),
            }
            if tries == REOPEN_TRIES {
                batch.fail(&|| {
                    unavailable("the change could not be made durable: look whether it was made, and try again")
                });
            }
            self.refuse_waiting();
            if self.queue.is_closed() {
                break;
            }
            std::thread::sleep(REOPEN_PAUSE);
        }
        batch.fail(&|| {
            unavailable("the server stopped before the change was known to be durable: look whether it was made")
        });
        self.queue.finish_commit();
    }

    fn find_committed(&self, parts: &[Append]) -> Result<Appended, LogError> {
        self.log.reopen()?;
        let mut found = Appended::default();
        for part in parts {
            let is_stored = self.log.holds(part)?;
            found.outcomes.push(if is_stored { Outcome::Appended } else { Outcome::Conflict });
            if is_stored && let Some(tree) = self.log.tree(part.workspace)? {
                found.trees.insert(part.workspace, tree.head());
            }
        }
        Ok(found)
    }

    /// Refuses every waiting job, and the next batch.
    fn refuse_waiting(&self) {
        let refusal = || unavailable("the log cannot be written: try again later");
        self.queue.drain_unresolved().into_iter().for_each(|job| job.refuse(refusal()));
        self.drop_next(NOT_MADE);
    }
}

fn unavailable(why: &str) -> LogError {
    LogError::Unavailable(why.to_owned())
}

impl Job {
    /// Refuses the job. A client that went away gets no reply.
    pub(super) fn refuse(self, why: LogError) {
        match self {
            Self::Change(change) => drop(change.reply.send(Err(why.into()))),
            Self::Side(side) => drop(side.reply.send(Err(why.into()))),
            Self::SideWrites(_, _, reply) => drop(reply.send(Err(why))),
            Self::Expire(_) => {}
        }
    }
}

/// Returns the job if it may run at this reading of the clock. If the clock has not settled, refuses the job.
fn runnable(job: Job, clock: &Reading) -> Option<Job> {
    let Some(wait) = clock.unsettled else { return Some(job) };
    let may_run = match &job {
        Job::Change(_) | Job::Expire(_) => false,
        Job::Side(side) => matches!(side.request, SideRequest::ForgetAccessKey(_)),
        Job::SideWrites(_, writes, _) => !writes.iter().any(needs_settled_clock),
    };
    if may_run {
        return Some(job);
    }
    job.refuse(LogError::Clock(ClockError::Unsettled(wait)));
    None
}

/// Returns whether a write beside the log waits for a settled clock. A removal does not, nor a write whose time was settled already
/// or that has none.
const fn needs_settled_clock(write: &SideWrite) -> bool {
    !matches!(write, SideWrite::ForgetCredential(_) | SideWrite::Used(..) | SideWrite::KeepCursorKey(_))
}
