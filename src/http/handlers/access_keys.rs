//! Access keys.

use axum::http::StatusCode;

use super::HandlerResult;
use crate::domain::command::{IssueAccessKey, RevokeAccessKey};
use crate::domain::id::AccessKeyId;
use crate::domain::principal::Caller;
use crate::http::change::{change, entities, submit_side};
use crate::http::entity;
use crate::http::problem::Problem;
use crate::http::request::WorkspaceRequest;
use crate::http::response::{self, NamedCheckpoint, Paging};
use crate::service::SideWrite;

/// Lists access keys.
pub async fn list(mut request: WorkspaceRequest) -> HandlerResult {
    request.reads_all()?;
    let paging = Paging::of(&mut request)?;
    std::mem::take(&mut request.params).finish()?;
    let view = &paging.view;
    let page = || paging.page(view.access_keys().filter_map(|key| entity::access_key(view, key.id, None)));
    response::for_view(view, &request.listing(page).await?)
}

/// Shows an access key.
pub async fn show(mut request: WorkspaceRequest) -> HandlerResult {
    request.reads_all()?;
    let (view, _) = request.view()?;
    std::mem::take(&mut request.params).finish()?;
    let named = request.path("key");
    let id = view.find_access_key(&named.into())?.id;
    let found = entity::access_key(&view, id, None).ok_or_else(|| Problem::not_found("access key", named))?;
    response::for_view(&view, &found)
}

/// Makes an access key.
pub async fn issue(request: WorkspaceRequest) -> HandlerResult {
    let command: IssueAccessKey = request.body()?;
    change(request, vec![command.into()], entities).await
}

/// Takes an access key back.
pub async fn revoke(request: WorkspaceRequest) -> HandlerResult {
    request.no_body()?;
    if request.caller == Caller::Operator && !request.now().exists() {
        return revoke_after_end(request).await;
    }
    let access_key = request.path("key").into();
    change(request, vec![RevokeAccessKey { access_key }.into()], entities).await
}

/// A deleted workspace's log takes no more events, but its `auditor` keys can still be taken back by the operator: they are
/// taken out of the credential directory.
async fn revoke_after_end(mut request: WorkspaceRequest) -> HandlerResult {
    request.params.reason()?;
    std::mem::take(&mut request.params).finish()?;
    let named = request.path("key");
    let key: AccessKeyId = named.parse().map_err(|_| Problem::not_found("access key", named))?;
    // The head of a log that takes no more events is the same whenever it is asked for.
    submit_side(&request, SideWrite::ForgetAccessKey(key), Vec::new()).await?;
    let (workspace, head) = (request.root.id(), request.root.head());
    let checkpoint = request.app.service.tree(workspace).await?.map(NamedCheckpoint::from);
    let body = serde_json::json!({"revision": head, "events": [], "checkpoint": checkpoint});
    let mut response = response::json(StatusCode::OK, response::to_json(&body)?);
    response::set_etag(response.headers_mut(), head);
    Ok(response)
}
