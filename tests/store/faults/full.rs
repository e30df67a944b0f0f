//! The disk is full: changes are refused, questions are answered, what was acknowledged stays, and with room all goes on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;
use tenure::log::sqlite::SqliteLog;
use tenure::log::{Directories, EventLog};

use super::life::{open, verify_all};
use super::process::{PLAIN, Process, serve};
use crate::support::server::Reply;

/// The members that one batch adds.
const BATCH: usize = 20;

/// Adds members, batch by batch, until one is refused as `check` says; returns how many batches were acknowledged.
fn fill(server: &Process, check: impl Fn(Reply)) -> usize {
    server.found();
    let full = (0..10_000).find(|n| {
        let reply = server.add(&format!("batch{n}"), BATCH);
        let is_full = reply.status != 200;
        if is_full {
            check(reply);
        }
        is_full
    });
    full.expect("the disk is full at some time")
}

fn refused_for_room(reply: Reply) {
    let reply = reply.refused(507, "insufficient_storage");
    assert!(reply.json["detail"].as_str().unwrap().ends_with("make room on it"), "{}", reply.text);
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

/// A limit on the size of files simulates the full disk. A block of the shell has 512 or 1,024 bytes.
#[test]
fn a_full_disk_refuses_changes_until_there_is_room_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::of(&mut serve("trap '' XFSZ; ulimit -S -f 1200; exec \"$@\"", folder.path()));
    let acknowledged = fill(&server, |reply| {
        let reply = reply.refused(503, "unavailable");
        assert!(reply.json["detail"].as_str().unwrap().ends_with("try again"), "{}", reply.text);
        assert!(reply.header("retry-after").is_some());
    });
    go_on_without_room(&server, acknowledged);
    let id = server.id().to_string();
    assert!(Command::new("prlimit").args(["--fsize=unlimited:", "--pid", &id]).status().unwrap().success());
    go_on_with_room(&server, acknowledged);
    server.stop();
    verify(&open(folder.path()), acknowledged + 2);
}

/// A small file system of its own for each server, which no other process sees.
const SMALL_DISK: &str = "mount -t tmpfs -o size=\"$SIZE\" tenure \"$FOLDER\" && \
    head -c \"$BALLAST\" /dev/zero > \"$FOLDER/ballast\" && exec \"$@\"";

/// A disk of so many bytes, of which some are taken.
struct SmallDisk {
    size: &'static str,
    ballast: &'static str,
    /// The further flags of the server.
    flags: &'static [&'static str],
}

fn on_a_small_disk(folder: &Path, disk: &SmallDisk) -> Option<Process> {
    on_a_disk(folder, SMALL_DISK, disk, &[], &[])
}

/// A server on a disk that a script makes; none where this user may not make one.
fn on_a_disk(
    folder: &Path,
    script: &str,
    disk: &SmallDisk,
    given: &[(&str, &Path)],
    flags: &[&str],
) -> Option<Process> {
    let may = Command::new("unshare").args(["-rm", "mount", "-t", "tmpfs", "tenure"]).arg(folder).status();
    if !may.is_ok_and(|status| status.success()) {
        eprintln!("left out: this user may not mount a small file system");
        return None;
    }
    let plain = serve(script, &folder.join("data"));
    let mut command = Command::new("unshare");
    command.arg("-rm").arg(plain.get_program()).args(plain.get_args()).args(disk.flags).args(flags);
    command.envs(given.iter().copied()).env("FOLDER", folder).env("SIZE", disk.size).env("BALLAST", disk.ballast);
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

/// A copy of the store as a killed server leaves it.
fn killed(server: Process, data: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    server.freeze();
    for file in ["tenure.db", "tenure.db-wal"] {
        fs::copy(data.join(file), copy.path().join(file)).unwrap();
    }
    server.kill();
    copy
}

#[test]
fn a_file_system_without_room_refuses_changes_until_there_is_some_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let disk = SmallDisk { size: "2m", ballast: "1200000", flags: &["--disk-reserve-mib", "0"] };
    let Some(server) = on_a_small_disk(folder.path(), &disk) else { return };
    // The store knows that a commit without room was not made.
    let acknowledged = fill(&server, refused_for_room);
    go_on_without_room(&server, acknowledged);
    let seen = seen_by(&server, folder.path());
    fs::remove_file(seen.join("ballast")).unwrap();
    go_on_with_room(&server, acknowledged);
    verify(&open(killed(server, &seen.join("data")).path()), acknowledged + 2);
}

