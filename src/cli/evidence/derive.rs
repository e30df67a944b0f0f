//! Deriving an answer again: a server of one's own over the events of the log, asked the same question.
//!
//! There is one way in which answers are made. Whoever derives one goes that way, and so has nothing to trust but this program.

use std::sync::Arc;

use super::question::{Answer, Question};
use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::serve::{Server, operator_secret, runtime, settings, signer};
use crate::clock::Clock;
use crate::domain::model::event::Event;
use crate::domain::model::id::WorkspaceId;
use crate::domain::model::time::{Instant, Revision};
use crate::log::sqlite::SqliteLog;
use crate::log::{Append, EventLog, Outcome, codec};
use crate::proof::note::Origin;

/// How many events are appended at a time.
const APPENDED_EVENTS: usize = 10_000;
const CACHE_BYTES: u64 = 1 << 30;

/// The clock of a server that is asked about one view: it says when that was, whatever the time is here.
struct ClockOf(Instant);

impl Clock for ClockOf {
    fn now(&self) -> Instant {
        self.0
    }
}

/// The answer that these events, which are the whole log, give to a question.
///
/// # Errors
/// There is no room for a copy of the log, or no server can be started.
pub(super) fn derive(question: &Question, events: &[Arc<Event>]) -> Result<Answer, Failure> {
    let folder = tempfile::Builder::new().prefix("tenure-verify-").tempdir();
    let folder = folder.map_err(|error| Failure::file("make a folder in", &std::env::temp_dir(), error))?;
    let log = SqliteLog::open(folder.path())?;
    append(&log, question.workspace, events)?;
    let operator = operator_secret(folder.path())?;
    let signer = signer(folder.path(), Origin::default())?;
    let settings = settings(log, Arc::new(ClockOf(question.at)), (operator.clone(), signer), CACHE_BYTES);
    runtime()?.block_on(async {
        let server = Server::start(settings, ([127, 0, 0, 1], 0).into(), None)?;
        let client = Client::new(&server.url(), "operator", &operator);
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let serving = tokio::spawn(server.run(async { drop(stopped.await) }));
        let question = question.clone();
        let answer = tokio::task::spawn_blocking(move || question.ask(&client)).await;
        drop(stop);
        let broke_off = |error| Failure::server(format!("deriving the answer broke off: {error}"));
        serving.await.map_err(broke_off)??;
        answer.map_err(broke_off)?
    })
}

fn append(log: &SqliteLog, workspace: WorkspaceId, events: &[Arc<Event>]) -> Result<(), Failure> {
    let mut expected = Revision::ZERO;
    for events in events.chunks(APPENDED_EVENTS) {
        let bytes: Result<Vec<_>, _> = events.iter().map(|event| codec::encode(event)).collect();
        let bytes = bytes.map_err(|error| Failure::usage(error.to_string()))?;
        let part = Append { workspace, expected, events: bytes, notes: Vec::new() };
        if log.append(&[part])?.outcomes != [Outcome::Appended] {
            return Err(Failure::usage("the copy of the log could not be made: try again"));
        }
        expected = events.last().map_or(expected, |event| event.revision);
    }
    Ok(())
}
