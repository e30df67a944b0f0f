//! The store at rest. After a clean stop one file has everything, and no file has erased data. A copied file beside the
//! WAL of another one is recognised, and a store on a read-only medium can be read.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::json;
use tempfile::TempDir;

use super::life::{open, verify_all};
use super::process::{PLAIN, Process, serve};
use crate::support::program::program;

/// Runs the program on a folder, with what is left of its arguments before and after the folder.
fn tenure(before: &[&str], folder: &Path, after: &[&str]) -> Output {
    program().args(before).arg(folder).args(after).output().unwrap()
}

#[track_caller]
fn succeeds(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Returns the sentence on stderr of a run that failed.
#[track_caller]
fn refused(output: &Output) -> String {
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!((output.status.code(), said.trim_end().lines().count()), (Some(2), 1), "{said}");
    said
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| entry.file_name().into_string().unwrap()).collect()
}

/// Makes sure that nothing of a store is beside its one file.
#[track_caller]
fn is_one_file(folder: &Path) {
    let beside = names(folder).into_iter().filter(|name| name.starts_with("tenure.db-")).collect::<Vec<_>>();
    assert!(beside.is_empty(), "{beside:?}");
}

/// A new folder with the store's file alone, as someone copies it who knows of no other file.
fn copy(folder: &Path) -> TempDir {
    let other = tempfile::tempdir().unwrap();
    fs::copy(folder.join("tenure.db"), other.path().join("tenure.db")).unwrap();
    other
}

/// The members of the workspace in a folder.
fn members(folder: &Path) -> String {
    succeeds(&tenure(&["replay", "-o", "json", "--data"], folder, &[]))
}

fn backup(folder: &Path, out: &Path) -> Output {
    program().args(["backup", "--data"]).arg(folder).arg("--out").arg(out).output().unwrap()
}

/// A folder whose server was killed after a change, with that change in the WAL only.
fn killed(name: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path());
    server.found();
    server.add(name, 2).expect(200);
    server.kill();
    folder
}

#[test]
fn after_a_clean_stop_one_file_has_every_change() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path());
    server.found();
    server.add("bob", 3).expect(200);
    server.get("/v1/workspaces/acme/members").expect(200);
    server.get("/readyz").expect(200);
    server.stop();
    is_one_file(folder.path());
    let alone = copy(folder.path());
    assert!(members(alone.path()).contains("bob-2"));
    verify_all(&open(alone.path()));
}

#[test]
fn what_a_killed_server_left_in_the_wal_is_in_the_one_file_after_the_next_command_that_reads_or_writes_the_store() {
    let folder = killed("bob");
    assert!(names(folder.path()).contains("tenure.db-wal"));
    let out = folder.path().join("copy.db");
    succeeds(&backup(folder.path(), &out));
    is_one_file(folder.path());
    assert!(members(copy(folder.path()).path()).contains("bob-1"));

    let folder = killed("eve");
    Process::start(folder.path()).stop();
    is_one_file(folder.path());
    assert!(members(copy(folder.path()).path()).contains("eve-1"));
}

#[test]
fn a_command_that_only_reads_leaves_nothing_beside_a_store_that_is_at_rest_and_all_of_a_served_one() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path());
    server.found();
    members(folder.path());
    assert!(names(folder.path()).contains("tenure.db-wal"), "the server still has it");
    server.add("bob", 2).expect(200);
    server.stop();
    assert!(members(folder.path()).contains("bob-0"));
    is_one_file(folder.path());
}

#[test]
fn an_import_leaves_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let (data, history) = (folder.path().join("data"), folder.path().join("history.jsonl"));
    let line = json!({"time": "2024-01-01T00:00:00Z", "actor": "operator", "commands": [],
        "workspace": {"name": "acme", "kind": "shared", "plan": "team", "owner": {"user": "alice"}}});
    fs::write(&history, format!("{line}\n")).unwrap();
    let history = history.to_str().unwrap();
    succeeds(&tenure(&["import", "--data"], &data, &[history]));
    is_one_file(&data);
    assert!(members(copy(&data).path()).contains("alice"));
}

