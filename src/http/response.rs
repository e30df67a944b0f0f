//! Responses: their headers and their JSON.

use axum::body::{Body, Bytes};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, LOCATION, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use schemars::JsonSchema;
use serde::Serialize;

use super::problem::Problem;
use crate::domain::model::time::{Instant, Revision};
use crate::domain::state::view::View;
use crate::proof::frontier::TreeHead;

const TENURE_REVISION: HeaderName = HeaderName::from_static("tenure-revision");
const TENURE_AT: HeaderName = HeaderName::from_static("tenure-at");
/// The header that says, as `behind`, that the newest event is later than the instant of the response: a wrong clock wrote it.
const TENURE_CLOCK: HeaderName = HeaderName::from_static("tenure-clock");
/// The word for a clock that is behind the newest event of a workspace.
pub const BEHIND: &str = "behind";
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// The usual number of headers, for the initial capacity.
const HEADERS_USUAL: usize = 9;

fn number(revision: Revision) -> HeaderValue {
    HeaderValue::from(revision.0)
}

/// Returns a response of JSON bytes.
pub fn json(status: StatusCode, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    *response.headers_mut() = HeaderMap::with_capacity(HEADERS_USUAL);
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    set_no_store(response.headers_mut());
    response
}

/// Sets the content security policy of a page, and forbids guessing its media type.
pub fn set_page_policy(headers: &mut HeaderMap, policy: HeaderValue) {
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

/// Forbids caching.
pub fn set_no_store(headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

/// Serializes a value as JSON bytes.
///
/// # Errors
/// None with the types of this API: serialization is fallible by its signature only.
pub fn to_json(value: &impl Serialize) -> Result<Vec<u8>, Problem> {
    serde_json::to_vec(value).map_err(|error| {
        tracing::error!(%error, "an answer could not be written");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the answer could not be written")
    })
}

/// Sets `ETag` to the newest revision, for the `If-Match` of a change.
pub fn set_etag(headers: &mut HeaderMap, head: Revision) {
    let etag = [b"\"", number(head).as_bytes(), b"\""].concat();
    if let Ok(etag) = HeaderValue::from_maybe_shared(Bytes::from(etag)) {
        headers.insert(ETAG, etag);
    }
}

/// Sets the headers that name the view of a response, so that a client can ask for it again.
pub fn set_view(headers: &mut HeaderMap, view: &View) {
    set_etag(headers, view.workspace().head());
    set_revision(headers, view.revision(), view.instant());
    set_clock(headers, view.is_behind_head());
}

/// Sets the headers that name the revision and the instant of a change.
pub fn set_change(headers: &mut HeaderMap, revision: Revision, instant: Instant) {
    set_etag(headers, revision);
    set_revision(headers, revision, instant);
}

/// Sets `Tenure-Clock` if the clock is behind the newest event.
pub fn set_clock(headers: &mut HeaderMap, is_behind: bool) {
    if is_behind {
        headers.insert(TENURE_CLOCK, HeaderValue::from_static(BEHIND));
    }
}

fn set_revision(headers: &mut HeaderMap, revision: Revision, instant: Instant) {
    headers.insert(TENURE_REVISION, number(revision));
    set_instant(headers, instant);
}

/// Sets `Tenure-At` to the instant of the response.
pub fn set_instant(headers: &mut HeaderMap, instant: Instant) {
    if let Ok(at) = HeaderValue::try_from(instant.to_string()) {
        headers.insert(TENURE_AT, at);
    }
}

/// Returns a JSON response about a view.
///
/// # Errors
/// As [`to_json`].
pub fn for_view(view: &View, body: &impl Serialize) -> Result<Response<Body>, Problem> {
    let mut response = json(StatusCode::OK, to_json(body)?);
    set_view(response.headers_mut(), view);
    Ok(response)
}

/// Every byte but the unreserved ones (RFC 3986 §2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Percent-encodes a text as a segment of a path or a value of a query (RFC 3986 §2.1).
pub fn escaped(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// Sets `Location` to the path of a new entity.
pub fn set_location(headers: &mut HeaderMap, location: &str) {
    if let Ok(location) = HeaderValue::try_from(location) {
        headers.insert(LOCATION, location);
    }
}

/// The checkpoint of the log that includes a change. A client that keeps it can demand proof, at any later time, that the log only
/// grew since.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct NamedCheckpoint {
    /// The number of events in the log.
    pub size: u64,
    /// The root of the tree over them (RFC 6962 §2.1), in base64.
    pub root: String,
}

impl From<TreeHead> for NamedCheckpoint {
    fn from(tree: TreeHead) -> Self {
        Self { size: tree.size, root: tree.root.to_string() }
    }
}
