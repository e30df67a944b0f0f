//! Loading: a workspace's facts from its log, every event of which is what the log's tree says.
//!
//! The bytes of each event are compared with its leaf where they are read, on a thread ahead of the facts. Here the tree is grown
//! again from those leaves and compared with what the store, a snapshot and a kept checkpoint say of it, and an event that cannot
//! follow the ones before it is damage. So facts are served only where the log proves them.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use super::witness::{Kind, Witness};
use crate::domain::model::event::Event;
use crate::domain::model::id::WorkspaceId;
use crate::domain::model::time::Revision;
use crate::domain::state::workspace::Workspace;
use crate::log::codec::StreamDecoder;
use crate::log::snapshot::{Snapshot, edge_at};
use crate::log::{EventLog, LogError};
use crate::proof::frontier::{Frontier, TreeHead};
use crate::proof::hash::TreeHash;

/// How many events are read and decoded at a time: few enough that they are still in the processor's cache when they are taken in.
const PAGE_EVENTS: usize = 256;
/// How many pages are read ahead of those that are taken in.
const PAGES_AHEAD: usize = 8;

/// Where the reading of a log begins.
pub(super) struct Start {
    facts: Workspace,
    tree: Frontier,
}

impl Start {
    /// The first event of a log.
    pub(super) fn empty(id: WorkspaceId) -> Self {
        Self { facts: Workspace::empty(id), tree: Frontier::default() }
    }

    /// The event after those of a snapshot. Its tree is made of the log's tiles; the snapshot, as a witness, has to agree with it.
    pub(super) fn of_snapshot(snapshot: Snapshot, log: &dyn EventLog) -> Result<Self, LogError> {
        let Snapshot { facts, root } = snapshot;
        let (id, head, end) = (facts.id(), facts.head(), log.head(facts.id())?.unwrap_or_default());
        if end < head {
            let witness = Witness { tree: TreeHead { size: head.0, root }, kind: Kind::Snapshot };
            return Err(witness.missing(end, log, id));
        }
        let tree = edge_at(log, id, head)?;
        Ok(Self { facts, tree })
    }
}

/// The facts of a workspace from the first event of its log; none if there is no log.
///
/// # Errors
/// `Unavailable`, or `Unreadable` with the first revision that is wrong.
pub fn replay(log: &dyn EventLog, id: WorkspaceId) -> Result<Option<Workspace>, LogError> {
    let followed = follow(log, Start::empty(id), Vec::new())?;
    Ok(followed.map(|(facts, _)| facts))
}

/// Facts with all that their log has after them, and the head of its tree; none if there is no log.
///
/// # Errors
/// As [`replay`], and `Unreadable` where the log is not what a witness says.
pub(super) fn follow(
    log: &dyn EventLog,
    start: Start,
    mut witnesses: Vec<Witness>,
) -> Result<Option<(Workspace, TreeHead)>, LogError> {
    // Asked before the events are, so that it never has more than they where another process appends meanwhile.
    let edge = log.tree(start.facts.id())?.map(|edge| Witness { tree: edge.head(), kind: Kind::Edge });
    witnesses.extend(edge);
    let mut taken = Taken::of(log, start, witnesses)?;
    let mut pages = Pages::after(log, &taken.facts);
    let first = pages.next()?;
    let is_last = first.len() < PAGE_EVENTS;
    taken.take_all(first)?;
    if !is_last {
        follow_ahead(pages, &mut taken)?;
    }
    taken.finish()
}

/// Reads the pages ahead on a thread of their own, while those before are taken in.
fn follow_ahead(mut pages: Pages<'_>, taken: &mut Taken<'_>) -> Result<(), LogError> {
    std::thread::scope(|scope| {
        let (ahead, read) = sync_channel(PAGES_AHEAD);
        scope.spawn(move || {
            loop {
                let page = pages.next();
                let goes_on = page.as_ref().is_ok_and(|events| events.len() == PAGE_EVENTS);
                // Whoever takes them in has stopped, or this was the last one.
                if ahead.send(page).is_err() || !goes_on {
                    break;
                }
            }
        });
        for page in read {
            taken.take_all(page?)?;
        }
        Ok(())
    })
}

/// What was read of a log so far.
struct Taken<'a> {
    log: &'a dyn EventLog,
    facts: Workspace,
    tree: Frontier,
    /// Those that have not been compared yet, the one of the smallest tree last.
    witnesses: Vec<Witness>,
}

impl<'a> Taken<'a> {
    fn of(log: &'a dyn EventLog, start: Start, mut witnesses: Vec<Witness>) -> Result<Self, LogError> {
        witnesses.sort_by_key(|witness| std::cmp::Reverse(witness.tree.size));
        let Start { facts, tree } = start;
        let mut taken = Self { log, facts, tree, witnesses };
        taken.check_earlier()?;
        taken.check_here()?;
        Ok(taken)
    }

    /// Compares the witnesses of trees that are smaller than the one that the reading begins with.
    fn check_earlier(&mut self) -> Result<(), LogError> {
        let id = self.facts.id();
        while let Some(witness) = self.witnesses.pop_if(|witness| witness.tree.size < self.tree.size()) {
            let found = edge_at(self.log, id, Revision(witness.tree.size))?.head();
            witness.check(found, self.log, id)?;
        }
        Ok(())
    }

    /// Compares the witnesses of a tree of just this size.
    fn check_here(&mut self) -> Result<(), LogError> {
        while let Some(witness) = self.witnesses.pop_if(|witness| witness.tree.size == self.tree.size()) {
            witness.check(self.tree.head(), self.log, self.facts.id())?;
        }
        Ok(())
    }

    fn take_all(&mut self, page: Vec<(TreeHash, Event)>) -> Result<(), LogError> {
        page.into_iter().try_for_each(|(leaf, event)| self.take(leaf, event))
    }

    fn take(&mut self, leaf: TreeHash, event: Event) -> Result<(), LogError> {
        let (workspace, revision) = (self.facts.id(), event.revision);
        let taken = self.facts.evolve_checked(&Arc::new(event));
        taken.map_err(|why| LogError::Unreadable { workspace, revision, why: why.to_string() })?;
        self.tree.add(leaf);
        self.check_here()
    }

    /// Gives what was read, which no witness may have more of: a disk that lost the newest events must not bring back what they ended.
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
struct Pages<'a> {
    log: &'a dyn EventLog,
    workspace: WorkspaceId,
    after: Revision,
    decoder: StreamDecoder,
}

impl<'a> Pages<'a> {
    fn after(log: &'a dyn EventLog, facts: &Workspace) -> Self {
        let (workspace, after) = (facts.id(), facts.head());
        Self { log, workspace, after, decoder: StreamDecoder::after(workspace, after, facts.head_time()) }
    }

    /// The next page, each event after its leaf; not a whole one at the end.
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
