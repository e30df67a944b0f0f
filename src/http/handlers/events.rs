//! The filtered log of a workspace, page by page or live.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{HandlerResult, event_stream};
use crate::domain::model::id::WorkspaceId;
use crate::domain::model::time::{Instant, Revision};
use crate::domain::state::view::View;
use crate::http::guard::AuditRequest;
use crate::http::input::NoPath;
use crate::http::paging::Paging;
use crate::http::params::Params;
use crate::http::problem::Problem;
use crate::http::rows;
use crate::log::codec;
use crate::log::journal::AnswerForm;
use crate::query::AuditQuery;
use crate::query::events::{EventFilter, EventsQuery};

/// The view and the query of a list of events.
#[derive(Debug, Serialize, JsonSchema)]
pub struct EventsAbout {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The newest revision that was read.
    pub revision: Revision,
    /// The instant of the view.
    pub at: Instant,
    /// The query.
    pub query: EventsQuery,
}

/// The forms of a list of events.
pub const FORMS: &[AnswerForm] =
    &[AnswerForm::Json, AnswerForm::Ndjson, AnswerForm::Csv, AnswerForm::CloudeventsBatch, AnswerForm::EventStream];

/// Lists events, or follows them.
pub async fn list(request: AuditRequest, _: NoPath, mut params: Params) -> HandlerResult {
    if AnswerForm::negotiate(request.headers(), FORMS)? == AnswerForm::EventStream {
        return event_stream::follow(request, params).await;
    }
    let paging = Paging::of(&request, &mut params)?;
    let query = EventsQuery::parse(&mut params)?;
    params.finish()?;
    let view = paging.view.clone();
    let filter = EventFilter::of(&query, &view, &request.now())?;
    let about = EventsAbout { workspace: request.root.id(), revision: view.revision(), at: view.instant(), query };
    let after = about.query.after.unwrap_or_default();
    rows::respond_in(FORMS, &request, paging, about, Events { view, filter, after }).await
}

/// The events of a view that follow a revision and match a filter; each is a candidate.
struct Events {
    view: View,
    filter: EventFilter,
    after: Revision,
}

impl AuditQuery for Events {
    type Row = Box<RawValue>;

    const COLUMNS: &'static [&'static str] =
        &["revision", "time", "type", "subject", "actor", "credential", "reason", "data", "command", "id"];

    fn candidates(&self) -> usize {
        usize::try_from(self.view.revision().0.saturating_sub(self.after.0)).unwrap_or(usize::MAX)
    }

    /// Returns the event as it is stored, byte for byte.
    fn rows(&self, candidate: usize) -> Vec<Box<RawValue>> {
        let before = self.after.0.saturating_add(u64::try_from(candidate).unwrap_or(u64::MAX));
        let event = self.view.event(Revision(before).next());
        let admitted = event.filter(|event| self.filter.admits(self.view.workspace(), event));
        let bytes = admitted.and_then(|event| codec::encode(&event).ok());
        bytes.and_then(|bytes| raw(bytes).ok()).into_iter().collect()
    }
}

/// Returns a stored event as raw JSON.
pub(super) fn raw(bytes: Vec<u8>) -> Result<Box<RawValue>, Problem> {
    let text = String::from_utf8(bytes).ok().and_then(|text| RawValue::from_string(text).ok());
    text.ok_or_else(|| {
        let detail = "a stored event is no JSON: restore the log from a backup";
        Problem::new(axum::http::StatusCode::INTERNAL_SERVER_ERROR, "unreadable", detail)
    })
}
