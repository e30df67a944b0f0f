//! The queue before the writer: a fair order among workspaces and, within one, among holders of credentials.
//!
//! Deficit round robin: each waiting workspace has a turn, and within it each waiting holder. A turn is measured in commands. So a
//! holder with many jobs delays only its own jobs. Bounds limit the jobs and commands that may wait.

use std::collections::VecDeque;
use std::hash::Hash;

use foldhash::HashMap;

use crate::domain::model::id::WorkspaceId;

/// The commands of one turn, before the next member has its turn.
const QUANTUM: i64 = 8;
/// The most jobs that may wait: in all, in one workspace, and of one holder there.
const JOBS_MAX: usize = 16_384;
const WORKSPACE_JOBS_MAX: usize = 8_192;
const HOLDER_JOBS_MAX: usize = 1_024;
/// The most commands that may wait: in one workspace, and of one holder there.
const WORKSPACE_COMMANDS_MAX: usize = 32_768;
const HOLDER_COMMANDS_MAX: usize = 8_192;

/// The party that a job is charged to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Holder {
    /// The service itself, whose jobs are never refused.
    System,
    /// The operator, limited like a whole workspace.
    Operator,
    /// A principal or an access key, by a hash. Two with the same hash share one limit.
    Other(u64),
}

/// The workspace, the holder and the cost of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Ticket {
    /// The workspace that the job changes.
    pub(super) workspace: WorkspaceId,
    /// The holder that the job is charged to.
    pub(super) holder: Holder,
    /// The cost: the number of commands.
    pub(super) commands: usize,
}

/// The reason why a job is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CapacityError {
    /// Too many jobs wait in all.
    Full,
    /// Too many jobs or commands wait of the same holder, or in the same workspace.
    Crowded,
}

/// Members that take turns. The front one is next, unless it has no credit.
#[derive(Debug)]
struct RoundRobin<K, V> {
    members: HashMap<K, Participant<V>>,
    order: VecDeque<K>,
}

#[derive(Debug)]
struct Participant<V> {
    /// The rest of the turn, in commands; below zero if the last job cost more than that.
    credit: i64,
    value: V,
}

impl<K, V> Default for RoundRobin<K, V> {
    fn default() -> Self {
        Self { members: HashMap::default(), order: VecDeque::new() }
    }
}

impl<K: Copy + Eq + Hash, V: Default> RoundRobin<K, V> {
    fn get(&self, key: &K) -> Option<&V> {
        self.members.get(key).map(|member| &member.value)
    }

    /// Returns the member of a key; a new member has its turn after all others.
    fn join(&mut self, key: K) -> &mut V {
        let order = &mut self.order;
        let new = || {
            order.push_back(key);
            Participant { credit: QUANTUM, value: V::default() }
        };
        &mut self.members.entry(key).or_insert_with(new).value
    }

    /// Returns the key of the member whose turn it is.
    fn next(&mut self) -> Option<K> {
        loop {
            let key = *self.order.front()?;
            let is_alone = self.order.len() == 1;
            let member = self.members.get_mut(&key)?;
            if is_alone {
                member.credit = QUANTUM;
            }
            if member.credit > 0 {
                return Some(key);
            }
            member.credit = member.credit.saturating_add(QUANTUM);
            self.order.rotate_left(1);
        }
    }

    /// Runs `spend` on a member and charges the cost that it returns. A member that `spend` credit empty is removed.
    fn spend<T>(&mut self, key: K, spend: impl FnOnce(&mut V) -> (usize, bool, T)) -> Option<T> {
        let member = self.members.get_mut(&key)?;
        let (cost, is_empty, spent) = spend(&mut member.value);
        member.credit = member.credit.saturating_sub(i64::try_from(cost).unwrap_or(i64::MAX));
        if is_empty {
            self.members.remove(&key);
            self.order.retain(|other| *other != key);
        }
        Some(spent)
    }
}

/// The waiting jobs of one holder in one workspace, each with its cost.
#[derive(Debug)]
struct HolderQueue<T> {
    jobs: VecDeque<(usize, T)>,
    commands: usize,
}

impl<T> Default for HolderQueue<T> {
    fn default() -> Self {
        Self { jobs: VecDeque::new(), commands: 0 }
    }
}

/// The waiting jobs of one workspace.
#[derive(Debug)]
struct WorkspaceQueue<T> {
    holders: RoundRobin<Holder, HolderQueue<T>>,
    len: usize,
    commands: usize,
}

