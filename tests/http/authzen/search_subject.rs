//! `POST …/access/v1/search/subject` (§8.4), and the paging of every search.

use std::collections::BTreeSet;

use serde_json::json;

use super::*;
use crate::support::acme::id;

const ENDPOINT: &str = "search/subject";

fn search(subject_type: &str, action: &str, resource: &Value) -> Value {
    json!({"subject": {"type": subject_type}, "action": {"name": action}, "resource": resource})
}

#[test]
fn exactly_the_permitted_subjects_are_found() {
    let stage = stage();
    let found = |action: &str, id: &str| stage.found(ENDPOINT, &search("user", action, &record(id)));
    assert_eq!(found("read", "record-1"), ["user:alice", "user:bob"]);
    assert_eq!(found("write", "record-1"), ["user:alice"]);
    assert_eq!(found("read", "record-2"), ["user:alice"]);
    let reply = stage.ask(ENDPOINT, &search("user", "read", &record("record-1"))).expect(200);
    let expected = concat!(
        r#"{"page":{"next_token":"","count":2},"#,
        r#""results":[{"type":"user","id":"alice"},{"type":"user","id":"bob"}]}"#
    );
    assert_eq!(reply.text, expected);
}

#[test]
fn the_id_of_the_subject_is_ignored() {
    let stage = stage();
    let body = search("user", "read", &record("record-1"));
    let plain = stage.ask(ENDPOINT, &body).expect(200).text;
    for id in [json!("alice"), json!("nobody"), json!(7), json!(null)] {
        assert_eq!(stage.ask(ENDPOINT, &with(&body, "/subject/id", Some(id))).expect(200).text, plain);
    }
}

#[test]
fn subjects_of_every_type_are_found_by_their_ids() {
    let stage = stage();
    let acme = &stage.acme;
    acme.service_user("ci");
    let ci = acme.get("service-users/ci").json["id"].as_str().unwrap().to_owned();
    let [main, open, closed] = ["main", "open-files", "closed-files"]
        .map(|name| acme.get(&format!("environments/{name}")).json["id"].as_str().unwrap().to_owned());
    let token = acme.proxy_token(Some(&["open-files"]));
    acme.proxy_token(Some(&["main"]));
    assert_eq!(
        stage.found(ENDPOINT, &search("service_user", "read", &record("record-1"))),
        [format!("service_user:{ci}")]
    );
    assert!(stage.found(ENDPOINT, &search("service_user", "write", &record("record-1"))).is_empty());
    let tasks = |resource: &Value| -> BTreeSet<String> {
        stage.found(ENDPOINT, &search("task", "write", resource)).into_iter().collect()
    };
    assert_eq!(tasks(&record("record-1")), BTreeSet::from([format!("task:{open}")]));
    let everywhere = [&main, &open, &closed].map(|id| format!("task:{id}"));
    assert_eq!(tasks(&json!({"type": "environment", "id": "main"})), BTreeSet::from(everywhere));
    let function = json!({"type": "web_function", "id": "f", "properties": {"environment": "open-files"}});
    assert_eq!(
        stage.found(ENDPOINT, &search("proxy_token", "call", &function)),
        [format!("proxy_token:{}", id(&token))]
    );
    let administrators = search("user", "manage_grants", &json!({"type": "workspace", "id": "acme"}));
    assert_eq!(stage.found(ENDPOINT, &administrators), ["user:alice"]);
}

