//! Service users.

use serde::Deserialize;

use super::HandlerResult;
use crate::domain::model::command::{Command, CreateServiceUser, DeleteServiceUser, ServiceUserRef};
use crate::domain::model::principal::Principal;
use crate::http::entity;
use crate::http::guard::PrincipalRequest;
use crate::http::input::{Json, NoBody, NoPath};
use crate::http::paging::Paging;
use crate::http::problem::Problem;
use crate::http::request::RequestedView;
use crate::http::response;

/// The path of a service user.
#[derive(Debug, Deserialize)]
pub struct ServiceUserPath {
    /// The service user.
    pub svc: ServiceUserRef,
}

/// Lists all service users, or only the caller if it is one.
pub async fn list(request: PrincipalRequest, _: NoPath, paging: Paging) -> HandlerResult {
    let view = &paging.view;
    let is_visible = |id| request.only.as_ref().is_none_or(|own| *own == Principal::ServiceUser(id));
    let page = || {
        let visible = view.service_users().filter(|found| is_visible(found.id));
        paging.page(visible.map(|found| entity::service_user(view, &found)))
    };
    response::for_view(view, &request.listing(page).await?)
}

/// Shows a service user: any, or only the caller if it is one.
pub async fn show(request: PrincipalRequest, path: ServiceUserPath, requested: RequestedView) -> HandlerResult {
    let view = &requested.view;
    let found = view.find_service_user(&path.svc)?;
    if request.only.as_ref().is_some_and(|own| *own != Principal::ServiceUser(found.id)) {
        return Err(Problem::not_found("service user", &path.svc.0));
    }
    response::for_view(view, &entity::service_user(view, &found))
}

/// Creates a service user.
pub fn create(_: NoPath, Json(command): Json<CreateServiceUser>) -> Command {
    command.into()
}

/// Deletes a service user.
pub fn delete(path: ServiceUserPath, _: NoBody) -> Command {
    DeleteServiceUser { service_user: path.svc }.into()
}
