//! `tenure evidence`: one audit question, answered as a folder that can be checked anywhere, for ever.
//!
//! The folder holds the answer, the question with the view that it was asked of, every event that the answer names with the
//! proof that it is in the log, the checkpoint, the verifier key and a manifest of all of it; with `--with-log` also the log up
//! to that checkpoint, from which the answer can be derived again. It is taken from a server and believed no more than that:
//! everything is checked before it is written.

pub(super) mod check;
mod derive;
mod folder;
mod question;

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
use folder::{Evidence, LOG_FOLDER};
use question::Question;

/// Answer one audit question as a folder that anyone can verify later, with nothing but the verifier key
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
    /// Take the whole log along, so that the answer can be derived again, and what it leaves out be known to be nothing
    #[arg(long, global = true)]
    with_log: bool,
    #[command(subcommand)]
    question: Asked,
}

/// What can be asked for as evidence.
#[derive(Debug, Subcommand)]
enum Asked {
    /// Who has access to an environment, or had it then or at any time of a span
    Who(WhoArgs),
    /// What a principal has access to, or had then or at any time of a span
    Reach(ReachArgs),
    /// Who gained and lost what between two instants
    Diff(DiffArgs),
    /// What credentials are live, or were then
    Credentials(CredentialsArgs),
}

pub(super) fn evidence(session: &mut Session, args: &EvidenceArgs) -> Result<(), Failure> {
    let missing = |what: &str| Failure::usage(format!("say with `{what}`"));
    let out = args.out.as_deref().ok_or_else(|| missing("--out` in which new folder: `--out DIR"))?;
    let KeyGiven(key) = args.key.as_ref().ok_or_else(|| missing("--key` what it is verified with: `--key VKEY"))?;
    let draft = Draft::of(out)?;
    let (list, query) = args.question.ask(session)?;
    let question = Question::pinned(session, key, list, &query)?;
    question.check_past(SystemClock.now()).map_err(Failure::usage)?;
    let log = ServedLog::new(session.client(), question.log_path());
    let checkpoint = open_checkpoint(&log, key)?;
    question.check_covered_by(&checkpoint).map_err(Failure::server)?;
    let answer = question.ask(&session.client())?;
    let evidence = Evidence { question, answer, checkpoint, key: key.clone() };
    evidence.write(&draft, &log)?;
    if args.with_log {
        take_log(&draft, &log, &evidence)?;
    }
    folder::seal(&draft)?;
    check::verify(draft.path(), key, None, args.with_log).map_err(not_as_it_should_be)?;
    draft.finish()?;
    session.out.line(&evidence.told(out))
}

impl Asked {
    fn ask(&self, session: &mut Session) -> Result<([&'static str; 2], super::client::Query), Failure> {
        match self {
            Self::Who(args) => args.question(session),
            Self::Reach(args) => args.question(session),
            Self::Diff(args) => args.question(session),
            Self::Credentials(args) => Ok(args.question()),
        }
    }
}

/// The newest checkpoint of a log that the key is for.
fn open_checkpoint(log: &dyn PublishedLog, key: &VerifierKey) -> Result<Checkpoint, Failure> {
    let failed = |why: &dyn std::fmt::Display| Failure::server(format!("the log's checkpoint: {why}"));
    let note = log.file(CHECKPOINT_FILE).map_err(|error| failed(&error))?;
    let note = String::from_utf8(note).map_err(|error| failed(&error))?;
    let keys = key_chain(log).map_err(|error| failed(&error))?.after(key);
    Checkpoint::open_with(&note, &keys).map(|(checkpoint, _)| checkpoint).map_err(|error| failed(&error))
}

/// Takes the log along, as far as the checkpoint goes.
fn take_log(draft: &Draft, log: &dyn PublishedLog, evidence: &Evidence) -> Result<(), Failure> {
    let size = evidence.checkpoint.tree().size;
    let pinned = folder::Pinned { log, checkpoint: &evidence.checkpoint };
    draft.write_log(&format!("{LOG_FOLDER}/"), &pinned, size)?;
    draft.write_keys(&format!("{LOG_FOLDER}/"), log)?;
    draft.write(&format!("{LOG_FOLDER}/{KEY_FILE}"), format!("{}\n", evidence.key).as_bytes())
}

fn not_as_it_should_be(unverified: Unverified) -> Failure {
    match unverified {
        Unverified::Flawed(what) => Failure::server(format!("what the server gave cannot be verified: {what}")),
        Unverified::Failed(failure) => failure,
    }
}
