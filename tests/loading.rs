//! Loading: from a good snapshot and the events after it, from the first event otherwise, once for all who wait, and again after the
//! cache let a workspace go.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    dead_code,
    reason = "a test says what it expects, and fails where that is not so; the benchmarks use the rest of what is shared"
)]

#[path = "loading/counting.rs"]
mod counting;
#[path = "../benches/workspace/history.rs"]
mod history;

use std::sync::Arc;

use counting::CountingLog;
use history::{SMALL, Writer};
use tempfile::TempDir;
use tenure::clock::SystemClock;
use tenure::domain::command::Command;
use tenure::domain::event::Event;
use tenure::domain::id::WorkspaceId;
use tenure::domain::principal::Caller;
use tenure::domain::time::Revision;
use tenure::domain::view::View;
use tenure::domain::workspace::Workspace;
use tenure::log::snapshot;
use tenure::log::sqlite::SqliteLog;
use tenure::log::{Append, EventLog, codec};
use tenure::proof::checkpoint::Signer;
use tenure::proof::frontier::Frontier;
use tenure::proof::hash::TreeHash;
use tenure::proof::note::{LogKey, Origin};
use tenure::service::mint::{RandomMint, Secret};
use tenure::service::submission::Submission;
use tenure::service::{Service, Settings, replay};

/// More events than a log must have for a snapshot.
const LONG: usize = 6_000;

struct Stage {
    _folder: TempDir,
    log: Arc<SqliteLog>,
}

impl Stage {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = Arc::new(SqliteLog::open(folder.path()).unwrap());
        Self { _folder: folder, log }
    }

    fn append(&self, events: &[Arc<Event>]) {
        let first = &events[0];
        let bytes = events.iter().map(|event| codec::encode(event).unwrap()).collect();
        let expected = Revision(first.revision.0 - 1);
        let part = Append { workspace: first.workspace, expected, events: bytes, notes: Vec::new() };
        self.log.append(&[part]).unwrap();
    }

    fn start(&self, cache_bytes: u64) -> (Arc<Service>, Arc<CountingLog>) {
        let log = CountingLog::new(Arc::clone(&self.log));
        let settings = Settings {
            log: log.clone(),
            clock: Arc::new(SystemClock),
            mint: Arc::new(RandomMint),
            operator: Secret::new("0123456789abcdef0123456789abcdef"),
            signer: Signer { key: key(), instance: Origin::default() },
            cache_bytes,
            clock_settle: std::time::Duration::from_mins(1),
        };
        (Service::start(settings).unwrap(), log)
    }
}

fn state(workspace: &Arc<Workspace>) -> String {
    let view = View::at_head(Arc::clone(workspace));
    tenure::domain::state::State::of(&view).to_json().unwrap()
}

fn facts(events: &[Arc<Event>]) -> Workspace {
    let mut workspace = Workspace::empty(events[0].workspace);
    for event in events {
        workspace.evolve(event);
    }
    workspace
}

#[track_caller]
fn assert_same(found: &Arc<Workspace>, expected: &Arc<Workspace>, what: &str) {
    assert_eq!(found.head(), expected.head(), "{what}");
    assert!(state(found) == state(expected), "{what}: another state");
    let bytes = |workspace: &Workspace| -> Vec<Vec<u8>> {
        workspace.events(Revision::ZERO, workspace.head()).map(|event| codec::encode(&event).unwrap()).collect()
    };
    assert!(bytes(found) == bytes(expected), "{what}: another history");
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap()
}

/// The key that seals.
fn key() -> LogKey {
    LogKey::from_seed(&[7; 32])
}

/// The snapshot of a log with these events.
fn written(events: &[Arc<Event>]) -> Vec<u8> {
    let mut tree = Frontier::default();
    for event in events {
        tree.push(TreeHash::of_leaf(&codec::encode(event).unwrap())).for_each(drop);
    }
    snapshot::write(&facts(events), &tree.root(), &key())
}

/// A snapshot with some of its bytes changed before it was sealed.
fn forged(good: &[u8], key: &LogKey, change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = good[..good.len() - 32].to_vec();
    change(&mut bytes);
    let sealed = key.seal(&bytes);
    bytes.extend(sealed);
    bytes
}

/// Each way in which a snapshot can be wrong.
fn damaged(events: &[Arc<Event>]) -> Vec<(&'static str, Vec<u8>)> {
    let key = key();
    let good = written(&events[..LONG]);
    let other_last = {
        let mut last = Event::clone(&events[LONG - 1]);
        last.reason = Some("another".parse().unwrap());
        let events: Vec<_> = events[..LONG - 1].iter().cloned().chain([Arc::new(last)]).collect();
        written(&events)
    };
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    let mut unsealed = good.clone();
    *unsealed.last_mut().unwrap() ^= 1;
    let other = Writer::new(SMALL, 99).events(LONG);
    vec![
        ("empty", Vec::new()),
        ("cut short", good[..good.len() / 2].to_vec()),
        ("cut to its header", good[..40].to_vec()),
        ("a flipped bit", flipped),
        ("another seal", unsealed),
        ("no snapshot", forged(&good, &key, |bytes| bytes[0] ^= 1)),
        ("another format", forged(&good, &key, |bytes| bytes[8] = 200)),
        ("another version of the facts", forged(&good, &key, |bytes| bytes[12] = 200)),
        ("another workspace's, renamed", {
            let name = *events[0].workspace.uuid().as_bytes();
            forged(&written(&other), &key, |bytes| bytes[16..32].copy_from_slice(&name))
        }),
        ("another workspace's", written(&other)),
        ("another revision", forged(&good, &key, |bytes| bytes[32] ^= 1)),
        ("another root", forged(&good, &key, |bytes| bytes[40] ^= 1)),
        ("bytes after its end", forged(&good, &key, |bytes| bytes.push(1))),
        ("bytes missing at its end", forged(&good, &key, |bytes| bytes.truncate(bytes.len() - 9))),
        ("a log that went on elsewhere", written(events)),
        ("another last event", other_last),
    ]
}