#[test]
fn unknown_names_find_nothing() {
    let stage = stage();
    let body = search("user", "read", &record("record-1"));
    for (pointer, value) in [
        ("/subject/type", "spaceship"),
        ("/action/name", "fly"),
        ("/resource/type", "spaceship"),
        ("/resource/id", "record-9"),
    ] {
        let reply = stage.ask(ENDPOINT, &with(&body, pointer, Some(json!(value)))).expect(200);
        assert_eq!(reply.text, r#"{"page":{"next_token":"","count":0},"results":[]}"#, "{pointer}");
    }
}

#[test]
fn missing_fields_and_wrong_types_are_400() {
    let required =
        ["/subject", "/subject/type", "/action", "/action/name", "/resource", "/resource/type", "/resource/id"];
    let mistyped = [
        ("/action", json!("read")),
        ("/action/name", json!(123)),
        ("/resource/id", json!(1)),
        ("/page", json!([])),
        ("/page", json!("token")),
        ("/page", json!({"limit": -1})),
        ("/page", json!({"limit": "2"})),
        ("/page", json!({"limit": 1.5})),
        ("/page", json!({"limit": null})),
        ("/page", json!({"token": 1})),
        ("/page", json!({"token": "nonsense"})),
        ("/page", json!({"properties": []})),
    ];
    each_refused(&stage(), ENDPOINT, &required, &mistyped);
    let stage = stage();
    let long = with(&any_question(), "/resource/id", Some(json!("x".repeat(5_000))));
    stage.ask(ENDPOINT, &long).refused(400, "malformed");
}

mod pages {
    use super::*;

    /// Starts a workspace with more people who may read the first record.
    fn crowd() -> (Stage, Vec<String>) {
        let stage = stage();
        let commands: Vec<Value> =
            (10..35).map(|n| json!({"type": "member.add", "user": format!("user-{n}"), "role": "member"})).collect();
        stage.acme.post("commands", &json!({"commands": commands})).expect(200);
        let all = stage.found(ENDPOINT, &search("user", "read", &record("record-1")));
        assert_eq!(all.len(), 27);
        (stage, all)
    }

    fn next(reply: &Reply) -> String {
        let page = &reply.json["page"];
        assert_eq!(page["count"], reply.json["results"].as_array().unwrap().len());
        page["next_token"].as_str().unwrap().to_owned()
    }

    /// Returns all pages of a search; later requests have `follow` beside the token.
    fn pages(stage: &Stage, first: &Value, follow: &Value) -> Vec<Vec<String>> {
        let body = search("user", "read", &record("record-1"));
        let mut reply = stage.ask(ENDPOINT, &with(&body, "/page", Some(first.clone()))).expect(200);
        let mut pages = vec![names(&reply)];
        while !next(&reply).is_empty() {
            let page = with(follow, "/token", Some(json!(next(&reply))));
            reply = stage.ask(ENDPOINT, &with(&body, "/page", Some(page))).expect(200);
            pages.push(names(&reply));
        }
        pages
    }

    #[test]
    fn the_pages_are_complete_and_later_ones_may_leave_the_limit_out() {
        let (stage, all) = crowd();
        for follow in [json!({}), json!({"limit": 10}), json!({"properties": {"sort": "up"}})] {
            let pages = pages(&stage, &json!({"limit": 10}), &follow);
            assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [10, 10, 7], "{follow}");
            assert_eq!(pages.concat(), all);
        }
        for limit in [1, 9, 26, 27, 28, 1_000, 1_000_000] {
            assert_eq!(pages(&stage, &json!({"limit": limit}), &json!({})).concat(), all, "{limit}");
        }
        assert_eq!(pages(&stage, &json!({"token": "", "limit": 27}), &json!({})), [all]);
    }

    #[test]
    fn an_empty_page_still_has_a_next_token() {
        let (stage, all) = crowd();
        let pages = pages(&stage, &json!({"limit": 0}), &json!({}));
        assert_eq!(pages, [vec![], all]);
    }

    #[test]
    fn all_pages_are_of_the_first_ones_view() {
        let (stage, all) = crowd();
        let body = search("user", "read", &record("record-1"));
        let first = stage.ask(ENDPOINT, &with(&body, "/page", Some(json!({"limit": 10})))).expect(200);
        for user in ["alex", "zoe"] {
            stage.acme.post("members", &json!({"user": user, "role": "member"})).expect(201);
        }
        stage.acme.delete("members/user-25").expect(200);
        let page = json!({"token": next(&first), "limit": 10});
        let second = stage.ask(ENDPOINT, &with(&body, "/page", Some(page))).expect(200);
        assert_eq!(names(&second), all[10..20]);
        for header in ["tenure-revision", "tenure-at"] {
            assert_eq!(second.header(header), first.header(header));
        }
    }

    #[test]
    fn a_page_token_is_valid_for_its_own_search_only() {
        let (stage, _) = crowd();
        let body = with(&search("user", "read", &record("record-1")), "/page", Some(json!({"limit": 10})));
        let token = next(&stage.ask(ENDPOINT, &body).expect(200));
        let follow = with(&body, "/page/token", Some(json!(token)));
        stage.ask(ENDPOINT, &follow).expect(200);
        let same = with(&with(&follow, "/context", Some(json!({"time": "later"}))), "/subject/id", Some(json!("x")));
        stage.ask(ENDPOINT, &same).expect(200);
        for (pointer, value) in [
            ("/subject/type", json!("service_user")),
            ("/action/name", json!("write")),
            ("/resource/id", json!("record-2")),
            ("/page/limit", json!(11)),
            ("/page/token", json!(token.to_lowercase())),
        ] {
            let refused = stage.ask(ENDPOINT, &with(&follow, pointer, Some(value))).refused(400, "malformed");
            assert!(refused.text.contains("page.token"), "{pointer}: {}", refused.text);
        }
        stage.ask(&format!("{ENDPOINT}?at=20"), &follow).refused(400, "malformed");
        stage.ask("search/resource", &with(&follow, "/subject/id", Some(json!("alice")))).refused(400, "malformed");
        let elsewhere = stage.ask_as(&stage.acme.alice, ENDPOINT, &follow);
        assert_eq!(elsewhere.status, 200, "whoever may know the same may go on");
    }
}

