//! The log of a workspace, filtered: page by page, or live.

use std::sync::Arc;

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Response};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;

use super::event_filter::{EventsQuery, Filter};
use super::{Answered, event_stream};
use crate::domain::event::Event;
use crate::domain::id::WorkspaceId;
use crate::domain::time::{Instant, Revision};
use crate::domain::view::View;
use crate::http::answer::{self, Page, Paging};
use crate::http::asked::InWorkspace;
use crate::http::live::{self, EVENT_STREAM};
use crate::http::problem::Problem;
use crate::log::LogError;

pub(super) const CLOUDEVENTS_BATCH: &str = "application/cloudevents-batch+json";

/// A page of events, with what makes it possible to ask again.
#[derive(Debug, Serialize, JsonSchema)]
pub struct EventsBody {
    /// Whose.
    pub workspace: WorkspaceId,
    /// The newest revision that was looked at.
    pub revision: Revision,
    /// As of when.
    pub at: Instant,
    /// What was asked for.
    pub query: EventsQuery,
    /// The events, as they are stored, byte for byte.
    #[serde(flatten)]
    #[schemars(with = "Page<serde_json::Value>")]
    pub page: Page<Box<RawValue>>,
}

/// Lists events, or follows them.
pub async fn list(mut request: InWorkspace) -> Answered {
    request.reads_all()?;
    if live::accepts(request.asked.headers(), EVENT_STREAM) {
        return event_stream::follow(request).await;
    }
    let paging = Paging::of(&mut request)?;
    let query = EventsQuery::of(&mut request.asked.params)?;
    std::mem::take(&mut request.asked.params).finish()?;
    let view = &paging.view;
    let filter = Filter::of(&query, view, &request.now())?;
    let start = query.after.unwrap_or_default().max(Revision(paging.position));
    let admitted =
        view.workspace().events(start, view.revision()).filter(|event| filter.admits(view.workspace(), event));
    let mut found: Vec<Arc<Event>> = admitted.take(paging.limit.saturating_add(1)).map(Arc::clone).collect();
    let more = found.len() > paging.limit;
    found.truncate(paging.limit);
    let next = found.last().filter(|_| more).map(|last| paging.cursor(last.revision.0));
    let items = stored(&request, &found).await?;
    respond(&request, view, query, Page { items, next })
}

/// The exact bytes of events, read from the store in runs of neighbours.
async fn stored(request: &InWorkspace, events: &[Arc<Event>]) -> Result<Vec<Box<RawValue>>, Problem> {
    let workspace = request.root.id();
    let revisions: Vec<Revision> = events.iter().map(|event| event.revision).collect();
    let bytes = request.asked.app.service.reading(move |log| {
        let mut all = Vec::with_capacity(revisions.len());
        for run in revisions.chunk_by(|before, after| before.next() == *after) {
            let Some(first) = run.first() else { continue };
            let read = log.read(workspace, Revision(first.0.saturating_sub(1)), run.len())?;
            all.extend(read.into_iter().map(|event| event.bytes));
        }
        Ok::<_, LogError>(all)
    });
    bytes.await?.into_iter().map(raw).collect()
}

/// A stored event as it stands in an answer.
pub(super) fn raw(bytes: Vec<u8>) -> Result<Box<RawValue>, Problem> {
    let text = String::from_utf8(bytes).ok().and_then(|text| RawValue::from_string(text).ok());
    text.ok_or_else(|| {
        let detail = "a stored event is no JSON: restore the log from a backup";
        Problem::new(axum::http::StatusCode::INTERNAL_SERVER_ERROR, "unreadable", detail)
    })
}

fn respond(request: &InWorkspace, view: &View, query: EventsQuery, page: Page<Box<RawValue>>) -> Answered {
    if !live::accepts(request.asked.headers(), CLOUDEVENTS_BATCH) {
        let (workspace, revision, at) = (request.root.id(), view.revision(), view.instant());
        let body = EventsBody { workspace, revision, at, query, page };
        return answer::about(view, &body);
    }
    let mut response: Response<Body> = answer::about(view, &page.items)?;
    as_batch(&mut response, page.next);
    Ok(response)
}

/// Says that an answer is a batch of events, and with which cursor to go on.
pub(super) fn as_batch(response: &mut Response<Body>, next: Option<String>) {
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(CLOUDEVENTS_BATCH));
    if let Some(Ok(next)) = next.map(HeaderValue::try_from) {
        headers.insert("tenure-next", next);
    }
}
