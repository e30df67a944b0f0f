//! The workspaces in memory: each is loaded on first use and kept while there is room.
//!
//! Two entries of one workspace never live at once: an entry that the cache dropped, but another thread holds, is found again
//! through a weak reference. So every reader sees a root that the writer publishes. A follower of a workspace holds its entry, never a
//! root, and is notified of newer roots.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use arc_swap::ArcSwap;
use moka::sync::Cache;
use tokio::sync::{OnceCell, watch};

use super::snapshots::{LoadedWorkspace, SnapshotProgress, Snapshots};
use crate::domain::model::id::WorkspaceId;
use crate::domain::state::workspace::Workspace;
use crate::log::{LogError, Store};
use crate::proof::checkpoint::Signer;
use crate::proof::frontier::TreeHead;

/// The memory of an event with the facts that it sets, in bytes: the measure of `benches/workspace.rs`, rounded up.
const BYTES_PER_EVENT: u64 = 150;
/// The further memory of a workspace: its maps, and the newest events, which are not packed.
const BYTES_PER_WORKSPACE: u64 = 16_384;
/// The growth in events after which a workspace is weighed again.
const WEIGHED_EVENTS: u64 = 4_096;

/// Whether an entry is in the cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum EntryState {
    /// The newest facts are published to it.
    #[default]
    Current,
    /// The workspace is loaded anew, into another entry.
    Evicted,
}

/// A workspace in memory: its published root, once it is loaded.
#[derive(Debug, Default)]
pub(super) struct WorkspaceEntry {
    root: OnceCell<ArcSwap<Workspace>>,
    /// The head of its log's tree, at the root or at a root that is about to be published.
    tree: Mutex<Option<TreeHead>>,
    /// The revision of its snapshot, once it is loaded.
    snapshot_progress: OnceLock<SnapshotProgress>,
    updates: watch::Sender<EntryState>,
}

impl WorkspaceEntry {
    /// Returns the entry of a workspace that is being created.
    pub(super) fn with_root(root: Arc<Workspace>) -> Arc<Self> {
        let root = OnceCell::new_with(Some(ArcSwap::new(root)));
        Arc::new(Self { root, ..Self::default() })
    }

    /// Returns the newest durable facts; none before they are loaded.
    pub(super) fn root(&self) -> Option<Arc<Workspace>> {
        self.root.get().map(ArcSwap::load_full)
    }

    /// Returns whether readers use, or will use, another entry.
    pub(super) fn is_evicted(&self) -> bool {
        *self.updates.borrow() == EntryState::Evicted
    }

    /// Returns the durable head of its log's tree, which was compared with every leaf; none before the workspace is loaded.
    pub(super) fn tree(&self) -> Option<TreeHead> {
        *self.tree.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_tree(&self, tree: TreeHead) {
        *self.tree.lock().unwrap_or_else(PoisonError::into_inner) = Some(tree);
    }

    fn snapshot_progress(&self) -> &SnapshotProgress {
        self.snapshot_progress.get_or_init(SnapshotProgress::default)
    }

    /// Returns the root, if a snapshot of it is due.
    fn due_for_snapshot(&self) -> Option<Arc<Workspace>> {
        self.root().filter(|root| self.snapshot_progress().is_due(root.head()))
    }

    /// Subscribes to newer roots.
    pub(super) fn subscribe(&self) -> watch::Receiver<EntryState> {
        self.updates.subscribe()
    }

    /// Returns the number of subscribers.
    pub(super) fn subscribers_len(&self) -> usize {
        self.updates.receiver_count()
    }
}

/// The reason why a workspace cannot be loaded.
#[derive(Debug)]
pub(super) enum LoadError {
    /// It never existed.
    Unknown,
    /// Its log cannot be read.
    Log(LogError),
}

/// The cache of workspaces.
pub(super) struct Workspaces {
    snapshots: Snapshots,
    cache: Cache<WorkspaceId, Arc<WorkspaceEntry>>,
    entries: Mutex<HashMap<WorkspaceId, Weak<WorkspaceEntry>>>,
    /// The heads of the trees that grew after their last kept checkpoint.
    grown: Mutex<BTreeMap<WorkspaceId, TreeHead>>,
    /// The right to keep a checkpoint.
    keeping: Mutex<()>,
    updates: watch::Sender<()>,
}

impl Workspaces {
    /// Returns an empty cache of about `bytes` of workspaces.
    pub(super) fn new(snapshots: Snapshots, bytes: u64) -> Self {
        let weigh = |_: &WorkspaceId, entry: &Arc<WorkspaceEntry>| {
            let events = entry.root().map_or(0, |root| root.head().0);
            let bytes = events.saturating_mul(BYTES_PER_EVENT).saturating_add(BYTES_PER_WORKSPACE);
            u32::try_from(bytes / 1_024).unwrap_or(u32::MAX)
        };
        let cache = Cache::builder().weigher(weigh).max_capacity(bytes / 1_024).build();
        let (entries, grown, keeping) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { snapshots, cache, entries, grown, keeping, updates: watch::Sender::default() }
    }

