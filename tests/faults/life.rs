//! A life of a service over a log that may fail: the changes that are asked for, and what must hold after each.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use tempfile::TempDir;
use tenure::clock::Clock;
use tenure::domain::command::{Command, Profile};
use tenure::domain::event::{Event, EventData};
use tenure::domain::id::WorkspaceId;
use tenure::domain::principal::Caller;
use tenure::domain::state::State;
use tenure::domain::time::{Instant, Revision};
use tenure::domain::view::View;
use tenure::domain::workspace::Workspace;
use tenure::log::codec::encode;
use tenure::log::published::StoredLog;
use tenure::log::sqlite::SqliteLog;
use tenure::log::verify::Verifier;
use tenure::log::{EventLog, LogError};
use tenure::proof::checkpoint::Signer;
use tenure::proof::note::LogKey;
use tenure::service::mint::{Mint, NoRandomness, Secret};
use tenure::service::submission::{Accepted, Answer, Retry, Submission, SubmitError};
use tenure::service::{Presented, Service, Settings, replay};
use uuid::Uuid;

use crate::faulty::{Fault, FaultyLog};
use crate::support::{START, after};
use crate::verify::verify_store;

/// A clock that says what it was told.
#[derive(Debug)]
pub(crate) struct ToldClock(AtomicI64);

impl ToldClock {
    pub(crate) fn set(&self, instant: Instant) {
        self.0.store(instant.micros(), Ordering::Release);
    }
}

impl Clock for ToldClock {
    fn now(&self) -> Instant {
        Instant::from_micros(self.0.load(Ordering::Acquire))
    }
}

/// Ids that are counted.
#[derive(Debug, Default)]
struct CountingMint(AtomicU64);

impl CountingMint {
    fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::AcqRel) + 1
    }
}

impl Mint for CountingMint {
    fn uuid(&self) -> Uuid {
        Uuid::from_u128(self.next().into())
    }

    fn secret_bits(&self) -> Result<[u8; 32], NoRandomness> {
        let mut bits = [0; 32];
        bits[..8].copy_from_slice(&self.next().to_be_bytes());
        Ok(bits)
    }
}

fn signer() -> Signer {
    Signer { key: LogKey::from_seed(&[7; 32]), instance: "tenure.test".parse().unwrap() }
}

/// What a request came to.
pub(crate) type Outcome = Result<Answer, SubmitError>;

/// A service over a faulty log in a folder of its own.
pub(crate) struct Life {
    pub(crate) folder: TempDir,
    pub(crate) log: Arc<FaultyLog>,
    pub(crate) clock: Arc<ToldClock>,
    pub(crate) service: Arc<Service>,
    mint: Arc<CountingMint>,
    cache_bytes: u64,
    /// The workspace, once it is made.
    pub(crate) id: Option<WorkspaceId>,
    /// The stored bytes of every event that was acknowledged.
    acknowledged: Vec<(Revision, Vec<u8>)>,
    credentials: Vec<Presented>,
}

