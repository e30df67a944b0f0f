//! Grants.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::HandlerResult;
use super::environments::{EnvironmentPath, may_see};
use crate::domain::model::command::{Command, EnvironmentRef, GrantExpiry, PrincipalRef, RevokeGrant, SetGrant};
use crate::domain::model::role::EnvironmentRole;
use crate::http::entity;
use crate::http::guard::PrincipalRequest;
use crate::http::input::{Json, NoBody};
use crate::http::paging::Paging;
use crate::http::problem::Problem;
use crate::http::request::RequestedView;
use crate::http::response;

/// The path of a grant.
#[derive(Debug, Deserialize)]
pub struct GrantPath {
    env: EnvironmentRef,
    principal: PrincipalRef,
}

/// A grant's terms.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GrantBody {
    /// The role.
    pub role: EnvironmentRole,
    /// The end of the grant; none if left out or `null`. It is required to replace a grant that has an end.
    #[serde(default, skip_serializing_if = "GrantExpiry::is_unspecified")]
    pub expires_at: GrantExpiry,
}

/// Lists all grants in an environment, or the caller's own.
pub async fn list(request: PrincipalRequest, path: EnvironmentPath, paging: Paging) -> HandlerResult {
    let view = &paging.view;
    let environment = view.find_environment(&path.env)?;
    if !may_see(&request, environment.id) {
        return Err(Problem::not_found("environment", &path.env.0));
    }
    let page = || {
        let grants = view.grants(&environment);
        let visible = grants.filter(|(principal, _)| request.only.as_ref().is_none_or(|own| own == *principal));
        paging.page(visible.map(|(principal, grant)| entity::grant(view, &environment, principal, &grant)))
    };
    response::for_view(view, &request.listing(page).await?)
}

/// Shows a principal's grant: anyone's, or the caller's own.
pub async fn show(request: PrincipalRequest, path: GrantPath, requested: RequestedView) -> HandlerResult {
    let view = &requested.view;
    let not_found = || Problem::not_found("grant", &format!("{} in {}", path.principal, path.env));
    let environment = view.find_environment(&path.env)?;
    if !may_see(&request, environment.id) {
        return Err(Problem::not_found("environment", &path.env.0));
    }
    let principal = view.find_principal(&path.principal).map_err(|_| not_found())?;
    let grant = view.grant(&environment, &principal);
    let visible = grant.filter(|_| request.only.as_ref().is_none_or(|own| *own == principal));
    response::for_view(view, &entity::grant(view, &environment, &principal, &visible.ok_or_else(not_found)?))
}

/// Sets a grant.
pub fn set(GrantPath { env, principal }: GrantPath, Json(body): Json<GrantBody>) -> Command {
    let GrantBody { role, expires_at } = body;
    SetGrant { environment: env, principal, role, expires_at }.into()
}

/// Revokes a grant.
pub fn revoke(GrantPath { env, principal }: GrantPath, _: NoBody) -> Command {
    RevokeGrant { environment: env, principal }.into()
}
