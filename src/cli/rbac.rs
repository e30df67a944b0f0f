//! `tenure rbac`: the enforcement of restrictions, grants and scopes, and a preview of the access that turning it off
//! opens.

use clap::Subcommand;
use serde_json::{Value, json};
use ureq::http::Method;

use super::args::SureArgs;
use super::client::Query;
use super::entity_columns::WORKSPACE;
use super::failure::Failure;
use super::output::confirm;
use super::session::{ChangeArgs, Session};
use super::what_if::preview;

#[derive(Debug, Subcommand)]
pub(super) enum RbacCommand {
    /// Show whether RBAC is on
    Status,
    /// Enforce restrictions, grants and scopes (plan `team` or `enterprise`)
    Enable {
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Stop enforcing restrictions, grants and scopes, after a preview of the access that this opens
    ///
    /// They stay recorded, and are enforced again when RBAC is enabled.
    Disable {
        #[command(flatten)]
        sure: SureArgs,
        #[command(flatten)]
        change: ChangeArgs,
    },
}

pub(super) fn rbac(session: &mut Session, command: RbacCommand) -> Result<(), Failure> {
    match command {
        RbacCommand::Status => {
            let found = session.get(&[], &Query::default())?;
            session.show_one(&found, &WORKSPACE)
        }
        RbacCommand::Enable { change } => set(session, true, &change),
        RbacCommand::Disable { sure, change } => {
            ask_before_opening(session, &json!({ "type": "rbac.disable" }), sure)?;
            set(session, false, &change)
        }
    }
}

/// Shows the access that turning RBAC off would open, and asks for confirmation.
pub(super) fn ask_before_opening(session: &mut Session, command: &Value, sure: SureArgs) -> Result<(), Failure> {
    preview(session, command)?;
    if sure.yes || confirm("stop enforcing restrictions, grants and scopes?")? {
        return Ok(());
    }
    Err(Failure::usage("nothing was changed"))
}

fn set(session: &mut Session, enabled: bool, change: &ChangeArgs) -> Result<(), Failure> {
    session.change(Method::PUT, &["rbac"], Some(&json!({ "enabled": enabled })), change, &WORKSPACE)
}
