//! Importing recorded histories: decided line by line and appended in one commit, so a file is imported whole or not at all.
//!
//! The operator who imports a file vouches for the authority of its actors. Every other rule applies as to a change now. Nothing is
//! written before the last line is decided, so a bad line leaves nothing behind.

use std::io::{self, BufRead, Read};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::batch::directory_write;
use super::event_encoder::EventEncoder;
use super::id_generator::{self, IdGenerator, NoRandomness, command_id};
use crate::clock::Clock;
use crate::domain::model::command::{Command, CreateWorkspace, ServiceUserRef};
use crate::domain::model::event::Event;
use crate::domain::model::id::WorkspaceId;
use crate::domain::model::json;
use crate::domain::model::name::{InvalidText, Reason, WorkspaceName};
use crate::domain::model::principal::{Actor, Caller};
use crate::domain::model::rejection::Rejection;
use crate::domain::model::shape::ShapeError;
use crate::domain::model::time::{Instant, Revision};
use crate::domain::rules::decide::{EventMetadata, decide_all, expire};
use crate::domain::state::view::View;
use crate::domain::state::workspace::Workspace;
use crate::log::{Append, LogError, Outcome, SideWrite, Store};

/// The longest line, in bytes: the size of the largest request body. Parsing needs up to a hundred times that much memory.
pub const LINE_BYTES_MAX: u64 = 2 * 1_024 * 1_024;

/// The byte order mark of UTF-8.
const BYTE_ORDER_MARK: &[u8] = &[0xef, 0xbb, 0xbf];

/// The result of an import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The workspace that was made.
    pub workspace: WorkspaceId,
    /// Its name.
    pub name: WorkspaceName,
    /// The number of lines.
    pub lines: u64,
    /// The number of commands.
    pub commands: u64,
    /// The number of events.
    pub events: u64,
    /// The time of the last event.
    pub until: Instant,
}

/// The reason why a file was not imported. Nothing of it is stored. If the outcome of its commit is unknown, all or nothing is.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A line is wrong.
    #[error("line {line}: {why}")]
    Line {
        /// Its number, from 1.
        line: u64,
        /// The fault.
        why: LineError,
    },
    /// The file has no line.
    #[error("there is nothing in it: the first line creates the workspace")]
    Empty,
    /// A live workspace has the name.
    #[error("the workspace `{0}` exists already, and a history is only imported whole: delete that one first")]
    Exists(WorkspaceName),
    /// The file cannot be read to its end.
    #[error("cannot read it: {0}")]
    Read(io::Error),
    /// The store refused it.
    #[error("{0}")]
    Log(LogError),
}

/// The fault of a line.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// It is too long.
    #[error(
        "the line is longer than {LINE_BYTES_MAX} bytes: write one JSON object a line, and more commands on a next line"
    )]
    TooLong,
    /// Its bytes show how the file was damaged.
    #[error("column {column}: {fault}")]
    Bytes {
        /// The place, in bytes from 1.
        column: usize,
        /// The damage, and advice.
        fault: &'static str,
    },
    /// It is no JSON.
    #[error("column {column}: this is no JSON: {why}")]
    Json {
        /// The place, in bytes from 1.
        column: usize,
        /// The parser's message.
        why: String,
    },
    /// A field is missing, unknown or wrong.
    #[error("{0}")]
    Shape(ShapeError),
    /// Its time is in the future.
    #[error("`time`: `{time}` is in the future, and a history holds what has happened; it is {now} now")]
    Future {
        /// The time of the line.
        time: Instant,
        /// The current time.
        now: Instant,
    },
    /// It is out of order.
    #[error("`time`: `{time}` is earlier than `{before}`, the time of the line before: sort the lines by time")]
    Earlier {
        /// The time of the line.
        time: Instant,
        /// The time of the line before.
        before: Instant,
    },
    /// It is the first line and creates no workspace.
    #[error("missing field `workspace`: the first line creates the workspace")]
    NoWorkspace,
    /// It creates another workspace.
    #[error("`workspace`: only the first line creates the workspace: put another workspace into a file of its own")]
    SecondWorkspace,
    /// Its actor is invalid.
    #[error("`actor`: {0}")]
    Actor(String),
    /// A rule refused it.
    #[error("`{place}`: {rejection} ({})", rejection.code())]
    Refused {
        /// The command within the line.
        place: String,
        /// The refusal.
        rejection: Rejection,
    },
    /// A secret cannot be made.
    #[error("{0}")]
    Secret(#[from] NoRandomness),
}

/// A line of a history.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HistoryLine {
    time: Instant,
    actor: String,
    #[serde(default)]
    reason: Option<Reason>,
    #[serde(default)]
    workspace: Option<CreateWorkspace>,
    commands: Vec<Value>,
}

