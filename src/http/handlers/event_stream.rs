//! The live stream of a workspace's log.
//!
//! Each chunk is authorized and read on one published root: its events are durable, and the caller may read them at that root. The content
//! depends on the log, the query and the position alone, so a reconnect loses nothing.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::HandlerResult;
use crate::domain::model::principal::Caller;
use crate::domain::model::time::{Instant, Revision};
use crate::domain::state::workspace::Workspace;
use crate::http::App;
use crate::http::guard::AuditRequest;
use crate::http::journal::{self, Recording};
use crate::http::params::Params;
use crate::http::problem::Problem;
use crate::http::request::{ReadAccess, WorkspaceRequest, read_access};
use crate::http::response::set_etag;
use crate::http::sse::{self, CHUNK_BYTES, MessageSource, Step};
use crate::log::codec;
use crate::log::journal::AnswerForm;
use crate::proof::hash::TreeHash;
use crate::query::events::{EventFilter, EventsQuery};
use crate::service::feed::{CredentialState, Follower};

/// The most events to read for one chunk, so that a filter does not occupy a thread.
const LOOKED_AT_MAX: usize = 4_096;
/// The bytes of a leaf hash in a message id.
const ID_LEAF_BYTES: usize = 12;
/// The parameters of pages that streams do not take.
const PAGED: &[&str] = &["limit", "cursor", "at", "revision", "at_least"];

/// The events of a workspace after a position, for one reader.
struct Following {
    app: Arc<App>,
    caller: Caller,
    follower: Follower,
    filter: EventFilter,
    position: Revision,
    /// Whether all matching events have been published.
    complete: bool,
    recording: Recording,
}

/// Streams the log.
pub(super) async fn follow(request: AuditRequest, mut params: Params) -> HandlerResult {
    sse::refuse_params(&mut params, PAGED)?;
    let query = EventsQuery::parse(&mut params)?;
    params.finish()?;
    let position = position(&request, &query)?;
    let now = request.now();
    // The filter learns names from the log itself, so the content does not depend on when a stream was opened.
    let filter = EventFilter::of(&query, &now.mid_command(position, now.time_of(position)), &now)?;
    let (app, caller) = (Arc::clone(&request.app), request.caller.clone());
    let permit = app.streams.permit(request.holder_account())?;
    let follower = app.service.follow(request.root.id()).await?;
    let recording = journal::begin(&request, &now, AnswerForm::EventStream).await?;
    let app_of = Arc::clone(&app);
    let mut following = Following { app: app_of, caller, follower, filter, position, complete: false, recording };
    if following.is_over().await? {
        return Ok(sse::nothing_more());
    }
    let mut response = permit.into_response(following);
    set_etag(response.headers_mut(), request.root.head());
    Ok(response)
}

/// Returns the id of a message or heartbeat: the revision and the first bytes of its event's leaf hash. The hash detects a log that was
/// restored from an older copy and then grew.
fn message_id(revision: Revision, stored: &[u8]) -> String {
    let leaf = TreeHash::of_leaf(stored).0;
    let leaf = URL_SAFE_NO_PAD.encode(leaf.get(..ID_LEAF_BYTES).unwrap_or_default());
    format!("{revision}.{leaf}")
}

/// Returns the message id of a revision; the revision alone before the first event.
fn id_at(root: &Workspace, revision: Revision) -> String {
    let stored = root.event(revision).and_then(|event| codec::encode(&event).ok());
    stored.map_or_else(|| revision.to_string(), |stored| message_id(revision, &stored))
}

/// Returns the revision of the last message that the client has seen. An id without a leaf hash is not checked.
fn last_seen(request: &WorkspaceRequest) -> Result<Option<Revision>, Problem> {
    let Some(id) = sse::last_event_id(request.headers())? else { return Ok(None) };
    let revision = id.split_once('.').map_or(id, |(revision, _)| revision);
    let revision: Revision = revision.parse().map_err(|error| Problem::invalid(format!("`Last-Event-ID`: {error}")))?;
    let root = &request.root;
    if id.contains('.') && revision <= root.head() && id != id_at(root, revision) {
        return Err(Problem::invalid(format!(
            "`Last-Event-ID`: revision {revision} is another event than the one that you saw: what you saw is another \
             history, perhaps from before the log was restored from an older copy"
        )));
    }
    Ok(Some(revision))
}

