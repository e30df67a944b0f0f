//! `tenure key`: what the checkpoints of a workspace's log are verified with.

use std::path::PathBuf;

use clap::Args;

use super::failure::Failure;
use super::output::{Format, Output};
use super::replay::find;
use super::serve::signer;
use crate::domain::id::WorkspaceId;
use crate::log::sqlite::SqliteLog;
use crate::proof::checkpoint::Signer;
use crate::proof::note::Origin;

/// A workspace's log in a data folder, and what its checkpoints are signed as.
#[derive(Debug, Args)]
pub(super) struct LogArgs {
    /// The data folder; a server may have it open
    #[arg(long, env = "TENURE_DATA", value_name = "DIR")]
    data: PathBuf,
    /// The workspace, by name or id; not needed where there is only one
    #[arg(long, short, env = "TENURE_WORKSPACE", value_name = "WS")]
    workspace: Option<String>,
    /// What the names of the logs begin with, as the server is told
    #[arg(long, env = "TENURE_ORIGIN", value_name = "NAME", default_value_t)]
    origin: Origin,
}

impl LogArgs {
    /// The store, the workspace in it, and what signs for it.
    pub(super) fn open(&self) -> Result<(SqliteLog, WorkspaceId, Signer), Failure> {
        let log = SqliteLog::attach(&self.data)?;
        let workspace = find(&log, self.workspace.as_deref(), &self.data)?;
        Ok((log, workspace, signer(&self.data, self.origin.clone())?))
    }
}

/// Print the verifier key of a workspace's log
///
/// It is what checkpoints, receipts, exports and evidence are verified with. Give it to auditors on a way that the server's
/// operator cannot alter later: on paper, in a contract, in a ticket.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tenure key --data ./data --workspace acme > acme.vkey")]
pub(super) struct KeyArgs {
    #[command(flatten)]
    log: LogArgs,
}

pub(super) fn key(args: &KeyArgs) -> Result<(), Failure> {
    let (_, workspace, signer) = args.log.open()?;
    let mut out = Output::stdout(Format::Table);
    out.line(&signer.verifier(workspace).to_string())?;
    out.flush()
}
