//! The one form of all reports: rows under columns, from which JSON, CSV and the printed page are made.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::access::{PrivilegedRow, RosterRow};
use super::changes::ChangeRow;
use super::credentials::{DormantRow, OrphanRow, ServiceUserRow};
use super::people::{JoinerRow, LeaverRow, MoverRow};
use super::window::WindowRow;

/// How a column is shown on a page that people read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// As text.
    Text,
    /// As an instant, to the second.
    Instant,
    /// As a number.
    Number,
    /// Roles held in environments, each on a line.
    Held,
    /// In small letters, below the column before.
    Beneath,
    /// As events, across the row.
    Evidence,
    /// With its title, across the row.
    Across,
    /// Not: another column says it to people.
    No,
}

/// A column: where it is in a row, and what stands at its head.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub struct Column {
    /// The name of the field in a row.
    pub name: &'static str,
    /// What stands at its head.
    pub title: &'static str,
    /// How it is shown on a page.
    #[serde(skip)]
    pub shown: Shown,
}

/// A column that is shown in a way.
pub(super) const fn column(name: &'static str, title: &'static str, shown: Shown) -> Column {
    Column { name, title, shown }
}

/// The column of the events behind each row.
pub(super) const EVIDENCE: Column = column("evidence", "Evidence", Shown::Evidence);
/// The columns that say who.
pub(super) const PRINCIPAL: [Column; 2] =
    [column("principal_name", "Principal", Shown::Text), column("principal", "Principal id", Shown::Beneath)];
/// The columns that say where.
pub(super) const ENVIRONMENT: [Column; 2] =
    [column("environment_name", "Environment", Shown::Text), column("environment", "Environment id", Shown::Beneath)];

macro_rules! rows {
    ($($variant:ident($row:ty),)*) => {
        /// A row of any report.
        #[derive(Debug, Clone, Serialize, JsonSchema)]
        #[serde(untagged)]
        pub enum Row {
            $(#[allow(missing_docs)] $variant(Box<$row>),)*
        }

        $(impl From<$row> for Row {
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

impl Row {
    /// The row as JSON.
    pub fn value(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}
