//! Loading: from a good snapshot and the events after it, from the first event otherwise, once for all who wait, and again after the
//! cache let a workspace go.

mod counting;

use std::sync::Arc;

use counting::CountingLog;
use tempfile::TempDir;
use tenure::clock::SystemClock;
use tenure::domain::model::command::Command;
use tenure::domain::model::event::Event;
use tenure::domain::model::id::WorkspaceId;
use tenure::domain::model::principal::Caller;
use tenure::domain::model::time::Revision;
use tenure::domain::state::view::View;
use tenure::domain::state::workspace::Workspace;
use tenure::log::snapshot;
use tenure::log::sqlite::SqliteLog;
use tenure::log::{Append, EventLog, SnapshotStore, Store, TreeStore, codec};
use tenure::proof::checkpoint::{Checkpoint, Signer};
use tenure::proof::frontier::Frontier;
use tenure::proof::hash::TreeHash;
use tenure::proof::note::{LogKey, Origin};
use tenure::service::id_generator::{RandomIdGenerator, Secret};
use tenure::service::submission::Submission;
use tenure::service::{Quotas, Service, Settings, replay};

use crate::support::history::{SMALL, Writer};

/// More events than a log must have for a snapshot.
const LONG: usize = 6_000;

struct Stage {
    folder: TempDir,
    log: Arc<SqliteLog>,
}

impl Stage {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = Arc::new(SqliteLog::open(folder.path()).unwrap());
        Self { folder, log }
    }

    fn append(&self, events: &[Arc<Event>]) {
        let first = &events[0];
        let bytes = events.iter().map(|event| codec::encode(event).unwrap()).collect();
        let expected = Revision(first.revision.0 - 1);
        let part = Append { workspace: first.workspace, expected, events: bytes, side_writes: Vec::new() };
        self.log.append(&[part]).unwrap();
    }

    fn start(&self, cache_bytes: u64) -> (Arc<Service>, Arc<CountingLog>) {
        self.start_with(cache_bytes, signer())
    }

    fn start_with(&self, cache_bytes: u64, signer: Signer) -> (Arc<Service>, Arc<CountingLog>) {
        let log = CountingLog::new(Arc::clone(&self.log));
        let settings = Settings {
            log: log.clone(),
            clock: Arc::new(SystemClock),
            ids: Arc::new(RandomIdGenerator),
            operator: Secret::new("0123456789abcdef0123456789abcdef"),
            signer,
            cache_bytes,
            clock_settle: std::time::Duration::from_mins(1),
            quotas: Quotas::default(),
        };
        (Service::start(settings).unwrap(), log)
    }
}