/// Adds members until only the reserve of the disk is left; gives how many batches were taken.
fn fill_to_the_reserve(server: &Process) -> usize {
    server.found();
    let enable = json!({"commands": [{"type": "rbac.enable"}]});
    server.post("/v1/workspaces/acme/commands", "", &enable).expect(200);
    let full = (0..10_000).find(|n| {
        let reply = server.add(&format!("batch{n}"), BATCH);
        if reply.status == 507 {
            refused_for_room(reply);
            return true;
        }
        reply.expect(200);
        false
    });
    full.expect("only the reserve is left at some time")
}

#[test]
fn where_only_the_reserve_of_the_disk_is_left_access_can_be_taken_away_and_nothing_else_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let disk = SmallDisk { size: "48m", ballast: "24000000", flags: &[] };
    let Some(server) = on_a_small_disk(folder.path(), &disk) else { return };
    let acknowledged = fill_to_the_reserve(&server);
    let data = seen_by(&server, folder.path()).join("data");
    assert_eq!(fs::metadata(data.join("tenure.reserve")).unwrap().len(), 12 << 20, "a quarter of a disk that is small");
    // Another program takes all that is left.
    let mut rest = Command::new("sh");
    rest.args(["-c", "cat /dev/zero > \"$1\"", "sh"]).arg(data.with_file_name("rest"));
    assert!(!rest.stderr(Stdio::null()).status().unwrap().success());
    let acme = |rest: &str| format!("/v1/workspaces/acme/{rest}");
    for (method, path, body) in [
        ("POST", acme("members"), json!({"user": "mallory", "role": "member"})),
        (
            "POST",
            acme("commands"),
            json!({"commands": [{"type": "member.remove", "user": "batch0-1"},
            {"type": "member.add", "user": "mallory", "role": "member"}]}),
        ),
        ("PATCH", acme("members/batch0-1"), json!({"role": "manager"})),
        ("PUT", acme("members/batch0-1/profile"), json!({"name": "Mallory"})),
        ("POST", acme("environments"), json!({"name": "staging"})),
        ("POST", acme("access-keys"), json!({"role": "auditor", "label": "x"})),
    ] {
        server.send(method, &path, "", &body).refused(507, "insufficient_storage");
    }
    server.get(&acme("audit/access?principal=user:batch0-0")).refused(507, "insufficient_storage");
    server.get("/readyz").refused(503, "unavailable");
    go_on_without_room(&server, acknowledged);
    // What the owner needs to do is done, time and again.
    for batch in 0..acknowledged.min(200) {
        server.send("DELETE", &acme(&format!("members/batch{batch}-0")), "", &Value::Null).expect(200);
    }
    let ends = json!({"commands": [{"type": "member.remove", "user": "batch0-2"},
        {"type": "environment.restrict", "environment": "main"}, {"type": "environment.delete", "environment": "main"}]});
    server.post(&acme("commands"), "ends", &ends).expect(200);
    server.post(&acme("commands"), "ends", &ends).expect(200);
    fs::remove_file(data.with_file_name("rest")).unwrap();
    fs::remove_file(data.with_file_name("ballast")).unwrap();
    assert!((0..100_000).any(|_| server.get("/readyz").status == 200), "changes are not taken though there is room");
    server.add("last", BATCH).expect(200);
    verify_all(&open(killed(server, &data).path()));
}

