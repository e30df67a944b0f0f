//! A log of some hundred events, with an auditor's key and checkpoint.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::support::program::{RunOutput, Running, program, run};

/// The number of events in the log: two full bundles and a part of a third.
pub(crate) const EVENTS: u64 = 600;
/// The seed of the signing key.
const LOG_KEY: &str = "4242424242424242424242424242424242424242424242424242424242424242";

/// A data folder with a log and its verifier key.
pub(crate) struct Stage {
    pub(crate) folder: TempDir,
    pub(crate) data: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) workspace: String,
}

impl Stage {
    /// Creates a log of [`EVENTS`] events: four for the workspace, the others for new members.
    pub(crate) fn new() -> Self {
        Self::of(&history_of(EVENTS - 4))
    }

    /// Creates the log of a recorded history.
    pub(crate) fn of(recorded: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let history = folder.path().join("history.jsonl");
        fs::write(&history, recorded).unwrap();
        fs::create_dir(&data).unwrap();
        fs::write(data.join("log.key"), LOG_KEY).unwrap();
        run(program().args(["import", "--data"]).arg(&data).arg(&history)).ok();
        let vkey = run(program().args(["key", "--data"]).arg(&data)).ok();
        let workspace = vkey.split(['/', '+']).nth(2).unwrap().to_owned();
        let key = folder.path().join("key.vkey");
        fs::write(&key, vkey).unwrap();
        Self { folder, data, key, workspace }
    }

    /// Exports the log.
    pub(crate) fn export(&self, name: &str) -> PathBuf {
        let out = self.folder.path().join(name);
        run(program().args(["export", "--data"]).arg(&self.data).arg("--out").arg(&out)).ok();
        out
    }

    pub(crate) fn verify(&self, folder: &Path) -> RunOutput {
        run(program().arg("verify").arg(folder).arg("--key").arg(&self.key))
    }

    pub(crate) fn verify_since(&self, folder: &Path, kept: &Path) -> RunOutput {
        run(program().arg("verify").arg(folder).arg("--key").arg(&self.key).arg("--since").arg(kept))
    }

    pub(crate) fn verify_data(&self) -> RunOutput {
        run(program().args(["verify", "--data"]).arg(&self.data).arg("--key").arg(&self.key))
    }

    /// Copies everything; no server may have the data folder open.
    pub(crate) fn copy(&self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        fs::create_dir(&data).unwrap();
        for name in ["tenure.db", "tenure.db-wal", "log.key"] {
            if self.data.join(name).exists() {
                fs::copy(self.data.join(name), data.join(name)).unwrap();
            }
        }
        let key = folder.path().join("key.vkey");
        fs::copy(&self.key, &key).unwrap();
        Self { folder, data, key, workspace: self.workspace.clone() }
    }
}

fn history_of(members: u64) -> String {
    let mut lines = "{\"time\":\"2024-01-01T00:00:00Z\",\"actor\":\"operator\",\"workspace\":{\"name\":\"acme\",\
                     \"kind\":\"shared\",\"plan\":\"enterprise\",\"owner\":{\"user\":\"alice\"}},\"commands\":[]}\n"
        .to_owned();
    for member in 0..members {
        let (hour, minute) = (member / 60, member % 60);
        writeln!(
            lines,
            "{{\"time\":\"2024-01-02T{hour:02}:{minute:02}:00Z\",\"actor\":\"user:alice\",\"commands\":[{{\"type\":\"member.add\",\
             \"user\":\"member-{member:04}\",\"role\":\"member\"}}]}}"
        )
        .unwrap();
    }
    lines
}

/// Checks that the damage was found, with these words.
#[track_caller]
pub(crate) fn assert_found(said: &RunOutput, words: &[&str]) {
    assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{}", said.err);
    assert!(said.err.starts_with("not verified: "), "{}", said.err);
    for word in words {
        assert!(said.err.contains(word), "`{word}` is not in: {}", said.err);
    }
}

/// A server of the stage's data folder.
pub(crate) struct Served {
    running: Option<Running>,
    pub(crate) url: String,
    operator: String,
}

impl Served {
    pub(crate) fn on(stage: &Stage) -> Self {
        let mut running =
            Running::start(program().args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(&stage.data));
        let first = running.lines.next().unwrap().unwrap();
        let url = first.strip_prefix("listening on ").unwrap().to_owned();
        let operator = fs::read_to_string(stage.data.join("operator.secret")).unwrap().trim().to_owned();
        Self { running: Some(running), url, operator }
    }

    /// Returns the program with the operator's credential.
    pub(crate) fn program(&self) -> Command {
        let mut command = program();
        command.env("TENURE_TOKEN_ID", "operator").env("TENURE_TOKEN_SECRET", &self.operator);
        command.env("TENURE_URL", &self.url);
        command
    }

    pub(crate) fn add_member(&self, user: &str) {
        run(self.program().args(["member", "add", user])).ok();
    }

    /// Verifies the served log.
    pub(crate) fn verify(&self, stage: &Stage) -> RunOutput {
        run(self.program().args(["verify", &self.url, "--key"]).arg(&stage.key))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let code = self.running.take().and_then(Running::stop);
        assert!(std::thread::panicking() || code == Some(0), "it stopped with {code:?}");
    }
}
