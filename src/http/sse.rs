//! Live streams: server-sent events (HTML standard §9.2).
//!
//! A chunk is made when the connection can take it, so a slow client costs one chunk of memory. Every message carries an id to resume
//! from. Heartbeats carry ids too, so that filtered readers advance. The [`MessageSource`] knows the content and checks the reader's
//! authority.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::convert::Infallible;
use std::future::{Future, ready};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use futures_util::stream::{StreamExt, once, unfold};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

use super::params::Params;
use super::problem::Problem;
use crate::domain::model::id::WorkspaceId;
use crate::domain::model::json;
use crate::service::feed::SubscribeError;

/// The longest silence of a stream.
pub const HEARTBEAT_PERIOD: Duration = Duration::from_secs(15);
/// The most streams at a time: half of the connections stay free for other requests.
pub const STREAMS_MAX: usize = 5_000;
/// The most streams of one holder of credentials at a time. The operator has no limit of its own.
pub const STREAMS_PER_HOLDER_MAX: usize = 100;
/// The size, in bytes, at which a chunk is complete; it exceeds this by one event at most.
pub const CHUNK_BYTES: usize = 64 * 1_024;

/// The media type of a stream.
const EVENT_STREAM: &str = "text/event-stream";
/// The line that sets the client's delay before it reconnects, in milliseconds.
const RETRY: &str = "retry: 1000\n\n";
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Tells nginx to pass on what it gets at once.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The live streams of a server.
pub struct Streams {
    heartbeat: Duration,
    stopping: watch::Sender<bool>,
    permits: Arc<Semaphore>,
    holders: Arc<Mutex<HashMap<Holder, usize>>>,
}

/// A holder of credentials in its workspace.
type Holder = (WorkspaceId, String);

impl Default for Streams {
    fn default() -> Self {
        Self::beating_every(HEARTBEAT_PERIOD)
    }
}

impl Streams {
    /// Returns streams with this period between heartbeats.
    pub fn beating_every(heartbeat: Duration) -> Self {
        let permits = Arc::new(Semaphore::new(STREAMS_MAX));
        Self { heartbeat, stopping: watch::Sender::default(), permits, holders: Arc::default() }
    }

    /// Ends all streams and refuses new ones.
    pub fn end(&self) {
        self.stopping.send_replace(true);
    }

    /// Returns a permit for one more stream of a holder; of the operator if there is none.
    ///
    /// # Errors
    /// There are too many streams of the holder, or in all (429).
    pub fn permit(&self, holder: Option<Holder>) -> Result<StreamPermit, Problem> {
        let counted = holder.map(|holder| self.count(holder)).transpose()?;
        let permit =
            Arc::clone(&self.permits).try_acquire_owned().map_err(|_| too_many(&"there are too many streams"))?;
        Ok(StreamPermit { heartbeat: self.heartbeat, stopping: self.stopping.subscribe(), held: (permit, counted) })
    }

    /// Counts a stream of a holder.
    fn count(&self, holder: Holder) -> Result<CountedStream, Problem> {
        let mut open = self.holders.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(holder.clone()).or_default();
        if *count >= STREAMS_PER_HOLDER_MAX {
            let why =
                format!("you have {STREAMS_PER_HOLDER_MAX} live streams, and no more are allowed: close one first");
            return Err(too_many(&why));
        }
        *count += 1;
        Ok(CountedStream { holder, open: Arc::clone(&self.holders) })
    }
}

/// A counted stream of a holder; dropping it ends the count.
struct CountedStream {
    holder: Holder,
    open: Arc<Mutex<HashMap<Holder, usize>>>,
}

