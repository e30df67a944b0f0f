//! Evidence for "who had contributor on X during March 2024", verified with only the folder and the verifier key.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use tenure::log::published::files_of;

use super::stage::{Served, Stage, assert_found};
use crate::support::program::{RunOutput, program, run};

/// Returns a year of a workspace in which the environment `x` had contributors in March 2024.
fn history() -> String {
    let line = |time: &str, commands: &str| {
        format!("{{\"time\":\"{time}\",\"actor\":\"user:alice\",\"reason\":\"a ticket\",\"commands\":[{commands}]}}\n")
    };
    let grant = |user: &str, role: &str| {
        format!("{{\"type\":\"grant.set\",\"environment\":\"x\",\"principal\":\"user:{user}\",\"role\":\"{role}\"}}")
    };
    [
        "{\"time\":\"2024-01-01T00:00:00Z\",\"actor\":\"operator\",\"workspace\":{\"name\":\"acme\",\"kind\":\"shared\",\
         \"plan\":\"enterprise\",\"owner\":{\"user\":\"alice\"}},\"commands\":[{\"type\":\"rbac.enable\"}]}\n"
            .to_owned(),
        line("2024-01-02T00:00:00Z", "{\"type\":\"environment.create\",\"name\":\"x\"}"),
        line("2024-01-03T00:00:00Z", "{\"type\":\"environment.restrict\",\"environment\":\"x\",\"default_role\":\"viewer\"}"),
        line("2024-01-04T00:00:00Z", "{\"type\":\"member.add\",\"user\":\"bob\",\"role\":\"member\"}"),
        line("2024-01-05T00:00:00Z", "{\"type\":\"member.add\",\"user\":\"cleo\",\"role\":\"member\"}"),
        line("2024-02-20T00:00:00Z", &grant("bob", "contributor")),
        line("2024-03-10T00:00:00Z", &grant("cleo", "contributor")),
        line("2024-03-15T00:00:00Z", &grant("bob", "viewer")),
        line("2024-06-01T00:00:00Z", "{\"type\":\"member.add\",\"user\":\"dan\",\"role\":\"member\"}"),
    ]
    .concat()
}

/// Evidence and the key, which came separately, without the server.
struct Home {
    folder: TempDir,
    key: PathBuf,
}

impl Home {
    /// Takes evidence from a server, which then stops.
    fn new(with_log: bool) -> Self {
        Self::asking(with_log, "who x --role contributor --from 2024-03-01 --until 2024-04-01")
    }

    fn asking(with_log: bool, question: &str) -> Self {
        Self::of(&history(), with_log, question)
    }

    /// Takes evidence about a recorded history.
    fn of(history: &str, with_log: bool, question: &str) -> Self {
        let stage = Stage::of(history);
        let home = Self { folder: tempfile::tempdir().unwrap(), key: stage.folder.path().join("key.vkey") };
        let served = Served::on(&stage);
        let said = run(served
            .program()
            .args(["evidence", "--out"])
            .arg(home.evidence())
            .arg("--key")
            .arg(&stage.key)
            .args(with_log.then_some("--with-log").into_iter().chain(question.split(' '))));
        let said = said.ok();
        assert!(said.contains("events with their proofs"), "{said}");
        let key = home.folder.path().join("key.vkey");
        fs::copy(&home.key, &key).unwrap();
        Self { key, ..home }
    }

    fn evidence(&self) -> PathBuf {
        self.folder.path().join("march")
    }

    fn verify(&self) -> RunOutput {
        self.verify_with(&[])
    }

    fn verify_with(&self, args: &[&str]) -> RunOutput {
        run(program().arg("verify").arg(self.evidence()).arg("--key").arg(&self.key).args(args))
    }

    /// Replaces a text in a file, seals the folder again, checks that the change is found, and undoes it.
    fn alter(&self, file: &str, from: &str, to: &str, words: &[&str]) {
        let path = self.evidence().join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file}: {text}");
        fs::write(&path, text.replacen(from, to, 1)).unwrap();
        seal(&self.evidence());
        assert_found(&self.verify(), words);
        fs::write(&path, text).unwrap();
        seal(&self.evidence());
        self.verify().ok();
    }

    fn files(&self) -> Vec<String> {
        files_of(&self.evidence()).unwrap()
    }
}

