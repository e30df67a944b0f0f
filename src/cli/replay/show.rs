//! Output of a permission state: one table for each kind of live entity.

use crate::cli::entity_columns::named;
use crate::cli::failure::Failure;
use crate::cli::output::{Output, OutputColumn, OutputRows, columns};
use crate::domain::model::principal::Principal;
use crate::domain::model::time::Revision;
use crate::domain::state::permission_state::{
    EnvironmentState, GrantState, MemberState, PermissionState, PlacementState, ResourceTypeState, ServiceUserState,
};

/// Shows a state.
pub(super) fn state(out: &mut Output, state: &PermissionState) -> Result<(), Failure> {
    summary(out, state)?;
    section(out, "members", &columns!["USER" = "user", "ROLE" = "role", "SINCE" = "since"], members(state))?;
    section(out, "service users", &columns!["NAME" = "name", "SINCE" = "since", "ID" = "id"], service_users(state))?;
    section(
        out,
        "environments",
        &columns!["NAME" = "name", "DEFAULT ROLE" = "default_role", "GRANTS" = "grants", "ID" = "id"],
        state.environments.iter().map(environment).collect(),
    )?;
    section(
        out,
        "grants",
        &columns!["ENVIRONMENT" = "environment", "PRINCIPAL" = "principal", "ROLE" = "role", "EXPIRES" = "expires_at"],
        grants(state),
    )?;
    let types = columns!["NAME" = "name", "ACTIONS" = "actions", "SINCE" = "since"];
    section(out, "resource types", &types, state.resource_types.iter().map(resource_type).collect())?;
    let resources = columns!["TYPE" = "type", "ID" = "id", "ENVIRONMENT" = "environment", "SINCE" = "since"];
    section(out, "resources", &resources, resources_of(state))
}

fn summary(out: &mut Output, state: &PermissionState) -> Result<(), Failure> {
    let workspace = &state.workspace;
    let or_none = |text: Option<String>| text.unwrap_or_default();
    out.fields(&[
        ("workspace", or_none(workspace.name.as_ref().map(ToString::to_string))),
        ("id", workspace.id.to_string()),
        ("kind", or_none(workspace.kind.as_ref().map(ToString::to_string))),
        ("plan", workspace.plan.to_string()),
        ("RBAC", if workspace.rbac { "on" } else { "off" }.to_owned()),
        ("revision", state.revision.to_string()),
        ("time", or_none(state.time.map(|time| time.to_string()))),
        ("API tokens", state.tokens.len().to_string()),
        ("proxy tokens", state.proxy_tokens.len().to_string()),
        ("access keys", state.access_keys.len().to_string()),
    ])?;
    if workspace.deleted.is_some() { out.line("the workspace has been deleted") } else { Ok(()) }
}

fn section(out: &mut Output, title: &str, columns: &[OutputColumn], rows: Vec<Vec<String>>) -> Result<(), Failure> {
    if rows.is_empty() {
        return Ok(());
    }
    out.line("")?;
    out.heading(title)?;
    out.table(&OutputRows { columns: columns.to_vec(), rows })
}

fn revision(since: Revision) -> String {
    format!("revision {since}")
}

fn members(state: &PermissionState) -> Vec<Vec<String>> {
    let row = |member: &MemberState| vec![member.user.to_string(), member.role.to_string(), revision(member.since)];
    state.members.iter().map(row).collect()
}

fn service_users(state: &PermissionState) -> Vec<Vec<String>> {
    let row = |found: &ServiceUserState| vec![found.name.to_string(), revision(found.since), found.id.to_string()];
    state.service_users.iter().map(row).collect()
}

fn environment(found: &EnvironmentState) -> Vec<String> {
    let role = found.default_role.map_or_else(|| "unrestricted".to_owned(), |role| role.to_string());
    vec![found.name.to_string(), role, found.grants.len().to_string(), found.id.to_string()]
}

fn grants(state: &PermissionState) -> Vec<Vec<String>> {
    let of = |environment: &EnvironmentState| {
        let name = environment.name.to_string();
        let row = |grant: &GrantState| {
            let expires_at = grant.expires_at.map(|end| end.to_string()).unwrap_or_default();
            vec![name.clone(), shown(state, &grant.principal), grant.role.to_string(), expires_at]
        };
        environment.grants.iter().map(row).collect::<Vec<_>>()
    };
    state.environments.iter().flat_map(of).collect()
}

fn resource_type(found: &ResourceTypeState) -> Vec<String> {
    let actions: Vec<_> = found.actions.iter().map(|(action, role)| format!("{action}={role}")).collect();
    vec![found.name.to_string(), actions.join(" "), revision(found.since)]
}

fn resources_of(state: &PermissionState) -> Vec<Vec<String>> {
    let row = |found: &PlacementState| {
        let place = state.environments.iter().find(|place| place.id == found.environment);
        let place = place.map_or_else(|| found.environment.to_string(), |place| place.name.to_string());
        vec![found.resource_type.to_string(), found.id.to_string(), place, revision(found.since)]
    };
    state.resources.iter().map(row).collect()
}

/// Returns a principal with its name in place of the id.
fn shown(state: &PermissionState, principal: &Principal) -> String {
    let name = match principal {
        Principal::User(user) => Some(user.to_string()),
        Principal::ServiceUser(id) => {
            state.service_users.iter().find(|found| found.id == *id).map(|found| found.name.to_string())
        }
    };
    named(&principal.to_string(), &name.unwrap_or_default())
}
