//! Access keys.

use axum::http::StatusCode;
use serde::Deserialize;

use super::HandlerResult;
use crate::domain::model::command::{AccessKeyRef, Command, IssueAccessKey, RevokeAccessKey};
use crate::domain::model::id::AccessKeyId;
use crate::domain::model::principal::Caller;
use crate::http::change::{change, entities, submit_side};
use crate::http::entity;
use crate::http::guard::{AuditRequest, ChangeRequest};
use crate::http::input::{Json, NoBody, NoPath};
use crate::http::paging::Paging;
use crate::http::problem::Problem;
use crate::http::request::{RequestedView, WorkspaceRequest};
use crate::http::response::{self, NamedCheckpoint};
use crate::service::SideRequest;

/// The path of an access key.
#[derive(Debug, Deserialize)]
pub struct AccessKeyPath {
    key: AccessKeyRef,
}

/// Lists access keys.
pub async fn list(request: AuditRequest, _: NoPath, paging: Paging) -> HandlerResult {
    let view = &paging.view;
    let page = || paging.page(view.access_keys().filter_map(|key| entity::access_key(view, key.id, None)));
    response::for_view(view, &request.listing(page).await?)
}

/// Shows an access key.
pub async fn show(_: AuditRequest, path: AccessKeyPath, requested: RequestedView) -> HandlerResult {
    let view = &requested.view;
    let id = view.find_access_key(&path.key)?.id;
    let found = entity::access_key(view, id, None).ok_or_else(|| Problem::not_found("access key", &path.key.0))?;
    response::for_view(view, &found)
}

/// Issues an access key.
pub fn issue(_: NoPath, Json(command): Json<IssueAccessKey>) -> Command {
    command.into()
}

/// Revokes an access key.
pub async fn revoke(ChangeRequest(request): ChangeRequest, path: AccessKeyPath, _: NoBody) -> HandlerResult {
    if request.caller == Caller::Operator && !request.now().exists() {
        return revoke_after_end(request, &path.key).await;
    }
    change(request, vec![RevokeAccessKey { access_key: path.key }.into()], entities).await
}

/// Revokes an `auditor` key of a deleted workspace, for the operator. The log takes no more events, so the key only leaves the
/// credential directory.
async fn revoke_after_end(request: WorkspaceRequest, named: &AccessKeyRef) -> HandlerResult {
    let key: AccessKeyId = named.0.parse().map_err(|_| Problem::not_found("access key", &named.0))?;
    // The log takes no more events, so a retry finds the same head.
    submit_side(&request, SideRequest::ForgetAccessKey(key)).await?;
    let (workspace, head) = (request.root.id(), request.root.head());
    let checkpoint = request.app.service.tree(workspace).await?.map(NamedCheckpoint::from);
    let body = serde_json::json!({"revision": head, "events": [], "checkpoint": checkpoint});
    let mut response = response::json(StatusCode::OK, response::to_json(&body)?);
    response::set_etag(response.headers_mut(), head);
    Ok(response)
}
