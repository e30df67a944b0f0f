//! The desk: what waits to be judged, and who is at work on it.
//!
//! At most one thread judges at a time, and at most one commits. Whoever is about to commit judges first what waits; only where much
//! waits while a commit is under way does another thread judge it meanwhile, since to wake it for each change would cost more than to
//! judge it. A group takes no more than its share of them: were all in one, everyone would wait for its commit, and nobody would be at
//! work meanwhile. Everything here is held for a moment only: nobody who hands in a change waits for one who judges or commits.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::group::Group;
use super::queue::{NoPlace, Place, Queue};
use super::writer::Job;

/// How many must wait while a commit is under way for them to be judged meanwhile.
const JUDGED_AHEAD_MIN: usize = 8;
/// How many groups those who wait are shared out to: while one is committed, those who were answered with the other come back.
const GROUPS_IN_TURN: usize = 2;

/// Why a job is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotTaken {
    /// Too many wait.
    Full,
    /// Too much waits of the same holder, or in the same workspace.
    Crowded,
    /// Nobody works here any more.
    Closed,
}

impl From<NoPlace> for NotTaken {
    fn from(why: NoPlace) -> Self {
        match why {
            NoPlace::Full => Self::Full,
            NoPlace::Crowded => Self::Crowded,
        }
    }
}

/// Who does a job that was handed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// Whoever is at work here.
    Theirs,
    /// Who handed it in: nobody else is at work, and from now on they are.
    Yours,
}

/// How the next group stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Next {
    /// How many wait for it.
    pub(super) waiting: usize,
    /// Whether there is something to commit, if only answers.
    pub(super) is_begun: bool,
    /// Whether it must be committed before it takes more.
    pub(super) is_full: bool,
}

/// What there is to do for who commits.
pub(super) enum Due {
    /// To judge so many jobs, and to commit the next group.
    JudgeAndCommit(usize),
    /// To commit the next group: whoever is judging adds to it.
    Commit,
    /// What became of this group has to be found out.
    LookUp(Box<Group>),
}

/// How the commit before the next one stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Commit {
    /// Nothing is being committed.
    #[default]
    Done,
    /// Someone is at it, or has to find out what became of it.
    UnderWay,
    /// What became of it could not be found out at once: nothing is judged until it is.
    Undecided,
}

#[derive(Default)]
struct State {
    jobs: Queue<Job>,
    is_judging: bool,
    next: Next,
    commit: Commit,
    /// How many waited for the group before the next one, which may still be under way.
    before: usize,
    /// A group of which it is not known whether it was committed.
    unknown: Option<Box<Group>>,
    is_closed: bool,
}

impl State {
    fn is_idle(&self) -> bool {
        self.jobs.len() == 0 && !self.is_judging && !self.next.is_begun && self.commit == Commit::Done
    }

    /// How many of the jobs that wait the next group may take.
    fn room(&self) -> usize {
        let all = self.before + self.next.waiting + self.jobs.len();
        let share = all.div_ceil(GROUPS_IN_TURN).max(JUDGED_AHEAD_MIN);
        if self.next.is_full { 0 } else { share.saturating_sub(self.next.waiting).min(self.jobs.len()) }
    }

    fn may_judge(&self) -> bool {
        !self.is_judging && self.room() > 0
    }

    fn may_judge_ahead(&self) -> bool {
        !self.is_judging && self.commit == Commit::UnderWay && self.room() >= JUDGED_AHEAD_MIN
    }

    fn may_commit(&self) -> bool {
        let something = self.next.is_begun || self.may_judge();
        self.unknown.is_some() || (something && self.commit == Commit::Done)
    }

    fn is_over(&self) -> bool {
        self.is_closed && self.is_idle()
    }
}

/// Where changes are handed in.
#[derive(Default)]
pub(super) struct Desk {
    state: Mutex<State>,
    /// There may be something to judge ahead.
    judge: Condvar,
    /// There may be something to commit.
    committer: Condvar,
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells those at work of what has changed.
    fn tell(&self, state: &State) {
        if state.may_judge_ahead() || state.is_closed {
            self.judge.notify_one();
        }
        if state.may_commit() || state.is_closed {
            self.committer.notify_one();
        }
    }

    /// Hands in a job, at its place in the queue. Who may do it themselves is told to where nobody is at work: then both judging and committing are theirs.
    pub(super) fn hand_in(&self, place: Place, job: Job, may_do_it: bool) -> Result<Whose, NotTaken> {
        let mut state = self.lock();
        if state.is_closed {
            return Err(NotTaken::Closed);
        }
        // Where others came along with the last one, they will again.
        let yours = may_do_it && state.is_idle() && state.before <= 1;
        state.jobs.push(place, job)?;
        if yours {
            (state.is_judging, state.commit) = (true, Commit::UnderWay);
            return Ok(Whose::Yours);
        }
        // Whoever is at work looks here again by themselves.
        if state.may_commit() && state.jobs.len() == 1 {
            self.committer.notify_one();
        } else if state.may_judge_ahead() && state.room() == JUDGED_AHEAD_MIN {
            self.judge.notify_one();
        }
        Ok(Whose::Theirs)
    }

