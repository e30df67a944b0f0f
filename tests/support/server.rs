//! A running server in this process: the store in a temporary folder, HTTP on loopback.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tenure::clock::{Clock, SystemClock};
use tenure::http::auth_rate_limiter::AuthRateLimiter;
use tenure::http::budget::{BODIES_MIB_DEFAULT, Budgets};
use tenure::http::client_address::TrustedProxies;
use tenure::http::connections::Connections;
use tenure::http::cursor::CursorKey;
use tenure::http::sse::Streams;
use tenure::http::{App, serve};
use tenure::log::sqlite::SqliteLog;
use tenure::proof::checkpoint::Signer;
use tenure::proof::note::LogKey;
use tenure::service::id_generator::{RandomIdGenerator, Secret};
use tenure::service::timelines::AccessTimelineCache;
use tenure::service::{Quotas, Service, Settings};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// The operator's secret in tests.
pub const OPERATOR: &str = "operator.0123456789abcdef0123456789abcdef";

/// A running server.
pub struct Server {
    pub address: SocketAddr,
    pub service: Arc<Service>,
    pub budgets: Budgets,
    pub bodies: Budgets,
    agent: ureq::Agent,
    runtime: Runtime,
    stop: Option<oneshot::Sender<()>>,
    serving: Option<JoinHandle<std::io::Result<()>>>,
    folder: Option<TempDir>,
}

/// A response.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub bytes: Vec<u8>,
    pub text: String,
    pub json: Value,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn code(&self) -> &str {
        self.json["code"].as_str().unwrap_or_default()
    }

    /// Asserts the status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    /// Asserts the status and code of a refusal.
    #[track_caller]
    pub fn refused(self, status: u16, code: &str) -> Self {
        assert_eq!((self.status, self.code()), (status, code), "{}", self.text);
        self
    }

    /// Returns the `ID.SECRET` of the created credential.
    #[track_caller]
    pub fn credential(&self, kind: &str) -> String {
        let made = &self.json[kind];
        format!("{}.{}", made["id"].as_str().unwrap(), made["secret"].as_str().unwrap())
    }
}

/// Returns the signer of checkpoints of every test server.
pub fn signer() -> Signer {
    Signer { key: LogKey::from_seed(&[7; 32]), instance: "tenure.test".parse().unwrap() }
}

/// Returns the API over a service that listens at this address.
pub async fn app(service: Arc<Service>, address: SocketAddr, streams: Streams, trusted_proxies: TrustedProxies) -> App {
    let (base_url, timelines) = (format!("http://{address}"), AccessTimelineCache::with_capacity(8 << 20));
    let (metrics, auth_rate_limiter) = (Box::new(String::new), AuthRateLimiter::default());
    let (budgets, bodies) = (Budgets::default(), Budgets::of_bodies(BODIES_MIB_DEFAULT));
    let (connections, cursors) = (Connections::default(), CursorKey::of(service.cursor_key().await.unwrap()));
    let openapi = OnceLock::new();
    App {
        service,
        timelines,
        base_url,
        metrics,
        budgets,
        bodies,
        connections,
        cursors,
        openapi,
        streams,
        auth_rate_limiter,
        trusted_proxies,
    }
}

impl Server {
    /// Starts a server on an empty folder.
    pub fn start() -> Self {
        Self::with_clock(Arc::new(SystemClock))
    }

