//! The metadata of each workspace as a policy decision point (`OpenID` `AuthZEN` Authorization API 1.0, §9).
//!
//! It is public, so it looks nothing up and does not reveal which workspaces exist. The URLs come from the configuration, whatever host a
//! request names.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderValue, Response, StatusCode, Uri};
use schemars::JsonSchema;
use serde::Serialize;

use super::HandlerResult;
use crate::domain::model::id::WorkspaceId;
use crate::domain::model::name::WorkspaceName;
use crate::http::problem::Problem;
use crate::http::{App, response};

/// The prefix of the path of a decision point's metadata (RFC 8615).
const WELL_KNOWN: &str = "/.well-known/authzen-configuration";

/// The metadata of a decision point.
#[derive(Debug, Serialize, JsonSchema)]
pub struct MetadataBody {
    /// Its identifier.
    pub policy_decision_point: String,
    /// The URL for one question.
    pub access_evaluation_endpoint: String,
    /// The URL for many questions.
    pub access_evaluations_endpoint: String,
    /// The URL of the search for subjects.
    pub search_subject_endpoint: String,
    /// The URL of the search for resources.
    pub search_resource_endpoint: String,
    /// The URL of the search for actions.
    pub search_action_endpoint: String,
}

impl MetadataBody {
    fn of(policy_decision_point: String) -> Self {
        let endpoint = |name: &str| format!("{policy_decision_point}/access/v1/{name}");
        Self {
            access_evaluation_endpoint: endpoint("evaluation"),
            access_evaluations_endpoint: endpoint("evaluations"),
            search_subject_endpoint: endpoint("search/subject"),
            search_resource_endpoint: endpoint("search/resource"),
            search_action_endpoint: endpoint("search/action"),
            policy_decision_point,
        }
    }
}

/// Describes a workspace as a decision point, under the identifier in the request.
pub async fn show(State(app): State<Arc<App>>, path: Option<Path<String>>, uri: Uri) -> HandlerResult {
    let named = path.map(|Path(named)| named).unwrap_or_default();
    if named.parse::<WorkspaceName>().is_err() && named.parse::<WorkspaceId>().is_err() {
        return Err(Problem::not_found("workspace", &named));
    }
    let path = uri.path().strip_prefix(WELL_KNOWN).unwrap_or_default();
    let body = MetadataBody::of(format!("{}{path}", app.base_url));
    Ok(cacheable(response::json(StatusCode::OK, response::to_json(&body)?)))
}

/// Allows caches to keep a response for five minutes: it changes with the configuration only.
fn cacheable(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("max-age=300"));
    response
}
