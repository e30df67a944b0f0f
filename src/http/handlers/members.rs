//! Members and their profiles.

use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::HandlerResult;
use crate::domain::command::{AddMember, ChangeMemberRole, Profile, RemoveMember, UserRef};
use crate::domain::id::UserId;
use crate::domain::principal::Principal;
use crate::domain::role::WorkspaceRole;
use crate::domain::time::Revision;
use crate::http::change::{change, entities, submit_side};
use crate::http::entity;
use crate::http::problem::Problem;
use crate::http::request::{ReadAccess, WorkspaceRequest};
use crate::http::response::{self, Paging};
use crate::service::SideWrite;

/// A member's role.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleBody {
    /// The role from now on.
    pub role: WorkspaceRole,
}

/// Lists members: all of them, or for a plain member only itself.
pub async fn list(mut request: WorkspaceRequest) -> HandlerResult {
    let paging = Paging::of(&mut request)?;
    std::mem::take(&mut request.params).finish()?;
    let only = request.only()?;
    let view = &paging.view;
    let shown = |user: &UserId| only.is_none_or(|own| *own == Principal::User(user.clone()));
    let users = || paging.page(view.members().map(|(user, _)| user).filter(|user| shown(user)).cloned());
    let page = request.listing(users).await?;
    let profiles = if paging.pinned {
        vec![Profile::default(); page.items.len()]
    } else {
        profiles(&request, &page.items).await?
    };
    let rows = page.items.iter().zip(profiles).filter_map(|(user, profile)| entity::member(view, user, profile));
    response::for_view(view, &response::Page { items: rows.collect(), next: page.next })
}

async fn profiles(request: &WorkspaceRequest, users: &[UserId]) -> Result<Vec<Profile>, Problem> {
    let (workspace, users) = (request.root.id(), users.to_vec());
    Ok(request.app.service.reading(move |log| log.profiles(workspace, &users)).await?)
}

/// Shows a member: anyone, or for a plain member only itself.
pub async fn show(mut request: WorkspaceRequest) -> HandlerResult {
    let (view, pinned) = request.view()?;
    std::mem::take(&mut request.params).finish()?;
    let named = request.path("user");
    let (user, _) = view.find_member(&named.into())?;
    if request.only()?.is_some_and(|own| *own != Principal::User(user.clone())) {
        return Err(Problem::not_found("member", named));
    }
    let users = std::slice::from_ref(&user);
    let profile = if pinned { None } else { profiles(&request, users).await?.pop() };
    let found = entity::member(&view, &user, profile.unwrap_or_default());
    response::for_view(&view, &found.ok_or_else(|| Problem::not_found("member", named))?)
}

/// Makes a person a member.
pub async fn add(request: WorkspaceRequest) -> HandlerResult {
    let command: AddMember = request.body()?;
    change(request, vec![command.into()], entities).await
}

/// Gives a member another role.
pub async fn change_role(request: WorkspaceRequest) -> HandlerResult {
    let RoleBody { role } = request.body()?;
    let user = request.path("user").into();
    change(request, vec![ChangeMemberRole { user, role }.into()], entities).await
}

/// Ends a membership, and if so asked what the member issued.
pub async fn remove(mut request: WorkspaceRequest) -> HandlerResult {
    request.no_body()?;
    let revoke_issued = request.params.flag("revoke_issued")?;
    let user = request.path("user").into();
    change(request, vec![RemoveMember { user, revoke_issued }.into()], entities).await
}

/// Whose profile is meant. It may be that of a person who has left, so that it can still be erased.
fn profiled(request: &WorkspaceRequest) -> Result<UserId, Problem> {
    let reference: UserRef = request.path("user").into();
    let view = request.now();
    let found = reference.0.parse::<UserId>().ok().filter(|user| view.member_trace(user).is_some());
    let own = |user: &UserId| request.access == ReadAccess::Own(Principal::User(user.clone()));
    match found {
        Some(user) if request.access == ReadAccess::All || own(&user) => Ok(user),
        _ if request.access != ReadAccess::All => {
            Err(Problem::forbidden("only the member, an owner, a manager or the operator may do this"))
        }
        _ => Err(Problem::not_found("member", &reference.0)),
    }
}

/// Shows a person's profile.
pub async fn show_profile(mut request: WorkspaceRequest) -> HandlerResult {
    std::mem::take(&mut request.params).finish()?;
    let user = profiled(&request)?;
    let profile = profiles(&request, std::slice::from_ref(&user)).await?.pop().unwrap_or_default();
    profile_answer(request.root.head(), &profile)
}

/// Replaces a person's profile.
pub async fn set_profile(request: WorkspaceRequest) -> HandlerResult {
    let profile: Profile = request.body()?;
    write_profile(request, profile).await
}

/// Erases a person's profile.
pub async fn erase_profile(request: WorkspaceRequest) -> HandlerResult {
    request.no_body()?;
    write_profile(request, Profile::default()).await
}

async fn write_profile(mut request: WorkspaceRequest, profile: Profile) -> HandlerResult {
    request.params.reason()?;
    std::mem::take(&mut request.params).finish()?;
    let write = SideWrite::SetProfile(request.path("user").into(), profile.clone());
    // The answer follows from the body, so nothing of the person is kept.
    let answer = submit_side(&request, write, Vec::new()).await?;
    profile_answer(answer.head, &profile)
}

fn profile_answer(head: Revision, profile: &Profile) -> HandlerResult {
    let mut response = response::json(StatusCode::OK, response::to_json(profile)?);
    response::set_etag(response.headers_mut(), head);
    Ok(response)
}
