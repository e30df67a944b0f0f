//! An event as bytes: one `CloudEvents` 1.0 JSON object (its JSON event format), compact, its fields in one fixed order.
//!
//! Owns the envelope; the catalogue owns the data in it. These bytes are stored, exported, hashed and replayed. So [`encode`] always
//! returns the same bytes for the same event, and nothing here repairs invalid ones.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{EVENT_BYTES_MAX, LogError, StoredEvent};
use crate::domain::model::event::{Event, EventData, UnknownEvent};
use crate::domain::model::id::{CommandId, EventId, WorkspaceId};
use crate::domain::model::name::{Reason, stored_if_given};
use crate::domain::model::parsed::given;
use crate::domain::model::principal::{Actor, ActorCredential};
use crate::domain::model::time::{Instant, Revision, WRITABLE_MICROS};

const SPEC_VERSION: &str = "1.0";
const SOURCE_PREFIX: &str = "/workspaces/";
/// The initial capacity for an event, in bytes: more than most events need.
const EVENT_BYTES_USUAL: usize = 640;

/// The reason why an event cannot be stored.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// It is larger than [`EVENT_BYTES_MAX`].
    #[error("the event has {0} bytes, and at most {EVENT_BYTES_MAX} can be stored: ask for less in one change")]
    TooLarge(usize),
    /// One of its instants has no RFC 3339 form, so it could never be read again.
    #[error("the event's time, {0} microseconds from 1970, is not within the years 0 to 9999")]
    Time(i64),
    /// Its data cannot be written as JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// The reason why bytes are no event that this build knows.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// They are no JSON object with the fields of the envelope.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// They follow another version of `CloudEvents`.
    #[error("the specversion is `{0}`, and only `1.0` is known")]
    SpecVersion(String),
    /// The source names no workspace.
    #[error("the source is `{0}`, and should be `/workspaces/` and the id of a workspace")]
    Source(String),
    /// The type, the subject or the data is unknown.
    #[error(transparent)]
    Unknown(#[from] UnknownEvent),
}

/// The stored form. Its fields are in the order of the bytes, and there is one way to write an event.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<'a> {
    #[serde(borrow)]
    specversion: Cow<'a, str>,
    id: EventId,
    #[serde(borrow)]
    source: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    type_name: Cow<'a, str>,
    #[serde(borrow)]
    subject: Cow<'a, str>,
    time: Instant,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    recordedtime: Option<Instant>,
    revision: Revision,
    actor: Actor,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    credential: Option<ActorCredential>,
    command: CommandId,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "stored_if_given")]
    reason: Option<Reason>,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// Returns the exact bytes of an event.
///
/// # Errors
/// [`EncodeError`] if the event is too large, or could not be read again.
pub fn encode(event: &Event) -> Result<Vec<u8>, EncodeError> {
    for instant in [Some(event.time), event.recorded].into_iter().flatten() {
        if !WRITABLE_MICROS.contains(&instant.micros()) {
            return Err(EncodeError::Time(instant.micros()));
        }
    }
    let data = event.data.data_json()?;
    let mut bytes = Vec::with_capacity(EVENT_BYTES_USUAL);
    serde_json::to_writer(&mut bytes, &envelope(event, &data))?;
    if bytes.len() > EVENT_BYTES_MAX { Err(EncodeError::TooLarge(bytes.len())) } else { Ok(bytes) }
}

fn envelope<'a>(event: &'a Event, data: &'a RawValue) -> Envelope<'a> {
    Envelope {
        specversion: SPEC_VERSION.into(),
        id: event.id,
        source: format!("{SOURCE_PREFIX}{}", event.workspace).into(),
        type_name: event.data.type_name().into(),
        subject: event.data.subject().into(),
        time: event.time,
        recordedtime: event.recorded,
        revision: event.revision,
        actor: event.actor.clone(),
        credential: event.credential,
        command: event.command,
        reason: event.reason.clone(),
        data,
    }
}

