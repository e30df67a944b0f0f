//! The log of a workspace, filtered: page by page, or live.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;

use super::event_filter::{EventsQuery, Filter};
use super::{HandlerResult, event_stream};
use crate::audit::Question;
use crate::domain::id::WorkspaceId;
use crate::domain::time::{Instant, Revision};
use crate::domain::view::View;
use crate::http::problem::Problem;
use crate::http::request::WorkspaceRequest;
use crate::http::response::Paging;
use crate::http::rows;
use crate::log::codec;
use crate::log::journal::AnswerForm;

/// Of which view a list of events is.
#[derive(Debug, Serialize, JsonSchema)]
pub struct EventsAbout {
    /// Whose.
    pub workspace: WorkspaceId,
    /// The newest revision that was looked at.
    pub revision: Revision,
    /// As of when.
    pub at: Instant,
    /// What was asked for.
    pub query: EventsQuery,
}

/// The forms of a list of events.
pub const FORMS: &[AnswerForm] =
    &[AnswerForm::Json, AnswerForm::Ndjson, AnswerForm::Csv, AnswerForm::CloudeventsBatch, AnswerForm::EventStream];

/// Lists events, or follows them.
pub async fn list(mut request: WorkspaceRequest) -> HandlerResult {
    request.reads_all()?;
    if AnswerForm::negotiate(request.headers(), FORMS)? == AnswerForm::EventStream {
        return event_stream::follow(request).await;
    }
    let paging = Paging::of(&mut request)?;
    let query = EventsQuery::of(&mut request.params)?;
    std::mem::take(&mut request.params).finish()?;
    let view = paging.view.clone();
    let filter = Filter::of(&query, &view, &request.now())?;
    let about = EventsAbout { workspace: request.root.id(), revision: view.revision(), at: view.instant(), query };
    let after = about.query.after.unwrap_or_default();
    rows::respond_in(FORMS, &request, paging, about, Events { view, filter, after }).await
}

/// The events of a view after a revision that a filter admits; a candidate each.
struct Events {
    view: View,
    filter: Filter,
    after: Revision,
}

impl Question for Events {
    type Row = Box<RawValue>;

    const COLUMNS: &'static [&'static str] =
        &["revision", "time", "type", "subject", "actor", "credential", "reason", "data", "command", "id"];

    fn candidates(&self) -> usize {
        usize::try_from(self.view.revision().0.saturating_sub(self.after.0)).unwrap_or(usize::MAX)
    }

    /// The event as it is stored, byte for byte.
    fn rows(&self, candidate: usize) -> Vec<Box<RawValue>> {
        let before = self.after.0.saturating_add(u64::try_from(candidate).unwrap_or(u64::MAX));
        let event = self.view.event(Revision(before).next());
        let admitted = event.filter(|event| self.filter.admits(self.view.workspace(), event));
        let bytes = admitted.and_then(|event| codec::encode(&event).ok());
        bytes.and_then(|bytes| raw(bytes).ok()).into_iter().collect()
    }
}

/// A stored event as it stands in an answer.
pub(super) fn raw(bytes: Vec<u8>) -> Result<Box<RawValue>, Problem> {
    let text = String::from_utf8(bytes).ok().and_then(|text| RawValue::from_string(text).ok());
    text.ok_or_else(|| {
        let detail = "a stored event is no JSON: restore the log from a backup";
        Problem::new(axum::http::StatusCode::INTERNAL_SERVER_ERROR, "unreadable", detail)
    })
}
