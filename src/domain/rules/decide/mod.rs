//! `decide`: command × view → events, or why not.
//!
//! Refusals are judged in one order for every command: authority first, then whether what is named exists, then the rules of
//! the command's own row in the design's table, from left to right. A command that breaks no rule and would change nothing
//! gives no events.

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
use crate::domain::model::id::{CommandId, EventId, Fresh};
use crate::domain::model::name::Reason;
use crate::domain::model::principal::{Actor, Caller, CredentialId};
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
/// The most resource types of a workspace's own.
pub const RESOURCE_TYPES_MAX: usize = 200;
/// The most actions of a resource type.
pub const ACTIONS_MAX: usize = 100;
/// The most resources that are placed in a workspace.
pub const PLACEMENTS_MAX: usize = 100_000;
/// The most environments in the scope of a proxy token.
pub const SCOPE_MAX: usize = 1_000;
/// The most events of one request. Of a single command, those that only end something are not counted, so that nothing that
/// was made can be too large to end.
pub const EVENTS_MAX: usize = 10_000;

/// The most bytes that the events of one request repeat of its reason, all together, after the first of them.
pub const REASON_REPEATS_BYTES_MAX: usize = 4_096;

/// What a command may append, in order; nothing if it would change nothing.
pub type Decision = Result<Vec<EventData>, Rejection>;

/// Judges a command against a view at the head: what it appends, or why it is refused.
///
/// # Errors
/// The first rule that says no.
pub fn decide(view: &View, caller: &Caller, command: &Command, fresh: &Fresh) -> Decision {
    let standing = authority::authorize(view, caller, command)?;
    if !view.exists() && !matches!(command, Command::CreateWorkspace(_)) {
        return Err(Rejection::not_found("workspace", &view.workspace().id().to_string()));
    }
    match command {
        Command::CreateWorkspace(command) => workspaces::create(view, command, fresh),
        Command::DeleteWorkspace(_) => Ok(workspaces::delete(view)),
        Command::ChangePlan(command) => Ok(workspaces::change_plan(view, command)),
        Command::EnableRbac(_) => workspaces::enable_rbac(view),
        Command::DisableRbac(_) => Ok(workspaces::disable_rbac(view)),
        Command::AddMember(command) => members::add(view, &standing, command),
        Command::ChangeMemberRole(command) => members::change_role(view, &standing, command),
        Command::RemoveMember(command) => members::remove(view, &standing, command),
        Command::CreateServiceUser(command) => members::create_service_user(view, caller, command, fresh),
        Command::DeleteServiceUser(command) => members::delete_service_user(view, command),
        Command::IssueToken(command) => credentials::issue_token(view, caller, command, fresh),
        Command::RevokeToken(command) => credentials::revoke_token(view, &standing, command),
        Command::CreateEnvironment(command) => environments::create(view, caller, command, fresh),
        Command::RenameEnvironment(command) => environments::rename(view, command),
        Command::RestrictEnvironment(command) => environments::restrict(view, caller, command),
        Command::SetDefaultRole(command) => environments::set_default_role(view, command),
        Command::UnrestrictEnvironment(command) => environments::unrestrict(view, command),
        Command::DeleteEnvironment(command) => environments::delete(view, command),
        Command::SetGrant(command) => grants::set(view, caller, command),
        Command::RevokeGrant(command) => grants::revoke(view, command),
        Command::CreateProxyToken(command) => credentials::create_proxy_token(view, caller, command, fresh),
        Command::SetProxyTokenEnvironments(command) => credentials::set_scope(view, command),
        Command::RevokeProxyToken(command) => credentials::revoke_proxy_token(view, command),
        Command::IssueAccessKey(command) => credentials::issue_access_key(view, caller, command, fresh),
        Command::RevokeAccessKey(command) => credentials::revoke_access_key(view, command),
        Command::DefineResourceType(command) => resources::define(view, command),
        Command::PlaceResource(command) => resources::place(view, command),
        Command::RemoveResource(command) => resources::remove(view, command),
    }
}

/// What every event of a command carries alike.
#[derive(Debug, Clone)]
pub struct Stamp {
    /// The command.
    pub command: CommandId,
    /// When it happens.
    pub time: Instant,
    /// When it is recorded, where that is later.
    pub recorded: Option<Instant>,
    /// Who makes the change.
    pub actor: Actor,
    /// What they proved themselves with.
    pub credential: Option<CredentialId>,
    /// Why, in their words.
    pub reason: Option<Reason>,
}

/// What the events of a request have said of its reason so far.
#[derive(Debug, Clone, Copy, Default)]
struct Said {
    is_said: bool,
    repeated: usize,
}

impl Said {
    /// The reason that the next event carries. The first carries it always, the others while the repeats are few:
    /// [`View::reason_of`] finds that of the first for the rest.
    fn next(&mut self, stamp: &Stamp) -> Option<Reason> {
        let reason = stamp.reason.as_ref()?;
        if self.is_said {
            let repeated = self.repeated.saturating_add(reason.as_str().len());
            if repeated > REASON_REPEATS_BYTES_MAX {
                return None;
            }
            self.repeated = repeated;
        }
        self.is_said = true;
        Some(reason.clone())
    }
}

/// Gives events their ids, and takes them down before they count.
pub trait Recorder {
    /// An id that was never given before.
    fn next_event_id(&mut self) -> EventId;

