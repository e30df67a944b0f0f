//! A log around a real one that fails on demand.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, MutexGuard};

use tenure::domain::model::command::Profile;
use tenure::domain::model::id::{UserId, WorkspaceId};
use tenure::domain::model::time::{Instant, Revision};
use tenure::log::journal::{OldReads, ReadFilter, StoredRead};
use tenure::log::rows::StoredRow;
use tenure::log::sqlite::SqliteLog;
use tenure::log::{
    Append, Appended, CredentialId, CursorSecret, Directories, EachEvent, EventLog, IdempotencyRecord, LogError,
    ReadJournal, RecordScope, SnapshotStore, Store, StoredCredential, StoredEvent, StoredKey, TreeStore,
};
use tenure::proof::frontier::Frontier;
use tenure::proof::hash::TreeHash;
use tenure::proof::tile::Tile;

/// The failure of one call, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The n-th call fails without effect, and reports that.
    Call(usize),
    /// The n-th append fails without effect, and reports an unknown outcome.
    NotStored(usize),
    /// The n-th append is done, and reports an unknown outcome.
    Stored(usize),
    /// The n-th append panics.
    Panic(usize),
}

/// A blocked append, which continues when this is dropped.
pub(crate) struct BlockedAppend {
    reached: Receiver<()>,
    _release: Sender<()>,
}

impl BlockedAppend {
    /// Waits until the append is there.
    pub(crate) fn reached(&self) {
        self.reached.recv().unwrap();
    }
}

/// A log with one fault, and others that follow it.
pub(crate) struct FaultyLog {
    pub(crate) store: SqliteLog,
    fault: Mutex<Option<Fault>>,
    /// The calls that fail once each after an outcome that is unknown, the first one last.
    then: Mutex<Vec<&'static str>>,
    /// The calls that fail whenever they are made.
    broken: Mutex<&'static [&'static str]>,
    calls: AtomicUsize,
    appends: AtomicUsize,
    /// The number of idempotency records that were looked up.
    keys: AtomicUsize,
    /// Whether an outcome was unknown.
    was_unknown: AtomicBool,
    /// Whether it has to be reopened before anything is appended.
    undecided: AtomicBool,
    /// The channels that the next appends wait for.
    holds: Mutex<Vec<(Sender<()>, Receiver<()>)>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}

impl FaultyLog {
    pub(crate) fn new(store: SqliteLog, fault: Option<Fault>, then: &[&'static str]) -> Self {
        Self {
            store,
            fault: Mutex::new(fault),
            then: Mutex::new(then.iter().rev().copied().collect()),
            broken: Mutex::default(),
            calls: AtomicUsize::default(),
            appends: AtomicUsize::default(),
            keys: AtomicUsize::default(),
            was_unknown: AtomicBool::default(),
            undecided: AtomicBool::default(),
            holds: Mutex::default(),
        }
    }

    /// Returns the number of idempotency records that were looked up. A change with a key is decided right after that.
    pub(crate) fn keys(&self) -> usize {
        self.keys.load(Ordering::SeqCst)
    }

    /// Returns whether all planned faults have occurred.
    pub(crate) fn struck(&self) -> bool {
        lock(&self.fault).is_none() && lock(&self.then).is_empty()
    }

    /// Plans a fault, counted from the next call and append on.
    pub(crate) fn fail_next(&self, fault: Fault) {
        let (calls, appends) = (self.calls.load(Ordering::SeqCst), self.appends.load(Ordering::SeqCst));
        *lock(&self.fault) = Some(match fault {
            Fault::Call(n) => Fault::Call(calls + n),
            Fault::NotStored(n) => Fault::NotStored(appends + n),
            Fault::Stored(n) => Fault::Stored(appends + n),
            Fault::Panic(n) => Fault::Panic(appends + n),
        });
    }

    /// These calls fail from now on.
    pub(crate) fn break_calls(&self, names: &'static [&'static str]) {
        *lock(&self.broken) = names;
    }

    /// Blocks the next append; if one is blocked already, the one after it.
    pub(crate) fn hold(&self) -> BlockedAppend {
        let ((arrive, reached), (release, wait)) = (channel(), channel());
        lock(&self.holds).insert(0, (arrive, wait));
        BlockedAppend { reached, _release: release }
    }

    fn wait(&self) {
        let held = lock(&self.holds).pop();
        if let Some((arrive, wait)) = held {
            // The test may have dropped its end already.
            let _ = arrive.send(());
            assert!(wait.recv().is_err(), "it continues when the other end is dropped");
        }
    }

    fn strikes(&self, fault: Fault) -> bool {
        let mut planned = lock(&self.fault);
        let strikes = *planned == Some(fault);
        if strikes {
            *planned = None;
        }
        strikes
    }

