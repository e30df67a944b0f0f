//! The reports about roles in environments: who holds them, and who holds the highest.

use schemars::JsonSchema;
use serde::Serialize;

use super::chart::Fill;
use super::table::{Column, ENVIRONMENT, EVIDENCE, PRINCIPAL, Shown, column};
use super::{Asked, Found, TooLarge};
use crate::audit::evidence::{Evidence, evidence, principal_name};
use crate::audit::roster::{AccessRow, access_row};
use crate::domain::model::id::EnvironmentId;
use crate::domain::model::name::EnvironmentName;
use crate::domain::model::principal::Principal;
use crate::domain::model::role::{EnvironmentRole, WorkspaceRole};
use crate::domain::model::time::Instant;
use crate::domain::rules::authorize::Rule;
use crate::domain::state::view::View;

/// What a principal holds in an environment, or that they hold nothing anywhere.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RosterRow {
    /// Who.
    pub principal: Principal,
    /// What they are called.
    pub principal_name: String,
    /// A member's workspace role; `null` for a service user.
    pub workspace_role: Option<WorkspaceRole>,
    /// Where; `null` for a principal with access to nothing.
    pub environment: Option<EnvironmentId>,
    /// What that is called.
    pub environment_name: Option<EnvironmentName>,
    /// The role, above `no_access`.
    pub role: Option<EnvironmentRole>,
    /// The stable name of the rule that gives it.
    pub rule: Option<&'static str>,
    /// Since when role and rule have held without a break.
    pub since: Option<Instant>,
    /// When it will end if nothing happens: the end of the grant that it is held by.
    pub expires_at: Option<Instant>,
    /// The events that it rests on.
    pub evidence: Vec<Evidence>,
}

impl RosterRow {
    pub(super) const COLUMNS: &'static [Column] = &[
        PRINCIPAL[0],
        PRINCIPAL[1],
        column("workspace_role", "Workspace role", Shown::Text),
        ENVIRONMENT[0],
        ENVIRONMENT[1],
        column("role", "Role", Shown::Text),
        column("rule", "By rule", Shown::Text),
        column("since", "Since", Shown::Instant),
        column("expires_at", "Expires", Shown::Instant),
        EVIDENCE,
    ];
}

fn workspace_role(view: &View, principal: &Principal) -> Option<WorkspaceRole> {
    match principal {
        Principal::User(user) => view.member(user).map(|role| role.value),
        Principal::ServiceUser(_) => None,
    }
}

/// The end of the grant that a role is held by.
fn expiry(view: &View, row: &AccessRow) -> Option<Instant> {
    let place = view.environment(row.environment).filter(|_| row.rule == Rule::Grant.as_str())?;
    view.grant(&place, &row.principal)?.value.expires_at
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

fn nothing_row(view: &View, principal: Principal) -> RosterRow {
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

/// Who holds what, principal by principal.
pub(super) fn roster(asked: &Asked, found: &mut Found) -> Result<(), TooLarge> {
    let (view, environments) = (&asked.view, asked.environments());
    found.chart.until(view.instant());
    for principal in asked.principals() {
        let rows_before = found.rows.len();
        for environment in &environments {
            found.look()?;
            let Some(row) = access_row(view, *environment, &principal) else { continue };
            let lane = format!("{} · {}", row.principal_name, row.environment_name);
            found.chart.bar(lane, fill(row.role), row.since, None);
            found.add(roster_row(view, row))?;
        }
        if found.rows.len() == rows_before && asked.environments.is_none() {
            found.add(nothing_row(view, principal))?;
        }
    }
    Ok(())
}

/// What someone can do more than others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Privilege {
    /// Everything in the workspace.
    Owner,
    /// The same, but for touching owners.
    Manager,
    /// Full read and write access to a restricted environment.
    Contributor,
}

/// A privilege that a principal holds.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PrivilegedRow {
    /// Who.
    pub principal: Principal,
    /// What they are called.
    pub principal_name: String,
    /// The privilege.
    pub privilege: Privilege,
    /// The restricted environment; `null` for an owner or manager, who are contributors in all of them.
    pub environment: Option<EnvironmentId>,
    /// What that is called.
    pub environment_name: Option<EnvironmentName>,
    /// The stable name of the rule that gives it.
    pub rule: &'static str,
    /// Since when they have held it without a break.
    pub since: Instant,
    /// When it will end if nothing happens.
    pub expires_at: Option<Instant>,
    /// The events that it rests on.
    pub evidence: Vec<Evidence>,
}

impl PrivilegedRow {
    pub(super) const COLUMNS: &'static [Column] = &[
        PRINCIPAL[0],
        PRINCIPAL[1],
        column("privilege", "Privilege", Shown::Text),
        ENVIRONMENT[0],
        ENVIRONMENT[1],
        column("rule", "By rule", Shown::Text),
        column("since", "Since", Shown::Instant),
        column("expires_at", "Expires", Shown::Instant),
        EVIDENCE,
    ];
}

/// The row of an owner or manager.
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

/// The row of a contributor in a restricted environment.
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

fn draw_privilege(found: &mut Found, row: &PrivilegedRow) {
    let (fill, place) = match row.privilege {
        Privilege::Owner => (Fill::Owner, "everywhere"),
        Privilege::Manager => (Fill::Manager, "everywhere"),
        Privilege::Contributor => (Fill::Contributor, row.environment_name.as_ref().map_or("", |name| name.as_str())),
    };
    found.chart.bar(format!("{} · {place}", row.principal_name), fill, row.since, None);
}

/// Owners, managers, and contributors in restricted environments.
pub(super) fn privileged(asked: &Asked, found: &mut Found) -> Result<(), TooLarge> {
    let (view, environments) = (&asked.view, asked.environments());
    found.chart.until(view.instant());
    for principal in asked.principals() {
        if let Some(row) = administrator(view, &principal) {
            draw_privilege(found, &row);
            found.add(row)?;
            continue;
        }
        for environment in &environments {
            found.look()?;
            let Some(row) = contributor(view, *environment, &principal) else { continue };
            draw_privilege(found, &row);
            found.add(row)?;
        }
    }
    Ok(())
}
