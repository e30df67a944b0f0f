//! `POST …/access/v1/search/resource` (§8.5).

use std::collections::BTreeSet;

use serde_json::json;

use super::*;

const ENDPOINT: &str = "search/resource";

fn search(subject: &Value, action: &str, resource_type: &str) -> Value {
    json!({"subject": subject, "action": {"name": action}, "resource": {"type": resource_type}})
}

#[test]
fn exactly_the_permitted_resources_are_found() {
    let stage = stage();
    let found = |subject: &str, action: &str| stage.found(ENDPOINT, &search(&user(subject), action, "record"));
    assert_eq!(found("alice", "read"), ["record:record-1", "record:record-2"]);
    assert_eq!(found("alice", "write"), ["record:record-1", "record:record-2"]);
    assert_eq!(found("bob", "read"), ["record:record-1"]);
    assert!(found("bob", "write").is_empty());
    stage.acme.delete("resources/record/record-1").expect(200);
    assert_eq!(found("alice", "read"), ["record:record-2"], "what is placed nowhere cannot be found");
}

#[test]
fn the_id_of_the_resource_is_ignored() {
    let stage = stage();
    let body = search(&user("alice"), "read", "record");
    let plain = stage.ask(ENDPOINT, &body).expect(200).text;
    for id in [json!("record-1"), json!("none"), json!(7)] {
        assert_eq!(stage.ask(ENDPOINT, &with(&body, "/resource/id", Some(id))).expect(200).text, plain);
    }
}

#[test]
fn a_search_can_be_limited_to_one_environment() {
    let stage = stage();
    let found = |environment: &str| {
        let mut body = search(&user("alice"), "read", "record");
        body["resource"]["properties"] = json!({"environment": environment, "status": "active"});
        stage.found(ENDPOINT, &body)
    };
    let closed = stage.acme.get("environments/closed-files").json["id"].as_str().unwrap().to_owned();
    assert_eq!(found("open-files"), ["record:record-1"]);
    assert_eq!(found("closed-files"), ["record:record-2"]);
    assert_eq!(found(&closed), ["record:record-2"]);
    assert!(found("main").is_empty() && found("none").is_empty());
}

#[test]
fn environments_the_workspace_and_built_in_types_are_found_too() {
    let stage = stage();
    let acme = &stage.acme;
    let environment =
        |name: &str| format!("environment:{}", acme.get(&format!("environments/{name}")).json["id"].as_str().unwrap());
    let found = |subject: &Value, action: &str, resource_type: &str| -> BTreeSet<String> {
        stage.found(ENDPOINT, &search(subject, action, resource_type)).into_iter().collect()
    };
    let names = |names: &[&str]| -> BTreeSet<String> { names.iter().map(|name| environment(name)).collect() };
    assert_eq!(found(&user("alice"), "deploy", "environment"), names(&["main", "open-files", "closed-files"]));
    assert_eq!(found(&user("bob"), "deploy", "environment"), names(&["main"]));
    assert_eq!(found(&user("bob"), "read", "environment"), names(&["main", "open-files"]));
    let task = json!({"type": "task", "id": "closed-files"});
    assert_eq!(found(&task, "write", "environment"), names(&["main", "closed-files"]));
    let workspace = BTreeSet::from([format!("workspace:{}", acme.get("").json["id"].as_str().unwrap())]);
    assert_eq!(found(&user("bob"), "read", "workspace"), workspace);
    assert_eq!(found(&user("alice"), "manage_owners", "workspace"), workspace);
    assert!(found(&user("bob"), "manage_owners", "workspace").is_empty());
    acme.put("resources/secret/db", &json!({"environment": "open-files"})).expect(201);
    assert_eq!(found(&user("bob"), "read", "secret"), BTreeSet::from(["secret:db".to_owned()]));
    assert!(found(&user("bob"), "use", "secret").is_empty());
}

