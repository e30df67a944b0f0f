//! Responses of rows: a page as JSON, or all rows as a stream of NDJSON or CSV lines.
//!
//! A stream is made piece by piece in the pool for audits, each after the client has read the one before. It holds neither its rows nor a
//! thread, and ends when the client disconnects.

use std::ops::Range;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, HeaderValue, Response};
use futures_util::stream;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;

use super::accept::FORMS_OF_ROWS;
use super::budget::Permit;
use super::guard::AuditRequest;
use super::journal::{self, Recording};
use super::paging::{Page, Paging};
use super::problem::Problem;
use super::request::{ReadAccess, read_access};
use super::response;
use crate::domain::model::id::WorkspaceId;
use crate::domain::model::principal::Caller;
use crate::domain::state::view::View;
use crate::log::LogError;
use crate::log::journal::AnswerForm;
use crate::query::AuditQuery;
use crate::query::format::RowFormat;
use crate::service::Service;
use crate::service::feed::CredentialState;

/// The approximate size of a piece of a stream, in bytes.
const PIECE_BYTES: usize = 64 * 1_024;
/// The most candidates of one piece.
const PIECE_CANDIDATES_MAX: usize = 1_024;

/// The approximate size, in bytes, at which a page ends early.
pub const PAGE_BYTES: usize = 4 * 1_024 * 1_024;
/// The number of pieces after which a page ends early.
const PAGE_PIECES_MAX: usize = 1_024;

const TENURE_NEXT: HeaderName = HeaderName::from_static("tenure-next");

/// A page of rows, with the question and the view, so that a client can ask again.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RowsBody<A, R> {
    /// The question and the view.
    #[serde(flatten)]
    pub about: A,
    /// The rows.
    #[serde(flatten)]
    pub page: Page<R>,
}

/// Responds in the form that the request prefers. JSON comes a page at a time. The other forms are a page if there is a `limit`, with the
/// cursor in `Tenure-Next`, and all rows otherwise.
///
/// # Errors
/// 406 without a matching form, 429 without room in the budgets, 503 if the server is stopping.
pub async fn respond<Q>(
    request: &AuditRequest,
    paging: Paging,
    about: impl Serialize,
    question: Q,
) -> Result<Response<Body>, Problem>
where
    Q: AuditQuery + 'static,
{
    respond_in(FORMS_OF_ROWS, request, paging, about, question).await
}

/// Responds as [`respond`] does, in one of these forms. A batch of events is a page without the question and the view.
///
/// # Errors
/// As [`respond`].
pub async fn respond_in<Q>(
    forms: &[AnswerForm],
    request: &AuditRequest,
    paging: Paging,
    about: impl Serialize,
    question: Q,
) -> Result<Response<Body>, Problem>
where
    Q: AuditQuery + 'static,
{
    let form = AnswerForm::negotiate(request.headers(), forms)?;
    let (service, permit) = (&request.app.service, request.permit()?);
    let view = paging.view.clone();
    let is_stream = matches!(form, AnswerForm::Ndjson | AnswerForm::Csv);
    if is_stream && paging.limit_asked.is_none() && paging.is_first() {
        let recording = journal::begin(request, &view, form).await?;
        let (service, question) = (Arc::clone(service), Arc::new(question));
        permit.grow(2 * PIECE_BYTES)?;
        let (caller, workspace) = (request.caller.clone(), request.root.id());
        let stream = RowStream { service, caller, workspace, permit, question, form, position: 0, recording };
        let mut response = Response::new(Body::from_stream(stream.into_stream()));
        set_headers(&mut response, form, &view);
        return Ok(response);
    }
    let Gathered { items, next } = gather(service, &permit, &Arc::new(question), paging.first(), paging.limit).await?;
    let page = Page { items, next: paging.next(next) };
    journal::record(request, &view, form, page.items.len()).await?;
    page_response(form, Q::COLUMNS, &view, about, page)
}

