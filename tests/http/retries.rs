//! Conventions of writing: `If-Match`, `Idempotency-Key`, and reasons.

use serde_json::{Value, json};

use crate::support::acme::{Acme, path, workspace_body};
use crate::support::server::{OPERATOR, Reply};

fn send(acme: &Acme, credential: &str, rest: &str, header: (&str, &str), body: &Value) -> Reply {
    let authorization = format!("Bearer {credential}");
    let bytes = serde_json::to_vec(body).unwrap();
    let headers = [("authorization", authorization.as_str()), header, ("content-type", "application/json")];
    acme.server.send("POST", &path(rest), &headers, Some(&bytes))
}

fn keyed(acme: &Acme, key: &str, rest: &str, body: &Value) -> Reply {
    send(acme, &acme.alice, rest, ("idempotency-key", key), body)
}

#[test]
fn a_write_is_done_while_if_match_is_the_newest_revision() {
    let acme = Acme::new();
    let made =
        |value: &str, name: &str| send(&acme, &acme.alice, "environments", ("if-match", value), &json!({"name": name}));
    let head = acme.head();
    let reply = made(&format!("\"{head}\""), "one").expect(201);
    assert_eq!(reply.header("etag"), Some(format!("\"{}\"", head + 1).as_str()));
    made(&format!("\"{head}\""), "two").refused(412, "revision_conflict");
    made("\"999\"", "two").refused(412, "revision_conflict");
    made("*", "two").expect(201);
    made(&format!("\"1\", \"{}\"", head + 2), "three").expect(201);
    for unmatched in ["\"x\"", &format!("W/\"{}\"", head + 3), "\"1\", \"2\"", &format!("\"1\", W/\"{}\"", head + 3)] {
        made(unmatched, "four").refused(412, "revision_conflict");
    }
    for malformed in ["17", "", "\"1", "\"1\" \"2\""] {
        made(malformed, "four").refused(422, "invalid");
    }
    assert_eq!(acme.head(), head + 3);
}

#[test]
fn a_profile_is_written_while_if_match_is_the_newest_revision() {
    let acme = Acme::new();
    let authorization = format!("Bearer {}", acme.alice);
    let put = |tag: &str| {
        let json = ("content-type", "application/json");
        let headers = [("authorization", authorization.as_str()), ("if-match", tag), json];
        acme.server.send("PUT", &path("members/alice/profile"), &headers, Some(b"{\"name\":\"Alice\"}"))
    };
    put("\"1\"").refused(412, "revision_conflict");
    put("W/\"1\"").refused(412, "revision_conflict");
    put("1").refused(422, "invalid");
    assert_eq!(acme.get("members/alice/profile").expect(200).json, json!({}));
    let head = acme.head();
    put(&format!("\"{head}\"")).expect(200);
}

#[test]
fn a_retried_request_gets_the_first_response_without_the_secret() {
    let acme = Acme::new();
    acme.restricted("prod", "viewer");
    let requests = [
        ("service-users", json!({"name": "ci"}), "token"),
        ("members/alice/tokens", json!({}), "token"),
        ("proxy-tokens", json!({"environments": ["prod"]}), "proxy_token"),
        ("access-keys", json!({"role": "auditor", "label": "x"}), "access_key"),
    ];
    for (number, (rest, body, kind)) in requests.iter().enumerate() {
        let first = keyed(&acme, &format!("k{number}"), rest, body).expect(201);
        assert!(first.json[kind]["secret"].is_string(), "{rest}");
        let head = acme.head();
        acme.environment(&format!("later-{number}"));
        let head = head + 1;
        let again = keyed(&acme, &format!("k{number}"), rest, body).expect(201);
        let mut expected = first.json.clone();
        assert_eq!(again.json["checkpoint"]["size"], head, "{rest}: the newest one");
        expected["checkpoint"] = again.json["checkpoint"].clone();
        expected[kind]["secret"] = Value::Null;
        assert_eq!(again.json, expected, "{rest}");
        for header in ["location", "etag", "tenure-revision", "tenure-at", "content-type"] {
            assert_eq!(again.header(header), first.header(header), "{rest} {header}");
        }
        assert_eq!(acme.head(), head, "{rest} is done once");
    }
}

