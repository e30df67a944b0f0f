//! `tenure verify`: checks that a log is what its checkpoint signs, and that it only grew.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::evidence::check::{self, is_evidence};
use super::failure::Failure;
use super::output::{Format, Output, remark};
use super::served::ServedLog;
use super::session::{Session, SessionArgs};
use super::verdict::{Unverified, ignored, same_key, verified};
use crate::clock::{Clock, SystemClock};
use crate::config;
use crate::domain::model::event::Event;
use crate::domain::model::id::WorkspaceId;
use crate::domain::rules::provenance;
use crate::domain::state::workspace::Workspace;
use crate::log::published::{CHECKPOINT_FILE, LogFolder, PublishedLog, StoredLog, key_chain, read_regular};
use crate::log::snapshot::{self, BadSnapshot, Snapshot};
use crate::log::sqlite::SqliteLog;
use crate::log::verify::Verifier;
use crate::log::{Directories, LogError, SnapshotStore};
use crate::proof::checkpoint::{Checkpoint, CheckpointError, Signer};
use crate::proof::note::{NoteError, Origin, VerifierKey};
use crate::service::inspect::{Inspected, inspect};

/// The folder of a log's tiles.
const TILES_FOLDER: &str = "tile";
/// The exit code for a flaw.
const FLAWED: u8 = 1;
/// The most flaws of a data folder that are printed.
const FLAWS_SHOWN_MAX: usize = 20;
/// The longest file of a key or a checkpoint, in bytes.
const SMALL_FILE_BYTES_MAX: u64 = 64 * 1_024;
/// The byte order mark, which some programs write at the start of a text.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// Check that a log is what its checkpoint signs: every byte, from the first event on
///
/// It checks the signature, every leaf and node, and that the log only grew since a kept checkpoint. Each event must be readable,
/// possible after those before it, and made with a credential that its actor held. No revision may be missing, and time may not run
/// back. Of evidence, it checks every file, and derives the answer again if the log is included. Of a data folder, it also compares
/// every table, and the files beside the store, with the logs of all workspaces. Exits with 0 if all is well, 1 if not, 2 if neither
/// can be shown.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tenure verify acme-log --key acme.vkey --since checkpoint.kept     an export, or evidence
  tenure verify https://tenure.example.com --key acme.vkey           a served log, asked as TENURE_TOKEN_ID
  tenure verify --data ./data                                        a data folder, compared with itself
  tenure verify --data ./data --key acme.vkey                        the same, and the log of the key")]
pub(super) struct VerifyArgs {
    /// The folder of an export or of evidence, or the address of a server
    #[arg(value_name = "DIR or URL", required_unless_present = "data", conflicts_with = "data")]
    target: Option<String>,
    /// A data folder
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The verifier key, or a file with it: one that you have from elsewhere, not from the log itself
    #[arg(long, value_name = "VKEY", required_unless_present = "data")]
    key: Option<KeyGiven>,
    /// A checkpoint that you kept: the log must have grown from it
    #[arg(long, value_name = "FILE", requires = "key")]
    since: Option<PathBuf>,
    /// Of a data folder without a key: the beginning of its logs' names, as the server has it
    #[arg(long, env = "TENURE_ORIGIN", value_name = "NAME", default_value_t)]
    origin: Origin,
    /// Of evidence: refuse it without the log, from which the answer is derived again
    #[arg(long)]
    require_log: bool,
    /// The id of your credential on the server; its secret is in `TENURE_TOKEN_SECRET`
    #[arg(long, env = "TENURE_TOKEN_ID", value_name = "ID")]
    token_id: Option<String>,
}

/// A verifier key, given as text or as a file.
#[derive(Debug, Clone)]
pub(super) struct KeyGiven(pub(super) VerifierKey);

impl std::str::FromStr for KeyGiven {
    type Err = String;

    /// Parses a key, or reads it from a file. An error never quotes the file, which may hold a secret by mistake.
    fn from_str(text: &str) -> Result<Self, String> {
        let form = "a verifier key is one line, as `tenure key` prints it";
        let file = Path::new(text);
        if file.exists() {
            let read = read_small(file).map_err(|failure| failure.to_string())?;
            return read.parse().map(Self).map_err(|_| format!("there is no verifier key in that file: {form}"));
        }
        text.parse().map(Self).map_err(|_| format!("it is neither a verifier key nor a file that is there: {form}"))
    }
}

