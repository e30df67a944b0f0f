//! API tokens.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Answered;
use crate::domain::command::{IssueToken, RevokeToken};
use crate::domain::time::Instant;
use crate::http::answer::{self, Paging};
use crate::http::asked::InWorkspace;
use crate::http::change::{change, entities};
use crate::http::entity;
use crate::http::problem::Problem;
use crate::log::PresentedId;

/// Until when a token is to be good.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenBody {
    /// From when on it is worth nothing.
    #[serde(default)]
    pub expires_at: Option<Instant>,
}

fn body(request: &InWorkspace) -> Result<TokenBody, Problem> {
    if request.asked.body_bytes().is_empty() { Ok(TokenBody::default()) } else { request.asked.body() }
}

/// Issues a token for a member.
pub async fn issue_for_member(request: InWorkspace) -> Answered {
    let TokenBody { expires_at } = body(&request)?;
    let user = Some(request.asked.path("user").into());
    change(request, vec![IssueToken { user, service_user: None, expires_at }.into()], entities).await
}

/// Issues a token for a service user.
pub async fn issue_for_service_user(request: InWorkspace) -> Answered {
    let TokenBody { expires_at } = body(&request)?;
    let service_user = Some(request.asked.path("svc").into());
    change(request, vec![IssueToken { user: None, service_user, expires_at }.into()], entities).await
}

/// Lists tokens: all of them, or for a plain principal its own.
pub async fn list(mut request: InWorkspace) -> Answered {
    let paging = Paging::of(&mut request)?;
    std::mem::take(&mut request.asked.params).finish()?;
    let only = request.only()?;
    let view = &paging.view;
    let page = || {
        let shown = view.tokens().filter(|token| only.is_none_or(|own| *own == token.terms.holder));
        paging.page(shown.filter_map(|token| entity::token(view, token.id, None)))
    };
    let mut page = request.listing(page).await?;
    if !paging.pinned {
        let ids = page.items.iter().map(|token| PresentedId::Token(token.id)).collect();
        let used = request.asked.app.service.last_used(ids).await?;
        page.items.iter_mut().zip(used).for_each(|(token, used)| token.last_used_at = used);
    }
    answer::about(view, &page)
}

/// Shows a token: any, or for a plain principal one of its own.
pub async fn show(mut request: InWorkspace) -> Answered {
    let (view, pinned) = request.view()?;
    std::mem::take(&mut request.asked.params).finish()?;
    let named = request.asked.path("tok");
    let only = request.only()?;
    let id = view.find_token(&named.into())?.id;
    let found = entity::token(&view, id, None);
    let mut found = found
        .filter(|token| only.is_none_or(|own| *own == token.holder))
        .ok_or_else(|| Problem::not_found("token", named))?;
    if !pinned {
        found.last_used_at = request.asked.app.service.last_used(vec![PresentedId::Token(id)]).await?.pop().flatten();
    }
    answer::about(&view, &found)
}

/// Takes a token back.
pub async fn revoke(request: InWorkspace) -> Answered {
    request.asked.no_body()?;
    let token = request.asked.path("tok").into();
    change(request, vec![RevokeToken { token }.into()], entities).await
}
