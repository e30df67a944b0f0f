//! The metadata of each workspace as a policy decision point (`OpenID` `AuthZEN` Authorization API 1.0, §9).
//!
//! Public, so it looks nothing up: that a workspace is there is no one's to learn from here. The addresses come from the
//! configuration, whatever host a request names.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderValue, Response, StatusCode, Uri};
use schemars::JsonSchema;
use serde::Serialize;

use super::HandlerResult;
use crate::domain::id::WorkspaceId;
use crate::domain::name::WorkspaceName;
use crate::http::problem::Problem;
use crate::http::{App, response};

/// What stands before the path of a decision point, to ask about it (RFC 8615).
const WELL_KNOWN: &str = "/.well-known/authzen-configuration";

/// What a decision point says of itself.
#[derive(Debug, Serialize, JsonSchema)]
pub struct MetadataBody {
    /// Its identifier.
    pub policy_decision_point: String,
    /// Where one question is asked.
    pub access_evaluation_endpoint: String,
    /// Where many are.
    pub access_evaluations_endpoint: String,
    /// Where subjects are searched for.
    pub search_subject_endpoint: String,
    /// Where resources are.
    pub search_resource_endpoint: String,
    /// Where actions are.
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

/// Describes a workspace as a decision point, under the identifier that was asked for.
pub async fn show(State(app): State<Arc<App>>, path: Option<Path<String>>, uri: Uri) -> HandlerResult {
    let named = path.map(|Path(named)| named).unwrap_or_default();
    if named.parse::<WorkspaceName>().is_err() && named.parse::<WorkspaceId>().is_err() {
        return Err(Problem::not_found("workspace", &named));
    }
    let asked = uri.path().strip_prefix(WELL_KNOWN).unwrap_or_default();
    let body = MetadataBody::of(format!("{}{asked}", app.base_url));
    Ok(kept_a_while(response::json(StatusCode::OK, response::to_json(&body)?)))
}

/// It changes with the configuration only.
fn kept_a_while(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("max-age=300"));
    response
}
