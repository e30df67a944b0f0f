//! Changes of the key that signs the logs: by a rotation, which verifiers follow; by hand, which is refused; after a loss, which is
//! reported.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tenure::domain::model::time::Revision;
use tenure::log::EventLog;
use tenure::log::sqlite::SqliteLog;
use tenure::proof::note::LogKey;

use super::stage::{EVENTS, Served, Stage, assert_found};
use super::store::snapshot_of_log;
use crate::support::program::{RunOutput, program, run};

fn key(stage: &Stage, args: &[&str]) -> RunOutput {
    run(program().arg("key").args(args).arg("--data").arg(&stage.data))
}

fn serve(stage: &Stage) -> Command {
    let mut command = program();
    command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(&stage.data);
    command
}

/// Starts a server once, so that its store knows the key.
fn first_start(stage: &Stage) {
    drop(Served::on(stage));
}

fn rotate(stage: &Stage) -> PathBuf {
    let said = key(stage, &["rotate"]).ok();
    assert!(said.contains("the logs are signed with `"), "{said}");
    new_key(stage)
}

/// Writes the current verifier key to a file.
fn new_key(stage: &Stage) -> PathBuf {
    let new = stage.folder.path().join("new.vkey");
    fs::write(&new, key(stage, &[]).ok()).unwrap();
    new
}

fn verify(what: &Path, key: &Path, since: Option<&Path>) -> RunOutput {
    let mut command = program();
    command.arg("verify").arg(what).arg("--key").arg(key);
    if let Some(since) = since {
        command.arg("--since").arg(since);
    }
    run(&mut command)
}

#[test]
fn after_a_rotation_the_old_and_the_new_verifier_key_both_verify() {
    let stage = Stage::new();
    first_start(&stage);
    let before = stage.export("before");
    assert!(!before.join("keys").exists());
    let kept = stage.folder.path().join("checkpoint.kept");
    fs::copy(before.join("checkpoint"), &kept).unwrap();
    let mut new = rotate(&stage);
    // Twice, so that the old key leads to the newest over one between.
    new = if key(&stage, &["rotate"]).code == Some(0) { new_key(&stage) } else { new };
    let all = key(&stage, &["--all"]).ok();
    let all: Vec<_> = all.lines().collect();
    assert_eq!((all.len(), all[0]), (3, fs::read_to_string(&stage.key).unwrap().trim()));
    assert_eq!(all[2], fs::read_to_string(&new).unwrap().trim());

    let after = stage.export("after");
    for key in [&stage.key, &new] {
        for since in [None, Some(kept.as_path())] {
            verify(&after, key, since).ok();
        }
        let mut data = program();
        data.args(["verify", "--since"]).arg(&kept).arg("--data").arg(&stage.data).arg("--key").arg(key);
        assert!(run(&mut data).ok().contains("grown from the 600 that were kept"));
    }
    verify(&before, &stage.key, None).ok();
    assert_found(&verify(&before, &new, None), &["holds another key"]);

    let served = Served::on(&stage);
    served.add_member("after-the-rotation");
    for key in [&stage.key, &new] {
        let said = run(served.program().args(["verify", &served.url, "--since"]).arg(&kept).arg("--key").arg(key)).ok();
        assert!(said.contains("601 events"), "{said}");
    }
    for (name, key) in [("old", &stage.key), ("new", &new)] {
        let out = stage.folder.path().join(format!("evidence-{name}"));
        let taken = ["who", "main"];
        run(served.program().args(["evidence", "--with-log", "--out"]).arg(&out).arg("--key").arg(key).args(taken))
            .ok();
        verify(&out, key, None).ok();
    }
    assert_found(&verify(&stage.folder.path().join("evidence-old"), &new, None), &["holds another key"]);
    verify(&stage.folder.path().join("evidence-new"), &stage.key, None).ok();
}

#[test]
fn a_forged_or_missing_rotation_record_is_refused_under_the_old_key() {
    let stage = Stage::new();
    first_start(&stage);
    let new = rotate(&stage);
    let export = stage.export("log");
    let keys = export.join("keys");
    let whole = fs::read_to_string(&keys).unwrap();
    let [_, old_line, new_line, ..] = whole.lines().collect::<Vec<_>>()[..] else { panic!("{whole}") };
    let evil = LogKey::from_seed(&[9; 32]).public().to_string();
    for forged in [whole.replace(new_line, &evil), whole.replace(old_line, &evil), whole.replace("Z\n", "\n")] {
        fs::write(&keys, forged).unwrap();
        // The key beside the log is looked at first; a mirror has none.
        let _ = fs::remove_file(export.join("key"));
        assert_found(&verify(&export, &stage.key, None), &["keys"]);
    }
    // Without the signature of the old key.
    let mut lines: Vec<_> = whole.lines().collect();
    let first = lines.iter().position(|line| line.starts_with('—')).unwrap();
    lines.remove(first);
    fs::write(&keys, lines.join("\n") + "\n").unwrap();
    assert_found(&verify(&export, &stage.key, None), &["without the signature of the one before"]);
    fs::remove_file(&keys).unwrap();
    assert_found(&verify(&export, &stage.key, None), &["carries no signature of the key"]);
    verify(&export, &new, None).ok();
}

