//! Proxy tokens.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::HandlerResult;
use crate::domain::command::{CreateProxyToken, EnvironmentRef, RevokeProxyToken, SetProxyTokenEnvironments};
use crate::http::change::{change, entities};
use crate::http::entity;
use crate::http::request::WorkspaceRequest;
use crate::http::response::{self, Paging};

/// Where a proxy token is to be valid.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScopeBody {
    /// Environments, by name or id; none of them: valid nowhere.
    pub environments: Vec<EnvironmentRef>,
}

/// Lists proxy tokens.
pub async fn list(mut request: WorkspaceRequest) -> HandlerResult {
    request.reads_all()?;
    let paging = Paging::of(&mut request)?;
    std::mem::take(&mut request.params).finish()?;
    let view = &paging.view;
    let page = || paging.page(view.proxy_tokens().map(|found| entity::proxy_token(view, &found, None)));
    response::for_view(view, &request.listing(page).await?)
}

/// Shows a proxy token.
pub async fn show(mut request: WorkspaceRequest) -> HandlerResult {
    request.reads_all()?;
    let (view, _) = request.view()?;
    std::mem::take(&mut request.params).finish()?;
    let found = view.find_proxy_token(&request.path("prx").into())?;
    response::for_view(&view, &entity::proxy_token(&view, &found, None))
}

/// Makes a proxy token.
pub async fn create(request: WorkspaceRequest) -> HandlerResult {
    let empty = request.body_bytes().is_empty();
    let command: CreateProxyToken =
        if empty { CreateProxyToken { environments: None, expires_at: None } } else { request.body()? };
    change(request, vec![command.into()], entities).await
}

/// Makes a scoped proxy token valid for other environments.
pub async fn set_environments(request: WorkspaceRequest) -> HandlerResult {
    let ScopeBody { environments } = request.body()?;
    let proxy_token = request.path("prx").into();
    change(request, vec![SetProxyTokenEnvironments { proxy_token, environments }.into()], entities).await
}

/// Takes a proxy token back.
pub async fn revoke(request: WorkspaceRequest) -> HandlerResult {
    request.no_body()?;
    let proxy_token = request.path("prx").into();
    change(request, vec![RevokeProxyToken { proxy_token }.into()], entities).await
}
