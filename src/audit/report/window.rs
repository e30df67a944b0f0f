//! The report about grants that last too long.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::access::fill;
use super::table::{Column, ENVIRONMENT, EVIDENCE, PRINCIPAL, Shown, column};
use super::{Asked, Found, TooLarge, days_after, days_between};
use crate::audit::evidence::{Evidence, evidence, principal_name};
use crate::domain::model::event::{Event, EventData, GrantTerms};
use crate::domain::model::id::EnvironmentId;
use crate::domain::model::name::EnvironmentName;
use crate::domain::model::principal::Principal;
use crate::domain::model::role::EnvironmentRole;
use crate::domain::model::time::{Instant, Revision};
use crate::domain::state::view::View;

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
        view.workspace().events(Revision::ZERO, view.revision()).for_each(|event| settings.note(&event));
        let expired = |setting: Setting| {
            let until = setting.terms.expires_at.filter(|end| *end <= view.instant());
            Setting { until, ..setting }
        };
        let Self { open, mut over } = settings;
        over.extend(open.into_values().map(expired));
        over.sort_by_key(|setting| setting.set);
        over
    }

    fn note(&mut self, event: &Event) {
        match &event.data {
            EventData::GrantAdded(id, terms) | EventData::GrantChanged(id, terms) => {
                self.end(event, *id, &terms.principal);
                let (environment, set, from) = (*id, event.revision, event.time);
                let setting = Setting { environment, terms: terms.clone(), set, from, ended: None, until: None };
                self.open.insert((*id, terms.principal.clone()), setting);
            }
            EventData::GrantRevoked(id, end) | EventData::GrantExpired(id, end) => {
                self.end(event, *id, &end.principal);
            }
            EventData::EnvironmentDeleted(id, _) => self.end_all(event, |place| place == *id),
            EventData::WorkspaceDeleted(..) => self.end_all(event, |_| true),
            _ => {}
        }
    }

    fn end(&mut self, event: &Event, environment: EnvironmentId, principal: &Principal) {
        let ended = self.open.remove(&(environment, principal.clone()));
        self.over.extend(ended.map(|setting| setting.ended_by(event)));
    }

    fn end_all(&mut self, event: &Event, ends: impl Fn(EnvironmentId) -> bool) {
        let ended = self.open.extract_if(.., |(place, _), _| ends(*place));
        self.over.extend(ended.map(|(_, setting)| setting.ended_by(event)));
    }
}

impl Setting {
    /// The setting with its end: what had expired before the event that ended it gave nothing any more.
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
