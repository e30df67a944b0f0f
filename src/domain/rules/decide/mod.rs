//! `decide`: command × view → events or a refusal.
//!
//! Every command is checked in one order: the caller's authority, then whether the named entities exist, then the
//! command's own rules. A command that breaks no rule and would change nothing returns no events.

mod authority;
mod credentials;
mod environments;
mod expiry;
mod grants;
mod members;
mod resources;
mod workspaces;

use std::sync::Arc;

pub use authority::{authorize_all, authorize_audit, authorize_profile};
pub use expiry::{due, last_due};

use crate::domain::model::command::Command;
use crate::domain::model::event::{Event, EventData};
use crate::domain::model::id::{CommandId, EventId, GeneratedIds};
use crate::domain::model::name::Reason;
use crate::domain::model::principal::{Actor, ActorCredential, Caller};
use crate::domain::model::rejection::Rejection;
use crate::domain::model::time::Instant;
use crate::domain::state::view::View;
use crate::domain::state::workspace::Workspace;

/// The most live environments in a workspace.
pub const ENVIRONMENTS_MAX: usize = 1_500;
/// The most live principals in a workspace.
pub const PRINCIPALS_MAX: usize = 100_000;
/// The most live grants in an environment.
pub const GRANTS_MAX: usize = 10_000;
/// The most live API tokens, proxy tokens and access keys, together, in a workspace.
pub const CREDENTIALS_MAX: usize = 100_000;
/// The most live API tokens that a principal holds.
pub const TOKENS_OF_PRINCIPAL_MAX: usize = 50;
/// The most resource types that a workspace defines.
pub const RESOURCE_TYPES_MAX: usize = 200;
/// The most actions of a resource type.
pub const ACTIONS_MAX: usize = 100;
/// The most placed resources in a workspace.
pub const PLACEMENTS_MAX: usize = 100_000;
/// The most environments in the scope of a proxy token.
pub const SCOPE_MAX: usize = 1_000;
/// The most events of one request. Revocations and deletions do not count towards a single command's limit, so
/// everything that could be made can be ended.
pub const EVENTS_MAX: usize = 10_000;

/// The most bytes in which the events of one request repeat its reason.
pub const REASON_REPEATS_BYTES_MAX: usize = 4_096;

/// The events that a command appends, in order; none if it would change nothing.
pub type CommandResult = Result<Vec<EventData>, Rejection>;

/// Decides a command in a view at the head.
///
/// # Errors
/// The first rule that refuses it.
pub fn decide(view: &View, caller: &Caller, command: &Command, generated: &GeneratedIds) -> CommandResult {
    let caller_role = authority::authorize_command(view, caller, command)?;
    if !view.exists() && !matches!(command, Command::CreateWorkspace(_)) {
        return Err(Rejection::not_found("workspace", &view.workspace().id().to_string()));
    }
    match command {
        Command::CreateWorkspace(command) => workspaces::create(view, command, generated),
        Command::DeleteWorkspace(_) => Ok(workspaces::delete(view)),
        Command::ChangePlan(command) => Ok(workspaces::change_plan(view, command)),
        Command::EnableRbac(_) => workspaces::enable_rbac(view),
        Command::DisableRbac(_) => Ok(workspaces::disable_rbac(view)),
        Command::AddMember(command) => members::add(view, &caller_role, command),
        Command::ChangeMemberRole(command) => members::change_role(view, &caller_role, command),
        Command::RemoveMember(command) => members::remove(view, &caller_role, command),
        Command::CreateServiceUser(command) => members::create_service_user(view, caller, command, generated),
        Command::DeleteServiceUser(command) => members::delete_service_user(view, command),
        Command::IssueToken(command) => credentials::issue_token(view, caller, command, generated),
        Command::RevokeToken(command) => credentials::revoke_token(view, &caller_role, command),
        Command::CreateEnvironment(command) => environments::create(view, caller, command, generated),
        Command::RenameEnvironment(command) => environments::rename(view, command),
        Command::RestrictEnvironment(command) => environments::restrict(view, caller, command),
        Command::SetDefaultRole(command) => environments::set_default_role(view, command),
        Command::UnrestrictEnvironment(command) => environments::unrestrict(view, command),
        Command::DeleteEnvironment(command) => environments::delete(view, command),
        Command::SetGrant(command) => grants::set(view, caller, command),
        Command::RevokeGrant(command) => grants::revoke(view, command),
        Command::CreateProxyToken(command) => credentials::create_proxy_token(view, caller, command, generated),
        Command::SetProxyTokenEnvironments(command) => credentials::set_scope(view, command),
        Command::RevokeProxyToken(command) => credentials::revoke_proxy_token(view, command),
        Command::IssueAccessKey(command) => credentials::issue_access_key(view, caller, command, generated),
        Command::RevokeAccessKey(command) => credentials::revoke_access_key(view, command),
        Command::DefineResourceType(command) => resources::define(view, command),
        Command::PlaceResource(command) => resources::place(view, command),
        Command::RemoveResource(command) => resources::remove(view, command),
    }
}