/// The files, in a folder and those below it, that hold a text.
fn holding(folder: &Path, text: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.path().is_dir() {
            found.extend(holding(&entry.path(), text));
        } else if fs::read(entry.path()).unwrap().windows(text.len()).any(|part| part == text.as_bytes()) {
            found.push(entry.path());
        }
    }
    found
}

#[test]
fn nothing_of_an_erased_profile_is_in_any_file_after_a_clean_stop() {
    const PEOPLE: usize = 300;
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path());
    server.found();
    server.add("person", PEOPLE).expect(200);
    let profile = |n: usize| format!("/v1/workspaces/acme/members/person-{n}/profile");
    for n in 0..PEOPLE {
        // In an order in which rows are put between others.
        let n = (n * 37) % PEOPLE;
        let name = format!("erased-name {}", "x".repeat(n % 150));
        let body = json!({"name": name, "email": format!("erased-address-{n}@example.com")});
        server.put(&profile(n), &body).expect(200);
    }
    server.put(&profile(0), &json!({"name": "kept-name"})).expect(200);
    assert!(!holding(folder.path(), "erased-name").is_empty());
    (1..PEOPLE).for_each(|n| drop(server.delete(&profile(n)).expect(200)));
    server.stop();
    for text in ["erased-name", "erased-address"] {
        assert_eq!(holding(folder.path(), text), Vec::<PathBuf>::new(), "{text}");
    }
    assert_eq!(holding(folder.path(), "kept-name"), [folder.path().join("tenure.db")]);
}

/// The checkpoint of the newer log is beside it, so the workspace is served only after the operator accepts the older one.
#[test]
fn a_backup_put_over_a_stopped_folder_is_served_when_what_witnesses_the_newer_log_is_moved_away() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path());
    server.found();
    let out = folder.path().join("backup.db");
    succeeds(&backup(folder.path(), &out));
    server.add("later", 2).expect(200);
    server.stop();
    fs::copy(&out, folder.path().join("tenure.db")).unwrap();
    let server = Process::start(folder.path());
    let refused = server.get("/v1/workspaces/acme/members/later-0").expect(500).text;
    assert!(refused.contains("set back to an older copy") && refused.contains("`checkpoints/ws_"), "{refused}");
    server.stop();
    fs::rename(folder.path().join("checkpoints"), folder.path().join("checkpoints-of-the-newer-log")).unwrap();
    let server = Process::start(folder.path());
    server.get("/v1/workspaces/acme/members/later-0").expect(404);
    server.add("other", 2).expect(200);
    server.stop();
    verify_all(&open(folder.path()));
}

/// Makes sure that the store in a folder is refused with what to do, by servers and by commands that read it, and that nothing of it
/// is altered.
#[track_caller]
fn is_distinguished(folder: &Path) {
    let file = |name: &str| fs::read(folder.join(name)).unwrap();
    let before = (file("tenure.db"), file("tenure.db-wal"));
    let server = serve(PLAIN, folder).output().unwrap();
    let reader = tenure(&["replay", "--data"], folder, &[]);
    for output in [server, reader, backup(folder, &folder.join("out.db"))] {
        let said = refused(&output);
        for words in ["tenure.db-wal` does not belong to `", "tenure.db-shm` away", "put its `tenure.db` back"] {
            assert!(said.contains(words), "{said}");
        }
    }
    assert_eq!((file("tenure.db"), file("tenure.db-wal")), before);
}

#[test]
fn a_store_beside_the_wal_of_another_one_is_refused_with_what_to_do_and_left_as_it_is() {
    let folder = killed("old");
    let (store, wal) = (folder.path().join("tenure.db"), folder.path().join("tenure.db-wal"));
    let whole = fs::read(&store).unwrap();
    // A backup of another store, and one of the same that was taken while the same server ran.
    let other = killed("other");
    let out = other.path().join("backup.db");
    succeeds(&backup(other.path(), &out));
    fs::copy(&out, &store).unwrap();
    is_distinguished(folder.path());
    // The file of another store, as its stopped server left it.
    Process::start(other.path()).stop();
    fs::copy(other.path().join("tenure.db"), &store).unwrap();
    is_distinguished(folder.path());
    // An empty file, of which SQLite would think that the WAL is left over.
    fs::write(&store, "").unwrap();
    is_distinguished(folder.path());
    // Its own file, put back.
    fs::write(&store, whole).unwrap();
    let server = Process::start(folder.path());
    server.get("/v1/workspaces/acme/members/old-1").expect(200);
    server.kill();
    // Or the other file, without the WAL.
    fs::copy(&out, &store).unwrap();
    is_distinguished(folder.path());
    fs::remove_file(wal).unwrap();
    fs::remove_file(folder.path().join("tenure.db-shm")).unwrap();
    let server = Process::start(folder.path());
    server.get("/v1/workspaces/acme/members/other-1").expect(200);
    server.stop();
    verify_all(&open(folder.path()));
}

