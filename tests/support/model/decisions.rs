//! Decisions, restated from section 3 of the design's rules.

use tenure::domain::model::id::EnvironmentId;
use tenure::domain::model::principal::Principal;
use tenure::domain::model::role::{EnvironmentRole, RequiredRole, WorkspaceRole};
use tenure::domain::rules::authorize::{Question, Resource, Subject};

use super::facts::{Environment, Facts};

/// A decision in its public words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    pub allowed: bool,
    pub role: Option<&'static str>,
    pub required: Option<&'static str>,
    pub rule: &'static str,
}

const fn because(allowed: bool, rule: &'static str) -> Answer {
    Answer { allowed, role: None, required: None, rule }
}

const fn denied(rule: &'static str) -> Answer {
    because(false, rule)
}

/// A row of the roster: principal, environment, role, rule.
pub type Row = (Principal, EnvironmentId, EnvironmentRole, &'static str);

/// Returns everyone with a role above `no_access`, in every environment.
pub fn roster(facts: &Facts) -> Vec<Row> {
    let mut rows = Vec::new();
    for environment in &facts.environments {
        for principal in facts.principals() {
            let (role, rule) = role_in(facts, environment, &principal);
            if role > EnvironmentRole::NoAccess {
                rows.push((principal, environment.id, role, rule));
            }
        }
    }
    rows
}

/// Returns the environment role of a principal: the first match wins.
pub fn role_in(facts: &Facts, environment: &Environment, principal: &Principal) -> (EnvironmentRole, &'static str) {
    let Some(default_role) = environment.default_role else {
        return (EnvironmentRole::Contributor, "unrestricted");
    };
    if !facts.rbac {
        return (EnvironmentRole::Contributor, "rbac_off");
    }
    if facts.administers(principal) {
        return (EnvironmentRole::Contributor, "workspace_role");
    }
    if let Some(grant) = facts.grant(environment.id, principal) {
        return (grant.role, "grant");
    }
    (default_role, "default_role")
}

/// The requirement of an action: a role in the environment, or a proxy token.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Needs {
    Viewer,
    Contributor,
    ProxyToken,
}

/// Returns the requirement by the catalogue and the workspace's own types. An error names the rule that denies.
fn needs(facts: &Facts, resource_type: &str, action: &str) -> Result<Needs, &'static str> {
    if let Some(actions) = facts.resource_type(resource_type) {
        let named = actions.iter().find(|(name, _)| name.as_str() == action);
        return match named.ok_or("unknown_action")?.1 {
            RequiredRole::Viewer => Ok(Needs::Viewer),
            RequiredRole::Contributor => Ok(Needs::Contributor),
        };
    }
    let deployable = || match action {
        "read" | "read_logs" | "read_metrics" | "read_config" => Some(Needs::Viewer),
        "deploy" | "write" | "stop" | "delete" => Some(Needs::Contributor),
        _ => None,
    };
    let stored = || match action {
        "read" => Some(Needs::Viewer),
        "write" | "delete" => Some(Needs::Contributor),
        _ => None,
    };
    let found = match (resource_type, action) {
        ("environment" | "app" | "function", _) => deployable(),
        ("secret", "use") | ("web_function", "deploy" | "delete") => Some(Needs::Contributor),
        ("secret" | "volume" | "dict" | "queue", _) => stored(),
        ("web_function", "call") => Some(Needs::ProxyToken),
        ("web_function", "read") => Some(Needs::Viewer),
        ("web_function", _) => None,
        _ => return Err("unknown_resource_type"),
    };
    found.ok_or("unknown_action")
}

/// The least role for an action on the workspace.
enum Least {
    AnyPrincipal,
    Role(WorkspaceRole),
}

/// Returns the requirement of an action on the workspace, or `None` for an unknown action.
fn workspace_needs(action: &str) -> Option<Least> {
    match action {
        "read" => Some(Least::AnyPrincipal),
        "manage_members"
        | "manage_service_users"
        | "manage_environments"
        | "manage_grants"
        | "manage_tokens"
        | "manage_settings"
        | "manage_billing"
        | "read_audit_log" => Some(Least::Role(WorkspaceRole::Manager)),
        "manage_owners" => Some(Least::Role(WorkspaceRole::Owner)),
        _ => None,
    }
}