/// Imports a recorded history: a JSON object a line, the first of which creates the workspace.
///
/// # Errors
/// [`ImportError`] names the faulty line. Nothing was appended, unless the outcome is unknown.
pub fn import(
    log: &dyn Store,
    ids: &dyn IdGenerator,
    clock: &dyn Clock,
    file: impl BufRead,
) -> Result<Imported, ImportError> {
    decide_lines(ids, clock, file, |import| import.check_name(log))?.commit(log)
}

/// Decides a recorded history as [`import`] does, without a store, and returns the number of its lines.
///
/// # Errors
/// As [`import`], except for the store's errors.
pub fn check(ids: &dyn IdGenerator, clock: &dyn Clock, file: impl BufRead) -> Result<u64, ImportError> {
    decide_lines(ids, clock, file, |_| Ok(())).map(|import| import.lines)
}

/// Decides each line of a history. After the first one it calls `check_first`.
fn decide_lines<'a>(
    ids: &'a dyn IdGenerator,
    clock: &dyn Clock,
    mut file: impl BufRead,
    check_first: impl Fn(&Import<'_>) -> Result<(), ImportError>,
) -> Result<Import<'a>, ImportError> {
    let mut import = Import::new(ids, clock.now());
    let mut number = 0;
    let mut text = Vec::new();
    while read_line(&mut file, &mut text).map_err(ImportError::Read)? {
        number += 1;
        let wrong = |why| ImportError::Line { line: number, why };
        // A blank line costs no more than reading it.
        if text.trim_ascii().is_empty() {
            continue;
        }
        import.add_line(&text).map_err(wrong)?;
        if import.lines == 1 {
            check_first(&import)?;
        }
    }
    Ok(import)
}

/// Reads a line with its newline, or the longest part that is allowed; returns false at the end of the file.
fn read_line(file: &mut impl BufRead, text: &mut Vec<u8>) -> io::Result<bool> {
    text.clear();
    Ok(file.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', text)? > 0)
}

fn read_shape(text: &[u8]) -> Result<(HistoryLine, Vec<Command>), LineError> {
    if !text.ends_with(b"\n") && u64::try_from(text.len()).is_ok_and(|len| len >= LINE_BYTES_MAX) {
        return Err(LineError::TooLong);
    }
    let value: Value = json::parse(text).map_err(|error| not_read(text, &error))?;
    if !value.is_object() {
        let message = "invalid type: a line is an object with `time`, `actor` and `commands`".to_owned();
        return Err(LineError::Shape(ShapeError { path: String::new(), wrong_type: true, message }));
    }
    let mut line: HistoryLine = ShapeError::read(value).map_err(LineError::Shape)?;
    let commands = std::mem::take(&mut line.commands).into_iter().enumerate().map(|(index, command)| {
        Command::from_value(command).map_err(|error| LineError::Shape(error.within(&place(index))))
    });
    let commands = commands.collect::<Result<_, _>>()?;
    Ok((line, commands))
}

/// Returns the fault of a line that is no JSON: the damage that its bytes show, or else the parser's message.
fn not_read(text: &[u8], error: &serde_json::Error) -> LineError {
    let line = text.trim_ascii_end();
    let at = |place: usize, fault| LineError::Bytes { column: place + 1, fault };
    let place_of = |wanted: u8| line.iter().position(|byte| *byte == wanted);
    if let Some(place) = place_of(0) {
        return at(place, "zero bytes stand here, as after a crash or in UTF-16: copy the file again, as UTF-8");
    }
    let invalid = std::str::from_utf8(line).err();
    let is_cut = error.is_eof() || invalid.is_some_and(|invalid| invalid.error_len().is_none());
    if is_cut && !text.ends_with(b"\n") {
        return at(line.len(), "the file ends within this line: copy it again, whole");
    }
    if let Some(invalid) = invalid {
        return at(invalid.valid_up_to(), "this is no UTF-8: save the file as UTF-8");
    }
    if line.starts_with(BYTE_ORDER_MARK) {
        return at(0, "a byte order mark stands within the file: take it out");
    }
    match place_of(b'\r') {
        Some(place) => at(place, "a carriage return stands within the line: end each line with a newline"),
        None => no_json(error),
    }
}

/// Returns the parser's message without its line number, which counts within this one line.
fn no_json(error: &serde_json::Error) -> LineError {
    let text = error.to_string();
    let why = text.rsplit_once(" at line ").map_or(text.as_str(), |(why, _)| why);
    LineError::Json { column: error.column(), why: why.to_owned() }
}

fn place(index: usize) -> String {
    format!("commands[{index}]")
}

/// An import in progress: the facts so far, and the parts to append.
struct Import<'a> {
    ids: &'a dyn IdGenerator,
    now: Instant,
    root: Arc<Workspace>,
    last: Instant,
    parts: Vec<Append>,
    name: Option<WorkspaceName>,
    lines: u64,
    commands: u64,
}

