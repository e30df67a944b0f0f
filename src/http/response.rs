//! Answers: the headers that name the view, pages of lists, and what a change says.

use axum::body::{Body, Bytes};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, LOCATION, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::cursor::CursorKey;
use super::params::{LIMIT_DEFAULT, LIMIT_MAX};
use super::problem::Problem;
use super::request::{ReadAccess, WorkspaceRequest};
use crate::domain::time::{Instant, Revision};
use crate::domain::view::{At, View};
use crate::proof::frontier::TreeHead;

/// The list that the cursors of pages are written for; their question says which it is.
const PAGES: &str = "pages";

const TENURE_REVISION: HeaderName = HeaderName::from_static("tenure-revision");
const TENURE_AT: HeaderName = HeaderName::from_static("tenure-at");
/// Says, as `behind`, that the newest event is later than the instant that an answer is about: it was written under a wrong clock.
const TENURE_CLOCK: HeaderName = HeaderName::from_static("tenure-clock");
/// What is said of a clock that is behind the newest event of a workspace.
pub const BEHIND: &str = "behind";
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// How many headers an answer has at most in the usual case, so that there is room for them from the start.
const HEADERS_USUAL: usize = 9;

fn number(revision: Revision) -> HeaderValue {
    HeaderValue::from(revision.0)
}

/// JSON bytes as an answer.
pub fn json(status: StatusCode, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    *response.headers_mut() = HeaderMap::with_capacity(HEADERS_USUAL);
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    set_no_store(response.headers_mut());
    response
}

/// Tells a browser what a page may load, that nobody may frame it, and to guess no media type.
pub fn set_page_policy(headers: &mut HeaderMap, policy: HeaderValue) {
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

/// Says that no cache may keep an answer.
pub fn set_no_store(headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

/// A value as JSON bytes.
///
/// # Errors
/// None that can arise with the shapes of this API; serialisation is fallible by type.
pub fn to_json(value: &impl Serialize) -> Result<Vec<u8>, Problem> {
    serde_json::to_vec(value).map_err(|error| {
        tracing::error!(%error, "an answer could not be written");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the answer could not be written")
    })
}

/// Names the newest revision, so that a write can be made to match it.
pub fn set_etag(headers: &mut HeaderMap, head: Revision) {
    let etag = [b"\"", number(head).as_bytes(), b"\""].concat();
    if let Ok(etag) = HeaderValue::from_maybe_shared(Bytes::from(etag)) {
        headers.insert(ETAG, etag);
    }
}

/// Names the view that an answer is about, so that it can be asked again.
pub fn set_view(headers: &mut HeaderMap, view: &View) {
    set_etag(headers, view.workspace().head());
    set_revision(headers, view.revision(), view.instant());
    set_clock(headers, view.is_behind_head());
}

/// Names what a change left: the newest revision, as of when it was answered first.
pub fn set_change(headers: &mut HeaderMap, revision: Revision, instant: Instant) {
    set_etag(headers, revision);
    set_revision(headers, revision, instant);
}

/// Says so where the clock is behind the newest event, and the instant before it.
pub fn set_clock(headers: &mut HeaderMap, is_behind: bool) {
    if is_behind {
        headers.insert(TENURE_CLOCK, HeaderValue::from_static(BEHIND));
    }
}

fn set_revision(headers: &mut HeaderMap, revision: Revision, instant: Instant) {
    headers.insert(TENURE_REVISION, number(revision));
    set_instant(headers, instant);
}

/// Names the instant that an answer is about.
pub fn set_instant(headers: &mut HeaderMap, instant: Instant) {
    if let Ok(at) = HeaderValue::try_from(instant.to_string()) {
        headers.insert(TENURE_AT, at);
    }
}

/// An answer about a view.
///
/// # Errors
/// None that can arise; see [`to_json`].
pub fn for_view(view: &View, body: &impl Serialize) -> Result<Response<Body>, Problem> {
    let mut response = json(StatusCode::OK, to_json(body)?);
    set_view(response.headers_mut(), view);
    Ok(response)
}

/// A text as a segment of a path, or as a value of a query (RFC 3986 §2.1).
pub fn escaped(text: &str) -> String {
    let unreserved = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    let escape = |b: u8| if unreserved(b) { char::from(b).to_string() } else { format!("%{b:02X}") };
    text.bytes().map(escape).collect()
}

/// Where a new entity is.
pub fn set_location(headers: &mut HeaderMap, location: &str) {
    if let Ok(location) = HeaderValue::try_from(location) {
        headers.insert(LOCATION, location);
    }
}

/// Which checkpoint of the log an answer rests on: whoever keeps it can have proved, for ever, that the log only grew since.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct NamedCheckpoint {
    /// How many events the log has there.
    pub size: u64,
    /// The root of the tree over them (RFC 6962 §2.1), in base64.
    pub root: String,
}

impl From<TreeHead> for NamedCheckpoint {
    fn from(tree: TreeHead) -> Self {
        Self { size: tree.size, root: tree.root.to_string() }
    }
}

/// A page of a list.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// The cursor of the next page; `null` at the end.
    pub next: Option<String>,
}

