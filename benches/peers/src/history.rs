//! A history of a million changes in one workspace, in three forms.
//!
//! The forms are lines that Tenure imports, changes that an event-sourced system would replay, and intervals that a
//! database would store.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::chance::Chance;
use crate::workload::{BEGINNING_MICROS, Principal, Role, Size, Workspace, join, line};

/// The end of an interval that has not ended.
pub const FOREVER_MICROS: i64 = i64::MAX;

/// The size of the workspace. Every environment but `main` is restricted, with the default role `no_access`.
const SIZE: Size = Size { members: 1_000, service_users: 20, environments: 50, restricted: 50, grants: 0 };
/// The longest time between two changes; the shortest is a microsecond. A million changes take five years.
const PAUSE_MICROS_MAX: usize = 315_000_000;
/// One change in this many is a departure or a return.
const DEPARTURE_ODDS: usize = 500;

/// A value that held during an interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval<T> {
    /// The value.
    pub what: T,
    /// The first microsecond.
    pub from: i64,
    /// The first microsecond after it; [`FOREVER_MICROS`] if it has not ended.
    pub until: i64,
}

/// A grant: the environment and the principal by index, and the role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// The environment.
    pub environment: usize,
    /// The principal.
    pub principal: usize,
    /// The granted role.
    pub role: Role,
}

/// An event, as an event-sourced system stores it.
#[derive(Debug, Clone, Copy)]
pub enum Change {
    /// A principal joined.
    Joined(usize),
    /// A principal left, after their grants had ended one by one.
    Left(usize),
    /// A grant was added, or its role changed.
    Granted(Grant),
    /// A grant was revoked: the environment and the principal.
    Revoked(usize, usize),
}

/// The history.
pub struct History {
    /// The names of principals and environments, without any facts at an instant.
    pub workspace: Workspace,
    /// The lines for `tenure import`.
    pub lines: String,
    /// Every change, with its microsecond, in order.
    pub changes: Vec<(i64, Change)>,
    /// Every grant that ever existed.
    pub grants: Vec<Interval<Grant>>,
    /// Every presence that ever existed, by the principal's index.
    pub presences: Vec<Interval<usize>>,
    /// The instant after which all principals and environments exist.
    pub begun: i64,
    /// The instant of the last change.
    pub ended: i64,
}

/// The builder of a history.
struct Making {
    history: History,
    chance: Chance,
    now: i64,
    present: BTreeMap<usize, i64>,
    granted: BTreeMap<(usize, usize), (Role, i64)>,
}

impl History {
    /// Builds a history of at least this many events in Tenure's log, exceeded by one departure at most.
    pub fn make(name: &str, events: usize, seed: u64) -> Self {
        let mut making = Making::begin(name, seed);
        while making.history.changes.len() < events {
            making.step();
        }
        making.finish()
    }

    /// The index of the first principal that can receive a grant.
    pub const FIRST_MEMBER: usize = 5;
}

impl Making {
    fn begin(name: &str, seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let mut workspace = Workspace::make(name.to_owned(), SIZE, &mut chance);
        for environment in &mut workspace.environments {
            if let Some(restriction) = &mut environment.restriction {
                restriction.default_role = Role::NoAccess;
            }
        }
        let (lines, begun) = (workspace.lines(), BEGINNING_MICROS);
        let present: BTreeMap<_, _> = (0..workspace.principals.len()).map(|place| (place, begun)).collect();
        let changes = present.keys().map(|place| (begun, Change::Joined(*place))).collect();
        let (grants, presences) = (Vec::new(), Vec::new());
        let history = History { workspace, lines, changes, grants, presences, begun, ended: begun };
        Self { history, chance, now: begun, present, granted: BTreeMap::new() }
    }

    /// Advances the time and records an event.
    fn step(&mut self) {
        self.now += 1 + i64::try_from(self.chance.below(PAUSE_MICROS_MAX)).expect("it is small");
        let principals = History::FIRST_MEMBER..self.history.workspace.principals.len();
        let principal = principals.start + self.chance.below(principals.len());
        let is_user = principal < SIZE.members;
        let command = if !self.present.contains_key(&principal) {
            self.join(principal)
        } else if is_user && self.chance.below(DEPARTURE_ODDS) == 0 {
            self.leave(principal)
        } else {
            self.regrant(principal)
        };
        self.history.lines.push_str(&line(self.now, &[command], None));
    }

    fn name(&self, principal: usize) -> &Principal {
        &self.history.workspace.principals[principal]
    }