    /// Subscribes to the appends of all workspaces.
    pub(super) fn subscribe(&self) -> watch::Receiver<()> {
        self.updates.subscribe()
    }

    /// Returns the number of subscribers to all workspaces.
    pub(super) fn subscribers_len(&self) -> usize {
        self.updates.receiver_count()
    }

    /// Returns the entry of a workspace, and loads it if necessary. Concurrent callers share one load.
    pub(super) async fn get(&self, id: WorkspaceId) -> Result<Arc<WorkspaceEntry>, LoadError> {
        loop {
            if let Some(entry) = self.cache.get(&id) {
                return Ok(entry);
            }
            let entry = self.entry(id);
            entry.root.get_or_try_init(|| self.load(id, &entry)).await?;
            if self.keep(id, &entry) {
                return Ok(entry);
            }
        }
    }

    /// Puts an entry into the cache; returns false if it was evicted while it was being loaded.
    fn keep(&self, id: WorkspaceId, entry: &Arc<WorkspaceEntry>) -> bool {
        // Eviction takes the same lock, so an evicted entry is never inserted again.
        let entries = self.lock();
        let current = entries.get(&id).is_some_and(|known| std::ptr::eq(known.as_ptr(), Arc::as_ptr(entry)));
        if current {
            self.cache.insert(id, Arc::clone(entry));
        }
        current
    }

    async fn load(&self, id: WorkspaceId, entry: &Arc<WorkspaceEntry>) -> Result<ArcSwap<Workspace>, LoadError> {
        let snapshots = self.snapshots.clone();
        let loaded = tokio::task::spawn_blocking(move || snapshots.load(id)).await;
        let stopped = |_| LoadError::Log(LogError::Unavailable("the server is stopping".to_owned()));
        let loaded = loaded.map_err(stopped)?.map_err(LoadError::Log)?.ok_or(LoadError::Unknown)?;
        let LoadedWorkspace { facts, tree, is_kept, snapshot_progress } = loaded;
        if !is_kept {
            self.grown().insert(id, tree);
        }
        let root = Arc::new(facts);
        let due = snapshot_progress.is_due(root.head());
        // No other thread sets them before the entry is loaded.
        let _ = entry.snapshot_progress.set(snapshot_progress);
        entry.set_tree(tree);
        if due {
            let (snapshots, entry, root) = (self.snapshots.clone(), Arc::clone(entry), Arc::clone(&root));
            tokio::task::spawn_blocking(move || snapshots.save(&root, Some(tree), entry.snapshot_progress()));
        }
        Ok(ArcSwap::new(root))
    }