pub(super) fn verify(args: &VerifyArgs) -> Result<ExitCode, Failure> {
    match find_flaws(args) {
        Ok(lines) => {
            let mut out = Output::stdout(Format::Table);
            for line in lines {
                out.line(&line)?;
            }
            out.flush()?;
            Ok(ExitCode::SUCCESS)
        }
        Err(Unverified::Flawed(what)) => {
            remark(&format!("not verified: {what}"));
            Ok(ExitCode::from(FLAWED))
        }
        Err(Unverified::Failed(failure)) => Err(failure),
    }
}

/// Verifies the target of the arguments, and returns the lines to print.
fn find_flaws(args: &VerifyArgs) -> Result<Vec<String>, Unverified> {
    let Some(KeyGiven(key)) = &args.key else {
        let data = args.data.as_deref().ok_or_else(|| Failure::usage("say with `--key` what it is verified with"))?;
        let log = SqliteLog::attach(data).map_err(Failure::from)?;
        return Ok(vec![verify_tables(&log, signer(data, args.origin.clone())?.as_ref())?]);
    };
    let kept = |log: &dyn PublishedLog| args.since.as_deref().map(|file| open_kept(file, key, log)).transpose();
    let workspace = Verifier::new(key, None)?.workspace();
    if let Some(data) = &args.data {
        return verify_store(data, key, workspace, kept);
    }
    let target = args.target.as_deref().unwrap_or_default();
    if target.starts_with("http://") || target.starts_with("https://") {
        let log = served(args, target, workspace)?;
        let kept = kept(&log)?;
        return Ok(vec![verify_log(&log, &Verifier::new(key, kept.as_ref())?)?]);
    }
    let folder = Path::new(target);
    let kept = kept(&LogFolder::new(folder))?;
    if is_evidence(folder) {
        return check::verify(folder, key, kept.as_ref(), args.require_log);
    }
    verify_export(folder, key, &Verifier::new(key, kept.as_ref())?)
}

/// Verifies a folder of an export or of evidence as `tenure verify` does, and returns the lines that it prints.
///
/// # Errors
/// The first flaw of the folder, or the reason why it cannot be verified.
pub fn verify_folder(folder: &Path, key: &VerifierKey) -> Result<Vec<String>, String> {
    let result = Verifier::new(key, None).map_err(Unverified::from).and_then(|verifier| {
        if is_evidence(folder) {
            check::verify(folder, key, None, false)
        } else {
            verify_export(folder, key, &verifier)
        }
    });
    result.map_err(|unverified| match unverified {
        Unverified::Flawed(what) => what,
        Unverified::Failed(failure) => failure.to_string(),
    })
}

fn verify_export(folder: &Path, key: &VerifierKey, verifier: &Verifier<'_>) -> Result<Vec<String>, Unverified> {
    let log = log_folder(folder)?;
    same_key(&log, key)?;
    let verified = verify_log(&log, verifier)?;
    Ok(std::iter::once(verified).chain(ignored(folder)?).collect())
}

/// Opens a folder that holds a log, or a part of one.
fn log_folder(folder: &Path) -> Result<LogFolder, Failure> {
    let shown = folder.display();
    if !folder.is_dir() {
        return Err(Failure::usage(format!("`{shown}` is no folder, and no address of a server")));
    }
    if SqliteLog::is_in(folder) {
        return Err(Failure::usage(format!("`{shown}` is a data folder: say `--data {shown}`")));
    }
    if [CHECKPOINT_FILE, TILES_FOLDER].iter().any(|part| folder.join(part).exists()) {
        return Ok(LogFolder::new(folder));
    }
    Err(Failure::usage(format!("there is neither a log nor evidence in `{shown}`")))
}

