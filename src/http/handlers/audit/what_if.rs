//! The simulation of commands: the access that they would change.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::HandlerResult;
use crate::domain::model::event::Event;
use crate::domain::model::id::{EnvironmentId, WorkspaceId};
use crate::domain::model::name::EnvironmentName;
use crate::domain::model::principal::Caller;
use crate::domain::model::role::WorkspaceRole;
use crate::domain::model::time::{Instant, Revision};
use crate::http::accept::FORMS_OF_ROWS;
use crate::http::budget::Permit;
use crate::http::guard::AuditRequest;
use crate::http::handlers::commands::{self, CommandsBody};
use crate::http::input::NoPath;
use crate::http::journal;
use crate::http::paging::Page;
use crate::http::params::Params;
use crate::http::problem::Problem;
use crate::http::request::WorkspaceRequest;
use crate::http::response;
use crate::http::rows::{self, Gathered};
use crate::log::journal::AnswerForm;
use crate::log::{LogError, codec};
use crate::query::AuditQuery;
use crate::query::diff::{Diff, DiffRow};
use crate::query::what_if::{SimulationResult, Tally, Widened, WidenedRow, simulate};
use crate::service::Service;
use crate::service::submission::SubmitError;

/// The most rows of a list in a response, which also has totals.
pub const ROWS_MAX: usize = 10_000;

/// The effect that commands would have.
#[derive(Debug, Serialize, JsonSchema)]
pub struct WhatIfBody {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The revision of the simulation.
    pub revision: Revision,
    /// The instant of the simulation.
    pub at: Instant,
    /// The commands.
    pub query: CommandsBody,
    /// Each effective role that would change: the first of `changes_total`, up to 10,000 rows and about 4 MiB.
    #[schemars(with = "Vec<DiffRow>")]
    pub changes: Vec<Box<RawValue>>,
    /// The number of effective roles that would change.
    pub changes_total: usize,
    /// The numbers of principals that would gain and lose access in each environment.
    pub environments: Vec<EnvironmentTally>,
    /// Each proxy token that more environments would accept: the first of `widened_total`, with the same limits.
    #[schemars(with = "Vec<WidenedRow>")]
    pub widened: Vec<Box<RawValue>>,
    /// The number of proxy tokens that more environments would accept.
    pub widened_total: usize,
    /// The events that would be appended: the first of `events_total`, with the same limits. New entities have placeholder ids such as
    /// `env_7zzz…`, at the end of the id space.
    #[schemars(with = "Vec<Value>")]
    pub events: Vec<Box<RawValue>>,
    /// The number of events that would be appended.
    pub events_total: usize,
}

/// The numbers of principals that would gain and lose access in an environment.
#[derive(Debug, Serialize, JsonSchema)]
pub struct EnvironmentTally {
    /// The environment.
    pub environment: EnvironmentId,
    /// The environment's name.
    pub environment_name: Option<EnvironmentName>,
    /// The numbers.
    #[serde(flatten)]
    pub tally: Tally,
}

/// Says what commands would change, and changes nothing. As lines or a table, it is the changes.
pub async fn what_if(request: AuditRequest, _: NoPath, mut params: Params) -> HandlerResult {
    let form = AnswerForm::negotiate(request.headers(), FORMS_OF_ROWS)?;
    let reason = params.reason()?;
    params.finish()?;
    let permit = request.permit()?;
    let read = |body: &[u8]| {
        let written = commands::written(body)?;
        Ok((commands::read(written.commands.clone())?, written))
    };
    let (commands, query) = commands::batch(&request, read).await?;
    let commands_len = commands.len();
    let caller = supposed(&request)?;
    let asked = journal::of_commands(&query.commands, request.body_bytes());
    let (root, clock) = (Arc::clone(&request.root), request.received);
    let service = &request.app.service;
    let simulated = permit.run_whole(service, move || simulate(&root, &caller, commands, reason, clock)).await?;
    let simulated = simulated.map_err(|refused| Problem::submission(SubmitError::Refused(refused), commands_len))?;
    let view = request.now();
    let body = body(service, &permit, Arc::new(simulated), query).await?;
    journal::record_with_body(&request, &view, form, body.changes.len(), asked).await?;
    let mut response = match form {
        AnswerForm::Json => response::json(StatusCode::OK, response::to_json(&body)?),
        _ => rows::page_response(form, Diff::COLUMNS, &view, (), Page { items: body.changes, next: None })?,
    };
    response::set_change(response.headers_mut(), body.revision, body.at);
    Ok(response)
}

