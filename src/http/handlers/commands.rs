//! Batches of commands.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::HandlerResult;
use crate::domain::model::command::{COMMANDS_MAX, Command};
use crate::domain::model::json::{self, NotRead};
use crate::domain::model::shape::ShapeError;
use crate::http::body::SMALL_BODY_BYTES;
use crate::http::change::{change, results};
use crate::http::guard::ChangeRequest;
use crate::http::input::{NoInput, NoPath};
use crate::http::problem::Problem;
use crate::http::request::WorkspaceRequest;

/// Commands to apply in order, all or none.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommandsBody {
    /// The commands, each with its `type`.
    #[schemars(length(min = 1, max = 1000))]
    pub commands: Vec<Value>,
}

/// Submits a batch of commands.
pub async fn submit(ChangeRequest(request): ChangeRequest, _: NoPath, _: NoInput) -> HandlerResult {
    let commands = batch(&request, |body| read(written(body)?.commands)).await?;
    change(request, commands, results).await
}

/// Reads the body of a request with `read`; a large one in the pool for audits.
///
/// # Errors
/// As `read`, or 429 without room in the budgets.
pub async fn batch<T: Send + 'static>(
    request: &WorkspaceRequest,
    read: impl FnOnce(&[u8]) -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let body = request.body_bytes().clone();
    if body.len() <= SMALL_BODY_BYTES {
        return read(&body);
    }
    let permit = request.permit()?;
    permit.run(&request.app.service, move || read(&body)).await?
}

/// Returns the unparsed commands of a body.
///
/// # Errors
/// The body has another shape (400, 422), or no or too many commands (422).
pub fn written(body: &[u8]) -> Result<CommandsBody, Problem> {
    let value = json::parse_bounded(body, Some(("commands", COMMANDS_MAX))).map_err(|error| match error {
        NotRead::LongList(len) => Problem::too_large(accepted(len)),
        error => error.into(),
    })?;
    let written: CommandsBody = ShapeError::read(value)?;
    if written.commands.is_empty() { Err(Problem::invalid(accepted(0))) } else { Ok(written) }
}

fn accepted(len: usize) -> String {
    format!("`commands`: there are {len}, and from 1 to {COMMANDS_MAX} are accepted")
}

/// Parses commands, each in the shape of its type.
///
/// # Errors
/// The first one with an error, and its path.
pub fn read(commands: Vec<Value>) -> Result<Vec<Command>, Problem> {
    let read = |(index, value)| {
        Command::from_value(value).map_err(|error| Problem::from(error.within(&format!("commands[{index}]"))))
    };
    commands.into_iter().enumerate().map(read).collect()
}
