//! Access keys.

use axum::http::StatusCode;

use super::Answered;
use crate::domain::command::{IssueAccessKey, RevokeAccessKey};
use crate::domain::id::AccessKeyId;
use crate::domain::principal::Caller;
use crate::http::answer::{self, NamedCheckpoint, Paging};
use crate::http::asked::InWorkspace;
use crate::http::change::{change, entities, submit_side};
use crate::http::entity;
use crate::http::problem::Problem;
use crate::service::SideWrite;

/// Lists access keys.
pub async fn list(mut request: InWorkspace) -> Answered {
    request.reads_all()?;
    let paging = Paging::of(&mut request)?;
    std::mem::take(&mut request.asked.params).finish()?;
    let view = &paging.view;
    let page = || paging.page(view.access_keys().filter_map(|key| entity::access_key(view, key.id, None)));
    answer::about(view, &request.listing(page).await?)
}

/// Shows an access key.
pub async fn show(mut request: InWorkspace) -> Answered {
    request.reads_all()?;
    let (view, _) = request.view()?;
    std::mem::take(&mut request.asked.params).finish()?;
    let named = request.asked.path("key");
    let id = view.find_access_key(&named.into())?.id;
    let found = entity::access_key(&view, id, None).ok_or_else(|| Problem::not_found("access key", named))?;
    answer::about(&view, &found)
}

/// Makes an access key.
pub async fn issue(request: InWorkspace) -> Answered {
    let command: IssueAccessKey = request.asked.body()?;
    change(request, vec![command.into()], entities).await
}

/// Takes an access key back.
pub async fn revoke(request: InWorkspace) -> Answered {
    request.asked.no_body()?;
    if request.asked.caller == Caller::Operator && !request.now().exists() {
        return revoke_after_end(request).await;
    }
    let access_key = request.asked.path("key").into();
    change(request, vec![RevokeAccessKey { access_key }.into()], entities).await
}

/// A deleted workspace's log takes no more events, but its `auditor` keys can still be taken back by the operator: they are
/// taken out of the credential directory.
async fn revoke_after_end(mut request: InWorkspace) -> Answered {
    request.asked.params.reason()?;
    std::mem::take(&mut request.asked.params).finish()?;
    let named = request.asked.path("key");
    let key: AccessKeyId = named.parse().map_err(|_| Problem::not_found("access key", named))?;
    // The head of a log that takes no more events is the same whenever it is asked for.
    submit_side(&request, SideWrite::ForgetAccessKey(key), Vec::new()).await?;
    let (workspace, head) = (request.root.id(), request.root.head());
    let checkpoint = request.asked.app.service.tree(workspace).await?.map(NamedCheckpoint::from);
    let body = serde_json::json!({"revision": head, "events": [], "checkpoint": checkpoint});
    let mut response = answer::json(StatusCode::OK, answer::bytes(&body)?);
    answer::name_head(response.headers_mut(), head);
    Ok(response)
}
