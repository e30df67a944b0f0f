//! Recording who reads the audit, before they are answered.
//!
//! An answer of the audit is given only once it is durable who got it, and only to a reader who may still read at the head that
//! this is recorded at: a handler calls [`record`] when it has all rows, or [`begin`] ahead of the first of many, and passes on what
//! goes wrong. Refusals give nothing away and are not recorded.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::problem::Problem;
use super::request::{AuthenticatedRequest, WorkspaceRequest};
use crate::domain::id::{TokenId, WorkspaceId};
use crate::domain::principal::Caller;
use crate::domain::time::{Instant, Revision};
use crate::domain::view::View;
use crate::log::journal::{AnswerForm, AuditReader, QUESTION_BYTES_MAX, ReadRecord};
use crate::service::Service;
use crate::service::submission::SubmitError;

/// How many commands of a what-if are named.
const COMMANDS_NAMED_MAX: usize = 20;

/// Records an answer of so many rows, all of which are known.
///
/// # Errors
/// The caller's right to read has ended (401, 403), the record could not be made durable (503), or the question is too long to be
/// recorded (422): the answer must not be given.
pub async fn record(request: &WorkspaceRequest, view: &View, form: AnswerForm, rows: usize) -> Result<(), Problem> {
    let record = ReadRecord { rows: Some(number(rows)), ..view_record(request, view, form)? };
    write(request, record).await
}

/// As [`record`], of a question that is asked in the body of the request: `body_summary` says which.
///
/// # Errors
/// As [`record`].
pub async fn record_with_body(
    request: &WorkspaceRequest,
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

/// What commands were asked about, for the record: their types, the first twenty, and the SHA-256 of the body, since what they
/// hold may be of a person.
pub fn of_commands(commands: &[Value], body: &[u8]) -> String {
    let named = commands.iter().take(COMMANDS_NAMED_MAX);
    let types: Vec<&str> = named.filter_map(|command| command.get("type")?.as_str()).collect();
    let digest = URL_SAFE_NO_PAD.encode(Sha256::digest(body));
    format!("commands={}&commands_total={}&sha256={digest}", types.join(","), commands.len())
}

/// Records a read, if the caller may still read at the head that it is recorded at.
async fn write(request: &AuthenticatedRequest, record: ReadRecord) -> Result<(), Problem> {
    let recorded = request.app.service.record_read(record, &request.caller).await;
    recorded.map_err(|error| Problem::submission(error, 1))
}

async fn begin_recorded(request: &AuthenticatedRequest, record: ReadRecord) -> Result<Recording, Problem> {
    let begun = Recording::begin(Arc::clone(&request.app.service), record, &request.caller).await;
    begun.map_err(|error| Problem::submission(error, 1))
}

/// Records that an answer begins, of which nobody knows yet how many rows it will have.
///
/// # Errors
/// As [`record`].
pub async fn begin(request: &WorkspaceRequest, view: &View, form: AnswerForm) -> Result<Recording, Problem> {
    let record = view_record(request, view, form)?;
    begin_recorded(request, record).await
}

/// An answer that is being given. When it is dropped, be it at the end or because its reader broke off, it is recorded how
/// many rows were.
pub struct Recording {
    service: Arc<Service>,
    /// None if the answer is not given after all.
    record: Option<ReadRecord>,
    sent: u64,
}

impl Recording {
    /// Records that the answer begins.
    ///
    /// # Errors
    /// The reader's right has ended, or it is not known whether the read was recorded: the answer must not be given.
    pub async fn begin(service: Arc<Service>, record: ReadRecord, caller: &Caller) -> Result<Self, SubmitError> {
        let begun = ReadRecord { rows: None, ..record };
        // A reader that breaks off while this waits was given no rows, and that is recorded as for any other.
        let mut recording = Self { service, record: Some(begun.clone()), sent: 0 };
        let recorded = recording.service.record_read(begun, caller).await;
        if recorded.is_err() {
            recording.record = None;
        }
        recorded.map(|()| recording)
    }

    /// So many more rows were handed to the connection.
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

/// As [`record`], of a question that is about more than one workspace: in the journal of one of them, with the newest revision of
/// it that is given.
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

/// As [`begin`], of a question that is about more than one workspace.
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

/// The record of a request, without how many rows it came to.
fn view_record(request: &WorkspaceRequest, view: &View, form: AnswerForm) -> Result<ReadRecord, Problem> {
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
        Caller::Vouched(_) | Caller::Supposed(_) => Err(Problem::unauthenticated()),
    }
}

/// The part of a path that comes after the workspace; the whole path if it is about more than one.
fn question(path: &str) -> String {
    let below = path.strip_prefix("/v1/workspaces/").and_then(|rest| rest.split_once('/'));
    below.map_or(path, |(_, question)| question).to_owned()
}

/// Parameters in the order in which they were asked, each written as it always is.
fn normal(query: &str) -> String {
    let pairs = form_urlencoded::parse(query.as_bytes());
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}
