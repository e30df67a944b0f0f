//! Proxy tokens.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::HandlerResult;
use crate::domain::model::command::{
    Command, CreateProxyToken, EnvironmentRef, ProxyTokenRef, RevokeProxyToken, SetProxyTokenEnvironments,
};
use crate::http::entity;
use crate::http::guard::AuditRequest;
use crate::http::input::{Json, NoBody, NoPath, OptionalJson};
use crate::http::paging::Paging;
use crate::http::request::RequestedView;
use crate::http::response;

/// The path of a proxy token.
#[derive(Debug, Deserialize)]
pub struct ProxyTokenPath {
    prx: ProxyTokenRef,
}

/// The scope of a proxy token.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScopeBody {
    /// Environments, by name or id; without any it is valid nowhere.
    pub environments: Vec<EnvironmentRef>,
}

/// Lists proxy tokens.
pub async fn list(request: AuditRequest, _: NoPath, paging: Paging) -> HandlerResult {
    let view = &paging.view;
    let page = || paging.page(view.proxy_tokens().map(|found| entity::proxy_token(view, &found, None)));
    response::for_view(view, &request.listing(page).await?)
}

/// Shows a proxy token.
pub async fn show(_: AuditRequest, path: ProxyTokenPath, requested: RequestedView) -> HandlerResult {
    let view = &requested.view;
    let found = view.find_proxy_token(&path.prx)?;
    response::for_view(view, &entity::proxy_token(view, &found, None))
}

/// Creates a proxy token.
pub fn create(_: NoPath, OptionalJson(command): OptionalJson<CreateProxyToken>) -> Command {
    command.unwrap_or(CreateProxyToken { environments: None, expires_at: None }).into()
}

/// Replaces the environments of a scoped proxy token.
pub fn set_environments(path: ProxyTokenPath, Json(body): Json<ScopeBody>) -> Command {
    SetProxyTokenEnvironments { proxy_token: path.prx, environments: body.environments }.into()
}

/// Revokes a proxy token.
pub fn revoke(path: ProxyTokenPath, _: NoBody) -> Command {
    RevokeProxyToken { proxy_token: path.prx }.into()
}
