//! The filters of the log by the effect of an event and by its credential.

use serde_json::{Value, json};

use crate::support::acme::{Acme, id};
use crate::support::server::OPERATOR;

/// Returns the types, without versions, and the revisions that a filter matches.
#[track_caller]
fn found(acme: &Acme, query: &str) -> Vec<(String, u64)> {
    let reply = acme.get(&format!("events?limit=1000&{query}")).expect(200);
    let row = |event: &Value| {
        let name = event["type"].as_str().unwrap().trim_end_matches(".v1").to_owned();
        (name, event["revision"].as_u64().unwrap())
    };
    reply.json["items"].as_array().unwrap().iter().map(row).collect()
}

#[track_caller]
fn types(acme: &Acme, query: &str) -> Vec<String> {
    found(acme, query).into_iter().map(|(name, _)| name).collect()
}

#[test]
fn events_that_add_or_remove_a_scope_concern_the_environment() {
    let acme = Acme::new();
    acme.environment("one");
    acme.environment("two");
    let token = acme.proxy_token(Some(&["one"]));
    let scope = |environments: Value| {
        let body = json!({"environments": environments});
        acme.put(&format!("proxy-tokens/{}/environments", id(&token)), &body).expect(200).json["revision"]
            .as_u64()
            .unwrap()
    };
    let both = scope(json!(["one", "two"]));
    let two = scope(json!(["two"]));
    let again = scope(json!(["one", "two"]));
    let ones: Vec<u64> = found(&acme, "environment=one&type=proxy_token.scoped").into_iter().map(|row| row.1).collect();
    assert_eq!(ones, [two, again], "one stays in scope at {both}");
    let twos: Vec<u64> = found(&acme, "environment=two&type=proxy_token.scoped").into_iter().map(|row| row.1).collect();
    assert_eq!(twos, [both]);
    acme.delete("environments/two").expect(200);
    assert_eq!(
        types(&acme, "environment=two"),
        ["environment.created", "proxy_token.scoped", "proxy_token.scoped", "environment.deleted"],
    );
    acme.delete(&format!("proxy-tokens/{}", id(&token))).expect(200);
    let created_to_revoked = [
        "environment.created",
        "proxy_token.created",
        "proxy_token.scoped",
        "proxy_token.scoped",
        "proxy_token.revoked",
    ];
    assert_eq!(types(&acme, "environment=one"), created_to_revoked);
    assert_eq!(types(&acme, "environment=main&type=proxy_token.revoked"), [""; 0]);
}

#[test]
fn the_credential_filter_separates_a_leaked_token_from_its_holder() {
    let acme = Acme::new();
    let mark = acme.member("mark", "manager");
    let leaked = acme.post("members/mark/tokens", &json!({})).expect(201).credential("token");
    acme.call("POST", "environments", &mark, &json!({"name": "his"})).expect(201);
    acme.call("POST", "environments", &leaked, &json!({"name": "theirs"})).expect(201);
    assert_eq!(types(&acme, "actor=user:mark"), ["environment.created", "environment.created"]);
    let theirs = acme.get("environments/theirs").json["id"].clone();
    let reply = acme.get(&format!("events?credential={}", id(&leaked))).expect(200);
    assert_eq!(reply.json["items"].as_array().unwrap().len(), 1);
    assert_eq!(reply.json["items"][0]["subject"], theirs);
    assert_eq!(reply.json["query"]["credential"], id(&leaked));
    acme.delete(&format!("tokens/{}", id(&leaked))).expect(200);
    assert_eq!(types(&acme, &format!("credential={}", id(&leaked))), ["environment.created"], "also after its end");
    assert_eq!(types(&acme, "credential=operator&after=1"), types(&acme, "actor=operator&after=1"));
}

#[test]
fn an_unused_credential_is_not_found() {
    let acme = Acme::new();
    let key = acme.access_key("auditor");
    let other = crate::support::acme::workspace_body("other", "shared", "team", "olga");
    let olga = acme.server.post("/v1/workspaces", OPERATOR, &other).expect(201).credential("token");
    for credential in [id(&key), id(&olga), "tok_01h455vb4pex5vsknk084sn02q", "user:alice", "x", ""] {
        acme.get(&format!("events?credential={credential}")).refused(404, "not_found");
    }
}
