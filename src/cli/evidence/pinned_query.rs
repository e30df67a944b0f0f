//! The query that evidence answers, with its view.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use ureq::http::Method;

use crate::cli::client::{ANSWER_BYTES_MAX, Client, Query};
use crate::cli::failure::Failure;
use crate::cli::output::cell_text;
use crate::cli::session::{Session, all_pages};
use crate::domain::model::event::Event;
use crate::domain::model::id::WorkspaceId;
use crate::domain::model::time::{Instant, Revision};
use crate::proof::checkpoint::Checkpoint;
use crate::proof::note::VerifierKey;
use crate::query::list::{ListName, UnknownList};

/// The parameters of lists, beside those of the view. None of them selects a part of an answer.
const PARAMETERS: [&str; 6] = ["environment", "principal", "role", "issued_by", "from", "until"];

/// The most by which the clocks of a server and of a verifier may differ, in microseconds: five minutes.
const CLOCKS_APART_MICROS: i64 = 300_000_000;

/// A query that always has the same answer, since it includes its view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PinnedQuery {
    /// The workspace.
    pub(super) workspace: WorkspaceId,
    /// The newest counted revision.
    pub(super) revision: Revision,
    /// The newest counted instant.
    pub(super) at: Instant,
    /// The list.
    pub(super) list: ListName,
    /// The parameters, without those of the view.
    pub(super) parameters: BTreeMap<String, String>,
}

/// An answer in both its forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EvidenceAnswer {
    /// All pages of the JSON as one, indented.
    pub(super) json: Vec<u8>,
    /// The CSV.
    pub(super) csv: Vec<u8>,
}

impl PinnedQuery {
    /// Pins a query to the view of a server's answer to it now.
    pub(super) fn pinned(
        session: &Session,
        key: &VerifierKey,
        list: [&'static str; 2],
        query: &Query,
    ) -> Result<Self, Failure> {
        let foreign = || Failure::usage(format!("the key is for `{}`, and for no workspace's log", key.origin()));
        let workspace = key.origin().workspace().ok_or_else(foreign)?;
        let unknown = |error: UnknownList| Failure::usage(error.to_string());
        let list: ListName = list.join("/").parse().map_err(unknown)?;
        let first = query.clone().with("limit", Some(1));
        let path = format!("/v1/workspaces/{workspace}/{list}");
        let page = session.client().send(Method::GET, &path, &first, None)?;
        let unpinned = || Failure::server("the server does not say of which view its answer is");
        let revision = cell_text(&page, "revision").parse().map_err(|_| unpinned())?;
        let at = cell_text(&page, "at").parse().map_err(|_| unpinned())?;
        let parameters = query.pairs().map(|(name, value)| (name.to_owned(), value.to_owned()));
        let parameters = parameters.filter(|(name, _)| name != "at").collect();
        Ok(Self { workspace, revision, at, list, parameters })
    }

    /// Checks whether every parameter is one of a list.
    pub(super) fn is_known(&self) -> bool {
        self.parameters.keys().all(|name| PARAMETERS.contains(&name.as_str()))
    }

    /// Returns the path of the log's files on a server.
    pub(super) fn log_path(&self) -> String {
        format!("/v1/workspaces/{}/log", self.workspace)
    }

    /// Checks that a checkpoint covers every counted event.
    ///
    /// # Errors
    /// A sentence about the flaw.
    pub(super) fn check_covered_by(&self, checkpoint: &Checkpoint) -> Result<(), String> {
        let (revision, size) = (self.revision, checkpoint.tree().size);
        let message = || format!("the answer is of revision {revision}, and the checkpoint covers {size} only");
        (revision.0 <= size).then_some(()).ok_or_else(message)
    }

    /// Checks that the instant of the query is not in the future, where no answer is final.
    ///
    /// # Errors
    /// A sentence about the flaw.
    pub(super) fn check_past(&self, now: Instant) -> Result<(), String> {
        let latest = Instant::from_micros(now.micros().saturating_add(CLOCKS_APART_MICROS));
        let message = || format!("the answer is as of `{}`, which is in the future: it is `{now}` now", self.at);
        (self.at <= latest).then_some(()).ok_or_else(message)
    }

    /// Checks that the event after the query's revision is later than its instant. An earlier one may have ended access that the answer
    /// shows.
    ///
    /// # Errors
    /// A sentence about the flaw.
    pub(super) fn check_next(&self, next: &Event) -> Result<(), String> {
        let message = || {
            format!(
                "the answer is of revision {} as of `{}`, and revision {} happened at `{}`: ask without a revision, or of an \
                 instant before that",
                self.revision, self.at, next.revision, next.time
            )
        };
        (next.time > self.at).then_some(()).ok_or_else(message)
    }

    /// Returns the revision after the query's one, if a checkpoint covers it.
    pub(super) fn next_revision(&self, checkpoint: &Checkpoint) -> Option<Revision> {
        let next = self.revision.next();
        (next.0 <= checkpoint.tree().size).then_some(next)
    }

    /// Checks that an answer names the query's view and is complete.
    ///
    /// # Errors
    /// A sentence about the flaw.
    pub(super) fn check_answered_by(&self, answer: &Value) -> Result<(), String> {
        let is_of_view =
            answer.get("revision") == Some(&json!(self.revision)) && answer.get("at") == Some(&json!(self.at));
        let is_whole =
            answer.get("items").is_some_and(Value::is_array) && answer.get("next").is_none_or(Value::is_null);
        match (is_of_view, is_whole) {
            (true, true) => Ok(()),
            (false, _) => Err("the answer is not of the view that the question names".to_owned()),
            (_, false) => Err("the answer is a part of one".to_owned()),
        }
    }

    /// Returns a server's answer.
    pub(super) fn ask(&self, client: &Client) -> Result<EvidenceAnswer, Failure> {
        let path = format!("/v1/workspaces/{}/{}", self.workspace, self.list);
        let query = Query::of(self.parameters.clone());
        let query = query.with("at", Some(self.at)).with("revision", Some(self.revision));
        let page = all_pages(client, &path, &query)?;
        let mut csv = Vec::new();
        let mut answer = client.open(&path, &query, "text/csv")?;
        let read = answer.body_mut().as_reader().take(ANSWER_BYTES_MAX).read_to_end(&mut csv);
        read.map_err(|error| Failure::server(format!("the answer broke off: {error}")))?;
        EvidenceAnswer::of(&page, csv)
    }

    /// Returns the query as its file holds it.
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, Failure> {
        let mut bytes = indented(&json!(self))?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

impl EvidenceAnswer {
    /// Writes an answer from all its rows as one page, and its CSV.
    pub(super) fn of(page: &Value, csv: Vec<u8>) -> Result<Self, Failure> {
        let mut json = indented(page)?;
        json.push(b'\n');
        Ok(Self { json, csv })
    }
}

fn indented(value: &Value) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec_pretty(value).map_err(|error| Failure::server(error.to_string()))
}

impl fmt::Display for PinnedQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.list)?;
        for (name, value) in &self.parameters {
            write!(f, " {name}={}", value.escape_debug())?;
        }
        write!(f, ", as of {}, revision {}", self.at, self.revision)
    }
}
