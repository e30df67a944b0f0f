//! Members and their profiles.

use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::HandlerResult;
use crate::domain::model::command::{AddMember, ChangeMemberRole, Command, Profile, RemoveMember, UserRef};
use crate::domain::model::id::UserId;
use crate::domain::model::principal::Principal;
use crate::domain::model::role::WorkspaceRole;
use crate::domain::model::time::Revision;
use crate::http::change::submit_side;
use crate::http::entity;
use crate::http::guard::{ChangeRequest, PrincipalRequest};
use crate::http::input::{Json, NoBody, NoInput, NoPath, QueryParams};
use crate::http::paging::{Page, Paging};
use crate::http::problem::Problem;
use crate::http::request::{RequestedView, WorkspaceRequest};
use crate::http::response;
use crate::service::SideRequest;

/// A member's role.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleBody {
    /// The new role.
    pub role: WorkspaceRole,
}

/// The path of a member.
#[derive(Debug, Deserialize)]
pub struct MemberPath {
    /// The member.
    pub user: UserRef,
}

/// The options of a removal.
#[derive(Debug, Deserialize)]
pub struct RemoveQuery {
    #[serde(default)]
    revoke_issued: bool,
}

/// Lists all members, or a plain member only itself.
pub async fn list(request: PrincipalRequest, _: NoPath, paging: Paging) -> HandlerResult {
    let view = &paging.view;
    let is_visible = |user: &UserId| request.only.as_ref().is_none_or(|own| *own == Principal::User(user.clone()));
    let users = || paging.page(view.members().map(|(user, _)| user).filter(|user| is_visible(user)).cloned());
    let page = request.listing(users).await?;
    let profiles = if paging.pinned {
        vec![Profile::default(); page.items.len()]
    } else {
        profiles(&request, &page.items).await?
    };
    let rows = page.items.iter().zip(profiles).filter_map(|(user, profile)| entity::member(view, user, profile));
    response::for_view(view, &Page { items: rows.collect(), next: page.next })
}

async fn profiles(request: &WorkspaceRequest, users: &[UserId]) -> Result<Vec<Profile>, Problem> {
    let (workspace, users) = (request.root.id(), users.to_vec());
    Ok(request.app.service.reading(move |log| log.profiles(workspace, &users)).await?)
}

/// Shows a member: anyone, or a plain member only itself.
pub async fn show(request: PrincipalRequest, path: MemberPath, requested: RequestedView) -> HandlerResult {
    let RequestedView { view, pinned } = requested;
    let (user, _) = view.find_member(&path.user)?;
    let not_found = || Problem::not_found("member", &path.user.0);
    if request.only.as_ref().is_some_and(|own| *own != Principal::User(user.clone())) {
        return Err(not_found());
    }
    let users = std::slice::from_ref(&user);
    let profile = if pinned { None } else { profiles(&request, users).await?.pop() };
    let found = entity::member(&view, &user, profile.unwrap_or_default());
    response::for_view(&view, &found.ok_or_else(not_found)?)
}

/// Adds a member.
pub fn add(_: NoPath, Json(command): Json<AddMember>) -> Command {
    command.into()
}

/// Changes a member's role.
pub fn change_role(path: MemberPath, Json(body): Json<RoleBody>) -> Command {
    ChangeMemberRole { user: path.user, role: body.role }.into()
}

/// Removes a member, and on request revokes what the member issued.
pub fn remove(path: MemberPath, (_, QueryParams(query)): (NoBody, QueryParams<RemoveQuery>)) -> Command {
    RemoveMember { user: path.user, revoke_issued: query.revoke_issued }.into()
}

/// Returns the person whose profile is named. A person who has left is found too, so that the profile can still be erased.
fn find_profile(request: &PrincipalRequest, named: &UserRef) -> Result<UserId, Problem> {
    let view = request.now();
    let found = named.0.parse::<UserId>().ok().filter(|user| view.last_member_change(user).is_some());
    match (found, &request.only) {
        (Some(user), None) => Ok(user),
        (Some(user), Some(own)) if *own == Principal::User(user.clone()) => Ok(user),
        (_, Some(_)) => Err(Problem::forbidden("only the member, an owner, a manager or the operator may do this")),
        (None, None) => Err(Problem::not_found("member", &named.0)),
    }
}

/// Shows a person's profile.
pub async fn show_profile(request: PrincipalRequest, path: MemberPath, _: NoInput) -> HandlerResult {
    let user = find_profile(&request, &path.user)?;
    let profile = profiles(&request, std::slice::from_ref(&user)).await?.pop().unwrap_or_default();
    profile_response(request.root.head(), &profile)
}

/// Replaces a person's profile.
pub async fn set_profile(request: ChangeRequest, path: MemberPath, Json(profile): Json<Profile>) -> HandlerResult {
    write_profile(request, path, profile).await
}

/// Erases a person's profile.
pub async fn erase_profile(request: ChangeRequest, path: MemberPath, _: NoBody) -> HandlerResult {
    write_profile(request, path, Profile::default()).await
}

async fn write_profile(ChangeRequest(request): ChangeRequest, path: MemberPath, profile: Profile) -> HandlerResult {
    let write = SideRequest::SetProfile(path.user, profile.clone());
    // The response follows from the body, so nothing of the person is kept.
    let done = submit_side(&request, write).await?;
    profile_response(done.head, &profile)
}

fn profile_response(head: Revision, profile: &Profile) -> HandlerResult {
    let mut response = response::json(StatusCode::OK, response::to_json(profile)?);
    response::set_etag(response.headers_mut(), head);
    Ok(response)
}
