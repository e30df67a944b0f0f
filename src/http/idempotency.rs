//! Rebuilding a committed change from its idempotency record, so that its response can be rendered again.
//!
//! The response to a change follows from its commands, its events, and the view right after it. A repeated request has the same commands,
//! and the log has the rest. So the record holds only the place in the log, and the response is the same except for secrets, which are
//! shown once.

use axum::http::StatusCode;

use super::problem::Problem;
use super::request::AuthenticatedRequest;
use crate::domain::model::event::Event;
use crate::domain::model::time::Instant;
use crate::domain::rules::decide::Decided;
use crate::domain::state::view::View;
use crate::service::id_generator::Secret;
use crate::service::submission::{Accepted, ChangeRecord};

/// Returns the committed change of an idempotency record, which the service has checked against the log.
///
/// # Errors
/// The log cannot be read.
pub async fn accepted_of(request: &AuthenticatedRequest, record: ChangeRecord) -> Result<Accepted, Problem> {
    let (len, before) = (record.events_len(), record.before().ok_or_else(unreadable)?);
    let ChangeRecord { workspace, revision, instant, ends } = record;
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
    Ok(Accepted { view, decided, stored, secrets, tree: None })
}

/// Returns an empty secret if a command made a credential: its secret was shown before.
fn withheld(decided: &Decided, index: usize) -> Option<Secret> {
    let made_credential = |event: &Event| event.data.fact().is_new_credential();
    decided.events_of(index).iter().any(|event| made_credential(event)).then(|| Secret::new(""))
}

/// Returns the problem of an idempotency record that cannot be read.
pub fn unreadable() -> Problem {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the kept answer cannot be read")
}
