//! Comparing a whole store with its logs: every table beside the events says what they come to, and no more.
//!
//! It believes nothing but the events, each of which is the one of its leaf: their tree, the facts that they come to, and who could
//! have made them are worked out from the first event on, up to the head that the log had when the rows were read.

mod compare;
mod rows;

use std::sync::Arc;

use compare::compare;
use rows::{Rows, Stored};

use super::witness::open_kept;
use crate::domain::model::id::WorkspaceId;
use crate::domain::model::time::Revision;
use crate::domain::rules::provenance;
use crate::domain::state::workspace::Workspace;
use crate::log::codec::StreamDecoder;
use crate::log::{EventLog, LogError, snapshot};
use crate::proof::checkpoint::Signer;
use crate::proof::frontier::{Frontier, TreeHead};
use crate::proof::hash::TreeHash;
use crate::proof::tile::TILE_HEIGHT;

/// How many events are read at a time.
const PAGE_EVENTS: usize = 1_024;
/// How many workspaces are listed at a time.
const PAGE_WORKSPACES: usize = 1_000;

/// What a comparison of a store with its logs came to.
#[derive(Debug, Default)]
pub struct Inspected {
    /// How many workspaces there are.
    pub workspaces: u64,
    /// How many events they have.
    pub events: u64,
    /// What is wrong, a sentence each.
    pub flaws: Vec<String>,
}

/// What a witness beside the store says of a log: its name, and the tree that it was made of.
struct Said {
    name: String,
    tree: TreeHead,
}

/// Compares a store with its logs. The witnesses beside it are compared too where there is a key to read them with.
///
/// # Errors
/// `Unavailable`: nothing can be said.
pub fn inspect(log: &dyn EventLog, signer: Option<&Signer>) -> Result<Inspected, LogError> {
    let mut inspected = Inspected::default();
    // Before the rows, so that none is of events that come meanwhile.
    let witnesses = match signer {
        Some(signer) => witnesses(log, signer, &mut inspected.flaws)?,
        None => Vec::new(),
    };
    let mut stored = Stored::default();
    log.stored_rows(&mut |row| stored.take(row))?;
    inspected.flaws.append(&mut stored.flaws);
    for (id, said) in witnesses {
        stored.of(id).witnesses.push(said);
    }
    let mut made = rows::Made::default();
    for (id, rows) in &stored.workspaces {
        inspected.workspaces += 1;
        inspected.events += rows.head.0;
        inspect_log(log, *id, rows, &mut made, &mut inspected.flaws)?;
    }
    stored.check_uses(&made, &mut inspected.flaws);
    Ok(inspected)
}

/// The witnesses of every log that is listed.
fn witnesses(
    log: &dyn EventLog,
    signer: &Signer,
    flaws: &mut Vec<String>,
) -> Result<Vec<(WorkspaceId, Said)>, LogError> {
    let mut found = Vec::new();
    let mut last = None;
    loop {
        let page = log.workspaces(last, PAGE_WORKSPACES)?;
        for id in &page {
            let mut take = |name: &str, tree: Result<Option<TreeHead>, String>| match tree {
                Ok(tree) => found.extend(tree.map(|tree| (*id, Said { name: name.to_owned(), tree }))),
                Err(why) => flaws.push(format!("workspace {id}: `{name}`: {why}")),
            };
            let [snapshot, checkpoint] = log.witness_names(*id);
            take(&snapshot, sealed(log, *id, signer)?);
            let kept = log.kept_checkpoint(*id)?.map(|bytes| open_kept(&bytes, log, *id, signer)).transpose()?;
            take(&checkpoint, kept.transpose().map(|kept| kept.map(|kept| *kept.tree())));
        }
        match page.last() {
            Some(id) if page.len() == PAGE_WORKSPACES => last = Some(*id),
            _ => return Ok(found),
        }
    }
}

/// The tree that the snapshot of a workspace was made of; none if a server would throw it away for its format.
fn sealed(log: &dyn EventLog, id: WorkspaceId, signer: &Signer) -> Result<Result<Option<TreeHead>, String>, LogError> {
    let Some(bytes) = log.snapshot(id)? else { return Ok(Ok(None)) };
    Ok(match snapshot::open(&bytes, id, &signer.key) {
        Ok(sealed) => Ok(Some(sealed.tree())),
        Err(snapshot::BadSnapshot::Format(_)) => Ok(None),
        Err(why) => Err(why.to_string()),
    })
}

