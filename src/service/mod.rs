//! The service: one writer, the workspaces in memory, authentication, expiry. The only owner of threads.
//!
//! Readers take a root of a workspace's facts and ask it; they hold no lock, and never wait for a commit. Knows nothing of
//! HTTP or of how the log is stored.

mod asking;
mod cache;
mod cursor_key;
mod desk;
mod directory;
pub mod feed;
mod group;
mod health;
pub mod import;
pub mod inspect;
mod journal;
mod last_uses;
mod load;
pub mod mint;
mod pool;
pub mod proofs;
mod queue;
mod quotas;
mod rates;
mod recorder;
mod snapshots;
pub mod submission;
pub mod timelines;
mod upkeep;
mod witness;
mod writer;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicI64;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use moka::sync::Cache;

pub use directory::Presented;
pub use group::SideWrite;
pub use load::replay;
pub use pool::PIECES_MAX;
pub use quotas::{Days, Quotas};
pub use rates::Rate;

use cache::{NotLoaded, Slot, Workspaces};
use directory::{Directory, Entry};
use health::{Health, Watched};
use mint::{Mint, Secret};
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
use crate::log::{CredentialHolder, CredentialId, EventLog, LogError};
use crate::proof::checkpoint::Signer;
use crate::proof::frontier::TreeHead;

/// How often what expired, and what was used, is recorded.
const HOUSEKEEPING_PERIOD: Duration = Duration::from_secs(1);
/// How long the threads may take to end once the service is asked to stop.
const STOP_TIME_MAX: Duration = Duration::from_secs(30);
/// How many names of workspaces are known without asking the store.
const NAMES_MAX: u64 = 100_000;
/// How many workspaces are looked through for a page of them.
const WORKSPACES_PAGE: usize = 1_000;
/// Stands for the instance where a workspace is named and none is meant.
const INSTANCE: WorkspaceId = WorkspaceId::from_uuid(uuid::Uuid::nil());

/// What a service is started with.
pub struct Settings {
    /// Where events are kept.
    pub log: Arc<dyn EventLog>,
    /// Says what time it is.
    pub clock: Arc<dyn Clock>,
    /// How long the clock must be steady after a jump before anything is written.
    pub clock_settle: Duration,
    /// Makes ids and secrets.
    pub mint: Arc<dyn Mint>,
    /// The instance's own credential.
    pub operator: Secret,
    /// About how much memory workspaces may take, in bytes.
    pub cache_bytes: u64,
    /// Signs the checkpoints of the logs.
    pub signer: Signer,
    /// How much others than the operator may ask for, and how long the journal is kept.
    pub quotas: Quotas,
}

/// A caller who proved who they are, and the workspace that their credential belongs to; none for the operator.
#[derive(Debug, Clone)]
pub struct Authenticated {
    /// Who.
    pub caller: Caller,
    /// The newest facts of the workspace that the credential belongs to; none for the operator.
    pub root: Option<Arc<Workspace>>,
    /// The instant that the credential was judged at, on those facts.
    pub now: Instant,
}

/// The newest facts of a workspace, and the instant that they are looked at: taken together, so that no head that was published
/// by then is missing.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The newest durable facts.
    pub root: Arc<Workspace>,
    /// The instant.
    pub now: Instant,
}

/// A thread of the service did not end in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a thread of the service did not end within {} s: what was acknowledged is stored, and the next start recovers it", .0.as_secs())]
pub struct NotStopped(pub Duration);

/// What the service's threads are ended with.
struct Threads {
    /// Ends the housekeeping thread when it is dropped.
    stop: Sender<()>,
    handles: Vec<JoinHandle<()>>,
}

/// A running instance.
pub struct Service {
    log: Arc<dyn EventLog>,
    clock: Arc<WatchedClock>,
    /// The newest time that was recorded as shown, in microseconds.
    clock_mark: AtomicI64,
    mint: Arc<dyn Mint>,
    operator: crate::domain::model::credential::SecretDigest,
    workspaces: Arc<Workspaces>,
    directory: Arc<Directory>,
    /// Which workspace bore a name when the store was last asked; looked at in its facts before it is believed.
    names: Cache<String, WorkspaceId>,
    writer: Arc<Writer>,
    health: Arc<Health>,
    audits: AuditPool,
    signer: Signer,
    holders: Holders,
    threads: Mutex<Option<Threads>>,
}

