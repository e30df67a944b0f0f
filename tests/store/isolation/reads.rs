//! Reading: unread answers, bodies that are made to be hard to read, and what-ifs.

use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::program::{Program, question, status};

/// The most further memory of the program under attack, in MiB.
const GROWTH_MAX: f64 = 300.0;
const EXPLAINED: &str = "POST /v1/workspaces/umbrella/access/v1/evaluations?explain=true";

/// A program whose workspace `umbrella` is attacked, and its neighbour `acme`.
struct Stage {
    program: Program,
    neighbour: String,
    owner: String,
    /// A plain member of `umbrella`.
    bob: String,
    before: f64,
}

/// A guard that tells the neighbours that the attack is over, also if it panics.
struct EndOfAttack<'a>(&'a AtomicBool);

impl Drop for EndOfAttack<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Stage {
    fn new() -> Self {
        let program = Program::start(&[]);
        let (neighbour, owner) = (program.workspace("acme"), program.workspace("umbrella"));
        let bob = program.member("umbrella", &owner, "bob");
        let environment = json!({"name": "prod", "restricted": true});
        for (workspace, owner) in [("acme", &neighbour), ("umbrella", &owner)] {
            program.done("POST", &format!("/v1/workspaces/{workspace}/environments"), owner, &environment);
        }
        let before = program.mib("VmRSS");
        Self { program, neighbour, owner, bob, before }
    }

    /// Measures from now on.
    fn begin(&mut self) {
        self.before = self.program.mib("VmRSS");
    }

    /// Each kind of question that neighbours ask, and a change, are answered.
    fn neighbours_are_answered(&self) {
        let (program, neighbour) = (&self.program, &self.neighbour);
        let access = "/v1/workspaces/acme/access/v1";
        let one = question("alice", "prod");
        assert_eq!(program.done("POST", &format!("{access}/evaluation"), neighbour, &one)["decision"], true);
        let batch = json!({"evaluations": vec![one; 200]});
        let answers = program.done("POST", &format!("{access}/evaluations?explain=true"), neighbour, &batch);
        assert_eq!(answers["evaluations"].as_array().unwrap().len(), 200);
        program.done("GET", "/v1/workspaces/acme/audit/access", neighbour, &Value::Null);
        program.done("PUT", "/v1/workspaces/acme/rbac", neighbour, &json!({"enabled": true}));
        assert_eq!(program.call("GET", "/healthz", neighbour, &Value::Null).0, 200);
    }

    /// Neighbours are answered for as long as the attack goes on, and after it, and memory has stayed within its bound.
    fn withstands<T>(&self, attack: impl FnOnce() -> T) -> T {
        let over = AtomicBool::new(false);
        let result = std::thread::scope(|scope| {
            let neighbours = scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    self.neighbours_are_answered();
                }
            });
            let end = EndOfAttack(&over);
            let result = attack();
            drop(end);
            neighbours.join().unwrap();
            result
        });
        self.neighbours_are_answered();
        let grown = self.program.mib("VmHWM") - self.before;
        assert!(grown < GROWTH_MAX, "it took {grown:.0} MiB more");
        result
    }

    /// The statuses of many requests at a time, none of whose answers is read further than that.
    fn unread(&self, count: usize, request: &str, body: &[u8]) -> (Vec<TcpStream>, Vec<Option<u16>>) {
        let (mut streams, mut statuses) = (Vec::new(), Vec::new());
        for some in (0..count).collect::<Vec<_>>().chunks(32) {
            let mut asked: Vec<TcpStream> =
                some.iter().map(|_| self.program.send_unread(&self.bob, request, body)).collect();
            statuses.extend(asked.iter_mut().map(status));
            streams.append(&mut asked);
        }
        (streams, statuses)
    }
}

#[test]
fn two_hundred_unread_answers_to_explained_batches_take_a_bounded_memory() {
    let stage = Stage::new();
    let body = json!({"evaluations": vec![question("bob", "prod"); 10_000]}).to_string();
    let streams = stage.withstands(|| {
        let (streams, statuses) = stage.unread(200, EXPLAINED, body.as_bytes());
        assert_eq!(statuses[0], Some(200));
        assert!(statuses.iter().all(|status| matches!(status, Some(200 | 429))), "{statuses:?}");
        assert!(statuses.contains(&Some(429)), "some are refused");
        streams
    });
    let one = question("bob", "prod");
    let evaluation = "/v1/workspaces/umbrella/access/v1/evaluation";
    stage.program.done("POST", evaluation, &stage.bob, &one);
    stage.program.done("POST", evaluation, &stage.owner, &one);
    drop(streams);
}

/// A body of about 2 MB that is a list of one item, again and again.
fn list_of(before: &str, item: &str, after: &str) -> Vec<u8> {
    let count = 2_000_000 / (item.len() + 1);
    format!("{before}{}{item}{after}", format!("{item},").repeat(count)).into_bytes()
}

