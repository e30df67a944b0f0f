//! Cerbos over AuthZEN: policies with derived roles, and the facts that they need in every request.
//!
//! Cerbos keeps no facts: the application looks up the principal's roles and grant and the environment's default role,
//! and sends them. Here the look-up is free, which favours Cerbos.

use std::path::Path;

use serde_json::json;

use crate::load::request;
use crate::peer::Outcome;
use crate::workload::{CONTRIBUTOR_ACTIONS, Question, VIEWER_ACTIONS, Workspace};

const DERIVED_ROLES: &str = r#"
apiVersion: api.cerbos.dev/v1
derivedRoles:
  name: environment_roles
  definitions:
    - name: contributor
      parentRoles: [member, service_user]
      condition:
        match:
          expr: '(has(P.attr.grant) ? P.attr.grant : R.attr.default_role) == "contributor"'
    - name: viewer
      parentRoles: [member, service_user]
      condition:
        match:
          expr: '(has(P.attr.grant) ? P.attr.grant : R.attr.default_role) == "viewer"'
"#;

fn resource_policy() -> String {
    let (view, contribute) = (VIEWER_ACTIONS.join(", "), CONTRIBUTOR_ACTIONS.join(", "));
    format!(
        "apiVersion: api.cerbos.dev/v1
resourcePolicy:
  resource: environment
  version: default
  importDerivedRoles: [environment_roles]
  rules:
    - actions: [{view}, {contribute}]
      effect: EFFECT_ALLOW
      roles: [owner, manager]
    - actions: [{view}, {contribute}]
      effect: EFFECT_ALLOW
      derivedRoles: [contributor]
    - actions: [{view}]
      effect: EFFECT_ALLOW
      derivedRoles: [viewer]
"
    )
}

/// Writes the policies into the subfolder `policies`.
///
/// # Errors
/// The folder cannot be written.
pub fn write_policies(folder: &Path) -> Outcome<()> {
    let policies = folder.join("policies");
    std::fs::create_dir_all(&policies)?;
    std::fs::write(policies.join("environment_roles.yaml"), DERIVED_ROLES)?;
    Ok(std::fs::write(policies.join("environment.yaml"), resource_policy())?)
}

/// Returns the questions as requests.
pub fn requests(workspaces: &[Workspace], questions: &[Question]) -> Vec<Vec<u8>> {
    questions.iter().map(|question| evaluation(&workspaces[question.workspace], question)).collect()
}

fn evaluation(workspace: &Workspace, question: &Question) -> Vec<u8> {
    let environment = &workspace.environments[question.environment];
    let role = question.place.map_or("stranger", |place| workspace.principals[place].standing.as_str());
    let mut subject = json!({"type": question.kind, "id": question.principal, "properties": {"cerbos.roles": [role]}});
    if let Some(role) = question.place.and_then(|place| environment.grant(place)) {
        subject["properties"]["grant"] = role.as_str().into();
    }
    let body = json!({
        "subject": subject,
        "action": {"name": question.action},
        "resource": {"type": "environment", "id": environment.name, "properties": {"default_role": environment.default_role().as_str()}},
    });
    request("POST", "/access/v1/evaluation", None, Some(&body))
}
