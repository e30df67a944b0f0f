//! The files of a folder of evidence.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::pinned_query::{EvidenceAnswer, PinnedQuery};
use crate::cli::client::ANSWER_BYTES_MAX;
use crate::cli::export::{Draft, not_had};
use crate::cli::failure::Failure;
use crate::domain::model::json;
use crate::domain::model::time::Revision;
use crate::log::codec;
use crate::log::published::{
    CHECKPOINT_FILE, FileError, KEY_FILE, PublishedLog, PublishedTiles, files_of, read_regular,
};
use crate::proof::checkpoint::Checkpoint;
use crate::proof::note::VerifierKey;
use crate::proof::path;
use crate::proof::receipt::Receipt;
use crate::proof::tile::{Nodes, TILE_WIDTH, Tile, TileKind, read_entries};

pub(super) const MANIFEST_FILE: &str = "SHA256SUMS";
pub(super) const QUESTION_FILE: &str = "question.json";
pub(super) const JSON_FILE: &str = "answer.json";
pub(super) const CSV_FILE: &str = "answer.csv";
pub(super) const LOG_FOLDER: &str = "log";
/// The longest file of evidence, in bytes: an answer of several pages.
pub(super) const FILE_BYTES_MAX: u64 = 4 * ANSWER_BYTES_MAX;

/// Returns the path of an event's bytes.
pub(super) fn event_file(revision: Revision) -> String {
    format!("events/{:08}.json", revision.0)
}

/// Returns the path of the proof that an event is in the log.
pub(super) fn receipt_file(revision: Revision) -> String {
    format!("events/{:08}.tlog-proof", revision.0)
}

/// An answer with its query, checkpoint and key.
pub(super) struct EvidenceFiles {
    pub(super) query: PinnedQuery,
    pub(super) answer: EvidenceAnswer,
    pub(super) checkpoint: Checkpoint,
    pub(super) key: VerifierKey,
}

impl EvidenceFiles {
    /// Writes all files but the manifest. Events and proofs are taken from the log.
    pub(super) fn write(&self, draft: &Draft, log: &dyn PublishedLog) -> Result<(), Failure> {
        draft.write(QUESTION_FILE, &self.query.to_bytes()?)?;
        draft.write(JSON_FILE, &self.answer.json)?;
        draft.write(CSV_FILE, &self.answer.csv)?;
        draft.write(CHECKPOINT_FILE, self.checkpoint.note().as_bytes())?;
        draft.write(KEY_FILE, format!("{}\n", self.key).as_bytes())?;
        draft.write_keys("", log)?;
        let mut prover = EventProver::of(log, &self.checkpoint);
        // The event after the query's revision proves until when nothing happened.
        let next = self.query.next_revision(&self.checkpoint);
        let revisions: BTreeSet<Revision> = self.named()?.into_keys().chain(next).collect();
        for revision in revisions {
            let (event, receipt) = prover.prove(revision)?;
            if Some(revision) == next {
                let decoded = codec::decode(&event).map_err(|error| Failure::server(error.to_string()))?;
                self.query.check_next(&decoded).map_err(Failure::usage)?;
            }
            draft.write(&event_file(revision), &event)?;
            draft.write(&receipt_file(revision), receipt.to_string().as_bytes())?;
        }
        Ok(())
    }

    fn named(&self) -> Result<BTreeMap<Revision, Vec<Value>>, Failure> {
        let answer = json::parse(&self.answer.json).ok();
        answer.and_then(named).ok_or_else(|| Failure::server("the answer cannot be read"))
    }

    /// Returns a line about the written evidence.
    pub(super) fn summary(&self, out: &Path) -> String {
        let PinnedQuery { revision, at, .. } = &self.query;
        let events = self.named().map_or(0, |named| named.len());
        let size = self.checkpoint.tree().size;
        format!(
            "wrote `{}`: the answer as of {at}, revision {revision}; {events} events with their proofs; a checkpoint of {size}",
            out.display()
        )
    }
}

