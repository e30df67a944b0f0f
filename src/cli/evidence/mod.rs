//! `tenure evidence`: the answer to one audit query as a folder that anyone can verify later.
//!
//! The folder holds the answer, the query with its view, and every event that the answer names, with the proof that it is in the log. It
//! also holds the checkpoint, the verifier key and a manifest. With `--with-log` it holds the log up to that checkpoint, from which the
//! answer can be derived again. The server is not trusted: everything is verified before the folder is finished.

pub(super) mod check;
mod derive;
mod folder;
mod pinned_query;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::audit::{ReachArgs, WhoArgs};
use super::credentials::CredentialsArgs;
use super::diff::DiffArgs;
use super::export::Draft;
use super::failure::Failure;
use super::served::ServedLog;
use super::session::Session;
use super::verdict::Unverified;
use super::verify::KeyGiven;
use crate::clock::{Clock, SystemClock};
use crate::log::published::{CHECKPOINT_FILE, KEY_FILE, PublishedLog, key_chain};
use crate::proof::checkpoint::Checkpoint;
use crate::proof::note::VerifierKey;
use folder::{EvidenceFiles, LOG_FOLDER};
use pinned_query::PinnedQuery;

/// Answer one audit question as a folder that anyone can verify later with the verifier key alone
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  tenure evidence --out march --key acme.vkey --with-log \\
    who prod --role contributor --from 2024-03-01 --until 2024-04-01
  tenure verify march --key acme.vkey")]
pub(super) struct EvidenceArgs {
    /// The new folder
    #[arg(long, value_name = "DIR", global = true)]
    out: Option<PathBuf>,
    /// The verifier key, or a file with it
    #[arg(long, value_name = "VKEY", global = true)]
    key: Option<KeyGiven>,
    /// Include the whole log, so that the answer can be derived again and is known to be complete
    #[arg(long, global = true)]
    with_log: bool,
    #[command(subcommand)]
    query: EvidenceCommand,
}

/// The queries that evidence can answer.
#[derive(Debug, Subcommand)]
enum EvidenceCommand {
    /// All access to an environment, now, at an instant or over a span
    Who(WhoArgs),
    /// All access of a principal, now, at an instant or over a span
    Reach(ReachArgs),
    /// Access gained and lost between two instants
    Diff(DiffArgs),
    /// The credentials that are live, or were at an instant
    Credentials(CredentialsArgs),
}

pub(super) fn evidence(session: &mut Session, args: &EvidenceArgs) -> Result<(), Failure> {
    let missing = |what: &str| Failure::usage(format!("say with `{what}`"));
    let out = args.out.as_deref().ok_or_else(|| missing("--out` in which new folder: `--out DIR"))?;
    let KeyGiven(key) = args.key.as_ref().ok_or_else(|| missing("--key` what it is verified with: `--key VKEY"))?;
    let draft = Draft::of(out)?;
    let (list, query) = args.query.parse(session)?;
    let query = PinnedQuery::pinned(session, key, list, &query)?;
    query.check_past(SystemClock.now()).map_err(Failure::usage)?;
    let log = ServedLog::new(session.client(), query.log_path());
    let checkpoint = open_checkpoint(&log, key)?;
    query.check_covered_by(&checkpoint).map_err(Failure::server)?;
    let answer = query.ask(&session.client())?;
    let evidence = EvidenceFiles { query, answer, checkpoint, key: key.clone() };
    evidence.write(&draft, &log)?;
    if args.with_log {
        take_log(&draft, &log, &evidence)?;
    }
    folder::seal(&draft)?;
    check::verify(draft.path(), key, None, args.with_log).map_err(refused_server)?;
    draft.finish()?;
    session.out.line(&evidence.summary(out))
}

impl EvidenceCommand {
    fn parse(&self, session: &mut Session) -> Result<([&'static str; 2], super::client::Query), Failure> {
        match self {
            Self::Who(args) => args.question(session),
            Self::Reach(args) => args.question(session),
            Self::Diff(args) => args.question(session),
            Self::Credentials(args) => Ok(args.question()),
        }
    }
}

/// Returns the newest checkpoint of the log that the key is for.
fn open_checkpoint(log: &dyn PublishedLog, key: &VerifierKey) -> Result<Checkpoint, Failure> {
    let failed = |why: &dyn std::fmt::Display| Failure::server(format!("the log's checkpoint: {why}"));
    let note = log.file(CHECKPOINT_FILE).map_err(|error| failed(&error))?;
    let note = String::from_utf8(note).map_err(|error| failed(&error))?;
    let keys = key_chain(log).map_err(|error| failed(&error))?.after(key);
    Checkpoint::open_with(&note, &keys).map(|(checkpoint, _)| checkpoint).map_err(|error| failed(&error))
}

/// Writes the log up to the checkpoint.
fn take_log(draft: &Draft, log: &dyn PublishedLog, evidence: &EvidenceFiles) -> Result<(), Failure> {
    let size = evidence.checkpoint.tree().size;
    let pinned = folder::PinnedLog { log, checkpoint: &evidence.checkpoint };
    draft.write_log(&format!("{LOG_FOLDER}/"), &pinned, size)?;
    draft.write_keys(&format!("{LOG_FOLDER}/"), log)?;
    draft.write(&format!("{LOG_FOLDER}/{KEY_FILE}"), format!("{}\n", evidence.key).as_bytes())
}

fn refused_server(unverified: Unverified) -> Failure {
    match unverified {
        Unverified::Flawed(what) => Failure::server(format!("what the server gave cannot be verified: {what}")),
        Unverified::Failed(failure) => failure,
    }
}
