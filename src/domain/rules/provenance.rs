//! Checks whether the actor of an event could hold the credential that the event names.
//!
//! The writer checks authority before it appends, so loading does not repeat this. Verification does: an event that was
//! forged without a credential names one that its actor did not hold.

use crate::domain::model::event::Event;
use crate::domain::model::principal::{Actor, ActorCredential, Principal};
use crate::domain::state::workspace::Workspace;

/// Checks the actor and the credential of an event against the facts before it. The later events of a command are not
/// checked again, because a command may end its own credential.
///
/// # Errors
/// A sentence that says why the actor could not hold the credential.
pub fn check(before: &Workspace, event: &Event) -> Result<(), String> {
    if before.is_within_command(event) || event.revision.0 == 1 {
        return check_kind(event);
    }
    check_kind(event)?;
    let holder = match &event.actor {
        Actor::User(user) => Principal::User(user.clone()),
        Actor::ServiceUser(id) => Principal::ServiceUser(*id),
        Actor::Operator | Actor::System => return Ok(()),
    };
    let Some(ActorCredential::Token(id)) = event.credential else { return Ok(()) };
    let Some(token) = before.tokens.get(&id) else { return Err(format!("the log made no {id} before it")) };
    if token.terms.holder != holder {
        return Err(format!("{id} is a token of `{}`, and its actor is `{holder}`", token.terms.holder));
    }
    if token.ended.is_some() {
        return Err(format!("{id} had ended"));
    }
    // If the clock stood still or stepped back, the event's time is a microsecond after the last. The credential may
    // not have expired by the clock.
    let overtaken = event.time == before.head_time().next();
    let expired = token.expires_at.is_some_and(|end| end <= event.time);
    if expired && !overtaken { Err(format!("{id} had expired")) } else { Ok(()) }
}

/// Checks that the kind of credential fits the kind of actor. An imported event names none.
fn check_kind(event: &Event) -> Result<(), String> {
    let Event { actor, credential, recorded, .. } = event;
    let fits = match (actor, credential) {
        _ if recorded.is_some() => credential.is_none(),
        (Actor::System, credential) => credential.is_none(),
        (Actor::Operator, credential) => *credential == Some(ActorCredential::Operator),
        (Actor::User(_) | Actor::ServiceUser(_), credential) => matches!(credential, Some(ActorCredential::Token(_))),
    };
    let shown = credential.map_or_else(|| "none".to_owned(), |credential| credential.to_string());
    if fits { Ok(()) } else { Err(format!("its actor is `{actor}`, and its credential is `{shown}`")) }
}
