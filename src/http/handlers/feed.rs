//! The feed of the instance: the events of all workspaces, each workspace's in order.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::HandlerResult;
use super::events::raw;
use crate::domain::model::id::WorkspaceId;
use crate::domain::model::time::Revision;
use crate::http::cursor::CursorKey;
use crate::http::input::{Input, NoPath};
use crate::http::journal::{self, Recording};
use crate::http::params::{LIMIT_DEFAULT, Params};
use crate::http::problem::Problem;
use crate::http::request::AuthenticatedRequest;
use crate::http::response;
use crate::http::rows;
use crate::http::sse::{self, MessageSource, Step};
use crate::log::journal::AnswerForm;
use crate::log::{LogError, StoredEvent, codec};
use crate::service::feed::InstanceFollower;

/// The most events to read for one chunk of a stream.
const CHUNK_EVENTS: usize = 64;

/// Events of all workspaces.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FeedBody {
    /// The events as they are stored, byte for byte.
    #[schemars(with = "Vec<serde_json::Value>")]
    pub items: Vec<Box<RawValue>>,
    /// The cursor to continue from, also if there is nothing more yet.
    pub next: String,
}

/// The name of the list in its cursors.
const FEED: &str = "feed";

/// A position in the feed, and the digest of its event: in another history the position holds another event.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FeedCursor {
    position: u64,
    digest: String,
}

impl FeedCursor {
    /// Returns the cursor of an event.
    fn at(event: &StoredEvent) -> Self {
        let digest: [u8; 32] = Sha256::digest(&event.bytes).into();
        let digest = URL_SAFE_NO_PAD.encode(digest.get(..12).unwrap_or_default());
        Self { position: event.position, digest }
    }

    fn read(key: &CursorKey, name: &str, text: &str) -> Result<Self, Problem> {
        let cursor = key.open(FEED, text);
        cursor.ok_or_else(|| Problem::invalid(format!("`{name}`: this is not the `next` or an `id` of this feed")))
    }

    fn text(&self, key: &CursorKey) -> String {
        key.seal(FEED, self)
    }

    /// Returns up to `limit` events after the cursor; none if the event at its position is another one.
    fn page(
        &self,
        read: impl Fn(u64, usize) -> Result<Vec<StoredEvent>, LogError>,
        limit: usize,
    ) -> Result<Option<Vec<StoredEvent>>, LogError> {
        let Some(before) = self.position.checked_sub(1) else {
            return if *self == Self::default() { read(0, limit).map(Some) } else { Ok(None) };
        };
        let mut events = read(before, limit.saturating_add(1))?.into_iter();
        let here = events.next().is_some_and(|first| Self::at(&first) == *self);
        Ok(here.then(|| events.collect()))
    }
}

fn another_history(name: &str) -> Problem {
    Problem::invalid(format!(
        "`{name}`: what stood there is not in this log: what you saw is another history, perhaps from before the log was \
         restored from an older copy"
    ))
}

/// The forms of a page of the feed.
pub const FORMS: &[AnswerForm] = &[AnswerForm::Json, AnswerForm::CloudeventsBatch, AnswerForm::EventStream];

/// The page of the feed that a request asks for, or the position where its stream begins.
pub struct FeedPaging {
    form: AnswerForm,
    limit: usize,
    cursor: Option<FeedCursor>,
}

impl Input<AuthenticatedRequest> for FeedPaging {
    fn names() -> Vec<&'static str> {
        vec!["limit", "cursor"]
    }

    fn read(params: &mut Params, request: &AuthenticatedRequest) -> Result<Self, Problem> {
        let form = AnswerForm::negotiate(request.headers(), FORMS)?;
        if form == AnswerForm::EventStream {
            sse::refuse_params(params, &["limit"])?;
        }
        let limit = params.limit()?.unwrap_or(LIMIT_DEFAULT);
        let cursor = params.text("cursor").map(|text| FeedCursor::read(&request.app.cursors, "cursor", &text));
        Ok(Self { form, limit, cursor: cursor.transpose()? })
    }
}