#[test]
fn a_backup_of_the_very_server_that_was_killed_is_not_mixed_with_its_wal() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path());
    server.found();
    let out = folder.path().join("backup.db");
    succeeds(&backup(folder.path(), &out));
    server.add("later", 2).expect(200);
    server.kill();
    fs::copy(&out, folder.path().join("tenure.db")).unwrap();
    is_distinguished(folder.path());
}

/// Returns the outcome of a shell with a folder on a read-only medium; none if this user may not mount one.
fn on_read_only_medium(folder: &Path, script: &str) -> Option<Output> {
    let mounted = "mount --bind \"$FOLDER\" \"$FOLDER\" && mount -o remount,ro,bind \"$FOLDER\" || exit 99";
    let mut command = std::process::Command::new("unshare");
    command.args(["-rm", "sh", "-c", &format!("{mounted}; {script}"), "sh"]).arg(program().get_program());
    let output = command.env("FOLDER", folder).output().ok()?;
    let may_not = output.status.code() == Some(99) || String::from_utf8_lossy(&output.stderr).starts_with("unshare:");
    (!may_not).then_some(output)
}

#[test]
fn a_store_on_a_medium_for_reading_only_is_read_and_what_cannot_be_is_refused_with_what_to_do() {
    let folder = killed("bob");
    let out = tempfile::tempdir().unwrap();
    let backup = format!("\"$1\" backup --data \"$FOLDER\" --out \"{}\"", out.path().join("backup.db").display());
    let Some(output) = on_read_only_medium(folder.path(), &backup) else {
        eprintln!("left out: this user may not mount anything");
        return;
    };
    succeeds(&output);
    fs::remove_file(out.path().join("backup.db")).unwrap();
    fs::remove_file(folder.path().join("tenure.db-shm")).unwrap();
    let said = refused(&on_read_only_medium(folder.path(), &backup).unwrap());
    assert!(said.contains("tenure.db-wal` holds the newest changes") && said.contains("copy `"), "{said}");
    Process::start(folder.path()).stop();
    for command in [&*backup, "\"$1\" replay -o json --data \"$FOLDER\""] {
        succeeds(&on_read_only_medium(folder.path(), command).unwrap());
    }
    let restored = tempfile::tempdir().unwrap();
    fs::copy(out.path().join("backup.db"), restored.path().join("tenure.db")).unwrap();
    assert_eq!(members(restored.path()), members(folder.path()));
}

#[test]
fn drafts_that_killed_commands_left_are_removed_by_the_next_and_files_of_others_are_not() {
    let folder = tempfile::tempdir().unwrap();
    Process::start(folder.path()).stop();
    let leave = |name: &str| fs::write(folder.path().join(name), "half").unwrap();
    let all = [".tenure-a1.draft", ".tenure-a1.draft-journal", ".tmpAbCd", "notes.draft", ".tenure-held.draft"];
    all.into_iter().for_each(leave);
    // One that another backup still writes.
    let held = fs::File::open(folder.path().join(".tenure-held.draft")).unwrap();
    held.lock().unwrap();
    succeeds(&backup(folder.path(), &folder.path().join("backup.db")));
    let left = |names: BTreeSet<String>| all.into_iter().filter(|name| names.contains(*name)).collect::<Vec<_>>();
    assert_eq!(left(names(folder.path())), [".tmpAbCd", "notes.draft", ".tenure-held.draft"]);
    drop(held);
    Process::start(folder.path()).stop();
    assert_eq!(left(names(folder.path())), [".tmpAbCd", "notes.draft"]);
}

#[test]
fn a_hangup_does_not_end_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path());
    server.hang_up();
    server.found();
    server.hang_up();
    server.get("/readyz").expect(200);
    server.stop();
}
