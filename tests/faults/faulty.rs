//! A log that fails when it is told to, around a real one.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tenure::domain::command::Profile;
use tenure::domain::id::{CommandId, UserId, WorkspaceId};
use tenure::domain::time::{Instant, Revision};
use tenure::log::journal::{ReadFilter, StoredRead};
use tenure::log::sqlite::SqliteLog;
use tenure::log::{Append, Appended, CredentialRow, EventLog, KeptAnswer, LogError, PresentedId, StoredEvent};
use tenure::proof::frontier::Frontier;
use tenure::proof::hash::TreeHash;
use tenure::proof::tile::Tile;

/// How one call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The n-th call of all is not done, and says so.
    Call(usize),
    /// The n-th append is not done, and says that nobody knows.
    NotStored(usize),
    /// The n-th append is done, and says that nobody knows.
    Stored(usize),
}

type Hook = Box<dyn Fn() + Send + Sync>;

/// A log with one fault, and others that follow it.
pub(crate) struct FaultyLog {
    pub(crate) store: SqliteLog,
    fault: Mutex<Option<Fault>>,
    /// The calls that fail once each after an outcome that is unknown, the first one last.
    then: Mutex<Vec<&'static str>>,
    calls: AtomicUsize,
    appends: AtomicUsize,
    was_unknown: AtomicBool,
    /// Whether it has to be reopened before anything is appended.
    undecided: AtomicBool,
    /// Whether the store cannot be opened.
    broken: AtomicBool,
    /// What comes before each append.
    hook: Mutex<Option<std::sync::Arc<Hook>>>,
}

impl FaultyLog {
    pub(crate) fn new(store: SqliteLog, fault: Option<Fault>, then: &[&'static str]) -> Self {
        Self {
            store,
            fault: Mutex::new(fault),
            then: Mutex::new(then.iter().rev().copied().collect()),
            calls: AtomicUsize::new(0),
            appends: AtomicUsize::new(0),
            was_unknown: AtomicBool::new(false),
            undecided: AtomicBool::new(false),
            broken: AtomicBool::new(false),
            hook: Mutex::new(None),
        }
    }

    /// Whether all that was to fail has failed.
    pub(crate) fn struck(&self) -> bool {
        self.fault.lock().unwrap().is_none()
    }

    /// The next append fails in this way: give the fault that the first append would have.
    pub(crate) fn fail_next(&self, fault: Fault) {
        let done = self.appends.load(Ordering::Acquire);
        *self.fault.lock().unwrap() = Some(match fault {
            Fault::NotStored(n) => Fault::NotStored(done + n),
            Fault::Stored(n) => Fault::Stored(done + n),
            Fault::Call(n) => Fault::Call(self.calls.load(Ordering::Acquire) + n),
        });
    }

    /// From now on the store can, or cannot, be opened.
    pub(crate) fn set_broken(&self, broken: bool) {
        self.broken.store(broken, Ordering::Release);
    }

    /// Does this before each append from now on.
    pub(crate) fn before_appends(&self, hook: impl Fn() + Send + Sync + 'static) {
        *self.hook.lock().unwrap() = Some(std::sync::Arc::new(Box::new(hook)));
    }

    fn strikes(&self, fault: Fault) -> bool {
        let mut planned = self.fault.lock().unwrap();
        let strikes = *planned == Some(fault);
        if strikes {
            *planned = None;
        }
        strikes
    }

    /// Counts a call; an error if it is to fail.
    fn count(&self, name: &'static str) -> Result<(), LogError> {
        let injected = |what: &str| Err(LogError::Unavailable(format!("injected: {name} {what}")));
        if self.strikes(Fault::Call(self.calls.fetch_add(1, Ordering::AcqRel) + 1)) {
            return injected("failed");
        }
        let mut then = self.then.lock().unwrap();
        if self.was_unknown.load(Ordering::Acquire) && then.last() == Some(&name) {
            then.pop();
            return injected("failed after that");
        }
        if name == "reopen" && self.broken.load(Ordering::Acquire) { injected("is broken") } else { Ok(()) }
    }

    fn unknown(&self) -> LogError {
        self.was_unknown.store(true, Ordering::Release);
        self.undecided.store(true, Ordering::Release);
        LogError::OutcomeUnknown("injected".to_owned())
    }
}

impl EventLog for FaultyLog {
    fn append(&self, group: &[Append]) -> Result<Appended, LogError> {
        let hook = self.hook.lock().unwrap().clone();
        if let Some(hook) = hook {
            hook();
        }
        let appends = self.appends.fetch_add(1, Ordering::AcqRel) + 1;
        self.count("append")?;
        assert!(!self.undecided.load(Ordering::Acquire), "nothing is appended before it is known what was");
        if self.strikes(Fault::NotStored(appends)) {
            return Err(self.unknown());
        }
        let appended = self.store.append(group)?;
        if self.strikes(Fault::Stored(appends)) { Err(self.unknown()) } else { Ok(appended) }
    }