/// Lists the events of all workspaces, or follows them.
pub async fn list(request: AuthenticatedRequest, _: NoPath, paging: FeedPaging) -> HandlerResult {
    let FeedPaging { form, limit, cursor } = paging;
    if form == AnswerForm::EventStream {
        return follow(request, cursor).await;
    }
    request.permit()?;
    let (events, next) = page(&request, "cursor", cursor.unwrap_or_default(), limit).await?;
    record(&request, form, &events).await?;
    let items = events.into_iter().map(|event| raw(event.bytes)).collect::<Result<_, _>>()?;
    let body = FeedBody { items, next: next.text(&request.app.cursors) };
    if form == AnswerForm::Json {
        return Ok(response::json(StatusCode::OK, response::to_json(&body)?));
    }
    let mut response = response::json(StatusCode::OK, response::to_json(&body.items)?);
    rows::set_next(&mut response, AnswerForm::CloudeventsBatch, Some(body.next));
    Ok(response)
}

/// Returns the events after a cursor, and the cursor after them.
async fn page(
    request: &AuthenticatedRequest,
    name: &str,
    cursor: FeedCursor,
    limit: usize,
) -> Result<(Vec<StoredEvent>, FeedCursor), Problem> {
    let from = cursor.clone();
    let read = request.app.service.reading(move |log| from.page(|after, limit| log.feed(after, limit), limit));
    let events = read.await?.ok_or_else(|| another_history(name))?;
    let next = events.last().map_or(cursor, FeedCursor::at);
    Ok((events, next))
}

/// A live stream of the events of all workspaces after a cursor.
struct Following {
    follower: InstanceFollower,
    cursor: FeedCursor,
    request: AuthenticatedRequest,
    /// The journal records of the workspaces with an event in the stream.
    recordings: HashMap<WorkspaceId, Recording>,
}

impl Following {
    /// Records an event of a workspace in its journal: the first one before it is sent.
    async fn record(&mut self, event: &StoredEvent) -> Result<(), Problem> {
        let recording = match self.recordings.entry(event.workspace) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let form = AnswerForm::EventStream;
                new.insert(journal::begin_of(&self.request, event.workspace, event.revision, form).await?)
            }
        };
        recording.sent(1);
        Ok(())
    }
}

async fn follow(request: AuthenticatedRequest, after: Option<FeedCursor>) -> HandlerResult {
    let last_seen = sse::last_event_id(request.headers())?
        .map(|id| FeedCursor::read(&request.app.cursors, "Last-Event-ID", id))
        .transpose()?;
    let name = if last_seen.is_some() { "Last-Event-ID" } else { "cursor" };
    let cursor = last_seen.or(after).unwrap_or_default();
    page(&request, name, cursor.clone(), 1).await?;
    let app = Arc::clone(&request.app);
    let (follower, permit) = (app.service.follow_all()?, app.streams.permit(request.holder_account())?);
    Ok(permit.into_response(Following { follower, cursor, request, recordings: HashMap::new() }))
}

/// Records in the journal of each workspace how many of its events the page has.
async fn record(request: &AuthenticatedRequest, form: AnswerForm, events: &[StoredEvent]) -> Result<(), Problem> {
    let mut given: BTreeMap<WorkspaceId, (Revision, usize)> = BTreeMap::new();
    for event in events {
        let (newest, rows) = given.entry(event.workspace).or_default();
        *newest = event.revision;
        *rows += 1;
    }
    for (workspace, (newest, rows)) in given {
        journal::record_of(request, workspace, newest, form, rows).await?;
    }
    Ok(())
}

impl MessageSource for Following {
    async fn step(&mut self) -> Result<Step, Problem> {
        let events = self.follower.read(self.cursor.position, CHUNK_EVENTS).await?;
        let mut chunk = Vec::new();
        for stored in &events {
            let event = codec::decode(&stored.bytes).map_err(|error| LogError::Unreadable {
                workspace: stored.workspace,
                revision: stored.revision,
                why: error.to_string(),
            })?;
            self.record(stored).await?;
            self.cursor = FeedCursor::at(stored);
            sse::add_message(
                &mut chunk,
                &self.cursor.text(&self.request.app.cursors),
                event.data.type_name(),
                &stored.bytes,
            )?;
        }
        Ok(if chunk.is_empty() { Step::Wait(None) } else { Step::Send(chunk) })
    }

    async fn changed(&mut self) {
        self.follower.changed().await;
    }

    fn position(&mut self) -> String {
        self.cursor.text(&self.request.app.cursors)
    }
}
