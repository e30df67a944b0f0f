//! Service users.

use super::HandlerResult;
use crate::domain::command::{CreateServiceUser, DeleteServiceUser};
use crate::domain::principal::Principal;
use crate::http::change::{change, entities};
use crate::http::entity;
use crate::http::problem::Problem;
use crate::http::request::WorkspaceRequest;
use crate::http::response::{self, Paging};

/// Lists service users: all of them, or for a service user only itself.
pub async fn list(mut request: WorkspaceRequest) -> HandlerResult {
    let paging = Paging::of(&mut request)?;
    std::mem::take(&mut request.params).finish()?;
    let only = request.only()?;
    let view = &paging.view;
    let page = || {
        let is_shown = |id| only.is_none_or(|own| *own == Principal::ServiceUser(id));
        let shown = view.service_users().filter(|found| is_shown(found.id));
        paging.page(shown.map(|found| entity::service_user(view, &found)))
    };
    response::for_view(view, &request.listing(page).await?)
}

/// Shows a service user: any, or for a service user only itself.
pub async fn show(mut request: WorkspaceRequest) -> HandlerResult {
    let (view, _) = request.view()?;
    std::mem::take(&mut request.params).finish()?;
    let named = request.path("svc");
    let only = request.only()?;
    let found = view.find_service_user(&named.into())?;
    if only.is_some_and(|own| *own != Principal::ServiceUser(found.id)) {
        return Err(Problem::not_found("service user", named));
    }
    response::for_view(&view, &entity::service_user(&view, &found))
}

/// Makes a service user.
pub async fn create(request: WorkspaceRequest) -> HandlerResult {
    let command: CreateServiceUser = request.body()?;
    change(request, vec![command.into()], entities).await
}

/// Ends a service user.
pub async fn delete(request: WorkspaceRequest) -> HandlerResult {
    request.no_body()?;
    let service_user = request.path("svc").into();
    change(request, vec![DeleteServiceUser { service_user }.into()], entities).await
}
