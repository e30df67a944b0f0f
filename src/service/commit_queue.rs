//! The commit queue: the jobs that wait, and the turns of the threads that decide and commit them.
//!
//! At most one thread decides at a time, and at most one commits. The committing thread decides the waiting jobs first. Only if many
//! jobs wait during a commit does a second thread decide them meanwhile: waking it for each change would cost more than deciding it.
//! A batch takes only its share of the waiting jobs: if it took all, every client would wait for one commit, and the decider would idle.
//! The lock is held for a moment only, so no caller waits for a decision or a commit.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::batch::CommitBatch;
use super::fair_queue::{CapacityError, FairQueue, Ticket};
use super::writer::Job;

/// The fewest waiting jobs that are decided during a commit.
const DECIDE_AHEAD_MIN: usize = 8;
/// The batches that share the waiting jobs: while one is committed, the clients of the other send their next requests.
const BATCHES_IN_TURN: usize = 2;

/// The reason why a job is not enqueued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EnqueueError {
    /// Too many jobs wait in all.
    Full,
    /// Too many jobs or commands wait of the same holder, or in the same workspace.
    Crowded,
    /// The queue is closed.
    Closed,
}

impl From<CapacityError> for EnqueueError {
    fn from(error: CapacityError) -> Self {
        match error {
            CapacityError::Full => Self::Full,
            CapacityError::Crowded => Self::Crowded,
        }
    }
}

/// The thread that runs an enqueued job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Enqueued {
    /// One of the writer's threads.
    Queued,
    /// The caller: the queue was idle, and the caller now holds the turns to decide and to commit.
    RunInline,
}

/// The size of the next batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct NextBatch {
    /// The number of clients that wait for it.
    pub(super) waiting: usize,
    /// Whether there is something to commit or to reply to.
    pub(super) has_work: bool,
    /// Whether it must be committed before it takes more.
    pub(super) is_full: bool,
}

/// The next step of the committing thread.
pub(super) enum WorkItem {
    /// Decide this many jobs, then commit the next batch.
    DecideAndCommit(usize),
    /// Commit the next batch; another thread adds to it.
    Commit,
    /// Find out whether this batch was committed.
    Resolve(Box<CommitBatch>),
}

/// The state of the newest commit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum CommitState {
    /// No commit runs.
    #[default]
    Idle,
    /// A thread commits, or has to find out whether its commit succeeded.
    Running,
    /// It is not known yet whether the commit succeeded. Nothing is decided until it is.
    Unknown,
}

#[derive(Default)]
struct QueueState {
    jobs: FairQueue<Job>,
    is_deciding: bool,
    next: NextBatch,
    commit: CommitState,
    /// The number of clients of the batch before the next one, which may still be committing.
    last_batch_len: usize,
    /// A batch whose commit has an unknown outcome.
    unresolved: Option<Box<CommitBatch>>,
    is_closed: bool,
}

impl QueueState {
    fn is_idle(&self) -> bool {
        self.jobs.len() == 0 && !self.is_deciding && !self.next.has_work && self.commit == CommitState::Idle
    }

    /// Returns the number of waiting jobs that the next batch may take.
    fn share(&self) -> usize {
        let all = self.last_batch_len + self.next.waiting + self.jobs.len();
        let share = all.div_ceil(BATCHES_IN_TURN).max(DECIDE_AHEAD_MIN);
        if self.next.is_full { 0 } else { share.saturating_sub(self.next.waiting).min(self.jobs.len()) }
    }

    fn can_decide(&self) -> bool {
        !self.is_deciding && self.share() > 0
    }

    fn can_decide_ahead(&self) -> bool {
        !self.is_deciding && self.commit == CommitState::Running && self.share() >= DECIDE_AHEAD_MIN
    }

    fn can_commit(&self) -> bool {
        let has_work = self.next.has_work || self.can_decide();
        self.unresolved.is_some() || (has_work && self.commit == CommitState::Idle)
    }

