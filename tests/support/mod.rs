//! Support code of every test binary: counted ids, a clock that is set by hand, and a minimal writer.
//!
//! The writer keeps the contract of a live log: each command is later than the one before, and due expiries come first.

pub mod acme;
pub mod commands;
pub mod given;
#[path = "../../benches/workspace/history.rs"]
pub mod history;
pub mod model;
pub mod program;
pub mod recording;
pub mod server;
pub mod verify;

use std::sync::Arc;

use tenure::domain::model::command::Command;
use tenure::domain::model::credential::SecretDigest;
use tenure::domain::model::event::Event;
use tenure::domain::model::id::{CommandId, EventId, GeneratedIds, WorkspaceId};
use tenure::domain::model::principal::{Actor, Caller};
use tenure::domain::model::time::Instant;
use tenure::domain::rules::decide::{EventMetadata, EventSink, Refused, decide_all, expire};
use tenure::domain::state::view::View;
use tenure::domain::state::workspace::Workspace;
use uuid::Uuid;

/// The start time of every test: 2026-03-01T00:00:00Z.
pub const START: Instant = Instant::from_micros(1_772_323_200_000_000);

/// Returns the instant this many microseconds after another; a negative number gives an earlier one.
pub fn after(instant: Instant, micros: i64) -> Instant {
    Instant::from_micros(instant.micros() + micros)
}

/// A source of ids that counts: 1, 2, 3 …
#[derive(Debug, Clone, Default)]
pub struct Counter(u128);

impl Counter {
    /// Returns a counter that starts high enough not to collide with one that starts at 1.
    pub const fn starting_at(first: u128) -> Self {
        Self(first)
    }

    /// Returns the next id.
    pub fn uuid(&mut self) -> Uuid {
        self.0 += 1;
        Uuid::from_u128(self.0)
    }

    /// Returns the ids that one command may need.
    pub fn generated(&mut self) -> GeneratedIds {
        let [entity, environment, token, digest] = std::array::from_fn(|_| self.uuid());
        let mut bytes = [0; 32];
        bytes[16..].copy_from_slice(digest.as_bytes());
        GeneratedIds { entity, environment, token, digest: SecretDigest(bytes) }
    }
}

impl EventSink for Counter {
    fn next_event_id(&mut self) -> EventId {
        EventId::from_uuid(self.uuid())
    }
}

/// The result of one request.
#[derive(Debug)]
pub struct Submitted {
    /// The expiries that were recorded first, a command of the system each.
    pub expired: Vec<Vec<Arc<Event>>>,
    /// For each command of the request, its events; otherwise the refused command and the reason.
    pub outcome: Result<Vec<Vec<Arc<Event>>>, Refused>,
}

/// One workspace, its log in memory, and the clock.
#[derive(Debug, Clone)]
pub struct Writer {
    /// The facts at the head.
    pub workspace: Arc<Workspace>,
    /// Every event so far.
    pub events: Vec<Arc<Event>>,
    /// The clock; it may be set back.
    pub clock: Instant,
    /// The source of ids.
    pub ids: Counter,
}

impl Writer {
    /// Returns a writer with an empty log.
    pub fn new() -> Self {
        Self::with(Counter::default())
    }

    /// Returns a writer with an empty log and ids from this counter.
    pub fn with(mut ids: Counter) -> Self {
        let workspace = Arc::new(Workspace::empty(WorkspaceId::from_uuid(ids.uuid())));
        Self { workspace, events: Vec::new(), clock: START, ids }
    }

    /// Returns the view of the current facts.
    pub fn now(&self) -> View {
        View::now(Arc::clone(&self.workspace), self.clock)
    }

    /// Records due expiries, then decides the commands of one request as one batch and appends their events.
    pub fn submit(&mut self, caller: &Caller, commands: &[Command]) -> Submitted {
        let mut time = self.clock.max(self.workspace.head_time().next());
        let mut expired = Vec::new();
        while self.workspace.next_expiry().is_some_and(|end| end <= time) {
            let metadata = self.metadata(time, Actor::System, None);
            let events =
                expire(&mut self.workspace, &metadata, &mut self.ids).expect("nothing is refused to be taken down");
            self.events.extend(events.iter().cloned());
            expired.push(events);
            assert!(self.workspace.next_expiry().is_none_or(|end| end > time), "what is due is noted once");
            time = time.next();
        }
        let metadata = self.metadata(time, caller.actor(), Some(caller));
        let commands: Vec<_> = commands.iter().map(|command| (command.clone(), self.ids.generated())).collect();
        let outcome = decide_all(&mut self.workspace, caller, &commands, &metadata, &mut self.ids).map(|decided| {
            self.events.extend(decided.events.iter().cloned());
            let starts = std::iter::once(0).chain(decided.ends.iter().copied());
            starts.zip(&decided.ends).map(|(start, end)| decided.events[start..*end].to_vec()).collect()
        });
        Submitted { expired, outcome }
    }

    fn metadata(&mut self, time: Instant, actor: Actor, caller: Option<&Caller>) -> EventMetadata {
        let command = CommandId::from_uuid(self.ids.uuid());
        EventMetadata {
            command,
            time,
            recorded: None,
            actor,
            credential: caller.and_then(Caller::credential),
            reason: None,
        }
    }
}