/// A disk onto which a store was copied that left no room.
const FILLED_DISK: &str = "mount -t tmpfs -o size=\"$SIZE\" tenure \"$FOLDER\" && cp -r \"$STORE\" \"$FOLDER/data\" && \
    { cat /dev/zero > \"$FOLDER/ballast\" 2>/dev/null; exec \"$@\"; }";

/// A store with a workspace, left by a server that was stopped or killed, with or without a reserve.
fn left_behind(is_stopped: bool, reserve_mib: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::of(serve(PLAIN, folder.path()).args(["--disk-reserve-mib", reserve_mib]));
    server.found();
    server.add("batch0", BATCH).expect(200);
    if is_stopped {
        server.stop();
    } else {
        server.kill();
    }
    folder
}

/// Starts on a full disk; gives whether access could be taken away there.
fn restarts_on_a_full_disk(is_stopped: bool, reserve_mib: &str) -> Option<bool> {
    let (store, folder) = (left_behind(is_stopped, reserve_mib), tempfile::tempdir().unwrap());
    let reserved = if reserve_mib == "0" { "1" } else { reserve_mib };
    let disk = SmallDisk { size: "12m", ballast: "0", flags: &["--disk-reserve-mib"] };
    let server = on_a_disk(folder.path(), FILLED_DISK, &disk, &[("STORE", store.path())], &[reserved])?;
    assert!(is_there(&server, 0));
    go_on_without_room(&server, 1);
    server.get("/readyz").refused(503, "unavailable");
    server.get("/healthz").expect(200);
    server
        .post("/v1/workspaces/acme/members", "", &json!({"user": "x", "role": "member"}))
        .refused(507, "insufficient_storage");
    let removed = server.send("DELETE", "/v1/workspaces/acme/members/batch0-0", "", &Value::Null).status == 200;
    let data = seen_by(&server, folder.path()).join("data");
    fs::remove_file(data.with_file_name("ballast")).unwrap();
    assert!((0..100_000).any(|_| server.get("/readyz").status == 200), "changes are not taken though there is room");
    server.add("last", BATCH).expect(200);
    assert_eq!(server.get("/v1/workspaces/acme/members/batch0-0").status, if removed { 404 } else { 200 });
    verify_all(&open(killed(server, &data).path()));
    Some(removed)
}

#[test]
fn a_server_starts_on_a_full_disk_to_answer_and_with_a_reserve_to_take_access_away() {
    for (is_stopped, reserve_mib) in [(true, "2"), (false, "2"), (true, "0"), (false, "0")] {
        let Some(removed) = restarts_on_a_full_disk(is_stopped, reserve_mib) else { return };
        assert_eq!(removed, reserve_mib != "0", "stopped: {is_stopped}, reserve: {reserve_mib} MiB");
    }
}

const FULL_DISK: SmallDisk = SmallDisk { size: "48m", ballast: "24000000", flags: &[] };

/// Takes all the room on a disk that is left.
fn take_the_rest(data: &Path, name: &str) {
    let mut rest = Command::new("sh");
    rest.args(["-c", "cat /dev/zero > \"$1\"", "sh"]).arg(data.with_file_name(name));
    assert!(!rest.stderr(Stdio::null()).status().unwrap().success());
}

/// Adds a person and gives a token of theirs.
fn person(server: &Process, user: &str, role: &str) -> String {
    server.post("/v1/workspaces/acme/members", "", &json!({"user": user, "role": role})).expect(201);
    let path = format!("/v1/workspaces/acme/members/{user}/tokens");
    server.post(&path, "", &json!({})).expect(201).credential("token")
}

