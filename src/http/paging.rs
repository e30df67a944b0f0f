//! Pages of lists, and the cursors that lead from one page to the next.
//!
//! All pages of a list are of the view of the first one, so the same cursor gives the same page for ever.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::cursor::CursorKey;
use super::params::{LIMIT_DEFAULT, LIMIT_MAX, Params};
use super::problem::Problem;
use super::request::{ReadAccess, RequestedView, WorkspaceRequest};
use crate::domain::model::time::{Instant, Revision};
use crate::domain::state::view::{At, View};

/// The list that the cursors of pages are written for; their question says which one it is.
const PAGES: &str = "pages";

/// A page of a list.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// The cursor of the next page; `null` at the end.
    pub next: Option<String>,
}

/// The content of a cursor: its question, the view of the first page, and the position.
#[derive(Debug, Serialize, Deserialize)]
struct PageCursor {
    question: String,
    revision: Revision,
    instant: i64,
    position: u64,
    #[serde(default)]
    offset: usize,
    /// The limit of the first page, for next pages that do not name one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    limit: Option<usize>,
}

/// The page of a search that its body asks for.
#[derive(Debug, Clone, Default)]
pub struct SearchPage {
    /// The `next_token` of the page before; none for the first.
    pub token: Option<String>,
    /// The most results of the page.
    pub limit: Option<usize>,
}

/// The page of a list that a request asks for.
pub struct Paging {
    /// The view of the first page.
    pub view: View,
    /// Whether the caller named the view.
    pub pinned: bool,
    /// The most rows of the page.
    pub limit: usize,
    /// The limit that the caller gave.
    pub limit_asked: Option<usize>,
    /// The position after the pages before; 0 for the first page.
    pub position: u64,
    /// The rows of the candidate at the position that the pages before gave.
    offset: usize,
    /// The digest that all pages of one list share.
    question: String,
    /// The limit that the cursors hold.
    carried: Option<usize>,
    key: CursorKey,
    /// Whether the caller reads every candidate, so that a position may count those that make no row.
    reads_all: bool,
}

/// The part of a search's page that its query string names: the body names the rest.
pub struct SearchPaging {
    requested: RequestedView,
    question: String,
}

impl Paging {
    /// Takes `limit`, `cursor` and the view out of the parameters. The other parameters must still be there: they belong to the question.
    ///
    /// # Errors
    /// They are not accepted, the cursor belongs to another question (422), or the budget has no room for one more list (429).
    pub fn of(request: &WorkspaceRequest, params: &mut Params) -> Result<Self, Problem> {
        request.permit()?;
        let limit_asked = params.limit()?;
        let cursor = params.text("cursor");
        let question = question(request, params);
        let first = Self {
            limit: limit_asked.unwrap_or(LIMIT_DEFAULT),
            limit_asked,
            ..Self::first_page(request, request.view(params)?, question)
        };
        let Some(cursor) = cursor else { return Ok(first) };
        let cursor = read_cursor(request, &cursor, &first.question).ok_or_else(|| {
            Problem::invalid("`cursor`: this is not the `next` of a page of the same question; ask again without it")
        })?;
        first.moved_to(request, &cursor)
    }

    fn first_page(request: &WorkspaceRequest, requested: RequestedView, question: String) -> Self {
        let RequestedView { view, pinned } = requested;
        Self {
            view,
            pinned,
            limit: LIMIT_MAX,
            limit_asked: None,
            position: 0,
            offset: 0,
            question,
            carried: None,
            key: request.app.cursors.clone(),
            reads_all: request.access == ReadAccess::All,
        }
    }

    /// Moves to the place that a cursor holds.
    fn moved_to(self, request: &WorkspaceRequest, cursor: &PageCursor) -> Result<Self, Problem> {
        let view = request.view_at(At::Both(cursor.revision, Instant::from_micros(cursor.instant)))?;
        Ok(Self { view, position: cursor.position, offset: cursor.offset, ..self })
    }

    /// Returns whether this is the first page.
    pub const fn is_first(&self) -> bool {
        self.position == 0 && self.offset == 0
    }

    /// Returns the cursor of a position.
    pub fn cursor(&self, position: u64) -> String {
        self.cursor_within(position, 0)
    }

