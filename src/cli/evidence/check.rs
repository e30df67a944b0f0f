//! Whether evidence holds: what was written is still there, every event that the answer names is in the log, and, where the log
//! is there too, the answer is what the log gives.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use super::derive::derive;
use super::folder::{
    CSV_FILE, JSON_FILE, LOG_FOLDER, MANIFEST_FILE, QUESTION_FILE, event_file, manifest, named, receipt_file,
};
use super::question::{Answer, Question};
use crate::audit::evidence::Evidence as Told;
use crate::cli::failure::Failure;
use crate::cli::verify::{Unverified, same_key, verified};
use crate::domain::event::Event;
use crate::domain::time::Revision;
use crate::log::codec;
use crate::log::published::{CHECKPOINT_FILE, LogFolder};
use crate::proof::checkpoint::Checkpoint;
use crate::proof::note::VerifierKey;
use crate::proof::receipt::Receipt;

/// Whether a folder holds evidence, and not a log.
pub(in crate::cli) fn is_evidence(folder: &Path) -> bool {
    folder.join(MANIFEST_FILE).is_file() || folder.join(QUESTION_FILE).is_file()
}

/// Verifies a folder of evidence, and gives what to say about it.
///
/// # Errors
/// The first thing that is wrong, or why nothing can be said.
pub(in crate::cli) fn verify(
    folder: &Path,
    key: &VerifierKey,
    kept: Option<&Checkpoint>,
) -> Result<Vec<String>, Unverified> {
    let read = Reading { folder };
    if read.text(MANIFEST_FILE)? != manifest(folder)? {
        return Err(flawed(format!(
            "`{MANIFEST_FILE}` is not the manifest of what is in the folder: {}",
            read.changed()?
        )));
    }
    same_key(&LogFolder::new(folder), key)?;
    let checkpoint = Checkpoint::open(&read.text(CHECKPOINT_FILE)?, key);
    let checkpoint = checkpoint.map_err(|error| flawed(format!("`{CHECKPOINT_FILE}`: {error}")))?;
    let question = read.question(key)?;
    let answer = Answer { json: read.bytes(JSON_FILE)?, csv: read.bytes(CSV_FILE)? };
    let events = read.events(&answer, key, &checkpoint)?;
    let workspace = question.workspace;
    let mut told = vec![format!("verified: {events} events that the answer names, of workspace {workspace}")];
    let log = folder.join(LOG_FOLDER);
    if !log.is_dir() {
        check_kept_alone(kept, &checkpoint)?;
        told.push("the log is not in it: that nothing was left out of the answer is not known".to_owned());
        return Ok(told);
    }
    let derived = derive_again(&log, &question, key, kept, &checkpoint)?;
    if derived.answer != answer {
        return Err(flawed(format!("the log gives another answer than `{JSON_FILE}` and `{CSV_FILE}`")));
    }
    told.push(derived.verified);
    told.push("derived: the log gives this answer, byte for byte".to_owned());
    Ok(told)
}

fn flawed(what: impl Into<String>) -> Unverified {
    Unverified::Flawed(what.into())
}

/// Without the log, only a checkpoint of the same size can be compared with.
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

/// What a log gives.
struct Derived {
    answer: Answer,
    verified: String,
}

fn derive_again(
    log: &Path,
    question: &Question,
    key: &VerifierKey,
    kept: Option<&Checkpoint>,
    checkpoint: &Checkpoint,
) -> Result<Derived, Unverified> {
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
    Ok(Derived { answer: derive(question, &events)?, verified: verified(&verifier, &found) })
}

/// The files of the folder.
struct Reading<'a> {
    folder: &'a Path,
}

impl Reading<'_> {
    fn bytes(&self, path: &str) -> Result<Vec<u8>, Unverified> {
        std::fs::read(self.folder.join(path)).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => flawed(format!("`{path}` is missing")),
            _ => Failure::file("read", &self.folder.join(path), error).into(),
        })
    }

    fn text(&self, path: &str) -> Result<String, Unverified> {
        String::from_utf8(self.bytes(path)?).map_err(|_| flawed(format!("`{path}` is no text")))
    }

    /// The first line in which the manifest and the folder differ.
    fn changed(&self) -> Result<String, Unverified> {
        let (written, found) = (self.text(MANIFEST_FILE)?, manifest(self.folder)?);
        let differs = written.lines().zip(found.lines()).find(|(written, found)| written != found);
        Ok(match differs {
            Some((_, found)) => {
                let path = found.split_once("  ").map_or(found, |(_, path)| path);
                format!("`{path}` was changed, added or taken out")
            }
            None => "a file was added or taken out at its end".to_owned(),
        })
    }

    fn question(&self, key: &VerifierKey) -> Result<Question, Unverified> {
        let wrong = || flawed(format!("`{QUESTION_FILE}` is no question that this version of tenure knows"));
        let bytes = self.bytes(QUESTION_FILE)?;
        let question: Question = serde_json::from_slice(&bytes).map_err(|_| wrong())?;
        if !question.is_known() || question.to_bytes()? != bytes {
            return Err(wrong());
        }
        if key.origin().workspace() == Some(question.workspace) {
            return Ok(question);
        }
        Err(flawed(format!("`{QUESTION_FILE}` is about workspace {}, and the key is not", question.workspace)))
    }

    /// Checks every event that the answer names, and gives how many there are.
    fn events(&self, answer: &Answer, key: &VerifierKey, checkpoint: &Checkpoint) -> Result<usize, Unverified> {
        let named = named(&answer.json).ok_or_else(|| flawed(format!("`{JSON_FILE}` is no JSON")))?;
        for (revision, told) in &named {
            let event = self.event(*revision, key, checkpoint)?;
            if let Some(told) = told.iter().find(|told| !is_told_by(told, &event)) {
                let path = event_file(*revision);
                return Err(flawed(format!(
                    "the answer tells of revision {revision} what `{path}` does not say: {told}"
                )));
            }
        }
        Ok(named.len())
    }

    /// The event of a revision, which its receipt proves to be in the log.
    fn event(&self, revision: Revision, key: &VerifierKey, checkpoint: &Checkpoint) -> Result<Event, Unverified> {
        let (path, proof) = (event_file(revision), receipt_file(revision));
        let bytes = self.bytes(&path)?;
        let receipt = Receipt::parse(&self.text(&proof)?).map_err(|error| flawed(format!("`{proof}`: {error}")))?;
        let proved = receipt.verify(&bytes, key).map_err(|error| flawed(format!("`{proof}`: {error}")))?;
        let event = codec::decode(&bytes).map_err(|error| flawed(format!("`{path}`: {error}")))?;
        let in_place = receipt.index.checked_add(1) == Some(revision.0) && event.revision == revision;
        if in_place && proved == *checkpoint && Some(event.workspace) == key.origin().workspace() {
            return Ok(event);
        }
        Err(flawed(format!("`{proof}` is the proof of another event, or of another checkpoint")))
    }
}

/// Whether all that an answer tells of an event is what the event says.
fn is_told_by(told: &Value, event: &Event) -> bool {
    let full = json!(Told::of(event));
    let fields = told.as_object().into_iter().flatten();
    fields.filter(|(name, _)| full.get(name.as_str()).is_some()).all(|(name, value)| full.get(name) == Some(value))
}