#[test]
fn evidence_is_verified_with_the_folder_and_the_key_alone_and_derived_again_from_its_log() {
    let home = Home::new(true);
    let said = home.verify().ok();
    assert!(said.contains("derived: the log gives this answer, byte for byte"), "{said}");
    let csv = fs::read_to_string(home.evidence().join("answer.csv")).unwrap();
    let held: Vec<&str> = csv.lines().skip(1).filter(|line| line.contains(",contributor,grant,")).collect();
    assert!(held.len() == 2 && held[0].contains("user:bob") && held[1].contains("user:cleo"), "{csv}");
    for file in ["SHA256SUMS", "answer.json", "checkpoint", "key", "question.json", "log/tile/0/000.p/13"] {
        assert!(home.evidence().join(file).is_file(), "{file} is not in {:?}", home.files());
    }
    let sums =
        Command::new("sha256sum").args(["--check", "--quiet", "SHA256SUMS"]).current_dir(home.evidence()).status();
    assert!(sums.unwrap().success(), "the manifest is that of `sha256sum`");
}

#[test]
fn evidence_without_the_log_names_the_limits_of_its_proof() {
    let home = Home::new(false);
    assert!(!home.evidence().join("log").exists());
    let said = home.verify().ok();
    assert!(said.contains("not known, for the log is not in it: whether rows are missing"), "{said}");
    assert!(said.starts_with("question: audit/tenures environment=x from=2024-03-01"), "{said}");
    assert_found(&home.verify_with(&["--require-log"]), &["there is no folder `log`"]);
}

#[test]
fn a_changed_byte_in_any_file_is_found() {
    for home in [Home::new(true), Home::new(false)] {
        for file in home.files() {
            let path = home.evidence().join(&file);
            let bytes = fs::read(&path).unwrap();
            for place in [0, bytes.len() / 2, bytes.len() - 1] {
                let mut changed = bytes.clone();
                changed[place] ^= 1;
                fs::write(&path, changed).unwrap();
                assert_eq!(home.verify().code, Some(1), "byte {place} of {file}");
            }
            fs::write(&path, &bytes).unwrap();
        }
        home.verify().ok();
    }
}

/// Writes the manifest again, as a careful forger would.
fn seal(evidence: &Path) {
    let sums = Command::new("sh")
        .args([
            "-c",
            "LC_ALL=C; export LC_ALL; find . -type f ! -name SHA256SUMS | sed 's|^\\./||' | sort | xargs sha256sum",
        ])
        .current_dir(evidence)
        .output()
        .unwrap();
    fs::write(evidence.join("SHA256SUMS"), sums.stdout).unwrap();
}

#[test]
fn a_change_under_a_new_manifest_is_found() {
    let home = Home::new(true);
    let alter = |file: &str, from: &str, to: &str, words: &[&str]| home.alter(file, from, to, words);
    alter("answer.csv", "user:bob", "user:eve", &["the log gives another answer"]);
    alter("answer.json", "\"role\": \"contributor\"", "\"role\": \"viewer\"", &["the log gives another answer"]);
    alter("answer.json", "a ticket", "a pretext", &["the answer tells of revision"]);
    alter("question.json", "2024-03-01", "2024-03-02", &["the log gives another answer"]);
    alter("question.json", "audit/tenures", "environments", &["no question that this version of tenure knows"]);
    let event =
        home.files().into_iter().find(|file| file.starts_with("events/") && !file.contains("tlog-proof")).unwrap();
    alter(&event, "alice", "malory", &["does not prove the entry"]);
    alter("checkpoint", "\n13\n", "\n12\n", &["forged"]);
    for parameter in ["cursor", "limit", "at", "format"] {
        let more = format!("\"{parameter}\": \"1\",\n    \"environment\"");
        alter("question.json", "\"environment\"", &more, &["no question that this version of tenure knows"]);
    }
}

