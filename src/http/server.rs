//! The server: accepts connections, limits them, and shuts down.

use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::DATE;
use axum::http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use axum::middleware::map_response;
use axum::response::IntoResponse;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tower::Service;
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::body::{drain, respond_early};
use super::budget::PermitSlot;
use super::connection::{Connection, ConnectionTimer, RequestContext, RequestId};
use super::connections::CountedConnection;
use super::date;
use super::head::{self, HEAD_BYTES_MAX};
use super::panics;
use super::problem::Problem;
use super::response;
use super::{App, REQUEST_ID, routes};

/// The most time in which the head of a request must arrive, also on a kept-alive connection.
pub const HEAD_TIME_MAX: Duration = Duration::from_secs(30);
/// The most connections at a time; others wait to be accepted.
pub const CONNECTIONS_MAX: usize = 10_000;
/// The most time for which a client may read nothing of its response.
pub const UNREAD_TIME_MAX: Duration = Duration::from_mins(1);
/// The time that requests in flight have after a shutdown begins.
pub const DRAIN_TIME_MAX: Duration = Duration::from_secs(5);
/// The time that aborted connections have to end.
const CUT_TIME_MAX: Duration = Duration::from_secs(1);

/// The longest request id, in bytes.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// The content security policy of `/docs`: its own scripts, styles and images, and this server's responses.
const DOCS_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; \
     frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
);

const ID_HEADER: HeaderName = HeaderName::from_static(REQUEST_ID);

/// Returns the router of the whole API.
pub fn router(app: Arc<App>) -> Router {
    let docs: Router<Arc<App>> = SwaggerUi::new("/docs").config(Config::from("/openapi.json")).into();
    let docs = docs.layer(map_response(async |mut response: Response<Body>| {
        response::set_page_policy(response.headers_mut(), DOCS_POLICY);
        response
    }));
    routes::router(&app.base_url)
        .merge(docs)
        .fallback(async |request: Request<Body>| {
            drain_refused(request).await;
            Problem::new(StatusCode::NOT_FOUND, "not_found", "there is nothing at this path")
        })
        .method_not_allowed_fallback(async |request: Request<Body>| {
            drain_refused(request).await;
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this path does not take this method")
        })
        .with_state(app)
}

async fn drain_refused(request: Request<Body>) {
    let timer = ConnectionTimer::of(request.extensions());
    drain(request.into_body(), &timer).await;
}

/// Handles a request under an id, which its response and its log lines carry.
async fn handle(
    app: Arc<App>,
    mut router: Router,
    connection: Connection,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let mut request = request.map(Body::new);
    let permit = connection.permit.clone();
    let given = request.headers().get(REQUEST_ID).filter(|id| is_request_id(id)).cloned();
    let id = given.map_or_else(|| RequestId::Made(crate::service::id_generator::request_id()), RequestId::Given);
    request.extensions_mut().insert(RequestContext { connection, id: id.clone() });
    let answered = async {
        let mut response = match head::check(&request) {
            // The router is always ready, and never fails.
            Ok(()) => router.call(request).await?,
            Err(problem) => respond_early(problem.into_response(), request.into_body()).await,
        };
        if let Some(date) = date::value(app.service.clock().read().time) {
            response.headers_mut().insert(DATE, date);
        }
        Ok::<_, Infallible>(response)
    };
    let mut response = panics::contain(&id, panics::catch(&id, answered).await?);
    if response.status() == StatusCode::INTERNAL_SERVER_ERROR {
        tracing::error!(request_id = id.as_str(), status = response.status().as_u16(), "failed");
    }
    if let Some(permit) = permit.take() {
        response = permit.carried_by(response);
    }
    response.headers_mut().insert(ID_HEADER, id.into_header());
    Ok(response)
}

fn is_request_id(id: &HeaderValue) -> bool {
    (1..=REQUEST_ID_BYTES_MAX).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
}

/// Serves until `shutdown` is ready or a thread of the service fails. Then it accepts no more connections, ends the live streams,
/// finishes the requests in flight, and returns. The caller stops the service.
///
/// # Errors
/// A thread of the service ended unexpectedly.
pub async fn serve(app: Arc<App>, listener: TcpListener, shutdown: impl Future<Output = ()>) -> std::io::Result<()> {
    let router = router(Arc::clone(&app));
    let graceful = GracefulShutdown::new();
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let (cut, uncut) = watch::channel(());
    let end = async {
        tokio::select! {
            () = shutdown => Ok(()),
            thread = app.service.until_failed() => Err(std::io::Error::other(format!("its thread `{thread}` failed"))),
        }
    };
    tokio::pin!(end);
    let ended = loop {
        let (stream, peer, slots) = tokio::select! {
            accepted = accept(&app, &listener, &connections) => accepted,
            ended = &mut end => break ended,
        };
        let router = router.clone();
        let timer = ConnectionTimer::default();
        let http = http(timer.clone());
        let connection = Connection { peer, timer, permit: PermitSlot::default() };
        let app = Arc::clone(&app);
        let service = service_fn(move |request| handle(Arc::clone(&app), router.clone(), connection.clone(), request));
        let connection = http.serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        let mut uncut = uncut.clone();
        tokio::spawn(async move {
            tokio::select! {
                biased;
                ended = connection => if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended early");
                },
                _ = uncut.changed() => {}
            }
            drop(slots);
        });
    };
    drop(listener);
    app.streams.end();
    if tokio::time::timeout(DRAIN_TIME_MAX, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests were still in flight when the server stopped");
        // Their responses are dropped while the service still runs, so that the journal gets their row counts.
        drop(cut);
        let all = u32::try_from(CONNECTIONS_MAX).unwrap_or(u32::MAX);
        let _ = tokio::time::timeout(CUT_TIME_MAX, connections.acquire_many(all)).await;
    }
    ended
}

fn http(timer: ConnectionTimer) -> hyper::server::conn::http1::Builder {
    let mut http = hyper::server::conn::http1::Builder::new();
    http.auto_date_header(false)
        .timer(timer)
        .header_read_timeout(HEAD_TIME_MAX)
        .max_buf_size(HEAD_BYTES_MAX.max(8_192));
    http
}

/// The slots of an open connection: one of the server, and one of its address unless that is a trusted proxy's.
type ConnectionSlots = (Option<OwnedSemaphorePermit>, Option<CountedConnection>);

/// Accepts the next connection, as soon as a slot is free. One from an address at its limit is closed at once.
async fn accept(
    app: &App,
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
) -> (TcpStream, IpAddr, ConnectionSlots) {
    let permit = Arc::clone(connections).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let counted = app.connections.count(peer.ip());
                if counted.is_none() && !app.trusted_proxies.trust(peer.ip().to_canonical()) {
                    metrics::counter!("tenure_connections_refused_total").increment(1);
                    continue;
                }
                // Small responses are sent at once (Nagle's algorithm off).
                let _ = stream.set_nodelay(true);
                // A client that does not read its response must not keep a connection for ever.
                let _ = SockRef::from(&stream).set_tcp_user_timeout(Some(UNREAD_TIME_MAX));
                return (stream, peer.ip(), (permit, counted));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}