impl<'a> Import<'a> {
    fn new(ids: &'a dyn IdGenerator, now: Instant) -> Self {
        let root = Arc::new(Workspace::empty(id_generator::workspace_id(ids)));
        Self { ids, now, root, last: Instant::EARLIEST, parts: Vec::new(), name: None, lines: 0, commands: 0 }
    }

    /// Decides a line, after the expiries before it.
    fn add_line(&mut self, text: &[u8]) -> Result<(), LineError> {
        let (HistoryLine { time, actor, reason, workspace, .. }, commands) = read_shape(text)?;
        let reason = reason.filter(|reason| !reason.as_str().is_empty());
        self.check_time(time)?;
        self.expire_until(time)?;
        let actor = self.actor(&actor, time)?;
        match (workspace, &self.name) {
            (Some(workspace), None) => self.create(workspace, time, &actor, reason.clone())?,
            (None, Some(_)) => {}
            (None, None) => return Err(LineError::NoWorkspace),
            (Some(_), Some(_)) => return Err(LineError::SecondWorkspace),
        }
        self.lines += 1;
        self.commands += u64::try_from(commands.len()).unwrap_or(u64::MAX);
        self.submit(commands, time, actor, reason, place)
    }

    fn check_time(&mut self, time: Instant) -> Result<(), LineError> {
        let before = std::mem::replace(&mut self.last, time);
        if time > self.now {
            Err(LineError::Future { time, now: self.now })
        } else if time < before {
            Err(LineError::Earlier { time, before })
        } else {
            Ok(())
        }
    }

    /// Returns the actor of a line. A service user has the name that it had then.
    fn actor(&self, text: &str, time: Instant) -> Result<Actor, LineError> {
        let view = View::now(Arc::clone(&self.root), time);
        let actor = match text.split_once(':') {
            None if text == "operator" => Ok(Actor::Operator),
            Some(("user", id)) => id.parse().map(Actor::User).map_err(|error: InvalidText| error.to_string()),
            Some(("service_user", name)) => {
                let found = view.find_service_user(&ServiceUserRef::from(name));
                found.map(|found| Actor::ServiceUser(found.id)).map_err(|error| error.to_string())
            }
            _ => {
                let rule = "an actor is written `operator`, `user:ID` or `service_user:NAME`";
                Err(InvalidText::new(text, rule).to_string())
            }
        };
        actor.map_err(LineError::Actor)
    }

    /// Adds a command by the system for each instant of an expiry.
    fn expire_until(&mut self, time: Instant) -> Result<(), LineError> {
        while let Some(end) = self.root.next_expiry().filter(|end| *end <= time) {
            let stamp = self.stamp(end, Actor::System, None);
            let mut stored = EventEncoder::new(self.ids);
            let refused = |rejection| LineError::Refused { place: "an expiry".to_owned(), rejection };
            let events = expire(&mut self.root, &stamp, &mut stored).map_err(refused)?;
            self.push(&events, stored.bytes, Vec::new());
        }
        Ok(())
    }

    fn create(
        &mut self,
        workspace: CreateWorkspace,
        time: Instant,
        actor: &Actor,
        reason: Option<Reason>,
    ) -> Result<(), LineError> {
        self.name = Some(workspace.name.clone());
        self.submit(vec![workspace.into()], time, actor.clone(), reason, |_| "workspace".to_owned())
    }

    fn submit(
        &mut self,
        commands: Vec<Command>,
        time: Instant,
        actor: Actor,
        reason: Option<Reason>,
        place: impl Fn(usize) -> String,
    ) -> Result<(), LineError> {
        let profiles = commands.iter().filter_map(Command::profile);
        let profiles = profiles.map(|(user, profile)| SideWrite::SetProfile(user, profile)).collect();
        let caller = Caller::ImportedActor(actor.clone());
        let stamp = self.stamp(time, actor, reason);
        // The secrets of new credentials are dropped here, so nobody can use them.
        let fresh = |command| Ok((command, id_generator::fresh(self.ids)?.0));
        let commands = commands.into_iter().map(fresh).collect::<Result<Vec<_>, NoRandomness>>()?;
        let mut stored = EventEncoder::new(self.ids);
        let decided = decide_all(&mut self.root, &caller, &commands, &stamp, &mut stored);
        let refused = |index, rejection| LineError::Refused { place: place(index), rejection };
        let decided = decided.map_err(|error| refused(error.index, error.rejection))?;
        self.push(&decided.events, stored.bytes, profiles);
        Ok(())
    }