/// The properties that all events of a command share.
#[derive(Debug, Clone)]
pub struct EventMetadata {
    /// The command.
    pub command: CommandId,
    /// The time of the events.
    pub time: Instant,
    /// The time of recording, if that is later.
    pub recorded: Option<Instant>,
    /// The actor.
    pub actor: Actor,
    /// The credential of the actor.
    pub credential: Option<ActorCredential>,
    /// The actor's reason.
    pub reason: Option<Reason>,
}

/// The number of bytes in which a request has repeated its reason so far.
#[derive(Debug, Clone, Copy, Default)]
struct ReasonRepeats {
    is_recorded: bool,
    bytes: usize,
}

impl ReasonRepeats {
    /// Returns the reason for the next event. The first event always has it, and further ones up to the limit.
    /// [`View::reason_of`] finds it for the rest.
    fn next(&mut self, metadata: &EventMetadata) -> Option<Reason> {
        let reason = metadata.reason.as_ref()?;
        if self.is_recorded {
            let bytes = self.bytes.saturating_add(reason.as_str().len());
            if bytes > REASON_REPEATS_BYTES_MAX {
                return None;
            }
            self.bytes = bytes;
        }
        self.is_recorded = true;
        Some(reason.clone())
    }
}

/// The receiver of new events, before they take effect.
pub trait EventSink {
    /// Returns an id that was never given before.
    fn next_event_id(&mut self) -> EventId;

    /// Accepts an event.
    ///
    /// # Errors
    /// The event cannot be recorded, so its command is refused.
    fn accept(&mut self, _event: &Event) -> Result<(), Rejection> {
        Ok(())
    }
}

/// The result of a batch of commands.
#[derive(Debug, Clone, Default)]
pub struct Decided {
    /// The events that it appends, in order.
    pub events: Vec<Arc<Event>>,
    /// For each command, the number of events up to and including its own.
    pub ends: Vec<usize>,
}

impl Decided {
    /// Returns the events of one command of the batch.
    pub fn events_of(&self, index: usize) -> &[Arc<Event>] {
        let start = index.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        let end = self.ends.get(index).copied().unwrap_or(start);
        self.events.get(start..end).unwrap_or_default()
    }
}

/// The command of a batch that was refused, and the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its position in the batch, from 0.
    pub index: usize,
    /// The reason.
    pub rejection: Rejection,
}

/// Decides commands one after the other, each on the facts that the earlier ones left, and applies all their events or none.
///
/// A workspace that is not shared is changed in place; a shared one is copied.
///
/// # Errors
/// The first command that is refused; the workspace is unchanged.
pub fn decide_all(
    workspace: &mut Arc<Workspace>,
    caller: &Caller,
    commands: &[(Command, GeneratedIds)],
    metadata: &EventMetadata,
    sink: &mut dyn EventSink,
) -> Result<Decided, Refused> {
    decide_all_at(workspace, metadata.time, caller, commands, metadata, sink)
}

