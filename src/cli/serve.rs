//! `tenure serve`: a server over a data folder.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use clap::Args;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

use super::failure::Failure;
use super::log_keys::served_key;
use super::output::{Format, Output};
use super::session::DEFAULT_ADDRESS;
use crate::clock::{Clock, SETTLE_SECONDS_DEFAULT, SystemClock, check_possible};
use crate::config::{self, BaseUrl, LOG_KEY_VARIABLE, OPERATOR_SECRET_VARIABLE};
use crate::domain::model::id::WorkspaceId;
use crate::domain::model::time::Revision;
use crate::http::auth_rate_limiter::AuthRateLimiter;
use crate::http::budget::{ANSWERS_MIB_DEFAULT, BODIES_MIB_DEFAULT, Budgets};
use crate::http::client_address::TrustedProxies;
use crate::http::connections::{CONNECTIONS_PER_ADDRESS_DEFAULT, Connections};
use crate::http::cursor::CursorKey;
use crate::http::sse::Streams;
use crate::http::{self, App};
use crate::log::sqlite::SqliteLog;
use crate::log::{Append, Directories, EventLog, LogError, SideWrite};
use crate::proof::checkpoint::Signer;
use crate::proof::note::Origin;
use crate::service::id_generator::{RandomIdGenerator, Secret};
use crate::service::timelines::AccessTimelineCache;
use crate::service::{Days, Quotas, Rate, Service, Settings};
use crate::telemetry;

const MIB: u64 = 1_024 * 1_024;
/// The default memory limit of workspaces, in MiB.
const CACHE_MIB_DEFAULT: u64 = 512;
/// The part of the workspaces' memory that the cache of access timelines may take beside it: 1 / this.
const TIMELINES_PART: u64 = 8;
/// The default disk reserve, in MiB.
const DISK_RESERVE_MIB_DEFAULT: u64 = 64;
/// The backlog of the listening socket; the system may allow fewer.
const BACKLOG: u32 = 4_096;
/// The time that blocking work, such as writing a snapshot, may take after the server has stopped.
const BLOCKED_TIME_MAX: Duration = Duration::from_secs(5);
/// The period of the metrics' upkeep.
const METRICS_UPKEEP_PERIOD: Duration = Duration::from_secs(5);

const HELP: &str = "\
The first start makes the data folder and, in it, `operator.secret`: the secret of the id `operator`, who may do \
everything; and `log.key`, which signs the checkpoints of the logs. Set TENURE_OPERATOR_SECRET (at least 32 bytes) and \
TENURE_LOG_KEY (64 hexadecimal digits) to choose them yourself. Log lines go to stderr; TENURE_LOG filters \
them, such as `warn` or `info,tenure::service=debug`.

  export TENURE_TOKEN_ID=operator TENURE_TOKEN_SECRET=\"$(cat ./data/operator.secret)\"
  tenure workspace create acme --owner alice

Put a proxy that speaks TLS in front of it, and set `--base-url` to the address from outside. `/docs` explains \
the HTTP API, `/healthz`, `/readyz` and `/metrics` are for operators.";

