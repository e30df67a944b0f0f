//! A service over a log that may fail: what is asked of it, and what must hold after each request.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use tempfile::TempDir;
use tenure::clock::Clock;
use tenure::domain::model::command::Command;
use tenure::domain::model::event::EventData;
use tenure::domain::model::id::WorkspaceId;
use tenure::domain::model::principal::{Actor, Caller};
use tenure::domain::model::time::{Instant, Revision};
use tenure::domain::state::permission_state::PermissionState;
use tenure::domain::state::view::View;
use tenure::domain::state::workspace::Workspace;
use tenure::log::published::StoredLog;
use tenure::log::sqlite::SqliteLog;
use tenure::log::verify::Verifier;
use tenure::log::{EventLog, LogError, RecordPlace, RecordScope, Store};
use tenure::proof::checkpoint::Checkpoint;
use tenure::service::id_generator::{IdGenerator, NoRandomness, Secret};
use tenure::service::submission::{Accepted, IdempotencyKey, Submission, SubmitError, SubmitOutcome};
use tenure::service::{PresentedCredential, Quotas, Service, Settings, replay};
use uuid::Uuid;

use super::faulty::{Fault, FaultyLog};
use crate::support::server::signer;
use crate::support::verify::verify_store;
use crate::support::{START, after};

const HOUR_MICROS: i64 = 3_600_000_000;

/// The instant this many hours after the beginning.
pub(crate) fn hour(hours: i64) -> Instant {
    after(START, hours * HOUR_MICROS)
}

/// A clock that tests set.
#[derive(Debug)]
pub(crate) struct SettableClock(AtomicI64);

impl SettableClock {
    pub(crate) fn at(instant: Instant) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(instant.micros())))
    }

    pub(crate) fn set(&self, instant: Instant) {
        self.0.store(instant.micros(), Ordering::SeqCst);
    }
}