impl Service {
    /// Starts the writer and the housekeeping thread, within a tokio runtime.
    ///
    /// # Errors
    /// The system gave no thread.
    pub fn start(settings: Settings) -> std::io::Result<Arc<Self>> {
        let Settings { log, clock, clock_settle, mint, operator, cache_bytes, signer, quotas } = settings;
        // Without it only a clock that is set back is not noticed, so whoever has a good clock is served.
        let recorded = log.clock_mark().unwrap_or_else(|error| {
            tracing::error!(%error, "the newest time that this store has seen cannot be read: make sure that the clock is right");
            None
        });
        let clock = Arc::new(WatchedClock::new(clock, clock_settle, recorded));
        upkeep::warn_if_behind(&clock);
        let snapshots = Snapshots::new(Arc::clone(&log), signer.clone());
        let workspaces = Arc::new(Workspaces::new(snapshots, cache_bytes));
        let health = Arc::new(Health::default());
        let writer = Writer::new(
            Arc::clone(&log),
            Arc::clone(&clock),
            Arc::clone(&mint),
            Arc::clone(&workspaces),
            Arc::clone(&health),
        );
        let writer = Arc::new(writer);
        let (stop, stopped) = channel();
        let directory = Arc::new(Directory::new(Arc::clone(&log)));
        let operator = operator.digest();
        let service = Arc::new(Self {
            log,
            clock,
            clock_mark: AtomicI64::new(recorded.map_or(i64::MIN, Instant::micros)),
            mint,
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
        let judge = Arc::clone(&writer);
        let judge = spawn("judge", move || judge.run_judge())?;
        let committer = spawn("committer", move || writer.run_committer())?;
        let housekeeper = Arc::downgrade(&service);
        let runtime = tokio::runtime::Handle::current();
        let housekeeping = spawn("housekeeping", move || {
            let _watched = Watched { health: &health, name: "housekeeping" };
            keep_house_until(&stopped, &housekeeper, &runtime);
        })?;
        *service.threads.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Threads { stop, handles: vec![housekeeping, judge, committer] });
        Ok(service)
    }

    /// Finishes the queued work, records the uses of credentials, and ends the threads.
    ///
    /// # Errors
    /// A thread does not end within 30 s, as on a disk that hangs. Then the store must not be waited for: the thread may hold it.
    pub async fn stop(&self) -> Result<(), NotStopped> {
        self.stop_within(STOP_TIME_MAX).await
    }

    /// As [`Self::stop`], with another limit.
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

    /// Returns the time by which what expires is judged.
    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Returns the clock, for what it says beside the time.
    pub fn clock(&self) -> &WatchedClock {
        &self.clock
    }

    /// Whether the writer takes changes, and knows what became of those before.
    pub fn is_ready(&self) -> bool {
        self.writer.is_ready() && self.failed().is_none()
    }

    /// Whether there is no room on the disk but the reserve, so that only what takes access away is done.
    pub fn is_short_of_room(&self) -> bool {
        self.log.is_short_of_room()
    }

    /// The thread that ended unexpectedly, if one did: then the service cannot go on, and has to be started again.
    pub fn failed(&self) -> Option<&'static str> {
        self.health.failed()
    }

