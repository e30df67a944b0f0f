//! Writing: batches that are refused, long reasons, and floods of the journal. The disk is measured by what a backup of the store takes.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::program::Program;

/// The most further memory of the program under attack, in MiB.
const GROWTH_MAX: f64 = 300.0;
const COMMANDS: &str = "/v1/workspaces/umbrella/commands";
/// The bytes that any request may write, and the bytes of one more page of each table.
const BYTES_FOR_ANY: u64 = 64 * 1_024;
const PAGES: u64 = 64 * 1_024;

/// A program whose workspace `umbrella` is attacked by a manager, and its neighbour `acme`.
struct Stage {
    program: Program,
    neighbour: String,
    owner: String,
    mallory: String,
}

impl Stage {
    fn new(arguments: &[&str]) -> Self {
        let program = Program::start(arguments);
        let (neighbour, owner) = (program.workspace("acme"), program.workspace("umbrella"));
        let mallory = program.member("umbrella", &owner, "mallory");
        program.done("PATCH", "/v1/workspaces/umbrella/members/mallory", &owner, &json!({"role": "manager"}));
        Self { program, neighbour, owner, mallory }
    }

    /// Returns the size of the compacted store, in bytes.
    fn stored(&self) -> u64 {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("copy.db");
        let mut backup = std::process::Command::new(env!("CARGO_BIN_EXE_tenure"));
        backup.args(["backup", "--data"]).arg(self.program.data()).arg("--out").arg(&out);
        assert!(backup.output().unwrap().status.success());
        std::fs::metadata(out).unwrap().len()
    }

    /// Changes and recorded questions of the neighbour and of another holder in the same workspace are done.
    fn neighbours_are_served(&self, number: usize) {
        for (workspace, credential) in [("acme", &self.neighbour), ("umbrella", &self.owner)] {
            let body = json!({"user": format!("n{number}"), "role": "member"});
            self.program.done("POST", &format!("/v1/workspaces/{workspace}/members"), credential, &body);
            self.program.done("GET", &format!("/v1/workspaces/{workspace}/audit/access"), credential, &Value::Null);
        }
    }

    /// Many requests of the attacker at a time, while neighbours are served; gives the statuses of the attack.
    fn flooded(&self, threads: usize, each: usize, attack: impl Fn(usize) -> u16 + Sync) -> BTreeSet<u16> {
        std::thread::scope(|scope| {
            let attack = &attack;
            let one = move |thread: usize| (0..each).map(|n| attack(thread * each + n)).collect::<BTreeSet<_>>();
            let threads: Vec<_> = (0..threads).map(|thread| scope.spawn(move || one(thread))).collect();
            let mut served = 0;
            while !threads.iter().all(std::thread::ScopedJoinHandle::is_finished) || served < 3 {
                self.neighbours_are_served(served);
                served += 1;
            }
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        })
    }
}

fn members(name: &str, count: usize) -> Vec<Value> {
    (0..count).map(|n| json!({"type": "member.add", "user": format!("{name}-{n}"), "role": "member"})).collect()
}

#[test]
fn batches_that_are_refused_at_many_connections_cost_their_sender_and_leave_nothing() {
    let stage = Stage::new(&[]);
    let (before, memory) = (stage.stored(), stage.program.mib("VmRSS"));
    let mut commands = members("m", 999);
    commands.push(json!({"type": "member.add", "user": "o", "role": "owner"}));
    let body = json!({"commands": commands});
    let statuses = stage.flooded(64, 2, |_| stage.program.call("POST", COMMANDS, &stage.mallory, &body).0);
    assert!(statuses.iter().all(|status| matches!(status, 409 | 429)), "{statuses:?}");
    assert!(statuses.contains(&429), "who asks for so much waits");
    let members = stage.program.call("GET", "/v1/workspaces/umbrella/members/m-0", &stage.owner, &Value::Null);
    assert_eq!(members.0, 404);
    assert!(stage.stored() - before < 1 << 20, "only what the neighbours did is there");
    let grown = stage.program.mib("VmHWM") - memory;
    assert!(grown < GROWTH_MAX, "it took {grown:.0} MiB more");
}

#[test]
fn a_large_request_with_a_long_reason_and_a_key_takes_no_more_of_the_disk_than_its_size_allows() {
    let stage = Stage::new(&[]);
    let reason = "%F0%9F%94%92".repeat(1_000);
    let requests = [
        (members("m", 1_000), reason.as_str()),
        (members("a-user-of-an-identity-provider", 1_000), "short"),
        ((0..400).map(|n| json!({"type": "service_user.create", "name": format!("a-service-user-{n}")})).collect(), ""),
        (
            (0..300).map(|n| json!({"type": "access_key.issue", "role": "auditor", "label": n.to_string()})).collect(),
            &reason,
        ),
    ];
    for (number, (commands, reason)) in requests.into_iter().enumerate() {
        let before = stage.stored();
        let path = format!("{COMMANDS}?reason={reason}");
        let body = json!({"commands": commands});
        let (status, answer) = stage.program.keyed(&path, &stage.mallory, &number.to_string(), &body);
        assert_eq!(status, 200, "{number}: {answer}");
        let size = u64::try_from(path.len() + body.to_string().len()).unwrap();
        let written = stage.stored() - before;
        assert!(written <= 20 * size + BYTES_FOR_ANY + PAGES, "{number}: {written} bytes for a request of {size}");
    }
}

#[test]
fn an_auditor_who_asks_without_end_writes_no_more_of_the_journal_than_the_rate_allows() {
    let stage = Stage::new(&["--read-rate", "10/100"]);
    let key = json!({"role": "auditor", "label": "x"});
    let made = stage.program.done("POST", "/v1/workspaces/umbrella/access-keys", &stage.owner, &key);
    let part = |name: &str| made["access_key"][name].as_str().unwrap().to_owned();
    let auditor = format!("{}.{}", part("id"), part("secret"));
    let question = format!("/v1/workspaces/umbrella/events?limit=1&after={}", "0".repeat(1_900));
    let statuses = stage.flooded(16, 30, |_| stage.program.call("GET", &question, &auditor, &Value::Null).0);
    assert_eq!(statuses, [200, 429].into());
}