#[test]
fn a_snapshot_that_does_not_match_is_discarded_and_the_workspace_is_what_its_log_says() {
    let events = Writer::new(SMALL, 3).events(LONG + 50);
    let expected = Arc::new(facts(&events[..LONG + 10]));
    let id = events[0].workspace;
    let stage = Stage::new();
    stage.append(&events[..LONG + 10]);
    for (what, bytes) in damaged(&events) {
        stage.log.keep_snapshot(id, &bytes).unwrap();
        let runtime = runtime();
        let replays = runtime.block_on(async {
            let (service, log) = stage.start(1 << 20);
            let found = service.workspace(id).await.unwrap().unwrap();
            assert_same(&found, &expected, what);
            service.stop().await;
            log.replays()
        });
        assert!(replays >= 1, "{what}: it was believed");
        drop(runtime);
        assert_ne!(stage.log.snapshot(id).unwrap(), Some(bytes), "{what}: it is still there");
    }
}

#[test]
fn a_long_log_is_loaded_from_its_snapshot_and_the_events_after_it() {
    let events = Writer::new(SMALL, 4).events(LONG + 700);
    let id = events[0].workspace;
    let stage = Stage::new();
    stage.append(&events[..LONG]);
    runtime().block_on(async {
        let (service, log) = stage.start(1 << 20);
        service.workspace(id).await.unwrap().unwrap();
        assert_eq!(log.replays(), 1, "there is no snapshot yet");
        // Written in the background, since the log is long.
        while log.snapshot(id).unwrap().is_none() {
            tokio::task::yield_now().await;
        }
        service.stop().await;
    });
    stage.append(&events[LONG..]);
    runtime().block_on(async {
        let (service, log) = stage.start(1 << 20);
        let found = service.workspace(id).await.unwrap().unwrap();
        assert_eq!(log.replays(), 0, "the snapshot is good");
        assert_same(&found, &Arc::new(facts(&events)), "a snapshot and the events after it");
        let kept = stage.log.snapshot(id).unwrap();
        service.keep_house().await.unwrap();
        assert_eq!(stage.log.snapshot(id).unwrap(), kept, "it has not grown enough for another");
        service.stop().await;
    });
}

#[test]
fn requests_for_a_cold_workspace_load_it_once() {
    let events = Writer::new(SMALL, 5).events(LONG);
    let id = events[0].workspace;
    let stage = Stage::new();
    stage.append(&events);
    runtime().block_on(async {
        let (service, log) = stage.start(1 << 20);
        let asked: Vec<_> = (0..16)
            .map(|_| {
                let service = Arc::clone(&service);
                tokio::spawn(async move { service.workspace(id).await.unwrap().unwrap().head() })
            })
            .collect();
        for asked in asked {
            assert_eq!(asked.await.unwrap(), Revision(u64::try_from(LONG).unwrap()));
        }
        assert_eq!((log.replays(), log.loads()), (1, 1));
        service.stop().await;
    });
}

fn command(text: &str) -> Command {
    Command::from_value(serde_json::from_str(text).unwrap()).unwrap()
}

async fn submit(service: &Service, workspace: WorkspaceId, text: String) {
    let (caller, commands) = (Caller::Operator, vec![command(&text)]);
    let workspace = Some(workspace);
    service
        .submit(Submission { workspace, caller, commands, reason: None, expected: None, retry: None })
        .await
        .unwrap();
}

/// The cache has room for none of them.
#[test]
fn workspaces_that_left_the_cache_are_loaded_again_as_they_were_left_while_writes_go_on() {
    let stage = Stage::new();
    let ids: Vec<_> = (0..6)
        .map(|seed| {
            let events = Writer::new(SMALL, 50 + seed).events(600);
            stage.append(&events);
            events[0].workspace
        })
        .collect();
    runtime().block_on(async {
        let (service, log) = stage.start(1);
        let mut heads = [600; 6];
        for round in 0..60 {
            for (id, head) in ids.iter().zip(&mut heads) {
                let name = format!(r#"{{"type": "member.add", "user": "new-{round}", "role": "member"}}"#);
                submit(&service, *id, name).await;
                *head += 1;
                let root = service.workspace(*id).await.unwrap().unwrap();
                assert_eq!(root.head(), Revision(*head), "what was answered is there");
            }
        }
        assert!(log.loads() > ids.len(), "none left the cache: {} loads", log.loads());
        for id in &ids {
            let expected = Arc::new(replay(stage.log.as_ref(), *id).unwrap().unwrap());
            assert_same(&service.workspace(*id).await.unwrap().unwrap(), &expected, "after all");
        }
        service.stop().await;
    });
}
