//! The workspaces in memory: loaded when first asked for, kept while there is room.
//!
//! Two slots of one workspace never live at once: a slot that the cache let go, but someone still holds, is found again
//! through a weak reference. So a root that the writer publishes is seen by every reader, whatever the cache does. Who follows
//! a workspace holds its slot, never a root, and is told when there is a newer one.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use arc_swap::ArcSwap;
use moka::sync::Cache;
use tokio::sync::{OnceCell, watch};

use super::snapshots::{Loaded, Reached, Snapshots};
use crate::domain::model::id::WorkspaceId;
use crate::domain::state::workspace::Workspace;
use crate::log::LogError;
use crate::proof::frontier::TreeHead;

/// What an event takes in memory, with the facts that it sets, in bytes: as `benches/workspace.rs` finds it, and something over.
const BYTES_PER_EVENT: u64 = 150;
/// What a workspace takes beside that: its maps, and the newest events, which are not packed.
const BYTES_PER_WORKSPACE: u64 = 16_384;
/// After how many events more a workspace is weighed again.
const WEIGHED_EVENTS: u64 = 4_096;

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
    /// The head of its log's tree. It is that of the root, or of a root that is about to be published.
    tree: Mutex<Option<TreeHead>>,
    /// Up to where its snapshot reaches, once it is loaded.
    reached: OnceLock<Reached>,
    news: watch::Sender<Place>,
}

impl Slot {
    /// The place of a workspace that has just been made.
    pub(super) fn holding(root: Arc<Workspace>) -> Arc<Self> {
        let root = OnceCell::new_with(Some(ArcSwap::new(root)));
        Arc::new(Self { root, ..Self::default() })
    }

    /// The newest durable facts; none before they are loaded.
    pub(super) fn root(&self) -> Option<Arc<Workspace>> {
        self.root.get().map(ArcSwap::load_full)
    }

    /// Whether the workspace was forgotten since: readers have, or will have, another slot.
    pub(super) fn is_left(&self) -> bool {
        *self.news.borrow() == Place::Left
    }