    fn is_finished(&self) -> bool {
        self.is_closed && self.is_idle()
    }
}

/// The queue of jobs before the writer.
#[derive(Default)]
pub(super) struct CommitQueue {
    state: Mutex<QueueState>,
    /// Signals that there may be jobs to decide during a commit.
    decider: Condvar,
    /// Signals that there may be something to commit.
    committer: Condvar,
}

impl CommitQueue {
    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the threads that have something to do.
    fn notify(&self, state: &QueueState) {
        if state.can_decide_ahead() || state.is_closed {
            self.decider.notify_one();
        }
        if state.can_commit() || state.is_closed {
            self.committer.notify_one();
        }
    }

    /// Enqueues a job. If the queue is idle and `may_run_inline`, the caller runs the job itself.
    pub(super) fn enqueue(&self, ticket: Ticket, job: Job, may_run_inline: bool) -> Result<Enqueued, EnqueueError> {
        let mut state = self.lock();
        if state.is_closed {
            return Err(EnqueueError::Closed);
        }
        // If the last batch had several clients, more jobs follow soon, and sharing a commit is cheaper.
        let run_inline = may_run_inline && state.is_idle() && state.last_batch_len <= 1;
        state.jobs.push(ticket, job)?;
        if run_inline {
            (state.is_deciding, state.commit) = (true, CommitState::Running);
            return Ok(Enqueued::RunInline);
        }
        // A thread that runs looks at the queue again by itself.
        if state.can_commit() && state.jobs.len() == 1 {
            self.committer.notify_one();
        } else if state.can_decide_ahead() && state.share() == DECIDE_AHEAD_MIN {
            self.decider.notify_one();
        }
        Ok(Enqueued::Queued)
    }

    /// Removes and returns the job whose turn it is. The caller holds the turn to decide.
    pub(super) fn pop(&self) -> Option<Job> {
        self.lock().jobs.pop()
    }

    /// Returns jobs that could not run yet to the front of their holders' queues, the first one in front.
    pub(super) fn put_back(&self, jobs: Vec<(Ticket, Job)>) {
        let mut state = self.lock();
        jobs.into_iter().rev().for_each(|(ticket, job)| state.jobs.push_front(ticket, job));
    }

    /// Waits for jobs to decide during a commit, takes the turn to decide, and returns their number; none once the queue is closed.
    pub(super) fn wait_to_decide(&self) -> Option<usize> {
        let nothing = |state: &mut QueueState| !(state.can_decide_ahead() || state.is_closed);
        let mut state = self.decider.wait_while(self.lock(), nothing).unwrap_or_else(PoisonError::into_inner);
        // The committing thread decides the jobs that still wait when the queue is closed.
        let ahead = state.can_decide_ahead();
        state.is_deciding |= ahead;
        ahead.then(|| state.share())
    }

    /// Returns the turn to decide, with the size of the next batch. The caller holds the lock of that batch.
    pub(super) fn finish_deciding(&self, next: NextBatch) {
        let mut state = self.lock();
        (state.is_deciding, state.next) = (false, next);
        self.notify(&state);
    }

    /// Waits for something to commit, and takes the turn to commit; none once the queue is closed and empty.
    pub(super) fn wait_to_commit(&self) -> Option<WorkItem> {
        let nothing = |state: &mut QueueState| !(state.can_commit() || state.is_finished());
        let mut state = self.committer.wait_while(self.lock(), nothing).unwrap_or_else(PoisonError::into_inner);
        if let Some(batch) = state.unresolved.take() {
            return Some(WorkItem::Resolve(batch));
        }
        if state.is_finished() {
            return None;
        }
        state.commit = CommitState::Running;
        if !state.can_decide() {
            return Some(WorkItem::Commit);
        }
        state.is_deciding = true;
        Some(WorkItem::DecideAndCommit(state.share()))
    }

