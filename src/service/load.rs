//! Loading: a workspace's facts from its log, checked against the log's tree.
//!
//! A pipeline of three threads: one reads rows from the store, one compares the bytes of each with its leaf and decodes the event, and one
//! applies the events. That one grows the tree again from the leaves and compares it with the stored frontier, the snapshot and the kept
//! checkpoint. An event that cannot follow the ones before it is damage. So only facts that the log proves are served.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::witness::{Witness, WitnessKind};
use crate::domain::model::event::Event;
use crate::domain::model::id::WorkspaceId;
use crate::domain::model::time::Revision;
use crate::domain::state::workspace::Workspace;
use crate::log::codec::StreamDecoder;
use crate::log::snapshot::{Snapshot, frontier_at};
use crate::log::{LogError, Store, UncheckedEvents};
use crate::proof::frontier::{Frontier, TreeHead};
use crate::proof::hash::TreeHash;

/// The events that are read and decoded at a time: few enough to be in the processor's cache when they are applied.
const PAGE_EVENTS: usize = 256;
/// The pages that a thread is ahead of the next one.
const PAGES_AHEAD: usize = 8;

/// A page of decoded events, each with its leaf.
type EventPage = Vec<(TreeHash, Event)>;

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
    let facts = &replay.facts;
    let mut rows = RowPages { log, workspace: facts.id(), after: facts.head() };
    let mut decoder = StreamDecoder::after(facts.id(), facts.head(), facts.head_time());
    let first = rows.next()?;
    let is_last = first.len() < PAGE_EVENTS;
    replay.apply_page(decode(&first, &mut decoder)?)?;
    if !is_last {
        run_pipeline(rows, decoder, &mut replay)?;
    }
    replay.finish()
}

/// Reads and decodes pages on two further threads, while the ones before are applied.
fn run_pipeline(rows: RowPages<'_>, decoder: StreamDecoder, replay: &mut LogReplay<'_>) -> Result<(), LogError> {
    std::thread::scope(|scope| {
        let (row_sender, row_receiver) = sync_channel(PAGES_AHEAD);
        let (event_sender, event_receiver) = sync_channel(PAGES_AHEAD);
        scope.spawn(move || read_rows(rows, &row_sender));
        scope.spawn(move || decode_rows(&row_receiver, decoder, &event_sender));
        event_receiver.into_iter().try_for_each(|page| replay.apply_page(page?))
    })
}

/// Sends the pages up to the last one, or until the next thread has failed.
fn read_rows(mut rows: RowPages<'_>, sender: &SyncSender<Result<UncheckedEvents, LogError>>) {
    loop {
        let page = rows.next();
        let goes_on = page.as_ref().is_ok_and(|page| page.len() == PAGE_EVENTS);
        if sender.send(page).is_err() || !goes_on {
            break;
        }
    }
}

/// Checks and decodes the pages up to the last one or the first failure, or until the next thread has failed.
fn decode_rows(
    pages: &Receiver<Result<UncheckedEvents, LogError>>,
    mut decoder: StreamDecoder,
    sender: &SyncSender<Result<EventPage, LogError>>,
) {
    for page in pages {
        let events = page.and_then(|page| decode(&page, &mut decoder));
        let is_failed = events.is_err();
        if sender.send(events).is_err() || is_failed {
            break;
        }
    }
}

fn decode(page: &UncheckedEvents, decoder: &mut StreamDecoder) -> Result<EventPage, LogError> {
    let mut events = Vec::with_capacity(page.len());
    page.check(&mut |stored| {
        events.push((stored.leaf, decoder.decode(&stored)?));
        Ok(())
    })?;
    Ok(events)
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

/// The rows of a workspace's log, page by page.
struct RowPages<'a> {
    log: &'a dyn Store,
    workspace: WorkspaceId,
    after: Revision,
}

impl RowPages<'_> {
    /// Returns the next page; the last one is shorter.
    fn next(&mut self) -> Result<UncheckedEvents, LogError> {
        let page = self.log.read_unchecked(self.workspace, self.after, PAGE_EVENTS)?;
        self.after = page.last_revision().unwrap_or(self.after);
        Ok(page)
    }
}
