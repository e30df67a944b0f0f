//! `POST …/access/v1/evaluations` (§7).

use std::time::{Duration, Instant};

use serde_json::json;

use super::*;

const ENDPOINT: &str = "evaluations";

#[track_caller]
fn decisions(reply: &Reply) -> Vec<bool> {
    assert!(reply.json.get("decision").is_none(), "{}", reply.text);
    let evaluations = reply.json["evaluations"].as_array().unwrap();
    evaluations.iter().map(|one| one["decision"].as_bool().unwrap()).collect()
}

#[track_caller]
fn decided(stage: &Stage, body: &Value) -> Vec<bool> {
    decisions(&stage.ask(ENDPOINT, body).expect(200))
}

#[test]
fn decisions_are_in_the_order_of_the_questions() {
    let stage = stage();
    let body = json!({"subject": user("bob"), "resource": record("record-1"),
        "evaluations": [{"action": {"name": "read"}}, {"action": {"name": "write"}}]});
    assert_eq!(
        stage.ask(ENDPOINT, &body).expect(200).text,
        r#"{"evaluations":[{"decision":true},{"decision":false}]}"#
    );
    let whole = json!({"evaluations": [question("alice", "read", "record-1"), question("bob", "write", "record-1")]});
    assert_eq!(decided(&stage, &whole), [true, false]);
}

#[test]
fn without_evaluations_it_is_one_plain_question() {
    let stage = stage();
    for evaluations in [None, Some(json!([]))] {
        for (subject, decision) in [("alice", true), ("bob", false)] {
            let body = with(&question(subject, "write", "record-1"), "/evaluations", evaluations.clone());
            let reply = stage.ask(ENDPOINT, &body).expect(200);
            assert_eq!(reply.text, format!("{{\"decision\":{decision}}}"));
        }
        for pointer in ["/subject", "/action", "/resource", "/subject/id", "/resource/type"] {
            let body = with(&with(&any_question(), "/evaluations", evaluations.clone()), pointer, None);
            stage.ask(ENDPOINT, &body).refused(400, "malformed");
        }
    }
}

#[test]
fn common_members_of_the_wrong_type_are_400() {
    let stage = stage();
    each_refused(
        &stage,
        ENDPOINT,
        &["/subject", "/action", "/resource", "/action/name"],
        &[
            ("/evaluations", json!({})),
            ("/evaluations", Value::Null),
            ("/evaluations", json!("all")),
            ("/options", json!([])),
            ("/options", json!("execute_all")),
            ("/options", json!({"evaluations_semantic": "guess"})),
            ("/options", json!({"evaluations_semantic": 1})),
            ("/options", json!({"evaluations_semantic": null})),
            ("/options", json!({"evaluations_semantic": "EXECUTE_ALL"})),
        ],
    );
    let batch = with(&any_question(), "/evaluations", Some(json!([{}, {"action": {"name": "write"}}])));
    assert_eq!(decided(&stage, &batch), [true, true]);
    for (pointer, value) in [
        ("/subject", json!("alice")),
        ("/subject/id", json!(1)),
        ("/action", json!({})),
        ("/resource", json!(null)),
        ("/context", json!(1)),
        ("/options", json!({"evaluations_semantic": "guess"})),
    ] {
        stage.ask(ENDPOINT, &with(&batch, pointer, Some(value))).refused(400, "malformed");
    }
}

#[test]
fn a_member_of_a_question_replaces_the_common_one_as_a_whole() {
    let stage = stage();
    let body = json!({"subject": user("bob"), "action": {"name": "read"},
    "resource": {"type": "record", "id": "none", "properties": {"environment": "open-files"}},
    "context": {"time": "2025-06-27T18:03-07:00"},
    "evaluations": [
        {},
        {"subject": user("nobody")},
        {"action": {"name": "write"}},
        {"resource": record("record-1")},
        {"resource": record("record-2"), "context": {"time": "2025-06-27T19:00-07:00", "source": "override"}},
        {"resource": record("unplaced")},
    ]});
    assert_eq!(decided(&stage, &body), [true, false, false, true, false, false]);
}