/// Returns the caller whose authority the commands have: the caller itself, or an owner for an auditor's key.
fn supposed(request: &WorkspaceRequest) -> Result<Caller, Problem> {
    let Caller::AccessKey { .. } = request.caller else { return Ok(request.caller.clone()) };
    let now = request.now();
    let owner = now.members().find(|(_, role)| role.value == WorkspaceRole::Owner).map(|(user, _)| user.clone());
    owner.map(Caller::SimulatedUser).ok_or_else(|| Problem::not_found("workspace", &request.root.id().to_string()))
}

async fn body(
    service: &Service,
    permit: &Permit,
    simulated: Arc<SimulationResult>,
    query: CommandsBody,
) -> Result<WhatIfBody, Problem> {
    let of = Arc::clone(&simulated);
    let compared = permit.run_whole(service, move || (Arc::new(of.diff()), Arc::new(Widened::of(&of))));
    let (diff, widened) = compared.await?;
    permit.grow(diff.bytes().saturating_add(widened.bytes()))?;
    let Gathered { items: changes, .. } = rows::gather(service, permit, &diff, (0, 0), ROWS_MAX).await?;
    let Gathered { items: shown, .. } = rows::gather(service, permit, &widened, (0, 0), ROWS_MAX).await?;
    let of = Arc::clone(&simulated);
    let events = permit.run(service, move || events(&of)).await?;
    permit.grow(events.iter().map(|event| event.get().len()).sum())?;
    let tallies = tallies(service, permit, &diff).await?;
    let name = |id: EnvironmentId| simulated.after.environment_name(id).cloned();
    Ok(WhatIfBody {
        workspace: simulated.before.workspace().id(),
        revision: simulated.before.revision(),
        at: simulated.before.instant(),
        query,
        changes,
        changes_total: tallies.values().map(|tally| tally.gain + tally.lose).sum(),
        environments: tallies
            .into_iter()
            .map(|(id, tally)| EnvironmentTally { environment: id, environment_name: name(id), tally })
            .collect(),
        widened: shown,
        widened_total: widened_total(service, permit, &widened).await?,
        events,
        events_total: simulated.events.len(),
    })
}

/// Counts the gains and losses in each environment. It keeps none of the counted changes in memory.
async fn tallies(
    service: &Service,
    permit: &Permit,
    diff: &Arc<Diff>,
) -> Result<BTreeMap<EnvironmentId, Tally>, LogError> {
    let mut all = BTreeMap::<EnvironmentId, Tally>::new();
    let count = |diff: &Diff, candidates: Range<usize>| {
        let mut tallies = BTreeMap::<EnvironmentId, Tally>::new();
        let changes = candidates.filter_map(|one| diff.change(one));
        changes.for_each(|change| tallies.entry(change.environment).or_default().count(&change));
        tallies
    };
    rows::in_turns(service, permit, diff, count, |tallies| {
        for (id, tally) in tallies {
            all.entry(id).or_default().add(&tally);
        }
    })
    .await?;
    Ok(all)
}

async fn widened_total(service: &Service, permit: &Permit, widened: &Arc<Widened>) -> Result<usize, LogError> {
    let mut total = 0;
    let count = |widened: &Widened, candidates: Range<usize>| candidates.filter(|one| widened.is_widened(*one)).count();
    rows::in_turns(service, permit, widened, count, |count| total += count).await?;
    Ok(total)
}

/// Returns the first events that would be appended.
fn events(simulated: &SimulationResult) -> Vec<Box<RawValue>> {
    let mut bytes = 0;
    let shown = simulated.events.iter().take(ROWS_MAX).map(|event| shown_event(event));
    let rows = shown.filter_map(|event| serde_json::value::to_raw_value(&event).ok());
    rows.take_while(|row| {
        let fits = bytes < rows::PAGE_BYTES;
        bytes += row.get().len();
        fits
    })
    .collect()
}

/// Returns an event without the fields that only a real one has: its id, its command and the digest of a secret.
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
