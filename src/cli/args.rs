//! The arguments that many commands share.

use clap::Args;
use clap::builder::PossibleValuesParser;

use super::client::Query;
use super::time_args::PointInTime;
use crate::domain::model::role::{AccessKeyRole, EnvironmentRole, Plan, WorkspaceKind, WorkspaceRole};

/// The view that a question is about.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(super) struct AtArgs {
    /// An instant (2026-03-01T09:30:00Z), a date (its midnight in UTC) or a revision (r17) to look back to; now if left
    /// out
    #[arg(long, value_name = "WHEN")]
    pub(super) at: Option<PointInTime>,
}

impl AtArgs {
    /// Returns the query parameter for the view.
    pub(super) fn query(self) -> Query {
        Query::default().with("at", self.at)
    }
}

/// The flag that skips the confirmation prompt.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct SureArgs {
    /// Do not ask for confirmation
    #[arg(long, short)]
    pub(super) yes: bool,
}

macro_rules! word_parsers {
    ($($name:ident: $words:ty;)*) => {$(
        pub(super) fn $name() -> PossibleValuesParser {
            PossibleValuesParser::new(<$words>::ALL.iter().map(|word| word.as_str()))
        }
    )*};
}

word_parsers! {
    environment_roles: EnvironmentRole;
    workspace_roles: WorkspaceRole;
    access_key_roles: AccessKeyRole;
    workspace_kinds: WorkspaceKind;
    plans: Plan;
}
