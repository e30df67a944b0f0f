//! The scripts of the recorded histories.
//!
//! A script runs only if its history has no file yet. A recorded history is the truth, even if the script or the rules
//! change.

mod acme;
mod environments;
mod expiry;
mod people;
mod resources;
mod tokens;

use serde_json::{Value, json};
use tenure::domain::model::command::{CreateWorkspace, Owner};
use tenure::domain::model::role::{Plan, WorkspaceKind};

use crate::support::recording::{Recorder, Recording, instant};

/// A script that drives a recorder.
type Script = fn(Recorder) -> Recording;

/// Every history, with the script that records it.
pub(crate) const SCRIPTS: &[(&str, Script)] = &[
    ("leaver-and-rehire", people::leaver_and_rehire),
    ("a-pilot-that-ended", people::a_pilot_that_ended),
    ("a-workspace-of-one", people::a_workspace_of_one),
    ("environment-deleted-and-remade", environments::deleted_and_remade),
    ("rbac-off-and-on", environments::rbac_off_and_on),
    ("proxy-token-scopes", tokens::proxy_token_scopes),
    ("expiring-grants", expiry::expiring_grants),
    ("resources-placed-and-moved", resources::placed_and_moved),
    ("a-workspace-ended-with-its-resources", resources::ended_with_the_workspace),
    ("a-year-at-acme", acme::a_year),
];

/// Records a history from its script.
pub(crate) fn record(history: &'static str) -> Recording {
    let (_, script) = SCRIPTS.iter().find(|(name, _)| *name == history).unwrap();
    script(Recorder::new(history, "2025-01-01 00:00"))
}

/// Makes a shared workspace as the operator.
fn begin(recorder: &mut Recorder, at: &str, name: &str, plan: Plan, owner: &str) {
    begin_as(recorder, at, name, WorkspaceKind::Shared, plan, owner);
}

fn begin_as(recorder: &mut Recorder, at: &str, name: &str, kind: WorkspaceKind, plan: Plan, owner: &str) {
    let owner = Owner { user: owner.parse().unwrap(), name: None, email: None };
    let create = CreateWorkspace { name: name.parse().unwrap(), kind, plan, owner };
    recorder.workspace_step(at, "", "operator", create);
}

fn expiring(mut command: Value, until: &str) -> Value {
    command["expires_at"] = json!(instant(until).to_string());
    command
}

fn plan(plan: &str) -> Value {
    json!({"type": "plan.change", "plan": plan})
}

fn rbac(on: bool) -> Value {
    json!({"type": if on { "rbac.enable" } else { "rbac.disable" }})
}

fn add(user: &str, role: &str) -> Value {
    json!({"type": "member.add", "user": user, "role": role})
}

fn change_role(user: &str, role: &str) -> Value {
    json!({"type": "member.change_role", "user": user, "role": role})
}

fn remove(user: &str) -> Value {
    json!({"type": "member.remove", "user": user})
}

fn service_user(name: &str) -> Value {
    json!({"type": "service_user.create", "name": name})
}

fn delete_service_user(name: &str) -> Value {
    json!({"type": "service_user.delete", "service_user": name})
}

fn token(user: &str) -> Value {
    json!({"type": "token.issue", "user": user})
}

fn service_token(service_user: &str) -> Value {
    json!({"type": "token.issue", "service_user": service_user})
}

fn revoke_token(token: &str) -> Value {
    json!({"type": "token.revoke", "token": token})
}

fn environment(name: &str) -> Value {
    json!({"type": "environment.create", "name": name})
}

/// Returns a command for an environment that is restricted from its first moment.
fn private_environment(name: &str, default_role: &str, grants: &[(&str, &str)]) -> Value {
    let grants: Vec<_> = grants.iter().map(|(principal, role)| json!({"principal": principal, "role": role})).collect();
    json!({"type": "environment.create", "name": name, "restricted": true, "default_role": default_role,
           "grants": grants})
}

fn rename(environment: &str, name: &str) -> Value {
    json!({"type": "environment.rename", "environment": environment, "name": name})
}

fn restrict(environment: &str) -> Value {
    json!({"type": "environment.restrict", "environment": environment})
}

fn default_role(environment: &str, role: &str) -> Value {
    json!({"type": "environment.set_default_role", "environment": environment, "default_role": role})
}

fn unrestrict(environment: &str) -> Value {
    json!({"type": "environment.unrestrict", "environment": environment})
}

fn delete_environment(environment: &str) -> Value {
    json!({"type": "environment.delete", "environment": environment})
}

fn grant(environment: &str, principal: &str, role: &str) -> Value {
    json!({"type": "grant.set", "environment": environment, "principal": principal, "role": role})
}

fn revoke_grant(environment: &str, principal: &str) -> Value {
    json!({"type": "grant.revoke", "environment": environment, "principal": principal})
}

fn proxy_token(environments: &[&str]) -> Value {
    json!({"type": "proxy_token.create", "environments": environments})
}

fn wide_proxy_token() -> Value {
    json!({"type": "proxy_token.create"})
}

fn scope(proxy_token: &str, environments: &[&str]) -> Value {
    json!({"type": "proxy_token.set_environments", "proxy_token": proxy_token, "environments": environments})
}

fn revoke_proxy_token(proxy_token: &str) -> Value {
    json!({"type": "proxy_token.revoke", "proxy_token": proxy_token})
}

fn access_key(role: &str, label: &str) -> Value {
    json!({"type": "access_key.issue", "role": role, "label": label})
}

fn revoke_access_key(access_key: &str) -> Value {
    json!({"type": "access_key.revoke", "access_key": access_key})
}

fn resource_type(name: &str, actions: &[(&str, &str)]) -> Value {
    let actions: serde_json::Map<_, _> =
        actions.iter().map(|(action, role)| ((*action).to_owned(), json!(role))).collect();
    json!({"type": "resource_type.define", "name": name, "actions": actions})
}

fn place(resource_type: &str, id: &str, environment: &str) -> Value {
    json!({"type": "resource.place", "resource": {"type": resource_type, "id": id}, "environment": environment})
}

fn remove_resource(resource_type: &str, id: &str) -> Value {
    json!({"type": "resource.remove", "resource": {"type": resource_type, "id": id}})
}
