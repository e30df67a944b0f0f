//! A report as JSON: its rows, and everything that a request for the same rows needs.

use schemars::JsonSchema;
use serde::Serialize;

use super::Report;
use super::catalogue::{Parameter, ReportName, ReportTime};
use super::table::{ReportColumn, ReportRow};
use crate::domain::model::id::WorkspaceId;
use crate::domain::model::name::WorkspaceName;
use crate::domain::model::time::{Instant, Revision};
use crate::domain::state::view::View;
use crate::query::csv;

/// The parameters of a report.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ReportQuery {
    /// Only this environment.
    pub environment: Option<String>,
    /// Only this principal.
    pub principal: Option<String>,
    /// The limit in days; `null` for a report without one.
    pub days: Option<u32>,
}

/// The period of a report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Period {
    /// Its first instant; `null` for all before `until`.
    pub from: Option<Instant>,
    /// The first instant after it; `null` for all that is known from `from` on.
    pub until: Option<Instant>,
}

/// The request and the view of a report.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ReportHeading {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The workspace's name; `null` before its first event and after its end.
    pub workspace_name: Option<WorkspaceName>,
    /// The report's name.
    pub report: &'static str,
    /// The report's title.
    pub title: &'static str,
    /// The controls that it provides evidence for.
    pub controls: &'static [&'static str],
    /// The newest counted revision.
    pub revision: Revision,
    /// The newest counted instant, or the instant that the report is about.
    pub at: Instant,
    /// The period, if the report is about one.
    #[serde(flatten)]
    pub period: Option<Period>,
    /// The parameters.
    pub query: ReportQuery,
}

/// A report as JSON.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ReportBody<'a> {
    /// The request and the view.
    #[serde(flatten)]
    pub heading: &'a ReportHeading,
    /// The number of rows.
    pub row_count: usize,
    /// The columns, in reading order.
    pub columns: &'a [ReportColumn],
    /// The rows.
    pub items: &'a [ReportRow],
}

impl ReportHeading {
    /// Creates the heading of a report of a view.
    pub fn new(name: ReportName, view: &View, period: Period, query: ReportQuery) -> Self {
        let metadata = name.metadata();
        Self {
            workspace: view.workspace().id(),
            workspace_name: view.description().map(|described| described.name.clone()),
            report: metadata.name,
            title: metadata.title,
            controls: metadata.controls,
            revision: view.revision(),
            at: view.instant(),
            period: (metadata.when == ReportTime::Period).then_some(period),
            query,
        }
    }

    /// Returns the workspace's name, or its id if it has none.
    pub fn workspace_label(&self) -> String {
        self.workspace_name.as_ref().map_or_else(|| self.workspace.to_string(), ToString::to_string)
    }

    /// Returns the given parameters as names and values.
    pub fn parameters(&self) -> Vec<(&'static str, String)> {
        let period = self.period.unwrap_or_default();
        let given = [
            ("from", period.from.map(|from| from.to_string())),
            ("until", period.until.map(|until| until.to_string())),
            (Parameter::Environment.as_str(), self.query.environment.clone()),
            (Parameter::Principal.as_str(), self.query.principal.clone()),
            (Parameter::Days.as_str(), self.query.days.map(|days| days.to_string())),
        ];
        given.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }

    /// Returns a file name such as `acme-roster-r17.csv`.
    pub fn file_name(&self, ending: &str) -> String {
        format!("{}-{}-r{}.{ending}", self.workspace_label(), self.report, self.revision)
    }
}

impl Report {
    /// Returns the report as JSON.
    pub fn body<'a>(&'a self, heading: &'a ReportHeading) -> ReportBody<'a> {
        ReportBody { heading, row_count: self.rows.len(), columns: self.columns, items: &self.rows }
    }

    /// Returns the report as CSV: a header line and a line for each row.
    pub fn csv(&self) -> Vec<u8> {
        let names: Vec<&str> = self.columns.iter().map(|column| column.name).collect();
        let mut text = csv::header(&names);
        self.rows.iter().for_each(|row| text.extend(csv::row(&names, row)));
        text
    }
}
