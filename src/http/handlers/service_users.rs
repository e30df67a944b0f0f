//! Service users.

use super::Answered;
use crate::domain::command::{CreateServiceUser, DeleteServiceUser};
use crate::domain::principal::Principal;
use crate::http::answer::{self, Paging};
use crate::http::asked::InWorkspace;
use crate::http::change::{change, entities};
use crate::http::entity;
use crate::http::problem::Problem;

/// Lists service users: all of them, or for a service user only itself.
pub async fn list(mut request: InWorkspace) -> Answered {
    let paging = Paging::of(&mut request)?;
    std::mem::take(&mut request.asked.params).finish()?;
    let only = request.only()?;
    let view = &paging.view;
    let page = || {
        let is_shown = |id| only.is_none_or(|own| *own == Principal::ServiceUser(id));
        let shown = view.service_users().filter(|found| is_shown(found.id));
        paging.page(shown.map(|found| entity::service_user(view, &found)))
    };
    answer::about(view, &request.listing(page).await?)
}

/// Shows a service user: any, or for a service user only itself.
pub async fn show(mut request: InWorkspace) -> Answered {
    let (view, _) = request.view()?;
    std::mem::take(&mut request.asked.params).finish()?;
    let named = request.asked.path("svc");
    let only = request.only()?;
    let found = view.find_service_user(&named.into())?;
    if only.is_some_and(|own| *own != Principal::ServiceUser(found.id)) {
        return Err(Problem::not_found("service user", named));
    }
    answer::about(&view, &entity::service_user(&view, &found))
}

/// Makes a service user.
pub async fn create(request: InWorkspace) -> Answered {
    let command: CreateServiceUser = request.asked.body()?;
    change(request, vec![command.into()], entities).await
}

/// Ends a service user.
pub async fn delete(request: InWorkspace) -> Answered {
    request.asked.no_body()?;
    let service_user = request.asked.path("svc").into();
    change(request, vec![DeleteServiceUser { service_user }.into()], entities).await
}