fn state(workspace: &Arc<Workspace>) -> String {
    let view = View::at_head(Arc::clone(workspace));
    tenure::domain::state::permission_state::PermissionState::of(&view).to_json().unwrap()
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

/// The signer.
fn signer() -> Signer {
    Signer { key: key(), instance: Origin::default() }
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

/// Each way in which a snapshot can be no snapshot of this build and key, or none of a log.
fn damaged(events: &[Arc<Event>]) -> Vec<(&'static str, Vec<u8>)> {
    let key = key();
    let good = written(&events[..LONG]);
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
        ("another workspace's", written(&other)),
        ("bytes after its end", forged(&good, &key, |bytes| bytes.push(1))),
        ("bytes missing at its end", forged(&good, &key, |bytes| bytes.truncate(bytes.len() - 9))),
    ]
}

/// Each way in which a snapshot, sealed here, can be of another log than the one that is there.
fn of_another_log(events: &[Arc<Event>]) -> Vec<(&'static str, Vec<u8>)> {
    let key = key();
    let good = written(&events[..LONG]);
    let other_last = {
        let mut last = Event::clone(&events[LONG - 1]);
        last.reason = Some("another".parse().unwrap());
        let events: Vec<_> = events[..LONG - 1].iter().cloned().chain([Arc::new(last)]).collect();
        written(&events)
    };
    let other = Writer::new(SMALL, 99).events(LONG);
    vec![
        ("another workspace's, renamed", {
            let name = *events[0].workspace.uuid().as_bytes();
            forged(&written(&other), &key, |bytes| bytes[16..32].copy_from_slice(&name))
        }),
        ("another revision", forged(&good, &key, |bytes| bytes[32] ^= 1)),
        ("another root", forged(&good, &key, |bytes| bytes[40] ^= 1)),
        ("another root, of another version of the facts", {
            forged(&good, &key, |bytes| (bytes[12], bytes[40]) = (200, bytes[40] ^ 1))
        }),
        ("a log that went on elsewhere", written(events)),
        ("another last event", other_last),
    ]
}

/// Returns the error of a workspace that is not served.
fn refused(stage: &Stage, id: WorkspaceId, signer: Signer) -> String {
    let runtime = runtime();
    runtime.block_on(async {
        let (service, _) = stage.start_with(1 << 20, signer);
        let why = service.workspace(id).await.unwrap_err().to_string();
        service.stop().await.unwrap();
        assert!(!why.contains('\n'), "{why}");
        why
    })
}

#[test]
fn a_log_that_is_not_the_one_of_its_sealed_snapshot_is_not_served_and_the_snapshot_is_kept() {
    let events = Writer::new(SMALL, 3).events(LONG + 50);
    let id = events[0].workspace;
    let stage = Stage::new();
    stage.append(&events[..LONG + 10]);
    for (what, bytes) in of_another_log(&events) {
        stage.log.keep_snapshot(id, &bytes).unwrap();
        let why = refused(&stage, id, signer());
        for word in
            [&format!("snapshots/{id}.snapshot"), &format!("checkpoints/{id}.checkpoint"), "sealed here", "move"]
        {
            assert!(why.contains(word), "{what}: {why}");
        }
        assert!(stage.log.snapshot(id).unwrap() == Some(bytes), "{what}: it is gone");
    }
}

/// A checkpoint of a log with these events.
fn checkpoint(events: &[Arc<Event>], signer: &Signer) -> Vec<u8> {
    let mut tree = Frontier::default();
    for event in events {
        tree.add(TreeHash::of_leaf(&codec::encode(event).unwrap()));
    }
    signer.sign(events[0].workspace, tree.head()).note().as_bytes().to_vec()
}

#[test]
fn a_log_that_is_not_the_one_of_its_kept_checkpoint_is_not_served_and_says_what_to_do() {
    let events = Writer::new(SMALL, 6).events(700);
    let id = events[0].workspace;
    let mut other = events.clone();
    let mut last = Event::clone(&events[299]);
    last.reason = Some("another".parse().unwrap());
    other[299] = Arc::new(last);
    for with_snapshot in [false, true] {
        let stage = Stage::new();
        stage.append(&events[..600]);
        if with_snapshot {
            stage.log.keep_snapshot(id, &written(&events[..500])).unwrap();
        }
        // Longer than the log; as long, or shorter, and of another one.
        for (kept, words) in
            [(&events[..], "700 events"), (&other[..600], "has `"), (&other[..500], "has `"), (&other[..300], "has `")]
        {
            stage.log.keep_checkpoint(id, &checkpoint(kept, &signer())).unwrap();
            let why = refused(&stage, id, signer());
            assert!(why.contains(words) && why.contains(&format!("checkpoints/{id}.checkpoint")), "{why}");
            assert!(why.contains("move"), "{why}");
        }
        for kept in [1, 299, 500, 512, 600] {
            stage.log.keep_checkpoint(id, &checkpoint(&events[..kept], &signer())).unwrap();
            let runtime = runtime();
            runtime.block_on(async {
                let (service, _) = stage.start(1 << 20);
                assert_eq!(service.workspace(id).await.unwrap().unwrap().head(), Revision(600), "{kept}");
                service.stop().await.unwrap();
            });
        }
    }
}

/// It is reported in the log of the server, and proves nothing. Nothing overwrites it.
#[test]
fn a_kept_checkpoint_that_was_not_signed_here_is_no_witness_and_is_put_aside() {
    let events = Writer::new(SMALL, 7).events(300);
    let id = events[0].workspace;
    let stage = Stage::new();
    stage.append(&events[..200]);
    let foreign = Signer { key: LogKey::from_seed(&[8; 32]), instance: Origin::default() };
    let aside = |number: usize| stage.folder.path().join(format!("checkpoints/{id}.checkpoint.unreadable-{number}"));
    let unreadable = [checkpoint(&events, &foreign), b"garbage".to_vec(), vec![0xff], Vec::new()];
    for (number, bytes) in (1..).zip(&unreadable) {
        stage.log.keep_checkpoint(id, bytes).unwrap();
        runtime().block_on(async {
            let (service, _) = stage.start(1 << 20);
            assert_eq!(service.workspace(id).await.unwrap().unwrap().head(), Revision(200));
            service.stop().await.unwrap();
        });
        assert_eq!(&std::fs::read(aside(number)).unwrap(), bytes);
        let kept = stage.log.kept_checkpoint(id).unwrap().unwrap();
        assert_eq!(kept, checkpoint(&events[..200], &signer()), "a new one is kept in its place");
    }
    assert!(unreadable.iter().zip(1..).all(|(bytes, number)| &std::fs::read(aside(number)).unwrap() == bytes));
}

#[test]
fn a_checkpoint_that_is_given_away_is_kept_first() {
    let stage = Stage::new();
    let events = Writer::new(SMALL, 9).events(300);
    let id = events[0].workspace;
    stage.append(&events);
    let add = |user: &str| format!(r#"{{"type": "member.add", "user": "{user}", "role": "member"}}"#);
    let kept = || {
        let bytes = stage.log.kept_checkpoint(id).unwrap().unwrap();
        let checkpoint = Checkpoint::open(std::str::from_utf8(&bytes).unwrap(), &signer().verifier(id)).unwrap();
        checkpoint.tree().size
    };
    runtime().block_on(async {
        // The log has events that a server appended and did not keep a checkpoint of before it was killed.
        let (service, _) = stage.start(1 << 20);
        assert_eq!(service.checkpoint(id).await.unwrap().unwrap().tree().size, 300);
        assert_eq!(kept(), 300);
        submit(&service, id, add("one")).await;
        service.checkpoint(id).await.unwrap().unwrap();
        assert_eq!(kept(), 301);
        submit(&service, id, add("two")).await;
        service.receipt(id, Revision(1)).await.unwrap().unwrap();
        assert_eq!(kept(), 302);
        submit(&service, id, add("three")).await;
        service.consistency(id, 1, 303).await.unwrap();
        assert_eq!(kept(), 303);
        service.stop().await.unwrap();
    });
}

#[test]
fn the_newest_checkpoint_of_each_grown_workspace_is_kept_and_shows_an_older_store() {
    let stage = Stage::new();
    let events = Writer::new(SMALL, 8).events(300);
    let id = events[0].workspace;
    stage.append(&events);
    let backup = stage.folder.path().join("backup.db");
    stage.log.backup(&backup).unwrap();
    let add = |user: &str| format!(r#"{{"type": "member.add", "user": "{user}", "role": "member"}}"#);
    let kept = |stage: &Stage| {
        let bytes = stage.log.kept_checkpoint(id).unwrap()?;
        let checkpoint = Checkpoint::open(std::str::from_utf8(&bytes).unwrap(), &signer().verifier(id)).unwrap();
        Some(*checkpoint.tree())
    };
    runtime().block_on(async {
        let (service, _) = stage.start(1 << 20);
        submit(&service, id, add("one")).await;
        service.run_maintenance().await.unwrap();
        assert_eq!(kept(&stage), stage.log.tree(id).unwrap().map(|tree| tree.head()), "kept by the housekeeping");
        submit(&service, id, add("two")).await;
        service.stop().await.unwrap();
        assert_eq!(kept(&stage), stage.log.tree(id).unwrap().map(|tree| tree.head()), "kept at the end");
    });
    let folder = stage.folder.path().to_owned();
    let Stage { log, folder: held } = stage;
    drop(log);
    for file in ["tenure.db", "tenure.db-wal", "tenure.db-shm"] {
        let _ = std::fs::remove_file(folder.join(file));
    }
    std::fs::rename(backup, folder.join("tenure.db")).unwrap();
    let stage = Stage { log: Arc::new(SqliteLog::open(&folder).unwrap()), folder: held };
    let why = refused(&stage, id, signer());
    assert!(why.contains("revision 301") && why.contains("302 events") && why.contains("set back"), "{why}");
    // The operator accepts the older log.
    std::fs::remove_file(folder.join(format!("checkpoints/{id}.checkpoint"))).unwrap();
    runtime().block_on(async {
        let (service, _) = stage.start(1 << 20);
        submit(&service, id, add("three")).await;
        service.stop().await.unwrap();
    });
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
            service.stop().await.unwrap();
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
        service.stop().await.unwrap();
    });
    stage.append(&events[LONG..]);
    runtime().block_on(async {
        let (service, log) = stage.start(1 << 20);
        let found = service.workspace(id).await.unwrap().unwrap();
        assert_eq!(log.replays(), 0, "the snapshot is good");
        assert_same(&found, &Arc::new(facts(&events)), "a snapshot and the events after it");
        let kept = stage.log.snapshot(id).unwrap();
        service.run_maintenance().await.unwrap();
        assert_eq!(stage.log.snapshot(id).unwrap(), kept, "it has not grown enough for another");
        service.stop().await.unwrap();
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
        service.stop().await.unwrap();
    });
}

fn command(text: &str) -> Command {
    Command::from_value(serde_json::from_str(text).unwrap()).unwrap()
}

async fn submit(service: &Service, workspace: WorkspaceId, text: String) {
    let (caller, commands) = (Caller::Operator, vec![command(&text)]);
    let workspace = Some(workspace);
    service
        .submit(Submission {
            workspace,
            caller,
            commands,
            reason: None,
            expected: None,
            idempotency: None,
            bytes: None,
        })
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
        service.stop().await.unwrap();
    });
}
