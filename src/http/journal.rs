//! Recording who reads the audit, before they are answered.
//!
//! An answer of the audit is given only once it is durable who got it: a handler calls [`record`] when it has all rows, or
//! [`begin`] ahead of the first of many, and passes on what goes wrong. Refusals give nothing away and are not recorded.

use std::sync::Arc;

use super::asked::InWorkspace;
use super::problem::Problem;
use crate::domain::id::TokenId;
use crate::domain::principal::Caller;
use crate::domain::view::View;
use crate::log::LogError;
use crate::log::journal::{AnswerForm, AuditReader, QUESTION_BYTES_MAX, ReadRecord};
use crate::service::Service;

/// Records an answer of so many rows, all of which are known.
///
/// # Errors
/// It could not be made durable (503), or the question is too long to be recorded (422): the answer must not be given.
pub async fn record(request: &InWorkspace, view: &View, form: AnswerForm, rows: usize) -> Result<(), Problem> {
    let record = ReadRecord { rows: Some(number(rows)), ..asked(request, view, form)? };
    Ok(request.asked.app.service.record_read(record).await?)
}

/// Records that an answer begins, of which nobody knows yet how many rows it will have.
///
/// # Errors
/// As [`record`].
pub async fn begin(request: &InWorkspace, view: &View, form: AnswerForm) -> Result<Recording, Problem> {
    let record = asked(request, view, form)?;
    Ok(Recording::begin(Arc::clone(&request.asked.app.service), record).await?)
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
    /// `Unavailable`: the answer must not be given.
    pub async fn begin(service: Arc<Service>, record: ReadRecord) -> Result<Self, LogError> {
        let begun = ReadRecord { rows: None, ..record };
        // A reader that breaks off while this waits was given no rows, and that is recorded as for any other.
        let mut recording = Self { service, record: Some(begun.clone()), sent: 0 };
        let recorded = recording.service.record_read(begun).await;
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

/// The record of a request, without how many rows it came to.
fn asked(request: &InWorkspace, view: &View, form: AnswerForm) -> Result<ReadRecord, Problem> {
    let asked = &request.asked;
    let (reader, token) = reader(&asked.caller)?;
    let (question, query) = (question(asked.uri_path()), normal(asked.uri_query()));
    if question.len() + query.len() > QUESTION_BYTES_MAX {
        return Err(Problem::too_large(format!(
            "a question of the audit has at most {QUESTION_BYTES_MAX} bytes, path and parameters together"
        )));
    }
    Ok(ReadRecord {
        id: asked.app.service.read_id(),
        workspace: request.root.id(),
        at: asked.received,
        reader,
        token,
        request: asked.request_id().to_owned(),
        question,
        query,
        form,
        revision: view.revision(),
        view_at: view.instant(),
        rows: None,
    })
}

fn reader(caller: &Caller) -> Result<(AuditReader, Option<TokenId>), Problem> {
    match caller {
        Caller::Operator => Ok((AuditReader::Operator, None)),
        Caller::Principal { principal, token } => Ok((AuditReader::Principal(principal.clone()), Some(*token))),
        Caller::AccessKey { key, .. } => Ok((AuditReader::AccessKey(*key), None)),
        Caller::Vouched(_) | Caller::Supposed(_) => Err(Problem::unauthenticated()),
    }
}

/// The part of a path that comes after the workspace.
fn question(path: &str) -> String {
    let below = path.strip_prefix("/v1/workspaces/").and_then(|rest| rest.split_once('/'));
    below.map_or("", |(_, question)| question).to_owned()
}

/// Parameters in the order in which they were asked, each written as it always is.
fn normal(query: &str) -> String {
    let pairs = form_urlencoded::parse(query.as_bytes());
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}