/// Returns every event that an answer names, by revision, as the answer shows it; `None` if it names one without a revision.
pub(super) fn named(answer: Value) -> Option<BTreeMap<Revision, Vec<Value>>> {
    let mut named: BTreeMap<Revision, Vec<Value>> = BTreeMap::new();
    let mut left = vec![answer];
    while let Some(value) = left.pop() {
        match value {
            Value::Array(values) => left.extend(values),
            Value::Object(fields) => {
                if fields.contains_key("event") {
                    let revision = fields.get("revision").and_then(Value::as_u64)?;
                    // The reason is in another event.
                    if let Some(elsewhere) = fields.get("reason_revision") {
                        named.entry(Revision(elsewhere.as_u64()?)).or_default();
                    }
                    named.entry(Revision(revision)).or_default().push(Value::Object(fields));
                } else {
                    left.extend(fields.into_iter().map(|(_, value)| value));
                }
            }
            _ => {}
        }
    }
    Some(named)
}

/// A reader of events and their proofs from a log at a checkpoint. It reads each bundle once.
struct EventProver<'a> {
    log: &'a dyn PublishedLog,
    checkpoint: &'a Checkpoint,
    bundles: BTreeMap<u64, Vec<Vec<u8>>>,
}

impl<'a> EventProver<'a> {
    fn of(log: &'a dyn PublishedLog, checkpoint: &'a Checkpoint) -> Self {
        Self { log, checkpoint, bundles: BTreeMap::new() }
    }

    /// Returns an event's bytes, and the proof that they are in the log.
    fn prove(&mut self, revision: Revision) -> Result<(Vec<u8>, Receipt), Failure> {
        let index = revision.0.saturating_sub(1);
        let event = self.event(index)?;
        let tiles = PublishedTiles(self.log);
        let mut nodes = Nodes::new(&tiles, self.checkpoint.tree().size);
        let path = path::inclusion(&mut nodes, index);
        let path = path.map_err(|error| Failure::server(format!("the proof of revision {revision}: {error}")))?;
        Ok((event, Receipt { index, path, checkpoint: self.checkpoint.note().to_owned() }))
    }

    fn event(&mut self, index: u64) -> Result<Vec<u8>, Failure> {
        let missing = || Failure::server(format!("the answer names revision {}, and the log has none such", index + 1));
        let (bundle, within) = (index / TILE_WIDTH, usize::try_from(index % TILE_WIDTH).unwrap_or(usize::MAX));
        if !self.bundles.contains_key(&bundle) {
            let tile = Tile::of_size(TileKind::Entries, bundle, self.checkpoint.tree().size).ok_or_else(missing)?;
            let bytes = self.log.tile(tile).map_err(|error| not_had(&tile.to_string(), &error))?;
            let entries = read_entries(&bytes).ok_or_else(missing)?;
            self.bundles.insert(bundle, entries.into_iter().map(<[u8]>::to_vec).collect());
        }
        self.bundles.get(&bundle).and_then(|entries| entries.get(within)).cloned().ok_or_else(missing)
    }
}

/// A log as of a checkpoint, even if it has grown since.
pub(super) struct PinnedLog<'a> {
    pub(super) log: &'a dyn PublishedLog,
    pub(super) checkpoint: &'a Checkpoint,
}

impl PublishedLog for PinnedLog<'_> {
    fn file(&self, path: &str) -> Result<Vec<u8>, FileError> {
        if path == CHECKPOINT_FILE { Ok(self.checkpoint.note().as_bytes().to_vec()) } else { self.log.file(path) }
    }
}

/// Writes the manifest of all files.
pub(super) fn seal(draft: &Draft) -> Result<(), Failure> {
    draft.write(MANIFEST_FILE, manifest(draft.path())?.as_bytes())
}

/// Returns the SHA-256 of every file but the manifest itself, in the format of `sha256sum`.
pub(super) fn manifest(folder: &Path) -> Result<String, Failure> {
    let failed = |error| Failure::file("read", folder, error);
    let files = files_of(folder).map_err(failed)?;
    let line = |path: &String| {
        let bytes = read_regular(&folder.join(path), FILE_BYTES_MAX);
        let bytes = bytes.map_err(|error| Failure::usage(format!("`{path}` cannot be read: {error}")))?;
        Ok(format!("{}  {path}\n", base16ct::lower::encode_string(&Sha256::digest(bytes))))
    };
    files.iter().filter(|path| *path != MANIFEST_FILE).map(line).collect()
}
