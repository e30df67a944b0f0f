//! Verification of evidence.
//!
//! Every file is unchanged, and every event that the answer names is in the log. If the log is in the folder, it gives the same answer.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use super::derive::derive;
use super::folder::{
    CSV_FILE, FILE_BYTES_MAX, JSON_FILE, LOG_FOLDER, MANIFEST_FILE, QUESTION_FILE, event_file, manifest, named,
    receipt_file,
};
use super::pinned_query::{EvidenceAnswer, PinnedQuery};
use crate::cli::failure::Failure;
use crate::cli::verdict::{Unverified, ignored, same_key, verified};
use crate::clock::{Clock, SystemClock};
use crate::domain::model::event::Event;
use crate::domain::model::json;
use crate::domain::model::time::Revision;
use crate::log::codec;
use crate::log::published::{
    CHECKPOINT_FILE, FileError, KEY_FILE, KEYS_FILE, LogFolder, files_of, key_chain, read_regular,
};
use crate::proof::checkpoint::Checkpoint;
use crate::proof::note::VerifierKey;
use crate::proof::receipt::Receipt;
use crate::query::evidence::Evidence;

/// Checks whether a folder holds evidence rather than a log.
pub(in crate::cli) fn is_evidence(folder: &Path) -> bool {
    folder.join(MANIFEST_FILE).is_file() || folder.join(QUESTION_FILE).is_file()
}

/// Verifies a folder of evidence, and returns the lines to print.
///
/// # Errors
/// `Flawed` with the first flaw, `Failed` if the folder cannot be verified.
pub(in crate::cli) fn verify(
    folder: &Path,
    key: &VerifierKey,
    kept: Option<&Checkpoint>,
    needs_log: bool,
) -> Result<Vec<String>, Unverified> {
    let read = EvidenceReader { folder };
    let files = read.files()?;
    same_key(&LogFolder::new(folder), key)?;
    let signers = key_chain(&LogFolder::new(folder))?.after(key);
    let checkpoint = Checkpoint::open_with(&read.text(CHECKPOINT_FILE)?, &signers);
    let (checkpoint, signer) = checkpoint.map_err(|error| flawed(format!("`{CHECKPOINT_FILE}`: {error}")))?;
    let query = read.query(key)?;
    query.check_covered_by(&checkpoint).map_err(flawed)?;
    query.check_past(SystemClock.now()).map_err(flawed)?;
    let answer = EvidenceAnswer { json: read.bytes(JSON_FILE)?, csv: read.bytes(CSV_FILE)? };
    let events = read.events(&query, &answer, signer, &checkpoint)?;
    let next = read.next(&files, &query, signer, &checkpoint)?;
    check_no_stray_file(&files, events.iter().copied().chain(next))?;
    let mut lines = vec![
        format!("question: {query}"),
        format!("verified: {} events that the answer names, of workspace {}", events.len(), query.workspace),
    ];
    lines.extend(ignored(folder)?);
    let log = folder.join(LOG_FOLDER);
    if !log.is_dir() {
        if needs_log {
            return Err(flawed(format!("the log, which was to be in it, is not: there is no folder `{LOG_FOLDER}`")));
        }
        check_kept_alone(kept, &checkpoint)?;
        lines.push(WITHOUT_LOG.to_owned());
        if next.is_none() && query.next_revision(&checkpoint).is_some() {
            lines.push(WITHOUT_NEXT.to_owned());
        }
        return Ok(lines);
    }
    let derived = derive_again(&log, &query, key, kept, &checkpoint)?;
    if derived.answer != answer {
        return Err(flawed(format!("the log gives another answer than `{JSON_FILE}` and `{CSV_FILE}`")));
    }
    lines.push(derived.verified);
    lines.push("derived: the log gives this answer, byte for byte".to_owned());
    Ok(lines)
}

/// The line about evidence without the log.
const WITHOUT_LOG: &str = "not known, for the log is not in it: whether rows are missing, and whether the rows, the CSV and the \
                           question are more than what the maker of this folder wrote there";

/// The line about evidence without the event after the query's revision.
const WITHOUT_NEXT: &str = "not known, for the event after its revision is not in it: whether something happened between that \
                            revision and the instant of the answer";