#[test]
fn without_the_log_an_answer_must_still_agree_with_its_events() {
    let home = Home::new(false);
    let alter = |from: &str, to: &str, words: &[&str]| home.alter("answer.json", from, to, words);
    alter("\"actor\": \"user:alice\"", "\"actor\": \"user:eve\"", &["the answer tells of revision"]);
    alter("\"event\": ", "\"approved_by\": \"the board\",\n\"event\": ", &["the answer tells of revision"]);
    alter("\"event\": ", "\"event\": \"evt_1\",\n\"event\": ", &["is no answer"]);
    alter("\"items\": [", "\"items\": [{\"event\": \"evt_1\", \"revision\": \"7\"},", &["is no answer"]);
    alter("\"items\": [", "\"rows\": [", &["a part of one"]);
    alter("\"revision\": 13", "\"revision\": 12", &["is not of the view"]);
    home.alter("question.json", "\"revision\": 13", "\"revision\": 99", &["the checkpoint covers 13 only"]);
}

/// Bob was a contributor until 2024-03-15. Evidence of the revision before that, as of a later instant, would hide the end.
#[test]
fn evidence_that_leaves_out_an_event_before_its_instant_is_refused() {
    for with_log in [true, false] {
        let home = Home::asking(with_log, "who x --at 2024-03-12");
        assert!(!home.verify().ok().contains("event after its revision"));
        let (at, later) = ("2024-03-12T00:00:00.000000Z", "2024-03-15T00:00:00.000000Z");
        let forge = |home: &Home| {
            for file in ["question.json", "answer.json"] {
                let path = home.evidence().join(file);
                let text = fs::read_to_string(&path).unwrap();
                assert!(text.contains(at), "{text}");
                fs::write(&path, text.replace(at, later)).unwrap();
            }
            seal(&home.evidence());
        };
        let next = home.files().into_iter().filter(|file| file.starts_with("events/")).max().unwrap();
        forge(&home);
        assert_found(&home.verify(), &["revision 12 happened at `2024-03-15", "ask without a revision"]);
        // Without that event and without the log it cannot be found, and the output says so.
        for file in [next.clone(), next.replace(".tlog-proof", ".json")] {
            fs::remove_file(home.evidence().join(file)).unwrap();
        }
        seal(&home.evidence());
        if with_log {
            assert_found(&home.verify(), &["revision 12 happened at `2024-03-15"]);
        } else {
            assert!(home.verify().ok().contains("not known, for the event after its revision is not in it"));
        }
    }
}

#[test]
fn evidence_as_of_a_future_instant_is_neither_taken_nor_verified() {
    let home = Home::new(true);
    let question = fs::read_to_string(home.evidence().join("question.json")).unwrap();
    let at = question.split("\"at\": \"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    home.alter("question.json", &at, "2999-01-01T00:00:00.000000Z", &["in the future", "2999"]);
    let stage = Stage::of(&history());
    let served = Served::on(&stage);
    let out = stage.folder.path().join("future");
    let evidence = ["evidence", "who", "x", "--at", "2999-01-01", "--out"];
    let said = run(served.program().args(evidence).arg(&out).arg("--key").arg(&stage.key));
    assert!(said.code != Some(0) && !out.exists(), "{}", said.out);
}

#[test]
fn a_stray_file_in_evidence_is_found() {
    let home = Home::new(true);
    let before = home.files();
    for stray in ["CONCLUSION.txt", "events/00000099.json", "log/NOTE", "log/tile/0/001.p/3"] {
        let path = home.evidence().join(stray);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "nobody did anything").unwrap();
        assert_found(&home.verify(), &["SHA256SUMS", stray, "was changed, added or taken out"]);
        seal(&home.evidence());
        assert_found(&home.verify(), &[stray.trim_start_matches("log/")]);
        fs::remove_file(path).unwrap();
        seal(&home.evidence());
    }
    for (file, kind) in [("answer.csv", "mkfifo"), ("log/tile/0/000.p/13", "mkdir"), ("checkpoint", "mkfifo")] {
        let path = home.evidence().join(file);
        let bytes = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert!(Command::new(kind).arg(&path).status().unwrap().success());
        assert_eq!(home.verify().code, Some(1), "{kind} {file}");
        Command::new("rm").arg("-r").arg(&path).status().unwrap();
        fs::write(path, bytes).unwrap();
    }
    seal(&home.evidence());
    home.verify_with(&["--require-log"]).ok();
    assert_eq!(home.files(), before);
}