    /// The head of the tree over its log, durable and compared with every leaf; none before the workspace is loaded.
    pub(super) fn tree(&self) -> Option<TreeHead> {
        *self.tree.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_tree(&self, tree: TreeHead) {
        *self.tree.lock().unwrap_or_else(PoisonError::into_inner) = Some(tree);
    }

    fn reached(&self) -> &Reached {
        self.reached.get_or_init(Reached::default)
    }

    /// Its root, if a snapshot of it should be written.
    fn unsaved(&self) -> Option<Arc<Workspace>> {
        self.root().filter(|root| self.reached().is_due(root.head()))
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
    snapshots: Snapshots,
    cache: Cache<WorkspaceId, Arc<Slot>>,
    slots: Mutex<HashMap<WorkspaceId, Weak<Slot>>>,
    /// The heads of the trees that grew since their checkpoints were kept.
    grown: Mutex<BTreeMap<WorkspaceId, TreeHead>>,
    news: watch::Sender<()>,
}

impl Workspaces {
    /// An empty cache that holds about `bytes` of workspaces.
    pub(super) fn new(snapshots: Snapshots, bytes: u64) -> Self {
        let weigh = |_: &WorkspaceId, slot: &Arc<Slot>| {
            let events = slot.root().map_or(0, |root| root.head().0);
            let bytes = events.saturating_mul(BYTES_PER_EVENT).saturating_add(BYTES_PER_WORKSPACE);
            u32::try_from(bytes / 1_024).unwrap_or(u32::MAX)
        };
        let cache = Cache::builder().weigher(weigh).max_capacity(bytes / 1_024).build();
        let (slots, grown) = (Mutex::default(), Mutex::default());
        Self { snapshots, cache, slots, grown, news: watch::Sender::default() }
    }

    /// Hears of each append, of whatever workspace.
    pub(super) fn listen(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    /// How many listen.
    pub(super) fn listeners_len(&self) -> usize {
        self.news.receiver_count()
    }

    /// The slot of a workspace, loaded. Whoever asks while it is being loaded waits for the same load.
    pub(super) async fn get(&self, id: WorkspaceId) -> Result<Arc<Slot>, NotLoaded> {
        loop {
            if let Some(slot) = self.cache.get(&id) {
                return Ok(slot);
            }
            let slot = self.slot(id);
            slot.root.get_or_try_init(|| self.load(id, &slot)).await?;
            if self.keep(id, &slot) {
                return Ok(slot);
            }
        }
    }

    /// Puts a slot into the cache; false if the workspace was forgotten while it was being loaded.
    fn keep(&self, id: WorkspaceId, slot: &Arc<Slot>) -> bool {
        // Forgetting takes the same lock, so what it has left never comes back.
        let slots = self.lock();
        let current = slots.get(&id).is_some_and(|known| std::ptr::eq(known.as_ptr(), Arc::as_ptr(slot)));
        if current {
            self.cache.insert(id, Arc::clone(slot));
        }
        current
    }

    async fn load(&self, id: WorkspaceId, slot: &Arc<Slot>) -> Result<ArcSwap<Workspace>, NotLoaded> {
        let snapshots = self.snapshots.clone();
        let loaded = tokio::task::spawn_blocking(move || snapshots.load(id)).await;
        let stopped = |_| NotLoaded::Log(LogError::Unavailable("the server is stopping".to_owned()));
        let loaded = loaded.map_err(stopped)?.map_err(NotLoaded::Log)?.ok_or(NotLoaded::Unknown)?;
        let Loaded { facts, tree, reached } = loaded;
        let root = Arc::new(facts);
        let due = reached.is_due(root.head());
        // Nobody else sets them before the slot is loaded.
        let _ = slot.reached.set(reached);
        slot.set_tree(tree);
        if due {
            let (snapshots, slot, root) = (self.snapshots.clone(), Arc::clone(slot), Arc::clone(&root));
            tokio::task::spawn_blocking(move || snapshots.save(&root, Some(tree), slot.reached()));
        }
        Ok(ArcSwap::new(root))
    }

    /// Writes the snapshots that are due. Takes a while.
    pub(super) fn save(&self) {
        // Nobody who needs the lock waits while a snapshot is written.
        let slots: Vec<_> = self.lock().values().filter_map(Weak::upgrade).collect();
        for slot in slots {
            if let Some(root) = slot.unsaved() {
                self.snapshots.save(&root, slot.tree(), slot.reached());
            }
        }
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

    /// Makes a newer root, with the head of its log's tree if that grew, the one that every reader sees from now on.
    pub(super) fn publish(&self, slot: &Arc<Slot>, root: Arc<Workspace>, tree: Option<TreeHead>) {
        let (id, head) = (root.id(), root.head());
        let Some(published) = slot.root.get() else { return };
        if let Some(tree) = tree {
            slot.set_tree(tree);
            self.grown().insert(id, tree);
        }
        let before = published.swap(root).head();
        let grown = head.0 / WEIGHED_EVENTS != before.0 / WEIGHED_EVENTS;
        if grown || !self.cache.contains_key(&id) {
            let mut slots = self.lock();
            slots.insert(id, Arc::downgrade(slot));
            self.cache.insert(id, Arc::clone(slot));
        }
        slot.news.send_replace(Place::Current);
        self.news.send_replace(());
    }

    fn grown(&self) -> MutexGuard<'_, BTreeMap<WorkspaceId, TreeHead>> {
        self.grown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes up to `limit` of the heads of trees that grew since they were taken last.
    pub(super) fn take_grown(&self, limit: usize) -> Vec<(WorkspaceId, TreeHead)> {
        let mut grown = self.grown();
        std::iter::from_fn(|| grown.pop_first()).take(limit).collect()
    }

    /// Puts back a head that was taken, unless the tree has grown again since.
    pub(super) fn put_back_grown(&self, id: WorkspaceId, tree: TreeHead) {
        self.grown().entry(id).or_insert(tree);
    }

    /// Lets those who follow a workspace look again, though it has no newer root: a right to read it has ended beside the log.
    pub(super) fn wake(&self, id: WorkspaceId) {
        if let Some(slot) = self.lock().get(&id).and_then(Weak::upgrade) {
            slot.news.send_replace(Place::Current);
        }
    }

    /// Forgets a workspace whose log is not where it was thought to be; it is loaded anew when next asked for.
    pub(super) fn forget(&self, id: WorkspaceId) {
        let mut slots = self.lock();
        let left = slots.remove(&id).and_then(|slot| slot.upgrade());
        self.cache.invalidate(&id);
        drop(slots);
        if let Some(left) = left {
            left.news.send_replace(Place::Left);
        }
        self.news.send_replace(());
    }
}
