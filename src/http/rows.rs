//! Answers that are rows: a page of them as JSON, or all of them as they come, a JSON object or a line of a table each.
//!
//! A stream is made piece by piece, in the pool for audits, and only when its reader has taken the piece before: it holds
//! neither its rows nor a thread, and a reader that goes away ends it.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, HeaderValue, Response};
use futures_util::stream;
use schemars::JsonSchema;
use serde::Serialize;

use super::accept::Form;
use super::answer::{self, Page, Paging};
use super::asked::InWorkspace;
use super::problem::Problem;
use crate::audit::{Question, csv};
use crate::service::Service;

/// About how large a piece of a stream is, in bytes.
const PIECE_BYTES: usize = 64 * 1_024;
/// The most candidates that are looked at for one piece.
const PIECE_CANDIDATES_MAX: usize = 4_096;

const TENURE_NEXT: HeaderName = HeaderName::from_static("tenure-next");

/// A page of rows, with what makes it possible to ask again.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RowsBody<A, R> {
    /// What was asked, and of which view.
    #[serde(flatten)]
    pub about: A,
    /// The rows.
    #[serde(flatten)]
    pub page: Page<R>,
}

/// Answers a question in the form that was asked for: JSON a page at a time; the others as a page if there is a `limit`, with
/// the cursor in `Tenure-Next`, else in full.
///
/// # Errors
/// 406, or the server is stopping.
pub async fn answer<Q>(
    request: &InWorkspace,
    paging: Paging,
    about: impl Serialize,
    question: Q,
) -> Result<Response<Body>, Problem>
where
    Q: Question + 'static,
{
    let form = Form::asked(request.asked.headers(), Form::OF_ROWS)?;
    let service = &request.asked.app.service;
    let view = paging.view.clone();
    if form != Form::Json && paging.limit_asked.is_none() && paging.is_first() {
        let source = Source { service: Arc::clone(service), question: Arc::new(question), form, position: 0 };
        let mut response = Response::new(Body::from_stream(source.into_stream()));
        dress(&mut response, form, &view);
        return Ok(response);
    }
    let page = service.auditing(move || paging.gather(&question)).await?;
    if form == Form::Json {
        return answer::about(&view, &RowsBody { about, page });
    }
    let mut text = head::<Q>(form);
    page.items.iter().for_each(|row| text.extend(line::<Q>(form, row)));
    let mut response = Response::new(Body::from(text));
    dress(&mut response, form, &view);
    if let Some(Ok(next)) = page.next.map(HeaderValue::try_from) {
        response.headers_mut().insert(TENURE_NEXT, next);
    }
    Ok(response)
}

fn dress(response: &mut Response<Body>, form: Form, view: &crate::domain::view::View) {
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, form.content_type());
    answer::forbid_storing(headers);
    answer::name_view(headers, view);
}

/// What stands before the first row.
fn head<Q: Question>(form: Form) -> Vec<u8> {
    if form == Form::Csv { csv::header(Q::COLUMNS) } else { Vec::new() }
}

fn line<Q: Question>(form: Form, row: &Q::Row) -> Vec<u8> {
    if form == Form::Csv {
        return csv::row(Q::COLUMNS, row);
    }
    let mut line = serde_json::to_vec(row).unwrap_or_default();
    line.push(b'\n');
    line
}

/// A stream of rows, and how far it is.
struct Source<Q> {
    service: Arc<Service>,
    question: Arc<Q>,
    form: Form,
    position: usize,
}

impl<Q: Question + 'static> Source<Q> {
    fn into_stream(self) -> impl stream::Stream<Item = std::io::Result<Bytes>> {
        let first = Bytes::from(head::<Q>(self.form));
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

    /// The next lines; none at the end.
    async fn piece(&mut self) -> std::io::Result<Vec<u8>> {
        while self.position < self.question.candidates() {
            let (question, form, from) = (Arc::clone(&self.question), self.form, self.position);
            let made = self.service.auditing(move || lines(question.as_ref(), form, from)).await;
            let (text, reached) = made.map_err(std::io::Error::other)?;
            self.position = reached;
            if !text.is_empty() {
                return Ok(text);
            }
        }
        Ok(Vec::new())
    }
}

/// About a piece's worth of lines from a candidate on, and the candidate after them.
fn lines<Q: Question>(question: &Q, form: Form, from: usize) -> (Vec<u8>, usize) {
    let end = question.candidates().min(from.saturating_add(PIECE_CANDIDATES_MAX));
    let mut text = Vec::new();
    for candidate in from..end {
        question.rows(candidate).iter().for_each(|row| text.extend(line::<Q>(form, row)));
        if text.len() >= PIECE_BYTES {
            return (text, candidate + 1);
        }
    }
    (text, end)
}
