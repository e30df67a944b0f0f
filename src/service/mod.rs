//! The service: one writer, the workspaces in memory, authentication, expiry. It owns all threads.
//!
//! A reader loads the root of a workspace's facts. It holds no lock and never waits for a commit. The service knows neither HTTP nor the
//! form of the store.

// As in the domain: the compiler lists every place that a new command or event must be considered in.
#![deny(clippy::wildcard_enum_match_arm)]

mod batch;
mod cache;
mod commit_queue;
mod cursor_key;
mod directory;
mod event_encoder;
mod fair_queue;
pub mod feed;
mod health;
pub mod id_generator;
mod idempotency;
pub mod import;
pub mod inspect;
mod journal;
mod last_uses;
mod load;
mod maintenance;
mod pool;
pub mod proofs;
mod quotas;
mod rates;
mod reserve_shares;
mod snapshots;
pub mod submission;
mod submit;
pub mod timelines;
mod witness;
mod writer;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicI64;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use moka::sync::Cache;

pub use batch::SideRequest;
pub use directory::PresentedCredential;
pub use load::replay;
pub use pool::PIECES_MAX;
pub use quotas::{Days, Quotas};
pub use rates::Rate;

use cache::{LoadError, WorkspaceEntry, Workspaces};
use directory::{CachedCredential, Directory};
use health::{Health, ThreadGuard};
use id_generator::{IdGenerator, Secret, SettledIds};
use pool::AuditPool;
use quotas::Holders;
use snapshots::Snapshots;
use writer::Writer;

use crate::clock::{Clock, WatchedClock};
use crate::domain::model::id::{ProxyTokenId, WorkspaceId};
use crate::domain::model::principal::Caller;
use crate::domain::model::role::AccessKeyRole;
use crate::domain::model::time::{Instant, Revision};
use crate::domain::state::view::{At, View};
use crate::domain::state::workspace::Workspace;
use crate::log::{CredentialHolder, CredentialId, LogError, Store};
use crate::proof::checkpoint::Signer;
use crate::proof::frontier::TreeHead;

/// The time between two rounds of maintenance.
const MAINTENANCE_PERIOD: Duration = Duration::from_secs(1);
/// The time within which the threads must end once the service is asked to stop.
const STOP_TIME_MAX: Duration = Duration::from_secs(30);
/// The most cached names of workspaces.
const NAMES_MAX: u64 = 100_000;
/// The most workspaces of a page.
const WORKSPACES_PAGE: usize = 1_000;
/// The id that writes use which belong to the instance and to no workspace.
const INSTANCE: WorkspaceId = WorkspaceId::from_uuid(uuid::Uuid::nil());

/// The dependencies and settings of a service.
pub struct Settings {
    /// The store.
    pub log: Arc<dyn Store>,
    /// The machine's clock.
    pub clock: Arc<dyn Clock>,
    /// The time that the clock must be steady after a jump before anything is written.
    pub clock_settle: Duration,
    /// The generator of ids and secrets.
    pub ids: Arc<dyn IdGenerator>,
    /// The secret of the operator.
    pub operator: Secret,
    /// The approximate memory for workspaces, in bytes.
    pub cache_bytes: u64,
    /// The signer of checkpoints.
    pub signer: Signer,
    /// The rates of callers, and the retention of the journal.
    pub quotas: Quotas,
}

/// An authenticated caller.
#[derive(Debug, Clone)]
pub struct Authenticated {
    /// The caller.
    pub caller: Caller,
    /// The newest facts of the credential's workspace; none for the operator.
    pub root: Option<Arc<Workspace>>,
    /// The instant at which the credential was checked, on those facts.
    pub now: Instant,
}

/// The newest facts of a workspace, and the instant of reading them. The facts have every change published before that instant.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The newest durable facts.
    pub root: Arc<Workspace>,
    /// The instant of reading.
    pub now: Instant,
}

/// The error if a thread of the service did not end in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a thread of the service did not end within {} s: what was acknowledged is stored, and the next start recovers it", .0.as_secs())]
pub struct NotStopped(pub Duration);

/// The running threads, and the way to end them.
struct Threads {
    /// Ends the maintenance thread on drop.
    stop: Sender<()>,
    handles: Vec<JoinHandle<()>>,
}

/// A running instance.
pub struct Service {
    log: Arc<dyn Store>,
    clock: Arc<WatchedClock>,
    /// The newest recorded time of the clock, in microseconds.
    clock_mark: AtomicI64,
    ids: Arc<dyn IdGenerator>,
    operator: crate::domain::model::credential::SecretDigest,
    workspaces: Arc<Workspaces>,
    directory: Arc<Directory>,
    /// The workspaces of names. The facts of a workspace must confirm its name.
    names: Cache<String, WorkspaceId>,
    writer: Arc<Writer>,
    health: Arc<Health>,
    audits: AuditPool,
    signer: Signer,
    holders: Holders,
    threads: Mutex<Option<Threads>>,
}