    /// Returns the data folder that the server owns.
    pub fn data(&self) -> &Path {
        self.folder.as_ref().unwrap().path()
    }

    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut server = Self::on(folder.path(), clock);
        server.folder = Some(folder);
        server
    }

    /// Starts a server whose streams send a heartbeat at this interval.
    pub fn beating_every(heartbeat: Duration, clock: Arc<dyn Clock>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let streams = Streams::beating_every(heartbeat);
        let mut server = Self::configured(folder.path(), clock, streams, TrustedProxies::default());
        server.folder = Some(folder);
        server
    }

    /// Starts a server with limited memory for responses and large request bodies, in MiB.
    pub fn sparing(answers_mib: usize, bodies_mib: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let room = (Budgets::of_mib(answers_mib), Budgets::of_bodies(bodies_mib), Quotas::default());
        let (clock, streams) = (Arc::new(SystemClock), Streams::default());
        let mut server = Self::with_room(folder.path(), clock, streams, TrustedProxies::default(), room);
        server.folder = Some(folder);
        server
    }

    /// Starts a server with quotas for all callers but the operator.
    pub fn with_quotas(quotas: Quotas, clock: Arc<dyn Clock>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let room = (Budgets::default(), Budgets::of_bodies(BODIES_MIB_DEFAULT), quotas);
        let mut server = Self::with_room(folder.path(), clock, Streams::default(), TrustedProxies::default(), room);
        server.folder = Some(folder);
        server
    }

    /// Starts a server that trusts these proxies.
    pub fn behind(trusted_proxies: &str, clock: Arc<dyn Clock>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let trusted_proxies = trusted_proxies.parse().unwrap();
        let mut server = Self::configured(folder.path(), clock, Streams::default(), trusted_proxies);
        server.folder = Some(folder);
        server
    }

    /// Starts a server on this folder.
    pub fn on(folder: &Path, clock: Arc<dyn Clock>) -> Self {
        Self::configured(folder, clock, Streams::default(), TrustedProxies::default())
    }

    fn configured(folder: &Path, clock: Arc<dyn Clock>, streams: Streams, trusted_proxies: TrustedProxies) -> Self {
        Self::with_room(
            folder,
            clock,
            streams,
            trusted_proxies,
            (Budgets::default(), Budgets::of_bodies(BODIES_MIB_DEFAULT), Quotas::default()),
        )
    }

    fn with_room(
        folder: &Path,
        clock: Arc<dyn Clock>,
        streams: Streams,
        trusted_proxies: TrustedProxies,
        (budgets, bodies, quotas): (Budgets, Budgets, Quotas),
    ) -> Self {
        Self::tuned_on(folder, clock, quotas, |app| App { budgets, bodies, streams, trusted_proxies, ..app })
    }

    /// Starts a server after `tune` has changed its settings.
    pub fn tuned(clock: Arc<dyn Clock>, tune: impl FnOnce(App) -> App) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut server = Self::tuned_on(folder.path(), clock, Quotas::default(), tune);
        server.folder = Some(folder);
        server
    }

    fn tuned_on(folder: &Path, clock: Arc<dyn Clock>, quotas: Quotas, tune: impl FnOnce(App) -> App) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let log = Arc::new(SqliteLog::open(folder).unwrap());
        let operator = Secret::new(OPERATOR.split_once('.').unwrap().1);
        let settings = Settings {
            log,
            clock,
            ids: Arc::new(RandomIdGenerator),
            operator,
            clock_settle: Duration::from_mins(1),
            cache_bytes: 64 << 20,
            signer: signer(),
            quotas,
        };
        let service = runtime.block_on(async { Service::start(settings) }).unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let app = app(Arc::clone(&service), address, Streams::default(), TrustedProxies::default());
        let app = tune(runtime.block_on(app));
        let (budgets, bodies) = (app.budgets.clone(), app.bodies.clone());
        let (stop, stopped) = oneshot::channel();
        let serving = runtime.spawn(serve(Arc::new(app), listener, async {
            let _ = stopped.await;
        }));
        let config = ureq::Agent::config_builder().http_status_as_error(false).build();
        let (stop, serving) = (Some(stop), Some(serving));
        Self { address, service, budgets, bodies, agent: config.into(), runtime, stop, serving, folder: None }
    }

    /// Stops the server and starts another one on the same folder.
    pub fn restart(self) -> Self {
        self.restart_after(Arc::new(SystemClock), |_| {})
    }

    /// Stops the server, calls `meanwhile` with its folder, and starts another server on it.
    pub fn restart_after(mut self, clock: Arc<dyn Clock>, meanwhile: impl FnOnce(&Path)) -> Self {
        let folder = self.folder.take().unwrap();
        drop(self);
        meanwhile(folder.path());
        let mut server = Self::on(folder.path(), clock);
        server.folder = Some(folder);
        server
    }

    /// Copies the store, calls `meanwhile` with the copy's folder, and starts another server on it.
    pub fn on_copy(&self, clock: Arc<dyn Clock>, meanwhile: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        self.service.log().backup(&folder.path().join("tenure.db")).unwrap();
        meanwhile(folder.path());
        let mut server = Self::on(folder.path(), clock);
        server.folder = Some(folder);
        server
    }

    pub fn folder(&self) -> &Path {
        self.folder.as_ref().unwrap().path()
    }

    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(future);
    }

    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&[u8]>) -> Reply {
        send_to(&self.agent, self.address, (method, path), headers, body)
    }

    /// Opens a live stream with a bearer credential; its reads fail after 30 s in total.
    pub fn stream(&self, path: &str, credential: &str, headers: &[(&str, &str)]) -> Listener {
        listen(self.address, path, credential, headers)
    }

    /// Sends JSON with a bearer credential.
    pub fn call(&self, method: &str, path: &str, credential: &str, body: &Value) -> Reply {
        let authorization = format!("Bearer {credential}");
        let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
        let bytes = serde_json::to_vec(body).unwrap();
        self.send(method, path, &headers, (!body.is_null()).then_some(bytes.as_slice()))
    }

    pub fn get(&self, path: &str, credential: &str) -> Reply {
        self.call("GET", path, credential, &Value::Null)
    }

    pub fn post(&self, path: &str, credential: &str, body: &Value) -> Reply {
        self.call("POST", path, credential, body)
    }

    pub fn put(&self, path: &str, credential: &str, body: &Value) -> Reply {
        self.call("PUT", path, credential, body)
    }

    pub fn patch(&self, path: &str, credential: &str, body: &Value) -> Reply {
        self.call("PATCH", path, credential, body)
    }

    pub fn delete(&self, path: &str, credential: &str) -> Reply {
        self.call("DELETE", path, credential, &Value::Null)
    }
}

