//! Rows and columns of reports, from which JSON, CSV and the HTML page are written.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::access::{PrivilegedRow, RosterRow};
use super::changes::ChangeRow;
use super::credentials::{DormantRow, OrphanRow, ServiceUserRow};
use super::people::{JoinerRow, LeaverRow, MoverRow};
use super::window::WindowRow;

/// The presentation of a column on the HTML page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presentation {
    /// Text.
    Text,
    /// An instant, to the second.
    Instant,
    /// A number.
    Number,
    /// Roles in environments, each on a line.
    Roles,
    /// Small text below the column before it.
    Beneath,
    /// Events, across the row.
    Evidence,
    /// Text with the column's title, across the row.
    Across,
    /// Nothing, since another column says the same to people.
    No,
}

/// A column: the field of a row, and its title.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[schemars(rename = "Column")]
pub struct ReportColumn {
    /// The name of the field in a row.
    pub name: &'static str,
    /// Its title.
    pub title: &'static str,
    /// Its presentation on the HTML page.
    #[serde(skip)]
    pub shown: Presentation,
}

/// Creates a column.
pub(super) const fn column(name: &'static str, title: &'static str, shown: Presentation) -> ReportColumn {
    ReportColumn { name, title, shown }
}

/// The column of the events behind each row.
pub(super) const EVIDENCE: ReportColumn = column("evidence", "Evidence", Presentation::Evidence);
/// The columns of the principal.
pub(super) const PRINCIPAL: [ReportColumn; 2] = [
    column("principal_name", "Principal", Presentation::Text),
    column("principal", "Principal id", Presentation::Beneath),
];
/// The columns of the environment.
pub(super) const ENVIRONMENT: [ReportColumn; 2] = [
    column("environment_name", "Environment", Presentation::Text),
    column("environment", "Environment id", Presentation::Beneath),
];

macro_rules! rows {
    ($($variant:ident($row:ty),)*) => {
        /// A row of any report.
        #[derive(Debug, Clone, Serialize, JsonSchema)]
        #[serde(untagged)]
        #[schemars(rename = "Row")]
        pub enum ReportRow {
            $(#[allow(missing_docs)] $variant(Box<$row>),)*
        }

        $(impl From<$row> for ReportRow {
            fn from(row: $row) -> Self {
                Self::$variant(Box::new(row))
            }
        })*
    };
}

rows! {
    Roster(RosterRow),
    Privileged(PrivilegedRow),
    Change(ChangeRow),
    Joiner(JoinerRow),
    Leaver(LeaverRow),
    Mover(MoverRow),
    ServiceUser(ServiceUserRow),
    Dormant(DormantRow),
    Orphan(OrphanRow),
    Window(WindowRow),
}

impl ReportRow {
    /// Returns the row as JSON.
    pub fn value(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}