impl Service {
    /// Starts the threads, within a tokio runtime.
    ///
    /// # Errors
    /// The system gave no thread.
    pub fn start(settings: Settings) -> std::io::Result<Arc<Self>> {
        let Settings { log, clock, clock_settle, ids, operator, cache_bytes, signer, quotas } = settings;
        // Without the mark, the service only misses a clock that is set back, so it starts nevertheless.
        let recorded = log.clock_mark().unwrap_or_else(|error| {
            tracing::error!(%error, "the newest time that this store has seen cannot be read: make sure that the clock is right");
            None
        });
        let clock = Arc::new(WatchedClock::new(clock, clock_settle, recorded));
        maintenance::warn_if_behind(&clock);
        let ids: Arc<dyn IdGenerator> = Arc::new(SettledIds::new(ids, Arc::clone(&clock)));
        let snapshots = Snapshots::new(Arc::clone(&log), signer.clone());
        let workspaces = Arc::new(Workspaces::new(snapshots, cache_bytes));
        let health = Arc::new(Health::default());
        let writer = Writer::new(
            Arc::clone(&log),
            Arc::clone(&clock),
            Arc::clone(&ids),
            Arc::clone(&workspaces),
            Arc::clone(&health),
            quotas.issued,
        );
        let writer = Arc::new(writer);
        let (stop, stopped) = channel();
        let directory = Arc::new(Directory::new(Arc::clone(&log)));
        let operator = operator.digest();
        let service = Arc::new(Self {
            log,
            clock,
            clock_mark: AtomicI64::new(recorded.map_or(i64::MIN, Instant::micros)),
            ids,
            operator,
            workspaces,
            directory,
            names: Cache::new(NAMES_MAX),
            writer: Arc::clone(&writer),
            health: Arc::clone(&health),
            audits: AuditPool::default(),
            signer,
            holders: Holders::new(quotas),
            threads: Mutex::default(),
        });
        let decider = Arc::clone(&writer);
        let decider = spawn("decider", move || decider.run_decider())?;
        let committer = spawn("committer", move || writer.run_committer())?;
        let maintained = Arc::downgrade(&service);
        let runtime = tokio::runtime::Handle::current();
        let maintenance = spawn("maintenance", move || {
            let _guard = ThreadGuard { health: &health, name: "maintenance" };
            run_maintenance_until(&stopped, &maintained, &runtime);
        })?;
        *service.threads.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Threads { stop, handles: vec![maintenance, decider, committer] });
        Ok(service)
    }

    /// Finishes the queued work, records the uses of credentials, and ends the threads.
    ///
    /// # Errors
    /// A thread does not end within 30 s, as on a disk that hangs. The caller must not wait for the store then: the thread may hold it.
    pub async fn stop(&self) -> Result<(), NotStopped> {
        self.stop_within(STOP_TIME_MAX).await
    }

    /// Stops as [`Self::stop`], with another limit.
    ///
    /// # Errors
    /// As [`Self::stop`].
    pub async fn stop_within(&self, limit: Duration) -> Result<(), NotStopped> {
        let threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(threads) = threads else { return Ok(()) };
        tokio::time::timeout(limit, self.end(threads)).await.map_err(|_| NotStopped(limit))?;
        if tokio::time::timeout(limit, self.keep_checkpoints(usize::MAX)).await.is_err() {
            tracing::warn!("checkpoints could not be kept beside the store in time");
        }
        Ok(())
    }

    async fn end(&self, Threads { stop, handles }: Threads) {
        drop(stop);
        if let Err(error) = self.save_uses().await {
            tracing::error!(%error, "uses could not be recorded");
        }
        self.record_time().await;
        self.writer.close();
        let joined = tokio::task::spawn_blocking(|| handles.into_iter().all(|handle| handle.join().is_ok())).await;
        if !matches!(joined, Ok(true)) {
            tracing::error!("a thread of the service ended in a panic");
        }
    }

    /// Returns the time that decides what has expired.
    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Returns the clock.
    pub fn clock(&self) -> &WatchedClock {
        &self.clock
    }

    /// Returns whether the writer accepts changes, and the outcome of every commit is known.
    pub fn is_ready(&self) -> bool {
        self.writer.is_ready() && self.failed().is_none()
    }

    /// Returns whether the disk has no room except the reserve, so that only changes that remove access are accepted.
    pub fn is_short_of_room(&self) -> bool {
        self.log.is_short_of_room()
    }

    /// Returns the name of a thread that ended unexpectedly. Then the process must be restarted.
    pub fn failed(&self) -> Option<&'static str> {
        self.health.failed()
    }

    /// Waits until a thread has ended unexpectedly, and returns its name.
    pub async fn until_failed(&self) -> &'static str {
        self.health.until_failed().await
    }

    /// Returns the store.
    pub fn log(&self) -> &Arc<dyn Store> {
        &self.log
    }

    /// Returns the signer of checkpoints.
    pub const fn signer(&self) -> &Signer {
        &self.signer
    }

    /// Returns the durable head of the tree over a workspace's log; none if it never began. Loading compared it with every leaf.
    ///
    /// # Errors
    /// As [`Self::workspace`].
    pub async fn tree(&self, workspace: WorkspaceId) -> Result<Option<TreeHead>, LogError> {
        Ok(self.entry(workspace).await?.and_then(|entry| entry.tree()))
    }

    async fn entry(&self, workspace: WorkspaceId) -> Result<Option<Arc<WorkspaceEntry>>, LogError> {
        match self.workspaces.get(workspace).await {
            Ok(entry) => Ok(Some(entry)),
            Err(LoadError::Unknown) => Ok(None),
            Err(LoadError::Log(error)) => Err(error),
        }
    }

    /// Returns the newest durable facts of a workspace, also of a deleted one; none if it never existed.
    ///
    /// # Errors
    /// `Unavailable`, or `Unreadable` if its log is damaged.
    pub async fn workspace(&self, id: WorkspaceId) -> Result<Option<Arc<Workspace>>, LogError> {
        Ok(self.entry(id).await?.and_then(|entry| entry.root()))
    }

    /// Returns the newest durable facts of a workspace and the instant of reading them; none if it never existed.
    ///
    /// # Errors
    /// As [`Self::workspace`].
    pub async fn facts(&self, id: WorkspaceId) -> Result<Option<Facts>, LogError> {
        let entry = self.entry(id).await?;
        // The clock before the root, so that the root has every change published before that instant.
        let now = self.now();
        Ok(entry.and_then(|entry| entry.root()).map(|root| Facts { root, now }))
    }

    /// Returns the workspace of an id, or the live one of a name.
    ///
    /// # Errors
    /// As [`Self::workspace`], or `Misindexed` if the store leads the name to a workspace with another name.
    pub async fn find_workspace(&self, name_or_id: &str) -> Result<Option<WorkspaceId>, LogError> {
        if let Ok(id) = name_or_id.parse() {
            return Ok(Some(id));
        }
        if let Some(id) = self.names.get(name_or_id)
            && self.is_named(id, name_or_id).await?
        {
            return Ok(Some(id));
        }
        let mut refuted = None;
        loop {
            let name = name_or_id.to_owned();
            let Some(id) = self.reading(move |log| log.workspace_named(&name)).await? else { return Ok(None) };
            if self.is_named(id, name_or_id).await? {
                self.names.insert(name_or_id.to_owned(), id);
                return Ok(Some(id));
            }
            // A workspace that was deleted between the two reads no longer has the name on the second attempt.
            if refuted.replace(id) == Some(id) {
                let what = format!("the name `{name_or_id}` leads to workspace {id}, which does not bear it");
                return Err(LogError::Misindexed(what));
            }
        }
    }

    /// Returns whether a workspace is live and has a name. At most one has.
    async fn is_named(&self, id: WorkspaceId, name: &str) -> Result<bool, LogError> {
        let Some(root) = self.workspace(id).await? else { return Ok(false) };
        let view = View::now(root, self.now());
        Ok(view.description().is_some_and(|description| description.name.as_str() == name))
    }

    /// Returns up to a page of workspaces after one of them, in the order of their ids; fewer only at the end.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn workspaces(&self, after: Option<WorkspaceId>, limit: usize) -> Result<Vec<WorkspaceId>, LogError> {
        self.reading(move |log| log.workspaces(after, limit.min(WORKSPACES_PAGE))).await
    }

    /// Runs a read of the store on a blocking thread.
    ///
    /// # Errors
    /// The error of `read`, or `Unavailable` if the server is stopping.
    pub async fn reading<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn Store) -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, LogError> {
        let log = Arc::clone(&self.log);
        tokio::task::spawn_blocking(move || read(log.as_ref())).await.map_err(not_done)?
    }

    /// Returns the time of a credential's last use. Blocks: for work in the audit pool.
    ///
    /// # Errors
    /// `Unavailable`.
    pub fn last_used_of(&self, id: CredentialId) -> Result<Option<Instant>, LogError> {
        let saved = self.log.last_used(&[id])?.pop().flatten();
        Ok(self.directory.last_used(id).max(saved))
    }

    /// Returns the times of credentials' last uses, in the order of `ids`.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn last_used(&self, ids: Vec<CredentialId>) -> Result<Vec<Option<Instant>>, LogError> {
        let stored = ids.clone();
        let saved = self.reading(move |log| log.last_used(&stored)).await?;
        Ok(ids.into_iter().zip(saved).map(|(id, saved)| self.directory.last_used(id).max(saved)).collect())
    }

    /// Returns the caller that a presented credential proves now; none if it is invalid.
    ///
    /// # Errors
    /// `Unavailable`, or `Unreadable` if the log of the credential's workspace is damaged.
    pub async fn authenticate(&self, presented: &PresentedCredential) -> Result<Option<Authenticated>, LogError> {
        self.clock.check_possible()?;
        if presented.id == "operator" {
            let operator = presented.secret.matches(&self.operator);
            return Ok(operator.then(|| Authenticated { caller: Caller::Operator, root: None, now: self.now() }));
        }
        let Some(entry) = self.prove(presented).await? else { return Ok(None) };
        let Some(Facts { root, now }) = self.facts(entry.row.workspace).await? else { return Ok(None) };
        let live = live_caller(&entry, Arc::clone(&root), now);
        if live.is_some() {
            self.directory.record_use(&entry, self.clock.newest());
        }
        Ok(live.map(|(caller, _)| Authenticated { caller, root: Some(root), now }))
    }

    /// Returns the live proxy token that a presented credential proves, and a view of its workspace; none if it is invalid.
    ///
    /// # Errors
    /// As [`Self::authenticate`].
    pub async fn authenticate_proxy_token(
        &self,
        presented: &PresentedCredential,
    ) -> Result<Option<(ProxyTokenId, View)>, LogError> {
        self.clock.check_possible()?;
        let Some(entry) = self.prove(presented).await? else { return Ok(None) };
        let CredentialId::ProxyToken(id) = entry.row.id else { return Ok(None) };
        let Some(Facts { root, now }) = self.facts(entry.row.workspace).await? else { return Ok(None) };
        let view = View::now(root, now);
        if view.proxy_token(id).is_none() {
            return Ok(None);
        }
        self.directory.record_use(&entry, self.clock.newest());
        Ok(Some((id, view)))
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work)
}

