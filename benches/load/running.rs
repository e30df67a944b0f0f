//! The program under load: a process on a fresh folder, and a workspace in it.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::wrk::Load;

const OPERATOR_SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Returns the operator's credential.
pub fn operator() -> String {
    format!("operator.{OPERATOR_SECRET}")
}

/// A running program, killed on drop.
pub struct Program {
    pub url: String,
    child: Child,
    folder: TempDir,
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Program {
    /// Starts this build of the program with its default limits.
    pub fn by_default() -> Self {
        Self::started(Command::new(env!("CARGO_BIN_EXE_tenure")))
    }

    /// Starts this build of the program with limits high enough for one credential and one address to ask for
    /// everything measured.
    pub fn unlimited() -> Self {
        Self::of_build(env!("CARGO_BIN_EXE_tenure"))
    }

    /// Like [`Self::unlimited`], for this build or another one.
    pub fn of_build(path: &str) -> Self {
        let mut command = Command::new(path);
        // Builds without such limits ignore the variables.
        command.env("TENURE_CHANGE_RATE", "0").env("TENURE_READ_RATE", "0");
        command.env("TENURE_CONNECTIONS_PER_ADDRESS", "20000");
        Self::started(command)
    }

    fn started(mut command: Command) -> Self {
        let folder = tempfile::tempdir().unwrap();
        command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(folder.path().join("data"));
        // Logging stays at its default.
        let lines = std::fs::File::create(folder.path().join("lines")).unwrap();
        command.env("TENURE_OPERATOR_SECRET", OPERATOR_SECRET).env_remove("TENURE_LOG").stderr(lines);
        Self::start(command, folder)
    }

    pub fn bare() -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg("bare");
        Self::start(command, tempfile::tempdir().unwrap())
    }

    fn start(mut command: Command, folder: TempDir) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on ").expect("it says where it listens").to_owned();
        Self { url, child, folder }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns its resident memory, in MiB.
    pub fn resident_mib(&self) -> f64 {
        self.mib("VmRSS:")
    }

    /// Returns its peak resident memory, in MiB.
    pub fn most_resident_mib(&self) -> f64 {
        self.mib("VmHWM:")
    }

    fn mib(&self, name: &str) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim_end_matches("kB").trim().parse::<f64>().unwrap() / 1_024.0
    }
}

/// A workspace of 100 members and 21 environments, 20 of them restricted, with 400 grants.
pub struct Workspace {
    pub url: String,
    /// The owner's credential.
    pub owner: String,
    /// An instant before the newest changes.
    pub past: String,
}

const PATH: &str = "/v1/workspaces/acme";

impl Workspace {
    pub fn make(program: &Program) -> Self {
        let mut place = Self { url: program.url.clone(), owner: operator(), past: String::new() };
        let owner = json!({"name": "acme", "kind": "shared", "plan": "team", "owner": {"user": "alice"}});
        let made = place.send("POST", "/v1/workspaces", &owner).1;
        let part = |name: &str| made["token"][name].as_str().unwrap().to_owned();
        place.owner = format!("{}.{}", part("id"), part("secret"));
        place.send("PUT", &format!("{PATH}/rbac"), &json!({"enabled": true}));
        for person in 0..100 {
            let member = json!({"user": format!("user{person}"), "role": "member"});
            place.send("POST", &format!("{PATH}/members"), &member);
        }
        for number in 0..20 {
            place.send("POST", &format!("{PATH}/environments"), &environment(number));
        }
        place.past = place.send("PUT", &format!("{PATH}/rbac"), &json!({"enabled": true})).0;
        for person in 0..20 {
            place.send("DELETE", &format!("{PATH}/environments/env1/grants/user:user{person}"), &Value::Null);
        }
        place
    }

    /// Sends a request that must succeed; returns the instant of the response, and the response.
    pub fn send(&self, method: &str, path: &str, body: &Value) -> (String, Value) {
        let request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.url));
        let request = request.header("authorization", format!("Bearer {}", self.owner));
        let request = request.header("content-type", "application/json");
        let answer = match body {
            Value::Null => ureq::run(request.body(()).unwrap()),
            body => ureq::run(request.body(body.to_string()).unwrap()),
        };
        let mut answer = answer.unwrap();
        let at = answer.headers().get("tenure-at").map(|at| at.to_str().unwrap().to_owned()).unwrap_or_default();
        (at, answer.body_mut().read_json().unwrap_or_default())
    }

    /// Returns the head revision.
    pub fn head(&self) -> u64 {
        self.send("GET", PATH, &Value::Null).1["revision"].as_u64().unwrap_or_default()
    }

    pub fn address(&self) -> SocketAddr {
        self.url.strip_prefix("http://").unwrap().parse().unwrap()
    }

    fn asking(&self, path: &str, body: &Value) -> Load {
        let path = format!("{PATH}/access/v1/{path}");
        let (url, credential) = (self.url.clone(), self.owner.clone());
        Load { url, path, credential, body: body.to_string(), script: "ask.lua", connections: 1 }
    }

    /// Returns one check, now or at an instant.
    pub fn check(&self, at: Option<&str>) -> Load {
        let query = at.map(|at| format!("?at={at}")).unwrap_or_default();
        self.asking(&format!("evaluation{query}"), &question(7, 3))
    }

    /// Returns many different checks in one request.
    pub fn batch(&self, len: u32) -> Load {
        let questions: Vec<_> = (0..len).map(|number| question(number, number % 20)).collect();
        self.asking("evaluations", &json!({"evaluations": questions}))
    }

    /// Returns changes, each of which sets another expiry, so that none equals the one before.
    pub fn changes(&self) -> Load {
        let path = format!("{PATH}/environments/env0/grants/user:user");
        Load { path, body: String::new(), script: "change.lua", ..self.asking("", &Value::Null) }
    }
}

fn environment(number: u32) -> Value {
    let grant = |person| json!({"principal": format!("user:user{person}"), "role": "contributor"});
    json!({"name": format!("env{number}"), "restricted": true, "grants": (0..20).map(grant).collect::<Vec<_>>()})
}

fn question(person: u32, place: u32) -> Value {
    json!({
        "subject": {"type": "user", "id": format!("user{person}")}, "action": {"name": "deploy"},
        "resource": {"type": "environment", "id": format!("env{place}")},
    })
}