#[test]
fn unknown_names_find_nothing() {
    let stage = stage();
    let body = search(&user("alice"), "read", "record");
    for (pointer, value) in [
        ("/subject/type", "spaceship"),
        ("/subject/id", "nobody"),
        ("/action/name", "fly"),
        ("/resource/type", "spaceship"),
    ] {
        let reply = stage.ask(ENDPOINT, &with(&body, pointer, Some(json!(value)))).expect(200);
        assert_eq!(reply.text, r#"{"page":{"next_token":"","count":0},"results":[]}"#, "{pointer}");
    }
}

#[test]
fn missing_fields_and_wrong_types_are_400() {
    let required =
        ["/subject", "/subject/type", "/subject/id", "/action", "/action/name", "/resource", "/resource/type"];
    let mistyped = [
        ("/subject/id", json!(1)),
        ("/action", json!("read")),
        ("/action/name", json!(123)),
        ("/page", json!(1)),
        ("/page", json!({"limit": -1})),
        ("/page", json!({"token": "nonsense"})),
    ];
    each_refused(&stage(), ENDPOINT, &required, &mistyped);
}

#[test]
fn pages_are_contiguous() {
    let stage = stage();
    let body = with(&search(&user("alice"), "read", "record"), "/page", Some(json!({"limit": 1})));
    let first = stage.ask(ENDPOINT, &body).expect(200);
    assert_eq!(names(&first), ["record:record-1"]);
    let page = json!({"token": first.json["page"]["next_token"]});
    let second = stage.ask(ENDPOINT, &with(&body, "/page", Some(page))).expect(200);
    assert_eq!((names(&second), &second.json["page"]["next_token"]), (vec!["record:record-2".to_owned()], &json!("")));
}

mod a_principal {
    use super::*;

    fn bob(stage: &Stage) -> String {
        stage.acme.post("members/bob/tokens", &Value::Null).expect(201).credential("token")
    }

    #[test]
    fn a_principal_searches_for_itself_only() {
        let stage = stage();
        let bob = bob(&stage);
        let found = stage.ask_as(&bob, ENDPOINT, &search(&user("bob"), "read", "record")).expect(200);
        assert_eq!(names(&found), ["record:record-1"]);
        for subject in [user("alice"), user("nobody"), json!({"type": "task", "id": "main"})] {
            stage.ask_as(&bob, ENDPOINT, &search(&subject, "read", "record")).refused(403, "forbidden");
        }
    }

    /// A page does not even reveal the number of hidden ones.
    #[test]
    fn a_principal_learns_nothing_hidden() {
        let stage = stage();
        let bob = bob(&stage);
        let ask = |stage: &Stage, page: &Value, environment: Option<&str>| {
            let mut body = search(&user("bob"), "read", "record");
            body["page"] = page.clone();
            if let Some(environment) = environment {
                body["resource"]["properties"] = json!({"environment": environment});
            }
            stage.ask_as(&bob, ENDPOINT, &body).expect(200)
        };
        for id in ["a", "record-10", "z"] {
            stage.acme.put(&format!("resources/record/{id}"), &json!({"environment": "open-files"})).expect(201);
        }
        let at = stage.acme.head();
        let positions = |stage: &Stage| -> Vec<u64> {
            let mut page = json!({"limit": 1});
            let mut positions = Vec::new();
            loop {
                let reply = ask(stage, &page, None);
                let token = reply.json["page"]["next_token"].as_str().unwrap().to_owned();
                if token.is_empty() {
                    return positions;
                }
                let (cursor, _) = token.split_once('.').unwrap();
                let cursor = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, cursor).unwrap();
                let cursor: Value = serde_json::from_slice(&cursor).unwrap();
                positions.push(cursor["position"].as_u64().unwrap());
                page = json!({"token": token});
            }
        };
        let before = positions(&stage);
        for id in ["b", "record-11", "y"] {
            stage.acme.put(&format!("resources/record/{id}"), &json!({"environment": "closed-files"})).expect(201);
        }
        assert_eq!(positions(&stage), before);
        assert_eq!(before, [1, 2, 3]);
        assert!(stage.acme.head() > at);
        let hidden = ask(&stage, &json!({}), Some("closed-files")).text;
        assert_eq!(hidden, ask(&stage, &json!({}), Some("never-was")).text);
        let found = stage.ask_as(&bob, ENDPOINT, &search(&user("bob"), "read", "environment")).expect(200);
        assert_eq!(names(&found).len(), 2, "main and open-files");
    }

    #[test]
    fn a_principal_does_not_find_in_the_past_what_is_hidden_now() {
        let stage = stage();
        let bob = bob(&stage);
        let open = stage.acme.head();
        let found = |path: &str| names(&stage.ask_as(&bob, path, &search(&user("bob"), "read", "record")).expect(200));
        assert_eq!(found(&format!("{ENDPOINT}?at={open}")), ["record:record-1"]);
        stage.acme.patch("environments/open-files", &json!({"default_role": "no_access"})).expect(200);
        assert!(found(&format!("{ENDPOINT}?at={open}")).is_empty() && found(ENDPOINT).is_empty());
        let known = stage.ask(&format!("{ENDPOINT}?at={open}"), &search(&user("bob"), "read", "record")).expect(200);
        assert_eq!(names(&known), ["record:record-1"]);
    }
}
