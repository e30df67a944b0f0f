//! The causes of a change of access, as text: an event with its actor and reason, or the end of a grant.

use serde_json::Value;

use super::output::cell_text;
use super::session::event_name;

/// Describes an event of the evidence, or an expiry: `grant.added by user:alice: OPS-41`.
pub(super) fn cause(cause: &Value) -> String {
    match cause.get("set_by") {
        Some(set_by) => with_why(&["the grant expired, as ", &cell_text(set_by, "actor"), " had set"].concat(), set_by),
        None if cause.is_object() => {
            let actor = cell_text(cause, "actor");
            let by = if actor.is_empty() { String::new() } else { format!(" by {actor}") };
            with_why(&(event_name(&cell_text(cause, "type")) + &by), cause)
        }
        None => String::new(),
    }
}

fn with_why(what: &str, event: &Value) -> String {
    match cell_text(event, "reason") {
        why if why.is_empty() => what.to_owned(),
        why => format!("{what}: {why}"),
    }
}

/// Returns the time of a cause.
pub(super) fn time(cause: &Value) -> String {
    let expiry = cell_text(cause, "expiry");
    if expiry.is_empty() { cell_text(cause, "time") } else { expiry }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cause_has_the_event_the_actor_and_the_reason() {
        let event = json!({ "type": "grant.added.v1", "actor": "user:alice", "reason": "OPS-41", "time": "then" });
        assert_eq!((cause(&event), time(&event)), ("grant.added by user:alice: OPS-41".to_owned(), "then".to_owned()));
        let expiry = json!({ "expiry": "later", "set_by": event });
        assert_eq!(cause(&expiry), "the grant expired, as user:alice had set: OPS-41");
        assert_eq!((time(&expiry), cause(&Value::Null)), ("later".to_owned(), String::new()));
        assert_eq!(cause(&json!({ "type": "member.added.v1" })), "member.added");
    }
}
