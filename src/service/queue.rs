//! The queue before the writer: who waits, and whose turn it is.
//!
//! Turns go round the workspaces that wait and, within one, round those who wait there, by what their jobs cost (deficit round robin). So
//! who asks for much waits behind their own jobs, and nobody behind another's. How many places one may take is bounded too.

use std::collections::VecDeque;
use std::hash::Hash;

use foldhash::HashMap;

use crate::domain::model::id::WorkspaceId;

/// How much may be done in one turn before it passes on, in commands.
const QUANTUM: i64 = 8;
/// How many jobs may wait in all, in one workspace, and of one holder there.
const JOBS_MAX: usize = 16_384;
const WORKSPACE_JOBS_MAX: usize = 8_192;
const HOLDER_JOBS_MAX: usize = 1_024;
/// How many commands may wait in one workspace, and of one holder there.
const WORKSPACE_COMMANDS_MAX: usize = 32_768;
const HOLDER_COMMANDS_MAX: usize = 8_192;

/// Who a job is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Holder {
    /// The service itself: none of its jobs is ever refused a place.
    System,
    /// The operator, who has as many places as the workspace.
    Operator,
    /// A principal or an access key, by a hash: two that share one share their places.
    Other(u64),
}

/// Where a job waits, and what it costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// In which workspace.
    pub(super) workspace: WorkspaceId,
    /// Of whom.
    pub(super) holder: Holder,
    /// How many commands it is.
    pub(super) commands: usize,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoPlace {
    /// Too many wait in all.
    Full,
    /// Too much waits of the same holder, or in the same workspace.
    Crowded,
}

/// Those who take turns; the one at the front is next, unless it has used up its turn.
#[derive(Debug)]
struct Turns<K, V> {
    members: HashMap<K, Member<V>>,
    order: VecDeque<K>,
}

#[derive(Debug)]
struct Member<V> {
    /// What is left of its turn; below zero where its last job cost more.
    left: i64,
    value: V,
}

impl<K, V> Default for Turns<K, V> {
    fn default() -> Self {
        Self { members: HashMap::default(), order: VecDeque::new() }
    }
}

impl<K: Copy + Eq + Hash, V: Default> Turns<K, V> {
    fn get(&self, key: &K) -> Option<&V> {
        self.members.get(key).map(|member| &member.value)
    }

    /// The member of a key, which gets its turn after those that are there.
    fn join(&mut self, key: K) -> &mut V {
        let order = &mut self.order;
        let new = || {
            order.push_back(key);
            Member { left: QUANTUM, value: V::default() }
        };
        &mut self.members.entry(key).or_insert_with(new).value
    }

    /// The key of the member whose turn it is.
    fn next(&mut self) -> Option<K> {
        loop {
            let key = *self.order.front()?;
            let is_alone = self.order.len() == 1;
            let member = self.members.get_mut(&key)?;
            if is_alone {
                member.left = QUANTUM;
            }
            if member.left > 0 {
                return Some(key);
            }
            member.left = member.left.saturating_add(QUANTUM);
            self.order.rotate_left(1);
        }
    }

    /// Does something with the member whose turn it is, which costs so much; it leaves if it is left with nothing.
    fn spend<T>(&mut self, key: K, spend: impl FnOnce(&mut V) -> (usize, bool, T)) -> Option<T> {
        let member = self.members.get_mut(&key)?;
        let (cost, is_left_with_nothing, done) = spend(&mut member.value);
        member.left = member.left.saturating_sub(i64::try_from(cost).unwrap_or(i64::MAX));
        if is_left_with_nothing {
            self.members.remove(&key);
            self.order.retain(|other| *other != key);
        }
        Some(done)
    }
}

/// What waits of one holder.
#[derive(Debug)]
struct Line<T> {
    jobs: VecDeque<(usize, T)>,
    commands: usize,
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self { jobs: VecDeque::new(), commands: 0 }
    }
}

/// What waits in one workspace.
#[derive(Debug)]
struct Room<T> {
    lines: Turns<Holder, Line<T>>,
    len: usize,
    commands: usize,
}

impl<T> Default for Room<T> {
    fn default() -> Self {
        Self { lines: Turns::default(), len: 0, commands: 0 }
    }
}

/// Jobs that wait.
#[derive(Debug)]
pub(super) struct Queue<T> {
    rooms: Turns<WorkspaceId, Room<T>>,
    len: usize,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { rooms: Turns::default(), len: 0 }
    }
}

impl<T> Queue<T> {
    /// How many jobs wait.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Lets a job wait at its place.
    pub(super) fn push(&mut self, place: Place, job: T) -> Result<(), NoPlace> {
        self.check(place)?;
        let room = self.rooms.join(place.workspace);
        let line = room.lines.join(place.holder);
        line.jobs.push_back((place.commands, job));
        line.commands += place.commands;
        room.commands += place.commands;
        room.len += 1;
        self.len += 1;
        Ok(())
    }

    /// The first job of a holder has a place, whatever others in the workspace have there; but for those of all together.
    fn check(&self, place: Place) -> Result<(), NoPlace> {
        if place.holder == Holder::System {
            return Ok(());
        }
        if self.len >= JOBS_MAX {
            return Err(NoPlace::Full);
        }
        let Some(room) = self.rooms.get(&place.workspace) else { return Ok(()) };
        let Some(line) = room.lines.get(&place.holder) else { return Ok(()) };
        let with_this = |commands: usize| commands.saturating_add(place.commands);
        let crowds_room = room.len >= WORKSPACE_JOBS_MAX || with_this(room.commands) > WORKSPACE_COMMANDS_MAX;
        let crowds_line = line.jobs.len() >= HOLDER_JOBS_MAX || with_this(line.commands) > HOLDER_COMMANDS_MAX;
        let is_crowded = crowds_room || (crowds_line && place.holder != Holder::Operator);
        if is_crowded { Err(NoPlace::Crowded) } else { Ok(()) }
    }