/// Returns the revision after which the stream begins.
fn position(request: &WorkspaceRequest, query: &EventsQuery) -> Result<Revision, Problem> {
    let last_seen = last_seen(request)?;
    let head = request.root.head();
    match (last_seen, query.after.unwrap_or_default()) {
        (Some(seen), _) if seen > head => Err(Problem::invalid(format!(
            "`Last-Event-ID`: revision {seen} is past the newest one, {head}: what you saw is another history, \
             perhaps from before the log was restored from an older copy"
        ))),
        (None, after) if after > head => {
            Err(Problem::invalid(format!("`after`: revision {after} is past the newest one, {head}")))
        }
        (seen, after) => Ok(seen.unwrap_or(after)),
    }
}

impl Following {
    /// Returns whether all matching events are published: later ones are not before `until`.
    async fn is_complete(&mut self) -> Result<bool, Problem> {
        let passed = self.filter.until().is_some_and(|until| until <= self.app.service.now());
        if passed && !self.complete {
            self.app.service.flush().await?;
            self.complete = true;
        }
        Ok(self.complete)
    }

    /// Returns whether no matching event is left, and none can come.
    async fn is_over(&mut self) -> Result<bool, Problem> {
        if !self.is_complete().await? {
            return Ok(false);
        }
        let mut filter = self.filter.clone();
        let Some(root) = self.follower.root() else { return Ok(false) };
        let left = root.events(self.position, root.head()).any(|event| {
            filter.learn(&event);
            filter.admits(&root, &event)
        });
        Ok(!left)
    }

    /// Returns whether the caller may still read, on these facts and now.
    async fn credential_state(&self, root: &Arc<Workspace>) -> Result<CredentialState, Problem> {
        let state = self.app.service.credential_state(&self.caller, root).await?;
        let reads_all = read_access(&self.caller, root, self.app.service.now())? == ReadAccess::All;
        Ok(if reads_all { state } else { CredentialState::Ended })
    }

    /// Returns the next messages and advances the position past the events that were read.
    fn chunk(&mut self, root: &Workspace) -> Result<Vec<u8>, Problem> {
        let mut chunk = Vec::new();
        for event in root.events(self.position, root.head()).take(LOOKED_AT_MAX) {
            self.filter.learn(&event);
            if self.filter.admits(root, &event) {
                let stored = codec::encode(&event).map_err(|error| {
                    tracing::error!(%error, "an event could not be written");
                    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "an event could not be written")
                })?;
                self.recording.sent(1);
                let id = message_id(event.revision, &stored);
                sse::add_message(&mut chunk, &id, event.data.type_name(), &stored)?;
            }
            self.position = event.revision;
            if chunk.len() >= CHUNK_BYTES {
                break;
            }
        }
        Ok(chunk)
    }

    /// Returns the time until the clock alone changes the content.
    fn longest_wait(&self, end: Option<Instant>) -> Option<Duration> {
        let first = [end, self.filter.until()].into_iter().flatten().min()?;
        let micros = first.micros().saturating_sub(self.app.service.now().micros());
        Some(Duration::from_micros(u64::try_from(micros).unwrap_or(0)))
    }
}

impl MessageSource for Following {
    async fn step(&mut self) -> Result<Step, Problem> {
        let complete = self.is_complete().await?;
        let Some(root) = self.follower.root() else { return Ok(Step::End) };
        let CredentialState::Live(end) = self.credential_state(&root).await? else { return Ok(Step::End) };
        let chunk = self.chunk(&root)?;
        Ok(if !chunk.is_empty() {
            Step::Send(chunk)
        } else if self.position < root.head() {
            Step::More
        } else if complete {
            Step::End
        } else {
            Step::Wait(self.longest_wait(end))
        })
    }

    async fn changed(&mut self) {
        self.follower.changed().await;
    }

    fn position(&mut self) -> String {
        self.follower.root().map_or_else(|| self.position.to_string(), |root| id_at(&root, self.position))
    }
}