/// Serve a data folder over HTTP
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct ServeArgs {
    /// The data folder; made if it is missing
    #[arg(long, env = "TENURE_DATA", value_name = "DIR")]
    data: PathBuf,
    /// The address to listen on; port 0 takes a free one
    #[arg(long, env = "TENURE_LISTEN", value_name = "ADDR", default_value = DEFAULT_ADDRESS)]
    listen: SocketAddr,
    /// The server's address from outside, such as `https://tenure.example.com`; `http://` and the listening address if
    /// left out
    #[arg(long, env = "TENURE_BASE_URL", value_name = "URL")]
    base_url: Option<BaseUrl>,
    /// The memory limit of workspaces, in MiB
    #[arg(long, visible_alias = "cache-mb", env = "TENURE_CACHE_MIB", value_name = "MIB", default_value_t = CACHE_MIB_DEFAULT)]
    cache_mib: u64,
    /// The disk space reserved for starting and for revoking access, in MiB; at most a quarter of the disk
    #[arg(long, env = "TENURE_DISK_RESERVE_MIB", value_name = "MIB", default_value_t = DISK_RESERVE_MIB_DEFAULT)]
    disk_reserve_mib: u64,
    /// The number of commands that one credential holder may submit: each second on average, and at once, as
    /// `1000/20000`; `0` for no limit. The operator has no limit
    #[arg(long, env = "TENURE_CHANGE_RATE", value_name = "RATE", default_value_t = Quotas::DEFAULT.changes)]
    change_rate: Rate,
    /// The number of audit questions of one credential holder, in the same form; each is recorded
    #[arg(long, env = "TENURE_READ_RATE", value_name = "RATE", default_value_t = Quotas::DEFAULT.reads)]
    read_rate: Rate,
    /// The number of live tokens and keys that one person may have issued; `0` for no limit. The operator has no limit
    #[arg(long, env = "TENURE_ISSUED_CREDENTIALS", value_name = "COUNT", default_value_t = Quotas::DEFAULT.issued)]
    issued_credentials: usize,
    /// The retention of the record of audit reads, such as `400d`; for ever if left out
    #[arg(long, env = "TENURE_JOURNAL_RETENTION", value_name = "DAYS")]
    journal_retention: Option<Days>,
    /// The trusted proxies in front of the server, as addresses and networks separated by commas. Only their
    /// `X-Forwarded-For` and `Forwarded` headers name the client's address
    #[arg(long, env = "TENURE_TRUSTED_PROXIES", value_name = "CIDRS", default_value = "")]
    trusted_proxies: TrustedProxies,
    /// The memory limit of batches, audits and large responses together, in MiB: one workspace may use half of it, one
    /// holder a quarter
    #[arg(long, env = "TENURE_ANSWERS_MIB", value_name = "MIB", default_value_t = ANSWERS_MIB_DEFAULT)]
    answers_mib: usize,
    /// The memory limit of large request bodies together, in MiB: one caller may use a quarter of it, one workspace half
    #[arg(long, env = "TENURE_BODIES_MIB", value_name = "MIB", default_value_t = BODIES_MIB_DEFAULT)]
    bodies_mib: usize,
    /// The number of simultaneous connections of one address (IPv6: one /64), trusted proxies excepted
    #[arg(long, env = "TENURE_CONNECTIONS_PER_ADDRESS", value_name = "COUNT", default_value_t = CONNECTIONS_PER_ADDRESS_DEFAULT, value_parser = at_least_one)]
    connections_per_address: usize,
    /// The prefix of the logs' names in checkpoints and verifier keys; keep it once a checkpoint was given away
    #[arg(long, env = "TENURE_ORIGIN", value_name = "NAME", default_value_t)]
    origin: Origin,
    /// The time, in seconds, that the machine's clock must be steady after a jump of more than a minute before changes
    /// are accepted again; 0 accepts them at once
    #[arg(long, env = "TENURE_CLOCK_SETTLE", value_name = "SECONDS", default_value_t = SETTLE_SECONDS_DEFAULT)]
    clock_settle: u64,
    /// Trust the machine's clock although this store has seen a later time. Access that expired by the later time,
    /// without an event that says so yet, counts again
    #[arg(long)]
    accept_clock: bool,
    /// Sign the logs with a new key, because the old one is lost. Auditors then need new verifier keys. To replace a
    /// key that is not lost, use `tenure key rotate`
    #[arg(long)]
    accept_new_log_key: bool,
}

/// Parses a number of connections. With 0, no client could connect.
fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("with 0 the server would refuse every connection: give at least 1".to_owned()),
        Ok(count) => Ok(count),
        Err(error) => Err(format!("{error}: give a number, at least 1")),
    }
}

/// Returns the operator's secret of a data folder. Makes it if it is missing.
pub(super) fn operator_secret(data: &Path) -> Result<Secret, Failure> {
    let given = std::env::var(OPERATOR_SECRET_VARIABLE).ok();
    Ok(config::operator_secret(data, given, &RandomIdGenerator)?)
}

