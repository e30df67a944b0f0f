//! The arguments that many commands share.

use clap::Args;
use clap::builder::PossibleValuesParser;

use super::client::Query;
use super::when::When;
use crate::domain::role::{AccessKeyRole, EnvironmentRole, Plan, WorkspaceKind, WorkspaceRole};

/// As of when.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(super) struct AtArgs {
    /// As of when: an instant (2026-03-01T09:30:00Z), a date (its midnight in UTC), or a revision (r17); now if left out
    #[arg(long, value_name = "WHEN")]
    pub(super) at: Option<When>,
}

impl AtArgs {
    /// The query that says so.
    pub(super) fn query(self) -> Query {
        Query::default().with("at", self.at)
    }
}

/// Whether to go on without asking.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct SureArgs {
    /// Go on without being asked
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
