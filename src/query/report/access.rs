//! The reports about roles in environments: the roster, and privileged access.

use schemars::JsonSchema;
use serde::Serialize;

use super::chart::Fill;
use super::request::ReportRequest;
use super::table::{ENVIRONMENT, EVIDENCE, PRINCIPAL, Presentation, ReportColumn, column};
use super::{ReportBuilder, TooLarge};
use crate::domain::model::id::EnvironmentId;
use crate::domain::model::name::EnvironmentName;
use crate::domain::model::principal::Principal;
use crate::domain::model::role::{EnvironmentRole, WorkspaceRole};
use crate::domain::model::time::Instant;
use crate::domain::rules::authorize::Rule;
use crate::domain::state::view::View;
use crate::query::evidence::{Evidence, evidence, principal_name};
use crate::query::roster::{AccessRow, access_row};

/// A principal's role in an environment, or a principal without any role.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RosterRow {
    /// The principal.
    pub principal: Principal,
    /// The principal's name.
    pub principal_name: String,
    /// A member's workspace role; `null` for a service user.
    pub workspace_role: Option<WorkspaceRole>,
    /// The environment; `null` for a principal without any access.
    pub environment: Option<EnvironmentId>,
    /// The environment's name.
    pub environment_name: Option<EnvironmentName>,
    /// The role, above `no_access`.
    pub role: Option<EnvironmentRole>,
    /// The stable name of the rule that gives it.
    pub rule: Option<&'static str>,
    /// The instant since when role and rule have been the same.
    pub since: Option<Instant>,
    /// The expiry of the grant that gives the role.
    pub expires_at: Option<Instant>,
    /// The events that it is based on.
    pub evidence: Vec<Evidence>,
}

impl RosterRow {
    pub(super) const COLUMNS: &'static [ReportColumn] = &[
        PRINCIPAL[0],
        PRINCIPAL[1],
        column("workspace_role", "Workspace role", Presentation::Text),
        ENVIRONMENT[0],
        ENVIRONMENT[1],
        column("role", "Role", Presentation::Text),
        column("rule", "By rule", Presentation::Text),
        column("since", "Since", Presentation::Instant),
        column("expires_at", "Expires", Presentation::Instant),
        EVIDENCE,
    ];
}

fn workspace_role(view: &View, principal: &Principal) -> Option<WorkspaceRole> {
    match principal {
        Principal::User(user) => view.member(user).map(|role| role.value),
        Principal::ServiceUser(_) => None,
    }
}

/// Returns the expiry of the grant that gives a role.
fn expiry(view: &View, row: &AccessRow) -> Option<Instant> {
    let environment = view.environment(row.environment).filter(|_| row.rule == Rule::Grant.as_str())?;
    view.grant(&environment, &row.principal)?.value.expires_at
}

fn roster_row(view: &View, row: AccessRow) -> RosterRow {
    RosterRow {
        workspace_role: workspace_role(view, &row.principal),
        expires_at: expiry(view, &row),
        principal: row.principal,
        principal_name: row.principal_name,
        environment: Some(row.environment),
        environment_name: Some(row.environment_name),
        role: Some(row.role),
        rule: Some(row.rule),
        since: Some(row.since),
        evidence: row.evidence,
    }
}

fn no_access_row(view: &View, principal: Principal) -> RosterRow {
    RosterRow {
        principal_name: principal_name(view, &principal),
        workspace_role: workspace_role(view, &principal),
        environment: None,
        environment_name: None,
        role: None,
        rule: None,
        since: None,
        expires_at: None,
        evidence: evidence(view, view.principal(&principal).as_slice()),
        principal,
    }
}

pub(super) fn fill(role: EnvironmentRole) -> Fill {
    if role == EnvironmentRole::Contributor { Fill::Contributor } else { Fill::Viewer }
}

/// Adds the roles of each principal.
pub(super) fn roster(request: &ReportRequest, builder: &mut ReportBuilder) -> Result<(), TooLarge> {
    let (view, environments) = (&request.view, request.environments());
    builder.chart.until(view.instant());
    for principal in request.principals() {
        let rows_before = builder.rows.len();
        for environment in &environments {
            builder.count_pair()?;
            let Some(row) = access_row(view, *environment, &principal) else { continue };
            let lane = format!("{} · {}", row.principal_name, row.environment_name);
            builder.chart.bar(lane, fill(row.role), row.since, None);
            builder.add(roster_row(view, row))?;
        }
        if builder.rows.len() == rows_before && request.environments.is_none() {
            builder.add(no_access_row(view, principal))?;
        }
    }
    Ok(())
}

