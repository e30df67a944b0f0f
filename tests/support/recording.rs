//! A recorder of histories: commands and a scripted clock in, the exact stored bytes of a log out.
//!
//! It works like the service: due expiries first, then the command, all or nothing. Ids are counted, not random, so a
//! script always gives the same bytes.

use std::sync::Arc;

use serde_json::Value;
use sha2::{Digest, Sha256};
use tenure::domain::model::command::Command;
use tenure::domain::model::credential::SecretDigest;
use tenure::domain::model::event::Event;
use tenure::domain::model::id::{CommandId, EventId, GeneratedIds, WorkspaceId};
use tenure::domain::model::principal::{Actor, Caller, Principal};
use tenure::domain::model::time::{Instant, Revision};
use tenure::domain::rules::decide::{self, EventMetadata, decide_all, expire};
use tenure::domain::state::view::View;
use tenure::domain::state::workspace::Workspace;
use tenure::log::codec::encode;
use uuid::{Builder, Uuid};

/// The longest delay between an expiry and the event that records it, in microseconds.
const EXPIRY_LAG_MICROS: i64 = 1_250_000;

/// A source of ids in the real format that counts instead of drawing random numbers.
struct Ids {
    history: &'static str,
    count: u64,
    clock: Instant,
}

impl Ids {
    fn bytes(&mut self) -> [u8; 32] {
        self.count += 1;
        Sha256::digest(format!("{} {}", self.history, self.count)).into()
    }

    fn uuid(&mut self) -> Uuid {
        let millis = u64::try_from(self.clock.micros() / 1_000).unwrap();
        let bytes = self.bytes();
        Builder::from_unix_timestamp_millis(millis, bytes.first_chunk().unwrap()).into_uuid()
    }

    fn generated(&mut self) -> GeneratedIds {
        let [entity, environment, token] = std::array::from_fn(|_| self.uuid());
        GeneratedIds { entity, environment, token, digest: SecretDigest(self.bytes()) }
    }
}

impl decide::EventSink for Ids {
    fn next_event_id(&mut self) -> EventId {
        EventId::from_uuid(self.uuid())
    }
}

/// A recorded history.
pub(crate) struct Recording {
    /// The stored bytes of its events, in order.
    pub(crate) lines: Vec<Vec<u8>>,
    /// The revisions that deserve a snapshot.
    pub(crate) marks: Vec<Revision>,
}

/// The recorder of one history.
pub(crate) struct Recorder {
    workspace: Arc<Workspace>,
    clock: Instant,
    ids: Ids,
    recorded: Option<Instant>,
    /// Whether expiries are recorded when they are due, or only before the next command.
    sweeping: bool,
    recording: Recording,
}

/// Parses an instant that is written `2026-03-01 09:30`.
pub(crate) fn instant(text: &str) -> Instant {
    format!("{}:00Z", text.replace(' ', "T")).parse().unwrap()
}

impl Recorder {
    /// Returns a recorder of a history that begins at this instant.
    pub(crate) fn new(history: &'static str, begins: &str) -> Self {
        let clock = instant(begins);
        let mut ids = Ids { history, count: 0, clock };
        let workspace = Arc::new(Workspace::empty(WorkspaceId::from_uuid(ids.uuid())));
        let recording = Recording { lines: Vec::new(), marks: Vec::new() };
        Self { workspace, clock, ids, recorded: None, sweeping: true, recording }
    }

    /// Marks all further commands as imported: recorded at this instant, later than they happened.
    pub(crate) fn import_at(&mut self, recorded: &str) {
        self.recorded = Some(instant(recorded));
    }

    /// Ends the import: further commands are recorded when they happen.
    pub(crate) fn import_ends(&mut self) {
        self.recorded = None;
    }

    /// Creates or deletes the workspace: the commands that no batch may contain.
    pub(crate) fn workspace_step(&mut self, at: &str, reason: &str, by: &str, command: impl Into<Command>) {
        self.submit(at, by, reason, vec![command.into()]);
    }

