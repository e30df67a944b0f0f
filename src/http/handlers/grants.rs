//! Grants.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::HandlerResult;
use super::environments::may_see;
use crate::domain::command::{GrantExpiry, RevokeGrant, SetGrant};
use crate::domain::role::EnvironmentRole;
use crate::http::change::{change, entities};
use crate::http::entity;
use crate::http::problem::Problem;
use crate::http::request::WorkspaceRequest;
use crate::http::response::{self, Paging};

/// A grant's terms.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GrantBody {
    /// The role.
    pub role: EnvironmentRole,
    /// From when on it gives nothing; never if left out or `null`. Over a grant that has an end, it cannot be left out.
    #[serde(default, skip_serializing_if = "GrantExpiry::is_unsaid")]
    pub expires_at: GrantExpiry,
}

/// Lists the grants in an environment: all of them, or the caller's own.
pub async fn list(mut request: WorkspaceRequest) -> HandlerResult {
    let paging = Paging::of(&mut request)?;
    std::mem::take(&mut request.params).finish()?;
    let only = request.only()?;
    let view = &paging.view;
    let named = request.path("env");
    let place = view.find_environment(&named.into())?;
    if !may_see(&request, place.id)? {
        return Err(Problem::not_found("environment", named));
    }
    let page = || {
        let shown = view.grants(&place).filter(|(principal, _)| only.is_none_or(|own| own == *principal));
        paging.page(shown.map(|(principal, grant)| entity::grant(view, &place, principal, &grant)))
    };
    response::for_view(view, &request.listing(page).await?)
}

/// Shows a principal's grant: anyone's, or the caller's own.
pub async fn show(mut request: WorkspaceRequest) -> HandlerResult {
    let (view, _) = request.view()?;
    std::mem::take(&mut request.params).finish()?;
    let only = request.only()?;
    let (environment, named) = (request.path("env"), request.path("principal"));
    let not_found = || Problem::not_found("grant", &format!("{named} in {environment}"));
    let place = view.find_environment(&environment.into())?;
    if !may_see(&request, place.id)? {
        return Err(Problem::not_found("environment", environment));
    }
    let principal = view.find_principal(&named.into()).map_err(|_| not_found())?;
    let grant = view.grant(&place, &principal).filter(|_| only.is_none_or(|own| *own == principal));
    response::for_view(&view, &entity::grant(&view, &place, &principal, &grant.ok_or_else(not_found)?))
}

/// Gives a grant.
pub async fn set(request: WorkspaceRequest) -> HandlerResult {
    let GrantBody { role, expires_at } = request.body()?;
    let (environment, principal) = (request.path("env").into(), request.path("principal").into());
    change(request, vec![SetGrant { environment, principal, role, expires_at }.into()], entities).await
}

/// Takes a grant back.
pub async fn revoke(request: WorkspaceRequest) -> HandlerResult {
    request.no_body()?;
    let (environment, principal) = (request.path("env").into(), request.path("principal").into());
    change(request, vec![RevokeGrant { environment, principal }.into()], entities).await
}