    /// Counts a call; an error if it is to fail.
    fn count(&self, name: &'static str) -> Result<(), LogError> {
        let number = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        self.keys.fetch_add(usize::from(name == "idempotency_record"), Ordering::SeqCst);
        let mut then = lock(&self.then);
        let follows = self.was_unknown.load(Ordering::SeqCst) && then.last() == Some(&name);
        if follows {
            then.pop();
        }
        if follows || self.strikes(Fault::Call(number)) || lock(&self.broken).contains(&name) {
            return Err(LogError::Unavailable(format!("injected: {name}")));
        }
        Ok(())
    }

    fn unknown(&self) -> LogError {
        self.was_unknown.store(true, Ordering::SeqCst);
        self.undecided.store(true, Ordering::SeqCst);
        LogError::OutcomeUnknown("injected".to_owned())
    }
}

macro_rules! count_and_pass_on {
    ($($name:ident($($argument:ident: $ty:ty),*) -> $given:ty;)*) => {$(
        fn $name(&self, $($argument: $ty),*) -> Result<$given, LogError> {
            self.count(stringify!($name))?;
            self.store.$name($($argument),*)
        }
    )*};
}

impl EventLog for FaultyLog {
    fn append(&self, group: &[Append]) -> Result<Appended, LogError> {
        self.wait();
        let number = self.appends.fetch_add(1, Ordering::SeqCst) + 1;
        self.count("append")?;
        assert!(!self.undecided.load(Ordering::SeqCst), "nothing is appended before it is known what was");
        assert!(!self.strikes(Fault::Panic(number)), "injected");
        if self.strikes(Fault::NotStored(number)) {
            return Err(self.unknown());
        }
        let appended = self.store.append(group)?;
        if self.strikes(Fault::Stored(number)) { Err(self.unknown()) } else { Ok(appended) }
    }

    fn visit(
        &self,
        workspace: WorkspaceId,
        after: Revision,
        limit: usize,
        each: EachEvent<'_>,
    ) -> Result<(), LogError> {
        self.count("read")?;
        self.store.visit(workspace, after, limit, each)
    }

    count_and_pass_on! {
        head(workspace: WorkspaceId) -> Option<Revision>;
        feed(after: u64, limit: usize) -> Vec<StoredEvent>;
    }
}

impl TreeStore for FaultyLog {
    count_and_pass_on! {
        tree(workspace: WorkspaceId) -> Option<Frontier>;
        tile_hashes(workspace: WorkspaceId, tile: Tile) -> Vec<TreeHash>;
    }
}

impl Directories for FaultyLog {
    count_and_pass_on! {
        workspace_named(name: &str) -> Option<WorkspaceId>;
        workspaces(after: Option<WorkspaceId>, limit: usize) -> Vec<WorkspaceId>;
        credential(id: CredentialId) -> Option<StoredCredential>;
        last_used(ids: &[CredentialId]) -> Vec<Option<Instant>>;
        profiles(workspace: WorkspaceId, users: &[UserId]) -> Vec<Profile>;
        idempotency_record(scope: &RecordScope, key: &str, after: Instant) -> Option<IdempotencyRecord>;
        forget_idempotency_records(until: Instant) -> ();
        due(now: Instant) -> Vec<WorkspaceId>;
        last_end(after: Instant, until: Instant) -> Option<Instant>;
        clock_mark() -> Option<Instant>;
        log_keys() -> Vec<StoredKey>;
        cursor_key() -> Option<CursorSecret>;
    }
}

impl SnapshotStore for FaultyLog {
    fn witness_names(&self, workspace: WorkspaceId) -> [String; 2] {
        self.store.witness_names(workspace)
    }

    count_and_pass_on! {
        snapshot(workspace: WorkspaceId) -> Option<Vec<u8>>;
        keep_snapshot(workspace: WorkspaceId, snapshot: &[u8]) -> ();
        forget_snapshot(workspace: WorkspaceId) -> ();
        kept_checkpoint(workspace: WorkspaceId) -> Option<Vec<u8>>;
        keep_checkpoint(workspace: WorkspaceId, note: &[u8]) -> ();
        set_checkpoint_aside(workspace: WorkspaceId) -> String;
    }
}

impl ReadJournal for FaultyLog {
    count_and_pass_on! {
        reads(workspace: WorkspaceId, filter: &ReadFilter, limit: usize) -> Vec<StoredRead>;
        old_reads(before: Instant, limit: usize) -> OldReads;
        newest_read(workspace: WorkspaceId) -> u64;
    }
}

impl Store for FaultyLog {
    fn reopen(&self) -> Result<(), LogError> {
        self.count("reopen")?;
        self.store.reopen()?;
        self.undecided.store(false, Ordering::SeqCst);
        Ok(())
    }

    count_and_pass_on! {
        stored_rows(each: &mut dyn FnMut(StoredRow)) -> ();
        close() -> ();
        backup(out: &Path) -> ();
    }
}
