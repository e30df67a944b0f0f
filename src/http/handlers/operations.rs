//! Health checks, metrics, and the description of the API.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Response, StatusCode};

use super::HandlerResult;
use crate::clock::ClockError;
use crate::domain::model::id::TokenId;
use crate::http::problem::Problem;
use crate::http::{App, openapi, response};
use crate::log::{CredentialId, LogError};

fn text(body: impl Into<Body>, content_type: &'static str) -> Response<Body> {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// Responds 200 while the process needs no restart.
pub async fn healthz(State(app): State<Arc<App>>) -> HandlerResult {
    match app.service.failed() {
        None => Ok(text("ok\n", "text/plain; charset=utf-8")),
        Some(thread) => {
            let detail = format!("the thread `{thread}` of the server ended unexpectedly: start it again");
            Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail))
        }
    }
}

/// Responds 200 if the server accepts changes, can read the store and has a usable clock.
pub async fn readyz(State(app): State<Arc<App>>) -> HandlerResult {
    let nobody = CredentialId::Token(TokenId::from_uuid(uuid::Uuid::nil()));
    app.service.reading(move |log| log.credential(nobody)).await?;
    let service = &app.service;
    let clock = service.clock();
    clock.check_possible().map_err(Problem::from)?;
    if let Some(wait) = clock.read().unsettled {
        return Err(ClockError::Unsettled(wait).into());
    }
    if let Some((now, newest)) = clock.behind() {
        let detail =
            format!("the machine's clock shows `{now}`, and the store has seen `{newest}`: set the clock right");
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "clock_behind", detail));
    }
    if service.is_short_of_room() {
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", LogError::NoRoom.to_string()));
    }
    if service.is_ready() {
        return Ok(text("ready\n", "text/plain; charset=utf-8"));
    }
    Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "changes are not taken for the moment"))
}

/// Returns the metrics in the text format of Prometheus.
pub async fn metrics(State(app): State<Arc<App>>) -> HandlerResult {
    Ok(text((app.metrics)(), "text/plain; version=0.0.4; charset=utf-8"))
}

/// Returns the `OpenAPI` document, which is made once.
pub async fn openapi_json(State(app): State<Arc<App>>) -> Response<Body> {
    let document = app.openapi.get_or_init(|| openapi::document(&app.base_url).to_string().into());
    response::json(StatusCode::OK, document.clone())
}
