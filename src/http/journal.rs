//! The journal of audit reads.
//!
//! A response with audit data leaves only after the journal has, durably, who gets it. The writer also checks that the reader may still
//! read at the head at which it records. A handler calls [`record`] when it has all rows, or [`begin`] before the first row of a stream,
//! and returns their errors. Refusals reveal nothing and are not recorded.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::guard::AuditRequest;
use super::problem::Problem;
use super::request::AuthenticatedRequest;
use crate::domain::model::id::{TokenId, WorkspaceId};
use crate::domain::model::principal::Caller;
use crate::domain::model::time::{Instant, Revision};
use crate::domain::state::view::View;
use crate::log::journal::{AnswerForm, AuditReader, QUESTION_BYTES_MAX, ReadRecord};
use crate::service::Service;
use crate::service::submission::SubmitError;

/// The most commands of a what-if that a record names.
const COMMANDS_NAMED_MAX: usize = 20;

/// Records a response of this many rows.
///
/// # Errors
/// The caller may no longer read (401, 403), the record could not be made durable (503), or the question is too long for a record (422).
/// The response must not be sent then.
pub async fn record(request: &AuditRequest, view: &View, form: AnswerForm, rows: usize) -> Result<(), Problem> {
    let record = ReadRecord { rows: Some(number(rows)), ..view_record(request, view, form)? };
    write(request, record).await
}

/// Records a response to a question in the request's body, which `body_summary` names.
///
/// # Errors
/// As [`record`].
pub async fn record_with_body(
    request: &AuditRequest,
    view: &View,
    form: AnswerForm,
    rows: usize,
    body_summary: String,
) -> Result<(), Problem> {
    let record = self::view_record(request, view, form)?;
    let query = if record.query.is_empty() { body_summary } else { format!("{body_summary}&{}", record.query) };
    let record = ReadRecord { rows: Some(number(rows)), query, ..record };
    write(request, record).await
}

/// Returns the summary of a what-if's body: the types of its first twenty commands and the SHA-256 of the body. The rest may be personal
/// data.
pub fn of_commands(commands: &[Value], body: &[u8]) -> String {
    let named = commands.iter().take(COMMANDS_NAMED_MAX);
    let types: Vec<&str> = named.filter_map(|command| command.get("type")?.as_str()).collect();
    let digest = URL_SAFE_NO_PAD.encode(Sha256::digest(body));
    format!("commands={}&commands_total={}&sha256={digest}", types.join(","), commands.len())
}

/// Records a read, if the caller may still read at the head of the record.
async fn write(request: &AuthenticatedRequest, record: ReadRecord) -> Result<(), Problem> {
    let recorded = request.app.service.record_read(record, &request.caller).await;
    recorded.map_err(|error| Problem::submission(error, 1))
}

async fn begin_recorded(request: &AuthenticatedRequest, record: ReadRecord) -> Result<Recording, Problem> {
    let begun = Recording::begin(Arc::clone(&request.app.service), record, &request.caller).await;
    begun.map_err(|error| Problem::submission(error, 1))
}

/// Records the start of a response whose number of rows is not known yet.
///
/// # Errors
/// As [`record`].
pub async fn begin(request: &AuditRequest, view: &View, form: AnswerForm) -> Result<Recording, Problem> {
    let record = view_record(request, view, form)?;
    begin_recorded(request, record).await
}

/// The record of a response in progress. Dropping it, at the end or after a disconnect, records the number of rows.
pub struct Recording {
    service: Arc<Service>,
    /// None if the response is not sent.
    record: Option<ReadRecord>,
    sent: u64,
}

impl Recording {
    /// Records the start of the response.
    ///
    /// # Errors
    /// The reader may no longer read, or the record may not be durable. The response must not be sent then.
    pub async fn begin(service: Arc<Service>, record: ReadRecord, caller: &Caller) -> Result<Self, SubmitError> {
        let begun = ReadRecord { rows: None, ..record };
        // A client that disconnects while this waits got no rows, and the record says so.
        let mut recording = Self { service, record: Some(begun.clone()), sent: 0 };
        let recorded = recording.service.record_read(begun, caller).await;
        if recorded.is_err() {
            recording.record = None;
        }
        recorded.map(|()| recording)
    }

    /// Adds rows that the connection took.
    pub fn sent(&mut self, rows: usize) {
        self.sent = self.sent.saturating_add(number(rows));
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        if let Some(record) = self.record.take() {
            self.service.finish_read(ReadRecord { rows: Some(self.sent), ..record });
        }
    }
}

fn number(rows: usize) -> u64 {
    u64::try_from(rows).unwrap_or(u64::MAX)
}

/// Records a response about several workspaces in the journal of one of them, with the newest revision of it in the response.
///
/// # Errors
/// As [`record`].
pub async fn record_of(
    request: &AuthenticatedRequest,
    workspace: WorkspaceId,
    newest: Revision,
    form: AnswerForm,
    rows: usize,
) -> Result<(), Problem> {
    let record = ReadRecord { rows: Some(number(rows)), ..of(request, workspace, (newest, request.received), form)? };
    write(request, record).await
}

/// Records the start of a response about several workspaces in the journal of one of them.
///
/// # Errors
/// As [`record`].
pub async fn begin_of(
    request: &AuthenticatedRequest,
    workspace: WorkspaceId,
    first: Revision,
    form: AnswerForm,
) -> Result<Recording, Problem> {
    let record = of(request, workspace, (first, request.received), form)?;
    begin_recorded(request, record).await
}

/// Returns the record of a request, without its number of rows.
fn view_record(request: &AuditRequest, view: &View, form: AnswerForm) -> Result<ReadRecord, Problem> {
    of(request, request.root.id(), (view.revision(), view.instant()), form)
}

fn of(
    request: &AuthenticatedRequest,
    workspace: WorkspaceId,
    (revision, view_at): (Revision, Instant),
    form: AnswerForm,
) -> Result<ReadRecord, Problem> {
    let (reader, token) = reader(&request.caller)?;
    let (question, query) = (question(request.uri_path()), normal(request.uri_query()));
    if question.len() + query.len() > QUESTION_BYTES_MAX {
        return Err(Problem::too_large(format!(
            "a question of the audit has at most {QUESTION_BYTES_MAX} bytes, path and parameters together"
        )));
    }
    let (id, at, request) = (request.app.service.read_id(), request.received, request.request_id().to_owned());
    Ok(ReadRecord { id, workspace, at, reader, token, request, question, query, form, revision, view_at, rows: None })
}

fn reader(caller: &Caller) -> Result<(AuditReader, Option<TokenId>), Problem> {
    match caller {
        Caller::Operator => Ok((AuditReader::Operator, None)),
        Caller::Principal { principal, token } => Ok((AuditReader::Principal(principal.clone()), Some(*token))),
        Caller::AccessKey { key, .. } => Ok((AuditReader::AccessKey(*key), None)),
        Caller::ImportedActor(_) | Caller::SimulatedUser(_) => Err(Problem::unauthenticated()),
    }
}

/// Returns the path below the workspace; the whole path of a question about several workspaces.
fn question(path: &str) -> String {
    let below = path.strip_prefix("/v1/workspaces/").and_then(|rest| rest.split_once('/'));
    below.map_or(path, |(_, question)| question).to_owned()
}

/// Returns the parameters in their order, each in its normal encoding.
fn normal(query: &str) -> String {
    let pairs = form_urlencoded::parse(query.as_bytes());
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}
