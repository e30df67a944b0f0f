//! The program in a process of its own, over a fresh folder, with two workspaces: one that is attacked from within, and a neighbour.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// The time after which a test fails without a response.
const PATIENCE: Duration = Duration::from_mins(2);

/// A running program; killed when dropped.
pub struct Program {
    child: Child,
    folder: TempDir,
    pub address: SocketAddr,
    agent: ureq::Agent,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Program {
    /// The program, with these arguments beside those that every test needs.
    pub fn start(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_tenure"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(folder.path().join("data")).args(arguments);
        command.env("TENURE_OPERATOR_SECRET", SECRET).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().rsplit('/').next().unwrap().parse().unwrap();
        let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE));
        Self { child, folder, address, agent: config.build().into() }
    }

    /// The data folder.
    pub fn data(&self) -> std::path::PathBuf {
        Path::new(self.folder.path()).join("data")
    }

    /// The credential of the operator.
    pub fn operator() -> String {
        format!("operator.{SECRET}")
    }

    /// Sends JSON; gives the status and the answer.
    pub fn call(&self, method: &str, path: &str, credential: &str, body: &Value) -> (u16, Value) {
        let request = ureq::http::Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        let request = request.header("authorization", format!("Bearer {credential}"));
        let request = request.header("content-type", "application/json");
        let answer = match body {
            Value::Null => self.agent.run(request.body(()).unwrap()),
            body => self.agent.run(request.body(body.to_string()).unwrap()),
        };
        let mut answer = answer.unwrap();
        (answer.status().as_u16(), answer.body_mut().read_json().unwrap_or_default())
    }

    /// Posts JSON with an idempotency key; gives the status and the answer.
    pub fn keyed(&self, path: &str, credential: &str, key: &str, body: &Value) -> (u16, Value) {
        let request = self.agent.post(format!("http://{}{path}", self.address));
        let request = request.header("authorization", format!("Bearer {credential}")).header("idempotency-key", key);
        let mut answer = request.send_json(body).unwrap();
        (answer.status().as_u16(), answer.body_mut().read_json().unwrap_or_default())
    }

    /// As [`Self::call`], of what must succeed.
    #[track_caller]
    pub fn done(&self, method: &str, path: &str, credential: &str, body: &Value) -> Value {
        let (status, answer) = self.call(method, path, credential, body);
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        answer
    }

    /// Makes a workspace, with RBAC on; gives its owner's credential.
    pub fn workspace(&self, name: &str) -> String {
        let body = json!({"name": name, "kind": "shared", "plan": "team", "owner": {"user": "alice"}});
        let owner = credential(&self.done("POST", "/v1/workspaces", &Self::operator(), &body));
        self.done("PUT", &format!("/v1/workspaces/{name}/rbac"), &owner, &json!({"enabled": true}));
        owner
    }

    /// Adds a plain member; gives its credential.
    pub fn member(&self, workspace: &str, owner: &str, user: &str) -> String {
        let members = format!("/v1/workspaces/{workspace}/members");
        self.done("POST", &members, owner, &json!({"user": user, "role": "member"}));
        credential(&self.done("POST", &format!("{members}/{user}/tokens"), owner, &json!({})))
    }

    /// Does commands in batches of up to a thousand.
    pub fn commands(&self, workspace: &str, owner: &str, commands: &[Value]) {
        for some in commands.chunks(1_000) {
            self.done("POST", &format!("/v1/workspaces/{workspace}/commands"), owner, &json!({"commands": some}));
        }
    }

    /// A number of MiB that the system knows of the process: `VmRSS`, what is resident now, or `VmHWM`, the most that ever was.
    pub fn mib(&self, name: &str) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
        line.trim().trim_end_matches("kB").trim().parse::<f64>().unwrap() / 1_024.0
    }

    /// Sends a request over a connection of its own that takes little ahead of its reader, and reads no answer.
    pub fn send_unread(&self, credential: &str, request: &str, body: &[u8]) -> TcpStream {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(4_096).unwrap();
        socket.connect(&self.address.into()).unwrap();
        let mut stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = format!(
            "{request} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {credential}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n",
            body.len()
        );
        // The server may refuse it before it has all of it.
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
        stream
    }
}

/// The status of the answer that begins on a connection; none if it broke off.
pub fn status(stream: &mut TcpStream) -> Option<u16> {
    let mut start = [0; 12];
    stream.read_exact(&mut start).ok()?;
    std::str::from_utf8(&start[9..]).unwrap().parse().ok()
}

/// The `ID.SECRET` of the token that an answer shows.
pub fn credential(answer: &Value) -> String {
    let part = |name: &str| answer["token"][name].as_str().unwrap();
    format!("{}.{}", part("id"), part("secret"))
}

/// A question about a user in an environment.
pub fn question(user: &str, environment: &str) -> Value {
    json!({
        "subject": {"type": "user", "id": user}, "action": {"name": "deploy"},
        "resource": {"type": "environment", "id": environment},
    })
}
