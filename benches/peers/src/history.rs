//! A history of a million changes in one workspace, made once: as lines that Tenure imports, as changes that an event-sourced
//! system would replay, and as the intervals that a database would keep.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::chance::Chance;
use crate::workload::{BEGINNING_MICROS, Principal, Role, Size, Workspace, join, line};

/// For how long what has not ended is so.
pub const FOREVER_MICROS: i64 = i64::MAX;

/// How large the workspace is: every environment but `main` is restricted, and gives nothing to those without a grant.
const SIZE: Size = Size { members: 1_000, service_users: 20, environments: 50, restricted: 50, grants: 0 };
/// The longest time between two changes; the shortest is a microsecond. A million changes take five years.
const PAUSE_MICROS_MAX: usize = 315_000_000;
/// One change in so many is a departure, or the return of someone who left.
const DEPARTURE_ODDS: usize = 500;

/// What a person or a grant was, from when until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval<T> {
    /// What.
    pub what: T,
    /// The first microsecond.
    pub from: i64,
    /// The first microsecond after it; [`FOREVER_MICROS`] if there is none.
    pub until: i64,
}

/// A grant: where and to whom, by place, and the role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// The environment.
    pub environment: usize,
    /// The principal.
    pub principal: usize,
    /// What was given.
    pub role: Role,
}

/// What happened, as an event-sourced system keeps it.
#[derive(Debug, Clone, Copy)]
pub enum Change {
    /// A principal came.
    Joined(usize),
    /// A principal left; their grants ended before, one by one.
    Left(usize),
    /// A grant was given, or given anew with another role.
    Granted(Grant),
    /// A grant was taken back: where, from whom.
    Revoked(usize, usize),
}

/// The history.
pub struct History {
    /// Names: principals and environments. Nothing in it says what is so at an instant.
    pub workspace: Workspace,
    /// As `tenure import` reads it.
    pub lines: String,
    /// Every change, with its microsecond, in order.
    pub changes: Vec<(i64, Change)>,
    /// Every grant there ever was.
    pub grants: Vec<Interval<Grant>>,
    /// Every presence there ever was, by the principal's place.
    pub presences: Vec<Interval<usize>>,
    /// When the last principal and environment had been made.
    pub begun: i64,
    /// The instant of the last change.
    pub ended: i64,
}

/// A history that is being made.
struct Making {
    history: History,
    chance: Chance,
    now: i64,
    present: BTreeMap<usize, i64>,
    granted: BTreeMap<(usize, usize), (Role, i64)>,
}

impl History {
    /// A workspace's history of at least so many events in Tenure's log, and no more than one departure takes beyond that.
    pub fn make(name: &str, events: usize, seed: u64) -> Self {
        let mut making = Making::begin(name, seed);
        while making.history.changes.len() < events {
            making.step();
        }
        making.finish()
    }

    /// Where the people who can be given something begin.
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

    /// Something happens a while later.
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

    /// Ends the grant that there is, and says whether there was one.
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

/// Could a principal do an action in an environment at an instant?
#[derive(Debug, Clone)]
pub struct PastQuestion {
    /// The principal, by place.
    pub principal: usize,
    /// The environment, by place.
    pub environment: usize,
    /// The action.
    pub action: &'static str,
    /// When, in microseconds.
    pub at: i64,
}

/// Who had access to an environment at any time of a day?
#[derive(Debug, Clone, Copy)]
pub struct SpanQuestion {
    /// The environment, by place.
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

    /// Questions at random instants about random principals and environments.
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

    /// Days at random, of random restricted environments.
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