/// Rows of a question as JSON, and the place to continue from.
pub struct Gathered {
    /// The rows.
    pub items: Vec<Box<RawValue>>,
    /// A candidate, and how many of its rows are among these; none at the end.
    pub next: Option<(usize, usize)>,
}

/// Gathers up to `limit` rows from a place on, or fewer if they are large or sparse. It works piece by piece, so that concurrent requests
/// take turns.
///
/// # Errors
/// 429 if the permit has no room for them, 503 if the server is stopping.
pub async fn gather<Q: AuditQuery + 'static>(
    service: &Service,
    permit: &Permit,
    question: &Arc<Q>,
    first: (usize, usize),
    limit: usize,
) -> Result<Gathered, Problem> {
    let mut gathered = Gathered { items: Vec::new(), next: Some(first) };
    let (mut bytes, mut pieces) = (0, 0);
    while let Some(from) = gathered.next.filter(|_| gathered.items.len() < limit) {
        if bytes >= PAGE_BYTES || pieces >= PAGE_PIECES_MAX {
            break;
        }
        let (question, left) = (Arc::clone(question), limit - gathered.items.len());
        let piece = permit.run(service, move || piece(question.as_ref(), from, left)).await?;
        let more = piece.items.iter().map(|row| row.get().len()).sum::<usize>();
        permit.grow(more)?;
        bytes += more;
        pieces += 1;
        gathered.items.extend(piece.items);
        gathered.next = piece.next;
    }
    Ok(gathered)
}

/// Calls `work` for all candidates of a question, piece by piece, so that concurrent requests take turns. `put` receives the results.
///
/// # Errors
/// `Unavailable` if the server is stopping.
pub async fn in_turns<Q: AuditQuery + 'static, T: Send + 'static>(
    service: &Service,
    permit: &Permit,
    question: &Arc<Q>,
    work: fn(&Q, Range<usize>) -> T,
    mut put: impl FnMut(T),
) -> Result<(), LogError> {
    let mut first = 0;
    while first < question.candidates() {
        let question = Arc::clone(question);
        let end = end_of_piece(question.as_ref(), first);
        put(permit.run(service, move || work(question.as_ref(), first..end)).await?);
        first = end;
    }
    Ok(())
}

/// Returns the end of the piece that begins with a candidate.
fn end_of_piece<Q: AuditQuery>(question: &Q, first: usize) -> usize {
    let most = (PIECE_CANDIDATES_MAX / question.weight().max(1)).max(1);
    question.candidates().min(first.saturating_add(most))
}

/// Returns up to `limit` rows of one piece.
fn piece<Q: AuditQuery>(question: &Q, (first, offset): (usize, usize), limit: usize) -> Gathered {
    let end = end_of_piece(question, first);
    let (mut items, mut bytes) = (Vec::new(), 0);
    for candidate in first..end {
        let skipped = if candidate == first { offset } else { 0 };
        for (index, row) in question.rows(candidate).iter().enumerate().skip(skipped) {
            if items.len() == limit || bytes >= PIECE_BYTES {
                return Gathered { items, next: Some((candidate, index)) };
            }
            if let Ok(row) = serde_json::value::to_raw_value(row) {
                bytes += row.get().len();
                items.push(row);
            }
        }
    }
    Gathered { items, next: (end < question.candidates()).then_some((end, 0)) }
}

/// Returns a page of rows in a form.
///
/// # Errors
/// As [`response::to_json`].
pub fn page_response<R: Serialize>(
    form: AnswerForm,
    columns: &[&str],
    view: &View,
    about: impl Serialize,
    page: Page<R>,
) -> Result<Response<Body>, Problem> {
    let Page { items, next } = page;
    let text = match form {
        AnswerForm::Json => return response::for_view(view, &RowsBody { about, page: Page { items, next } }),
        AnswerForm::CloudeventsBatch => response::to_json(&items)?,
        _ => {
            let format = row_format(form);
            let lines = items.iter().flat_map(|row| format.line(columns, row));
            format.header(columns).into_iter().chain(lines).collect()
        }
    };
    let mut response = Response::new(Body::from(text));
    set_headers(&mut response, form, view);
    set_next(&mut response, form, next);
    Ok(response)
}

