//! `tenure replay`: the permission state, rebuilt from the first event of a log.

mod show;

use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};

use super::args::AtArgs;
use super::failure::Failure;
use super::history::{self, UnpackArgs};
use super::output::{Format, Output};
use crate::clock::{Clock, SystemClock};
use crate::domain::model::id::WorkspaceId;
use crate::domain::model::time::{Instant, Revision};
use crate::domain::state::coherence::Incoherent;
use crate::domain::state::permission_state::PermissionState;
use crate::domain::state::view::{At, View};
use crate::domain::state::workspace::Workspace;
use crate::log::codec::{self, StreamDecoder};
use crate::log::sqlite::SqliteLog;
use crate::log::{Directories, EVENT_BYTES_MAX, EventLog, LogError, StoredEvent};
use crate::proof::hash::TreeHash;
use crate::service::replay as replay_log;

/// The maximum number of workspaces named where one must be chosen.
const NAMED_MAX: usize = 20;
/// The longest line, in bytes: an event and the line's end.
const LINE_BYTES_MAX: usize = EVENT_BYTES_MAX + 2;

/// Rebuild the permission state from the first event of a log, and print it
///
/// Two replays of one log print the same bytes (`-o json`) on any machine. A data folder can be read while a server
/// uses it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tenure replay --data ./data --workspace acme --at 2026-03-01
  tenure replay log.jsonl.gz -o json")]
pub(super) struct ReplayArgs {
    /// A recorded log: one stored event a line, compressed with gzip or not; `-` is standard input
    #[arg(value_name = "FILE", required_unless_present = "data", conflicts_with = "data")]
    file: Option<PathBuf>,
    /// A data folder
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The workspace, by name or id; not needed if there is only one
    #[arg(long, short, value_name = "WS")]
    workspace: Option<String>,
    #[command(flatten)]
    at: AtArgs,
    #[command(flatten)]
    unpack: UnpackArgs,
    /// The output format
    #[arg(long, short, value_enum, default_value_t)]
    output: StateFormat,
}

/// The output format. A state is several tables, so there is no CSV of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum StateFormat {
    /// Tables, for people
    #[default]
    Table,
    /// The state in its one JSON form
    Json,
}

pub(super) fn replay(args: &ReplayArgs) -> Result<(), Failure> {
    let workspace = match (&args.file, &args.data) {
        (Some(file), _) => from_file(file, args.unpack, args.workspace.as_deref())?,
        (None, Some(data)) => from_store(data, args.workspace.as_deref())?,
        (None, None) => return Err(Failure::usage("give a recorded log, or `--data` and a data folder")),
    };
    let at = args.at.at.map_or(At::Now, At::from);
    let state = PermissionState::of(&View::new(Arc::new(workspace), at, SystemClock.now())?);
    let mut out = Output::stdout(Format::Table);
    match args.output {
        StateFormat::Table => show::state(&mut out, &state)?,
        StateFormat::Json => {
            let json = state.to_json().map_err(|error| Failure::usage(error.to_string()))?;
            out.bytes(json.as_bytes())?;
        }
    }
    out.flush()
}

fn from_store(data: &Path, named: Option<&str>) -> Result<Workspace, Failure> {
    let log = SqliteLog::attach(data)?;
    let id = find(&log, named, data)?;
    replay_log(&log, id)?.ok_or_else(|| unknown(&id.to_string(), data))
}

/// Finds the workspace with a name or id in a store; the only one if none is named.
///
/// # Errors
/// There is none, or there are several.
pub(super) fn find(log: &SqliteLog, named: Option<&str>, data: &Path) -> Result<WorkspaceId, Failure> {
    let Some(named) = named else { return only(log) };
    let found = match named.parse() {
        Ok(id) => log.head(id)?.map(|_| id),
        Err(_) => log.workspace_named(named)?,
    };
    found.ok_or_else(|| unknown(named, data))
}

fn unknown(named: &str, data: &Path) -> Failure {
    Failure::usage(format!("there is no workspace `{named}` in `{}`", data.display()))
}