/// Checks that a folder holds no file that is not verified.
fn check_no_stray_file(files: &[String], events: impl Iterator<Item = Revision>) -> Result<(), Unverified> {
    let mut known: BTreeSet<String> = events.flat_map(|event| [event_file(event), receipt_file(event)]).collect();
    known.extend(
        [MANIFEST_FILE, QUESTION_FILE, JSON_FILE, CSV_FILE, CHECKPOINT_FILE, KEY_FILE, KEYS_FILE].map(str::to_owned),
    );
    let in_log = format!("{LOG_FOLDER}/");
    match files.iter().find(|file| !known.contains(*file) && !file.starts_with(&in_log)) {
        Some(stray) => Err(flawed(format!("`{stray}` is no part of the evidence"))),
        None => Ok(()),
    }
}

fn flawed(what: impl Into<String>) -> Unverified {
    Unverified::Flawed(what.into())
}

/// Compares the checkpoint with a kept one. Without the log, only equal sizes can be compared.
fn check_kept_alone(kept: Option<&Checkpoint>, checkpoint: &Checkpoint) -> Result<(), Unverified> {
    match kept.map(Checkpoint::tree) {
        Some(kept) if kept == checkpoint.tree() => Ok(()),
        Some(kept) if kept.size == checkpoint.tree().size => {
            Err(flawed("its checkpoint and the one that was kept have the same size, and different roots"))
        }
        Some(_) => {
            let message = "`--since` needs the log: take evidence with `--with-log`, or verify the served log";
            Err(Failure::usage(message).into())
        }
        None => Ok(()),
    }
}

/// An answer that was derived from a log, and the line about that log.
struct DerivedAnswer {
    answer: EvidenceAnswer,
    verified: String,
}

fn derive_again(
    log: &Path,
    query: &PinnedQuery,
    key: &VerifierKey,
    kept: Option<&Checkpoint>,
    checkpoint: &Checkpoint,
) -> Result<DerivedAnswer, Unverified> {
    let log = LogFolder::new(log);
    same_key(&log, key)?;
    let verifier = crate::log::verify::Verifier::new(key, kept)?;
    let mut events: Vec<Arc<Event>> = Vec::new();
    let mut take = |event| {
        events.push(event);
        Ok(())
    };
    let found = verifier.verify(&log, &mut take, &|_, _| {})?;
    if found != *checkpoint {
        return Err(flawed(format!("the checkpoint of the log in it is not the one in `{CHECKPOINT_FILE}`")));
    }
    if let Some(next) = query.next_revision(checkpoint).and_then(|next| event_at(&events, next)) {
        query.check_next(next).map_err(flawed)?;
    }
    Ok(DerivedAnswer { answer: derive(query, &events)?, verified: verified(&verifier, &found) })
}

/// Returns the event of a revision; `events` begins with the first one of the log.
fn event_at(events: &[Arc<Event>], revision: Revision) -> Option<&Event> {
    events.get(usize::try_from(revision.0.checked_sub(1)?).ok()?).map(Arc::as_ref)
}

/// A reader of a folder of evidence.
struct EvidenceReader<'a> {
    folder: &'a Path,
}

