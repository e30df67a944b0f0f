//! The whole-log verifier: checks the invariants of a workspace's log.
//!
//! It runs at the end of every test that wrote a log. It reads the stored bytes and trusts nothing that the writer
//! reports.

use std::collections::BTreeSet;
use std::sync::Arc;

use tenure::domain::model::event::{Event, EventData};
use tenure::domain::model::id::WorkspaceId;
use tenure::domain::model::time::Revision;
use tenure::domain::state::permission_state::PermissionState;
use tenure::domain::state::view::View;
use tenure::domain::state::workspace::Workspace;
use tenure::log::codec::{decode, encode};
use tenure::log::{LogError, Store};

/// The contents of a log without errors.
#[derive(Debug)]
pub(crate) struct Verified {
    /// Its events, in order.
    pub(crate) events: Vec<Arc<Event>>,
    /// The facts at its head.
    pub(crate) workspace: Arc<Workspace>,
    /// Their state, as text.
    pub(crate) state: String,
}

/// Verifies the log of one workspace from the stored bytes of all its events.
///
/// # Errors
/// The first violation, with its revision.
pub(crate) fn verify<B: AsRef<[u8]>>(stored: &[B]) -> Result<Verified, String> {
    let mut events: Vec<Arc<Event>> = Vec::with_capacity(stored.len());
    let mut seen = Seen::default();
    for (place, bytes) in (1..).zip(stored) {
        let event = check_bytes(bytes.as_ref()).and_then(|event| {
            check_place(&event, Revision(place), events.last())?;
            seen.check(&event, events.last())?;
            Ok(event)
        });
        events.push(Arc::new(event.map_err(|why| format!("revision {place}: {why}"))?));
    }
    let (workspace, state) = replay(&events).map_err(|why| format!("revision {}: {why}", events.len()))?;
    Ok(Verified { events, workspace, state })
}

/// Verifies the logs of all workspaces in a store.
///
/// # Errors
/// The first violation, with its workspace and revision.
pub(crate) fn verify_store(log: &dyn Store) -> Result<Vec<Verified>, String> {
    let unavailable = |error: LogError| error.to_string();
    let mut verified = Vec::new();
    let mut ids = BTreeSet::new();
    let mut last = None;
    while let Some(id) = log.workspaces(last, 1).map_err(unavailable)?.first().copied() {
        last = Some(id);
        let found = verify_in(log, id).map_err(|why| format!("workspace {id}, {why}"))?;
        if let Some(event) = found.events.iter().find(|event| !ids.insert(event.id)) {
            return Err(format!("workspace {id}, revision {}: the event id {} is taken", event.revision, event.id));
        }
        verified.push(found);
    }
    Ok(verified)
}

fn verify_in(log: &dyn Store, id: WorkspaceId) -> Result<Verified, String> {
    let stored = log.read(id, Revision::ZERO, usize::MAX).map_err(|error| error.to_string())?;
    if let Some(stored) = (1..).zip(&stored).find(|(place, stored)| stored.revision != Revision(*place)) {
        return Err(format!("revision {}: stored as {}", stored.0, stored.1.revision));
    }
    let bytes: Vec<_> = stored.into_iter().map(|stored| stored.bytes).collect();
    let verified = verify(&bytes)?;
    if verified.events.iter().any(|event| event.workspace != id) {
        return Err("revision 1: the events are another workspace's".to_owned());
    }
    Ok(verified)
}

fn check(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

fn check_bytes(bytes: &[u8]) -> Result<Event, String> {
    let event = decode(bytes).map_err(|error| error.to_string())?;
    let again = encode(&event).map_err(|error| error.to_string())?;
    check(again == bytes, || format!("it is not written as it would be: {}", String::from_utf8_lossy(&again)))?;
    Ok(event)
}

fn check_place(event: &Event, place: Revision, before: Option<&Arc<Event>>) -> Result<(), String> {
    check(event.revision == place, || format!("it says that it is revision {}", event.revision))?;
    let happened = event.recorded.is_none_or(|recorded| recorded >= event.time);
    check(happened, || "it was recorded before it happened".to_owned())?;
    let begins = matches!(event.data, EventData::WorkspaceCreated(id, _) if id == event.workspace);
    check(begins == before.is_none(), || "a log begins with the creation of its workspace, once".to_owned())?;
    let Some(before) = before else { return Ok(()) };
    check(event.workspace == before.workspace, || format!("it is of the workspace {}", event.workspace))?;
    let ended = matches!(before.data, EventData::WorkspaceDeleted(..));
    check(!ended, || "it follows the end of the workspace".to_owned())
}

/// The ids seen so far, each of which must be unique.
#[derive(Default)]
struct Seen {
    events: BTreeSet<String>,
    commands: BTreeSet<String>,
}

impl Seen {
    fn check(&mut self, event: &Event, before: Option<&Arc<Event>>) -> Result<(), String> {
        check(self.events.insert(event.id.to_string()), || format!("the event id {} is taken", event.id))?;
        if let Some(before) = before.filter(|before| before.command == event.command) {
            // Only the first events of a command carry a long reason.
            let same_reason = event.reason.is_none() || event.reason == before.reason;
            let alike = same_reason && command_of(event) == command_of(before);
            return check(alike, || {
                format!("the events of {} differ in time, actor, credential or reason", event.command)
            });
        }
        let new = self.commands.insert(event.command.to_string());
        check(new, || format!("the events of {} do not stand together", event.command))?;
        before.map_or(Ok(()), |before| check_time(event, before))
    }
}

/// Returns the fields that all events of a command share, without the reason.
fn command_of(event: &Event) -> String {
    let Event { time, recorded, actor, credential, command, .. } = event;
    format!("{time} {recorded:?} {actor} {credential:?} {command}")
}

/// Checks that a live command is later than the one before, and an imported one is not earlier.
fn check_time(event: &Event, before: &Event) -> Result<(), String> {
    let Event { time, recorded, .. } = event;
    let in_order = if recorded.is_some() { *time >= before.time } else { *time > before.time };
    check(in_order, || format!("it happened at {time}, and the command before it at {}", before.time))
}

fn replay(events: &[Arc<Event>]) -> Result<(Arc<Workspace>, String), String> {
    let first = events.first().ok_or("the log is empty")?;
    let mut workspace = Workspace::empty(first.workspace);
    for event in events {
        workspace.evolve_checked(event).map_err(|why| why.to_string())?;
    }
    let workspace = Arc::new(workspace);
    let view = View::now(Arc::clone(&workspace), workspace.head_time());
    let json = |state: &PermissionState| state.to_json().map_err(|error| error.to_string());
    let state = json(&PermissionState::of(&view))?;
    let read = PermissionState::from_json(&state).map_err(|error| format!("its state cannot be read: {error}"))?;
    check(json(&read)? == state, || "its state is not read as it was written".to_owned())?;
    Ok((workspace, state))
}
