//! API tokens.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::HandlerResult;
use super::members::MemberPath;
use super::service_users::ServiceUserPath;
use crate::domain::model::command::{Command, IssueToken, RevokeToken, TokenRef};
use crate::domain::model::time::Instant;
use crate::http::entity;
use crate::http::guard::PrincipalRequest;
use crate::http::input::{NoBody, NoPath, OptionalJson};
use crate::http::paging::Paging;
use crate::http::problem::Problem;
use crate::http::request::RequestedView;
use crate::http::response;
use crate::log::CredentialId;

/// The path of an API token.
#[derive(Debug, Deserialize)]
pub struct TokenPath {
    tok: TokenRef,
}

/// The terms of a token.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenBody {
    /// The end of its validity.
    #[serde(default)]
    pub expires_at: Option<Instant>,
}

fn expiry(body: Option<TokenBody>) -> Option<Instant> {
    body.and_then(|body| body.expires_at)
}

/// Issues a token for a member.
pub fn issue_for_member(path: MemberPath, OptionalJson(body): OptionalJson<TokenBody>) -> Command {
    IssueToken { user: Some(path.user), service_user: None, expires_at: expiry(body) }.into()
}

/// Issues a token for a service user.
pub fn issue_for_service_user(path: ServiceUserPath, OptionalJson(body): OptionalJson<TokenBody>) -> Command {
    IssueToken { user: None, service_user: Some(path.svc), expires_at: expiry(body) }.into()
}

/// Lists all tokens, or a plain principal's own.
pub async fn list(request: PrincipalRequest, _: NoPath, paging: Paging) -> HandlerResult {
    let view = &paging.view;
    let page = || {
        let visible = view.tokens().filter(|token| request.only.as_ref().is_none_or(|own| *own == token.terms.holder));
        paging.page(visible.filter_map(|token| entity::token(view, token.id, None)))
    };
    let mut page = request.listing(page).await?;
    if !paging.pinned {
        let ids = page.items.iter().map(|token| CredentialId::Token(token.id)).collect();
        let used = request.app.service.last_used(ids).await?;
        page.items.iter_mut().zip(used).for_each(|(token, used)| token.last_used_at = used);
    }
    response::for_view(view, &page)
}

/// Shows a token: any, or a plain principal's own.
pub async fn show(request: PrincipalRequest, path: TokenPath, requested: RequestedView) -> HandlerResult {
    let RequestedView { view, pinned } = requested;
    let id = view.find_token(&path.tok)?.id;
    let found = entity::token(&view, id, None);
    let mut found = found
        .filter(|token| request.only.as_ref().is_none_or(|own| *own == token.holder))
        .ok_or_else(|| Problem::not_found("token", &path.tok.0))?;
    if !pinned {
        found.last_used_at = request.app.service.last_used(vec![CredentialId::Token(id)]).await?.pop().flatten();
    }
    response::for_view(&view, &found)
}

/// Revokes a token.
pub fn revoke(path: TokenPath, _: NoBody) -> Command {
    RevokeToken { token: path.tok }.into()
}
