//! The question that evidence answers, with the view that it was asked of.

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

/// The lists of the audit that can be asked for.
const LISTS: [&str; 4] = ["audit/access", "audit/tenures", "audit/diff", "audit/credentials"];

/// What can be said of a list, beside the view. Nothing that makes an answer begin or end within it is among them.
const PARAMETERS: [&str; 6] = ["environment", "principal", "role", "issued_by", "from", "until"];

/// How far the clocks of a server and of a verifier may be apart, in microseconds: five minutes.
const CLOCKS_APART_MICROS: i64 = 300_000_000;

/// A question that always has the same answer: its view is a part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Question {
    /// Of which workspace.
    pub(super) workspace: WorkspaceId,
    /// The newest revision that counts.
    pub(super) revision: Revision,
    /// The newest instant that counts.
    pub(super) at: Instant,
    /// The list, below the workspace's path.
    list: String,
    /// What stands after the `?`, beside the view.
    parameters: BTreeMap<String, String>,
}

/// An answer, in both its forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    /// All pages of the JSON as one, indented.
    pub(super) json: Vec<u8>,
    /// The CSV.
    pub(super) csv: Vec<u8>,
}

impl Question {
    /// Pins a question to the view that it is answered of now.
    pub(super) fn pinned(
        session: &Session,
        key: &VerifierKey,
        list: [&'static str; 2],
        query: &Query,
    ) -> Result<Self, Failure> {
        let foreign = || Failure::usage(format!("the key is for `{}`, and for no workspace's log", key.origin()));
        let workspace = key.origin().workspace().ok_or_else(foreign)?;
        let list = list.join("/");
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

    /// Whether a server of this build could be asked it.
    pub(super) fn is_known(&self) -> bool {
        LISTS.contains(&self.list.as_str()) && self.parameters.keys().all(|name| PARAMETERS.contains(&name.as_str()))
    }

    /// Where the files of the log are on a server.
    pub(super) fn log_path(&self) -> String {
        format!("/v1/workspaces/{}/log", self.workspace)
    }

    /// Makes sure that a checkpoint covers every event that counts; what is wrong otherwise.
    pub(super) fn check_covered_by(&self, checkpoint: &Checkpoint) -> Result<(), String> {
        let (revision, size) = (self.revision, checkpoint.tree().size);
        let message = || format!("the answer is of revision {revision}, and the checkpoint covers {size} only");
        (revision.0 <= size).then_some(()).ok_or_else(message)
    }

    /// Checks that the instant of the question has come; what is wrong otherwise. Nobody knows yet what will be.
    pub(super) fn check_past(&self, now: Instant) -> Result<(), String> {
        let latest = Instant::from_micros(now.micros().saturating_add(CLOCKS_APART_MICROS));
        let message = || format!("the answer is as of `{}`, which is in the future: it is `{now}` now", self.at);
        (self.at <= latest).then_some(()).ok_or_else(message)
    }

    /// Checks that the event after the revision of the question came after its instant; what is wrong otherwise. An earlier one may
    /// have ended what the answer shows.
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

    /// The revision after that of the question, if a checkpoint covers it.
    pub(super) fn next_revision(&self, checkpoint: &Checkpoint) -> Option<Revision> {
        let next = self.revision.next();
        (next.0 <= checkpoint.tree().size).then_some(next)
    }

    /// Makes sure that an answer says that it is all of the answer to this; what is wrong otherwise.
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

    /// Asks a server, and gives the answer.
    pub(super) fn ask(&self, client: &Client) -> Result<Answer, Failure> {
        let path = format!("/v1/workspaces/{}/{}", self.workspace, self.list);
        let query = Query::of(self.parameters.clone());
        let query = query.with("at", Some(self.at)).with("revision", Some(self.revision));
        let mut json = indented(&all_pages(client, &path, &query)?)?;
        json.push(b'\n');
        let mut csv = Vec::new();
        let mut answer = client.open(&path, &query, "text/csv")?;
        let read = answer.body_mut().as_reader().take(ANSWER_BYTES_MAX).read_to_end(&mut csv);
        read.map_err(|error| Failure::server(format!("the answer broke off: {error}")))?;
        Ok(Answer { json, csv })
    }

    /// The question as it is kept.
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, Failure> {
        let mut bytes = indented(&json!(self))?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

fn indented(value: &Value) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec_pretty(value).map_err(|error| Failure::server(error.to_string()))
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.list)?;
        for (name, value) in &self.parameters {
            write!(f, " {name}={}", value.escape_debug())?;
        }
        write!(f, ", as of {}, revision {}", self.at, self.revision)
    }
}
