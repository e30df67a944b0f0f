//! Malicious requests.

use serde_json::{Value, json};

use crate::support::server::{OPERATOR, Server};

fn company(server: &Server) -> (String, String) {
    let body = json!({"name": "umbrella", "kind": "shared", "plan": "team", "owner": {"user": "alice"}});
    let alice = server.post("/v1/workspaces", OPERATOR, &body).expect(201).credential("token");
    server.post("/v1/workspaces/umbrella/members", &alice, &json!({"user": "bob", "role": "member"})).expect(201);
    let bob = server.post("/v1/workspaces/umbrella/members/bob/tokens", &alice, &json!({})).expect(201);
    (alice, bob.credential("token"))
}

/// Returns JSON text nested this deep in JSON text, under the name that the parser would expand.
fn nested(levels: usize) -> Value {
    let name = "$serde_json::private::RawValue";
    (0..levels).fold(json!("1"), |inner, _| {
        let object = json!({ name: inner }).to_string();
        json!(format!("{}{object}{}", "[".repeat(100), "]".repeat(100)))
    })
}

#[test]
fn nested_json_in_a_text_is_never_parsed() {
    let server = Server::start();
    let (alice, bob) = company(&server);
    let deep = json!({"$serde_json::private::RawValue": nested(8)});
    let workspace = "/v1/workspaces/umbrella";
    server.post(&format!("{workspace}/commands"), &bob, &json!({"commands": [deep]})).expect(400);
    server.post(&format!("{workspace}/access/v1/evaluations"), &bob, &json!({"evaluations": [deep]})).expect(400);
    let smuggled = json!({"name": {"$serde_json::private::RawValue": "\"smuggled\""}});
    server.post(&format!("{workspace}/environments"), &alice, &smuggled).expect(400);
    server.get(&format!("{workspace}/environments/smuggled"), &alice).expect(404);
}

#[test]
fn a_field_given_twice_is_refused() {
    let server = Server::start();
    let (alice, _) = company(&server);
    let authorization = format!("Bearer {alice}");
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    let body = br#"{"name":"first","name":"second"}"#;
    let twice = server.send("POST", "/v1/workspaces/umbrella/environments", &headers, Some(body)).expect(400);
    assert!(twice.text.contains("`name` is given twice"), "{}", twice.text);
}

#[test]
fn the_name_of_a_field_is_repeated_on_one_line_and_in_part() {
    let server = Server::start();
    let (alice, _) = company(&server);
    for (path, place) in [("environments", ""), ("commands", "commands[0]."), ("members", "")] {
        for (name, said) in [("us\nr", "us\\nr"), ("a\u{202e}b", "a\\u{202e}b"), ("\u{2028}", "\\u{2028}")] {
            let body = json!({ name: 1 });
            let body = if place.is_empty() { body } else { json!({"commands": [{"type": "rbac.enable", name: 1}]}) };
            let refused = server.post(&format!("/v1/workspaces/umbrella/{path}"), &alice, &body).expect(422);
            let detail = refused.json["detail"].as_str().unwrap();
            assert!(detail.starts_with(&format!("`{place}{said}`: unknown field `{said}`")), "{detail}");
            assert!(!detail.contains(name), "{detail}");
        }
        let body = json!({"n".repeat(500_000): 1});
        let body = if place.is_empty() {
            body
        } else {
            json!({"commands": [{"type": "rbac.enable", "n".repeat(500_000): 1}]})
        };
        let refused = server.post(&format!("/v1/workspaces/umbrella/{path}"), &alice, &body).expect(422);
        assert!(refused.text.len() < 4_000, "{}", refused.text.len());
    }
}

#[test]
fn the_common_members_of_evaluations_are_limited() {
    let server = Server::start();
    let (_, bob) = company(&server);
    let path = "/v1/workspaces/umbrella/access/v1/evaluations";
    let batch = |id: &str, note: &str| {
        json!({
            "subject": {"type": "user", "id": "bob"}, "action": {"name": "read"},
            "resource": {"type": "app", "id": id, "properties": {"environment": "main", "note": note}},
            "evaluations": vec![json!({}); 100],
        })
    };
    let note = "n".repeat(500_000);
    let answers = server.post(path, &bob, &batch("a", &note)).expect(200).json;
    assert_eq!(answers["evaluations"].as_array().unwrap().len(), 100);
    assert!(answers["evaluations"][99]["decision"].as_bool().unwrap());
    server.post(path, &bob, &batch(&note, "")).expect(400);
}

#[test]
fn a_private_environment_is_hidden_in_past_views_too() {
    let server = Server::start();
    let (alice, bob) = company(&server);
    server.put("/v1/workspaces/umbrella/rbac", &alice, &json!({"enabled": true})).expect(200);
    let made = server.post("/v1/workspaces/umbrella/environments", &alice, &json!({"name": "merger"})).expect(201);
    let private = json!({"restricted": true, "default_role": "no_access"});
    server.patch("/v1/workspaces/umbrella/environments/merger", &alice, &private).expect(200);
    let ask = |environment: &str| {
        let path = format!("/v1/workspaces/umbrella/access/v1/evaluation?explain=true&at={}", made.json["revision"]);
        let resource = json!({"type": "environment", "id": environment});
        let subject = json!({"type": "user", "id": "bob"});
        let question = json!({"subject": subject, "action": {"name": "read"}, "resource": resource});
        server.post(&path, &bob, &question).expect(200).text
    };
    assert_eq!(ask("merger"), ask("never-was"));
}

#[test]
fn an_erased_profile_is_not_in_a_kept_answer() {
    let server = Server::start();
    let (alice, _) = company(&server);
    let authorization = format!("Bearer {alice}");
    let json = ("content-type", "application/json");
    let headers = [("authorization", authorization.as_str()), ("idempotency-key", "carol"), json];
    let body = json!({"user": "carol", "role": "member", "name": "Carol Doe"}).to_string();
    let add = || server.send("POST", "/v1/workspaces/umbrella/members", &headers, Some(body.as_bytes())).expect(201);
    assert!(add().text.contains("Carol Doe"));
    server.delete("/v1/workspaces/umbrella/members/carol/profile", &alice).expect(200);
    assert!(!add().text.contains("Carol Doe"));
}

#[test]
fn a_profile_is_written_once_for_an_idempotency_key() {
    let server = Server::start();
    let (alice, _) = company(&server);
    let authorization = format!("Bearer {alice}");
    let path = "/v1/workspaces/umbrella/members/bob/profile";
    let put = |key: &str, name: &str| {
        let json = ("content-type", "application/json");
        let headers = [("authorization", authorization.as_str()), ("idempotency-key", key), json];
        server.send("PUT", path, &headers, Some(json!({"name": name}).to_string().as_bytes()))
    };
    put("one", "One").expect(200);
    put("two", "Two").expect(200);
    assert_eq!(put("one", "One").expect(200).json["name"], "One");
    assert_eq!(server.get(path, &alice).expect(200).json["name"], "Two", "what was sent again was done again");
    put("one", "Three").refused(422, "idempotency_key_reused");
}