#[test]
fn a_server_refuses_an_unknown_key_with_advice() {
    let stage = Stage::new();
    first_start(&stage);
    let file = stage.data.join("log.key");
    let right = fs::read_to_string(&file).unwrap();
    let refused = |command: &mut Command| {
        let said = run(command).failed();
        assert!(said.contains("put that key back") && said.contains("--accept-new-log-key"), "{said}");
        assert_eq!(said.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{said}");
    };
    fs::write(&file, "43".repeat(32)).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    refused(&mut serve(&stage));
    refused(program().args(["export", "--data"]).arg(&stage.data).arg("--out").arg(stage.folder.path().join("out")));
    refused(program().args(["key", "rotate", "--data"]).arg(&stage.data));
    fs::remove_file(&file).unwrap();
    refused(&mut serve(&stage));
    assert!(!file.exists(), "none is made");
    refused(serve(&stage).env("TENURE_LOG_KEY", "43".repeat(32)));
    assert_eq!(key(&stage, &[]).ok(), fs::read_to_string(&stage.key).unwrap(), "the store knows the verifier key");
    fs::write(&file, right).unwrap();
    first_start(&stage);
    stage.verify_data().ok();
}

#[test]
fn a_lost_key_is_replaced_on_the_operators_request_and_old_keys_report_it() {
    let stage = Stage::new();
    first_start(&stage);
    fs::remove_file(stage.data.join("log.key")).unwrap();
    let mut command = serve(&stage);
    command.arg("--accept-new-log-key");
    let accepting = crate::support::program::Running::start(&mut command);
    // Once it listens it has recorded the key.
    let mut accepting = accepting;
    accepting.lines.next().unwrap().unwrap();
    assert_eq!(accepting.stop(), Some(0));
    first_start(&stage);
    let new = new_key(&stage);
    let export = stage.export("log");
    verify(&export, &new, None).ok();
    fs::remove_file(export.join("key")).unwrap();
    assert_found(&verify(&export, &stage.key, None), &["was replaced at 20", "ask the operator for the new one"]);
    let served = Served::on(&stage);
    assert_found(&served.verify(&stage), &["was replaced at 20"]);
}

#[test]
fn the_next_start_finishes_or_undoes_an_interrupted_rotation() {
    let stage = Stage::new();
    first_start(&stage);
    let (file, next) = (stage.data.join("log.key"), stage.data.join("log.key.next"));
    let old = fs::read_to_string(&file).unwrap();
    // Before it was recorded.
    fs::write(&next, "44".repeat(32)).unwrap();
    first_start(&stage);
    assert!(!next.exists());
    assert_eq!(fs::read_to_string(&file).unwrap(), old);
    // After it was recorded.
    rotate(&stage);
    let new = fs::read_to_string(&file).unwrap();
    fs::write(&file, old).unwrap();
    fs::write(&next, &new).unwrap();
    first_start(&stage);
    assert_eq!(fs::read_to_string(&file).unwrap(), new);
    assert!(!next.exists());
}

#[test]
fn a_rotation_needs_a_stopped_server_and_a_kept_key() {
    let stage = Stage::new();
    let served = Served::on(&stage);
    assert!(key(&stage, &["rotate"]).failed().contains("in use by another tenure process"));
    drop(served);
    let given =
        run(program().args(["key", "rotate", "--data"]).arg(&stage.data).env("TENURE_LOG_KEY", "42".repeat(32)));
    assert!(given.failed().contains("TENURE_LOG_KEY gives the key"));
    assert!(key(&stage, &["--all"]).ok().lines().count() == 1);
}

#[test]
fn snapshots_are_sealed_with_the_new_key() {
    let stage = Stage::new();
    first_start(&stage);
    let folder = stage.data.join("snapshots");
    fs::create_dir_all(&folder).unwrap();
    let log = SqliteLog::attach(&stage.data).unwrap();
    let workspace = stage.workspace.parse().unwrap();
    assert_eq!(log.head(workspace).unwrap(), Some(Revision(EVENTS)));
    let snapshot = snapshot_of_log(&stage);
    drop(log);
    let file = folder.join(format!("{}.snapshot", stage.workspace));
    fs::write(&file, &snapshot).unwrap();
    rotate(&stage);
    let sealed = fs::read(&file).unwrap();
    let len = snapshot.len() - 32;
    assert_eq!(sealed[..len], snapshot[..len]);
    assert_ne!(sealed[len..], snapshot[len..]);
    assert!(stage.verify_data().ok().contains("its snapshot is what the log comes to"));
}