/// A privilege that most principals lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Privilege {
    /// May do everything in the workspace.
    Owner,
    /// May do the same, except to owners.
    Manager,
    /// Has full read and write access to a restricted environment.
    Contributor,
}

/// A privilege that a principal holds.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PrivilegedRow {
    /// The principal.
    pub principal: Principal,
    /// The principal's name.
    pub principal_name: String,
    /// The privilege.
    pub privilege: Privilege,
    /// The restricted environment; `null` for an owner or manager, who are contributors in all of them.
    pub environment: Option<EnvironmentId>,
    /// The environment's name.
    pub environment_name: Option<EnvironmentName>,
    /// The stable name of the rule that gives it.
    pub rule: &'static str,
    /// The instant since when it has been held without interruption.
    pub since: Instant,
    /// The expiry of the grant that gives it.
    pub expires_at: Option<Instant>,
    /// The events that it is based on.
    pub evidence: Vec<Evidence>,
}

impl PrivilegedRow {
    pub(super) const COLUMNS: &'static [ReportColumn] = &[
        PRINCIPAL[0],
        PRINCIPAL[1],
        column("privilege", "Privilege", Presentation::Text),
        ENVIRONMENT[0],
        ENVIRONMENT[1],
        column("rule", "By rule", Presentation::Text),
        column("since", "Since", Presentation::Instant),
        column("expires_at", "Expires", Presentation::Instant),
        EVIDENCE,
    ];
}

/// Returns the row of an owner or manager.
fn administrator(view: &View, principal: &Principal) -> Option<PrivilegedRow> {
    let Principal::User(user) = principal else { return None };
    let role = view.member(user)?;
    let privilege = match role.value {
        WorkspaceRole::Owner => Privilege::Owner,
        WorkspaceRole::Manager => Privilege::Manager,
        WorkspaceRole::Member => return None,
    };
    Some(PrivilegedRow {
        principal: principal.clone(),
        principal_name: principal_name(view, principal),
        privilege,
        environment: None,
        environment_name: None,
        rule: Rule::WorkspaceRole.as_str(),
        since: view.time_of(role.since),
        expires_at: None,
        evidence: evidence(view, &[role.since]),
    })
}

/// Returns the row of a contributor in a restricted environment.
fn contributor(view: &View, environment: EnvironmentId, principal: &Principal) -> Option<PrivilegedRow> {
    view.environment(environment)?.default_role()?;
    let row = access_row(view, environment, principal).filter(|row| row.role == EnvironmentRole::Contributor)?;
    Some(PrivilegedRow {
        expires_at: expiry(view, &row),
        principal: row.principal,
        principal_name: row.principal_name,
        privilege: Privilege::Contributor,
        environment: Some(environment),
        environment_name: Some(row.environment_name),
        rule: row.rule,
        since: row.since,
        evidence: row.evidence,
    })
}

fn draw_privilege(builder: &mut ReportBuilder, row: &PrivilegedRow) {
    let (fill, scope) = match row.privilege {
        Privilege::Owner => (Fill::Owner, "everywhere"),
        Privilege::Manager => (Fill::Manager, "everywhere"),
        Privilege::Contributor => (Fill::Contributor, row.environment_name.as_ref().map_or("", |name| name.as_str())),
    };
    builder.chart.bar(format!("{} · {scope}", row.principal_name), fill, row.since, None);
}

/// Adds owners, managers, and contributors in restricted environments.
pub(super) fn privileged(request: &ReportRequest, builder: &mut ReportBuilder) -> Result<(), TooLarge> {
    let (view, environments) = (&request.view, request.environments());
    builder.chart.until(view.instant());
    for principal in request.principals() {
        if let Some(row) = administrator(view, &principal) {
            draw_privilege(builder, &row);
            builder.add(row)?;
            continue;
        }
        for environment in &environments {
            builder.count_pair()?;
            let Some(row) = contributor(view, *environment, &principal) else { continue };
            draw_privilege(builder, &row);
            builder.add(row)?;
        }
    }
    Ok(())
}