    /// Waits until a thread has ended unexpectedly, and gives its name.
    pub async fn until_failed(&self) -> &'static str {
        self.health.until_failed().await
    }

    /// The store, for what is read beside the facts.
    pub fn log(&self) -> &Arc<dyn EventLog> {
        &self.log
    }

    /// What signs the checkpoints of the logs.
    pub const fn signer(&self) -> &Signer {
        &self.signer
    }

    /// The durable head of the tree over a workspace's log; none if it never began. It was compared with every leaf when the workspace
    /// was loaded, and has grown with each append since.
    ///
    /// # Errors
    /// As [`Self::workspace`].
    pub async fn tree(&self, workspace: WorkspaceId) -> Result<Option<TreeHead>, LogError> {
        Ok(self.slot(workspace).await?.and_then(|slot| slot.tree()))
    }

    async fn slot(&self, workspace: WorkspaceId) -> Result<Option<Arc<Slot>>, LogError> {
        match self.workspaces.get(workspace).await {
            Ok(slot) => Ok(Some(slot)),
            Err(NotLoaded::Unknown) => Ok(None),
            Err(NotLoaded::Log(error)) => Err(error),
        }
    }

    /// The newest durable facts of a workspace, also of a deleted one; none if it never was.
    ///
    /// # Errors
    /// `Unavailable`, or `Unreadable` if its log is damaged.
    pub async fn workspace(&self, id: WorkspaceId) -> Result<Option<Arc<Workspace>>, LogError> {
        Ok(self.slot(id).await?.and_then(|slot| slot.root()))
    }

    /// The newest durable facts of a workspace and the clock, taken together once the workspace is in memory; none if it never was.
    ///
    /// # Errors
    /// As [`Self::workspace`].
    pub async fn facts(&self, id: WorkspaceId) -> Result<Option<Facts>, LogError> {
        let slot = self.slot(id).await?;
        // The clock first: what is published after it is read may be among the facts, and nothing from before it is missing.
        let now = self.now();
        Ok(slot.and_then(|slot| slot.root()).map(|root| Facts { root, now }))
    }

    /// The workspace of an id, or the live one of a name, which its own facts have.
    ///
    /// # Errors
    /// As [`Self::workspace`], or `Misindexed` if the store leads the name to a workspace that does not bear it.
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
            // A workspace that was deleted between the two questions has lost its name when it is asked for again.
            if refuted.replace(id) == Some(id) {
                let what = format!("the name `{name_or_id}` leads to workspace {id}, which does not bear it");
                return Err(LogError::Misindexed(what));
            }
        }
    }

    /// Whether a workspace lives and bears a name. Only one does, so whoever knows that needs not ask the store.
    async fn is_named(&self, id: WorkspaceId, name: &str) -> Result<bool, LogError> {
        let Some(root) = self.workspace(id).await? else { return Ok(false) };
        let view = View::now(root, self.now());
        Ok(view.description().is_some_and(|description| description.name.as_str() == name))
    }

    /// Up to a page of workspaces after one of them, in the order of their ids; fewer only at the end.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn workspaces(&self, after: Option<WorkspaceId>, limit: usize) -> Result<Vec<WorkspaceId>, LogError> {
        self.reading(move |log| log.workspaces(after, limit.min(WORKSPACES_PAGE))).await
    }

    /// Runs what reads the store where it blocks nobody.
    ///
    /// # Errors
    /// What it gives, or `Unavailable` if the server is stopping.
    pub async fn reading<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn EventLog) -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, LogError> {
        let log = Arc::clone(&self.log);
        tokio::task::spawn_blocking(move || read(log.as_ref())).await.map_err(not_done)?
    }

    /// When a credential was last used, read where it blocks: for work in the pool.
    ///
    /// # Errors
    /// `Unavailable`.
    pub fn last_used_of(&self, id: CredentialId) -> Result<Option<Instant>, LogError> {
        let saved = self.log.last_used(&[id])?.pop().flatten();
        Ok(self.directory.last_used(id).max(saved))
    }

    /// When credentials were last used, in the order asked.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn last_used(&self, ids: Vec<CredentialId>) -> Result<Vec<Option<Instant>>, LogError> {
        let asked = ids.clone();
        let saved = self.reading(move |log| log.last_used(&asked)).await?;
        Ok(ids.into_iter().zip(saved).map(|(id, saved)| self.directory.last_used(id).max(saved)).collect())
    }

    /// The caller that a presented credential proves, judged now; none if it proves none.
    ///
    /// # Errors
    /// `Unavailable`, or `Unreadable` if the log of the credential's workspace is damaged.
    pub async fn authenticate(&self, presented: &Presented) -> Result<Option<Authenticated>, LogError> {
        self.clock.check_possible()?;
        if presented.id == "operator" {
            let operator = presented.secret.matches(&self.operator);
            return Ok(operator.then(|| Authenticated { caller: Caller::Operator, root: None, now: self.now() }));
        }
        let Some(entry) = self.prove(presented).await? else { return Ok(None) };
        let Some(Facts { root, now }) = self.facts(entry.row.workspace).await? else { return Ok(None) };
        let live = live_caller(&entry, Arc::clone(&root), now);
        if live.is_some() {
            self.directory.note_use(&entry, self.clock.newest());
        }
        Ok(live.map(|(caller, _)| Authenticated { caller, root: Some(root), now }))
    }

    /// The live proxy token that a presented credential proves, and the workspace that it belongs to.
    ///
    /// # Errors
    /// As [`Self::authenticate`].
    pub async fn authenticate_proxy_token(
        &self,
        presented: &Presented,
    ) -> Result<Option<(ProxyTokenId, View)>, LogError> {
        self.clock.check_possible()?;
        let Some(entry) = self.prove(presented).await? else { return Ok(None) };
        let CredentialId::ProxyToken(id) = entry.row.id else { return Ok(None) };
        let Some(Facts { root, now }) = self.facts(entry.row.workspace).await? else { return Ok(None) };
        let view = View::now(root, now);
        if view.proxy_token(id).is_none() {
            return Ok(None);
        }
        self.directory.note_use(&entry, self.clock.newest());
        Ok(Some((id, view)))
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work)
}