#[test]
fn an_entity_without_type_or_id_takes_it_from_the_common_one() {
    let stage = stage();
    let body = json!({"subject": user("bob"), "action": {"name": "read"}, "resource": record("record-1"),
    "evaluations": [
        {"resource": {"id": "record-2"}},
        {"subject": {"id": "alice"}, "resource": {"id": "record-2"}},
        {"subject": {"type": "user"}},
        {"subject": {"type": "service_user"}},
        {"resource": {}},
        {"resource": {"properties": {"environment": "open-files"}}},
        {"action": {}},
    ]});
    let reply = stage.ask(ENDPOINT, &body).expect(200);
    assert_eq!(decisions(&reply), [false, true, true, false, false, false, false]);
    let broken = |index: usize| reply.json["evaluations"][index]["context"]["error"]["status"] == 400;
    assert_eq!((0..7).map(broken).collect::<Vec<_>>(), [false, false, false, false, true, true, true]);
    let partial = json!({"subject": {"type": "user"}, "action": {"name": "read"}, "resource": {"type": "record"},
    "evaluations": [
        {"subject": {"id": "bob"}, "resource": {"id": "record-1"}},
        {"subject": {"id": "bob"}},
        {"subject": {}, "resource": {"id": "record-1"}},
    ]});
    assert_eq!(decided(&stage, &partial), [true, false, false]);
}

#[test]
fn decisions_end_after_the_one_that_decides() {
    let stage = stage();
    let (permit, deny) = (question("bob", "read", "record-1"), question("bob", "write", "record-1"));
    let broken = json!({"subject": user("bob")});
    let ask = |semantic: &str, items: &[&Value]| {
        decided(&stage, &json!({"evaluations": items, "options": {"evaluations_semantic": semantic, "more": 1}}))
    };
    let mixed = [&permit, &deny, &permit, &deny];
    assert_eq!(ask("execute_all", &mixed), [true, false, true, false]);
    assert_eq!(ask("deny_on_first_deny", &mixed), [true, false]);
    assert_eq!(ask("permit_on_first_permit", &mixed), [true]);
    assert_eq!(ask("deny_on_first_deny", &[&permit, &permit]), [true, true]);
    assert_eq!(ask("permit_on_first_permit", &[&deny, &broken, &permit, &deny]), [false, false, true]);
    assert_eq!(ask("deny_on_first_deny", &[&permit, &broken, &permit]), [true, false]);
    assert_eq!(ask("permit_on_first_permit", &[&deny, &deny]), [false, false]);
}

#[test]
fn a_broken_question_is_denied_in_place_with_a_reason() {
    let stage = stage();
    let good = question("bob", "read", "record-1");
    let broken = [
        json!({"subject": user("bob")}),
        json!(7),
        json!(null),
        json!([]),
        with(&good, "/subject", Some(json!("bob"))),
        with(&good, "/subject", Some(json!(null))),
        with(&good, "/subject/id", Some(json!(null))),
        with(&good, "/action/name", Some(json!(1))),
        with(&good, "/resource/id", None),
        with(&good, "/context", Some(json!("noon"))),
    ];
    let mut all = vec![good.clone()];
    all.extend(broken.iter().cloned());
    all.push(good);
    let reply = stage.ask(ENDPOINT, &json!({"evaluations": all, "options": {"evaluations_semantic": "execute_all"}}));
    let reply = reply.expect(200);
    let expected: Vec<bool> = (0..broken.len() + 2).map(|index| index == 0 || index == broken.len() + 1).collect();
    assert_eq!(decisions(&reply), expected);
    for (index, broken) in broken.iter().enumerate() {
        let error = &reply.json["evaluations"][index + 1]["context"]["error"];
        assert_eq!(error["status"], 400, "{broken}");
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{broken}");
    }
    let missing = stage.ask(
        ENDPOINT,
        &json!({"subject": user("alice"), "action": {"name": "read"},
        "evaluations": [{"resource": record("record-1")}, {}]}),
    );
    assert_eq!(decisions(&missing.expect(200)), [true, false]);
}

#[test]
fn ten_thousand_questions_are_accepted_and_one_more_is_refused() {
    let stage = stage();
    let item = |n: usize| json!({"resource": record(["record-1", "record-2", "none"][n % 3])});
    let batch = |count: usize| {
        let evaluations: Vec<Value> = (0..count).map(item).collect();
        json!({"subject": user("bob"), "action": {"name": "read"}, "evaluations": evaluations})
    };
    let begun = Instant::now();
    let expected: Vec<bool> = (0..10_000).map(|n| n % 3 == 0).collect();
    assert_eq!(decided(&stage, &batch(10_000)), expected);
    assert!(begun.elapsed() < Duration::from_secs(10), "it took {:?}", begun.elapsed());
    let refused = stage.ask(ENDPOINT, &batch(10_001)).refused(422, "too_large");
    assert!(refused.text.contains("10000"), "{}", refused.text);
}