/// What a cursor holds: the question it belongs to, the view of its first page, and how far it is.
#[derive(Debug, Serialize, Deserialize)]
struct PageCursor {
    question: String,
    revision: Revision,
    instant: i64,
    position: u64,
    #[serde(default)]
    offset: usize,
    /// The limit of the first page, where the next ones need not say it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    limit: Option<usize>,
}

/// Which page of a search is asked for, in its body.
#[derive(Debug, Clone, Default)]
pub struct SearchPage {
    /// The `next_token` of the page before; none for the first.
    pub token: Option<String>,
    /// How many results are wanted at most.
    pub limit: Option<usize>,
}

/// Which page of a list is asked for.
pub struct Paging {
    /// The view of the first page.
    pub view: View,
    /// Whether the caller named the view.
    pub pinned: bool,
    /// How many rows are wanted.
    pub limit: usize,
    /// The limit that the caller gave.
    pub limit_asked: Option<usize>,
    /// How far the pages before went; 0 for the first.
    pub position: u64,
    /// How many rows of the candidate at the position the pages before gave.
    offset: usize,
    question: String,
    /// The limit that the cursors hold.
    carried: Option<usize>,
    key: CursorKey,
    /// Whether the reader sees every candidate, so that a position may count those that make no row.
    sees_all: bool,
}

impl Paging {
    /// Takes `limit`, `cursor` and the view out of the parameters; the others must be taken out after this.
    ///
    /// # Errors
    /// They are not accepted, the cursor belongs to another question, or there is no room for one more list.
    pub fn of(request: &mut WorkspaceRequest) -> Result<Self, Problem> {
        request.permit()?;
        let limit_asked = request.params.limit()?;
        let limit = limit_asked.unwrap_or(LIMIT_DEFAULT);
        let cursor = request.params.text("cursor");
        let question = question(request);
        let (key, sees_all) = (request.app.cursors.clone(), request.access == ReadAccess::All);
        let (first, pinned) = request.view()?;
        let Some(cursor) = cursor else {
            return Ok(Self {
                view: first,
                pinned,
                limit,
                limit_asked,
                position: 0,
                offset: 0,
                question,
                carried: None,
                key,
                sees_all,
            });
        };
        let cursor = read_cursor(request, &cursor, &question).ok_or_else(|| {
            Problem::invalid("`cursor`: this is not the `next` of a page of the same question; ask again without it")
        })?;
        let at = At::Both(cursor.revision, Instant::from_micros(cursor.instant));
        let PageCursor { position, offset, .. } = cursor;
        let view = request.view_at(at)?;
        Ok(Self { view, pinned, limit, limit_asked, position, offset, question, carried: None, key, sees_all })
    }

    /// Takes the view out of the parameters; `asked` is what is searched for, in a form that is the same for the same. The pages
    /// are of the first one's view, and of its limit. A view of now is taken as settled, so that the same page is the same bytes.
    ///
    /// # Errors
    /// The view is not accepted (422), or the token belongs to another question or limit (400).
    pub fn of_search(request: &mut WorkspaceRequest, page: SearchPage, asked: &[u8]) -> Result<Self, Problem> {
        let question = digest(&[question(request).as_bytes(), asked]);
        let (key, sees_all) = (request.app.cursors.clone(), request.access == ReadAccess::All);
        let (first, pinned) = request.view()?;
        let limit = |limit: Option<usize>| limit.unwrap_or(LIMIT_MAX).min(LIMIT_MAX);
        let Some(token) = page.token else {
            let view = if pinned { first } else { first.settled() };
            let (limit, limit_asked) = (limit(page.limit), page.limit);
            return Ok(Self {
                view,
                pinned,
                limit,
                limit_asked,
                position: 0,
                offset: 0,
                question,
                carried: limit_asked,
                key,
                sees_all,
            });
        };
        let cursor =
            read_cursor(request, &token, &question).filter(|cursor| page.limit.is_none() || page.limit == cursor.limit);
        let PageCursor { revision, instant, position, offset, limit: carried, .. } = cursor.ok_or_else(|| {
            Problem::malformed("`page.token`: this is not the `next_token` of the same search; search again without it")
        })?;
        let view = request.view_at(At::Both(revision, Instant::from_micros(instant)))?;
        // Whoever asked for no result at first, and now for the next ones, wants some.
        let limit = limit(page.limit.or(carried.filter(|limit| *limit > 0)));
        Ok(Self { view, pinned, limit, limit_asked: page.limit, position, offset, question, carried, key, sees_all })
    }