    /// The job whose turn it is, for whoever has the right to judge.
    pub(super) fn take(&self) -> Option<Job> {
        self.lock().jobs.pop()
    }

    /// Waits until there is something to judge ahead, takes the right to, and gives how many jobs to judge; none if there never will be.
    pub(super) fn wait_to_judge(&self) -> Option<usize> {
        let nothing = |state: &mut State| !(state.may_judge_ahead() || state.is_closed);
        let mut state = self.judge.wait_while(self.lock(), nothing).unwrap_or_else(PoisonError::into_inner);
        // What still waits when the desk is closed is judged by whoever commits it.
        let ahead = state.may_judge_ahead();
        state.is_judging |= ahead;
        ahead.then(|| state.room())
    }

    /// Gives back the right to judge, and says how that left the next group. Called by who holds that group.
    pub(super) fn judged(&self, next: Next) {
        let mut state = self.lock();
        (state.is_judging, state.next) = (false, next);
        self.tell(&state);
    }

    /// Waits until there is something to commit, and takes the right to; none if there never will be.
    pub(super) fn wait_to_commit(&self) -> Option<Due> {
        let nothing = |state: &mut State| !(state.may_commit() || state.is_over());
        let mut state = self.committer.wait_while(self.lock(), nothing).unwrap_or_else(PoisonError::into_inner);
        if let Some(group) = state.unknown.take() {
            return Some(Due::LookUp(group));
        }
        if state.is_over() {
            return None;
        }
        state.commit = Commit::UnderWay;
        if !state.may_judge() {
            return Some(Due::Commit);
        }
        state.is_judging = true;
        Some(Due::JudgeAndCommit(state.room()))
    }

    /// Says that the next group, of so many changes, was taken: another begins. Called by who holds that group.
    pub(super) fn begin_next(&self, len: usize) {
        let mut state = self.lock();
        (state.next, state.before) = (Next::default(), len);
        self.tell(&state);
    }

    /// Says that the next group was dropped: another begins. Called by who holds that group.
    pub(super) fn drop_next(&self) {
        let mut state = self.lock();
        state.next = Next::default();
        self.tell(&state);
    }

    /// Leaves a group, of which it is not known whether it was committed, to be looked up.
    pub(super) fn leave(&self, group: Group) {
        let mut state = self.lock();
        state.unknown = Some(Box::new(group));
        self.tell(&state);
    }

    /// Gives back the right to commit.
    pub(super) fn committed(&self) {
        let mut state = self.lock();
        state.commit = Commit::Done;
        self.tell(&state);
    }

    /// Says that it could not be found out what became of a commit, and takes all jobs that wait: nobody judges until it is.
    pub(super) fn set_undecided(&self) -> Vec<Job> {
        let mut state = self.lock();
        state.commit = Commit::Undecided;
        state.jobs.drain()
    }

    /// Takes nothing more. What was handed in is still done.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        self.tell(&state);
    }

    /// Drops everything: someone at work here has panicked.
    pub(super) fn abandon(&self) {
        let mut state = self.lock();
        *state = State { is_closed: true, ..State::default() };
        self.tell(&state);
    }

    /// Whether jobs are taken no more.
    pub(super) fn is_closed(&self) -> bool {
        self.lock().is_closed
    }

    /// Whether jobs are taken and will be done soon.
    pub(super) fn is_ready(&self) -> bool {
        let state = self.lock();
        !state.is_closed && state.commit != Commit::Undecided
    }
}

#[cfg(test)]
#[allow(clippy::panic, reason = "tests fail by panicking")]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn hand_in(desk: &Desk, count: usize) {
        let workspace = crate::domain::model::id::WorkspaceId::from_uuid(uuid::Uuid::nil());
        let place = Place { workspace, holder: super::super::queue::Holder::System, commands: 1 };
        (0..count).for_each(|_| assert_eq!(desk.hand_in(place, Job::Expire(Arc::default()), false), Ok(Whose::Theirs)));
    }

    /// Judges jobs into a group that is empty.
    fn judge(desk: &Desk, count: usize) {
        assert!((0..count).all(|_| desk.take().is_some()));
        desk.judged(Next { waiting: count, is_begun: true, is_full: false });
    }

    fn due(desk: &Desk) -> usize {
        let Some(Due::JudgeAndCommit(count)) = desk.wait_to_commit() else { panic!("there is something to judge") };
        count
    }

    #[test]
    fn two_groups_take_turns_where_many_wait() {
        let desk = Desk::default();
        hand_in(&desk, 64);
        assert_eq!(due(&desk), 32);
        judge(&desk, 32);
        desk.begin_next(32);
        assert_eq!(desk.wait_to_judge(), Some(32), "the others are judged meanwhile");
        judge(&desk, 32);
        hand_in(&desk, 10);
        assert!(!desk.lock().may_judge_ahead(), "who comes then has to wait for the turn after that");
        desk.committed();
        assert_eq!(due(&desk), 5, "but for what makes the turns even");
    }

    #[test]
    fn a_few_share_a_commit() {
        let desk = Desk::default();
        for count in [1, 2, JUDGED_AHEAD_MIN] {
            hand_in(&desk, count);
            assert_eq!(due(&desk), count);
            judge(&desk, count);
            desk.begin_next(count);
            desk.committed();
        }
    }
}