#[test]
fn a_key_used_for_a_different_request_is_refused() {
    let acme = Acme::new();
    let first = json!({"name": "one"});
    keyed(&acme, "k", "environments", &first).expect(201);
    let head = acme.head();
    for (rest, body) in [
        ("environments", json!({"name": "two"})),
        ("environments?reason=other", first.clone()),
        ("service-users", first.clone()),
    ] {
        keyed(&acme, "k", rest, &body).refused(422, "idempotency_key_reused");
    }
    let authorization = format!("Bearer {}", acme.alice);
    let json = ("content-type", "application/json");
    let headers = [("authorization", authorization.as_str()), ("idempotency-key", "k"), ("if-match", "*"), json];
    let bytes = serde_json::to_vec(&first).unwrap();
    acme.server.send("POST", &path("environments"), &headers, Some(&bytes)).refused(422, "idempotency_key_reused");
    assert_eq!(acme.head(), head);
}

#[test]
fn idempotency_records_survive_a_restart() {
    let acme = Acme::new();
    let body = json!({"name": "ci"});
    let first = keyed(&acme, "k", "service-users", &body).expect(201);
    let acme = acme.restart();
    let again = keyed(&acme, "k", "service-users", &body).expect(201);
    assert_eq!(again.json["service_user"], first.json["service_user"]);
    assert_eq!(again.json["events"], first.json["events"]);
    assert_eq!(again.json["token"]["secret"], Value::Null);
    keyed(&acme, "k", "service-users", &json!({"name": "cd"})).refused(422, "idempotency_key_reused");
}