impl EvidenceReader<'_> {
    fn bytes(&self, path: &str) -> Result<Vec<u8>, Unverified> {
        read_regular(&self.folder.join(path), FILE_BYTES_MAX).map_err(|error| match error {
            FileError::Missing => flawed(format!("`{path}` is missing")),
            FileError::Foreign(what) => flawed(format!("`{path}` is {what}")),
            error => Failure::usage(format!("`{path}` cannot be read: {error}")).into(),
        })
    }

    fn text(&self, path: &str) -> Result<String, Unverified> {
        String::from_utf8(self.bytes(path)?).map_err(|_| flawed(format!("`{path}` is no text")))
    }

    /// Returns every file, after a comparison with the manifest.
    fn files(&self) -> Result<Vec<String>, Unverified> {
        let files = files_of(self.folder).map_err(|error| Failure::file("read", self.folder, error))?;
        if let Some(other) = files.iter().find(|file| !self.folder.join(file).is_file()) {
            return Err(flawed(format!("`{other}` is no regular file")));
        }
        let (written, found) = (self.text(MANIFEST_FILE)?, manifest(self.folder)?);
        if written == found {
            return Ok(files);
        }
        let [of_written, of_found] = [&written, &found].map(|manifest| manifest.lines().collect::<BTreeSet<_>>());
        let differs = of_written.symmetric_difference(&of_found).find_map(|line| line.split_once("  "));
        let what = differs.map_or_else(|| "its lines".to_owned(), |(_, path)| format!("`{}`", path.escape_debug()));
        let message = "is not the manifest of what is in the folder";
        Err(flawed(format!("`{MANIFEST_FILE}` {message}: {what} was changed, added or taken out")))
    }

    fn query(&self, key: &VerifierKey) -> Result<PinnedQuery, Unverified> {
        let wrong = || flawed(format!("`{QUESTION_FILE}` is no question that this version of tenure knows"));
        let bytes = self.bytes(QUESTION_FILE)?;
        let query: PinnedQuery = serde_json::from_slice(&bytes).map_err(|_| wrong())?;
        if !query.is_known() || query.to_bytes()? != bytes {
            return Err(wrong());
        }
        if key.origin().workspace() == Some(query.workspace) {
            return Ok(query);
        }
        Err(flawed(format!("`{QUESTION_FILE}` is about workspace {}, and the key is not", query.workspace)))
    }

    /// Verifies every event that the answer names, and returns their revisions.
    fn events(
        &self,
        query: &PinnedQuery,
        answer: &EvidenceAnswer,
        key: &VerifierKey,
        checkpoint: &Checkpoint,
    ) -> Result<Vec<Revision>, Unverified> {
        let unreadable = || flawed(format!("`{JSON_FILE}` is no answer"));
        let answer = json::parse(&answer.json).map_err(|_| unreadable())?;
        query.check_answered_by(&answer).map_err(|why| flawed(format!("`{JSON_FILE}`: {why}")))?;
        let named = named(answer).ok_or_else(unreadable)?;
        for (revision, shown) in &named {
            let event = self.event(*revision, key, checkpoint)?;
            for shown in shown {
                if *shown != json!(self.expected(&event, shown, key, checkpoint)?) {
                    let path = event_file(*revision);
                    return Err(flawed(format!(
                        "the answer tells of revision {revision} what `{path}` does not say: {shown}"
                    )));
                }
            }
        }
        Ok(named.into_keys().collect())
    }

    /// Checks that the event after the query's revision is later than its instant, and returns its revision. `None` if the folder lacks it.
    fn next(
        &self,
        files: &[String],
        query: &PinnedQuery,
        key: &VerifierKey,
        checkpoint: &Checkpoint,
    ) -> Result<Option<Revision>, Unverified> {
        let next = query.next_revision(checkpoint).filter(|next| files.contains(&event_file(*next)));
        let Some(next) = next else { return Ok(None) };
        query.check_next(&self.event(next, key, checkpoint)?).map_err(flawed)?;
        Ok(Some(next))
    }

    /// Returns an event as an answer shows it. The reason may be in another event of the same command, which `shown` then names.
    fn expected(
        &self,
        event: &Event,
        shown: &Value,
        key: &VerifierKey,
        checkpoint: &Checkpoint,
    ) -> Result<Evidence, Unverified> {
        let alone = Evidence::alone(event);
        let Some(elsewhere) = shown.get("reason_revision").and_then(Value::as_u64).map(Revision) else {
            return Ok(alone);
        };
        let first = self.event(elsewhere, key, checkpoint)?;
        let is_of_command = first.command == event.command && elsewhere < event.revision && alone.reason.is_none();
        let (reason, reason_revision) = if is_of_command { (first.reason, Some(elsewhere)) } else { (None, None) };
        Ok(Evidence { reason, reason_revision, ..alone })
    }

    /// Returns the event of a revision, which its receipt proves to be in the log.
    fn event(&self, revision: Revision, key: &VerifierKey, checkpoint: &Checkpoint) -> Result<Event, Unverified> {
        let (path, proof) = (event_file(revision), receipt_file(revision));
        let bytes = self.bytes(&path)?;
        let receipt = Receipt::parse(&self.text(&proof)?).map_err(|error| flawed(format!("`{proof}`: {error}")))?;
        let proved = receipt.verify(&bytes, key).map_err(|error| flawed(format!("`{proof}`: {error}")))?;
        let event = codec::decode(&bytes).map_err(|error| flawed(format!("`{path}`: {error}")))?;
        let is_own = receipt.index.checked_add(1) == Some(revision.0) && event.revision == revision;
        if is_own && proved == *checkpoint && Some(event.workspace) == key.origin().workspace() {
            return Ok(event);
        }
        Err(flawed(format!("`{proof}` is the proof of another event, or of another checkpoint")))
    }
}
