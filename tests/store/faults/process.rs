//! `tenure serve` as a process that can be killed, started by a shell that can take something away from it.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

use serde_json::{Value, json};

use crate::support::program::program;
use crate::support::server::{OPERATOR, Reply, send_to};

/// A shell script, in which `"$@"` is the program with its arguments.
pub(crate) const PLAIN: &str = "exec \"$@\"";

/// A server on a folder, or an attempt at one.
pub(crate) fn serve(shell: &str, folder: &Path) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", shell, "sh"]).arg(program().get_program());
    command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(folder);
    command.env("TENURE_OPERATOR_SECRET", OPERATOR.split_once('.').unwrap().1).env("TENURE_LOG_KEY", "07".repeat(32));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A running server; killed when dropped.
pub(crate) struct Process {
    child: Child,
    address: SocketAddr,
    agent: ureq::Agent,
    said: Option<JoinHandle<String>>,
}

impl Process {
    pub(crate) fn start(folder: &Path) -> Self {
        Self::of(&mut serve(PLAIN, folder))
    }

    #[track_caller]
    pub(crate) fn of(command: &mut Command) -> Self {
        Self::try_of(command).unwrap_or_else(|said| panic!("it does not serve: {said}"))
    }

    /// A server, once it listens; or what it said instead.
    pub(crate) fn try_of(command: &mut Command) -> Result<Self, String> {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut errors = BufReader::new(child.stderr.take().unwrap());
        // What it says on stderr is read all the time, so that it never waits for a reader.
        let said = std::thread::spawn(move || {
            let mut text = String::new();
            std::io::Read::read_to_string(&mut errors, &mut text).map(|_| text).unwrap()
        });
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let Some(url) = line.trim().strip_prefix("listening on http://") else {
            assert_eq!(child.wait().unwrap().code(), Some(2));
            return Err(said.join().unwrap());
        };
        let config = ureq::Agent::config_builder().http_status_as_error(false).build();
        Ok(Self { child, address: url.parse().unwrap(), agent: config.into(), said: Some(said) })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGSTOP: from now on it writes nothing.
    pub(crate) fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Asks it to stop; makes sure that it ends well, and gives what it wrote to stderr.
    pub(crate) fn stop_and_say(mut self) -> String {
        self.signal("-TERM");
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        self.said.take().unwrap().join().unwrap()
    }

    /// Asks it to stop; makes sure that it ends well.
    pub(crate) fn stop(mut self) {
        self.signal("-TERM");
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
    }

    /// SIGHUP.
    pub(crate) fn hang_up(&self) {
        self.signal("-HUP");
    }

    fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.id().to_string()]).status().unwrap().success());
    }

    pub(crate) fn send(&self, method: &str, path: &str, key: &str, body: &Value) -> Reply {
        self.send_as(OPERATOR, (method, path), key, body)
    }

    /// Sends a request with a credential.
    pub(crate) fn send_as(&self, credential: &str, (method, path): (&str, &str), key: &str, body: &Value) -> Reply {
        let authorization = format!("Bearer {credential}");
        let mut headers = vec![("authorization", authorization.as_str()), ("content-type", "application/json")];
        if !key.is_empty() {
            headers.push(("idempotency-key", key));
        }
        let bytes = serde_json::to_vec(body).unwrap();
        send_to(&self.agent, self.address, (method, path), &headers, (!body.is_null()).then_some(bytes.as_slice()))
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        self.send("GET", path, "", &Value::Null)
    }

    pub(crate) fn put(&self, path: &str, body: &Value) -> Reply {
        self.send("PUT", path, "", body)
    }

    pub(crate) fn delete(&self, path: &str) -> Reply {
        self.send("DELETE", path, "", &Value::Null)
    }

    pub(crate) fn post(&self, path: &str, key: &str, body: &Value) -> Reply {
        self.send("POST", path, key, body)
    }

    /// Makes the workspace `acme`, with RBAC on.
    pub(crate) fn found(&self) {
        let workspace = json!({"name": "acme", "kind": "shared", "plan": "team", "owner": {"user": "alice"}});
        self.post("/v1/workspaces", "found", &workspace).expect(201);
    }

    /// Adds the members `NAME-0`, `NAME-1` …, all or none of them.
    pub(crate) fn add(&self, name: &str, count: usize) -> Reply {
        let command = |n| json!({"type": "member.add", "user": format!("{name}-{n}"), "role": "member"});
        let commands: Vec<_> = (0..count).map(command).collect();
        let path = format!("/v1/workspaces/acme/commands?reason={}", "r".repeat(1_000));
        self.post(&path, name, &json!({"commands": commands}))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