#[test]
fn concurrent_requests_with_one_key_are_done_once() {
    let acme = Acme::new();
    let body = json!({"name": "ci"});
    let replies: Vec<Reply> = std::thread::scope(|scope| {
        let each = (0..16).map(|_| scope.spawn(|| keyed(&acme, "k", "service-users", &body).expect(201)));
        let threads: Vec<_> = each.collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let secrets = replies.iter().filter(|reply| reply.json["token"]["secret"].is_string()).count();
    assert_eq!(secrets, 1, "the secret is shown once");
    assert!(replies.iter().all(|reply| reply.json["service_user"] == replies[0].json["service_user"]));
    let made = acme.events().iter().filter(|event| event["type"] == "service_user.created.v1").count();
    assert_eq!(made, 1);
}

#[test]
fn refusals_are_not_stored() {
    let acme = Acme::without_rbac(std::sync::Arc::new(tenure::clock::SystemClock));
    let body = json!({"name": "prod", "restricted": true});
    keyed(&acme, "k", "environments", &body).refused(409, "rbac_disabled");
    acme.rbac(true);
    keyed(&acme, "k", "environments", &body).expect(201);
}

#[test]
fn an_idempotency_key_belongs_to_a_workspace_and_a_holder() {
    let acme = Acme::new();
    let mark = acme.member("mark", "manager");
    keyed(&acme, "k", "environments", &json!({"name": "one"})).expect(201);
    send(&acme, &mark, "environments", ("idempotency-key", "k"), &json!({"name": "two"})).expect(201);
    send(&acme, OPERATOR, "environments", ("idempotency-key", "k"), &json!({"name": "three"})).expect(201);
    let alices_other_token = acme.post("members/alice/tokens", &json!({})).expect(201).credential("token");
    let again = send(&acme, &alices_other_token, "environments", ("idempotency-key", "k"), &json!({"name": "one"}));
    assert_eq!(again.expect(201).json["environment"]["name"], "one");
}

#[test]
fn a_workspace_is_created_once_for_an_idempotency_key() {
    let acme = Acme::new();
    let authorization = format!("Bearer {OPERATOR}");
    let json = ("content-type", "application/json");
    let headers = [("authorization", authorization.as_str()), ("idempotency-key", "k"), json];
    let bytes = serde_json::to_vec(&workspace_body("other", "shared", "team", "olga")).unwrap();
    let make = || acme.server.send("POST", "/v1/workspaces", &headers, Some(&bytes));
    let first = make().expect(201);
    let again = make().expect(201);
    assert_eq!(again.json["workspace"], first.json["workspace"]);
    assert_eq!(again.json["token"]["secret"], Value::Null);
    assert_eq!(again.header("location"), first.header("location"));
    assert_eq!(again.json["checkpoint"], first.json["checkpoint"]);
}

/// A malformed header is refused whether or not there is a record, as it was for the first request.
#[test]
fn a_repeated_request_with_a_malformed_header_is_refused_before_its_record_is_looked_for() {
    let acme = Acme::new();
    acme.server.post("/v1/workspaces", OPERATOR, &workspace_body("leaving", "shared", "team", "olga")).expect(201);
    let authorization = format!("Bearer {OPERATOR}");
    let delete = |more: &[(&str, &str)]| {
        let headers = [("authorization", authorization.as_str()), ("idempotency-key", "k")];
        acme.server.send("DELETE", "/v1/workspaces/leaving", &[&headers, more].concat(), None)
    };
    delete(&[]).expect(200);
    let environment = json!({"name": "one"});
    keyed(&acme, "k", "environments", &environment).expect(201);
    for malformed in ["", "17", "\"1", "\"1\" \"2\"", ","] {
        delete(&[("if-match", malformed)]).refused(422, "invalid");
        let authorization = format!("Bearer {}", acme.alice);
        let json = ("content-type", "application/json");
        let match_header = ("if-match", malformed);
        let headers = [("authorization", authorization.as_str()), ("idempotency-key", "k"), match_header, json];
        let bytes = serde_json::to_vec(&environment).unwrap();
        acme.server.send("POST", &path("environments"), &headers, Some(&bytes)).refused(422, "invalid");
        acme.server.send("PUT", &path("members/alice/profile"), &headers, Some(b"{}")).refused(422, "invalid");
    }
    delete(&[]).expect(200);
    delete(&[("if-match", "\"1\"")]).refused(422, "idempotency_key_reused");
}

#[test]
fn a_no_op_is_stored_too() {
    let acme = Acme::new();
    let body = json!({"commands": [{"type": "rbac.enable"}]});
    let first = keyed(&acme, "k", "commands", &body).expect(200);
    assert_eq!(first.json["events"], json!([]));
    assert_eq!(keyed(&acme, "k", "commands", &body).expect(200).text, first.text);
    acme.rbac(false);
    let mut again = keyed(&acme, "k", "commands", &body).expect(200).json;
    assert_eq!(again["checkpoint"]["size"], acme.head(), "the newest one");
    again["checkpoint"] = first.json["checkpoint"].clone();
    assert_eq!(again, first.json);
    assert_eq!(acme.get("").json["rbac"], false);
}

#[test]
fn a_caller_is_authenticated_before_a_retry_is_answered() {
    let acme = Acme::new();
    let mark = acme.member("mark", "manager");
    let body = json!({"name": "one"});
    send(&acme, &mark, "environments", ("idempotency-key", "k"), &body).expect(201);
    acme.delete("members/mark").expect(200);
    send(&acme, &mark, "environments", ("idempotency-key", "k"), &body).refused(401, "unauthenticated");
}

#[test]
fn an_idempotency_key_is_1_to_256_printable_characters() {
    let acme = Acme::new();
    for (number, key) in ["x", &"k".repeat(256)].into_iter().enumerate() {
        keyed(&acme, key, "environments", &json!({"name": format!("good-{number}")})).expect(201);
    }
    for key in ["", &"k".repeat(257)] {
        keyed(&acme, key, "environments", &json!({"name": "bad"})).refused(422, "invalid");
    }
}

#[test]
fn a_reason_is_in_every_event_of_the_change() {
    let acme = Acme::new();
    let body = json!({"name": "ci"});
    let made = acme.post("service-users?reason=SEC-142%20approved%20by%20%C3%A9va", &body).expect(201);
    let reasons: Vec<&Value> = made.json["events"].as_array().unwrap().iter().map(|event| &event["reason"]).collect();
    assert_eq!(reasons, ["SEC-142 approved by éva", "SEC-142 approved by éva"]);
    let made = acme.post("environments?reason=", &json!({"name": "dev"})).expect(201);
    assert!(made.json["events"][0].get("reason").is_none());
}

#[test]
fn a_reason_is_at_most_1000_visible_characters() {
    let acme = Acme::new();
    let made = |name: &str, reason: &str| acme.post(&format!("environments?reason={reason}"), &json!({"name": name}));
    made("one", &"x".repeat(1_000)).expect(201);
    made("two", &"%C3%A9".repeat(1_000)).expect(201);
    for bad in ["x".repeat(1_001).as_str(), "a%0Ab", "%00", "%1B[31m", "%E2%80%AE", "%E2%81%A6"] {
        made("three", bad).refused(422, "invalid");
    }
    acme.put("members/alice/profile?reason=%0A", &json!({})).refused(422, "invalid");
}
