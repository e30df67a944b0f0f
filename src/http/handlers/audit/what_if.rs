//! What if: what commands would change, before they are done.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::Answered;
use crate::audit::diff::DiffRow;
use crate::audit::what_if::{Foreseen, Tally, WidenedRow, foresee};
use crate::domain::event::Event;
use crate::domain::id::{EnvironmentId, WorkspaceId};
use crate::domain::name::EnvironmentName;
use crate::domain::principal::Caller;
use crate::domain::role::WorkspaceRole;
use crate::domain::time::{Instant, Revision};
use crate::http::answer;
use crate::http::asked::InWorkspace;
use crate::http::handlers::commands;
use crate::http::journal;
use crate::http::problem::Problem;
use crate::log::codec;
use crate::log::journal::AnswerForm;
use crate::service::submission::SubmitError;

/// The most rows of a list in an answer; there are totals beside them.
pub const ROWS_MAX: usize = 10_000;

/// What commands would change.
#[derive(Debug, Serialize, JsonSchema)]
pub struct WhatIfBody {
    /// Whose.
    pub workspace: WorkspaceId,
    /// The revision judged at.
    pub revision: Revision,
    /// The instant judged at.
    pub at: Instant,
    /// Each effective role that would be another one; the first 10,000 of `changes_total`.
    pub changes: Vec<DiffRow>,
    /// How many effective roles would be other ones.
    pub changes_total: usize,
    /// How many would gain and lose in each environment.
    pub environments: Vec<EnvironmentTally>,
    /// Each proxy token that would be accepted in more environments; the first 10,000 of `widened_total`.
    pub widened: Vec<WidenedRow>,
    /// How many proxy tokens would be accepted in more environments.
    pub widened_total: usize,
    /// What would be appended. Ids that do not exist yet are stood for by the last ones of all, such as `env_7zzz…`.
    pub events: Vec<Value>,
}

/// How many would gain and lose in an environment.
#[derive(Debug, Serialize, JsonSchema)]
pub struct EnvironmentTally {
    /// Where.
    pub environment: EnvironmentId,
    /// What that is called.
    pub environment_name: Option<EnvironmentName>,
    /// How many.
    #[serde(flatten)]
    pub tally: Tally,
}

/// Says what commands would change, and changes nothing.
pub async fn what_if(mut request: InWorkspace) -> Answered {
    request.reads_all()?;
    let reason = request.asked.params.reason()?;
    std::mem::take(&mut request.asked.params).finish()?;
    let commands = commands::batch(&request)?;
    let commands_len = commands.len();
    let caller = supposed(&request)?;
    let (root, clock) = (Arc::clone(&request.root), request.asked.app.service.now());
    let work = move || foresee(&root, &caller, commands, reason, clock).map(|foreseen| body(&foreseen));
    let made = request.asked.app.service.auditing(work).await?;
    let body = made.map_err(|refused| Problem::submission(SubmitError::Refused(refused), commands_len))?;
    journal::record(&request, &request.now(), AnswerForm::Json, body.changes.len()).await?;
    let mut response = answer::json(axum::http::StatusCode::OK, answer::bytes(&body)?);
    answer::name_change(response.headers_mut(), body.revision, body.at);
    Ok(response)
}

/// By whose authority the commands are judged: the caller's own; an auditor's is an owner's.
fn supposed(request: &InWorkspace) -> Result<Caller, Problem> {
    let Caller::AccessKey { .. } = request.asked.caller else { return Ok(request.asked.caller.clone()) };
    let now = request.now();
    let owner = now.members().find(|(_, role)| role.value == WorkspaceRole::Owner).map(|(user, _)| user.clone());
    owner.map(Caller::Supposed).ok_or_else(|| Problem::not_found("workspace", &request.root.id().to_string()))
}

fn body(foreseen: &Foreseen) -> WhatIfBody {
    let (mut changes, mut changes_total) = (Vec::new(), 0);
    let mut tallies = std::collections::BTreeMap::<EnvironmentId, Tally>::new();
    for change in foreseen.changes() {
        changes_total += 1;
        tallies.entry(change.environment).or_default().count(&change);
        if changes.len() < ROWS_MAX {
            changes.push(change);
        }
    }
    let name = |id: EnvironmentId| foreseen.after.environment_name(id).cloned();
    let tally = |(environment, tally)| EnvironmentTally { environment, environment_name: name(environment), tally };
    let mut widened = foreseen.widened();
    let shown: Vec<WidenedRow> = widened.by_ref().take(ROWS_MAX).collect();
    WhatIfBody {
        workspace: foreseen.before.workspace().id(),
        revision: foreseen.before.revision(),
        at: foreseen.before.instant(),
        changes,
        changes_total,
        environments: tallies.into_iter().map(tally).collect(),
        widened_total: shown.len() + widened.count(),
        widened: shown,
        events: foreseen.events.iter().map(|event| shown_event(event)).collect(),
    }
}

/// An event as it would be, without what only a real one has: its id, its command and the digest of a secret.
fn shown_event(event: &Event) -> Value {
    let bytes = codec::encode(event).unwrap_or_default();
    let mut shown: Map<String, Value> = serde_json::from_slice(&bytes).unwrap_or_default();
    for name in ["specversion", "id", "source", "time", "command"] {
        shown.shift_remove(name);
    }
    if let Some(data) = shown.get_mut("data").and_then(Value::as_object_mut) {
        data.shift_remove("sha256");
    }
    Value::Object(shown)
}