#[test]
fn files_of_operating_systems_in_evidence_are_named_and_ignored() {
    for home in [Home::new(true), Home::new(false)] {
        let before = home.verify().ok();
        fs::create_dir(home.evidence().join("__MACOSX")).unwrap();
        for left in [".DS_Store", "events/._00000001.json", "__MACOSX/._SHA256SUMS", "desktop.ini", "events/Thumbs.db"]
        {
            fs::write(home.evidence().join(left), "left").unwrap();
        }
        let said = home.verify().ok();
        let named = "ignored, for operating systems leave such files: `.DS_Store`, `__MACOSX/`, `desktop.ini`";
        assert!(said.contains(named), "{said}");
        assert!(before.lines().all(|line| said.lines().any(|again| again == line)), "{said}");
        fs::write(home.evidence().join("events/DS_Store"), "stray").unwrap();
        assert_found(&home.verify(), &["events/DS_Store", "was changed, added or taken out"]);
    }
}

#[test]
fn a_secret_in_place_of_a_key_is_not_printed() {
    let home = Home::new(false);
    let secret = home.folder.path().join("log.key");
    fs::write(&secret, "42".repeat(32)).unwrap();
    let said = run(program().arg("verify").arg(home.evidence()).arg("--key").arg(&secret));
    assert_eq!(said.code, Some(2), "{}", said.err);
    assert!(said.err.contains("there is no verifier key in that file"), "{}", said.err);
    assert!(!said.err.contains("4242"), "{}", said.err);
}

#[test]
fn a_folder_without_a_log_or_evidence_is_a_usage_error() {
    let stage = Stage::of(&history());
    let empty = tempfile::tempdir().unwrap();
    for (folder, words) in [(empty.path(), "neither a log nor evidence"), (stage.data.as_path(), "say `--data")] {
        let said = stage.verify(folder);
        assert_eq!(said.code, Some(2), "{}", said.err);
        assert!(said.err.contains(words), "{}", said.err);
    }
}

#[test]
fn a_served_log_is_verified_as_a_folder_is() {
    let stage = Stage::new();
    {
        let served = Served::on(&stage);
        assert!(served.verify(&stage).ok().contains("600 events"));
        served.add_member("one-more");
        assert!(served.verify(&stage).ok().contains("601 events"));
        let said = run(served.program().args(["verify", &served.url, "--key"]).arg(Stage::new().key));
        assert_found(&said, &["is missing"]);
    }
    super::store::alter(
        &stage,
        "UPDATE events SET event = CAST(replace(event, 'member-0295', 'member-9295') AS BLOB) WHERE revision = 300",
    );
    // A damaged log is not served, not even for verification.
    let said = Served::on(&stage).verify(&stage);
    assert_eq!(said.code, Some(2), "{}", said.err);
    assert!(said.err.contains("revision 300") && said.err.contains("the hash of its bytes is"), "{}", said.err);
}

#[test]
fn a_long_reason_is_proved_by_the_event_that_has_it_and_by_no_other() {
    let reason = "a ticket with a long text; ".repeat(36);
    let members: Vec<_> =
        (0..12).map(|n| format!("{{\"type\":\"member.add\",\"user\":\"u{n}\",\"role\":\"member\"}}")).collect();
    let line = format!(
        "{{\"time\":\"2024-07-01T00:00:00Z\",\"actor\":\"user:alice\",\"reason\":\"{}\",\"commands\":[{}]}}\n",
        reason.trim(),
        members.join(",")
    );
    let home = Home::of(&(history() + &line), true, "who x --at 2024-08-01");
    let answer = fs::read_to_string(home.evidence().join("answer.json")).unwrap();
    assert_eq!(answer.matches(reason.trim()).count(), 12, "each of them shows it");
    assert!(answer.matches("\"reason_revision\"").count() >= 7, "most events do not have it");
    home.verify().ok();
    home.alter("answer.json", "a ticket with a long", "a ticket with a wrong", &["does not say"]);
    let first = answer.split("\"reason_revision\":").nth(1).unwrap().split([',', '}']).next().unwrap();
    let another = |revision: &str| (format!("\"reason_revision\":{first}"), format!("\"reason_revision\":{revision}"));
    let (from, to) = another("4");
    home.alter("answer.json", &from, &to, &["4"]);
}
