//! API tokens.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::HandlerResult;
use crate::domain::command::{IssueToken, RevokeToken};
use crate::domain::time::Instant;
use crate::http::change::{change, entities};
use crate::http::entity;
use crate::http::problem::Problem;
use crate::http::request::WorkspaceRequest;
use crate::http::response::{self, Paging};
use crate::log::PresentedId;

/// Until when a token is to be good.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenBody {
    /// From when on it is worth nothing.
    #[serde(default)]
    pub expires_at: Option<Instant>,
}

fn body(request: &WorkspaceRequest) -> Result<TokenBody, Problem> {
    if request.body_bytes().is_empty() { Ok(TokenBody::default()) } else { request.body() }
}

/// Issues a token for a member.
pub async fn issue_for_member(request: WorkspaceRequest) -> HandlerResult {
    let TokenBody { expires_at } = body(&request)?;
    let user = Some(request.path("user").into());
    change(request, vec![IssueToken { user, service_user: None, expires_at }.into()], entities).await
}

/// Issues a token for a service user.
pub async fn issue_for_service_user(request: WorkspaceRequest) -> HandlerResult {
    let TokenBody { expires_at } = body(&request)?;
    let service_user = Some(request.path("svc").into());
    change(request, vec![IssueToken { user: None, service_user, expires_at }.into()], entities).await
}

/// Lists tokens: all of them, or for a plain principal its own.
pub async fn list(mut request: WorkspaceRequest) -> HandlerResult {
    let paging = Paging::of(&mut request)?;
    std::mem::take(&mut request.params).finish()?;
    let only = request.only()?;
    let view = &paging.view;
    let page = || {
        let shown = view.tokens().filter(|token| only.is_none_or(|own| *own == token.terms.holder));
        paging.page(shown.filter_map(|token| entity::token(view, token.id, None)))
    };
    let mut page = request.listing(page).await?;
    if !paging.pinned {
        let ids = page.items.iter().map(|token| PresentedId::Token(token.id)).collect();
        let used = request.app.service.last_used(ids).await?;
        page.items.iter_mut().zip(used).for_each(|(token, used)| token.last_used_at = used);
    }
    response::for_view(view, &page)
}

/// Shows a token: any, or for a plain principal one of its own.
pub async fn show(mut request: WorkspaceRequest) -> HandlerResult {
    let (view, pinned) = request.view()?;
    std::mem::take(&mut request.params).finish()?;
    let named = request.path("tok");
    let only = request.only()?;
    let id = view.find_token(&named.into())?.id;
    let found = entity::token(&view, id, None);
    let mut found = found
        .filter(|token| only.is_none_or(|own| *own == token.holder))
        .ok_or_else(|| Problem::not_found("token", named))?;
    if !pinned {
        found.last_used_at = request.app.service.last_used(vec![PresentedId::Token(id)]).await?.pop().flatten();
    }
    response::for_view(&view, &found)
}

/// Takes a token back.
pub async fn revoke(request: WorkspaceRequest) -> HandlerResult {
    request.no_body()?;
    let token = request.path("tok").into();
    change(request, vec![RevokeToken { token }.into()], entities).await
}