/// Decides like [`decide_all`], with another instant for expiries than that of the metadata. A workspace whose newest event is ahead of the
/// clock needs this.
///
/// # Errors
/// Those of [`decide_all`].
pub fn decide_all_at(
    workspace: &mut Arc<Workspace>,
    instant: Instant,
    caller: &Caller,
    commands: &[(Command, GeneratedIds)],
    metadata: &EventMetadata,
    sink: &mut dyn EventSink,
) -> Result<Decided, Refused> {
    // A refused command changes nothing, so a single one needs no copy.
    let before = (commands.len() > 1).then(|| Arc::clone(workspace));
    let decided = decide_each(workspace, instant, caller, commands, metadata, sink);
    if let (Err(_), Some(before)) = (&decided, before) {
        *workspace = before;
    }
    decided
}

fn decide_each(
    workspace: &mut Arc<Workspace>,
    instant: Instant,
    caller: &Caller,
    commands: &[(Command, GeneratedIds)],
    metadata: &EventMetadata,
    sink: &mut dyn EventSink,
) -> Result<Decided, Refused> {
    let mut decided = Decided::default();
    let mut repeats = ReasonRepeats::default();
    let mut made = 0;
    for (index, (command, generated)) in commands.iter().enumerate() {
        let refused = |rejection| Refused { index, rejection };
        let view = View::seen_at(Arc::clone(workspace), workspace.head(), instant);
        let data = decide(&view, caller, command, generated).map_err(refused)?;
        drop(view);
        made += data.iter().filter(|data| commands.len() > 1 || !data.only_ends()).count();
        if made > EVENTS_MAX {
            return Err(refused(Rejection::TooLarge { what: "events a command", max: EVENTS_MAX }));
        }
        decided.events.extend(record(workspace, data, (metadata, &mut repeats), sink).map_err(refused)?);
        decided.ends.push(decided.events.len());
    }
    Ok(decided)
}

/// Appends an event for everything that has expired by the metadata's time, and returns the events.
///
/// # Errors
/// An event cannot be recorded; the workspace is unchanged.
pub fn expire(
    workspace: &mut Arc<Workspace>,
    metadata: &EventMetadata,
    sink: &mut dyn EventSink,
) -> Result<Vec<Arc<Event>>, Rejection> {
    expire_at(workspace, metadata.time, usize::MAX, metadata, sink)
}

/// Expires like [`expire`], by an instant that is not the metadata's, and only the earliest `limit` things.
///
/// # Errors
/// Those of [`expire`].
pub fn expire_at(
    workspace: &mut Arc<Workspace>,
    instant: Instant,
    limit: usize,
    metadata: &EventMetadata,
    sink: &mut dyn EventSink,
) -> Result<Vec<Arc<Event>>, Rejection> {
    let data = due(workspace, instant, limit);
    record(workspace, data, (metadata, &mut ReasonRepeats::default()), sink)
}

fn record(
    workspace: &mut Arc<Workspace>,
    data: Vec<EventData>,
    (metadata, repeats): (&EventMetadata, &mut ReasonRepeats),
    sink: &mut dyn EventSink,
) -> Result<Vec<Arc<Event>>, Rejection> {
    let mut revision = workspace.head();
    let mut events = Vec::with_capacity(data.len());
    for data in data {
        revision = revision.next();
        let event = Arc::new(Event {
            id: sink.next_event_id(),
            workspace: workspace.id(),
            revision,
            time: metadata.time,
            recorded: metadata.recorded,
            actor: metadata.actor.clone(),
            credential: metadata.credential,
            command: metadata.command,
            reason: repeats.next(metadata),
            data,
        });
        sink.accept(&event)?;
        events.push(event);
    }
    // Applied only when all are accepted, so nothing has to be undone.
    if !events.is_empty() {
        let workspace = Arc::make_mut(workspace);
        for event in &events {
            workspace.evolve(event);
        }
    }
    Ok(events)
}

/// Refuses an end that is not in the future. The end must also be later than the newest event, which may be ahead of the clock.
fn check_expiry(view: &View, expires_at: Option<Instant>) -> Result<(), Rejection> {
    let now = view.instant().max(view.workspace().head_time());
    match expires_at {
        Some(end) if end <= now => Err(Rejection::Invalid {
            field: "expires_at",
            why: format!("`{end}` is not in the future; it is {now} now"),
        }),
        _ => Ok(()),
    }
}