/// Sets `Content-Type`, and `Tenure-Next` to the cursor of the next page.
pub fn set_next(response: &mut Response<Body>, form: AnswerForm, next: Option<String>) {
    response.headers_mut().insert(CONTENT_TYPE, form.content_type());
    if let Some(Ok(next)) = next.map(HeaderValue::try_from) {
        response.headers_mut().insert(TENURE_NEXT, next);
    }
}

fn set_headers(response: &mut Response<Body>, form: AnswerForm, view: &View) {
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, form.content_type());
    response::set_no_store(headers);
    response::set_view(headers, view);
}

/// Returns the format of a form that has one row a line.
fn row_format(form: AnswerForm) -> RowFormat {
    if form == AnswerForm::Csv { RowFormat::Csv } else { RowFormat::Ndjson }
}

/// A stream of rows, and how far it is.
struct RowStream<Q> {
    service: Arc<Service>,
    caller: Caller,
    workspace: WorkspaceId,
    permit: Permit,
    question: Arc<Q>,
    form: AnswerForm,
    position: usize,
    recording: Recording,
}

impl<Q: AuditQuery + 'static> RowStream<Q> {
    fn into_stream(self) -> impl stream::Stream<Item = std::io::Result<Bytes>> {
        let first = Bytes::from(row_format(self.form).header(Q::COLUMNS));
        stream::unfold((self, Some(first)), |(mut source, first)| async {
            if let Some(first) = first {
                return Some((Ok(first), (source, None)));
            }
            match source.piece().await {
                Ok(piece) if piece.is_empty() => None,
                Ok(piece) => Some((Ok(Bytes::from(piece)), (source, None))),
                Err(error) => {
                    source.position = usize::MAX;
                    Some((Err(error), (source, None)))
                }
            }
        })
    }

    /// Checks that the caller may still read everything, on the newest facts: a slow client can take hours.
    async fn check_reader(&self) -> std::io::Result<()> {
        let ended = || std::io::Error::other("the right to read this has ended");
        let root = self.service.workspace(self.workspace).await.map_err(std::io::Error::other)?.ok_or_else(ended)?;
        let state = self.service.credential_state(&self.caller, &root).await.map_err(std::io::Error::other)?;
        let reads_all =
            read_access(&self.caller, &root, self.service.now()).is_ok_and(|access| access == ReadAccess::All);
        if reads_all && state != CredentialState::Ended { Ok(()) } else { Err(ended()) }
    }

    /// Returns the next lines; none at the end. The stream fails if the caller may no longer read.
    async fn piece(&mut self) -> std::io::Result<Vec<u8>> {
        while self.position < self.question.candidates() {
            if self.position > 0 {
                self.check_reader().await?;
            }
            let (question, form, from) = (Arc::clone(&self.question), self.form, self.position);
            let made = self.permit.run(&self.service, move || encode_piece(question.as_ref(), form, from)).await;
            let Piece { text, rows, end } = made.map_err(std::io::Error::other)?;
            self.position = end;
            self.recording.sent(rows);
            if !text.is_empty() {
                return Ok(text);
            }
        }
        Ok(Vec::new())
    }
}

/// A piece of a stream.
struct Piece {
    text: Vec<u8>,
    rows: usize,
    /// The candidate after the last one of the piece.
    end: usize,
}

/// Returns about one piece of lines from a candidate on.
fn encode_piece<Q: AuditQuery>(question: &Q, form: AnswerForm, from: usize) -> Piece {
    let last = end_of_piece(question, from);
    let mut piece = Piece { text: Vec::new(), rows: 0, end: from };
    while piece.end < last && piece.text.len() < PIECE_BYTES {
        for row in question.rows(piece.end) {
            piece.text.extend(row_format(form).line(Q::COLUMNS, &row));
            piece.rows += 1;
        }
        piece.end += 1;
    }
    piece
}