impl<T> Default for WorkspaceQueue<T> {
    fn default() -> Self {
        Self { holders: RoundRobin::default(), len: 0, commands: 0 }
    }
}

/// The waiting jobs of all workspaces.
#[derive(Debug)]
pub(super) struct FairQueue<T> {
    workspaces: RoundRobin<WorkspaceId, WorkspaceQueue<T>>,
    len: usize,
}

impl<T> Default for FairQueue<T> {
    fn default() -> Self {
        Self { workspaces: RoundRobin::default(), len: 0 }
    }
}

impl<T> FairQueue<T> {
    /// Returns the number of waiting jobs.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Appends a job to the queue of its holder.
    pub(super) fn push(&mut self, ticket: Ticket, job: T) -> Result<(), CapacityError> {
        self.check(ticket)?;
        let workspace = self.workspaces.join(ticket.workspace);
        let holder = workspace.holders.join(ticket.holder);
        holder.jobs.push_back((ticket.commands, job));
        holder.commands += ticket.commands;
        workspace.commands += ticket.commands;
        workspace.len += 1;
        self.len += 1;
        Ok(())
    }

    /// Returns a job, that was removed and could not run yet, to the front of its holder's queue. It is never refused.
    pub(super) fn push_front(&mut self, ticket: Ticket, job: T) {
        let workspace = self.workspaces.join(ticket.workspace);
        let holder = workspace.holders.join(ticket.holder);
        holder.jobs.push_front((ticket.commands, job));
        holder.commands += ticket.commands;
        workspace.commands += ticket.commands;
        workspace.len += 1;
        self.len += 1;
    }

    /// Checks the bounds. The first job of a holder is refused only if the whole queue is full.
    fn check(&self, ticket: Ticket) -> Result<(), CapacityError> {
        if ticket.holder == Holder::System {
            return Ok(());
        }
        if self.len >= JOBS_MAX {
            return Err(CapacityError::Full);
        }
        let Some(workspace) = self.workspaces.get(&ticket.workspace) else { return Ok(()) };
        let Some(holder) = workspace.holders.get(&ticket.holder) else { return Ok(()) };
        let with_this = |commands: usize| commands.saturating_add(ticket.commands);
        let crowds_workspace =
            workspace.len >= WORKSPACE_JOBS_MAX || with_this(workspace.commands) > WORKSPACE_COMMANDS_MAX;
        let crowds_holder = holder.jobs.len() >= HOLDER_JOBS_MAX || with_this(holder.commands) > HOLDER_COMMANDS_MAX;
        let is_crowded = crowds_workspace || (crowds_holder && ticket.holder != Holder::Operator);
        if is_crowded { Err(CapacityError::Crowded) } else { Ok(()) }
    }

    /// Removes and returns the job whose turn it is.
    pub(super) fn pop(&mut self) -> Option<T> {
        let workspace = self.workspaces.next()?;
        let job = self.workspaces.spend(workspace, |queue| {
            let (commands, job) = queue.pop();
            (commands, queue.len == 0, job)
        })?;
        self.len = self.len.saturating_sub(1);
        job
    }

    /// Removes all jobs, in turn.
    pub(super) fn drain(&mut self) -> Vec<T> {
        std::iter::from_fn(|| self.pop()).collect()
    }
}

