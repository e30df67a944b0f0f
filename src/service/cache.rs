//! The workspaces in memory: loaded when first asked for, kept while there is room.
//!
//! Two slots of one workspace never live at once: a slot that the cache let go, but someone still holds, is found again
//! through a weak reference. So a root that the writer publishes is seen by every reader, whatever the cache does. Who follows
//! a workspace holds its slot, never a root, and is told when there is a newer one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use arc_swap::ArcSwap;
use moka::sync::Cache;
use tokio::sync::{OnceCell, watch};

use crate::domain::id::WorkspaceId;
use crate::domain::time::Revision;
use crate::domain::workspace::Workspace;
use crate::log::codec::StreamDecoder;
use crate::log::{EventLog, LogError};

/// What an event costs in memory, with the facts it sets: an estimate, in bytes.
const BYTES_PER_EVENT: u64 = 1_000;
/// How many events are read from the log at a time.
const PAGE_EVENTS: usize = 4_096;

/// Whether a slot is where a workspace's newest facts are published.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Place {
    /// It is.
    #[default]
    Current,
    /// It was: the workspace is loaded anew, into another slot.
    Left,
}

/// The place of one workspace: its published root, once it is loaded.
#[derive(Debug, Default)]
pub(super) struct Slot {
    root: OnceCell<ArcSwap<Workspace>>,
    news: watch::Sender<Place>,
}

impl Slot {
    /// The place of a workspace that has just been made.
    pub(super) fn holding(root: Arc<Workspace>) -> Arc<Self> {
        Arc::new(Self { root: OnceCell::new_with(Some(ArcSwap::new(root))), news: watch::Sender::default() })
    }

    /// The newest durable facts; none before they are loaded.
    pub(super) fn root(&self) -> Option<Arc<Workspace>> {
        self.root.get().map(ArcSwap::load_full)
    }

    /// Hears of each newer root.
    pub(super) fn listen(&self) -> watch::Receiver<Place> {
        self.news.subscribe()
    }

    /// How many listen.
    pub(super) fn listeners_len(&self) -> usize {
        self.news.receiver_count()
    }
}

/// Why a workspace is not there.
#[derive(Debug)]
pub(super) enum NotLoaded {
    /// It never was.
    Unknown,
    /// Its log cannot be read.
    Log(LogError),
}

/// Every workspace that is in memory.
pub(super) struct Workspaces {
    log: Arc<dyn EventLog>,
    cache: Cache<WorkspaceId, Arc<Slot>>,
    slots: Mutex<HashMap<WorkspaceId, Weak<Slot>>>,
    news: watch::Sender<()>,
}

impl Workspaces {
    /// An empty cache that holds about `bytes` of workspaces.
    pub(super) fn new(log: Arc<dyn EventLog>, bytes: u64) -> Self {
        let weigh = |_: &WorkspaceId, slot: &Arc<Slot>| {
            let events = slot.root().map_or(0, |root| root.head().0);
            u32::try_from((events + 8) * BYTES_PER_EVENT / 1_024).unwrap_or(u32::MAX)
        };
        let cache = Cache::builder().weigher(weigh).max_capacity(bytes / 1_024).build();
        Self { log, cache, slots: Mutex::default(), news: watch::Sender::default() }
    }

    /// Hears of each append, of whatever workspace.
    pub(super) fn listen(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    /// How many listen.
    pub(super) fn listeners_len(&self) -> usize {
        self.news.receiver_count()
    }

    /// The slot of a workspace, loaded.
    pub(super) async fn get(&self, id: WorkspaceId) -> Result<Arc<Slot>, NotLoaded> {
        if let Some(slot) = self.cache.get(&id) {
            return Ok(slot);
        }
        let slot = self.slot(id);
        slot.root.get_or_try_init(|| self.load(id)).await?;
        self.cache.insert(id, Arc::clone(&slot));
        Ok(slot)
    }

    async fn load(&self, id: WorkspaceId) -> Result<ArcSwap<Workspace>, NotLoaded> {
        let log = Arc::clone(&self.log);
        let loaded = tokio::task::spawn_blocking(move || replay(log.as_ref(), id)).await;
        let stopped = |_| NotLoaded::Log(LogError::Unavailable("the server is stopping".to_owned()));
        let root = loaded.map_err(stopped)?.map_err(NotLoaded::Log)?.ok_or(NotLoaded::Unknown)?;
        Ok(ArcSwap::from_pointee(root))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<WorkspaceId, Weak<Slot>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot(&self, id: WorkspaceId) -> Arc<Slot> {
        let mut slots = self.lock();
        if let Some(slot) = slots.get(&id).and_then(Weak::upgrade) {
            return slot;
        }
        if slots.len() == slots.capacity() {
            slots.retain(|_, slot| slot.strong_count() > 0);
        }
        let slot = Arc::new(Slot::default());
        slots.insert(id, Arc::downgrade(&slot));
        slot
    }

    /// Makes a newer root the one that every reader sees from now on.
    pub(super) fn publish(&self, slot: &Arc<Slot>, root: Arc<Workspace>) {
        let (id, head) = (root.id(), root.head());
        let Some(published) = slot.root.get() else { return };
        let before = published.swap(root).head();
        let grown = head.0.checked_ilog2() != before.0.checked_ilog2();
        if grown || !self.cache.contains_key(&id) {
            self.lock().insert(id, Arc::downgrade(slot));
            self.cache.insert(id, Arc::clone(slot));
        }
        slot.news.send_replace(Place::Current);
        self.news.send_replace(());
    }

    /// Lets those who follow a workspace look again, though it has no newer root: a right to read it has ended beside the log.
    pub(super) fn wake(&self, id: WorkspaceId) {
        if let Some(slot) = self.lock().get(&id).and_then(Weak::upgrade) {
            slot.news.send_replace(Place::Current);
        }
    }

    /// Forgets a workspace whose log is not where it was thought to be; it is loaded anew when next asked for.
    pub(super) fn forget(&self, id: WorkspaceId) {
        let left = self.lock().remove(&id).and_then(|slot| slot.upgrade());
        self.cache.invalidate(&id);
        if let Some(left) = left {
            left.news.send_replace(Place::Left);
        }
        self.news.send_replace(());
    }
}

/// The facts of a workspace from the first event of its log; none if there is no log.
///
/// # Errors
/// `Unavailable`, or `Unreadable` with the first revision that is wrong.
pub fn replay(log: &dyn EventLog, id: WorkspaceId) -> Result<Option<Workspace>, LogError> {
    let mut workspace = Workspace::empty(id);
    let mut decoder = StreamDecoder::from_start(id);
    loop {
        let page = log.read(id, workspace.head(), PAGE_EVENTS)?;
        for stored in &page {
            workspace.evolve(&Arc::new(decoder.decode(stored)?));
        }
        if page.len() < PAGE_EVENTS {
            break;
        }
    }
    workspace.settle();
    Ok((workspace.head() != Revision::ZERO).then_some(workspace))
}