    /// Takes an event down.
    ///
    /// # Errors
    /// It cannot be recorded, so what it is an event of is refused.
    fn take_down(&mut self, _event: &Event) -> Result<(), Rejection> {
        Ok(())
    }
}

/// What a batch of commands came to.
#[derive(Debug, Clone, Default)]
pub struct Decided {
    /// What it appends, in order.
    pub events: Vec<Arc<Event>>,
    /// For each command, how many of the events are its own or of those before it.
    pub ends: Vec<usize>,
}

impl Decided {
    /// The events of one command of the batch.
    pub fn events_of(&self, index: usize) -> &[Arc<Event>] {
        let start = index.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        let end = self.ends.get(index).copied().unwrap_or(start);
        self.events.get(start..end).unwrap_or_default()
    }
}

/// Which command of a batch was refused, counted from 0, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its place in the batch.
    pub index: usize,
    /// Why.
    pub rejection: Rejection,
}

/// Judges commands one after the other, each against the facts that the ones before it left, and takes what they come to into the
/// workspace: all of them, or none. It is changed where it is if nobody else has it, and copied if someone does.
///
/// # Errors
/// The first command that is refused; the workspace is as it was.
pub fn decide_all(
    workspace: &mut Arc<Workspace>,
    caller: &Caller,
    commands: &[(Command, Fresh)],
    stamp: &Stamp,
    recorder: &mut dyn Recorder,
) -> Result<Decided, Refused> {
    decide_all_at(workspace, stamp.time, caller, commands, stamp, recorder)
}

/// As [`decide_all`], where what has expired is judged at an instant that is not the stamp's: in a workspace whose newest event is ahead
/// of the clock.
///
/// # Errors
/// As [`decide_all`].
pub fn decide_all_at(
    workspace: &mut Arc<Workspace>,
    instant: Instant,
    caller: &Caller,
    commands: &[(Command, Fresh)],
    stamp: &Stamp,
    recorder: &mut dyn Recorder,
) -> Result<Decided, Refused> {
    // A command alone leaves nothing behind when it is refused.
    let before = (commands.len() > 1).then(|| Arc::clone(workspace));
    let decided = decide_each(workspace, instant, caller, commands, stamp, recorder);
    if let (Err(_), Some(before)) = (&decided, before) {
        *workspace = before;
    }
    decided
}

fn decide_each(
    workspace: &mut Arc<Workspace>,
    instant: Instant,
    caller: &Caller,
    commands: &[(Command, Fresh)],
    stamp: &Stamp,
    recorder: &mut dyn Recorder,
) -> Result<Decided, Refused> {
    let mut decided = Decided::default();
    let mut said = Said::default();
    let mut made = 0;
    for (index, (command, fresh)) in commands.iter().enumerate() {
        let refused = |rejection| Refused { index, rejection };
        let view = View::seen_at(Arc::clone(workspace), workspace.head(), instant);
        let data = decide(&view, caller, command, fresh).map_err(refused)?;
        drop(view);
        made += data.iter().filter(|data| commands.len() > 1 || !data.is_end()).count();
        if made > EVENTS_MAX {
            return Err(refused(Rejection::TooLarge { what: "events a command", max: EVENTS_MAX }));
        }
        decided.events.extend(record(workspace, data, (stamp, &mut said), recorder).map_err(refused)?);
        decided.ends.push(decided.events.len());
    }
    Ok(decided)
}

/// Takes note of what has expired by the stamp's time; gives what it appends.
///
/// # Errors
/// It cannot be recorded; the workspace is as it was.
pub fn expire(
    workspace: &mut Arc<Workspace>,
    stamp: &Stamp,
    recorder: &mut dyn Recorder,
) -> Result<Vec<Arc<Event>>, Rejection> {
    expire_at(workspace, stamp.time, stamp, recorder)
}

/// As [`expire`], of what has expired by an instant that is not the stamp's.
///
/// # Errors
/// As [`expire`].
pub fn expire_at(
    workspace: &mut Arc<Workspace>,
    instant: Instant,
    stamp: &Stamp,
    recorder: &mut dyn Recorder,
) -> Result<Vec<Arc<Event>>, Rejection> {
    let data = due(workspace, instant);
    record(workspace, data, (stamp, &mut Said::default()), recorder)
}

fn record(
    workspace: &mut Arc<Workspace>,
    data: Vec<EventData>,
    (stamp, said): (&Stamp, &mut Said),
    recorder: &mut dyn Recorder,
) -> Result<Vec<Arc<Event>>, Rejection> {
    let mut revision = workspace.head();
    let mut events = Vec::with_capacity(data.len());
    for data in data {
        revision = revision.next();
        let event = Arc::new(Event {
            id: recorder.next_event_id(),
            workspace: workspace.id(),
            revision,
            time: stamp.time,
            recorded: stamp.recorded,
            actor: stamp.actor.clone(),
            credential: stamp.credential,
            command: stamp.command,
            reason: said.next(stamp),
            data,
        });
        recorder.take_down(&event)?;
        events.push(event);
    }
    // Only now, so that nothing has to be undone.
    if !events.is_empty() {
        let workspace = Arc::make_mut(workspace);
        for event in &events {
            workspace.evolve(event);
        }
    }
    Ok(events)
}

/// Refuses an end that is not in the future. It must be later than the newest event too, which may be ahead of the clock.
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