impl Life {
    /// A service that has nothing yet.
    pub(crate) fn new(fault: Option<Fault>, then: &[&'static str], cache_bytes: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ToldClock(AtomicI64::new(START.micros())));
        let mint = Arc::new(CountingMint::default());
        let log = Arc::new(FaultyLog::new(SqliteLog::open(folder.path()).unwrap(), fault, then));
        let service = start(&log, &clock, &mint, cache_bytes);
        let (acknowledged, credentials) = (Vec::new(), Vec::new());
        Self { folder, log, clock, service, mint, cache_bytes, id: None, acknowledged, credentials }
    }

    /// Stops the service, and starts another on the same folder.
    pub(crate) async fn restart(&mut self) {
        self.service.stop().await;
        let fault = None;
        let closed = Arc::new(FaultyLog::new(SqliteLog::open(tempfile::tempdir().unwrap().path()).unwrap(), fault, &[]));
        self.log = Arc::clone(&closed);
        self.service = start(&closed, &self.clock, &self.mint, self.cache_bytes);
        self.service.stop().await;
        self.log = Arc::new(FaultyLog::new(SqliteLog::open(self.folder.path()).unwrap(), fault, &[]));
        self.service = start(&self.log, &self.clock, &self.mint, self.cache_bytes);
    }

    /// What is handed in for some commands of the operator.
    pub(crate) fn submission(&self, commands: Vec<Command>, key: Option<&str>) -> Submission {
        let retry = key.map(|key| Retry {
            scope: "test".to_owned(),
            key: key.to_owned(),
            fingerprint: [1; 32],
            keep: Box::new(|accepted| accepted.view.workspace().head().0.to_be_bytes().to_vec()),
        });
        Submission { workspace: self.id, caller: Caller::Operator, commands, reason: None, expected: None, retry }
    }

    /// Asks for a change, and makes sure that the log is as the answer says.
    pub(crate) async fn submit(&mut self, commands: Vec<Command>, key: Option<&str>) -> Outcome {
        let before = self.stored();
        let outcome = self.service.submit(self.submission(commands, key)).await;
        self.take(&before, &outcome);
        self.agrees().await;
        outcome
    }

    /// Asks for a change until the fault is over, which is at once: it strikes once, or the service waits for its end.
    pub(crate) async fn insist(&mut self, commands: &[Command], key: Option<&str>) -> Answer {
        match self.submit(commands.to_vec(), key).await {
            Err(SubmitError::Log(LogError::Unavailable(why))) => {
                assert!(why.contains("try again") || why.contains("injected"), "{why}");
                let again = self.submit(commands.to_vec(), key).await;
                again.unwrap_or_else(|error| panic!("after `{why}`: {error}"))
            }
            outcome => outcome.unwrap(),
        }
    }

    /// Holds an answer against what was stored before and is now.
    fn take(&mut self, before: &[(Revision, Vec<u8>)], outcome: &Outcome) {
        if let Ok(Answer::Done(accepted)) = outcome {
            self.id.get_or_insert_with(|| accepted.view.workspace().id());
            self.acknowledge(accepted);
        }
        let stored = self.stored();
        assert_eq!(&stored[..before.len()], before, "what is stored stays");
        match outcome {
            Ok(Answer::Done(accepted)) => {
                assert_eq!(accepted.view.workspace().head().0, u64::try_from(stored.len()).unwrap());
            }
            Ok(Answer::Kept(_)) => assert_eq!(stored.len(), before.len(), "what was done is not done again"),
            Err(SubmitError::Log(error)) => assert_eq!(stored.len(), before.len(), "refused, and stored: {error}"),
            // What has expired is noted before anyone is refused.
            Err(_) => {}
        }
        let held = |(revision, bytes): &(Revision, Vec<u8>)| stored.contains(&(*revision, bytes.clone()));
        assert!(self.acknowledged.iter().all(held), "what was acknowledged is in the log, in its place");
    }

    pub(crate) fn acknowledge(&mut self, accepted: &Accepted) {
        let events = accepted.events.iter().map(|event| (event.revision, encode(event).unwrap()));
        self.acknowledged.extend(events);
        self.credentials.extend(accepted.events.iter().zip(&accepted.secrets).filter_map(presented));
        if let Some(tree) = accepted.tree {
            assert_eq!(self.log.store.tree(self.id.unwrap()).unwrap().unwrap().head(), tree);
        }
    }

    /// The events that are stored, by a reader who meets no fault.
    fn stored(&self) -> Vec<(Revision, Vec<u8>)> {
        let Some(id) = self.id else { return Vec::new() };
        let stored = self.log.store.read(id, Revision::ZERO, usize::MAX).unwrap();
        stored.into_iter().map(|event| (event.revision, event.bytes)).collect()
    }

    /// What is served, asked twice where the fault strikes the first time.
    pub(crate) async fn served(&self) -> Option<Arc<Workspace>> {
        let id = self.id?;
        match self.service.workspace(id).await {
            Ok(root) => root,
            Err(error) => {
                assert!(matches!(error, LogError::Unavailable(_)), "{error}");
                self.service.workspace(id).await.unwrap()
            }
        }
    }

    /// Makes sure that what is served is what is stored.
    pub(crate) async fn agrees(&self) {
        let Some(id) = self.id else { return };
        let served = self.served().await.unwrap();
        let stored = Arc::new(replay(&self.log.store, id).unwrap().unwrap());
        assert_eq!(state(&served), state(&stored), "what is served is not what is stored");
    }

    /// Stores a profile, asked again where it failed.
    pub(crate) async fn set_profile(&self, user: &str, name: &str) {
        let profile = || Profile { name: name.parse().ok(), email: None };
        let ask = || self.service.set_profile(self.id.unwrap(), user.parse().unwrap(), profile(), None);
        if let Err(error) = ask().await {
            assert!(matches!(error, LogError::Unavailable(_)), "{error}");
            ask().await.unwrap();
        }
        let found = self.log.store.profiles(self.id.unwrap(), &[user.parse().unwrap()]).unwrap();
        assert_eq!(found, [profile()]);
    }

    /// Keeps house, asked again where it failed.
    pub(crate) async fn keep_house(&self) {
        if let Err(error) = self.service.keep_house().await {
            assert!(matches!(error, LogError::Unavailable(_)), "{error}");
            self.service.keep_house().await.unwrap();
        }
        // What is due is handed to the writer; this comes after it.
        if self.service.settled().await.is_err() {
            self.service.settled().await.unwrap();
        }
    }

    /// Whether each credential that was given away is good now, in the order in which they were.
    pub(crate) async fn good_credentials(&self) -> Vec<bool> {
        let mut good = Vec::new();
        for presented in &self.credentials {
            let asked = match self.service.authenticate(presented).await {
                Err(_) => self.service.authenticate(presented).await,
                asked => asked,
            };
            good.push(asked.unwrap().is_some());
        }
        good
    }

    /// Ends the life: the log is whole, for whoever looks, and a new service serves the same. Gives the types of its events.
    pub(crate) async fn end(mut self) -> Vec<&'static str> {
        self.agrees().await;
        let (before, good) = (state(&self.served().await.unwrap()), self.good_credentials().await);
        self.restart().await;
        assert_eq!(state(&self.served().await.unwrap()), before);
        assert_eq!(self.good_credentials().await, good);
        self.service.stop().await;
        verify_folder_of(&self.log.store);
        self.take(&[], &Err(SubmitError::Overloaded));
        types(&self.served().await.unwrap())
    }
}