/// Why work in the pool was not done. Where it panicked, whoever waits for it does too.
fn not_done(error: tokio::task::JoinError) -> LogError {
    match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_) => stopping(),
    }
}

fn stopping() -> LogError {
    LogError::Unavailable("the server is stopping".to_owned())
}

/// Keeps house now and then, until told to stop or the service is gone.
fn keep_house_until(stopped: &Receiver<()>, service: &Weak<Service>, runtime: &tokio::runtime::Handle) {
    while matches!(stopped.recv_timeout(HOUSEKEEPING_PERIOD), Err(RecvTimeoutError::Timeout)) {
        let Some(service) = service.upgrade() else { break };
        // A read that panics is one that failed: the next round tries again.
        match catch_unwind(AssertUnwindSafe(|| runtime.block_on(service.keep_house()))) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "expiries and uses could not be recorded"),
            Err(_) => tracing::error!("housekeeping panicked: expiries and uses are recorded later"),
        }
    }
}

/// Who a proved credential makes its presenter now, if it is still good, and from when on it is not.
fn live_caller(entry: &Entry, root: Arc<Workspace>, now: Instant) -> Option<(Caller, Option<Instant>)> {
    match (entry.row.id, &entry.row.holder) {
        (CredentialId::Token(token), CredentialHolder::Principal(principal)) => {
            let view = View::now(root, now);
            view.principal(principal)?;
            let end = view.token(token)?.expires_at;
            Some((Caller::Principal { principal: principal.clone(), token }, end))
        }
        (CredentialId::AccessKey(key), CredentialHolder::AccessKey(role)) => {
            // A deleted workspace's log stays readable to the auditor keys that were live when it ended.
            let view = if *role == AccessKeyRole::Auditor { before_its_end(root, now)? } else { View::now(root, now) };
            view.access_key(key).map(|live| (Caller::AccessKey { key, role: *role }, live.expires_at))
        }
        _ => None,
    }
}

/// The workspace now or, if it is deleted, as it was right before, at the instant of now.
fn before_its_end(root: Arc<Workspace>, now: Instant) -> Option<View> {
    let view = View::now(Arc::clone(&root), now);
    if view.exists() {
        return Some(view);
    }
    let last = Revision(view.existence().since.0.checked_sub(1)?);
    View::new(root, At::Both(last, view.instant()), now).ok()
}
