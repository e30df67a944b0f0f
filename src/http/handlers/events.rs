//! The filtered log of a workspace, page by page or live.

use serde_json::value::RawValue;

use super::{HandlerResult, event_stream};
use crate::domain::model::event::Event;
use crate::http::guard::AuditRequest;
use crate::http::input::NoPath;
use crate::http::paging::Paging;
use crate::http::params::Params;
use crate::http::problem::Problem;
use crate::http::rows;
use crate::log::codec;
use crate::log::journal::AnswerForm;
use crate::query::events::{EventFilter, EventList, EventsQuery};
use crate::query::list::ListHeading;

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
    let heading = ListHeading::of(&view, query);
    let after = heading.query.after.unwrap_or_default();
    rows::respond_in(FORMS, &request, paging, heading, EventList::new(view, filter, after, encode)).await
}

fn encode(event: &Event) -> Option<Box<RawValue>> {
    codec::encode(event).ok().and_then(|bytes| raw(bytes).ok())
}

/// Returns a stored event as raw JSON.
pub(super) fn raw(bytes: Vec<u8>) -> Result<Box<RawValue>, Problem> {
    let text = String::from_utf8(bytes).ok().and_then(|text| RawValue::from_string(text).ok());
    text.ok_or_else(|| {
        let detail = "a stored event is no JSON: restore the log from a backup";
        Problem::new(axum::http::StatusCode::INTERNAL_SERVER_ERROR, "unreadable", detail)
    })
}