    fn stamp(&self, time: Instant, actor: Actor, reason: Option<Reason>) -> EventMetadata {
        EventMetadata { command: command_id(self.ids), time, recorded: Some(self.now), actor, credential: None, reason }
    }

    /// Adds a part. Without events there is none: it would be written even if earlier parts were refused.
    fn push(&mut self, events: &[Arc<Event>], stored: Vec<Vec<u8>>, mut side_writes: Vec<SideWrite>) {
        let Some(first) = events.first() else { return };
        side_writes.extend(events.iter().filter_map(|event| directory_write(event)));
        let expected = Revision(first.revision.0.saturating_sub(1));
        self.parts.push(Append { workspace: self.root.id(), expected, events: stored, side_writes });
    }

    /// Checks early that the name is free. The store checks it again.
    fn check_name(&self, log: &dyn Store) -> Result<(), ImportError> {
        let Some(name) = &self.name else { return Ok(()) };
        match log.workspace_named(name.as_str()).map_err(ImportError::Log)? {
            Some(_) => Err(ImportError::Exists(name.clone())),
            None => Ok(()),
        }
    }

    /// Appends all parts in one batch. Each expects the revision that the one before it leaves, so all are written or none.
    fn commit(mut self, log: &dyn Store) -> Result<Imported, ImportError> {
        let next_expiry = SideWrite::NextExpiry(self.root.next_expiry());
        let (Some(name), Some(last)) = (self.name, self.parts.last_mut()) else { return Err(ImportError::Empty) };
        last.side_writes.push(next_expiry);
        match append(log, &self.parts).map_err(ImportError::Log)? {
            Outcome::Appended => Ok(Imported {
                workspace: self.root.id(),
                name,
                lines: self.lines,
                commands: self.commands,
                events: self.root.head().0,
                until: self.root.head_time(),
            }),
            Outcome::NameTaken => Err(ImportError::Exists(name)),
            Outcome::Conflict | Outcome::Damaged => {
                let why = "the store did not take the history, and nothing of it was imported: try again";
                Err(ImportError::Log(LogError::Unavailable(why.to_owned())))
            }
        }
    }
}

/// Appends the parts of one workspace. If the outcome is unknown, looks for them in the log: all are there, or none.
fn append(log: &dyn Store, parts: &[Append]) -> Result<Outcome, LogError> {
    match log.append(parts) {
        Ok(appended) => {
            let refused = appended.outcomes.into_iter().find(|outcome| *outcome != Outcome::Appended);
            Ok(refused.unwrap_or(Outcome::Appended))
        }
        Err(LogError::OutcomeUnknown(why)) => look_up(log, parts).map_err(|error| {
            let advice = "look whether the workspace is there before you import the history again";
            LogError::OutcomeUnknown(format!("{why}; {error}: {advice}"))
        }),
        Err(error) => Err(error),
    }
}

/// Looks in the reopened log for parts that were appended together.
fn look_up(log: &dyn Store, parts: &[Append]) -> Result<Outcome, LogError> {
    log.reopen()?;
    let Some(first) = parts.first() else { return Ok(Outcome::Appended) };
    Ok(if log.holds(first)? { Outcome::Appended } else { Outcome::Conflict })
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::clock::SystemClock;
    use crate::service::id_generator::RandomIdGenerator;

    /// Returns the lines that were decided, and the number of checks after the first one.
    fn checks_of(file: &str) -> (Option<u64>, u64) {
        let checks = Cell::new(0);
        let check = |_: &Import<'_>| {
            checks.set(checks.get() + 1);
            Ok(())
        };
        let decided = decide_lines(&RandomIdGenerator, &SystemClock, file.as_bytes(), check);
        (decided.ok().map(|import| import.lines), checks.get())
    }

    #[test]
    fn the_first_line_is_checked_once_however_many_blank_lines_are_around_it() {
        let first = "{\"time\":\"2024-01-01T00:00:00Z\",\"actor\":\"operator\",\"workspace\":{\"name\":\"acme\",\
                     \"kind\":\"shared\",\"plan\":\"team\",\"owner\":{\"user\":\"alice\"}},\"commands\":[]}\n";
        let second = "{\"time\":\"2024-01-02T00:00:00Z\",\"actor\":\"operator\",\"commands\":[]}\n";
        for blank in ["", "\n", "\r\n", " \t \n"] {
            let blank = blank.repeat(1_000);
            assert_eq!(checks_of(&format!("{blank}{first}{blank}")), (Some(1), 1), "{blank:.4?}");
            assert_eq!(checks_of(&format!("{blank}{first}{blank}{second}{blank}")), (Some(2), 1), "{blank:.4?}");
            assert_eq!(checks_of(&blank), (Some(0), 0), "{blank:.4?}");
        }
    }
}