impl Clock for SettableClock {
    fn now(&self) -> Instant {
        Instant::from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// Ids that are counted.
#[derive(Debug, Default)]
pub(crate) struct CountingIdGenerator(AtomicU64);

impl IdGenerator for CountingIdGenerator {
    fn uuid(&self) -> Uuid {
        Uuid::from_u128(u128::from(self.0.fetch_add(1, Ordering::SeqCst)) + 1)
    }

    fn secret_bits(&self) -> Result<[u8; 32], NoRandomness> {
        let mut bits = [0; 32];
        bits[..16].copy_from_slice(self.uuid().as_bytes());
        Ok(bits)
    }
}

/// The outcome of a request.
pub(crate) type Outcome = Result<SubmitOutcome, SubmitError>;

/// A service over a faulty log in a folder of its own.
pub(crate) struct Life {
    pub(crate) log: Arc<FaultyLog>,
    pub(crate) clock: Arc<SettableClock>,
    pub(crate) ids: Arc<CountingIdGenerator>,
    pub(crate) service: Arc<Service>,
    /// The workspace, once it is made.
    pub(crate) id: Option<WorkspaceId>,
    /// The stored bytes of every event that was acknowledged.
    acknowledged: Vec<(Revision, Vec<u8>)>,
    /// The issued credentials, in order.
    pub(crate) credentials: Vec<PresentedCredential>,
    folder: TempDir,
}

impl Life {
    /// A service that has nothing yet.
    pub(crate) fn new(fault: Option<Fault>, then: &[&'static str]) -> Self {
        Self::on(tempfile::tempdir().unwrap(), fault, then)
    }

    /// A service on a folder.
    pub(crate) fn on(folder: TempDir, fault: Option<Fault>, then: &[&'static str]) -> Self {
        let (clock, ids) = (SettableClock::at(START), Arc::new(CountingIdGenerator::default()));
        let log = Arc::new(FaultyLog::new(SqliteLog::open(folder.path()).unwrap(), fault, then));
        let service = start(&log, &clock, &ids);
        let (acknowledged, credentials) = (Vec::new(), Vec::new());
        Self { log, clock, ids, service, id: None, acknowledged, credentials, folder }
    }

    /// Stops the service, and starts another on the same log, which has nothing in memory.
    pub(crate) async fn restart(&mut self) {
        self.service.stop().await.unwrap();
        self.log.store.reopen().unwrap();
        self.service = start(&self.log, &self.clock, &self.ids);
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A submission about another workspace, or one that makes one.
    pub(crate) fn submission_for(&self, workspace: Option<WorkspaceId>, commands: Vec<Command>) -> Submission {
        Submission { workspace, ..self.submission(commands, None) }
    }

    pub(crate) fn submission(&self, commands: Vec<Command>, key: Option<&str>) -> Submission {
        let idempotency = key.map(|key| IdempotencyKey {
            scope: RecordScope {
                place: self.id.map_or(RecordPlace::Instance, RecordPlace::Workspace),
                holder: Actor::Operator,
            },
            alias: None,
            key: key.to_owned(),
            fingerprint: [1; 32],
        });
        Submission {
            workspace: self.id,
            caller: Caller::Operator,
            commands,
            reason: None,
            expected: None,
            idempotency,
            bytes: None,
        }
    }

    /// Asks for a change, and makes sure that the log is as the answer says.
    pub(crate) async fn submit(&mut self, submission: Submission) -> Outcome {
        let before = self.stored();
        let outcome = self.service.submit(submission).await;
        self.take(&before, &outcome);
        self.agrees().await;
        outcome
    }

    /// Submits a change until its outcome is known, at the latest on the second attempt: a fault occurs once.
    pub(crate) async fn insist(&mut self, commands: &[Command], key: Option<&str>) -> Outcome {
        match self.submit(self.submission(commands.to_vec(), key)).await {
            Err(SubmitError::Log(LogError::Unavailable(why))) => {
                assert!(why.contains("try again") || why.contains("injected"), "{why}");
                self.submit(self.submission(commands.to_vec(), key)).await
            }
            outcome => outcome,
        }
    }

    /// As [`Self::insist`], where it is done; gives what it appended.
    pub(crate) async fn done(&mut self, commands: &[Command], key: Option<&str>) -> Box<Accepted> {
        match self.insist(commands, key).await {
            Ok(SubmitOutcome::Done(accepted)) => accepted,
            other => panic!("{commands:?}: {other:?}"),
        }
    }

    /// Compares a reply with the stored events before and after it.
    fn take(&mut self, before: &[(Revision, Vec<u8>)], outcome: &Outcome) {
        if let Ok(SubmitOutcome::Done(accepted)) = outcome {
            self.id.get_or_insert_with(|| accepted.view.workspace().id());
            self.acknowledge(accepted);
        }
        let stored = self.stored();
        assert_eq!(&stored[..before.len()], before, "what is stored stays");
        match outcome {
            Ok(SubmitOutcome::Done(accepted)) => assert_eq!(accepted.view.workspace().head(), stored.last().unwrap().0),
            Ok(SubmitOutcome::Repeated(_)) => assert_eq!(stored.len(), before.len(), "what was done is not done again"),
            Err(error) => assert_eq!(stored.len(), before.len(), "refused, and stored: {error}"),
        }
    }

    /// Remembers what an answer says that is done.
    pub(crate) fn acknowledge(&mut self, accepted: &Accepted) {
        let revisions = accepted.decided.events.iter().map(|event| event.revision);
        self.acknowledged.extend(revisions.zip(accepted.stored.iter().cloned()));
        self.credentials.extend((0..accepted.decided.ends.len()).filter_map(|command| presented(accepted, command)));
    }

    /// The events that are stored, by a reader who meets no fault.
    pub(crate) fn stored(&self) -> Vec<(Revision, Vec<u8>)> {
        let Some(id) = self.id else { return Vec::new() };
        let stored = self.log.store.read(id, Revision::ZERO, usize::MAX).unwrap();
        stored.into_iter().map(|event| (event.revision, event.bytes)).collect()
    }

    /// Returns the served facts, on a second attempt if the fault occurs on the first.
    pub(crate) async fn served(&self) -> Arc<Workspace> {
        let id = self.id.unwrap();
        twice(async || self.service.workspace(id).await).await.unwrap()
    }

    /// Checks that the served facts are the stored ones.
    pub(crate) async fn agrees(&self) {
        let Some(id) = self.id else { return };
        let stored = Arc::new(replay(&self.log.store, id).unwrap().unwrap());
        let served = self.served().await;
        assert_eq!(served.head(), stored.head(), "what is served is not what is stored");
        assert_eq!(state(&served), state(&stored));
    }

    /// Runs maintenance, and waits for its writes.
    pub(crate) async fn run_maintenance(&self) {
        twice(async || self.service.run_maintenance().await).await;
        // The writer's commit of the expiries may have failed, so once more after it.
        twice(async || self.service.flush().await).await;
        twice(async || self.service.run_maintenance().await).await;
        twice(async || self.service.flush().await).await;
    }

    /// Whether each credential that was given away is good now.
    pub(crate) async fn good_credentials(&self) -> Vec<bool> {
        let mut good = Vec::new();
        for presented in &self.credentials {
            good.push(twice(async || self.service.authenticate(presented).await).await.is_some());
        }
        good
    }

    /// Stops the service and checks that every log is whole, has all acknowledged events, and is served the same by a new service.
    /// Returns the types of its events.
    pub(crate) async fn end(self) -> Vec<&'static str> {
        self.agrees().await;
        let (before, good) = (state(&self.served().await), self.good_credentials().await);
        self.service.stop().await.unwrap();
        let Self { folder, log, service, id, acknowledged, credentials, clock, ids } = self;
        drop((log, service));
        let next = Self { id, acknowledged, credentials, ..Self::on(folder, None, &[]) };
        next.clock.set(clock.now());
        drop(ids);
        assert_eq!(state(&next.served().await), before);
        assert_eq!(next.good_credentials().await, good);
        next.service.stop().await.unwrap();
        verify_all(&next.log.store);
        let stored = next.stored();
        assert!(next.acknowledged.iter().all(|event| stored.contains(event)), "what was acknowledged is there");
        let served = next.served().await;
        served.events(Revision::ZERO, served.head()).map(|event| event.data.type_name()).collect()
    }
}

fn start(log: &Arc<FaultyLog>, clock: &Arc<SettableClock>, ids: &Arc<CountingIdGenerator>) -> Arc<Service> {
    let operator = Secret::new("0123456789abcdef0123456789abcdef");
    let (log, clock, ids) = (log.clone(), clock.clone(), ids.clone());
    Service::start(Settings {
        log,
        clock,
        ids,
        operator,
        clock_settle: std::time::Duration::from_mins(1),
        cache_bytes: 1 << 20,
        signer: signer(),
        quotas: Quotas::default(),
    })
    .unwrap()
}

/// Asks, and once more where the log was unavailable.
pub(crate) async fn twice<T>(ask: impl AsyncFn() -> Result<T, LogError>) -> T {
    match ask().await {
        Err(LogError::Unavailable(_)) => ask().await.unwrap(),
        answer => answer.unwrap(),
    }
}

/// The credential that a command made.
fn presented(accepted: &Accepted, command: usize) -> Option<PresentedCredential> {
    let id = accepted.decided.events_of(command).iter().find_map(|event| match &event.data {
        EventData::TokenIssued(id, _) => Some(id.to_string()),
        EventData::AccessKeyIssued(id, _) => Some(id.to_string()),
        _ => None,
    });
    Some(PresentedCredential { id: id?, secret: accepted.secrets[command].clone()? })
}

/// Verifies every log of a store, by the test's own verifier and as an auditor would.
pub(crate) fn verify_all(log: &SqliteLog) {
    for verified in verify_store(log).unwrap() {
        verify_published(log, verified.workspace.id(), None).unwrap();
    }
}

/// Verifies a log as an auditor would who may have kept a checkpoint; gives the newest one.
pub(crate) fn verify_published(
    log: &SqliteLog,
    id: WorkspaceId,
    kept: Option<&Checkpoint>,
) -> Result<Checkpoint, String> {
    let signer = signer();
    let key = signer.verifier(id);
    let stored = StoredLog::of(log, id, &signer).map_err(|error| error.to_string())?.ok_or("there is no log")?;
    let verifier = Verifier::new(&key, kept).unwrap();
    verifier.verify(&stored, &mut |_| Ok(()), &|_, _| {}).map_err(|error| error.to_string())
}

/// The state at the head, as text.
pub(crate) fn state(workspace: &Arc<Workspace>) -> String {
    let view = View::now(Arc::clone(workspace), workspace.head_time());
    PermissionState::of(&view).to_json().unwrap()
}

/// Runs something that waits.
pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(future)
}

/// A store in a folder, opened as a server would.
pub(crate) fn open(folder: &Path) -> SqliteLog {
    SqliteLog::open(folder).unwrap()
}
