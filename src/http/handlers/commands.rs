//! Batches of commands.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Answered;
use crate::domain::command::{COMMANDS_MAX, Command};
use crate::http::asked::InWorkspace;
use crate::http::change::{change, results};
use crate::http::problem::Problem;

/// Commands to be done in order, all or nothing.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommandsBody {
    /// The commands, each with its `type`.
    #[schemars(length(min = 1, max = 1000))]
    pub commands: Vec<Value>,
}

/// Does a batch of commands.
pub async fn submit(request: InWorkspace) -> Answered {
    let commands = batch(&request)?;
    change(request, commands, results).await
}

/// The commands of a request's body.
///
/// # Errors
/// There are none or too many, or one has no shape.
pub fn batch(request: &InWorkspace) -> Result<Vec<Command>, Problem> {
    let CommandsBody { commands } = request.asked.body()?;
    if commands.is_empty() || commands.len() > COMMANDS_MAX {
        let detail = format!("`commands`: there are {}, and from 1 to {COMMANDS_MAX} are accepted", commands.len());
        return Err(if commands.is_empty() { Problem::invalid(detail) } else { Problem::too_large(detail) });
    }
    read(commands)
}

/// Reads commands, each in the shape of its type.
///
/// # Errors
/// The first that has none, and where.
pub fn read(commands: Vec<Value>) -> Result<Vec<Command>, Problem> {
    let read = |(index, value)| {
        Command::from_value(value).map_err(|error| Problem::from(error.within(&format!("commands[{index}]"))))
    };
    commands.into_iter().enumerate().map(read).collect()
}
