//! The disk is full: changes are refused, questions are answered, what was acknowledged stays, and with room all goes on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;
use tenure::log::EventLog;
use tenure::log::sqlite::SqliteLog;

use crate::life::{open, verify_all};
use crate::process::{Process, serve};

/// How many members one batch adds.
const BATCH: usize = 20;

/// Adds members, batch by batch, until that is refused; gives how many batches were acknowledged.
fn fill(server: &Process) -> usize {
    server.found();
    let full = (0..10_000).find(|n| {
        let reply = server.add(&format!("batch{n}"), BATCH);
        if reply.status != 200 {
            let reply = reply.refused(503, "unavailable");
            assert!(reply.json["detail"].as_str().unwrap().ends_with("try again"), "{}", reply.text);
            assert!(reply.header("retry-after").is_some());
            return true;
        }
        false
    });
    full.expect("the disk is full at some time")
}

fn is_there(server: &Process, batch: usize) -> bool {
    let there = |n| server.get(&format!("/v1/workspaces/acme/members/batch{batch}-{n}")).status == 200;
    let first = there(0);
    assert!((1..BATCH).all(|n| there(n) == first), "all or none of a batch");
    first
}

/// As long as there is no room, questions are answered.
fn go_on_without_room(server: &Process, acknowledged: usize) {
    for batch in [0, acknowledged - 1] {
        assert!(is_there(server, batch), "batch {batch}");
    }
    let question = json!({"subject": {"type": "user", "id": "batch0-0"}, "action": {"name": "deploy"},
        "resource": {"type": "environment", "id": "main"}});
    let decided = server.post("/v1/workspaces/acme/access/v1/evaluation", "", &question).expect(200);
    assert_eq!(decided.json["decision"], true, "{}", decided.text);
}

/// Goes on when there is room: the change that was refused is done once, whatever became of it then.
fn go_on_with_room(server: &Process, acknowledged: usize) {
    // The log is opened anew a few times a second for as long as that fails.
    assert!((0..100_000).any(|_| server.get("/readyz").status == 200), "changes are not taken though there is room");
    server.add(&format!("batch{acknowledged}"), BATCH).expect(200);
    server.add("last", BATCH).expect(200);
    assert!((0..=acknowledged).all(|batch| is_there(server, batch)));
    server.get("/v1/workspaces/acme/events?limit=5").expect(200);
}

fn verify(log: &SqliteLog, batches: usize) {
    verify_all(log);
    let id = log.workspace_named("acme").unwrap().unwrap();
    let head = log.head(id).unwrap().unwrap().0;
    assert_eq!(head, 4 + u64::try_from(batches * BATCH).unwrap(), "each batch is there once");
}

/// A limit on the size of a file stands for the full disk; blocks have 512 or 1,024 bytes, as the shell has it.
#[test]
fn a_full_disk_refuses_changes_until_there_is_room_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::of(&mut serve("trap '' XFSZ; ulimit -S -f 1200; exec \"$@\"", folder.path()));
    let acknowledged = fill(&server);
    go_on_without_room(&server, acknowledged);
    let id = server.id().to_string();
    assert!(Command::new("prlimit").args(["--fsize=unlimited:", "--pid", &id]).status().unwrap().success());
    go_on_with_room(&server, acknowledged);
    server.stop();
    verify(&open(folder.path()), acknowledged + 2);
}

/// A small file system of its own for each server, which no other process sees.
const SMALL_DISK: &str =
    "mount -t tmpfs -o size=2m tenure \"$FOLDER\" && head -c 1200000 /dev/zero > \"$FOLDER/ballast\" && exec \"$@\"";

/// A server on a small disk; none where this user may not make one.
fn on_a_small_disk(folder: &Path) -> Option<Process> {
    let may = Command::new("unshare").args(["-rm", "mount", "-t", "tmpfs", "tenure"]).arg(folder).status();
    if !may.is_ok_and(|status| status.success()) {
        return None;
    }
    let plain = serve(SMALL_DISK, &folder.join("data"));
    let mut command = Command::new("unshare");
    command.arg("-rm").arg(plain.get_program()).args(plain.get_args()).env("FOLDER", folder);
    for (name, value) in plain.get_envs() {
        command.env(name, value.unwrap());
    }
    command.stdout(Stdio::piped());
    Some(Process::of(&mut command))
}

/// The folder as the server sees it.
fn seen_by(server: &Process, folder: &Path) -> PathBuf {
    Path::new("/proc").join(server.id().to_string()).join("root").join(folder.strip_prefix("/").unwrap())
}

#[test]
fn a_file_system_without_room_refuses_changes_until_there_is_some_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let Some(server) = on_a_small_disk(folder.path()) else {
        eprintln!("left out: this user may not mount a small file system");
        return;
    };
    let acknowledged = fill(&server);
    go_on_without_room(&server, acknowledged);
    let seen = seen_by(&server, folder.path());
    fs::remove_file(seen.join("ballast")).unwrap();
    go_on_with_room(&server, acknowledged);
    let copy = tempfile::tempdir().unwrap();
    server.freeze();
    for file in ["tenure.db", "tenure.db-wal"] {
        fs::copy(seen.join("data").join(file), copy.path().join(file)).unwrap();
    }
    server.kill();
    verify(&open(copy.path()), acknowledged + 2);
}
