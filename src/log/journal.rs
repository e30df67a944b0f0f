//! The journal: who read the audit, kept beside the log, since a read changes no permission.
//!
//! Owns the shape of a record. Knows no question: what was asked is text here. A record names people by their ids only, so
//! erasing a profile leaves nothing to erase here.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use crate::domain::model::id::{AccessKeyId, ReadId, TokenId, WorkspaceId};
use crate::domain::model::name::InvalidText;
use crate::domain::model::principal::Principal;
use crate::domain::model::time::{Instant, Revision};

/// The longest question that is recorded, path and parameters together, in bytes.
pub const QUESTION_BYTES_MAX: usize = 2_000;

/// Who read the audit. Written `operator`, `user:ID`, `service_user:svc_…` or `key_…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuditReader {
    /// The holder of the instance's own credential.
    Operator,
    /// A member, by an API token.
    Principal(Principal),
    /// Whoever has an access key.
    AccessKey(AccessKeyId),
    /// The service itself, which reads nothing: it records that it pruned the journal.
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

/// The form in which an answer is given. The stored names never change.
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

    /// The stored name.
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

/// An answer of the audit that was given, or that began to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadRecord {
    /// Its id.
    pub id: ReadId,
    /// Whose audit.
    pub workspace: WorkspaceId,
    /// When it was asked.
    pub at: Instant,
    /// Who asked.
    pub reader: AuditReader,
    /// The API token that they asked with; none if what they asked with is named by `reader`.
    pub token: Option<TokenId>,
    /// The id of the request, as its answer and the server's log lines have it.
    pub request: String,
    /// What was asked: the path below the workspace, such as `audit/access`.
    pub question: String,
    /// What stood after the `?`, form-encoded; with `question` at most [`QUESTION_BYTES_MAX`] bytes.
    pub query: String,
    /// In which form it was answered.
    pub form: AnswerForm,
    /// The revision of the view that was asked.
    pub revision: Revision,
    /// The instant of the view that was asked.
    pub view_at: Instant,
    /// How many rows were given; none while they are, and for good if the server ended before it could say.
    pub rows: Option<u64>,
}

impl ReadRecord {
    /// The id of the credential that was presented: `operator`, an API token's or an access key's.
    pub fn credential(&self) -> String {
        self.token.map_or_else(|| self.reader.to_string(), |token| token.to_string())
    }
}

/// A record as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRead {
    /// Its place in the journal of the whole store: it grows in the order in which reads were recorded.
    pub sequence: u64,
    /// The record.
    pub record: ReadRecord,
}

/// The oldest reads of the journal, as far as all of them are old.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OldReads {
    /// The place of the last of them.
    pub up_to: u64,
    /// How many there are of each workspace.
    pub rows: BTreeMap<WorkspaceId, u64>,
}

/// A part of the journal that is forgotten, and what is recorded of that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pruning {
    /// The place of the last read that is forgotten.
    pub up_to: u64,
    /// A record for each workspace.
    pub records: Vec<ReadRecord>,
}

/// Which records are asked for; all of the conditions hold for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadFilter {
    /// After this place in the journal.
    pub after: u64,
    /// Up to this place in the journal, so that what is recorded meanwhile is not among them.
    pub until_sequence: u64,
    /// Asked at or after this instant.
    pub from: Option<Instant>,
    /// Asked before this instant.
    pub until: Option<Instant>,
    /// Asked by them.
    pub reader: Option<AuditReader>,
}
