//! Live streams of the log, and the feed of the instance: no event is lost, repeated, or sent without authority.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tenure::clock::{Clock, SystemClock};
use tenure::domain::model::id::WorkspaceId;
use tenure::domain::model::time::Revision;
use tenure::http::sse::STREAMS_PER_HOLDER_MAX;
use tenure::proof::hash::TreeHash;
use tenure::service::feed::{FOLLOWERS_MAX, INSTANCE_FOLLOWERS_MAX};

use crate::support::acme::{Acme, TestClock, id, path, workspace_body};
use crate::support::server::{Listener, OPERATOR, Server, listen};

mod endings;
mod instance;
mod workspace;

/// A heartbeat that a test can wait for.
const SOON: Duration = Duration::from_millis(20);
/// Less than a heartbeat, and far less than the server waits for requests in flight.
const AT_ONCE: Duration = Duration::from_secs(10);

fn follow(acme: &Acme, query: &str, credential: &str) -> Listener {
    acme.server.stream(&path(&format!("events{query}")), credential, &[])
}

/// Resumes after a message.
fn resume(acme: &Acme, query: &str, last: &str) -> Listener {
    acme.server.stream(&path(&format!("events{query}")), OPERATOR, &[("last-event-id", last)])
}

fn workspace_id(acme: &Acme) -> WorkspaceId {
    acme.get("").expect(200).json["id"].as_str().unwrap().parse().unwrap()
}

/// Returns the stored bytes of the workspace's events, as text.
fn stored(acme: &Acme) -> Vec<String> {
    let events = acme.server.service.log().read(workspace_id(acme), Revision::ZERO, usize::MAX).unwrap();
    events.into_iter().map(|event| String::from_utf8(event.bytes).unwrap()).collect()
}

fn numbers(from: u64, until: u64) -> Vec<u64> {
    (from..=until).collect()
}