/// Returns the signer of a data folder's checkpoints. Makes its key if it is missing.
pub(super) fn signer(data: &Path, instance: Origin) -> Result<Signer, Failure> {
    let given = std::env::var(LOG_KEY_VARIABLE).ok();
    Ok(Signer { key: config::log_key(data, given, &RandomIdGenerator)?, instance })
}

pub(super) fn serve(args: ServeArgs) -> Result<(), Failure> {
    telemetry::start_logging("info");
    let log = SqliteLog::open_with_reserve(&args.data, args.disk_reserve_mib.saturating_mul(MIB))?;
    check_clock(&log, args.accept_clock)?;
    let operator = operator_secret(&args.data)?;
    let signer = Signer { key: served_key(&log, &args.data, args.accept_new_log_key)?, instance: args.origin };
    let cache_bytes = args.cache_mib.saturating_mul(MIB);
    let quotas = Quotas {
        changes: args.change_rate,
        reads: args.read_rate,
        issued: args.issued_credentials,
        journal: args.journal_retention,
    };
    block_on(async {
        ignore_hangups()?;
        let stop = stop_signal()?;
        let settings = settings(log, Arc::new(SystemClock), (operator, signer), cache_bytes);
        let clock_settle = Duration::from_secs(args.clock_settle);
        let settings = Settings { clock_settle, quotas, ..settings };
        let server = Server::start(settings, args.listen, args.base_url)?;
        let (budgets, bodies) = (Budgets::of_mib(args.answers_mib), Budgets::of_bodies(args.bodies_mib));
        let connections = Connections::of_an_address(args.connections_per_address);
        let server = Server { trusted_proxies: args.trusted_proxies, budgets, bodies, connections, ..server };
        let mut out = Output::stdout(Format::Table);
        out.line(&format!("listening on {}", server.url()))?;
        out.flush()?;
        server.run(stop).await
    })
}

/// Checks that the machine's clock shows a possible time. With `accept`, records it as the newest time of the store.
fn check_clock(log: &SqliteLog, accept: bool) -> Result<(), Failure> {
    let now = SystemClock.now();
    check_possible(now).map_err(LogError::from)?;
    if accept && let Some(mark) = log.clock_mark()?.filter(|mark| *mark > now) {
        tracing::warn!("the clock counts from `{now}` on, though this store has seen `{mark}`");
        let (workspace, side_writes) =
            (WorkspaceId::from_uuid(uuid::Uuid::nil()), vec![SideWrite::ResetClockMark(now)]);
        log.append(&[Append { workspace, expected: Revision::ZERO, events: Vec::new(), side_writes }])?;
    }
    Ok(())
}

/// Runs a server to its end. Work that blocks after that is left behind: a disk that hangs must not keep the process.
pub(super) fn block_on(server: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = runtime()?;
    let served = runtime.block_on(server);
    runtime.shutdown_timeout(BLOCKED_TIME_MAX);
    served
}

pub(super) fn runtime() -> Result<Runtime, Failure> {
    Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::server(format!("the system gave no threads: {error}")))
}

/// Returns the settings of a service over a log.
pub(super) fn settings(
    log: SqliteLog,
    clock: Arc<dyn Clock>,
    (operator, signer): (Secret, Signer),
    cache_bytes: u64,
) -> Settings {
    let (clock_settle, quotas) = (Duration::from_secs(SETTLE_SECONDS_DEFAULT), Quotas::default());
    let (log, ids) = (Arc::new(log), Arc::new(RandomIdGenerator));
    Settings { log, clock, clock_settle, ids, operator, cache_bytes, signer, quotas }
}

/// A service with a listening socket.
pub(super) struct Server {
    pub(super) service: Arc<Service>,
    timelines: AccessTimelineCache,
    listener: TcpListener,
    address: SocketAddr,
    base_url: Option<BaseUrl>,
    trusted_proxies: TrustedProxies,
    budgets: Budgets,
    bodies: Budgets,
    connections: Connections,
    metrics: PrometheusHandle,
}