#[test]
fn a_principal_finds_only_itself() {
    let stage = stage();
    let bob = stage.acme.post("members/bob/tokens", &Value::Null).expect(201).credential("token");
    let ci = stage.acme.service_user("ci");
    let ci_id = stage.acme.get("service-users/ci").json["id"].as_str().unwrap().to_owned();
    stage.acme.proxy_token(Some(&["open-files"]));
    let found = |credential: &str, body: &Value| names(&stage.ask_as(credential, ENDPOINT, body).expect(200));
    for (credential, own, itself) in
        [(&bob, "user", "user:bob".to_owned()), (&ci, "service_user", format!("service_user:{ci_id}"))]
    {
        for subject_type in ["user", "service_user", "task", "proxy_token", "spaceship"] {
            let expected: &[String] = if subject_type == own { std::slice::from_ref(&itself) } else { &[] };
            assert_eq!(
                found(credential, &search(subject_type, "read", &record("record-1"))),
                expected,
                "{subject_type}"
            );
            assert!(found(credential, &search(subject_type, "write", &record("record-1"))).is_empty());
            assert!(found(credential, &search(subject_type, "read", &record("record-2"))).is_empty());
        }
    }
}

#[test]
fn callers_that_may_ask_about_anyone_find_the_same() {
    let stage = stage();
    let mark = stage.acme.member("mark", "manager");
    let body = search("user", "read", &record("record-1"));
    let expected = ["user:alice", "user:bob", "user:mark"];
    for credential in [
        &stage.evaluator,
        &stage.acme.alice,
        &mark,
        &stage.acme.access_key("auditor"),
        crate::support::server::OPERATOR,
    ] {
        assert_eq!(names(&stage.ask_as(credential, ENDPOINT, &body).expect(200)), expected);
    }
}

#[test]
fn an_explained_search_names_its_view() {
    let stage = stage();
    let reply = stage.ask(&format!("{ENDPOINT}?explain=true"), &any_question()).expect(200);
    assert_eq!(reply.json["context"]["revision"].to_string(), reply.header("tenure-revision").unwrap());
    assert_eq!(reply.json["context"]["at"], reply.header("tenure-at").unwrap());
    let at = format!("{ENDPOINT}?at={}", reply.json["context"]["revision"]);
    assert_eq!(names(&stage.ask(&at, &any_question()).expect(200)), names(&reply));
}