#[test]
fn bodies_that_are_made_to_be_hard_to_read_take_a_bounded_memory() {
    let stage = Stage::new();
    let names = (0..9_000).map(|number| format!(r#""{number}":{{}}"#)).collect::<Vec<_>>().join(",");
    let attacks = [
        ("access/v1/evaluations", list_of(r#"{"evaluations":["#, "0", "]}")),
        ("access/v1/evaluations", list_of(r#"{"evaluations":["#, "{}", "]}")),
        (
            "access/v1/evaluations",
            list_of(r#"{"evaluations":["#, &format!(r#"{{"subject":"{}"}}"#, "x".repeat(190)), "]}"),
        ),
        ("access/v1/evaluations", list_of(r#"{"evaluations":[{"\u0061":["#, "[[[]]]", "]}]}")),
        (
            "access/v1/evaluations",
            list_of(r#"{"evaluations":[{"subject":{"properties":{"environment":["#, "0", "]}}}]}"),
        ),
        ("access/v1/evaluations", format!(r#"{{"\u0061":{{{names}}}}}"#).into_bytes()),
        (
            "access/v1/evaluation",
            list_of(r#"{"resource":{"type":"app","id":"x","properties":{"environment":["#, "{}", "]}}}"),
        ),
        (
            "access/v1/search/resource",
            list_of(r#"{"resource":{"type":"app","properties":{"environment":["#, "0", "]}}}"),
        ),
        ("commands", list_of(r#"{"commands":["#, "0", "]}")),
        ("commands", list_of(r#"{"commands":[{"type":"rbac.enable","x":["#, "{}", "]}]}")),
        ("environments", list_of(r#"{"name":"x","grants":["#, r#"{"a":0}"#, "]}")),
    ];
    stage.withstands(|| {
        for (path, body) in &attacks {
            let request = format!("POST /v1/workspaces/umbrella/{path}");
            let (_, statuses) = stage.unread(16, &request, body);
            let refused = |status: &Option<u16>| matches!(status, Some(200 | 400 | 403 | 422 | 429) | None);
            assert!(statuses.iter().all(refused), "{path}: {statuses:?}");
            assert!(statuses.iter().any(Option::is_some), "{path}");
        }
    });
}

#[test]
fn twelve_what_ifs_that_touch_everyone_everywhere_take_a_bounded_memory() {
    let mut stage = Stage::new();
    let add = |number: usize| json!({"type": "member.add", "user": format!("u{number}"), "role": "member"});
    let make = |number: usize| json!({"type": "environment.create", "name": format!("e{number}"), "restricted": true});
    stage.program.commands("umbrella", &stage.owner, &(0..400).map(add).collect::<Vec<_>>());
    stage.program.commands("umbrella", &stage.owner, &(0..100).map(make).collect::<Vec<_>>());
    let remove = |number: usize| json!({"type": "member.remove", "user": format!("u{number}")});
    let disable = json!({"commands": [{"type": "rbac.disable"}]});
    let remove = json!({"commands": (0..400).map(remove).collect::<Vec<_>>()});
    stage.begin();
    stage.withstands(|| {
        std::thread::scope(|scope| {
            for number in 0..12 {
                let (stage, body) = (&stage, if number % 3 == 2 { &remove } else { &disable });
                scope.spawn(move || {
                    let what_if = "/v1/workspaces/umbrella/audit/what-if";
                    let (status, answer) = stage.program.call("POST", what_if, &stage.owner, body);
                    assert!([200, 429].contains(&status), "{answer}");
                    assert!(status != 200 || answer["changes_total"].as_u64() > Some(10_000), "{answer}");
                });
            }
        });
    });
}

#[test]
fn unread_lists_and_streams_of_the_audit_take_a_bounded_memory() {
    let mut stage = Stage::new();
    let add = |number: usize| json!({"type": "service_user.create", "name": format!("s{number}")});
    for number in 0..3 {
        let some: Vec<Value> = (number * 1_000..(number + 1) * 1_000).map(add).collect();
        stage.program.commands("umbrella", &stage.owner, &some);
    }
    // A reader of the audit is an administrator; this one attacks like any other.
    stage.bob.clone_from(&stage.owner);
    stage.begin();
    let streams = stage.withstands(|| {
        let mut all = Vec::new();
        for path in ["events?limit=1000", "audit/access?limit=1000", "tokens?limit=1000", "service-users?limit=1000"] {
            let request = format!("GET /v1/workspaces/umbrella/{path}");
            let (mut streams, statuses) = stage.unread(96, &request, b"");
            assert!(statuses.iter().all(|status| matches!(status, Some(200 | 429))), "{path}: {statuses:?}");
            all.append(&mut streams);
        }
        all
    });
    drop(streams);
}