    /// Keeps the checkpoint of a log beside the store, if the log has grown since the last one; waits while others are kept. Blocks.
    ///
    /// # Errors
    /// `Unavailable`. The log still counts as grown.
    pub(super) fn keep_checkpoint(&self, id: WorkspaceId, log: &dyn Store, signer: &Signer) -> Result<(), LogError> {
        // One at a time, so that a kept checkpoint is never replaced by an older one.
        let _keeping = self.keeping.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(tree) = self.grown_tree(id) else { return Ok(()) };
        log.keep_checkpoint(id, signer.sign(id, tree).note().as_bytes())?;
        let mut grown = self.grown();
        if grown.get(&id) == Some(&tree) {
            grown.remove(&id);
        }
        Ok(())
    }

    /// Writes the snapshots that are due. Blocks while it does.
    pub(super) fn save(&self) {
        // The lock is not held while a snapshot is written.
        let entries: Vec<_> = self.lock().values().filter_map(Weak::upgrade).collect();
        for entry in entries {
            if let Some(root) = entry.due_for_snapshot() {
                self.snapshots.save(&root, entry.tree(), entry.snapshot_progress());
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<WorkspaceId, Weak<WorkspaceEntry>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn entry(&self, id: WorkspaceId) -> Arc<WorkspaceEntry> {
        let mut entries = self.lock();
        if let Some(entry) = entries.get(&id).and_then(Weak::upgrade) {
            return entry;
        }
        if entries.len() == entries.capacity() {
            entries.retain(|_, entry| entry.strong_count() > 0);
        }
        let entry = Arc::new(WorkspaceEntry::default());
        entries.insert(id, Arc::downgrade(&entry));
        entry
    }

    /// Publishes a newer root, with the head of its log's tree if that grew. Every later read sees it.
    pub(super) fn publish(&self, entry: &Arc<WorkspaceEntry>, root: Arc<Workspace>, tree: Option<TreeHead>) {
        let (id, head) = (root.id(), root.head());
        let Some(published) = entry.root.get() else { return };
        if let Some(tree) = tree {
            // First, so that no checkpoint of a newer tree is given away before it is kept.
            self.grown().insert(id, tree);
            entry.set_tree(tree);
        }
        let before = published.swap(root).head();
        let grown = head.0 / WEIGHED_EVENTS != before.0 / WEIGHED_EVENTS;
        if grown || !self.cache.contains_key(&id) {
            let mut entries = self.lock();
            entries.insert(id, Arc::downgrade(entry));
            self.cache.insert(id, Arc::clone(entry));
        }
        entry.updates.send_replace(EntryState::Current);
        self.updates.send_replace(());
    }

    fn grown(&self) -> MutexGuard<'_, BTreeMap<WorkspaceId, TreeHead>> {
        self.grown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the newest head of a log that grew after its last kept checkpoint; none if that is the newest one.
    pub(super) fn grown_tree(&self, id: WorkspaceId) -> Option<TreeHead> {
        self.grown().get(&id).copied()
    }

    /// Returns up to `limit` logs that grew after their last kept checkpoint.
    pub(super) fn grown_logs(&self, limit: usize) -> Vec<WorkspaceId> {
        self.grown().keys().take(limit).copied().collect()
    }

    /// Notifies the followers of a workspace without a newer root: a right to read it has ended beside the log.
    pub(super) fn wake(&self, id: WorkspaceId) {
        if let Some(entry) = self.lock().get(&id).and_then(Weak::upgrade) {
            entry.updates.send_replace(EntryState::Current);
        }
    }

    /// Evicts a workspace whose log is at another revision than its facts. The next read loads it anew.
    pub(super) fn evict(&self, id: WorkspaceId) {
        let mut entries = self.lock();
        let evicted = entries.remove(&id).and_then(|entry| entry.upgrade());
        self.cache.invalidate(&id);
        drop(entries);
        if let Some(evicted) = evicted {
            evicted.updates.send_replace(EntryState::Evicted);
        }
        self.updates.send_replace(());
    }
}