/// Sends a request to an address.
pub fn send_to(
    agent: &ureq::Agent,
    address: SocketAddr,
    (method, path): (&str, &str),
    headers: &[(&str, &str)],
    body: Option<&[u8]>,
) -> Reply {
    let mut request = ureq::http::Request::builder().method(method).uri(format!("http://{address}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = match body {
        Some(body) => agent.run(request.body(body).unwrap()),
        None => agent.run(request.body(()).unwrap()),
    };
    reply(answer.unwrap())
}

fn reply(mut answer: ureq::http::Response<ureq::Body>) -> Reply {
    let status = answer.status().as_u16();
    let text = |value: &ureq::http::HeaderValue| value.to_str().unwrap_or_default().to_owned();
    let headers = answer.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    let bytes = answer.body_mut().read_to_vec().unwrap();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let json = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    Reply { status, headers, bytes, text, json }
}

/// A live stream, or the refusal of one.
pub struct Listener {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    body: BufReader<ureq::BodyReader<'static>>,
}

/// One message of a stream: the lines up to an empty one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    pub id: Option<String>,
    pub event: Option<String>,
    pub data: Option<String>,
    pub retry: Option<String>,
    pub comment: Option<String>,
}

impl Message {
    /// Returns the revision of the event.
    #[track_caller]
    pub fn revision(&self) -> u64 {
        assert!(self.data.is_some(), "{self:?}");
        self.id.as_ref().unwrap().split('.').next().unwrap().parse().unwrap()
    }
}

pub fn listen(address: SocketAddr, path: &str, credential: &str, headers: &[(&str, &str)]) -> Listener {
    let limit = Some(Duration::from_secs(30));
    let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(limit).build();
    let agent: ureq::Agent = config.into();
    let mut request = ureq::http::Request::builder().method("GET").uri(format!("http://{address}{path}"));
    request = request.header("authorization", format!("Bearer {credential}")).header("accept", "text/event-stream");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = agent.run(request.body(()).unwrap()).unwrap();
    let text = |value: &ureq::http::HeaderValue| value.to_str().unwrap_or_default().to_owned();
    let headers = answer.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    let status = answer.status().as_u16();
    Listener { status, headers, body: BufReader::new(answer.into_body().into_reader()) }
}

impl Listener {
    /// Asserts that the stream is open, and reads its first message.
    #[track_caller]
    pub fn opened(mut self) -> Self {
        let refused = if self.status == 200 { String::new() } else { self.rest() };
        assert_eq!(self.status, 200, "{refused}");
        let first = self.message().unwrap();
        assert_eq!(first, Message { retry: Some("1000".to_owned()), ..Message::default() });
        self
    }

    /// Reads the rest of the stream, unparsed.
    pub fn rest(&mut self) -> String {
        let mut text = String::new();
        self.body.read_to_string(&mut text).unwrap();
        text
    }

    /// Returns the next message; none at the end.
    #[track_caller]
    pub fn message(&mut self) -> Option<Message> {
        let mut message = Message::default();
        loop {
            let mut line = String::new();
            let len = self.body.read_line(&mut line).unwrap();
            if len == 0 {
                assert_eq!(message, Message::default(), "a message is whole");
                return None;
            }
            let line = line.strip_suffix('\n').unwrap();
            if line.is_empty() {
                return Some(message);
            }
            let (field, value) = line.split_once(':').unwrap();
            let mut fields = [
                ("id", &mut message.id),
                ("event", &mut message.event),
                ("data", &mut message.data),
                ("retry", &mut message.retry),
                ("", &mut message.comment),
            ];
            let (_, place) = fields.iter_mut().find(|(known, _)| *known == field).unwrap();
            assert_eq!(place.replace(value.strip_prefix(' ').unwrap().to_owned()), None, "{line}");
        }
    }

    /// Returns the next event and skips heartbeats; none at the end.
    #[track_caller]
    pub fn event(&mut self) -> Option<Message> {
        loop {
            let message = self.message()?;
            if message.data.is_some() {
                return Some(message);
            }
        }
    }

    /// Returns the revisions of the next events.
    #[track_caller]
    pub fn revisions(&mut self, count: usize) -> Vec<u64> {
        (0..count).map(|_| self.event().unwrap().revision()).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        let serving = self.serving.take().unwrap();
        let stopped = self.runtime.block_on(async {
            let served = serving.await;
            (served, self.service.stop().await)
        });
        if !std::thread::panicking() {
            stopped.0.unwrap().unwrap();
            stopped.1.unwrap();
        }
    }
}
