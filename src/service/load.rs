//! Loading: a workspace's facts from its log, checked against the log's tree.
//!
//! The reading thread compares the bytes of each event with its leaf. Here the tree is grown again from those leaves and compared with
//! the stored frontier, the snapshot and the kept checkpoint. An event that cannot follow the ones before it is damage. So only facts
//! that the log proves are served.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use super::witness::{Witness, WitnessKind};
use crate::domain::model::event::Event;
use crate::domain::model::id::WorkspaceId;
use crate::domain::model::time::Revision;
use crate::domain::state::workspace::Workspace;
use crate::log::codec::StreamDecoder;
use crate::log::snapshot::{Snapshot, frontier_at};
use crate::log::{LogError, Store};
use crate::proof::frontier::{Frontier, TreeHead};
use crate::proof::hash::TreeHash;

/// The events that are read and decoded at a time: few enough to be in the processor's cache when they are applied.
const PAGE_EVENTS: usize = 256;
/// The pages that are read ahead of the one that is applied.
const PAGES_AHEAD: usize = 8;

/// The state before the first event that is read.
pub(super) struct ReplayStart {
    facts: Workspace,
    tree: Frontier,
}

impl ReplayStart {
    /// Returns the state before the first event of a log.
    pub(super) fn empty(id: WorkspaceId) -> Self {
        Self { facts: Workspace::empty(id), tree: Frontier::default() }
    }

    /// Returns the state at a snapshot. Its tree is made from the log's tiles, and the snapshot must agree with it as a witness.
    pub(super) fn at_snapshot(snapshot: Snapshot, log: &dyn Store) -> Result<Self, LogError> {
        let Snapshot { facts, root } = snapshot;
        let (id, head, end) = (facts.id(), facts.head(), log.head(facts.id())?.unwrap_or_default());
        if end < head {
            let witness = Witness { tree: TreeHead { size: head.0, root }, kind: WitnessKind::Snapshot };
            return Err(witness.missing(end, log, id));
        }
        let tree = frontier_at(log, id, head)?;
        Ok(Self { facts, tree })
    }
}

/// Returns the facts of a workspace from the first event of its log; none if there is no log.
///
/// # Errors
/// `Unavailable`, or `Unreadable` at the first damaged revision.
pub fn replay(log: &dyn Store, id: WorkspaceId) -> Result<Option<Workspace>, LogError> {
    let replayed = replay_from(log, ReplayStart::empty(id), Vec::new())?;
    Ok(replayed.map(|(facts, _)| facts))
}

/// Returns the facts after the rest of the log, and the head of its tree; none if there is no log.
///
/// # Errors
/// As [`replay`], and `Unreadable` if the log differs from a witness.
pub(super) fn replay_from(
    log: &dyn Store,
    start: ReplayStart,
    mut witnesses: Vec<Witness>,
) -> Result<Option<(Workspace, TreeHead)>, LogError> {
    // Read before the events, so that it never has more than they, even if another process appends meanwhile.
    let frontier = log.tree(start.facts.id())?;
    witnesses.extend(frontier.map(|tree| Witness { tree: tree.head(), kind: WitnessKind::Frontier }));
    let mut replay = LogReplay::new(log, start, witnesses)?;
    let mut pages = EventPages::after(log, &replay.facts);
    let first = pages.next()?;
    let is_last = first.len() < PAGE_EVENTS;
    replay.apply_page(first)?;
    if !is_last {
        read_ahead(pages, &mut replay)?;
    }
    replay.finish()
}

/// Reads the pages on a second thread, while the ones before are applied.
fn read_ahead(mut pages: EventPages<'_>, replay: &mut LogReplay<'_>) -> Result<(), LogError> {
    std::thread::scope(|scope| {
        let (ahead, read) = sync_channel(PAGES_AHEAD);
        scope.spawn(move || {
            loop {
                let page = pages.next();
                let goes_on = page.as_ref().is_ok_and(|events| events.len() == PAGE_EVENTS);
                // The replay has failed, or this was the last page.
                if ahead.send(page).is_err() || !goes_on {
                    break;
                }
            }
        });
        for page in read {
            replay.apply_page(page?)?;
        }
        Ok(())
    })
}

