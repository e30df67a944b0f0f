//! `tenure events --follow`: the log as it grows. The client reconnects until it is stopped.
//!
//! One thread reads the stream; the main thread writes whole rows and handles Ctrl-C, so no row is cut in two.

use std::io::{BufRead, BufReader, Read};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc;

use super::client::{Client, Query};
use super::entity_columns::EVENT;
use super::failure::Failure;
use super::names::EntityNames;
use super::output::{Format, remark};
use super::serve::{runtime, stop_signal};
use super::session::Session;
use crate::log::EVENT_BYTES_MAX;

/// The pause before the first reconnection. It doubles after each failed attempt, up to the maximum.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// The longest line of a stream, in bytes: an event, and the field name before it.
const LINE_BYTES_MAX: usize = EVENT_BYTES_MAX + 1_024;
/// The capacity of the channel between the two threads, in events.
const WAITING_MAX: usize = 64;
/// The minimum widths of the table's columns. Later rows are unknown when the first is written.
const WIDTHS: &[usize] = &[8, 27, 24, 16, 32, 12, 0];

/// An event of the stream, or the error that ended it.
type StreamedEvent = Result<String, Failure>;

/// Shows the matching events, old and new, until the stream ends for good or the process is asked to stop.
pub(super) fn follow(session: &mut Session, query: Query) -> Result<(), Failure> {
    let path = session.path(&["events"])?;
    let names = if session.out.format == Format::Table { EntityNames::of(session) } else { EntityNames::default() };
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    let reader = StreamReader { client: session.client(), path, query, last: None, events: sender };
    let no_thread = |error| Failure::server(format!("the system gave no thread: {error}"));
    std::thread::Builder::new().spawn(move || reader.run()).map_err(no_thread)?;
    runtime()?.block_on(show(session, names, receiver))
}

async fn show(
    session: &mut Session,
    mut names: EntityNames,
    mut events: mpsc::Receiver<StreamedEvent>,
) -> Result<(), Failure> {
    let stop = stop_signal()?;
    tokio::pin!(stop);
    let format = session.out.format;
    let columns = EVENT.rows(format, &[]);
    session.out.row_titles(&columns, WIDTHS)?;
    loop {
        session.out.flush()?;
        let event = tokio::select! {
            () = &mut stop => return Ok(()),
            received = events.recv() => received,
        };
        let Some(event) = event.transpose()? else { return Ok(()) };
        if format == Format::Json {
            session.out.json_line(&event)?;
            continue;
        }
        let event: Value = serde_json::from_str(&event)
            .map_err(|error| Failure::server(format!("the server sent an event that is not JSON: {error}")))?;
        names.learn(&event);
        session.out.row(&EVENT.rows(format, &[names.put(&event)]), WIDTHS)?;
    }
}

/// The state of the reading thread.
struct StreamReader {
    client: Client,
    path: String,
    query: Query,
    last: Option<String>,
    events: mpsc::Sender<StreamedEvent>,
}

/// The main thread dropped the receiver.
struct ReceiverGone;

impl StreamReader {
    /// Reads until the stream ends for good, a permanent error occurs, or the receiver is dropped.
    fn run(mut self) {
        let (mut pause, mut opened) = (PAUSE_MIN, false);
        loop {
            match self.client.follow(&self.path, &self.query, self.last.as_deref()) {
                Ok(None) => return,
                Ok(Some(stream)) => {
                    opened = true;
                    let before = self.last.clone();
                    if self.read(BufReader::new(stream)).is_err() {
                        return;
                    }
                    pause = if self.last == before { pause } else { PAUSE_MIN };
                }
                Err(failure) if opened && may_pass(&failure) => {
                    if pause == PAUSE_MIN {
                        remark(&format!("{failure}; trying again"));
                    }
                }
                // The receiver may be dropped already.
                Err(failure) => return drop(self.events.blocking_send(Err(failure))),
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Sends each event of a stream to the main thread, until the stream breaks off. An incomplete message is sent
    /// again by the server.
    fn read(&mut self, mut stream: impl BufRead) -> Result<(), ReceiverGone> {
        let (mut id, mut data) = (None, None);
        while let Some(line) = line(&mut stream) {
            if let Some(value) = line.strip_prefix("id: ") {
                id = Some(value.to_owned());
            } else if let Some(value) = line.strip_prefix("data: ") {
                data = Some(value.to_owned());
            } else if line.is_empty() {
                self.last = id.take().or(self.last.take());
                if let Some(event) = data.take() {
                    self.events.blocking_send(Ok(event)).map_err(|_| ReceiverGone)?;
                }
            }
        }
        Ok(())
    }
}

/// Reads the next whole line; none if the stream breaks off or is no event stream.
fn line(stream: &mut impl BufRead) -> Option<String> {
    let mut line = Vec::new();
    let limit = u64::try_from(LINE_BYTES_MAX).unwrap_or(u64::MAX);
    stream.take(limit).read_until(b'\n', &mut line).ok()?;
    let line = String::from_utf8(line).ok()?;
    line.strip_suffix('\n').map(ToOwned::to_owned)
}

/// Returns whether a retry may succeed.
fn may_pass(failure: &Failure) -> bool {
    match failure {
        Failure::Refused { status, .. } => *status == 429 || *status >= 500,
        Failure::Server(_) => true,
        _ => false,
    }
}