    /// Begins a new next batch: the old one, with `len` clients, is being committed. The caller holds the lock of that batch.
    pub(super) fn begin_next(&self, len: usize) {
        let mut state = self.lock();
        (state.next, state.last_batch_len) = (NextBatch::default(), len);
        self.notify(&state);
    }

    /// Begins a new next batch: the old one was dropped. The caller holds the lock of that batch.
    pub(super) fn drop_next(&self) {
        let mut state = self.lock();
        state.next = NextBatch::default();
        self.notify(&state);
    }

    /// Leaves a batch with an unknown outcome to the committing thread.
    pub(super) fn defer(&self, batch: CommitBatch) {
        let mut state = self.lock();
        state.unresolved = Some(Box::new(batch));
        self.notify(&state);
    }

    /// Returns the turn to commit.
    pub(super) fn finish_commit(&self) {
        let mut state = self.lock();
        state.commit = CommitState::Idle;
        self.notify(&state);
    }

    /// Removes all waiting jobs: the outcome of a commit cannot be found out yet. Nothing is decided until it is.
    pub(super) fn drain_unresolved(&self) -> Vec<Job> {
        let mut state = self.lock();
        state.commit = CommitState::Unknown;
        state.jobs.drain()
    }

    /// Refuses new jobs. Those in the queue still run.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        self.notify(&state);
    }

    /// Drops all jobs and refuses new ones: a thread of the writer has panicked.
    pub(super) fn abandon(&self) {
        let mut state = self.lock();
        *state = QueueState { is_closed: true, ..QueueState::default() };
        self.notify(&state);
    }

    /// Returns whether new jobs are refused.
    pub(super) fn is_closed(&self) -> bool {
        self.lock().is_closed
    }

    /// Returns whether jobs are accepted and run soon.
    pub(super) fn is_ready(&self) -> bool {
        let state = self.lock();
        !state.is_closed && state.commit != CommitState::Unknown
    }
}

#[cfg(test)]
#[allow(clippy::panic, reason = "tests fail by panicking")]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn enqueue(queue: &CommitQueue, count: usize) {
        let workspace = crate::domain::model::id::WorkspaceId::from_uuid(uuid::Uuid::nil());
        let ticket = Ticket { workspace, holder: super::super::fair_queue::Holder::System, commands: 1 };
        let job = || Job::Expire(Arc::default());
        (0..count).for_each(|_| assert_eq!(queue.enqueue(ticket, job(), false), Ok(Enqueued::Queued)));
    }

    /// Decides jobs into an empty batch.
    fn decide(queue: &CommitQueue, count: usize) {
        assert!((0..count).all(|_| queue.pop().is_some()));
        queue.finish_deciding(NextBatch { waiting: count, has_work: true, is_full: false });
    }

    fn due(queue: &CommitQueue) -> usize {
        let Some(WorkItem::DecideAndCommit(count)) = queue.wait_to_commit() else { panic!("nothing to decide") };
        count
    }

    #[test]
    fn two_batches_take_turns_if_many_jobs_wait() {
        let queue = CommitQueue::default();
        enqueue(&queue, 64);
        assert_eq!(due(&queue), 32);
        decide(&queue, 32);
        queue.begin_next(32);
        assert_eq!(queue.wait_to_decide(), Some(32), "the others are decided meanwhile");
        decide(&queue, 32);
        enqueue(&queue, 10);
        assert!(!queue.lock().can_decide_ahead(), "later jobs wait for the turn after that");
        queue.finish_commit();
        assert_eq!(due(&queue), 5, "except those that make the batches equal");
    }

    #[test]
    fn a_few_jobs_share_a_commit() {
        let queue = CommitQueue::default();
        for count in [1, 2, DECIDE_AHEAD_MIN] {
            enqueue(&queue, count);
            assert_eq!(due(&queue), count);
            decide(&queue, count);
            queue.begin_next(count);
            queue.finish_commit();
        }
    }
}
