//! The reports about roles in environments: who holds them, who holds the highest, and which grants last too long.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use super::chart::Fill;
use super::table::{Column, ENVIRONMENT, EVIDENCE, PRINCIPAL, Shown, column};
use super::{Asked, Found, TooLarge, days_after, days_between};
use crate::audit::evidence::{Evidence, evidence, principal_name};
use crate::audit::roster::{AccessRow, access_row};
use crate::domain::access::Rule;
use crate::domain::event::{Event, EventData, GrantTerms};
use crate::domain::id::EnvironmentId;
use crate::domain::name::EnvironmentName;
use crate::domain::principal::Principal;
use crate::domain::role::{EnvironmentRole, WorkspaceRole};
use crate::domain::time::{Instant, Revision};
use crate::domain::view::View;

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

fn fill(role: EnvironmentRole) -> Fill {
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

/// What is wrong with the end of a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// It has none.
    NoExpiry,
    /// It is too late.
    TooLong,
}

/// A grant, as it was given once, that was to last too long.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct WindowRow {
    /// Who held it.
    pub principal: Principal,
    /// What they are called.
    pub principal_name: String,
    /// Where.
    pub environment: EnvironmentId,
    /// What that is called, or was called last.
    pub environment_name: Option<EnvironmentName>,
    /// The role.
    pub role: EnvironmentRole,
    /// What is wrong with its end.
    pub finding: Finding,
    /// When it was given, or its terms were changed to these.
    pub from: Instant,
    /// When it ended or its terms were changed to others; `null` while it stands.
    pub until: Option<Instant>,
    /// The end that was set.
    pub expires_at: Option<Instant>,
    /// The whole days from its beginning to the end that was set.
    pub days: Option<i64>,
    /// The event that set it, and the one that ended it.
    pub evidence: Vec<Evidence>,
}

impl WindowRow {
    pub(super) const COLUMNS: &'static [Column] = &[
        PRINCIPAL[0],
        PRINCIPAL[1],
        ENVIRONMENT[0],
        ENVIRONMENT[1],
        column("role", "Role", Shown::Text),
        column("finding", "Finding", Shown::Text),
        column("from", "From", Shown::Instant),
        column("until", "Until", Shown::Instant),
        column("expires_at", "Expiry set", Shown::Instant),
        column("days", "Days set", Shown::Number),
        EVIDENCE,
    ];
}

/// A grant on the terms of one event.
struct Setting {
    environment: EnvironmentId,
    terms: GrantTerms,
    set: Revision,
    from: Instant,
    ended: Option<Revision>,
    until: Option<Instant>,
}

/// Finds out from when until when each grant stood on which terms.
#[derive(Default)]
struct Settings {
    open: BTreeMap<(EnvironmentId, Principal), Setting>,
    over: Vec<Setting>,
}

impl Settings {
    fn of(view: &View) -> Vec<Setting> {
        let mut settings = Self::default();
        view.workspace().events(Revision::ZERO, view.revision()).for_each(|event| settings.note(event));
        let expired = |setting: Setting| {
            let until = setting.terms.expires_at.filter(|end| *end <= view.instant());
            Setting { until, ..setting }
        };
        let Self { open, mut over } = settings;
        over.extend(open.into_values().map(expired));
        over.sort_by_key(|setting| setting.set);
        over
    }

    fn note(&mut self, event: &Arc<Event>) {
        match &event.data {
            EventData::GrantAdded(id, terms) | EventData::GrantChanged(id, terms) => {
                self.end(event, |place, who| place == id && *who == terms.principal);
                let (environment, set, from) = (*id, event.revision, event.time);
                let setting = Setting { environment, terms: terms.clone(), set, from, ended: None, until: None };
                self.open.insert((*id, terms.principal.clone()), setting);
            }
            EventData::GrantRevoked(id, end) | EventData::GrantExpired(id, end) => {
                self.end(event, |place, who| place == id && *who == end.principal);
            }
            EventData::EnvironmentDeleted(id, _) => self.end(event, |place, _| place == id),
            EventData::WorkspaceDeleted(..) => self.end(event, |_, _| true),
            _ => {}
        }
    }

    fn end(&mut self, event: &Event, ends: impl Fn(&EnvironmentId, &Principal) -> bool) {
        let ended = self.open.extract_if(.., |(place, who), _| ends(place, who));
        self.over.extend(ended.map(|(_, setting)| {
            let until = setting.terms.expires_at.map_or(event.time, |end| end.min(event.time));
            Setting { ended: Some(event.revision), until: Some(until), ..setting }
        }));
    }
}

impl Setting {
    fn finding(&self, days: u32) -> Option<Finding> {
        match self.terms.expires_at {
            None => Some(Finding::NoExpiry),
            Some(end) if end > days_after(self.from, days) => Some(Finding::TooLong),
            Some(_) => None,
        }
    }

    fn is_asked_for(&self, asked: &Asked) -> bool {
        asked.asks_environment(self.environment)
            && asked.asks_principal(&self.terms.principal)
            && self.terms.role > EnvironmentRole::NoAccess
            && asked.span.overlaps(self.from, self.until)
    }

    fn row(&self, view: &View, finding: Finding) -> WindowRow {
        let revisions: Vec<Revision> = [Some(self.set), self.ended].into_iter().flatten().collect();
        WindowRow {
            principal: self.terms.principal.clone(),
            principal_name: principal_name(view, &self.terms.principal),
            environment: self.environment,
            environment_name: view.environment_name(self.environment).cloned(),
            role: self.terms.role,
            finding,
            from: self.from,
            until: self.until,
            expires_at: self.terms.expires_at,
            days: self.terms.expires_at.map(|end| days_between(self.from, end)),
            evidence: evidence(view, &revisions),
        }
    }
}

/// Grants that were given without an end, or for too long, and stood at some time of the period.
pub(super) fn outside_window(asked: &Asked, found: &mut Found) -> Result<(), TooLarge> {
    let view = &asked.view;
    found.chart.until(view.instant());
    for setting in Settings::of(view).iter().filter(|setting| setting.is_asked_for(asked)) {
        let Some(finding) = setting.finding(asked.days) else { continue };
        let row = setting.row(view, finding);
        let place = row.environment_name.as_ref().map_or("", |name| name.as_str());
        found.chart.bar(format!("{} · {place}", row.principal_name), fill(row.role), row.from, row.until);
        found.add(row)?;
    }
    Ok(())
}
