//! Data folders, damaged by an attacker with access to the file.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::sync::Arc;

use rusqlite::Connection;
use tenure::domain::model::event::Event;
use tenure::domain::model::id::WorkspaceId;
use tenure::domain::model::time::Revision;
use tenure::domain::state::workspace::Workspace;
use tenure::log::sqlite::SqliteLog;
use tenure::log::{EventLog, codec, snapshot};
use tenure::proof::frontier::Frontier;
use tenure::proof::hash::TreeHash;
use tenure::proof::note::LogKey;

use super::stage::{EVENTS, Served, Stage, assert_found};
use crate::support::program::program;

/// Alters a store without its server.
pub(crate) fn alter(stage: &Stage, sql: &str) {
    let store = Connection::open(stage.data.join("tenure.db")).unwrap();
    for trigger in ["events_are_never_updated", "events_are_never_deleted"] {
        store.execute_batch(&format!("DROP TRIGGER {trigger}")).unwrap();
    }
    for trigger in ["tile_hashes_are_never_updated", "tile_hashes_are_never_deleted"] {
        store.execute_batch(&format!("DROP TRIGGER {trigger}")).unwrap();
    }
    store.execute_batch(sql).unwrap();
}

fn damaged(stage: &Stage, sql: &str) -> Stage {
    let copy = stage.copy();
    alter(&copy, sql);
    copy
}

#[test]
fn every_damage_in_a_data_folder_is_found_at_its_place() {
    let stage = Stage::new();
    assert!(stage.verify_data().ok().contains("600 events"));
    let cases: &[(&str, &[&str])] = &[
        (
            "UPDATE events SET event = CAST(replace(event, 'member-0295', 'member-9295') AS BLOB) WHERE revision = 300",
            &["revision 300", "the hash of its bytes is"],
        ),
        ("UPDATE events SET event = CAST(event || ' ' AS BLOB) WHERE revision = 300", &["revision 300"]),
        ("DELETE FROM events WHERE revision = 300", &["revision 300", "there is no event of it"]),
        ("DELETE FROM events WHERE revision = 600", &["`trees` has the edge of 600 events, and the log has 599"]),
        ("DELETE FROM events WHERE revision > 512", &["`trees` has the edge of 600 events, and the log has 512"]),
        (
            "UPDATE events SET revision = 10000 WHERE revision = 400;
             UPDATE events SET revision = 400 WHERE revision = 401;
             UPDATE events SET revision = 401 WHERE revision = 10000",
            &["revision 400", "written as revision 401"],
        ),
        (
            "INSERT INTO events (workspace, revision, leaf, event) SELECT workspace, 601, leaf, event FROM events \
             WHERE revision = 600",
            &["revision 601", "written as revision 600"],
        ),
        (
            "INSERT INTO events (workspace, revision, leaf, event) SELECT workspace, 602, leaf, event FROM events \
             WHERE revision = 600",
            &["revision 601", "there is no event of it"],
        ),
        ("UPDATE events SET leaf = zeroblob(32) WHERE revision = 300", &["revision 300", "the tree has `AAAA"]),
        (
            "UPDATE tile_hashes SET hash = zeroblob(32) WHERE place = 1",
            &["from revision 257 on", "`tile_hashes` has `AAAA"],
        ),
        (
            "DELETE FROM tile_hashes WHERE place = 1",
            &["`tile_hashes` has nothing over the events from revision 257 on"],
        ),
        (
            "UPDATE trees SET frontier = zeroblob(length(frontier))",
            &["`trees` has another edge of the tree of 600 events than they have"],
        ),
        ("DELETE FROM trees", &["`trees` has no edge of the tree of 600 events"]),
        ("UPDATE trees SET size = 512", &["`trees` has another edge of the tree of 512 events than they have"]),
        (
            "PRAGMA ignore_check_constraints = ON; INSERT OR REPLACE INTO cursor_key (id, key) VALUES (1, x'00')",
            &["a row of `cursor_key` cannot be read"],
        ),
    ];
    for (sql, words) in cases {
        let said = damaged(&stage, sql).verify_data();
        assert_eq!(said.code, Some(1), "{sql}: {}", said.err);
        assert_found(&said, words);
    }
}

/// The stored frontier of a tree may be old. The rest is computed from the leaves.
#[test]
fn a_tree_with_an_old_frontier_is_computed_from_its_leaves() {
    let stage = Stage::new();
    for sql in [
        "UPDATE trees SET size = 512, frontier = substr(frontier, 1, 32)",
        // A store of an older form, such as a backup, has no key of cursors.
        "DROP TABLE cursor_key",
    ] {
        let said = damaged(&stage, sql).verify_data();
        assert_eq!(said.code, Some(0), "{sql}: {}", said.err);
    }
}

