//! What a report is as JSON: its rows, and all that it takes to ask for the same ones again.

use schemars::JsonSchema;
use serde::Serialize;

use super::Report;
use super::catalogue::{Parameter, ReportName, When};
use super::table::{Column, Row};
use crate::audit::csv;
use crate::domain::model::id::WorkspaceId;
use crate::domain::model::name::WorkspaceName;
use crate::domain::model::time::{Instant, Revision};
use crate::domain::state::view::View;

/// What a report was asked with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ReportQuery {
    /// Only this environment.
    pub environment: Option<String>,
    /// Only this principal.
    pub principal: Option<String>,
    /// How many days are too many; `null` for a report that does not ask.
    pub days: Option<u32>,
}

/// The period that a report is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Period {
    /// Its first instant; `null` for all before `until`.
    pub from: Option<Instant>,
    /// The first instant after it; `null` for all from `from` on, as far as is known.
    pub until: Option<Instant>,
}

/// What was asked, and of which view.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Heading {
    /// Whose.
    pub workspace: WorkspaceId,
    /// What that is called; `null` before its first event and after its end.
    pub workspace_name: Option<WorkspaceName>,
    /// The report's name.
    pub report: &'static str,
    /// What stands at its head.
    pub title: &'static str,
    /// The controls that it serves.
    pub controls: &'static [&'static str],
    /// The newest revision that counts.
    pub revision: Revision,
    /// The newest instant that counts; of a report about an instant, that one.
    pub at: Instant,
    /// The period, of a report about one.
    #[serde(flatten)]
    pub period: Option<Period>,
    /// What was asked for.
    pub query: ReportQuery,
}

/// A report as JSON.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ReportBody<'a> {
    /// What was asked, and of which view.
    #[serde(flatten)]
    pub heading: &'a Heading,
    /// How many rows there are.
    pub row_count: usize,
    /// The columns, in the order in which people read them.
    pub columns: &'a [Column],
    /// The rows.
    pub items: &'a [Row],
}

impl Heading {
    /// The heading of a report of a view.
    pub fn new(name: ReportName, view: &View, period: Period, query: ReportQuery) -> Self {
        let card = name.card();
        Self {
            workspace: view.workspace().id(),
            workspace_name: view.description().map(|described| described.name.clone()),
            report: card.name,
            title: card.title,
            controls: card.controls,
            revision: view.revision(),
            at: view.instant(),
            period: (card.when == When::Period).then_some(period),
            query,
        }
    }

    /// The workspace's name, or its id where it has none.
    pub fn workspace_label(&self) -> String {
        self.workspace_name.as_ref().map_or_else(|| self.workspace.to_string(), ToString::to_string)
    }

    /// The parameters that were given, by name and value.
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

    /// The file that the report goes by: `acme-roster-r17` and an ending.
    pub fn file_name(&self, ending: &str) -> String {
        format!("{}-{}-r{}.{ending}", self.workspace_label(), self.report, self.revision)
    }
}

impl Report {
    /// The report as JSON.
    pub fn body<'a>(&'a self, heading: &'a Heading) -> ReportBody<'a> {
        ReportBody { heading, row_count: self.rows.len(), columns: self.columns, items: &self.rows }
    }

    /// The report as comma-separated values: a header line and a line for each row.
    pub fn csv(&self) -> Vec<u8> {
        let names: Vec<&str> = self.columns.iter().map(|column| column.name).collect();
        let mut text = csv::header(&names);
        self.rows.iter().for_each(|row| text.extend(csv::row(&names, row)));
        text
    }
}