impl Drop for CountedStream {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut count) = open.entry(self.holder.clone()) {
            *count.get_mut() = count.get().saturating_sub(1);
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// The counts that a stream holds until it ends: in all, and of its holder.
type Held = (OwnedSemaphorePermit, Option<CountedStream>);

/// A permit for one stream.
pub struct StreamPermit {
    heartbeat: Duration,
    stopping: watch::Receiver<bool>,
    held: Held,
}

impl StreamPermit {
    /// Starts the stream.
    pub fn into_response(self, source: impl MessageSource) -> Response<Body> {
        let Self { heartbeat, stopping, held } = self;
        let stream = EventStream { source, heartbeat, beat_at: Instant::now() + heartbeat, stopping, _held: held };
        let chunks = unfold(stream, async |stream| stream.next().await.map(|(chunk, stream)| (Ok(chunk), stream)));
        let all = once(ready(Ok::<_, Infallible>(Bytes::from_static(RETRY.as_bytes())))).chain(chunks);
        let mut response = Response::new(Body::from_stream(all));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
        response
    }
}

/// Returns the response to a client that resumes where nothing more can come: 204, so that it does not reconnect.
pub fn nothing_more() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn too_many(why: &dyn std::fmt::Display) -> Problem {
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", why.to_string())
}

impl From<SubscribeError> for Problem {
    fn from(error: SubscribeError) -> Self {
        match error {
            SubscribeError::Crowded(_) => too_many(&error),
            SubscribeError::Unknown => Self::new(StatusCode::NOT_FOUND, "not_found", error.to_string()),
            SubscribeError::Log(error) => error.into(),
        }
    }
}

/// The next step of a stream.
pub enum Step {
    /// Sends these messages.
    Send(Vec<u8>),
    /// Sends nothing yet, and asks the source again at once.
    More,
    /// Waits until the source has changed, or for this time at most.
    Wait(Option<Duration>),
    /// Ends the stream.
    End,
}

/// A source of messages.
pub trait MessageSource: Send + 'static {
    /// Returns the next step. It is called again after each heartbeat too.
    fn step(&mut self) -> impl Future<Output = Result<Step, Problem>> + Send;

    /// Waits until there may be more than at the last step.
    fn changed(&mut self) -> impl Future<Output = ()> + Send;

    /// Returns the id of the newest event that was read.
    fn position(&mut self) -> String;
}

/// A running stream.
struct EventStream<S> {
    source: S,
    heartbeat: Duration,
    beat_at: Instant,
    stopping: watch::Receiver<bool>,
    _held: Held,
}

impl<S: MessageSource> EventStream<S> {
    /// Returns the next chunk and the stream after it; none at its end. An error ends it; the client hears why when it reconnects.
    async fn next(mut self) -> Option<(Bytes, Self)> {
        loop {
            if *self.stopping.borrow_and_update() {
                return None;
            }
            let due = Instant::now() >= self.beat_at;
            match self.source.step().await {
                Ok(Step::Send(messages)) => return Some(self.sending(messages)),
                Ok(Step::More | Step::Wait(_)) if due => {
                    let beat = format!(": heartbeat\nid: {}\n\n", self.source.position());
                    return Some(self.sending(beat.into()));
                }
                Ok(Step::More) => tokio::task::yield_now().await,
                Ok(Step::Wait(longest)) => self.wait(longest).await,
                Ok(Step::End) | Err(_) => return None,
            }
        }
    }

    fn sending(mut self, chunk: Vec<u8>) -> (Bytes, Self) {
        self.beat_at = Instant::now() + self.heartbeat;
        (chunk.into(), self)
    }

    async fn wait(&mut self, longest: Option<Duration>) {
        let end = longest.and_then(|longest| Instant::now().checked_add(longest));
        let end = end.map_or(self.beat_at, |end| end.min(self.beat_at));
        tokio::select! {
            () = self.source.changed() => {}
            () = tokio::time::sleep_until(end) => {}
            _ = self.stopping.changed() => {}
        }
    }
}

/// Appends a message: an event's type and its stored JSON, which is one line.
///
/// It escapes the line separators that JSON leaves as they are, because some clients end a line at them. So the JSON has the stored
/// meaning; the log's entry bundles and pages of JSON have the exact bytes.
///
/// # Errors
/// The stored event is more than one line (500).
pub fn add_message(chunk: &mut Vec<u8>, id: &str, event_type: &str, stored: &[u8]) -> Result<(), Problem> {
    if stored.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
        let detail = "a stored event is more than one line: restore the log from a backup";
        return Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "unreadable", detail));
    }
    chunk.extend_from_slice(format!("id: {id}\nevent: {event_type}\ndata: ").as_bytes());
    json::push_line(chunk, stored);
    chunk.extend_from_slice(b"\n\n");
    Ok(())
}

/// Returns the id of the last message that the client has seen (`Last-Event-ID`).
///
/// # Errors
/// The header is not ASCII text (422).
pub fn last_event_id(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(value) = headers.get(LAST_EVENT_ID) else { return Ok(None) };
    value.to_str().map(|id| Some(id.trim())).map_err(|_| Problem::invalid("`Last-Event-ID` is no text"))
}

/// Refuses the parameters that a stream does not take.
///
/// # Errors
/// One of them is there (422).
pub fn refuse_params(params: &mut Params, names: &[&str]) -> Result<(), Problem> {
    match names.iter().find(|name| params.text(name).is_some()) {
        None => Ok(()),
        Some(name) => {
            Err(Problem::invalid(format!("`{name}` has no place in a live stream, which shows all that comes")))
        }
    }
}