impl<T> WorkspaceQueue<T> {
    fn pop(&mut self) -> (usize, Option<T>) {
        let Some(holder) = self.holders.next() else { return (0, None) };
        let popped = self.holders.spend(holder, |queue| {
            let (commands, job) = queue.jobs.pop_front().map_or((0, None), |(commands, job)| (commands, Some(job)));
            queue.commands = queue.commands.saturating_sub(commands);
            (commands, queue.jobs.is_empty(), (commands, job))
        });
        let (commands, job) = popped.unwrap_or((0, None));
        self.len = self.len.saturating_sub(1);
        self.commands = self.commands.saturating_sub(commands);
        (commands, job)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    fn ticket(workspace: u128, holder: u64, commands: usize) -> Ticket {
        let workspace = WorkspaceId::from_uuid(uuid::Uuid::from_u128(workspace));
        Ticket { workspace, holder: Holder::Other(holder), commands }
    }

    #[test]
    fn a_single_holder_is_served_in_the_order_of_its_jobs() {
        let mut queue = FairQueue::default();
        for job in 0..100 {
            queue.push(ticket(1, 1, 1 + job % 50), job).unwrap();
        }
        assert_eq!(queue.len(), 100);
        assert_eq!(queue.drain(), (0..100).collect::<Vec<_>>());
        assert!(queue.pop().is_none() && queue.len() == 0);
    }

    #[test]
    fn a_holder_with_few_jobs_does_not_wait_for_one_with_many() {
        for (greedy, modest) in [((1, 1), (2, 2)), ((1, 1), (1, 2))] {
            let mut queue = FairQueue::default();
            for _ in 0..8 {
                queue.push(ticket(greedy.0, greedy.1, 1_000), "greedy").unwrap();
            }
            for _ in 0..100 {
                queue.push(ticket(modest.0, modest.1, 1), "modest").unwrap();
            }
            let served = queue.drain();
            let last = served.iter().rposition(|job| *job == "modest").unwrap();
            let before = served.iter().take(last).filter(|job| **job == "greedy").count();
            assert_eq!((served.len(), before), (108, 1), "the one that was first, and no other");
        }
    }

    #[test]
    fn workspaces_share_equally_however_many_holders_they_have() {
        let mut queue = FairQueue::default();
        for holder in 0..100 {
            for _ in 0..10 {
                queue.push(ticket(1, holder, 1), 1).unwrap();
            }
        }
        for _ in 0..500 {
            queue.push(ticket(2, 1, 1), 2).unwrap();
        }
        let served = queue.drain();
        let of_second = served.iter().take(1_000).filter(|workspace| **workspace == 2).count();
        assert_eq!(served.len(), 1_500);
        assert!(of_second > 480, "{of_second}");
    }

    #[test]
    fn the_holders_of_a_workspace_take_turns() {
        let mut queue = FairQueue::default();
        for holder in [1, 2, 3] {
            for _ in 0..80 {
                queue.push(ticket(1, holder, 1), holder).unwrap();
            }
        }
        let served = queue.drain();
        for holder in [1, 2, 3] {
            assert_eq!(served.iter().take(120).filter(|served| **served == holder).count(), 40);
        }
    }

    #[test]
    fn a_job_that_is_returned_is_the_next_of_its_holder_and_others_have_their_turn() {
        let mut queue = FairQueue::default();
        for job in 0..3 {
            queue.push(ticket(1, 1, 1), job).unwrap();
            queue.push(ticket(2, 1, 1), 10 + job).unwrap();
        }
        let mut served = Vec::new();
        for _ in 0..100 {
            let job = queue.pop().unwrap();
            if job < 10 {
                queue.push_front(ticket(1, 1, 1), job);
            } else {
                served.push(job);
            }
            if served.len() == 3 {
                break;
            }
        }
        assert_eq!(served, [10, 11, 12]);
        assert_eq!((queue.len(), queue.drain()), (3, vec![0, 1, 2]));
    }

    #[test]
    fn the_bounds_of_one_holder_leave_room_for_others() {
        let mut queue = FairQueue::default();
        let taken = (0..20).filter(|job| queue.push(ticket(1, 1, 1_000), *job).is_ok()).count();
        assert_eq!(taken, HOLDER_COMMANDS_MAX / 1_000);
        assert_eq!(queue.push(ticket(1, 1, 1_000), 0), Err(CapacityError::Crowded));
        queue.push(ticket(1, 2, 50_000), 0).unwrap();
        assert_eq!(queue.push(ticket(1, 2, 1), 0), Err(CapacityError::Crowded));
        queue.push(ticket(1, 3, 1), 0).unwrap();
        queue.push(ticket(2, 1, 50_000), 0).unwrap();
        let single = (0..2 * HOLDER_JOBS_MAX).filter(|job| queue.push(ticket(3, 1, 1), *job).is_ok()).count();
        assert_eq!(single, HOLDER_JOBS_MAX);
        let operator = Ticket { holder: Holder::Operator, ..ticket(4, 0, 1) };
        let of_operator = (0..2 * WORKSPACE_JOBS_MAX).filter(|job| queue.push(operator, *job).is_ok()).count();
        assert_eq!(of_operator, WORKSPACE_JOBS_MAX);
        queue.push(Ticket { holder: Holder::System, ..operator }, 0).unwrap();
    }
}