/// Returns the only workspace of a store. Deleted workspaces count too, since their logs can be replayed.
fn only(log: &SqliteLog) -> Result<WorkspaceId, Failure> {
    let found = log.workspaces(None, NAMED_MAX)?;
    match found.as_slice() {
        [] => Err(Failure::usage("there is no workspace in it yet")),
        [only] => Ok(*only),
        several => {
            let several = several.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            Err(Failure::usage(format!("name the workspace with `--workspace`, by name or id: {several}")))
        }
    }
}

fn from_file(path: &Path, unpack: UnpackArgs, named: Option<&str>) -> Result<Workspace, Failure> {
    let mut lines = history::open(path, unpack, |file| file)?;
    let mut facts: Option<(Workspace, StreamDecoder)> = None;
    let mut text = Vec::new();
    let not_read = |error| Failure::File { what: "read", path: history::name_of(path), error };
    while next_line(&mut lines, &mut text).map_err(not_read)? {
        let bytes = text.trim_ascii();
        if bytes.is_empty() {
            continue;
        }
        if let Err(failure) = take_line(&mut facts, bytes) {
            return Err(lines.damage().map_or_else(|| explained(&failure, path, &text), not_read));
        }
    }
    let empty = || Failure::usage(format!("there is no event in `{}`", history::name_of(path)));
    let (workspace, _) = facts.ok_or_else(empty)?;
    check_named(&workspace, named)?;
    Ok(workspace)
}

/// Applies the stored event of a line to the facts. The first event makes them.
fn take_line(facts: &mut Option<(Workspace, StreamDecoder)>, bytes: &[u8]) -> Result<(), Failure> {
    let (workspace, decoder) = match facts {
        Some(facts) => facts,
        None => facts.insert(begin(bytes)?),
    };
    let revision = workspace.head().next();
    let (id, leaf) = (workspace.id(), TreeHash::of_leaf(bytes));
    let stored = StoredEvent { workspace: id, revision, position: revision.0, leaf, bytes };
    let event = Arc::new(decoder.decode(&stored)?);
    let incoherent = |why: Incoherent| LogError::Unreadable { workspace: id, revision, why: why.to_string() };
    Ok(workspace.evolve_checked(&event).map_err(incoherent)?)
}

/// Adds to the error about an invalid line whether the file ends within it.
fn explained(failure: &Failure, path: &Path, line: &[u8]) -> Failure {
    let name = history::name_of(path);
    if line.len() >= LINE_BYTES_MAX || line.ends_with(b"\n") {
        return Failure::usage(format!("`{name}`: {failure}"));
    }
    Failure::usage(format!("`{name}` may be cut short, for its last line has no end: {failure}; copy it again, whole"))
}

/// Returns the empty facts of the workspace that the first event names.
fn begin(first: &[u8]) -> Result<(Workspace, StreamDecoder), Failure> {
    let event = codec::decode(first)
        .map_err(|error| Failure::usage(format!("it does not begin with a stored event: {error}")))?;
    Ok((Workspace::empty(event.workspace), StreamDecoder::from_start(event.workspace)))
}

fn check_named(workspace: &Workspace, named: Option<&str>) -> Result<(), Failure> {
    let Some(named) = named else { return Ok(()) };
    let began = View::new(Arc::new(workspace.clone()), At::Revision(Revision(1)), Instant::EARLIEST)?;
    let name = began.description().map(|description| description.name.to_string());
    if named == workspace.id().to_string() || name.as_deref() == Some(named) {
        return Ok(());
    }
    let name = name.unwrap_or_else(|| workspace.id().to_string());
    Err(Failure::usage(format!("this is the log of the workspace `{name}`, not of `{named}`")))
}

/// Reads a line, up to the maximum length. Returns false at the end of the file.
fn next_line(lines: &mut impl BufRead, text: &mut Vec<u8>) -> std::io::Result<bool> {
    text.clear();
    let longest = u64::try_from(LINE_BYTES_MAX).unwrap_or(u64::MAX);
    Ok(lines.by_ref().take(longest).read_until(b'\n', text)? > 0)
}
