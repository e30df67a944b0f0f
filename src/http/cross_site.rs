//! Protection against cross-site requests: the first checks of a request that can change something or has a body.
//!
//! A browser adds remembered credentials to the requests of any page. So a request that names its origin must name this server's own
//! (`--base-url`), and every body must be JSON, which no form of another site can send.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE, ORIGIN};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use axum::response::IntoResponse;
use futures_util::future::{Either, FutureExt};
use tower::{Layer, Service};

use super::body::{is_empty, respond_early};
use super::connection::ConnectionTimer;
use super::problem::Problem;
use super::routes::{Route, RouteKind};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The cross-site checks of one route, as a layer around its handler.
#[derive(Debug, Clone)]
pub struct CrossSiteGuard {
    /// The server's own origin (RFC 6454 §6.2).
    origin: Arc<str>,
    /// Whether the handler refuses other media types itself, as the standard of its endpoint says.
    is_typed_by_handler: bool,
}

impl CrossSiteGuard {
    /// Returns the checks of a route; none if its requests change nothing and their bodies are ignored.
    pub fn of(route: &Route, origin: &Arc<str>) -> Option<Self> {
        let only_asks = route.method.as_ref().is_none_or(|method| *method == Method::GET);
        let guard = Self { origin: Arc::clone(origin), is_typed_by_handler: route.kind == RouteKind::Decide };
        (!only_asks).then_some(guard)
    }

    /// Checks the encoding and the media type of a body.
    ///
    /// # Errors
    /// 415.
    fn check_type(&self, headers: &HeaderMap) -> Result<(), Problem> {
        check_encoding(headers)?;
        if self.is_typed_by_handler || is_json(headers) { Ok(()) } else { Err(not_json()) }
    }

    fn check_site(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let own = |site: &HeaderValue| site == "same-origin" || site == "none";
        if !headers.get_all(SEC_FETCH_SITE).iter().all(own) {
            return Err(cross_site("a page of another site sent this request (`Sec-Fetch-Site`)", &self.origin));
        }
        match headers.get_all(ORIGIN).iter().find(|origin| origin.as_bytes() != self.origin.as_bytes()) {
            None => Ok(()),
            Some(other) => {
                let other: String = String::from_utf8_lossy(other.as_bytes()).escape_debug().take(200).collect();
                Err(cross_site(&format!("a page of `{other}` sent this request (`Origin`)"), &self.origin))
            }
        }
    }
}

fn cross_site(why: &str, origin: &str) -> Problem {
    let detail =
        format!("{why}, and changes are taken from pages of `{origin}` only: `--base-url` says where those are");
    Problem::new(StatusCode::FORBIDDEN, "cross_site", detail)
}

fn unsupported(detail: &str) -> Problem {
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
}

fn not_json() -> Problem {
    unsupported("`Content-Type` must be `application/json`")
}

/// Checks that a body has no content coding (RFC 9110 §8.4).
fn check_encoding(headers: &HeaderMap) -> Result<(), Problem> {
    let plain = |value: &HeaderValue| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity");
    if headers.get_all(CONTENT_ENCODING).iter().all(plain) {
        return Ok(());
    }
    Err(unsupported("`Content-Encoding`: bodies are taken as they are only; send this one without an encoding"))
}

/// Returns whether the media type of a body is JSON, with any parameters.
pub fn is_json(headers: &HeaderMap) -> bool {
    let essence = |value: &HeaderValue| {
        let text = value.to_str().unwrap_or_default();
        text.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
    };
    headers.contains_key(CONTENT_TYPE) && headers.get_all(CONTENT_TYPE).iter().all(essence)
}

/// Returns the origin of a URL as a browser writes it: without a path and without the default port.
pub fn origin(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let authority = rest.split('/').next().unwrap_or_default();
    let (scheme, authority) = (scheme.to_ascii_lowercase(), authority.to_ascii_lowercase());
    let usual_port = if scheme == "https" { ":443" } else { ":80" };
    format!("{scheme}://{}", authority.strip_suffix(usual_port).unwrap_or(&authority))
}

impl<S> Layer<S> for CrossSiteGuard {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { inner, guard: self.clone() }
    }
}

/// A route behind its cross-site checks.
#[derive(Debug, Clone)]
pub struct Guarded<S> {
    inner: S,
    guard: CrossSiteGuard,
}

/// A response that waits for the body.
type Delayed = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// Refuses a request because of its body, unless the body turns out to be empty: its head may not give a length.
async fn refuse_body<S>(mut inner: S, problem: Problem, request: Request<Body>) -> Result<Response<Body>, Infallible>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    if request.body().size_hint().lower() > 0 {
        return Ok(respond_early(problem.into_response(), request.into_body()).await);
    }
    let (parts, mut body) = request.into_parts();
    if is_empty(&mut body, &ConnectionTimer::of(&parts.extensions)).await {
        return inner.call(Request::from_parts(parts, Body::empty())).await;
    }
    Ok(respond_early(problem.into_response(), body).await)
}

impl<S> Service<Request<Body>> for Guarded<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<S::Future, Delayed>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if let Err(problem) = self.guard.check_site(request.headers()) {
            return respond_early(problem.into_response(), request.into_body()).map(Ok).boxed().right_future();
        }
        let has_body = !request.body().is_end_stream();
        match self.guard.check_type(request.headers()) {
            Err(problem) if has_body => refuse_body(self.inner.clone(), problem, request).boxed().right_future(),
            _ => self.inner.call(request).left_future(),
        }
    }
}
