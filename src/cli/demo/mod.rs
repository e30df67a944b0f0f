//! `tenure demo`: a sample company with a year of history, a tour of questions about it, and a running server.
//!
//! The demo uses the ordinary paths: its history goes through the writer, its questions over HTTP through the client.
//! Its data is in a temporary folder, removed at the end.

mod clock;
mod story;
mod tour;

use std::net::SocketAddr;
use std::sync::Arc;

use clap::Args;
use tempfile::TempDir;

use super::failure::Failure;
use super::serve::{Server, block_on, operator_secret, settings, signer, stop_signal};
use crate::log::sqlite::SqliteLog;
use crate::proof::note::Origin;
use crate::telemetry;
use clock::ScriptedClock;
use story::Scenario;
use tour::Tour;

/// The memory limit of the demo's server, in bytes.
const CACHE_BYTES: u64 = 64 * 1_024 * 1_024;

/// See a sample company: a year of changes, questions with their answers, and a server to ask your own
#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// The address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
}

pub(super) fn demo(args: &DemoArgs) -> Result<(), Failure> {
    telemetry::start_logging("warn");
    let folder = tempfile::Builder::new().prefix("tenure-demo-").tempdir();
    let folder = folder.map_err(|error| Failure::file("make a folder in", &std::env::temp_dir(), error))?;
    block_on(serve(args.listen, &folder))
}

async fn serve(listen: SocketAddr, folder: &TempDir) -> Result<(), Failure> {
    let log = SqliteLog::open(folder.path())?;
    let operator = operator_secret(folder.path())?;
    let signer = signer(folder.path(), Origin::default())?;
    let clock = Arc::new(ScriptedClock::default());
    let server = Server::start(settings(log, clock.clone(), (operator.clone(), signer), CACHE_BYTES), listen, None)?;
    let stop = stop_signal()?;
    let story = Scenario::new(clock.as_ref()).play(&server.service).await?;
    clock.follow_the_system();
    let tour = Tour { url: server.url(), operator, folder: folder.path().to_owned(), story };
    let serving = tokio::spawn(server.run(stop));
    let toured = tokio::task::spawn_blocking(move || tour.tour()).await;
    toured.map_err(|error| Failure::server(format!("the tour broke off: {error}")))??;
    serving.await.map_err(|error| Failure::server(format!("the server broke off: {error}")))?
}