fn start(log: &Arc<FaultyLog>, clock: &Arc<ToldClock>, mint: &Arc<CountingMint>, cache_bytes: u64) -> Arc<Service> {
    let settings = Settings {
        log: Arc::clone(log) as Arc<dyn EventLog>,
        clock: clock.clone(),
        mint: mint.clone(),
        operator: Secret::new("0123456789abcdef0123456789abcdef"),
        cache_bytes,
        signer: signer(),
    };
    Service::start(settings).unwrap()
}

/// The credential that an event made.
fn presented((event, secret): (&Arc<Event>, &Option<Secret>)) -> Option<Presented> {
    let id = match &event.data {
        EventData::TokenIssued(id, _) => id.to_string(),
        EventData::AccessKeyIssued(id, _) => id.to_string(),
        _ => return None,
    };
    Some(Presented { id, secret: secret.clone()? })
}

/// Verifies every log of a store, by the test's own verifier and by the product's.
pub(crate) fn verify_folder_of(log: &SqliteLog) {
    for verified in verify_store(log).unwrap() {
        verify_published(log, verified.workspace.id()).unwrap();
    }
}

/// Verifies a log as an auditor would.
pub(crate) fn verify_published(log: &SqliteLog, id: WorkspaceId) -> Result<u64, String> {
    let signer = signer();
    let key = signer.verifier_key(id);
    let stored = StoredLog::of(log, id, &signer).map_err(|error| error.to_string())?.ok_or("there is no log")?;
    let verifier = Verifier::new(&key, None).unwrap();
    let checkpoint = verifier.verify(&stored, &mut |_| Ok(()), &|_, _| {}).map_err(|error| error.to_string())?;
    Ok(checkpoint.tree().size)
}

/// The state at the head, as text.
pub(crate) fn state(workspace: &Arc<Workspace>) -> String {
    let view = View::now(Arc::clone(workspace), workspace.head_time());
    State::of(&view).to_json().unwrap()
}

/// The types of all events of a workspace.
pub(crate) fn types(workspace: &Workspace) -> Vec<&'static str> {
    workspace.events(Revision::ZERO, workspace.head()).map(|event| event.data.type_name()).collect()
}

/// Runs something that waits.
pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(future)
}

/// The instant this many hours after the beginning.
pub(crate) fn hour(hours: i64) -> Instant {
    after(START, hours * 3_600_000_000)
}

/// A store in a folder, opened as a server would.
pub(crate) fn open(folder: &Path) -> SqliteLog {
    SqliteLog::open(folder).unwrap()
}
