//! Requests for reports: their parameters, the names in them, and the last uses of credentials.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::body::{Period, ReportHeading, ReportQuery};
use super::catalogue::{Parameter, ReportName, ReportTime};
use super::{DAYS_DEFAULT, DAYS_MAX, TooLarge};
use crate::domain::model::command::{EnvironmentRef, PrincipalRef};
use crate::domain::model::credential::CredentialId;
use crate::domain::model::event::Event;
use crate::domain::model::id::EnvironmentId;
use crate::domain::model::principal::{ActorCredential, Principal};
use crate::domain::model::time::{Instant, Revision, Span};
use crate::domain::state::view::View;
use crate::query::error::QueryError;
use crate::query::parameters::{Parameters, value};

/// The last use of each credential. Uses are not in the log, so they are unknown for the past.
pub type Uses = BTreeMap<CredentialId, Instant>;

/// A request for a report, with its names looked up.
#[derive(Debug, Clone)]
pub struct ReportRequest {
    /// The view: of the instant of a report about an instant, else of the newest counted one.
    pub view: View,
    /// The period.
    pub span: Span,
    /// The limit in days.
    pub days: u32,
    /// Only these environments.
    pub environments: Option<Vec<EnvironmentId>>,
    /// Only these principals.
    pub principals: Option<Vec<Principal>>,
    /// The last uses of credentials; `None` for a view of the past.
    pub uses: Option<Uses>,
}

impl ReportName {
    /// Checks that the report can be made of a view of the past, if the request names one.
    ///
    /// # Errors
    /// `Invalid` for a report about last uses, which are not in the log.
    pub fn check_pinned(self, is_pinned: bool) -> Result<(), QueryError> {
        if !is_pinned || self.metadata().when != ReportTime::Now {
            return Ok(());
        }
        Err(QueryError::Invalid(format!(
            "`at`: the report `{self}` is about now only, since uses of credentials are not in the log and nobody \
             knows when they were last used as of another instant; leave it out"
        )))
    }

    /// Checks whether the report shows the last uses of credentials.
    pub const fn shows_uses(self) -> bool {
        matches!(self, Self::ServiceUsers | Self::Dormant)
    }

    /// Returns the refusal of a report that would be too large, with the parameters that narrow it.
    pub fn refuse(self, too_large: TooLarge) -> QueryError {
        let metadata = self.metadata();
        let period: &[&str] = if metadata.when == ReportTime::Period { &["from", "until"] } else { &[] };
        let filters = period.iter().copied().chain(metadata.parameters.iter().map(|parameter| parameter.as_str()));
        let filters: Vec<String> = filters.map(|filter| format!("`{filter}`")).collect();
        QueryError::TooLarge(format!("the report `{self}` has {too_large}: narrow it with {}", filters.join(", ")))
    }
}

impl ReportQuery {
    /// Takes the parameters of a report, and leaves those that it does not have.
    ///
    /// # Errors
    /// `Invalid` if one has a wrong value.
    pub fn parse(name: ReportName, parameters: &mut impl Parameters) -> Result<(Self, Period), QueryError> {
        let mut query = Self::default();
        if name.takes(Parameter::Environment) {
            query.environment = parameters.take("environment");
        }
        if name.takes(Parameter::Principal) {
            query.principal = parameters.take("principal");
        }
        if name.takes(Parameter::Days) {
            query.days = Some(parse_days(parameters)?);
        }
        let mut period = Period::default();
        if name.metadata().when == ReportTime::Period {
            period = Period { from: value(parameters, "from")?, until: value(parameters, "until")? };
        }
        Ok((query, period))
    }
}

fn parse_days(parameters: &mut impl Parameters) -> Result<u32, QueryError> {
    let days: u32 = value(parameters, "days")?.unwrap_or(DAYS_DEFAULT);
    if (1..=DAYS_MAX).contains(&days) {
        return Ok(days);
    }
    Err(QueryError::Invalid(format!("`days`: `{days}` is not from 1 to {DAYS_MAX}")))
}

impl ReportRequest {
    /// Looks up the names of a report's query: at the instant of a report about one, else over the whole log. Last uses are left out.
    ///
    /// # Errors
    /// `NotFound` for a name that nothing had up to `now`, `Invalid` for a period that ends before it begins.
    pub fn of(heading: &ReportHeading, period: Period, view: View, now: &View) -> Result<Self, QueryError> {
        let ReportQuery { environment, principal, days } = &heading.query;
        let span = Span::new(period.from, period.until).map_err(QueryError::reversed_span)?;
        let environment = environment.as_deref().map(EnvironmentRef::from);
        let principal = principal.as_deref().map(PrincipalRef::from);
        check_names(now, environment.as_ref(), principal.as_ref())?;
        let instant = view.instant();
        let named_in = match heading.period {
            Some(_) => span,
            None => Span::new(Some(instant), Some(instant.next())).unwrap_or(span),
        };
        Ok(Self {
            environments: environment.map(|named| view.environments_within(&named, &named_in)),
            principals: principal.map(|named| view.principals_ever(&named)),
            days: days.unwrap_or(DAYS_DEFAULT),
            uses: None,
            view,
            span,
        })
    }

    pub(super) fn has_environment(&self, environment: EnvironmentId) -> bool {
        self.environments.as_ref().is_none_or(|selected| selected.contains(&environment))
    }

    pub(super) fn has_principal(&self, principal: &Principal) -> bool {
        self.principals.as_ref().is_none_or(|selected| selected.contains(principal))
    }

    pub(super) fn principals(&self) -> Vec<Principal> {
        self.view.principals().filter(|principal| self.has_principal(principal)).collect()
    }

    pub(super) fn environments(&self) -> Vec<EnvironmentId> {
        self.view.environments().map(|environment| environment.id).filter(|id| self.has_environment(*id)).collect()
    }

    /// Returns every event of the period, in order.
    pub(super) fn events(&self) -> impl Iterator<Item = Arc<Event>> {
        let before = Instant::from_micros(self.span.from().micros().saturating_sub(1));
        let workspace = self.view.workspace();
        let events = workspace.events(workspace.revision_at(before), self.view.revision());
        events.take_while(|event| self.span.until().is_none_or(|until| event.time < until))
    }

    /// Checks that a revision, if there is one, lies in the period.
    pub(super) fn covers(&self, revision: Option<Revision>) -> bool {
        revision.is_some_and(|revision| self.span.contains(self.view.time_of(revision)))
    }
}

fn check_names(
    now: &View,
    environment: Option<&EnvironmentRef>,
    principal: Option<&PrincipalRef>,
) -> Result<(), QueryError> {
    if let Some(named) = environment.filter(|named| !now.environment_ever(named)) {
        return Err(QueryError::not_found("environment", &named.0));
    }
    match principal.filter(|named| now.principals_ever(named).is_empty()) {
        Some(named) => Err(QueryError::not_found("principal", &named.0)),
        None => Ok(()),
    }
}

/// Returns when each API token last made a change. Such a change may have been recorded by another server and imported.
pub fn last_changes(view: &View) -> Uses {
    let events = view.workspace().events(Revision::ZERO, view.revision());
    let changes = events.filter_map(|event| match event.credential? {
        ActorCredential::Token(token) => Some((CredentialId::Token(token), event.time)),
        ActorCredential::Operator => None,
    });
    changes.collect()
}
