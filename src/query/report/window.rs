//! The report about grants that last too long.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::access::fill;
use super::request::ReportRequest;
use super::table::{ENVIRONMENT, EVIDENCE, PRINCIPAL, Presentation, ReportColumn, column};
use super::{ReportBuilder, TooLarge, days_after, days_between};
use crate::domain::model::event::{Event, GrantTerms};
use crate::domain::model::fact::Fact;
use crate::domain::model::id::EnvironmentId;
use crate::domain::model::name::EnvironmentName;
use crate::domain::model::principal::Principal;
use crate::domain::model::role::EnvironmentRole;
use crate::domain::model::time::{Instant, Revision};
use crate::domain::state::view::View;
use crate::query::evidence::{Evidence, evidence, principal_name};

/// The flaw of a grant's expiry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// There is none.
    NoExpiry,
    /// It is too late.
    TooLong,
}

/// A grant that was set without an expiry, or with one that is too late.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct WindowRow {
    /// The principal.
    pub principal: Principal,
    /// The principal's name.
    pub principal_name: String,
    /// The environment.
    pub environment: EnvironmentId,
    /// The environment's name, or its last one.
    pub environment_name: Option<EnvironmentName>,
    /// The role.
    pub role: EnvironmentRole,
    /// The flaw of its expiry.
    pub finding: Finding,
    /// The instant when it was set to these terms.
    pub from: Instant,
    /// The instant when it ended or got other terms; `null` while it is in force.
    pub until: Option<Instant>,
    /// The expiry that was set.
    pub expires_at: Option<Instant>,
    /// The whole days from its beginning to that expiry.
    pub days: Option<i64>,
    /// The event that set it, and the one that ended it.
    pub evidence: Vec<Evidence>,
}

impl WindowRow {
    pub(super) const COLUMNS: &'static [ReportColumn] = &[
        PRINCIPAL[0],
        PRINCIPAL[1],
        ENVIRONMENT[0],
        ENVIRONMENT[1],
        column("role", "Role", Presentation::Text),
        column("finding", "Finding", Presentation::Text),
        column("from", "From", Presentation::Instant),
        column("until", "Until", Presentation::Instant),
        column("expires_at", "Expiry set", Presentation::Instant),
        column("days", "Days set", Presentation::Number),
        EVIDENCE,
    ];
}

/// A grant on the terms of one event.
struct GrantTerm {
    environment: EnvironmentId,
    terms: GrantTerms,
    set: Revision,
    from: Instant,
    ended: Option<Revision>,
    until: Option<Instant>,
}

/// The grants of a log, each with the period of its terms.
#[derive(Default)]
struct GrantLog {
    open: BTreeMap<(EnvironmentId, Principal), GrantTerm>,
    ended: Vec<GrantTerm>,
}

impl GrantLog {
    fn of(view: &View) -> Vec<GrantTerm> {
        let mut log = Self::default();
        view.workspace().events(Revision::ZERO, view.revision()).for_each(|event| log.apply(&event));
        let expired = |term: GrantTerm| {
            let until = term.terms.expires_at.filter(|end| *end <= view.instant());
            GrantTerm { until, ..term }
        };
        let Self { open, mut ended } = log;
        ended.extend(open.into_values().map(expired));
        ended.sort_by_key(|term| term.set);
        ended
    }

    fn apply(&mut self, event: &Event) {
        match event.data.fact() {
            Fact::Grant(environment, principal, Some(terms)) => {
                self.end(event, environment, principal);
                let (set, from) = (event.revision, event.time);
                let term = GrantTerm { environment, terms: terms.clone(), set, from, ended: None, until: None };
                self.open.insert((environment, principal.clone()), term);
            }
            Fact::Grant(environment, principal, None) => self.end(event, environment, principal),
            Fact::Environment(id, None) => self.end_all(event, |environment| environment == id),
            Fact::Workspace(None) => self.end_all(event, |_| true),
            Fact::Workspace(Some(_))
            | Fact::Plan
            | Fact::Rbac
            | Fact::Member(..)
            | Fact::ServiceUser(..)
            | Fact::Token(..)
            | Fact::Environment(_, Some(_))
            | Fact::EnvironmentName(..)
            | Fact::Restriction(_)
            | Fact::ProxyToken(..)
            | Fact::ProxyTokenScope(..)
            | Fact::AccessKey(..)
            | Fact::ResourceType
            | Fact::Placement { .. }
            | Fact::Detail(_) => {}
        }
    }

    fn end(&mut self, event: &Event, environment: EnvironmentId, principal: &Principal) {
        let ended = self.open.remove(&(environment, principal.clone()));
        self.ended.extend(ended.map(|term| term.ended_by(event)));
    }

    fn end_all(&mut self, event: &Event, ends: impl Fn(EnvironmentId) -> bool) {
        let ended = self.open.extract_if(.., |(environment, _), _| ends(*environment));
        self.ended.extend(ended.map(|(_, term)| term.ended_by(event)));
    }
}

impl GrantTerm {
    /// Returns the term with its end: its expiry or the event, whichever is earlier.
    fn ended_by(self, event: &Event) -> Self {
        let until = self.terms.expires_at.map_or(event.time, |end| end.min(event.time));
        Self { ended: Some(event.revision), until: Some(until), ..self }
    }

    fn finding(&self, days: u32) -> Option<Finding> {
        match self.terms.expires_at {
            None => Some(Finding::NoExpiry),
            Some(end) if end > days_after(self.from, days) => Some(Finding::TooLong),
            Some(_) => None,
        }
    }

    fn is_requested(&self, request: &ReportRequest) -> bool {
        request.has_environment(self.environment)
            && request.has_principal(&self.terms.principal)
            && self.terms.role > EnvironmentRole::NoAccess
            && request.span.overlaps(self.from, self.until)
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

/// Adds the grants in force during the period whose expiry is missing or too late.
pub(super) fn outside_window(request: &ReportRequest, builder: &mut ReportBuilder) -> Result<(), TooLarge> {
    let view = &request.view;
    builder.chart.until(view.instant());
    for term in GrantLog::of(view).iter().filter(|term| term.is_requested(request)) {
        let Some(finding) = term.finding(request.days) else { continue };
        let row = term.row(view, finding);
        let name = row.environment_name.as_ref().map_or("", |name| name.as_str());
        builder.chart.bar(format!("{} · {name}", row.principal_name), fill(row.role), row.from, row.until);
        builder.add(row)?;
    }
    Ok(())
}
