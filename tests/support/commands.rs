//! Short constructors for commands. A holder or principal is written `user:ID` or `service_user:NAME`.

use tenure::domain::model::command::{
    AddMember, ChangeMemberRole, ChangePlan, Command, CreateEnvironment, CreateProxyToken, CreateServiceUser,
    CreateWorkspace, DefineResourceType, DeleteEnvironment, DeleteServiceUser, DeleteWorkspace, DisableRbac,
    EnableRbac, GrantExpiry, GrantSpec, IssueAccessKey, IssueToken, Owner, PlaceResource, RemoveMember, RemoveResource,
    RenameEnvironment, ResourceRef, ResourceSpec, RestrictEnvironment, RevokeAccessKey, RevokeGrant, RevokeProxyToken,
    RevokeToken, SetDefaultRole, SetGrant, SetProxyTokenEnvironments, UnrestrictEnvironment,
};
use tenure::domain::model::role::{AccessKeyRole, EnvironmentRole, Plan, WorkspaceKind, WorkspaceRole};
use tenure::domain::model::time::Instant;

pub fn create_workspace(name: &str, kind: WorkspaceKind, plan: Plan, owner: &str) -> Command {
    let owner = Owner { user: owner.parse().unwrap(), name: None, email: None };
    CreateWorkspace { name: name.parse().unwrap(), kind, plan, owner }.into()
}

pub fn delete_workspace() -> Command {
    DeleteWorkspace {}.into()
}

pub fn change_plan(plan: Plan) -> Command {
    ChangePlan { plan }.into()
}

pub fn enable_rbac() -> Command {
    EnableRbac {}.into()
}

pub fn disable_rbac() -> Command {
    DisableRbac {}.into()
}

pub fn add_member(user: &str, role: WorkspaceRole) -> Command {
    AddMember { user: user.parse().unwrap(), role, name: None, email: None }.into()
}

pub fn change_role(user: &str, role: WorkspaceRole) -> Command {
    ChangeMemberRole { user: user.into(), role }.into()
}

pub fn remove_member(user: &str) -> Command {
    RemoveMember { user: user.into(), revoke_issued: false }.into()
}

pub fn remove_member_and_issued(user: &str) -> Command {
    RemoveMember { user: user.into(), revoke_issued: true }.into()
}

pub fn create_service_user(name: &str) -> Command {
    CreateServiceUser { name: name.parse().unwrap() }.into()
}

pub fn delete_service_user(service_user: &str) -> Command {
    DeleteServiceUser { service_user: service_user.into() }.into()
}

pub fn issue_token(holder: &str) -> Command {
    issue_token_until(holder, None)
}

pub fn issue_token_until(holder: &str, expires_at: impl Into<Option<Instant>>) -> Command {
    let user = holder.strip_prefix("user:").map(Into::into);
    let service_user = holder.strip_prefix("service_user:").map(Into::into);
    IssueToken { user, service_user, expires_at: expires_at.into() }.into()
}

pub fn revoke_token(token: impl Into<String>) -> Command {
    RevokeToken { token: token.into().into() }.into()
}

pub fn create_environment(name: &str) -> Command {
    CreateEnvironment { name: name.parse().unwrap(), restricted: false, default_role: None, grants: vec![] }.into()
}

pub fn create_restricted(
    name: &str,
    default_role: impl Into<Option<EnvironmentRole>>,
    grants: impl Into<Vec<GrantSpec>>,
) -> Command {
    let (default_role, grants) = (default_role.into(), grants.into());
    CreateEnvironment { name: name.parse().unwrap(), restricted: true, default_role, grants }.into()
}

pub fn grant(principal: &str, role: EnvironmentRole) -> GrantSpec {
    grant_until(principal, role, None)
}

pub fn grant_until(principal: &str, role: EnvironmentRole, expires_at: impl Into<Option<Instant>>) -> GrantSpec {
    GrantSpec { principal: principal.into(), role, expires_at: expiry(expires_at.into()) }
}

/// Returns the expiry of a grant; without an end, the command states none.
fn expiry(end: Option<Instant>) -> GrantExpiry {
    end.map_or(GrantExpiry::Unspecified, GrantExpiry::At)
}

pub fn rename(environment: &str, name: &str) -> Command {
    RenameEnvironment { environment: environment.into(), name: name.parse().unwrap() }.into()
}

