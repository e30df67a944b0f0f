//! Commands about members and service users.

use super::authority::CallerRole;
use super::credentials::{first_token, revoke_issued, revoke_tokens};
use super::grants::revoke_all_of;
use super::{CommandResult, PRINCIPALS_MAX};
use crate::domain::model::command::{AddMember, ChangeMemberRole, CreateServiceUser, DeleteServiceUser, RemoveMember};
use crate::domain::model::event::{EventData, Membership, Nothing, ServiceUserDescription};
use crate::domain::model::id::{GeneratedIds, ServiceUserId, UserId};
use crate::domain::model::principal::{Caller, Principal};
use crate::domain::model::rejection::Rejection;
use crate::domain::model::role::{WorkspaceKind, WorkspaceRole};
use crate::domain::state::view::View;

pub(super) fn add(view: &View, caller_role: &CallerRole, command: &AddMember) -> CommandResult {
    let AddMember { user, role, .. } = command;
    check_shared(view, "it has no other members")?;
    if view.member(user).is_some() {
        return Err(Rejection::AlreadyExists { kind: "member", name: user.to_string() });
    }
    if *role == WorkspaceRole::Owner && !caller_role.owns() {
        return Err(Rejection::OwnerProtected("make a member owner"));
    }
    check_room(view)?;
    Ok(vec![EventData::MemberAdded(user.clone(), Membership { role: *role })])
}

/// Changes the role of a member. Owners and managers are contributors everywhere by role, so their grants end.
pub(super) fn change_role(view: &View, caller_role: &CallerRole, command: &ChangeMemberRole) -> CommandResult {
    let (user, held) = view.find_member(&command.user)?;
    let role = command.role;
    if held.value == role {
        return Ok(Vec::new());
    }
    if role == WorkspaceRole::Owner && !caller_role.owns() {
        return Err(Rejection::OwnerProtected("make a member owner"));
    }
    check_owner_may_go(view, caller_role, &user, held.value)?;
    let principal = Principal::User(user.clone());
    let mut events = if role.administers() { revoke_all_of(view, &principal) } else { Vec::new() };
    events.push(EventData::MemberRoleChanged(user, Membership { role }));
    Ok(events)
}

pub(super) fn remove(view: &View, caller_role: &CallerRole, command: &RemoveMember) -> CommandResult {
    let (user, held) = view.find_member(&command.user)?;
    check_owner_may_go(view, caller_role, &user, held.value)?;
    let principal = Principal::User(user.clone());
    let mut events = revoke_all_of(view, &principal);
    events.extend(revoke_tokens(view, &principal));
    if command.revoke_issued {
        events.extend(revoke_issued(view, caller_role, &user)?);
    }
    events.push(EventData::MemberRemoved(user, Nothing {}));
    Ok(events)
}

/// Checks that the role of an owner may end: only owners may do that, and one owner must stay.
fn check_owner_may_go(
    view: &View,
    caller_role: &CallerRole,
    user: &UserId,
    held: WorkspaceRole,
) -> Result<(), Rejection> {
    if held != WorkspaceRole::Owner {
        return Ok(());
    }
    if !caller_role.owns() {
        return Err(Rejection::OwnerProtected("change or remove an owner"));
    }
    if view.workspace().live_counts.owners <= 1 {
        return Err(Rejection::LastOwner(user.to_string()));
    }
    Ok(())
}

pub(super) fn create_service_user(
    view: &View,
    caller: &Caller,
    command: &CreateServiceUser,
    generated: &GeneratedIds,
) -> CommandResult {
    check_shared(view, "it has no service users")?;
    if view.find_service_user(&command.name.as_str().into()).is_ok() {
        return Err(Rejection::AlreadyExists { kind: "service user", name: command.name.to_string() });
    }
    check_room(view)?;
    let id = ServiceUserId::from_uuid(generated.entity);
    let description = ServiceUserDescription { name: command.name.clone() };
    let token = first_token(view, caller, Principal::ServiceUser(id), generated)?;
    Ok(vec![EventData::ServiceUserCreated(id, description), token])
}

pub(super) fn delete_service_user(view: &View, command: &DeleteServiceUser) -> CommandResult {
    let id = view.find_service_user(&command.service_user)?.id;
    let principal = Principal::ServiceUser(id);
    let mut events = revoke_all_of(view, &principal);
    events.extend(revoke_tokens(view, &principal));
    events.push(EventData::ServiceUserDeleted(id, Nothing {}));
    Ok(events)
}

fn check_shared(view: &View, why: &'static str) -> Result<(), Rejection> {
    let personal = view.description().is_some_and(|description| description.kind == WorkspaceKind::Personal);
    if personal { Err(Rejection::PersonalWorkspace(why)) } else { Ok(()) }
}

fn check_room(view: &View) -> Result<(), Rejection> {
    if view.workspace().live_counts.principals >= PRINCIPALS_MAX {
        return Err(Rejection::TooLarge { what: "principals a workspace", max: PRINCIPALS_MAX });
    }
    Ok(())
}