    /// Submits a request: one command or a list. `by` is `operator` or a member with a token.
    pub(crate) fn step(&mut self, at: &str, by: &str, reason: &str, request: Value) {
        let commands = match request {
            Value::Array(commands) => commands,
            command => vec![command],
        };
        let commands = commands.into_iter().map(|command| Command::from_value(command).unwrap()).collect();
        self.submit(at, by, reason, commands);
    }

    /// Returns the id of the last entity that was created.
    pub(crate) fn made(&self) -> String {
        self.workspace.event(self.workspace.head()).unwrap().data.subject()
    }

    /// Advances the clock to an instant.
    pub(crate) fn wait(&mut self, until: &str) {
        self.pass(instant(until));
    }

    /// Marks the current revision as worth a snapshot.
    pub(crate) fn mark(&mut self) {
        self.recording.marks.push(self.workspace.head());
    }

    /// Stops the service until the next request.
    pub(crate) fn sleep(&mut self) {
        self.sweeping = false;
    }

    /// Returns the history so far.
    pub(crate) fn finish(self) -> Recording {
        self.recording
    }

    fn submit(&mut self, at: &str, by: &str, reason: &str, commands: Vec<Command>) {
        // Real requests do not arrive on the full minute.
        let seconds = i64::try_from(self.ids.count).unwrap() * 7_919_457 % 60_000_000;
        self.pass(Instant::from_micros(instant(at).micros() + seconds));
        let caller = self.caller(by);
        self.clock = self.clock.max(self.workspace.head_time().next());
        let metadata = self.metadata(caller.actor(), &caller, reason);
        let commands: Vec<_> = commands.into_iter().map(|command| (command, self.ids.generated())).collect();
        let decided = decide_all(&mut self.workspace, &caller, &commands, &metadata, &mut self.ids)
            .unwrap_or_else(|refused| panic!("{at} {by} {commands:?}: {refused:?}"));
        assert!(!decided.events.is_empty(), "{at} {by} {commands:?} changed nothing");
        self.append(&decided.events);
    }

    fn pass(&mut self, until: Instant) {
        while let Some(end) = self.workspace.next_expiry().filter(|end| *end <= until) {
            let soon = Instant::from_micros(end.micros() + EXPIRY_LAG_MICROS).min(until);
            let noted = if self.sweeping { soon } else { until };
            self.clock = noted.max(self.workspace.head_time().next());
            let metadata = self.metadata(Actor::System, &Caller::ImportedActor(Actor::System), "");
            let events = expire(&mut self.workspace, &metadata, &mut self.ids).unwrap();
            self.append(&events);
        }
        self.clock = until;
        self.sweeping = true;
    }

    fn caller(&self, by: &str) -> Caller {
        let user = || by.parse().unwrap();
        match (by, self.recorded) {
            ("operator", None) => return Caller::Operator,
            ("operator", Some(_)) => return Caller::ImportedActor(Actor::Operator),
            (_, Some(_)) => return Caller::ImportedActor(Actor::User(user())),
            (_, None) => {}
        }
        let principal = Principal::User(user());
        let view = View::now(Arc::clone(&self.workspace), self.clock);
        let token = view.tokens_of(&principal).next().unwrap_or_else(|| panic!("{by} has no token at {}", self.clock));
        Caller::Principal { token: token.id, principal }
    }

    fn metadata(&mut self, actor: Actor, caller: &Caller, reason: &str) -> EventMetadata {
        self.ids.clock = self.recorded.unwrap_or(self.clock);
        EventMetadata {
            command: CommandId::from_uuid(self.ids.uuid()),
            time: self.clock,
            recorded: self.recorded,
            actor,
            credential: caller.credential(),
            reason: (!reason.is_empty()).then(|| reason.parse().unwrap()),
        }
    }

    fn append(&mut self, events: &[Arc<Event>]) {
        self.recording.lines.extend(events.iter().map(|event| encode(event).unwrap()));
    }
}