/// Works out a log from its first event, and compares the rows about it. The first flaw of the log itself ends it.
fn inspect_log(
    log: &dyn EventLog,
    id: WorkspaceId,
    rows: &Rows,
    made: &mut rows::Made,
    flaws: &mut Vec<String>,
) -> Result<(), LogError> {
    let mut reading = Reading::of(id, rows);
    match reading.read(log, rows.head) {
        Ok(()) => {}
        Err(error @ LogError::Unreadable { .. }) => {
            flaws.push(error.to_string());
            // What it made cannot be known, so what names it is not judged.
            made.unknown.insert(id);
            return Ok(());
        }
        Err(error) => return Err(error),
    }
    let wrong = |what: String| flaws.push(format!("workspace {id}: {what}"));
    reading.finish(wrong);
    compare(&reading.facts, rows, made, |what| flaws.push(format!("workspace {id}: {what}")));
    Ok(())
}

/// A log as far as it was read.
struct Reading<'a> {
    rows: &'a Rows,
    facts: Workspace,
    decoder: StreamDecoder,
    tree: Frontier,
    /// What is wrong beside the events.
    wrong: Vec<String>,
}

impl<'a> Reading<'a> {
    fn of(id: WorkspaceId, rows: &'a Rows) -> Self {
        let (facts, decoder) = (Workspace::empty(id), StreamDecoder::from_start(id));
        Self { rows, facts, decoder, tree: Frontier::default(), wrong: Vec::new() }
    }

    /// Reads up to a head.
    fn read(&mut self, log: &dyn EventLog, head: Revision) -> Result<(), LogError> {
        let id = self.facts.id();
        let missing = |revision: Revision| LogError::Unreadable {
            workspace: id,
            revision,
            why: "there is no event of it".to_owned(),
        };
        while self.facts.head() < head {
            let before = self.facts.head();
            let left = usize::try_from(head.0 - before.0).unwrap_or(usize::MAX);
            log.visit(id, before, PAGE_EVENTS.min(left), &mut |stored| {
                if stored.revision > self.facts.head().next() {
                    return Err(missing(self.facts.head().next()));
                }
                let event = Arc::new(self.decoder.decode(&stored)?);
                let unreadable = |why| LogError::Unreadable { workspace: id, revision: event.revision, why };
                provenance::check(&self.facts, &event).map_err(unreadable)?;
                self.facts.evolve_checked(&event).map_err(|why| unreadable(why.to_string()))?;
                self.grow(stored.leaf);
                Ok(())
            })?;
            if self.facts.head() == before {
                return Err(missing(before.next()));
            }
        }
        Ok(())
    }

    /// Grows the tree by a leaf, and compares what is stored of the tree of that size.
    fn grow(&mut self, leaf: TreeHash) {
        for (node, hash) in self.tree.push(leaf).filter(|(node, _)| node.level > 0) {
            if node.level.is_multiple_of(TILE_HEIGHT) {
                let level = node.level / TILE_HEIGHT;
                self.check_tile_hash(level, node.index, hash);
            }
        }
        let size = self.tree.size();
        if let Some((_, bytes)) = self.rows.edge.as_ref().filter(|(stored, _)| *stored == size)
            && Frontier::from_bytes(size, bytes).as_ref() != Some(&self.tree)
        {
            self.wrong.push(format!("`trees` has another edge of the tree of {size} events than they have"));
        }
        for said in self.rows.witnesses.iter().filter(|said| said.tree.size == size) {
            let (found, root) = (self.tree.root(), said.tree.root);
            if found != root {
                self.wrong.push(format!("its {size} events have the root `{found}`, and `{}` has `{root}`", said.name));
            }
        }
    }

    fn check_tile_hash(&mut self, level: u8, place: u64, expected: TreeHash) {
        let first = (place << (u32::from(level) * u32::from(TILE_HEIGHT))) + 1;
        let wrong = match self.rows.tile_hashes.get(&(level, place)) {
            Some(found) if *found == expected => return,
            Some(found) => format!("has `{found}`"),
            None => "has nothing".to_owned(),
        };
        self.wrong.push(format!(
            "`tile_hashes` {wrong} over the events from revision {first} on, at level {level}, and they have `{expected}`"
        ));
    }

    /// Says what is stored of a larger tree than there is.
    fn finish(&self, mut wrong: impl FnMut(String)) {
        self.wrong.iter().cloned().for_each(&mut wrong);
        let size = self.tree.size();
        if let Some((stored, _)) = self.rows.edge.as_ref().filter(|(stored, _)| *stored > size) {
            wrong(format!("`trees` has the edge of {stored} events, and the log has {size}"));
        }
        for said in self.rows.witnesses.iter().filter(|said| said.tree.size > size) {
            wrong(format!("`{}` is of {} events, and the log has {size}", said.name, said.tree.size));
        }
        let height = |level: u8| u32::from(level) * u32::from(TILE_HEIGHT);
        let whole = |level: u8| size.checked_shr(height(level)).unwrap_or(0);
        if let Some(((level, place), _)) =
            self.rows.tile_hashes.iter().find(|((level, place), _)| *place >= whole(*level))
        {
            wrong(format!("`tile_hashes` has a hash at level {level}, place {place}, which {size} events do not have"));
        }
    }
}