impl Server {
    /// Starts a service and listens. Connections wait until [`run`](Self::run).
    pub(super) fn start(settings: Settings, listen: SocketAddr, base_url: Option<BaseUrl>) -> Result<Self, Failure> {
        let cannot_listen = |error| Failure::server(format!("cannot listen on `{listen}`: {error}"));
        let listener = open_listener(listen).map_err(cannot_listen)?;
        let address = listener.local_addr().map_err(cannot_listen)?;
        let metrics = telemetry::start_metrics().map_err(|error| Failure::server(error.to_string()))?;
        let timelines = AccessTimelineCache::with_capacity(settings.cache_bytes / TIMELINES_PART);
        let service = Service::start(settings).map_err(|error| Failure::server(error.to_string()))?;
        Ok(Self {
            service,
            timelines,
            listener,
            address,
            base_url,
            trusted_proxies: TrustedProxies::default(),
            budgets: Budgets::default(),
            bodies: Budgets::of_bodies(BODIES_MIB_DEFAULT),
            connections: Connections::default(),
            metrics,
        })
    }

    /// Returns the address of the listening socket as a URL.
    pub(super) fn url(&self) -> String {
        BaseUrl::of(self.address).to_string()
    }

    /// Serves until `shutdown` completes, then finishes running requests and stops the service.
    pub(super) async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), Failure> {
        let Self {
            service,
            timelines,
            listener,
            address,
            base_url,
            trusted_proxies,
            budgets,
            bodies,
            connections,
            metrics,
        } = self;
        if base_url.is_none() && address.ip().is_unspecified() {
            tracing::warn!("`http://{address}` cannot be reached: set --base-url to the address from outside");
        }
        let base_url = base_url.unwrap_or_else(|| BaseUrl::of(address)).to_string();
        let upkeep = tokio::spawn(keep_metrics(metrics.clone()));
        let metrics = Box::new(move || metrics.render());
        let (streams, auth_rate_limiter) = (Streams::default(), AuthRateLimiter::default());
        let cursors = service.cursor_key().await.map_err(|error| Failure::server(error.to_string()))?;
        let cursors = CursorKey::of(cursors);
        let app = App {
            service: Arc::clone(&service),
            timelines,
            base_url,
            metrics,
            budgets,
            bodies,
            connections,
            cursors,
            openapi: OnceLock::new(),
            streams,
            auth_rate_limiter,
            trusted_proxies,
        };
        let served = http::serve(Arc::new(app), listener, shutdown).await;
        upkeep.abort();
        // A thread that did not end may hold the store, so the store is not waited for either.
        service.stop().await.map_err(|error| Failure::server(error.to_string()))?;
        let log = Arc::clone(service.log());
        let closed = tokio::task::spawn_blocking(move || log.close()).await;
        served.map_err(|error| Failure::server(format!("the server stopped: {error}")))?;
        Ok(closed.map_err(|error| Failure::server(format!("the store was not closed: {error}")))??)
    }
}

/// Opens the listening socket. A long backlog spares other clients a retry during a flood of connections.
fn open_listener(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Runs the metrics' upkeep. Without it, histograms grow until somebody reads `/metrics`.
async fn keep_metrics(metrics: PrometheusHandle) {
    let mut period = tokio::time::interval(METRICS_UPKEEP_PERIOD);
    loop {
        period.tick().await;
        metrics.run_upkeep();
    }
}

/// Ignores SIGHUP, which a closed terminal sends: there is no configuration to reload.
fn ignore_hangups() -> Result<(), Failure> {
    let hangups = signal(SignalKind::hangup());
    let mut hangups = hangups.map_err(|error| Failure::server(format!("cannot watch for signals: {error}")))?;
    tokio::spawn(async move {
        while hangups.recv().await.is_some() {
            tracing::info!("SIGHUP: there is nothing to load anew, and the server goes on; SIGTERM stops it");
        }
    });
    Ok(())
}

/// Returns a future that completes on SIGINT or SIGTERM.
pub(super) fn stop_signal() -> Result<impl Future<Output = ()>, Failure> {
    let cannot_watch = |error| Failure::server(format!("cannot watch for signals: {error}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot_watch)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(cannot_watch)?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("stopping");
    })
}
