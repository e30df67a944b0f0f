//! Authorization subrequests of reverse proxies, before they forward a request to a web function.
//!
//! The endpoint fits nginx `auth_request`, Traefik `ForwardAuth` and Envoy `ext_authz`. Without a live proxy token the response is 401,
//! whatever else is wrong, so it reveals nothing. After too many failures it is 429, which nginx passes on only with the configuration in
//! `examples/nginx`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::CACHE_CONTROL;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use axum::response::IntoResponse;

use super::HandlerResult;
use crate::domain::model::id::ProxyTokenId;
use crate::domain::rules::authorize::accepts;
use crate::domain::state::view::View;
use crate::http::App;
use crate::http::body::respond_early;
use crate::http::problem::Problem;
use crate::http::request::{path_params, path_value, presented};
use crate::service::PresentedCredential;
use crate::service::id_generator::Secret;

const TENURE_TOKEN: HeaderName = HeaderName::from_static("tenure-token");

/// Returns the proxy token that a request presents: in its own headers, which take precedence, or as a bearer token.
fn presented_token(headers: &HeaderMap) -> Option<PresentedCredential> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    match (text("tenure-key"), text("tenure-secret")) {
        (None, None) => presented(headers),
        (key, secret) => Some(PresentedCredential { id: key?.to_owned(), secret: Secret::new(secret?) }),
    }
}

/// Answers whether the presented token may call a web function in an environment. It ignores the body and does not wait for it.
pub async fn ask(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let response = authorize(&app, parts).await.into_response();
    respond_early(response, body).await
}

async fn authorize(app: &App, mut parts: Parts) -> HandlerResult {
    let presented = presented_token(&parts.headers).ok_or_else(no_good_token)?;
    let Some((token, view)) = app.service.authenticate_proxy_token(&presented).await? else {
        app.count_failure(&presented, &parts)?;
        return Err(no_good_token());
    };
    let path = path_params(&mut parts).await?;
    let value = |name: &str| path_value(&path, name);
    if is_accepted(&view, token, value("ws"), value("env")) {
        return Ok(accepted(token, parts.uri.query().unwrap_or_default()));
    }
    Err(Problem::forbidden("the proxy token is not valid for this environment"))
}

fn no_good_token() -> Problem {
    let detail = "present a live proxy token: its id in `Tenure-Key` and its secret in `Tenure-Secret`, or \
                  `Authorization: Bearer ID.SECRET`";
    Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail)
}

fn is_accepted(view: &View, token: ProxyTokenId, workspace: &str, environment: &str) -> bool {
    let named = view.description().is_some_and(|description| description.name.as_str() == workspace);
    let own = named || workspace.parse() == Ok(view.workspace().id());
    let (Some(token), Ok(environment)) = (view.proxy_token(token), view.find_environment(&environment.into())) else {
        return false;
    };
    own && accepts(view, &token, environment.id).allowed
}

/// Returns 204, or 200 on request: Envoy accepts nothing else.
fn accepted(token: ProxyTokenId, query: &str) -> Response<Body> {
    let asks_200 = form_urlencoded::parse(query.as_bytes()).any(|pair| pair == ("accepted".into(), "200".into()));
    let mut response = Response::new(Body::empty());
    *response.status_mut() = if asks_200 { StatusCode::OK } else { StatusCode::NO_CONTENT };
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(token) = HeaderValue::try_from(token.to_string()) {
        response.headers_mut().insert(TENURE_TOKEN, token);
    }
    response
}
