//! The journal of reads of the audit. It is beside the log, since a read changes no permission.
//!
//! Owns the shape of a record; a question is only text here. A record names people only by their ids, so the erasure of a profile needs
//! no erasure here.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use crate::domain::model::id::{AccessKeyId, ReadId, TokenId, WorkspaceId};
use crate::domain::model::name::InvalidText;
use crate::domain::model::principal::Principal;
use crate::domain::model::time::{Instant, Revision};

/// The longest question that is recorded, with path and parameters, in bytes.
pub const QUESTION_BYTES_MAX: usize = 2_000;

/// The reader of the audit. Written `operator`, `user:ID`, `service_user:svc_…` or `key_…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuditReader {
    /// The holder of the instance's own credential.
    Operator,
    /// A member, by an API token.
    Principal(Principal),
    /// The holder of an access key.
    AccessKey(AccessKeyId),
    /// The service itself, which only records that it pruned the journal.
    System,
}

impl fmt::Display for AuditReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operator => f.write_str("operator"),
            Self::Principal(principal) => fmt::Display::fmt(principal, f),
            Self::AccessKey(key) => fmt::Display::fmt(key, f),
            Self::System => f.write_str("system"),
        }
    }
}

const READER_RULE: &str = "who reads the audit is written `operator`, `user:ID`, `service_user:svc_…`, `system`, or as the id of an access key";

impl FromStr for AuditReader {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        if text == "operator" {
            return Ok(Self::Operator);
        }
        if text == "system" {
            return Ok(Self::System);
        }
        let key = text.parse().map(Self::AccessKey);
        key.or_else(|_| text.parse().map(Self::Principal)).map_err(|_: InvalidText| InvalidText::new(text, READER_RULE))
    }
}

impl Serialize for AuditReader {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The format of a response. The stored names never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AnswerForm {
    /// One JSON document.
    Json,
    /// A JSON document a line.
    Ndjson,
    /// Comma-separated values.
    Csv,
    /// A page to read or print.
    Html,
    /// An array of `CloudEvents`.
    CloudeventsBatch,
    /// Server-sent events.
    EventStream,
    /// Entries of the log, each after its length (C2SP `tlog-tiles`).
    EntryBundle,
}

impl AnswerForm {
    const ALL: [Self; 7] =
        [Self::Json, Self::Ndjson, Self::Csv, Self::Html, Self::CloudeventsBatch, Self::EventStream, Self::EntryBundle];

    /// Returns the stored name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
            Self::Html => "html",
            Self::CloudeventsBatch => "cloudevents_batch",
            Self::EventStream => "event_stream",
            Self::EntryBundle => "entry_bundle",
        }
    }
}

impl FromStr for AnswerForm {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        let found = Self::ALL.into_iter().find(|form| form.as_str() == text);
        found.ok_or_else(|| InvalidText::new(text, "it is no form of an answer"))
    }
}

/// A response of the audit that was sent, or that has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadRecord {
    /// Its id.
    pub id: ReadId,
    /// The workspace of the audit.
    pub workspace: WorkspaceId,
    /// The time of the request.
    pub at: Instant,
    /// The reader.
    pub reader: AuditReader,
    /// The reader's API token; none if `reader` names the credential itself.
    pub token: Option<TokenId>,
    /// The id of the request in its response and in the server's log lines.
    pub request: String,
    /// The question: the path below the workspace, such as `audit/access`.
    pub question: String,
    /// The form-encoded text after the `?`; with `question` at most [`QUESTION_BYTES_MAX`] bytes.
    pub query: String,
    /// The format of the response.
    pub form: AnswerForm,
    /// The revision of the view.
    pub revision: Revision,
    /// The instant of the view.
    pub view_at: Instant,
    /// The number of rows that were sent; none until then, or if the server ended before.
    pub rows: Option<u64>,
}

impl ReadRecord {
    /// Returns the record that this many reads of a workspace's audit from before an instant were pruned.
    pub fn of_pruning(id: ReadId, workspace: WorkspaceId, rows: u64, (before, now): (Instant, Instant)) -> Self {
        Self {
            id,
            workspace,
            at: now,
            reader: AuditReader::System,
            token: None,
            request: "journal-retention".to_owned(),
            question: "audit/reads/pruned".to_owned(),
            query: format!("before={before}"),
            form: AnswerForm::Json,
            revision: Revision::ZERO,
            view_at: before,
            rows: Some(rows),
        }
    }

    /// Returns whether this is a record of a pruning, in every field.
    pub fn is_of_pruning(&self) -> bool {
        let rows = self.rows.filter(|rows| *rows > 0);
        let made = |rows| Self::of_pruning(self.id, self.workspace, rows, (self.view_at, self.at));
        rows.is_some_and(|rows| *self == made(rows)) && self.view_at <= self.at
    }

    /// Returns the id of the presented credential: `operator`, an API token or an access key.
    pub fn credential(&self) -> String {
        self.token.map_or_else(|| self.reader.to_string(), |token| token.to_string())
    }
}

/// A record as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRead {
    /// Its sequence number in the journal of the whole store, in the order of records.
    pub sequence: u64,
    /// The record.
    pub record: ReadRecord,
}

/// The oldest reads of the journal up to an instant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OldReads {
    /// The sequence number of the last one.
    pub up_to: u64,
    /// The number of reads of each workspace.
    pub rows: BTreeMap<WorkspaceId, u64>,
}

/// The removal of a part of the journal, and its records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pruning {
    /// The sequence number of the last removed read.
    pub up_to: u64,
    /// A record for each workspace.
    pub records: Vec<ReadRecord>,
}

/// The conditions of a list of records; a record must meet all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadFilter {
    /// After this sequence number.
    pub after: u64,
    /// Up to this sequence number, so that newer records are excluded.
    pub until_sequence: u64,
    /// At or after this instant.
    pub from: Option<Instant>,
    /// Before this instant.
    pub until: Option<Instant>,
    /// By this reader.
    pub reader: Option<AuditReader>,
}
