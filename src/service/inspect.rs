//! Comparing a whole store with its logs: every table beside the events must follow from them.
//!
//! Only the events are trusted, after each matched its leaf. From the first one up to the head at which the rows were read, the check
//! derives the tree, the facts, and the actors that could have made each event.

mod compare;
mod instance;
mod rows;

use std::sync::Arc;

use compare::compare;
use rows::{StoredRows, WorkspaceRows};

use super::witness::open_kept;
use crate::domain::model::id::WorkspaceId;
use crate::domain::model::time::{Instant, Revision};
use crate::domain::rules::provenance;
use crate::domain::state::workspace::Workspace;
use crate::log::codec::StreamDecoder;
use crate::log::{LogError, Store, UNWRITTEN_EVENTS_MAX, snapshot};
use crate::proof::checkpoint::Signer;
use crate::proof::frontier::{Frontier, TreeHead};
use crate::proof::hash::TreeHash;
use crate::proof::tile::TILE_HEIGHT;

/// The events that are read at a time.
const PAGE_EVENTS: usize = 1_024;
/// The workspaces that are listed at a time.
const PAGE_WORKSPACES: usize = 1_000;

/// The result of comparing a store with its logs.
#[derive(Debug, Default)]
pub struct Inspected {
    /// The number of workspaces.
    pub workspaces: u64,
    /// The number of their events.
    pub events: u64,
    /// The flaws, a sentence each.
    pub flaws: Vec<String>,
}

/// A witness beside the store: its name, and the tree of its log.
struct NamedWitness {
    name: String,
    tree: TreeHead,
}

/// Compares a store with its logs and, given a key to open them, the witnesses beside it. `now` is the present time.
///
/// # Errors
/// `Unavailable`.
pub fn inspect(log: &dyn Store, signer: Option<&Signer>, now: Instant) -> Result<Inspected, LogError> {
    let mut inspected = Inspected::default();
    // Before the rows, so that no witness has events that are appended meanwhile.
    let witnesses = match signer {
        Some(signer) => witnesses(log, signer, &mut inspected.flaws)?,
        None => Vec::new(),
    };
    let mut stored = StoredRows::default();
    log.stored_rows(&mut |row| stored.add(row))?;
    inspected.flaws.append(&mut stored.flaws);
    for (id, witness) in witnesses {
        stored.of(id).witnesses.push(witness);
    }
    let mut created = rows::Created::default();
    for (id, rows) in &stored.workspaces {
        inspected.workspaces += 1;
        inspected.events += rows.head.0;
        inspect_log(log, *id, rows, &mut created, &mut inspected.flaws)?;
    }
    // A clock that ran ahead, and was believed, has left its time in the mark.
    let newest = stored.clock_mark.map_or(now, |mark| mark.max(now));
    let mut wrong = |what: String| inspected.flaws.push(what);
    instance::check(log, &stored, &created, (signer, newest), &mut wrong)?;
    Ok(inspected)
}

/// Returns the witnesses of every listed log.
fn witnesses(
    log: &dyn Store,
    signer: &Signer,
    flaws: &mut Vec<String>,
) -> Result<Vec<(WorkspaceId, NamedWitness)>, LogError> {
    let mut found = Vec::new();
    let mut last = None;
    loop {
        let page = log.workspaces(last, PAGE_WORKSPACES)?;
        for id in &page {
            let mut add = |name: &str, tree: Result<Option<TreeHead>, String>| match tree {
                Ok(tree) => found.extend(tree.map(|tree| (*id, NamedWitness { name: name.to_owned(), tree }))),
                Err(why) => flaws.push(format!("workspace {id}: `{name}`: {why}")),
            };
            let [snapshot, checkpoint] = log.witness_names(*id);
            add(&snapshot, sealed(log, *id, signer)?);
            let kept = log.kept_checkpoint(*id)?.map(|bytes| open_kept(&bytes, log, *id, signer)).transpose()?;
            add(&checkpoint, kept.transpose().map(|kept| kept.map(|kept| *kept.tree())));
        }
        match page.last() {
            Some(id) if page.len() == PAGE_WORKSPACES => last = Some(*id),
            _ => return Ok(found),
        }
    }
}

/// Returns the tree of a workspace's snapshot; none if there is none, or if a server would discard it for its format.
fn sealed(log: &dyn Store, id: WorkspaceId, signer: &Signer) -> Result<Result<Option<TreeHead>, String>, LogError> {
    let Some(bytes) = log.snapshot(id)? else { return Ok(Ok(None)) };
    Ok(match snapshot::open(&bytes, id, &signer.key) {
        Ok(sealed) => Ok(Some(sealed.tree())),
        Err(snapshot::BadSnapshot::Format(_)) => Ok(None),
        Err(why) => Err(why.to_string()),
    })
}

