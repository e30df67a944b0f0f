//! The idempotency record of a change: its position in the log.
//!
//! The response to a change is made from its commands, its events, and the view right after it. A retry sends the same commands, and the log
//! has the rest. So the record needs no copy, and the response is the same but for secrets, which are shown once.

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use super::problem::Problem;
use super::request::AuthenticatedRequest;
use crate::domain::model::event::Event;
use crate::domain::model::id::WorkspaceId;
use crate::domain::model::time::{Instant, Revision};
use crate::domain::rules::decide::Decided;
use crate::domain::state::view::View;
use crate::service::id_generator::Secret;
use crate::service::submission::Accepted;

/// The position of a change in a log.
#[derive(Debug, Serialize, Deserialize)]
struct KeptPlace {
    workspace: WorkspaceId,
    /// The newest revision right after it.
    revision: Revision,
    /// The time of the change, in microseconds.
    instant: i64,
    /// For each command, the number of events up to its last one.
    ends: Vec<usize>,
}

/// Returns the record of a change.
pub fn place_of(accepted: &Accepted) -> Vec<u8> {
    let view = &accepted.view;
    let (workspace, revision, instant) = (view.workspace().id(), view.revision(), view.instant().micros());
    let place = KeptPlace { workspace, revision, instant, ends: accepted.decided.ends.clone() };
    serde_json::to_vec(&place).unwrap_or_default()
}

/// Returns the change of a record; none if the record has the form of earlier versions.
///
/// # Errors
/// The log cannot be read.
pub async fn accepted_again(request: &AuthenticatedRequest, kept: &[u8]) -> Result<Option<Accepted>, Problem> {
    let Ok(place) = serde_json::from_slice::<KeptPlace>(kept) else { return Ok(None) };
    let KeptPlace { workspace, revision, instant, ends } = place;
    let len = ends.last().copied().unwrap_or(0);
    let before = revision.0.checked_sub(u64::try_from(len).unwrap_or(u64::MAX)).map(Revision).ok_or_else(unreadable)?;
    let service = &request.app.service;
    let root = service.workspace(workspace).await?.filter(|root| root.head() >= revision).ok_or_else(unreadable)?;
    let stored = service.reading(move |log| log.read(workspace, before, len)).await?;
    let decided = Decided { events: root.events(before, revision).collect(), ends };
    if stored.len() != len || decided.events.len() != len {
        return Err(unreadable());
    }
    let secrets = (0..decided.ends.len()).map(|index| withheld(&decided, index)).collect();
    let stored = stored.into_iter().map(|event| event.bytes).collect();
    let view = View::seen_at(root, revision, Instant::from_micros(instant));
    Ok(Some(Accepted { view, decided, stored, secrets, tree: None }))
}

/// Returns a placeholder for the secret of a credential that a command made, since it was shown before.
fn withheld(decided: &Decided, index: usize) -> Option<Secret> {
    let made_credential = |event: &Event| event.data.fact().is_new_credential();
    decided.events_of(index).iter().any(|event| made_credential(event)).then(|| Secret::new(""))
}

/// Returns the problem of a record that cannot be read.
pub fn unreadable() -> Problem {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the kept answer cannot be read")
}