    /// Returns the first candidate of the page, and how many of its rows the earlier pages had.
    pub fn first(&self) -> (usize, usize) {
        (usize::try_from(self.position).unwrap_or(usize::MAX), self.offset)
    }

    /// Returns the cursor of a row of a candidate, if there is more.
    pub fn next(&self, next: Option<(usize, usize)>) -> Option<String> {
        next.map(|(candidate, offset)| self.cursor_within(u64::try_from(candidate).unwrap_or(u64::MAX), offset))
    }

    /// Returns the cursor of a position and an offset into its candidate's rows.
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

    /// Returns the page of rows whose order depends on the view alone.
    pub fn page<T>(&self, rows: impl Iterator<Item = T>) -> Page<T> {
        let skip = usize::try_from(self.position).unwrap_or(usize::MAX);
        let mut items: Vec<T> = rows.skip(skip).take(self.limit.saturating_add(1)).collect();
        let more = items.len() > self.limit;
        items.truncate(self.limit);
        let end = self.position.saturating_add(u64::try_from(self.limit).unwrap_or(u64::MAX));
        Page { items, next: more.then(|| self.cursor(end)) }
    }

    /// Returns the page of the rows that candidates make; some make none. For a caller that reads everything the position counts
    /// candidates, so earlier rows cost nothing. For others it counts visible rows, so that a cursor reveals nothing hidden.
    pub fn filtered_page<C, T>(&self, candidates: impl Iterator<Item = C>, row: impl Fn(C) -> Option<T>) -> Page<T> {
        if !self.reads_all {
            return self.page(candidates.filter_map(row));
        }
        let skip = usize::try_from(self.position).unwrap_or(usize::MAX);
        let mut rows =
            candidates.enumerate().skip(skip).filter_map(|(index, candidate)| Some((index, row(candidate)?)));
        let items = rows.by_ref().take(self.limit).map(|(_, row)| row).collect();
        let next = rows.next().map(|(index, _)| self.cursor(u64::try_from(index).unwrap_or(u64::MAX)));
        Page { items, next }
    }
}

impl SearchPaging {
    /// Takes the view out of the parameters.
    ///
    /// # Errors
    /// They are not accepted.
    pub fn of(request: &WorkspaceRequest, params: &mut Params) -> Result<Self, Problem> {
        let question = question(request, params);
        Ok(Self { requested: request.view(params)?, question })
    }

    /// Returns the page that the body asks for. `identity` is the same bytes for the same search. The view of now is taken as settled, so
    /// that the same page is the same bytes.
    ///
    /// # Errors
    /// The token belongs to another search or limit (400).
    pub fn page(self, request: &WorkspaceRequest, page: SearchPage, identity: &[u8]) -> Result<Paging, Problem> {
        let question = digest(&[self.question.as_bytes(), identity]);
        let first = Paging::first_page(request, self.requested, question);
        let limit = |limit: Option<usize>| limit.unwrap_or(LIMIT_MAX).min(LIMIT_MAX);
        let Some(token) = page.token else {
            let view = if first.pinned { first.view } else { first.view.canonical() };
            return Ok(Paging {
                view,
                limit: limit(page.limit),
                limit_asked: page.limit,
                carried: page.limit,
                ..first
            });
        };
        let cursor = read_cursor(request, &token, &first.question);
        let cursor = cursor.filter(|cursor| page.limit.is_none() || page.limit == cursor.limit).ok_or_else(|| {
            Problem::malformed("`page.token`: this is not the `next_token` of the same search; search again without it")
        })?;
        // A limit of 0 on the first page is not meant for the next ones.
        let wanted = page.limit.or(cursor.limit.filter(|limit| *limit > 0));
        let first = Paging { limit: limit(wanted), limit_asked: page.limit, carried: cursor.limit, ..first };
        first.moved_to(request, &cursor)
    }
}

/// Returns the digest that all pages of one list share: of all that is asked but the cursor and the limit, and whether to explain.
fn question(request: &WorkspaceRequest, params: &Params) -> String {
    let mut params = params.pairs();
    params.retain(|(name, _)| *name != "explain");
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
