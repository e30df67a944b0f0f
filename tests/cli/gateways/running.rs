//! A gateway as a child process, and an application behind it that records requests.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Request, State};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::support::server::{Reply, send_to};

/// The time limit for a gateway to listen.
const START_TIME_MAX: Duration = Duration::from_secs(30);
/// The time limit of one step of Debian's package manager, in seconds.
const INSTALL_SECONDS_MAX: &str = "120";

/// Serialises installations.
static INSTALLING: Mutex<()> = Mutex::new(());

fn runs(program: &str, args: &[&str]) -> bool {
    Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .env("DEBIAN_FRONTEND", "noninteractive")
        // Installing a package starts no service.
        .env("RUNLEVEL", "1")
        .status()
        .is_ok_and(|status| status.success())
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|id| id.stdout.trim_ascii() == b"0")
}

/// Returns whether a program can be run. Installs Debian's package first, if it is missing and that is allowed.
pub fn is_available(program: &str, asks_version: &[&str], package: Option<&str>) -> bool {
    let _one_at_a_time = INSTALLING.lock().unwrap();
    if runs(program, asks_version) {
        return true;
    }
    let apt = |args: &[&str]| runs("timeout", &[&[INSTALL_SECONDS_MAX, "apt-get", "-qq"], args].concat());
    if let Some(package) = package.filter(|_| is_root()) {
        let install = ["install", "-y", "--no-install-recommends", package];
        let _installed = apt(&install) || (apt(&["update"]) && apt(&install));
    }
    let had = runs(program, asks_version);
    if !had {
        eprintln!("SKIPPED: `{program}` is not installed, and cannot be installed here");
    }
    had
}

/// A request that the application received.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Seen {
    pub fn header(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
    }
}

type Requests = Arc<Mutex<Vec<Seen>>>;

/// An application without authentication of its own.
pub struct Application {
    pub address: SocketAddr,
    seen: Requests,
    _runtime: Runtime,
}

async fn remember(State(seen): State<Requests>, request: Request) -> &'static str {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1_024).await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    seen.lock().unwrap().push(Seen {
        method: parts.method.to_string(),
        target: parts.uri.to_string(),
        headers: parts.headers.iter().map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect(),
        body: text(&body),
    });
    "the application's answer"
}

impl Application {
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Requests::default();
        let router = Router::new().fallback(remember).with_state(Arc::clone(&seen));
        runtime.spawn(async { axum::serve(listener, router).await.unwrap() });
        Self { address, seen, _runtime: runtime }
    }

    /// Returns the requests since the last call.
    pub fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }
}

/// A running gateway, stopped on drop.
pub struct Gateway {
    address: SocketAddr,
    agent: ureq::Agent,
    child: Child,
    folder: TempDir,
}

/// Returns a free address on loopback.
fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

impl Gateway {
    /// Starts the gateway of an example, with these addresses in its configuration.
    pub fn start(
        example: &str,
        tenure: SocketAddr,
        application: SocketAddr,
        command: fn(&Path, &Path) -> Command,
    ) -> Self {
        let address = free_address();
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(example);
        let mut text = fs::read_to_string(&example).unwrap();
        for (port, address) in [("8321", tenure), ("9000", application), ("8080", address)] {
            assert!(text.contains(port), "the example has the port {port}");
            text = text.replace(port, &address.port().to_string());
        }
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join(example.file_name().unwrap());
        fs::write(&config, text).unwrap();
        let log = fs::File::create(folder.path().join("stderr")).unwrap();
        let mut command = command(folder.path(), &config);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut gateway = Self { address, agent, child, folder };
        gateway.wait_until_it_listens();
        gateway
    }

    fn wait_until_it_listens(&mut self) {
        let started = Instant::now();
        while TcpStream::connect(self.address).is_err() {
            let ended = self.child.try_wait().unwrap();
            let waits = ended.is_none() && started.elapsed() < START_TIME_MAX;
            assert!(waits, "{ended:?}: {}", fs::read_to_string(self.folder.path().join("stderr")).unwrap());
            std::thread::yield_now();
        }
    }

    pub fn call(&self, method: &str, target: &str, headers: &[(&str, &str)], body: Option<&[u8]>) -> Reply {
        send_to(&self.agent, self.address, (method, target), headers, body)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // SIGTERM first, so that it ends the processes that it started.
        let asked = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        if !asked.is_ok_and(|status| status.success()) {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}