/// Returns the event of these bytes.
///
/// # Errors
/// [`DecodeError`] with the first fault.
pub fn decode(bytes: &[u8]) -> Result<Event, DecodeError> {
    // One check of UTF-8 for all texts. Otherwise the parser names the place of the fault.
    let stored: Envelope<'_> = match std::str::from_utf8(bytes) {
        Ok(text) => serde_json::from_str(text)?,
        Err(_) => serde_json::from_slice(bytes)?,
    };
    if stored.specversion != SPEC_VERSION {
        return Err(DecodeError::SpecVersion(stored.specversion.into_owned()));
    }
    Ok(Event {
        workspace: workspace_of(&stored.source)?,
        data: data_of(&stored)?,
        id: stored.id,
        revision: stored.revision,
        time: stored.time,
        recorded: stored.recordedtime,
        actor: stored.actor,
        credential: stored.credential,
        command: stored.command,
        reason: stored.reason,
    })
}

fn workspace_of(source: &str) -> Result<WorkspaceId, DecodeError> {
    source
        .strip_prefix(SOURCE_PREFIX)
        .and_then(|id| id.parse().ok())
        .ok_or_else(|| DecodeError::Source(source.to_owned()))
}

/// Returns the data in the newest version of its type.
fn data_of(stored: &Envelope<'_>) -> Result<EventData, UnknownEvent> {
    // The only place that translates old versions: a stored name that the catalogue no longer has gets an arm here, which returns the
    // data of its successor. There is none so far. The stored bytes never change.
    EventData::from_stored(&stored.type_name, &stored.subject, stored.data.get())
}

/// A decoder of a workspace's log in order. It checks that all events are of the workspace, no revision is missing, and times never run
/// back.
#[derive(Debug, Clone)]
pub struct StreamDecoder {
    workspace: WorkspaceId,
    next: Revision,
    time: Instant,
}

impl StreamDecoder {
    /// Returns the decoder of a log from its first event.
    pub const fn from_start(workspace: WorkspaceId) -> Self {
        Self::after(workspace, Revision::ZERO, Instant::EARLIEST)
    }

    /// Returns the decoder of a log after the event with this revision and time.
    pub const fn after(workspace: WorkspaceId, revision: Revision, time: Instant) -> Self {
        Self { workspace, next: revision.next(), time }
    }

    /// Decodes the next event of the log.
    ///
    /// # Errors
    /// `Unreadable` with the revision and its first fault. The decoder stays in its place.
    pub fn decode(&mut self, stored: &StoredEvent<impl AsRef<[u8]>>) -> Result<Event, LogError> {
        let (workspace, revision) = (self.workspace, self.next);
        self.checked(stored).map_err(|why| LogError::Unreadable { workspace, revision, why })
    }

    /// Accepts the next event of the log, decoded already.
    ///
    /// # Errors
    /// The fault of its place or time. The decoder stays in its place.
    pub fn follow(&mut self, event: Event) -> Result<Event, String> {
        self.check_place("written", event.workspace, event.revision)?;
        if event.time < self.time {
            return Err(format!("its time, {}, is before {}, the time of the event before it", event.time, self.time));
        }
        self.next = event.revision.next();
        self.time = event.time;
        Ok(event)
    }

    fn checked(&mut self, stored: &StoredEvent<impl AsRef<[u8]>>) -> Result<Event, String> {
        self.check_place("stored", stored.workspace, stored.revision)?;
        self.follow(decode(stored.bytes.as_ref()).map_err(|error| error.to_string())?)
    }

    fn check_place(&self, how: &str, workspace: WorkspaceId, revision: Revision) -> Result<(), String> {
        if workspace != self.workspace {
            Err(format!("an event {how} for workspace {workspace} stands in its place"))
        } else if revision != self.next {
            Err(format!("an event {how} as revision {revision} stands in its place"))
        } else {
            Ok(())
        }
    }
}
