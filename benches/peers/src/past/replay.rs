//! Replay from the start: the only way in a system that keeps its events and just the newest state.
//!
//! The changes are already in memory, decoded, with numbers for names: nothing is read or parsed.

use std::collections::{HashMap, HashSet};

use crate::history::{Change, Grant, History, PastQuestion};
use crate::peer::{Outcome, Peer};
use crate::workload::Role;

/// The changes, and the questions.
pub struct Replay<'a> {
    history: &'a History,
    questions: &'a [PastQuestion],
}

/// The facts at the instant that the replay has reached.
#[derive(Default)]
struct State {
    present: HashSet<usize>,
    granted: HashMap<(usize, usize), Role>,
}

impl State {
    fn apply(&mut self, change: Change) {
        match change {
            Change::Joined(principal) => {
                self.present.insert(principal);
            }
            Change::Left(principal) => {
                self.present.remove(&principal);
            }
            Change::Granted(Grant { environment, principal, role }) => {
                self.granted.insert((environment, principal), role);
            }
            Change::Revoked(environment, principal) => {
                self.granted.remove(&(environment, principal));
            }
        }
    }
}

impl<'a> Replay<'a> {
    /// Returns a replay of a history, for questions.
    pub const fn new(history: &'a History, questions: &'a [PastQuestion]) -> Self {
        Self { history, questions }
    }
}

impl Peer for Replay<'_> {
    fn name(&self) -> String {
        "replay from the start".to_owned()
    }

    fn decide(&mut self, question: usize) -> Outcome<bool> {
        let PastQuestion { principal, environment, action, at } = &self.questions[question];
        let mut state = State::default();
        let until = self.history.changes.partition_point(|(time, _)| time <= at);
        self.history.changes[..until].iter().for_each(|(_, change)| state.apply(*change));
        let workspace = &self.history.workspace;
        let is_open = workspace.environments[*environment].restriction.is_none();
        let manages = workspace.principals[*principal].standing.manages();
        let granted = state.granted.get(&(*environment, *principal)).copied().unwrap_or(Role::NoAccess);
        Ok(state.present.contains(principal) && (is_open || manages || granted >= Role::required(action)))
    }
}