#[test]
fn the_reserve_is_not_used_up_by_what_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let Some(server) = on_a_small_disk(folder.path(), &FULL_DISK) else { return };
    server.found();
    let (bob, mo) = (person(&server, "bob", "member"), person(&server, "mo", "manager"));
    let key = json!({"role": "auditor", "label": "x"});
    let key = server.post("/v1/workspaces/acme/access-keys", "", &key).expect(201).credential("access_key");
    server.put("/v1/workspaces/acme/members/bob/profile", &json!({"name": "Bob"})).expect(200);
    server.post("/v1/workspaces/acme/commands", "", &json!({"commands": [{"type": "rbac.enable"}]})).expect(200);
    fill_to_the_reserve(&server);
    let data = seen_by(&server, folder.path()).join("data");
    take_the_rest(&data, "rest");
    let acme = |rest: &str| format!("/v1/workspaces/acme/{rest}");
    let profile = acme("members/bob/profile");
    server.send_as(&bob, ("DELETE", &profile), "erased", &Value::Null).expect(200);
    let key = acme(&format!("access-keys/{}", key.split_once('.').unwrap().0));
    server.send_as(&mo, ("DELETE", &key), "revoked", &Value::Null).expect(200);
    let sizes =
        || ["tenure.reserve", "tenure.db", "tenure.db-wal"].map(|file| fs::metadata(data.join(file)).unwrap().len());
    let before = sizes();
    let (enable, many) = (json!({"commands": [{"type": "rbac.enable"}]}), "k".repeat(200));
    for n in 0..1_000 {
        let idempotency_key = format!("{many}-{n}");
        server.send_as(&bob, ("DELETE", &profile), &idempotency_key, &Value::Null).expect(200);
        server.send_as(&mo, ("POST", &acme("commands")), &idempotency_key, &enable).expect(200);
        server.send_as(&mo, ("DELETE", &profile), &idempotency_key, &Value::Null).expect(200);
    }
    assert_eq!(sizes(), before, "nothing is written");
    server.send_as(&mo, ("DELETE", &key), "revoked", &Value::Null).expect(200);
    server.send_as(&bob, ("DELETE", &profile), "erased", &Value::Null).expect(200);
    server.send("DELETE", &acme("members/mo"), "", &Value::Null).expect(200);
    verify_all(&open(killed(server, &data).path()));
}

#[test]
fn one_holder_takes_only_a_share_of_the_reserve_and_the_store_is_closed_with_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let Some(server) = on_a_small_disk(folder.path(), &FULL_DISK) else { return };
    server.found();
    let (alice, mo) = (person(&server, "alice2", "owner"), person(&server, "mo", "manager"));
    fill_to_the_reserve(&server);
    let data = seen_by(&server, folder.path()).join("data");
    take_the_rest(&data, "rest");
    let remove = |credential: &str, batch: usize, n: usize| {
        let path = format!("/v1/workspaces/acme/members/batch{batch}-{n}?reason={}", "r".repeat(1_000));
        server.send_as(credential, ("DELETE", &path), &format!("remove {batch} {n}"), &Value::Null)
    };
    let members = (0..500).flat_map(|batch| (0..BATCH).map(move |n| (batch, n)));
    let refused = members.clone().find(|(batch, n)| {
        let reply = remove(&mo, *batch, *n);
        if reply.status == 507 {
            let reply = reply.refused(507, "insufficient_storage");
            assert!(reply.json["detail"].as_str().unwrap().contains("your share of that is used up"), "{}", reply.text);
            return true;
        }
        reply.expect(200);
        false
    });
    let (batch, n) = refused.expect("the share is used up at some time");
    assert!(batch * BATCH + n >= 20, "a share is not small: {batch} {n}");
    remove(&mo, 0, 0).expect(200);
    for n in 0..50 {
        remove(&alice, batch + 1 + n / BATCH, n % BATCH).expect(200);
    }
    server.send("DELETE", "/v1/workspaces/acme/members/mo", "", &Value::Null).expect(200);
    take_the_rest(&data, "more");
    let said = server.stop_and_say();
    assert!(!said.contains("could not be emptied"), "{said}");
}
