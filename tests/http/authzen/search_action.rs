//! `POST …/access/v1/search/action` (§8.6).

use serde_json::json;

use super::*;

const ENDPOINT: &str = "search/action";

fn search(subject: &Value, resource: &Value) -> Value {
    json!({"subject": subject, "resource": resource})
}

#[test]
fn exactly_the_permitted_actions_are_found() {
    let stage = stage();
    let found = |subject: &str, id: &str| stage.found(ENDPOINT, &search(&user(subject), &record(id)));
    assert_eq!(found("alice", "record-1"), ["delete", "read", "write"]);
    assert_eq!(found("alice", "record-2"), ["delete", "read", "write"]);
    assert_eq!(found("bob", "record-1"), ["read"]);
    assert!(found("bob", "record-2").is_empty());
    let reply = stage.ask(ENDPOINT, &search(&user("bob"), &record("record-1"))).expect(200);
    assert_eq!(reply.text, r#"{"page":{"next_token":"","count":1},"results":[{"name":"read"}]}"#);
}

#[test]
fn the_actions_of_built_in_types_and_of_the_workspace_are_found_too() {
    let stage = stage();
    let environment = |name: &str| json!({"type": "environment", "id": name});
    let viewers = ["read", "read_logs", "read_metrics", "read_config"];
    let found = |subject: &Value, resource: &Value| stage.found(ENDPOINT, &search(subject, resource));
    assert_eq!(found(&user("bob"), &environment("open-files")), viewers);
    let contributors = [&viewers[..], &["deploy", "write", "stop", "delete"]].concat();
    assert_eq!(found(&user("bob"), &environment("main")), contributors);
    assert!(found(&user("bob"), &environment("closed-files")).is_empty());
    let workspace = json!({"type": "workspace", "id": "acme"});
    assert_eq!(found(&user("bob"), &workspace), ["read"]);
    assert_eq!(found(&user("alice"), &workspace).len(), 10);
    let function = json!({"type": "web_function", "id": "f", "properties": {"environment": "open-files"}});
    let token = stage.acme.proxy_token(Some(&["open-files"]));
    let proxy_token = json!({"type": "proxy_token", "id": crate::support::acme::id(&token)});
    assert_eq!(found(&proxy_token, &function), ["call"]);
    assert_eq!(found(&user("alice"), &function), ["read", "deploy", "delete"]);
}

#[test]
fn an_action_in_the_question_is_ignored() {
    let stage = stage();
    let plain = stage.ask(ENDPOINT, &search(&user("alice"), &record("record-1"))).expect(200).text;
    for action in [json!({"name": "read"}), json!("read"), json!(null)] {
        let body = with(&search(&user("alice"), &record("record-1")), "/action", Some(action));
        assert_eq!(stage.ask(ENDPOINT, &body).expect(200).text, plain);
    }
}

#[test]
fn unknown_names_find_nothing() {
    let stage = stage();
    let body = search(&user("alice"), &record("record-1"));
    for (pointer, value) in [
        ("/subject/id", "nonexistent-user"),
        ("/subject/type", "spaceship"),
        ("/resource/type", "spaceship"),
        ("/resource/id", "record-9"),
    ] {
        let reply = stage.ask(ENDPOINT, &with(&body, pointer, Some(json!(value)))).expect(200);
        assert_eq!(reply.text, r#"{"page":{"next_token":"","count":0},"results":[]}"#, "{pointer}");
    }
}

#[test]
fn missing_fields_and_wrong_types_are_400() {
    let required = ["/subject", "/subject/type", "/subject/id", "/resource", "/resource/type", "/resource/id"];
    let mistyped = [
        ("/subject/id", json!(1)),
        ("/resource/id", json!(1)),
        ("/page", json!({"limit": -1})),
        ("/page", json!({"token": "nonsense"})),
    ];
    each_refused(&stage(), ENDPOINT, &required, &mistyped);
}

#[test]
fn pages_are_contiguous() {
    let stage = stage();
    let body = with(&search(&user("alice"), &record("record-1")), "/page", Some(json!({"limit": 2})));
    let first = stage.ask(ENDPOINT, &body).expect(200);
    assert_eq!(names(&first), ["delete", "read"]);
    let page = json!({"token": first.json["page"]["next_token"]});
    let second = stage.ask(ENDPOINT, &with(&body, "/page", Some(page))).expect(200);
    assert_eq!((names(&second), &second.json["page"]["next_token"]), (vec!["write".to_owned()], &json!("")));
}

#[test]
fn a_principal_searches_for_itself_and_learns_nothing_hidden() {
    let stage = stage();
    let bob = stage.acme.post("members/bob/tokens", &Value::Null).expect(201).credential("token");
    let ask = |subject: &str, resource: &Value| stage.ask_as(&bob, ENDPOINT, &search(&user(subject), resource));
    assert_eq!(names(&ask("bob", &record("record-1")).expect(200)), ["read"]);
    ask("alice", &record("record-1")).refused(403, "forbidden");
    let hidden = ask("bob", &record("record-2")).expect(200).text;
    assert_eq!(hidden, ask("bob", &record("never-was")).expect(200).text);
    let environment = |name: &str| json!({"type": "environment", "id": name});
    let hidden = ask("bob", &environment("closed-files")).expect(200).text;
    assert_eq!(hidden, ask("bob", &environment("never-was")).expect(200).text);
}