/// Opens a kept checkpoint, which a key of the log must have signed.
///
/// # Errors
/// `Failed` if the file holds no checkpoint, which says nothing about the log. `Flawed` if no key of the log signed it.
fn open_kept(file: &Path, key: &VerifierKey, log: &dyn PublishedLog) -> Result<Checkpoint, Unverified> {
    let (shown, note) = (file.display(), as_sent(&read_small(file)?));
    let opened = match Checkpoint::open(&note, key) {
        Err(CheckpointError::Note(NoteError::Unsigned(_))) => {
            Checkpoint::open_with(&note, &key_chain(log)?.around(key)).map(|(checkpoint, _)| checkpoint)
        }
        opened => opened,
    };
    opened.map_err(|error| match error {
        CheckpointError::Note(NoteError::Form(_)) | CheckpointError::Form => Failure::usage(format!(
            "the checkpoint in `{shown}` cannot be read: {error}; keep it as the server sends it"
        ))
        .into(),
        error => Unverified::Flawed(format!("the checkpoint in `{shown}`: {error}")),
    })
}

/// Returns a note with the line ends that an editor, a mail program or a shell may have changed: newlines only.
fn as_sent(note: &str) -> String {
    note.trim_end().lines().flat_map(|line| [line.trim_end(), "\n"]).collect()
}

/// Reads a short text: UTF-16 if it has that byte order mark, else UTF-8.
fn read_small(file: &Path) -> Result<String, Failure> {
    let failed = |why: &dyn std::fmt::Display| Failure::usage(format!("`{}` cannot be read: {why}", file.display()));
    let bytes = read_regular(file, SMALL_FILE_BYTES_MAX).map_err(|error| failed(&error))?;
    decoded(bytes).ok_or_else(|| failed(&"it is no text: save it as UTF-8"))
}

/// Returns the text of a file without its byte order mark; `None` if the bytes are no text.
fn decoded(bytes: Vec<u8>) -> Option<String> {
    let unit_of: fn([u8; 2]) -> u16 = match bytes.as_slice() {
        [0xff, 0xfe, ..] => u16::from_le_bytes,
        [0xfe, 0xff, ..] => u16::from_be_bytes,
        _ => {
            let text = String::from_utf8(bytes).ok()?;
            return Some(text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&text).to_owned());
        }
    };
    let (units, odd) = bytes.as_chunks();
    let units: Vec<u16> = units.iter().skip(1).map(|unit| unit_of(*unit)).collect();
    if odd.is_empty() { String::from_utf16(&units).ok() } else { None }
}

fn served(args: &VerifyArgs, target: &str, workspace: WorkspaceId) -> Result<ServedLog, Failure> {
    let below = format!("/v1/workspaces/{workspace}/log");
    let session = Session::open(SessionArgs {
        // The address of the log itself works too, by the workspace's name or id.
        url: target.split("/v1/workspaces/").next().unwrap_or(target).trim_end_matches('/').to_owned(),
        token_id: args.token_id.clone(),
        workspace: None,
        output: Format::Table,
    })?;
    Ok(ServedLog::new(session.client(), below))
}

fn verify_store(
    data: &Path,
    key: &VerifierKey,
    workspace: WorkspaceId,
    kept: impl Fn(&dyn PublishedLog) -> Result<Option<Checkpoint>, Unverified>,
) -> Result<Vec<String>, Unverified> {
    let log = SqliteLog::attach(data).map_err(Failure::from)?;
    let signer = signer(data, key.origin().instance())?;
    let signer = signer.ok_or_else(|| Unverified::Flawed(format!("there is no `{}` in it", config::LOG_KEY_FILE)))?;
    let tables = verify_tables(&log, Some(&signer))?;
    // The snapshot is read before the log, so it cannot hold events that are appended meanwhile.
    let snapshot = log.snapshot(workspace).map_err(Failure::from)?;
    let stored = StoredLog::of(&log, workspace, &signer).map_err(not_read)?;
    let missing =
        || Unverified::Flawed(format!("workspace {workspace}: there is no log of it in `{}`", data.display()));
    let stored = stored.ok_or_else(missing)?;
    let kept = kept(&stored)?;
    let mut lines = vec![verify_log(&stored, &Verifier::new(key, kept.as_ref())?)?];
    check_newest_key(&log, &signer).map_err(Unverified::Flawed)?;
    if let Some(bytes) = snapshot {
        lines.push(verify_snapshot(&snapshot::read(&bytes, workspace, &signer.key), workspace, &log)?);
    }
    lines.push(tables);
    Ok(lines)
}