    /// Whether this is the first page.
    pub const fn is_first(&self) -> bool {
        self.position == 0 && self.offset == 0
    }

    /// The cursor of what comes after a position.
    pub fn cursor(&self, position: u64) -> String {
        self.cursor_within(position, 0)
    }

    /// The first candidate of the page, and how many of its rows the pages before gave.
    pub fn first(&self) -> (usize, usize) {
        (usize::try_from(self.position).unwrap_or(usize::MAX), self.offset)
    }

    /// The cursor of what begins with a row of a candidate, if there is more.
    pub fn next(&self, place: Option<(usize, usize)>) -> Option<String> {
        place.map(|(candidate, offset)| self.cursor_within(u64::try_from(candidate).unwrap_or(u64::MAX), offset))
    }

    /// The cursor of what comes after some rows of the candidate at a position.
    fn cursor_within(&self, position: u64, offset: usize) -> String {
        let cursor = PageCursor {
            question: self.question.clone(),
            revision: self.view.revision(),
            instant: self.view.instant().micros(),
            position,
            offset,
            limit: self.carried,
        };
        self.key.seal(PAGES, &cursor)
    }

    /// The page of rows that come in an order that depends only on the view.
    pub fn page<T>(&self, rows: impl Iterator<Item = T>) -> Page<T> {
        let skip = usize::try_from(self.position).unwrap_or(usize::MAX);
        let mut items: Vec<T> = rows.skip(skip).take(self.limit.saturating_add(1)).collect();
        let more = items.len() > self.limit;
        items.truncate(self.limit);
        let end = self.position.saturating_add(u64::try_from(self.limit).unwrap_or(u64::MAX));
        Page { items, next: more.then(|| self.cursor(end)) }
    }

    /// The page of the rows that candidates make, some of them none. For a reader who sees everything the position counts candidates,
    /// so that a page costs nothing for the rows of those before it; for others it counts rows, and tells of nothing hidden.
    pub fn pick<C, T>(&self, candidates: impl Iterator<Item = C>, row: impl Fn(C) -> Option<T>) -> Page<T> {
        if !self.sees_all {
            return self.page(candidates.filter_map(row));
        }
        let skip = usize::try_from(self.position).unwrap_or(usize::MAX);
        let mut rows =
            candidates.enumerate().skip(skip).filter_map(|(place, candidate)| Some((place, row(candidate)?)));
        let items = rows.by_ref().take(self.limit).map(|(_, row)| row).collect();
        let next = rows.next().map(|(place, _)| self.cursor(u64::try_from(place).unwrap_or(u64::MAX)));
        Page { items, next }
    }
}

/// What makes two requests for pages belong together: all but the cursor and the limit.
fn question(request: &WorkspaceRequest) -> String {
    let mut params = request.params.pairs();
    params.sort_unstable();
    let params: Vec<_> = params.iter().map(|(name, value)| format!("\n{}={name}{value}", name.len())).collect();
    let path = request.uri_path().rsplit_once("/workspaces/").map_or("", |(_, path)| path);
    digest(&[request.root.id().uuid().as_bytes(), path.as_bytes(), params.concat().as_bytes()])
}

fn digest(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    let digest: [u8; 32] = hash.finalize().into();
    URL_SAFE_NO_PAD.encode(digest.get(..12).unwrap_or_default())
}

fn read_cursor(request: &WorkspaceRequest, text: &str, question: &str) -> Option<PageCursor> {
    let cursor: PageCursor = request.app.cursors.open(PAGES, text)?;
    (cursor.question == question).then_some(cursor)
}