    fn join(&mut self, principal: usize) -> Value {
        self.present.insert(principal, self.now);
        self.history.changes.push((self.now, Change::Joined(principal)));
        join(self.name(principal))
    }

    fn leave(&mut self, principal: usize) -> Value {
        for environment in 1..self.history.workspace.environments.len() {
            self.revoke(environment, principal);
        }
        let from = self.present.remove(&principal).expect("they are present");
        self.history.presences.push(Interval { what: principal, from, until: self.now });
        self.history.changes.push((self.now, Change::Left(principal)));
        json!({"type": "member.remove", "user": self.name(principal).name})
    }

    fn regrant(&mut self, principal: usize) -> Value {
        let environment = 1 + self.chance.below(SIZE.environments);
        let place = self.history.workspace.environments[environment].name.clone();
        let reference = self.name(principal).reference();
        let held = self.granted.get(&(environment, principal)).map(|(role, _)| *role);
        if held.is_some() && self.chance.below(4) > 0 {
            self.revoke(environment, principal);
            return json!({"type": "grant.revoke", "environment": place, "principal": reference});
        }
        let role = if held == Some(Role::Viewer) { Role::Contributor } else { Role::Viewer };
        let role = if held.is_none() && self.chance.below(2) == 0 { Role::Contributor } else { role };
        self.grant(environment, principal, role);
        json!({"type": "grant.set", "environment": place, "principal": reference, "role": role.as_str()})
    }

    fn grant(&mut self, environment: usize, principal: usize, role: Role) {
        self.close(environment, principal);
        self.granted.insert((environment, principal), (role, self.now));
        self.history.changes.push((self.now, Change::Granted(Grant { environment, principal, role })));
    }

    fn revoke(&mut self, environment: usize, principal: usize) {
        if self.close(environment, principal) {
            self.history.changes.push((self.now, Change::Revoked(environment, principal)));
        }
    }

    /// Ends the current grant; returns whether one existed.
    fn close(&mut self, environment: usize, principal: usize) -> bool {
        let Some((role, from)) = self.granted.remove(&(environment, principal)) else { return false };
        let what = Grant { environment, principal, role };
        self.history.grants.push(Interval { what, from, until: self.now });
        true
    }

    fn finish(mut self) -> History {
        let open = self.granted.into_iter().map(|((environment, principal), (role, from))| Interval {
            what: Grant { environment, principal, role },
            from,
            until: FOREVER_MICROS,
        });
        self.history.grants.extend(open);
        let present = self.present.into_iter().map(|(what, from)| Interval { what, from, until: FOREVER_MICROS });
        self.history.presences.extend(present);
        self.history.ended = self.now;
        self.history
    }
}

/// A question: could a principal perform an action in an environment at an instant?
#[derive(Debug, Clone)]
pub struct PastQuestion {
    /// The principal's index.
    pub principal: usize,
    /// The environment's index.
    pub environment: usize,
    /// The action.
    pub action: &'static str,
    /// The instant, in microseconds.
    pub at: i64,
}

/// A question: which principals had access to an environment during a day?
#[derive(Debug, Clone, Copy)]
pub struct SpanQuestion {
    /// The environment's index.
    pub environment: usize,
    /// The first microsecond.
    pub from: i64,
    /// The first microsecond after it.
    pub until: i64,
}

const DAY_MICROS: i64 = 86_400_000_000;

impl History {
    fn instant(&self, chance: &mut Chance) -> i64 {
        let micros = usize::try_from(self.ended - self.begun).expect("time goes forward");
        self.begun + 1 + i64::try_from(chance.below(micros)).expect("it is within the history")
    }

    /// Returns questions at random instants about random principals and environments.
    pub fn questions(&self, count: usize) -> Vec<PastQuestion> {
        let mut chance = Chance::new(11);
        let (principals, environments) = (self.workspace.principals.len(), self.workspace.environments.len());
        (0..count)
            .map(|_| PastQuestion {
                principal: chance.below(principals),
                environment: chance.below(environments),
                action: chance.pick::<&str>(&["read", "deploy"]),
                at: self.instant(&mut chance),
            })
            .collect()
    }

    /// Returns random days of random restricted environments.
    pub fn spans(&self, count: usize) -> Vec<SpanQuestion> {
        let mut chance = Chance::new(12);
        let mut span = || {
            let from = self.instant(&mut chance).min(self.ended - DAY_MICROS);
            let environment = 1 + chance.below(SIZE.environments);
            SpanQuestion { environment, from, until: from + DAY_MICROS }
        };
        (0..count).map(|_| span()).collect()
    }
}
