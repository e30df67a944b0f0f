//! `tenure key`: the verifier key of a workspace's log.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::failure::Failure;
use super::log_keys::{RotateArgs, known_key, rotate};
use super::output::{Format, Output};
use super::replay::find;
use crate::domain::model::id::WorkspaceId;
use crate::log::Directories;
use crate::log::sqlite::SqliteLog;
use crate::proof::checkpoint::Signer;
use crate::proof::note::{Origin, PublicKey, VerifierKey};

/// The workspace in a data folder, and the origin of its log.
#[derive(Debug, Args)]
pub(super) struct LogArgs {
    /// The data folder; a server may have it open
    #[arg(long, env = "TENURE_DATA", value_name = "DIR")]
    data: PathBuf,
    /// The workspace, by name or id; not needed where there is only one
    #[arg(long, short, env = "TENURE_WORKSPACE", value_name = "WS")]
    workspace: Option<String>,
    /// The prefix of the logs' names, as given to the server
    #[arg(long, env = "TENURE_ORIGIN", value_name = "NAME", default_value_t)]
    origin: Origin,
}

impl LogArgs {
    /// Opens the store, and finds the workspace and the signer.
    pub(super) fn open(&self) -> Result<(SqliteLog, WorkspaceId, Signer), Failure> {
        let log = SqliteLog::attach(&self.data)?;
        let workspace = find(&log, self.workspace.as_deref(), &self.data)?;
        let signer = Signer { key: known_key(&log, &self.data)?, instance: self.origin.clone() };
        Ok((log, workspace, signer))
    }
}

/// Print the verifier key of a workspace's log, or exchange the key that signs the logs
///
/// The key verifies checkpoints, receipts, exports and evidence. Give it to auditors in a way that the server's
/// operator cannot alter later: on paper, in a contract, in a ticket.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  tenure key --data ./data --workspace acme > acme.vkey\n  tenure key rotate --data ./data"
)]
pub(super) struct KeyArgs {
    /// The data folder; a server may have it open
    #[arg(long, env = "TENURE_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// The workspace, by name or id; not needed where there is only one
    #[arg(long, short, env = "TENURE_WORKSPACE", value_name = "WS")]
    workspace: Option<String>,
    /// The prefix of the logs' names, as given to the server
    #[arg(long, env = "TENURE_ORIGIN", value_name = "NAME", default_value_t)]
    origin: Origin,
    /// Print the verifier keys of earlier keys too, newest last
    #[arg(long)]
    all: bool,
    #[command(subcommand)]
    command: Option<KeyCommand>,
}

/// The subcommands of `tenure key`.
#[derive(Debug, Subcommand)]
enum KeyCommand {
    Rotate(RotateArgs),
}

pub(super) fn key(args: &KeyArgs) -> Result<(), Failure> {
    if let Some(KeyCommand::Rotate(args)) = &args.command {
        return rotate(args);
    }
    let data = args.data.as_deref().ok_or_else(|| Failure::usage("name the data folder with `--data DIR`"))?;
    let log = SqliteLog::attach(data)?;
    let workspace = find(&log, args.workspace.as_deref(), data)?;
    let mut keys: Vec<PublicKey> = log.log_keys()?.into_iter().map(|stored| stored.key).collect();
    if keys.is_empty() {
        keys.push(known_key(&log, data)?.public());
    }
    let before = if args.all { 0 } else { keys.len().saturating_sub(1) };
    let mut out = Output::stdout(Format::Table);
    for key in keys.into_iter().skip(before) {
        let verifier = VerifierKey::of(args.origin.of_workspace(workspace), key);
        let verifier =
            verifier.ok_or_else(|| Failure::usage(format!("the store holds `{key}`, which is not a key")))?;
        out.line(&verifier.to_string())?;
    }
    out.flush()
}