/// Returns the error of work on a blocking thread. If the work panicked, panics too.
fn not_done(error: tokio::task::JoinError) -> LogError {
    match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_) => stopping(),
    }
}

fn stopping() -> LogError {
    LogError::Unavailable("the server is stopping".to_owned())
}

/// Runs rounds of maintenance until the service stops or is dropped.
fn run_maintenance_until(stopped: &Receiver<()>, service: &Weak<Service>, runtime: &tokio::runtime::Handle) {
    while matches!(stopped.recv_timeout(MAINTENANCE_PERIOD), Err(RecvTimeoutError::Timeout)) {
        let Some(service) = service.upgrade() else { break };
        // A panic counts as a failure: the next round tries again.
        match catch_unwind(AssertUnwindSafe(|| runtime.block_on(service.run_maintenance()))) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "expiries and uses could not be recorded"),
            Err(_) => tracing::error!("maintenance panicked: expiries and uses are recorded later"),
        }
    }
}

/// Returns the caller of a proved credential, and the end of the credential; none if it is not live.
fn live_caller(entry: &CachedCredential, root: Arc<Workspace>, now: Instant) -> Option<(Caller, Option<Instant>)> {
    match (entry.row.id, &entry.row.holder) {
        (CredentialId::Token(token), CredentialHolder::Principal(principal)) => {
            let view = View::now(root, now);
            view.principal(principal)?;
            let end = view.token(token)?.expires_at;
            Some((Caller::Principal { principal: principal.clone(), token }, end))
        }
        (CredentialId::AccessKey(key), CredentialHolder::AccessKey(role)) => {
            // Auditor keys that were live when the workspace was deleted can still read its log.
            let view = if *role == AccessKeyRole::Auditor { before_its_end(root, now)? } else { View::now(root, now) };
            view.access_key(key).map(|live| (Caller::AccessKey { key, role: *role }, live.expires_at))
        }
        _ => None,
    }
}

/// Returns the view of a workspace now, or right before its deletion, at the instant `now`.
fn before_its_end(root: Arc<Workspace>, now: Instant) -> Option<View> {
    let view = View::now(Arc::clone(&root), now);
    if view.exists() {
        return Some(view);
    }
    let last = Revision(view.existence().since.0.checked_sub(1)?);
    View::new(root, At::Both(last, view.instant()), now).ok()
}
