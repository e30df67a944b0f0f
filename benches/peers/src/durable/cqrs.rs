//! `cqrs-es` on SQLite with `synchronous = FULL`.
//!
//! The crate `sqlite-es` and Tenure link different versions of SQLite, which one program cannot contain. So the
//! repository here is minimal: one connection with prepared statements.
//!
//! Two simplifications favour `cqrs-es`: every caller has an aggregate of its own, so nothing conflicts, and its newest
//! state is kept, so nothing is replayed.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cqrs_es::event_sink::EventSink;
use cqrs_es::persist::{
    PersistedEventRepository, PersistedEventStore, PersistenceError, ReplayStream, SerializedEvent, SerializedSnapshot,
};
use cqrs_es::{Aggregate, CqrsFramework, DomainEvent};
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::runtime::Runtime;

use super::CALLERS;
use super::submissions::FAR_MICROS;
use crate::peer::Outcome;

const TABLES: &str = "
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE events (
    aggregate_type TEXT NOT NULL, aggregate_id TEXT NOT NULL, sequence INTEGER NOT NULL,
    event_type TEXT NOT NULL, event_version TEXT NOT NULL, payload TEXT NOT NULL, metadata TEXT NOT NULL,
    PRIMARY KEY (aggregate_type, aggregate_id, sequence)
);
CREATE TABLE snapshots (
    aggregate_type TEXT NOT NULL, aggregate_id TEXT NOT NULL, last_sequence INTEGER NOT NULL, payload TEXT NOT NULL,
    current_snapshot INTEGER NOT NULL, PRIMARY KEY (aggregate_type, aggregate_id)
);";

/// A grant: the minimal state for a change.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Grant {
    expires_at: i64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct GrantChanged {
    principal: String,
    role: String,
    expires_at: i64,
}

impl DomainEvent for GrantChanged {
    fn event_type(&self) -> String {
        "grant.changed".to_owned()
    }

    fn event_version(&self) -> String {
        "1".to_owned()
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the grant ends then already")]
struct Unchanged;

impl Aggregate for Grant {
    const TYPE: &'static str = "grant";
    type Command = GrantChanged;
    type Event = GrantChanged;
    type Error = Unchanged;
    type Services = ();

    async fn handle(&mut self, command: GrantChanged, (): &(), sink: &EventSink<Self>) -> Result<(), Unchanged> {
        if command.expires_at == self.expires_at {
            return Err(Unchanged);
        }
        sink.write(command, self).await;
        Ok(())
    }

    fn apply(&mut self, event: GrantChanged) {
        self.expires_at = event.expires_at;
    }
}

/// Events and snapshots in SQLite.
#[derive(Clone)]
struct Repository(Arc<Mutex<Connection>>);

fn failed(error: rusqlite::Error) -> PersistenceError {
    PersistenceError::ConnectionError(Box::new(error))
}

impl Repository {
    fn open(folder: &Path) -> Outcome<Self> {
        let connection = Connection::open(folder.join("cqrs.db"))?;
        connection.execute_batch(TABLES)?;
        Ok(Self(Arc::new(Mutex::new(connection))))
    }

    fn with<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, PersistenceError> {
        work(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).map_err(failed)
    }
}

fn as_integer(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn as_count(integer: i64) -> usize {
    usize::try_from(integer).unwrap_or_default()
}

fn write(
    connection: &Connection,
    events: &[SerializedEvent],
    snapshot: Option<&(String, Value, usize)>,
) -> rusqlite::Result<()> {
    let all = connection.unchecked_transaction()?;
    let mut insert = all.prepare_cached("INSERT INTO events VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
    for event in events {
        let (payload, metadata) = (event.payload.to_string(), event.metadata.to_string());
        insert.execute(params![
            event.aggregate_type,
            event.aggregate_id,
            as_integer(event.sequence),
            event.event_type,
            event.event_version,
            payload,
            metadata
        ])?;
    }
    if let (Some((id, state, number)), Some(last)) = (snapshot, events.last()) {
        let mut keep = all.prepare_cached("INSERT OR REPLACE INTO snapshots VALUES (?1, ?2, ?3, ?4, ?5)")?;
        keep.execute(params![
            last.aggregate_type,
            id,
            as_integer(last.sequence),
            state.to_string(),
            as_integer(*number)
        ])?;
    }
    drop(insert);
    all.commit()
}

fn read_snapshot(connection: &Connection, aggregate: &str, id: &str) -> rusqlite::Result<Option<SerializedSnapshot>> {
    let mut find = connection.prepare_cached(
        "SELECT payload, last_sequence, current_snapshot FROM snapshots WHERE aggregate_type = ?1 AND aggregate_id = ?2",
    )?;
    let found = find.query_row(params![aggregate, id], |row| {
        let payload: String = row.get(0)?;
        Ok(SerializedSnapshot {
            aggregate_id: id.to_owned(),
            aggregate: serde_json::from_str(&payload).unwrap_or_default(),
            current_sequence: as_count(row.get(1)?),
            current_snapshot: as_count(row.get(2)?),
        })
    });
    found.optional()
}

/// Only the methods that a snapshot store needs are implemented; this measurement reads no events back.
impl PersistedEventRepository for Repository {
    async fn get_events<A: Aggregate>(&self, _: &str) -> Result<Vec<SerializedEvent>, PersistenceError> {
        Ok(Vec::new())
    }

    async fn get_last_events<A: Aggregate>(&self, _: &str, _: usize) -> Result<Vec<SerializedEvent>, PersistenceError> {
        Ok(Vec::new())
    }

    async fn get_snapshot<A: Aggregate>(&self, id: &str) -> Result<Option<SerializedSnapshot>, PersistenceError> {
        self.with(|connection| read_snapshot(connection, A::TYPE, id))
    }

    async fn persist<A: Aggregate>(
        &self,
        events: &[SerializedEvent],
        snapshot: Option<(String, Value, usize)>,
    ) -> Result<(), PersistenceError> {
        self.with(|connection| write(connection, events, snapshot.as_ref()))
    }

    async fn stream_events<A: Aggregate>(&self, _: &str) -> Result<ReplayStream, PersistenceError> {
        Ok(ReplayStream::new(1).1)
    }

    async fn stream_all_events<A: Aggregate>(&self) -> Result<ReplayStream, PersistenceError> {
        Ok(ReplayStream::new(1).1)
    }
}

/// Returns the changes per second.
///
/// # Errors
/// A change could not be made durable.
pub fn rate(runtime: &Runtime, time: Duration) -> Outcome<f64> {
    let folder = tempfile::tempdir()?;
    let store = PersistedEventStore::<_, Grant>::new_aggregate_store(Repository::open(folder.path())?);
    let framework = Arc::new(CqrsFramework::new(store, Vec::new(), ()));
    super::rate(runtime, CALLERS, time, move |caller, did| {
        let framework = Arc::clone(&framework);
        async move {
            let principal = format!("user:m{caller:04}");
            let expires_at = FAR_MICROS + i64::try_from(did)?;
            let change = GrantChanged { principal: principal.clone(), role: "contributor".to_owned(), expires_at };
            Ok(framework.execute(&principal, change).await?)
        }
    })
}