/// Checks that the key of a data folder is the newest one in its store.
fn check_newest_key(log: &SqliteLog, signer: &Signer) -> Result<(), String> {
    let known = log.log_keys().map_err(|error| error.to_string())?;
    match known.last() {
        Some(newest) if newest.key != signer.key.public() => Err(format!(
            "the key in `{}` is `{}`, and the newest one that the store knows is `{}`",
            config::LOG_KEY_FILE,
            signer.key.public(),
            newest.key
        )),
        _ => Ok(()),
    }
}

/// Returns the signer of a data folder's logs, if its key is there.
fn signer(data: &Path, instance: Origin) -> Result<Option<Signer>, Failure> {
    let given = std::env::var(config::LOG_KEY_VARIABLE).ok();
    Ok(config::find_log_key(data, given)?.map(|key| Signer { key, instance }))
}

/// Compares every table of a store, and the witnesses beside it, with the logs.
fn verify_tables(log: &SqliteLog, signer: Option<&Signer>) -> Result<String, Unverified> {
    let Inspected { workspaces, events, flaws } = inspect(log, signer, SystemClock.now()).map_err(not_read)?;
    if flaws.is_empty() {
        let beside = if signer.is_some() { ", and what lies beside the store," } else { "" };
        return Ok(format!(
            "compared: every table{beside} says what the logs say, of {workspaces} workspaces with {events} events"
        ));
    }
    let more = flaws.len().saturating_sub(FLAWS_SHOWN_MAX);
    let mut shown: Vec<String> = flaws.into_iter().take(FLAWS_SHOWN_MAX).collect();
    if more > 0 {
        shown.push(format!("there are {more} more"));
    }
    Err(Unverified::Flawed(shown.join("\nnot verified: ")))
}

/// Converts an error of a store that does not give its log: a flaw if the log is unreadable, else a failure.
fn not_read(error: LogError) -> Unverified {
    match error {
        error @ LogError::Unreadable { .. } => Unverified::Flawed(error.to_string()),
        error => Unverified::Failed(error.into()),
    }
}

/// Checks that a snapshot is the state that its verified log gives.
fn verify_snapshot(
    read: &Result<Snapshot, BadSnapshot>,
    workspace: WorkspaceId,
    log: &SqliteLog,
) -> Result<String, Unverified> {
    let derived = match read {
        Ok(snapshot) => snapshot::check_derived(snapshot, log).map_err(not_read)?.map(|()| snapshot.facts.head()),
        // A server of this version discards it unread.
        Err(why @ (BadSnapshot::Format(_) | BadSnapshot::Evolve(_))) => {
            return Ok(format!("its snapshot is of another version, and is not used: {why}"));
        }
        Err(why) => Err(why.clone()),
    };
    match derived {
        Ok(head) => Ok(format!("its snapshot is what the log comes to at revision {head}")),
        Err(why) => Err(Unverified::Flawed(format!("workspace {workspace}: its snapshot: {why}"))),
    }
}

/// Verifies a log, and returns the line to print.
fn verify_log(log: &dyn PublishedLog, verifier: &Verifier<'_>) -> Result<String, Unverified> {
    let bar = progress_bar();
    let progress = |done: u64, of: u64| {
        bar.set_length(of);
        bar.set_position(done);
    };
    let mut facts = Workspace::empty(verifier.workspace());
    let mut take = |event: Arc<Event>| {
        provenance::check(&facts, &event)?;
        facts.evolve_checked(&event).map_err(|why| why.to_string())
    };
    let checkpoint = verifier.verify(log, &mut take, &progress);
    bar.finish_and_clear();
    Ok(verified(verifier, &checkpoint?))
}

/// Returns a progress bar, which is shown on a terminal only.
fn progress_bar() -> ProgressBar {
    let progress = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {human_pos}/{human_len} events, {per_sec}, {elapsed}") {
        progress.set_style(style);
    }
    progress
}