/// A replay in progress.
struct LogReplay<'a> {
    log: &'a dyn Store,
    facts: Workspace,
    tree: Frontier,
    /// The witnesses that are not compared yet, the one with the smallest tree last.
    witnesses: Vec<Witness>,
}

impl<'a> LogReplay<'a> {
    fn new(log: &'a dyn Store, start: ReplayStart, mut witnesses: Vec<Witness>) -> Result<Self, LogError> {
        witnesses.sort_by_key(|witness| std::cmp::Reverse(witness.tree.size));
        let ReplayStart { facts, tree } = start;
        let mut replay = Self { log, facts, tree, witnesses };
        replay.check_earlier()?;
        replay.check_here()?;
        Ok(replay)
    }

    /// Compares the witnesses of smaller trees than the first.
    fn check_earlier(&mut self) -> Result<(), LogError> {
        let id = self.facts.id();
        while let Some(witness) = self.witnesses.pop_if(|witness| witness.tree.size < self.tree.size()) {
            let found = frontier_at(self.log, id, Revision(witness.tree.size))?.head();
            witness.check(found, self.log, id)?;
        }
        Ok(())
    }

    /// Compares the witnesses of trees of the current size.
    fn check_here(&mut self) -> Result<(), LogError> {
        while let Some(witness) = self.witnesses.pop_if(|witness| witness.tree.size == self.tree.size()) {
            witness.check(self.tree.head(), self.log, self.facts.id())?;
        }
        Ok(())
    }

    fn apply_page(&mut self, page: Vec<(TreeHash, Event)>) -> Result<(), LogError> {
        page.into_iter().try_for_each(|(leaf, event)| self.apply(leaf, event))
    }

    fn apply(&mut self, leaf: TreeHash, event: Event) -> Result<(), LogError> {
        let (workspace, revision) = (self.facts.id(), event.revision);
        let applied = self.facts.evolve_checked(&Arc::new(event));
        applied.map_err(|why| LogError::Unreadable { workspace, revision, why: why.to_string() })?;
        self.tree.add(leaf);
        self.check_here()
    }

    /// Returns the facts, unless a witness has more events: a disk that lost the newest ones must not restore the access that they ended.
    fn finish(mut self) -> Result<Option<(Workspace, TreeHead)>, LogError> {
        let head = self.facts.head();
        if let Some(witness) = self.witnesses.pop() {
            let end = self.log.head(self.facts.id())?.unwrap_or_default();
            return Err(witness.missing(end, self.log, self.facts.id()));
        }
        self.facts.compact();
        Ok((head != Revision::ZERO).then(|| (self.facts, self.tree.head())))
    }
}

/// A workspace's log, page by page.
struct EventPages<'a> {
    log: &'a dyn Store,
    workspace: WorkspaceId,
    after: Revision,
    decoder: StreamDecoder,
}

impl<'a> EventPages<'a> {
    fn after(log: &'a dyn Store, facts: &Workspace) -> Self {
        let (workspace, after) = (facts.id(), facts.head());
        Self { log, workspace, after, decoder: StreamDecoder::after(workspace, after, facts.head_time()) }
    }

    /// Returns the next page, as leaves and events; the last one is shorter.
    fn next(&mut self) -> Result<Vec<(TreeHash, Event)>, LogError> {
        let mut events = Vec::with_capacity(PAGE_EVENTS);
        self.log.visit(self.workspace, self.after, PAGE_EVENTS, &mut |stored| {
            events.push((stored.leaf, self.decoder.decode(&stored)?));
            Ok(())
        })?;
        self.after = events.last().map_or(self.after, |(_, event)| event.revision);
        Ok(events)
    }
}