pub fn restrict(environment: &str) -> Command {
    restrict_with(environment, None, [])
}

pub fn restrict_with(
    environment: &str,
    default_role: impl Into<Option<EnvironmentRole>>,
    grants: impl Into<Vec<GrantSpec>>,
) -> Command {
    let (default_role, grants) = (default_role.into(), grants.into());
    RestrictEnvironment { environment: environment.into(), default_role, grants }.into()
}

pub fn set_default_role(environment: &str, default_role: EnvironmentRole) -> Command {
    SetDefaultRole { environment: environment.into(), default_role }.into()
}

pub fn unrestrict(environment: &str) -> Command {
    UnrestrictEnvironment { environment: environment.into() }.into()
}

pub fn delete_environment(environment: &str) -> Command {
    DeleteEnvironment { environment: environment.into() }.into()
}

pub fn set_grant(environment: &str, principal: &str, role: EnvironmentRole) -> Command {
    set_grant_until(environment, principal, role, None)
}

pub fn set_grant_until(
    environment: &str,
    principal: &str,
    role: EnvironmentRole,
    expires_at: impl Into<Option<Instant>>,
) -> Command {
    let (environment, principal) = (environment.into(), principal.into());
    SetGrant { environment, principal, role, expires_at: expiry(expires_at.into()) }.into()
}

/// Like [`set_grant`], but states that the grant never ends.
pub fn set_grant_for_good(environment: &str, principal: &str, role: EnvironmentRole) -> Command {
    let (environment, principal) = (environment.into(), principal.into());
    SetGrant { environment, principal, role, expires_at: GrantExpiry::Never }.into()
}

pub fn revoke_grant(environment: &str, principal: &str) -> Command {
    RevokeGrant { environment: environment.into(), principal: principal.into() }.into()
}

pub fn create_wide_proxy_token() -> Command {
    CreateProxyToken { environments: None, expires_at: None }.into()
}

pub fn create_proxy_token<const N: usize>(environments: [&str; N]) -> Command {
    create_proxy_token_until(environments, None)
}

pub fn create_proxy_token_until<const N: usize>(
    environments: [&str; N],
    expires_at: impl Into<Option<Instant>>,
) -> Command {
    let environments = Some(environments.map(Into::into).to_vec());
    CreateProxyToken { environments, expires_at: expires_at.into() }.into()
}

pub fn set_scope<const N: usize>(proxy_token: impl Into<String>, environments: [&str; N]) -> Command {
    let environments = environments.map(Into::into).to_vec();
    SetProxyTokenEnvironments { proxy_token: proxy_token.into().into(), environments }.into()
}

pub fn revoke_proxy_token(proxy_token: impl Into<String>) -> Command {
    RevokeProxyToken { proxy_token: proxy_token.into().into() }.into()
}

pub fn issue_access_key(role: AccessKeyRole) -> Command {
    issue_access_key_until(role, None)
}

pub fn issue_access_key_until(role: AccessKeyRole, expires_at: impl Into<Option<Instant>>) -> Command {
    IssueAccessKey { role, label: "for a test".parse().unwrap(), expires_at: expires_at.into() }.into()
}

pub fn revoke_access_key(access_key: impl Into<String>) -> Command {
    RevokeAccessKey { access_key: access_key.into().into() }.into()
}

/// Defines a resource type whose actions are written `ACTION=ROLE`.
pub fn define_resource_type<const N: usize>(name: &str, actions: [&str; N]) -> Command {
    let action = |text: &str| {
        let (action, role) = text.split_once('=').unwrap();
        (action.parse().unwrap(), role.parse().unwrap())
    };
    DefineResourceType { name: name.parse().unwrap(), actions: actions.map(action).into_iter().collect() }.into()
}

/// Places a resource that is written `TYPE:ID`.
pub fn place(resource: &str, environment: &str) -> Command {
    let (resource_type, id) = resource.split_once(':').unwrap();
    let resource = ResourceSpec { resource_type: resource_type.into(), id: id.parse().unwrap() };
    PlaceResource { resource, environment: environment.into() }.into()
}

pub fn remove_resource(resource: &str) -> Command {
    let (resource_type, id) = resource.split_once(':').unwrap();
    RemoveResource { resource: ResourceRef { resource_type: resource_type.into(), id: id.into() } }.into()
}