    fn head(&self, workspace: WorkspaceId) -> Result<Option<Revision>, LogError> {
        self.count("head")?;
        self.store.head(workspace)
    }

    fn read(&self, workspace: WorkspaceId, after: Revision, limit: usize) -> Result<Vec<StoredEvent>, LogError> {
        self.count("read")?;
        self.store.read(workspace, after, limit)
    }

    fn tree(&self, workspace: WorkspaceId) -> Result<Option<Frontier>, LogError> {
        self.count("tree")?;
        self.store.tree(workspace)
    }

    fn tile_hashes(&self, workspace: WorkspaceId, tile: Tile) -> Result<Vec<TreeHash>, LogError> {
        self.count("tile_hashes")?;
        self.store.tile_hashes(workspace, tile)
    }

    fn feed(&self, after: u64, limit: usize) -> Result<Vec<StoredEvent>, LogError> {
        self.count("feed")?;
        self.store.feed(after, limit)
    }

    fn has_command(&self, workspace: WorkspaceId, command: CommandId) -> Result<bool, LogError> {
        self.count("has_command")?;
        self.store.has_command(workspace, command)
    }

    fn workspace_named(&self, name: &str) -> Result<Option<WorkspaceId>, LogError> {
        self.count("workspace_named")?;
        self.store.workspace_named(name)
    }

    fn workspaces(&self, after: Option<WorkspaceId>, limit: usize) -> Result<Vec<WorkspaceId>, LogError> {
        self.count("workspaces")?;
        self.store.workspaces(after, limit)
    }

    fn credential(&self, id: PresentedId) -> Result<Option<CredentialRow>, LogError> {
        self.count("credential")?;
        self.store.credential(id)
    }

    fn last_used(&self, ids: &[PresentedId]) -> Result<Vec<Option<Instant>>, LogError> {
        self.count("last_used")?;
        self.store.last_used(ids)
    }

    fn profiles(&self, workspace: WorkspaceId, users: &[UserId]) -> Result<Vec<Profile>, LogError> {
        self.count("profiles")?;
        self.store.profiles(workspace, users)
    }

    fn kept_answer(&self, scope: &str, key: &str, after: Instant) -> Result<Option<KeptAnswer>, LogError> {
        self.count("kept_answer")?;
        self.store.kept_answer(scope, key, after)
    }

    fn forget_answers(&self, until: Instant) -> Result<(), LogError> {
        self.count("forget_answers")?;
        self.store.forget_answers(until)
    }

    fn reads(&self, workspace: WorkspaceId, filter: &ReadFilter, limit: usize) -> Result<Vec<StoredRead>, LogError> {
        self.count("reads")?;
        self.store.reads(workspace, filter, limit)
    }

    fn newest_read(&self, workspace: WorkspaceId) -> Result<u64, LogError> {
        self.count("newest_read")?;
        self.store.newest_read(workspace)
    }

    fn due(&self, now: Instant) -> Result<Vec<WorkspaceId>, LogError> {
        self.count("due")?;
        self.store.due(now)
    }

    fn reopen(&self) -> Result<(), LogError> {
        self.count("reopen")?;
        self.store.reopen()?;
        self.undecided.store(false, Ordering::Release);
        Ok(())
    }

    fn backup(&self, out: &Path) -> Result<(), LogError> {
        self.count("backup")?;
        self.store.backup(out)
    }
}
