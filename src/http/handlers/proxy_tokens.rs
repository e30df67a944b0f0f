//! Proxy tokens.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Answered;
use crate::domain::command::{CreateProxyToken, EnvironmentRef, RevokeProxyToken, SetProxyTokenEnvironments};
use crate::http::answer::{self, Paging};
use crate::http::asked::InWorkspace;
use crate::http::change::{change, entities};
use crate::http::entity;

/// Where a proxy token is to be valid.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScopeBody {
    /// Environments, by name or id; none of them: valid nowhere.
    pub environments: Vec<EnvironmentRef>,
}

/// Lists proxy tokens.
pub async fn list(mut request: InWorkspace) -> Answered {
    request.reads_all()?;
    let paging = Paging::of(&mut request)?;
    std::mem::take(&mut request.asked.params).finish()?;
    let view = &paging.view;
    let page = || paging.page(view.proxy_tokens().map(|found| entity::proxy_token(view, &found, None)));
    answer::about(view, &request.listing(page).await?)
}

/// Shows a proxy token.
pub async fn show(mut request: InWorkspace) -> Answered {
    request.reads_all()?;
    let (view, _) = request.view()?;
    std::mem::take(&mut request.asked.params).finish()?;
    let found = view.find_proxy_token(&request.asked.path("prx").into())?;
    answer::about(&view, &entity::proxy_token(&view, &found, None))
}

/// Makes a proxy token.
pub async fn create(request: InWorkspace) -> Answered {
    let empty = request.asked.body_bytes().is_empty();
    let command: CreateProxyToken =
        if empty { CreateProxyToken { environments: None, expires_at: None } } else { request.asked.body()? };
    change(request, vec![command.into()], entities).await
}

/// Makes a scoped proxy token valid for other environments.
pub async fn set_environments(request: InWorkspace) -> Answered {
    let ScopeBody { environments } = request.asked.body()?;
    let proxy_token = request.asked.path("prx").into();
    change(request, vec![SetProxyTokenEnvironments { proxy_token, environments }.into()], entities).await
}

/// Takes a proxy token back.
pub async fn revoke(request: InWorkspace) -> Answered {
    request.asked.no_body()?;
    let proxy_token = request.asked.path("prx").into();
    change(request, vec![RevokeProxyToken { proxy_token }.into()], entities).await
}
