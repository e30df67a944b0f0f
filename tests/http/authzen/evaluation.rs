//! `POST …/access/v1/evaluation` (§6).

use serde_json::json;

use super::*;

#[test]
fn the_decisions_of_the_certification_scenario_are_these() {
    let stage = stage();
    for (subject, action, resource, decision) in [
        ("alice", "read", "record-1", true),
        ("alice", "write", "record-1", true),
        ("alice", "delete", "record-1", true),
        ("alice", "read", "record-2", true),
        ("alice", "write", "record-2", true),
        ("bob", "read", "record-1", true),
        ("bob", "write", "record-1", false),
        ("bob", "delete", "record-1", false),
        ("bob", "read", "record-2", false),
        ("bob", "write", "record-2", false),
    ] {
        let reply = stage.ask("evaluation", &question(subject, action, resource)).expect(200);
        assert_eq!(reply.text, format!("{{\"decision\":{decision}}}"), "{subject} {action} {resource}");
        assert_eq!(reply.header("content-type"), Some("application/json"));
    }
}

#[test]
fn unknown_names_are_denied_with_200() {
    let stage = stage();
    for (pointer, value) in [
        ("/subject/id", "nobody"),
        ("/subject/id", ""),
        ("/subject/type", "spaceship"),
        ("/action/name", "fly"),
        ("/action/name", ""),
        ("/resource/type", "spaceship"),
        ("/resource/id", "record-3"),
        ("/resource/id", "../record-1"),
    ] {
        let body = with(&any_question(), pointer, Some(json!(value)));
        assert_eq!(stage.ask("evaluation", &body).expect(200).text, r#"{"decision":false}"#, "{pointer} {value}");
    }
}

#[test]
fn missing_fields_and_wrong_types_are_400() {
    each_refused(
        &stage(),
        "evaluation",
        &[
            "/subject",
            "/subject/type",
            "/subject/id",
            "/action",
            "/action/name",
            "/resource",
            "/resource/type",
            "/resource/id",
        ],
        &[
            ("/subject/id", json!(7)),
            ("/subject/id", Value::Null),
            ("/action", json!("read")),
            ("/action/name", json!(123)),
            ("/action/properties", json!([])),
            ("/resource/id", json!(["record-1"])),
            ("/resource/properties", Value::Null),
        ],
    );
}

#[test]
fn a_field_that_is_given_twice_is_400() {
    let stage = stage();
    let twice =
        any_question().to_string().replace(r#""subject":"#, r#""subject":{"type":"user","id":"bob"},"subject":"#);
    stage.ask_text("evaluation", Some("application/json"), twice.as_bytes()).refused(400, "malformed");
}

#[test]
fn the_order_of_the_members_does_not_matter() {
    let stage = stage();
    let body = r#"{"resource":{"id":"record-1","type":"record"},"action":{"name":"read"},"subject":{"id":"bob","type":"user"}}"#;
    let reply = stage.ask_text("evaluation", Some("application/json"), body.as_bytes()).expect(200);
    assert_eq!(reply.text, r#"{"decision":true}"#);
}