/// Decides a question.
pub fn decide(facts: &Facts, question: &Question) -> Answer {
    let Some(workspace) = &facts.workspace else { return denied("no_such_workspace") };
    match &question.resource {
        Resource::Workspace(named) if *named == workspace.name || *named == facts.id.to_string() => {
            on_workspace(facts, question)
        }
        Resource::Workspace(_) => denied("no_such_workspace"),
        Resource::Within { resource_type, id, environment } => {
            let needs = match needs(facts, resource_type, &question.action) {
                Ok(needs) => needs,
                Err(rule) => return denied(rule),
            };
            let named = environment.as_ref().map(|named| facts.environment(&named.0));
            let recorded = facts.placement(resource_type, id);
            let recorded = recorded.and_then(|id| facts.environments.iter().find(|found| found.id == id));
            let rule = match (recorded, named) {
                (Some(recorded), None) => return within(facts, question, needs, recorded),
                (Some(recorded), Some(Some(named))) if named.id == recorded.id => {
                    return within(facts, question, needs, recorded);
                }
                (Some(_), Some(_)) => "placement_differs",
                (None, Some(Some(named))) => return within(facts, question, needs, named),
                (None, Some(None)) => "no_such_environment",
                (None, None) => "no_environment",
            };
            Answer { required: role_needed(needs), ..denied(rule) }
        }
    }
}

fn on_workspace(facts: &Facts, question: &Question) -> Answer {
    let Some(needed) = workspace_needs(&question.action) else { return denied("unknown_action") };
    let named = match &question.subject {
        Subject::Principal(named) => named,
        Subject::Task(_) => return denied("not_for_tasks"),
        Subject::ProxyToken(_) => return denied("not_for_proxy_tokens"),
        Subject::Unknown => return denied("unknown_subject_type"),
    };
    let required = match needed {
        Least::AnyPrincipal => None,
        Least::Role(role) => Some(role.as_str()),
    };
    let Some(principal) = facts.principal(&named.0) else {
        return Answer { required, ..denied(no_such_principal(&named.0)) };
    };
    let role = match &principal {
        Principal::User(user) => facts.role(user.as_str()),
        Principal::ServiceUser(_) => None,
    };
    let answer = match needed {
        Least::AnyPrincipal => because(true, "any_principal"),
        Least::Role(needed) => because(role.is_some_and(|role| role >= needed), "workspace_role"),
    };
    Answer { required, role: role.map(WorkspaceRole::as_str), ..answer }
}

fn no_such_principal(named: &str) -> &'static str {
    if named.starts_with("service_user:") { "no_such_service_user" } else { "not_a_member" }
}

fn role_needed(needs: Needs) -> Option<&'static str> {
    match needs {
        Needs::Viewer => Some("viewer"),
        Needs::Contributor => Some("contributor"),
        Needs::ProxyToken => None,
    }
}

fn within(facts: &Facts, question: &Question, needs: Needs, environment: &Environment) -> Answer {
    let required = role_needed(needs);
    match &question.subject {
        Subject::Unknown => denied("unknown_subject_type"),
        Subject::Task(source) => task(facts, &source.0, environment),
        Subject::ProxyToken(id) if needs == Needs::ProxyToken => proxy_token(facts, id, environment),
        Subject::ProxyToken(_) => Answer { required, ..denied("not_for_proxy_tokens") },
        Subject::Principal(_) if needs == Needs::ProxyToken => denied("proxy_token_required"),
        Subject::Principal(named) => {
            let Some(principal) = facts.principal(&named.0) else {
                return Answer { required, ..denied(no_such_principal(&named.0)) };
            };
            let (role, rule) = role_in(facts, environment, &principal);
            let enough = match needs {
                Needs::Viewer => role >= EnvironmentRole::Viewer,
                Needs::Contributor | Needs::ProxyToken => role == EnvironmentRole::Contributor,
            };
            Answer { role: Some(role.as_str()), required, ..because(enough, rule) }
        }
    }
}

fn task(facts: &Facts, source: &str, target: &Environment) -> Answer {
    let Some(source) = facts.environment(source) else { return denied("no_such_environment") };
    if source.id == target.id {
        because(true, "same_environment")
    } else if target.default_role.is_none() {
        because(true, "unrestricted")
    } else if !facts.rbac {
        because(true, "rbac_off")
    } else {
        denied("cross_environment")
    }
}

fn proxy_token(facts: &Facts, id: &str, environment: &Environment) -> Answer {
    let id = id.parse().ok();
    let found = facts.proxy_tokens.iter().find(|token| Some(token.id) == id);
    let Some(token) = found else { return denied("no_such_proxy_token") };
    match &token.scope {
        None => because(true, "workspace_wide"),
        Some(_) if !facts.rbac => because(true, "rbac_off"),
        Some(scope) => because(scope.contains(&environment.id), "token_scope"),
    }
}