/// Derives a log's facts from its first event, and compares the rows about it. The first flaw of the log itself ends the check.
fn inspect_log(
    log: &dyn Store,
    id: WorkspaceId,
    rows: &WorkspaceRows,
    created: &mut rows::Created,
    flaws: &mut Vec<String>,
) -> Result<(), LogError> {
    let mut check = LogCheck::new(id, rows);
    match check.read(log, rows.head) {
        Ok(()) => {}
        Err(error @ LogError::Unreadable { .. }) => {
            flaws.push(error.to_string());
            // Its credentials are unknown, so rows that name them are not checked.
            created.unknown.insert(id);
            return Ok(());
        }
        Err(error) => return Err(error),
    }
    let wrong = |what: String| flaws.push(format!("workspace {id}: {what}"));
    check.finish(wrong);
    compare(&check.facts, rows, created, |what| flaws.push(format!("workspace {id}: {what}")));
    Ok(())
}

/// The check of a log in progress.
struct LogCheck<'a> {
    rows: &'a WorkspaceRows,
    facts: Workspace,
    decoder: StreamDecoder,
    tree: Frontier,
    /// The position of the last event in the feed.
    position: u64,
    /// The flaws beside the events.
    flaws: Vec<String>,
}

impl<'a> LogCheck<'a> {
    fn new(id: WorkspaceId, rows: &'a WorkspaceRows) -> Self {
        let (facts, decoder) = (Workspace::empty(id), StreamDecoder::from_start(id));
        Self { rows, facts, decoder, tree: Frontier::default(), position: 0, flaws: Vec::new() }
    }

    /// Reads and checks the log up to a head.
    fn read(&mut self, log: &dyn Store, head: Revision) -> Result<(), LogError> {
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
                self.check_position(stored.position);
                self.grow(stored.leaf);
                Ok(())
            })?;
            if self.facts.head() == before {
                return Err(missing(before.next()));
            }
        }
        Ok(())
    }

    /// Checks that an event stands in the feed after those before it.
    fn check_position(&mut self, position: u64) {
        let (before, head) = (std::mem::replace(&mut self.position, position), self.facts.head());
        if position <= before {
            self.flaws.push(format!(
                "`events` has revision {head} at the position {position}, and the one before at {before}"
            ));
        }
    }

    /// Grows the tree by a leaf, and compares it with the stored frontier, tile hashes and witnesses of that size.
    fn grow(&mut self, leaf: TreeHash) {
        for (node, hash) in self.tree.push(leaf).filter(|(node, _)| node.level > 0) {
            if node.level.is_multiple_of(TILE_HEIGHT) {
                let level = node.level / TILE_HEIGHT;
                self.check_tile_hash(level, node.index, hash);
            }
        }
        let size = self.tree.size();
        if let Some((_, bytes)) = self.rows.frontier.as_ref().filter(|(stored, _)| *stored == size)
            && Frontier::from_bytes(size, bytes).as_ref() != Some(&self.tree)
        {
            self.flaws.push(format!("`trees` has another edge of the tree of {size} events than they have"));
        }
        for witness in self.rows.witnesses.iter().filter(|witness| witness.tree.size == size) {
            let (found, root) = (self.tree.root(), witness.tree.root);
            if found != root {
                self.flaws
                    .push(format!("its {size} events have the root `{found}`, and `{}` has `{root}`", witness.name));
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
        self.flaws.push(format!(
            "`tile_hashes` {wrong} over the events from revision {first} on, at level {level}, and they have `{expected}`"
        ));
    }

    /// Reports the flaws, and the rows and witnesses of a larger tree.
    fn finish(&self, mut wrong: impl FnMut(String)) {
        self.flaws.iter().cloned().for_each(&mut wrong);
        let size = self.tree.size();
        if self.rows.frontier.is_none() && size >= UNWRITTEN_EVENTS_MAX {
            wrong(format!("`trees` has no edge of the tree of {size} events"));
        }
        if let Some((stored, _)) = self.rows.frontier.as_ref().filter(|(stored, _)| *stored > size) {
            wrong(format!("`trees` has the edge of {stored} events, and the log has {size}"));
        }
        for witness in self.rows.witnesses.iter().filter(|witness| witness.tree.size > size) {
            wrong(format!("`{}` is of {} events, and the log has {size}", witness.name, witness.tree.size));
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