    /// The job whose turn it is.
    pub(super) fn pop(&mut self) -> Option<T> {
        let workspace = self.rooms.next()?;
        let job = self.rooms.spend(workspace, |room| {
            let (commands, job) = room.take();
            (commands, room.len == 0, job)
        })?;
        self.len = self.len.saturating_sub(1);
        job
    }

    /// Takes out everything, in turn.
    pub(super) fn drain(&mut self) -> Vec<T> {
        std::iter::from_fn(|| self.pop()).collect()
    }
}

impl<T> Room<T> {
    fn take(&mut self) -> (usize, Option<T>) {
        let Some(holder) = self.lines.next() else { return (0, None) };
        let taken = self.lines.spend(holder, |line| {
            let (commands, job) = line.jobs.pop_front().map_or((0, None), |(commands, job)| (commands, Some(job)));
            line.commands = line.commands.saturating_sub(commands);
            (commands, line.jobs.is_empty(), (commands, job))
        });
        let (commands, job) = taken.unwrap_or((0, None));
        self.len = self.len.saturating_sub(1);
        self.commands = self.commands.saturating_sub(commands);
        (commands, job)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    fn place(workspace: u128, holder: u64, commands: usize) -> Place {
        let workspace = WorkspaceId::from_uuid(uuid::Uuid::from_u128(workspace));
        Place { workspace, holder: Holder::Other(holder), commands }
    }

    #[test]
    fn a_holder_alone_is_served_in_the_order_in_which_its_jobs_came() {
        let mut queue = Queue::default();
        for job in 0..100 {
            queue.push(place(1, 1, 1 + job % 50), job).unwrap();
        }
        assert_eq!(queue.len(), 100);
        assert_eq!(queue.drain(), (0..100).collect::<Vec<_>>());
        assert!(queue.pop().is_none() && queue.len() == 0);
    }

    #[test]
    fn who_asks_for_little_does_not_wait_behind_who_asks_for_much() {
        for (greedy, modest) in [((1, 1), (2, 2)), ((1, 1), (1, 2))] {
            let mut queue = Queue::default();
            for _ in 0..8 {
                queue.push(place(greedy.0, greedy.1, 1_000), "greedy").unwrap();
            }
            for _ in 0..100 {
                queue.push(place(modest.0, modest.1, 1), "modest").unwrap();
            }
            let served = queue.drain();
            let last = served.iter().rposition(|job| *job == "modest").unwrap();
            let before = served.iter().take(last).filter(|job| **job == "greedy").count();
            assert_eq!((served.len(), before), (108, 1), "the one that was first, and no other");
        }
    }

    #[test]
    fn a_workspace_with_many_holders_gets_no_more_than_one_with_few() {
        let mut queue = Queue::default();
        for holder in 0..100 {
            for _ in 0..10 {
                queue.push(place(1, holder, 1), 1).unwrap();
            }
        }
        for _ in 0..500 {
            queue.push(place(2, 1, 1), 2).unwrap();
        }
        let served = queue.drain();
        let of_second = served.iter().take(1_000).filter(|workspace| **workspace == 2).count();
        assert_eq!(served.len(), 1_500);
        assert!(of_second > 480, "{of_second}");
    }

    #[test]
    fn the_holders_of_a_workspace_take_turns() {
        let mut queue = Queue::default();
        for holder in [1, 2, 3] {
            for _ in 0..80 {
                queue.push(place(1, holder, 1), holder).unwrap();
            }
        }
        let served = queue.drain();
        for holder in [1, 2, 3] {
            assert_eq!(served.iter().take(120).filter(|served| **served == holder).count(), 40);
        }
    }

    #[test]
    fn places_are_bounded_for_each_and_those_of_others_stay() {
        let mut queue = Queue::default();
        let taken = (0..20).filter(|job| queue.push(place(1, 1, 1_000), *job).is_ok()).count();
        assert_eq!(taken, HOLDER_COMMANDS_MAX / 1_000);
        assert_eq!(queue.push(place(1, 1, 1_000), 0), Err(NoPlace::Crowded));
        queue.push(place(1, 2, 50_000), 0).unwrap();
        assert_eq!(queue.push(place(1, 2, 1), 0), Err(NoPlace::Crowded));
        queue.push(place(1, 3, 1), 0).unwrap();
        queue.push(place(2, 1, 50_000), 0).unwrap();
        let single = (0..2 * HOLDER_JOBS_MAX).filter(|job| queue.push(place(3, 1, 1), *job).is_ok()).count();
        assert_eq!(single, HOLDER_JOBS_MAX);
        let operator = Place { holder: Holder::Operator, ..place(4, 0, 1) };
        let of_operator = (0..2 * WORKSPACE_JOBS_MAX).filter(|job| queue.push(operator, *job).is_ok()).count();
        assert_eq!(of_operator, WORKSPACE_JOBS_MAX);
        queue.push(Place { holder: Holder::System, ..operator }, 0).unwrap();
    }
}