#[test]
fn a_data_folder_with_another_key_or_none_is_refused_and_left_unchanged() {
    let stage = Stage::new();
    let key = stage.data.join("log.key");
    std::fs::write(&key, "43".repeat(32)).unwrap();
    assert_found(&stage.verify_data(), &["carries no signature of the key"]);
    std::fs::remove_file(&key).unwrap();
    assert_found(&stage.verify_data(), &["there is no `log.key` in it"]);
    assert!(!key.exists());
}

#[test]
fn a_kept_checkpoint_reveals_a_fork() {
    let stage = Stage::new();
    let other = stage.copy();
    let add = |stage: &Stage, user: &str| {
        Served::on(stage).add_member(user);
    };
    add(&stage, "one");
    let kept = stage.export("one").join("checkpoint");
    add(&other, "other");
    add(&other, "another");
    let forked = other.export("forked");
    assert!(other.verify(&forked).ok().contains("602 events"));
    assert_found(&stage.verify_since(&forked, &kept), &["revision 601", "of another history"]);
}

/// Returns a snapshot of events with the root of their tree, sealed with the stage's key.
fn snapshot_of(events: &[Arc<Event>], tree: &Frontier) -> Vec<u8> {
    let mut facts = Workspace::empty(events[0].workspace);
    for event in events {
        facts.evolve(event);
    }
    facts.compact();
    snapshot::write(&facts, &tree.root(), &LogKey::from_seed(&[0x42; 32]))
}

/// Returns the events of the stage's log, and their tree.
fn log_of(stage: &Stage) -> (Vec<Arc<Event>>, Frontier) {
    let workspace: WorkspaceId = stage.workspace.parse().unwrap();
    let log = SqliteLog::attach(&stage.data).unwrap();
    let stored = log.read(workspace, Revision::ZERO, 10_000).unwrap();
    drop(log);
    let mut tree = Frontier::default();
    for stored in &stored {
        tree.push(TreeHash::of_leaf(&stored.bytes)).for_each(drop);
    }
    (stored.iter().map(|stored| Arc::new(codec::decode(&stored.bytes).unwrap())).collect(), tree)
}

/// Returns a snapshot of the stage's log, sealed with the stage's key.
pub(crate) fn snapshot_of_log(stage: &Stage) -> Vec<u8> {
    let (events, tree) = log_of(stage);
    snapshot_of(&events, &tree)
}

#[test]
fn a_snapshot_that_differs_from_its_log_is_found() {
    let stage = Stage::new();
    let workspace: WorkspaceId = stage.workspace.parse().unwrap();
    let (events, tree) = log_of(&stage);
    let folder = stage.data.join("snapshots");
    fs::create_dir(&folder).unwrap();
    let verify_with = |snapshot: &[u8]| {
        fs::write(folder.join(format!("{workspace}.snapshot")), snapshot).unwrap();
        stage.verify_data()
    };
    let good = snapshot_of(&events, &tree);
    let said = verify_with(&good).ok();
    assert!(said.contains(&format!("its snapshot is what the log comes to at revision {EVENTS}")), "{said}");

    let mut other = Event::clone(&events[299]);
    other.reason = Some("another".parse().unwrap());
    let mut forged = events.clone();
    forged[299] = Arc::new(other);
    assert_found(&verify_with(&snapshot_of(&forged, &tree)), &["its snapshot", "another event at revision 300"]);
    assert_found(&verify_with(&snapshot_of(&events[..599], &tree)), &["its 599 events have the root", "snapshot"]);
    let longer: Vec<_> = events.iter().chain(&forged[299..300]).cloned().collect();
    assert_found(&verify_with(&snapshot_of(&longer, &tree)), &["snapshot` is of 601 events, and the log has 600"]);
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    assert_found(&verify_with(&flipped), &["snapshot`: its seal does not match"]);
    let mut newer = good;
    newer[8] = 2;
    assert!(verify_with(&newer).ok().contains("its snapshot is of another version"));
}

/// Returns the lines that a server logs until it listens.
fn startup_log(stage: &Stage) -> String {
    let serve = ["serve", "--listen", "127.0.0.1:0", "--data"];
    let mut serve = program().args(serve).arg(&stage.data).stderr(Stdio::piped()).spawn().unwrap();
    BufReader::new(serve.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
    serve.kill().unwrap();
    String::from_utf8(serve.wait_with_output().unwrap().stderr).unwrap()
}

#[test]
fn a_server_warns_of_a_new_key_and_of_a_readable_key_file() {
    let stage = Stage::new();
    let key = stage.data.join("log.key");
    fs::set_permissions(&key, Permissions::from_mode(0o640)).unwrap();
    assert!(startup_log(&stage).contains("others than its owner may use the secret in"));
    fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    assert!(!startup_log(&stage).contains("WARN"));
    // As after an import, or in a store that an older tenure wrote.
    let new = Stage::new();
    fs::remove_file(new.data.join("log.key")).unwrap();
    assert!(startup_log(&new).contains("no `log.key`, so one is made"));
    assert!(new.data.join("log.key").is_file());
}
