//! The server is killed while it writes: what it acknowledged is there, once, and the log is whole.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use serde_json::{Value, json};
use tenure::domain::model::event::EventData;
use tenure::domain::model::id::WorkspaceId;
use tenure::domain::model::time::Revision;
use tenure::log::published::StoredLog;
use tenure::log::sqlite::SqliteLog;
use tenure::log::verify::Verifier;
use tenure::log::{Directories, EventLog};
use tenure::proof::checkpoint::Signer;
use tenure::proof::note::{LogKey, Origin};
use tenure::service::replay;

use crate::support::verify::verify;

const KILLS: usize = 20;
const WRITERS: usize = 64;
/// The fewest acknowledgements before the kill; a few more each round.
const ACKNOWLEDGED_MIN: usize = 100;
const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// A server process; killed when dropped.
struct Process {
    child: Child,
    url: String,
}

impl Process {
    fn start(folder: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tenure"))
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(folder)
            .env("TENURE_OPERATOR_SECRET", SECRET)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().rsplit(' ').next().unwrap().to_owned();
        assert!(url.starts_with("http://127.0.0.1:"), "{line}");
        Self { child, url }
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).build().into()
}

/// Posts with an idempotency key; none if no answer came.
fn post(agent: &ureq::Agent, url: &str, key: &str, body: &Value) -> Option<(u16, Value)> {
    let request = agent.post(url).header("authorization", format!("Bearer operator.{SECRET}"));
    let mut answer = request.header("idempotency-key", key).send_json(body).ok()?;
    Some((answer.status().as_u16(), answer.body_mut().read_json().ok()?))
}

/// A change that one writer asks for, under a key of its own: three events, all of them or none.
fn change(user: &str) -> Value {
    let member = json!({"type": "member.add", "user": user, "role": "member"});
    json!({"commands": [member, {"type": "service_user.create", "name": format!("bot-of-{user}")}]})
}

/// The shared state of the writers.
#[derive(Default)]
struct Known {
    acknowledged: Mutex<BTreeSet<String>>,
    more: Condvar,
    unanswered: Mutex<BTreeSet<String>>,
    next: AtomicUsize,
}

/// One writer: sends changes until the server is gone; first those that got no answer before, again.
fn write(url: &str, known: &Known) {
    let agent = agent();
    loop {
        let again = known.unanswered.lock().unwrap().pop_first();
        let user = again.unwrap_or_else(|| format!("u{}", known.next.fetch_add(1, Ordering::Relaxed)));
        match post(&agent, &format!("{url}/v1/workspaces/acme/commands"), &format!("add {user}"), &change(&user)) {
            Some((200, _)) => {
                known.acknowledged.lock().unwrap().insert(user);
                known.more.notify_all();
            }
            Some((503, _)) | None => {
                known.unanswered.lock().unwrap().insert(user);
                return;
            }
            Some(other) => panic!("{user}: {other:?}"),
        }
    }
}

/// Lets all writers write until enough is acknowledged, then kills the server under them.
fn round(folder: &Path, known: &Arc<Known>, round: usize) {
    let process = Process::start(folder);
    let before = known.acknowledged.lock().unwrap().len();
    let writers: Vec<_> = (0..WRITERS)
        .map(|_| {
            let (known, url) = (Arc::clone(known), process.url.clone());
            std::thread::spawn(move || write(&url, &known))
        })
        .collect();
    let wanted = before + ACKNOWLEDGED_MIN + round * 7;
    let acknowledged = known.acknowledged.lock().unwrap();
    drop(known.more.wait_while(acknowledged, |acknowledged| acknowledged.len() < wanted).unwrap());
    process.kill();
    for writer in writers {
        writer.join().unwrap();
    }
}

/// Returns the users that the log added, each once and with its service user. Checks that the log and its tree are whole.
fn added(folder: &Path) -> BTreeSet<String> {
    let log = SqliteLog::open(folder).unwrap();
    let id = log.workspace_named("acme").unwrap().unwrap();
    let stored = log.read(id, Revision::ZERO, usize::MAX >> 1).unwrap();
    verify(&stored.iter().map(|event| event.bytes.clone()).collect::<Vec<_>>()).unwrap();
    let workspace = replay(&log, id).unwrap().unwrap();
    let (mut added, mut service_users) = (BTreeSet::new(), BTreeSet::new());
    for event in workspace.events(Revision::ZERO, workspace.head()) {
        match &event.data {
            EventData::MemberAdded(user, _) => assert!(added.insert(user.to_string()), "{user} was added twice"),
            EventData::ServiceUserCreated(_, made) => {
                assert!(service_users.insert(made.name.to_string()), "{}", made.name);
            }
            _ => {}
        }
    }
    let changed = added.iter().filter(|user| *user != "alice").map(|user| format!("bot-of-{user}"));
    assert_eq!(changed.collect::<BTreeSet<_>>(), service_users, "half a change");
    verify_tree(&log, id);
    added
}

/// Verifies the log as an auditor would.
fn verify_tree(log: &SqliteLog, id: WorkspaceId) {
    let signer = Signer { key: LogKey::from_seed(&[7; 32]), instance: Origin::default() };
    let key = signer.verifier(id);
    let stored = StoredLog::of(log, id, &signer).unwrap().unwrap();
    Verifier::new(&key, None).unwrap().verify(&stored, &mut |_| Ok(()), &|_, _| {}).unwrap();
}

#[test]
fn acknowledged_changes_survive_a_kill_once_in_a_whole_log() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let workspace = json!({"name": "acme", "kind": "shared", "plan": "team", "owner": {"user": "alice"}});
    let made = post(&agent(), &format!("{}/v1/workspaces", process.url), "make", &workspace);
    assert_eq!(made.unwrap().0, 201);
    process.kill();
    let known = Arc::new(Known::default());
    for kill in 0..KILLS {
        round(folder.path(), &known, kill);
        let added = added(folder.path());
        let lost: Vec<_> = known.acknowledged.lock().unwrap().difference(&added).cloned().collect();
        assert!(lost.is_empty(), "kill {kill}: acknowledged and lost: {lost:?}");
    }
    let served = served(folder.path());
    assert_eq!(served, added(folder.path()), "replaying gives another state than the server serves");
}

/// Returns the members of the served state.
fn served(folder: &Path) -> BTreeSet<String> {
    let process = Process::start(folder);
    let (agent, mut cursor, mut members) = (agent(), String::new(), BTreeSet::new());
    loop {
        let url = format!("{}/v1/workspaces/acme/members?limit=1000{cursor}", process.url);
        let request = agent.get(url).header("authorization", format!("Bearer operator.{SECRET}"));
        let page: Value = request.call().unwrap().body_mut().read_json().unwrap();
        members
            .extend(page["items"].as_array().unwrap().iter().map(|member| member["user"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    process.kill();
    members
}
