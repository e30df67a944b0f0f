//! `tenure events --follow`: the log as it grows, read on after every break until someone has seen enough.
//!
//! One thread reads and waits; the main one writes whole rows and listens for Ctrl-C, so that no row is cut in two.

use std::io::{BufRead, BufReader, Read};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc;

use super::client::{Client, Query};
use super::failure::Failure;
use super::kind::EVENT;
use super::names::Names;
use super::output::{Format, remark};
use super::serve::{asked_to_stop, runtime};
use super::session::Session;
use crate::log::EVENT_BYTES_MAX;

/// How long to wait after a break; twice as long after each that follows at once, up to the longest.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// The longest line of a stream, in bytes: an event, and what stands before it.
const LINE_BYTES_MAX: usize = EVENT_BYTES_MAX + 1_024;
/// How many events may wait to be shown.
const WAITING_MAX: usize = 64;
/// How wide the columns of the table are at least: what comes later is not known when the first row is written.
const WIDTHS: &[usize] = &[8, 27, 24, 16, 32, 12, 0];

/// What the reading thread tells.
type Told = Result<String, Failure>;

/// Shows the events that fit the query, those that are there and those that come, until there can be no more or the process
/// is asked to stop.
pub(super) fn follow(session: &mut Session, query: Query) -> Result<(), Failure> {
    let path = session.path(&["events"])?;
    let names = if session.out.format == Format::Table { Names::of(session) } else { Names::default() };
    let (tell, told) = mpsc::channel(WAITING_MAX);
    let reading = Reading { client: session.client(), path, query, last: None, tell };
    let no_thread = |error| Failure::server(format!("the system gave no thread: {error}"));
    std::thread::Builder::new().spawn(move || reading.run()).map_err(no_thread)?;
    runtime()?.block_on(show(session, names, told))
}

async fn show(session: &mut Session, mut names: Names, mut told: mpsc::Receiver<Told>) -> Result<(), Failure> {
    let stop = asked_to_stop()?;
    tokio::pin!(stop);
    let format = session.out.format;
    let columns = EVENT.rows(format, &[]);
    session.out.row_titles(&columns, WIDTHS)?;
    loop {
        session.out.flush()?;
        let event = tokio::select! {
            () = &mut stop => return Ok(()),
            told = told.recv() => told,
        };
        let Some(event) = event.transpose()? else { return Ok(()) };
        if format == Format::Json {
            session.out.json_line(&event)?;
            continue;
        }
        let event: Value = serde_json::from_str(&event)
            .map_err(|error| Failure::server(format!("the server sent an event that is no JSON: {error}")))?;
        names.learn(&event);
        session.out.row(&EVENT.rows(format, &[names.put(&event)]), WIDTHS)?;
    }
}

/// What the reading thread owns.
struct Reading {
    client: Client,
    path: String,
    query: Query,
    last: Option<String>,
    tell: mpsc::Sender<Told>,
}

/// Nobody wants to be told any more.
struct Unheard;

impl Reading {
    /// Reads until nothing more can come, something is wrong that will not pass, or nobody listens.
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
                // Whoever listened may have gone away.
                Err(failure) => return drop(self.tell.blocking_send(Err(failure))),
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Tells of each event of a stream, until it breaks off. A message that is not whole will come again.
    fn read(&mut self, mut stream: impl BufRead) -> Result<(), Unheard> {
        let (mut id, mut data) = (None, None);
        while let Some(line) = line(&mut stream) {
            if let Some(value) = line.strip_prefix("id: ") {
                id = Some(value.to_owned());
            } else if let Some(value) = line.strip_prefix("data: ") {
                data = Some(value.to_owned());
            } else if line.is_empty() {
                self.last = id.take().or(self.last.take());
                if let Some(event) = data.take() {
                    self.tell.blocking_send(Ok(event)).map_err(|_| Unheard)?;
                }
            }
        }
        Ok(())
    }
}

/// The next whole line; none where the stream breaks off, or is no stream of this kind.
fn line(stream: &mut impl BufRead) -> Option<String> {
    let mut line = Vec::new();
    let limit = u64::try_from(LINE_BYTES_MAX).unwrap_or(u64::MAX);
    stream.take(limit).read_until(b'\n', &mut line).ok()?;
    let line = String::from_utf8(line).ok()?;
    line.strip_suffix('\n').map(ToOwned::to_owned)
}

/// Whether what went wrong may be over when it is tried again.
fn may_pass(failure: &Failure) -> bool {
    match failure {
        Failure::Refused { status, .. } => *status == 429 || *status >= 500,
        Failure::Server(_) => true,
        _ => false,
    }
}
