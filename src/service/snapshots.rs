//! When snapshots are written, and which are believed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;

use crate::domain::event::Event;
use crate::domain::id::WorkspaceId;
use crate::domain::time::Revision;
use crate::domain::workspace::Workspace;
use crate::log::codec::StreamDecoder;
use crate::log::snapshot::{self, BadSnapshot};
use crate::log::{EventLog, LogError};
use crate::proof::note::LogKey;

/// How many events are read and decoded at a time: few enough that they are still in the processor's cache when they are taken in.
const PAGE_EVENTS: usize = 256;
/// How many pages are read ahead of those that are taken in.
const PAGES_AHEAD: usize = 8;
/// How many events a log must have grown by before a snapshot of it is worth writing, and by which part of what the last one held.
const GROWN_EVENTS_MIN: u64 = 5_000;
const GROWN_PART: u64 = 4;

/// Up to which revision a workspace's snapshot reaches, or the one that is being written.
#[derive(Debug, Default)]
pub(super) struct Reached(AtomicU64);

impl Reached {
    /// Whether the log has grown enough for another snapshot.
    pub(super) fn is_due(&self, head: Revision) -> bool {
        let last = self.0.load(Ordering::Acquire);
        head.0.saturating_sub(last) >= GROWN_EVENTS_MIN.max(last / GROWN_PART)
    }

    /// Takes it upon the caller to write a snapshot, if one is due and nobody else has.
    fn claim(&self, head: Revision) -> bool {
        let last = self.0.load(Ordering::Acquire);
        self.is_due(head) && self.0.compare_exchange(last, head.0, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

/// The snapshots of a log.
#[derive(Clone)]
pub(super) struct Snapshots {
    log: Arc<dyn EventLog>,
    key: LogKey,
}

impl Snapshots {
    /// The snapshots of a log, told from others by a seal that the key makes.
    pub(super) fn new(log: Arc<dyn EventLog>, key: LogKey) -> Self {
        Self { log, key }
    }

    /// A workspace's newest facts: those of its snapshot, where it has a good one, and the events after it. None if there is no log.
    /// Gives, beside them, up to where the snapshot reaches.
    ///
    /// # Errors
    /// As [`replay`].
    pub(super) fn load(&self, id: WorkspaceId) -> Result<Option<(Workspace, Reached)>, LogError> {
        let held = self.restored(id)?;
        let reached = held.as_ref().map_or(Revision::ZERO, Workspace::head);
        let facts = follow(self.log.as_ref(), held.unwrap_or_else(|| Workspace::empty(id)))?;
        Ok(facts.map(|facts| (facts, Reached(AtomicU64::new(reached.0)))))
    }

    /// The facts of a workspace's snapshot. One that does not match is thrown away, and one that cannot be read is passed over.
    fn restored(&self, id: WorkspaceId) -> Result<Option<Workspace>, LogError> {
        let Some(bytes) = self.stored(id) else { return Ok(None) };
        let restored = match snapshot::read(&bytes, id, &self.key) {
            Ok(read) => snapshot::check_log(&read, self.log.as_ref())?.map(|()| read.facts),
            Err(why) => Err(why),
        };
        Ok(restored.map_err(|why| self.discard(id, &why)).ok())
    }

    fn stored(&self, id: WorkspaceId) -> Option<Vec<u8>> {
        self.log.snapshot(id).unwrap_or_else(|error| {
            tracing::warn!(workspace = %id, %error, "a snapshot cannot be read, and the workspace is replayed from its first event");
            None
        })
    }

    fn discard(&self, id: WorkspaceId, why: &BadSnapshot) {
        tracing::warn!(workspace = %id, %why, "a snapshot is discarded, and the workspace is replayed from its first event");
        if let Err(error) = self.log.forget_snapshot(id) {
            tracing::warn!(workspace = %id, %error, "a snapshot could not be removed");
        }
    }

    /// Writes a snapshot if one is due. Takes a while, and holds nobody up.
    pub(super) fn save(&self, root: &Workspace, reached: &Reached) {
        let (id, head) = (root.id(), root.head());
        if !reached.claim(head) {
            return;
        }
        let taken = snapshot::take(root, self.log.as_ref(), &self.key);
        match taken.and_then(|taken| self.log.keep_snapshot(id, &taken)) {
            Ok(()) => tracing::debug!(workspace = %id, revision = %head, "a snapshot was written"),
            Err(error) => tracing::warn!(workspace = %id, revision = %head, %error, "a snapshot could not be written"),
        }
    }
}

/// The facts of a workspace from the first event of its log; none if there is no log.
///
/// # Errors
/// `Unavailable`, or `Unreadable` with the first revision that is wrong.
pub fn replay(log: &dyn EventLog, id: WorkspaceId) -> Result<Option<Workspace>, LogError> {
    follow(log, Workspace::empty(id))
}

/// Facts with all that their log has after them; none if it has nothing.
fn follow(log: &dyn EventLog, mut workspace: Workspace) -> Result<Option<Workspace>, LogError> {
    // Asked before the events are, so that it never has more than they where another process appends meanwhile.
    let expected = log.tree(workspace.id())?.map_or(Revision::ZERO, |tree| Revision(tree.size()));
    let mut pages = Pages::after(log, &workspace);
    let first = pages.next()?;
    let is_last = first.len() < PAGE_EVENTS;
    take_in(&mut workspace, first);
    if !is_last {
        follow_ahead(pages, &mut workspace)?;
    }
    check_end(&workspace, expected)?;
    workspace.settle();
    Ok((workspace.head() != Revision::ZERO).then_some(workspace))
}

/// A disk that lost the newest events, but not the tree over them, must not bring back what they ended.
fn check_end(workspace: &Workspace, expected: Revision) -> Result<(), LogError> {
    let head = workspace.head();
    if head >= expected {
        return Ok(());
    }
    let why = format!("the log ends before it, and its tree has {} events", expected.0);
    Err(LogError::Unreadable { workspace: workspace.id(), revision: head.next(), why })
}

/// Reads the pages ahead on a thread of their own, while those before are taken in.
fn follow_ahead(mut pages: Pages<'_>, workspace: &mut Workspace) -> Result<(), LogError> {
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
            take_in(workspace, page?);
        }
        Ok(())
    })
}

fn take_in(workspace: &mut Workspace, events: Vec<Event>) {
    for event in events {
        workspace.evolve(&Arc::new(event));
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

    /// The next page; not a whole one at the end.
    fn next(&mut self) -> Result<Vec<Event>, LogError> {
        let mut events = Vec::with_capacity(PAGE_EVENTS);
        self.log.visit(self.workspace, self.after, PAGE_EVENTS, &mut |stored| {
            events.push(self.decoder.decode(&stored)?);
            Ok(())
        })?;
        self.after = events.last().map_or(self.after, |event| event.revision);
        Ok(events)
    }
}
