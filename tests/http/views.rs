//! Conventions of reading: credentials, time travel, and the headers that name a view.

use serde_json::{Value, json};

use crate::support::acme::{Acme, id, path, question};
use crate::support::server::{OPERATOR, Reply};

/// Every read, as a path below the workspace.
fn reads(acme: &Acme) -> Vec<String> {
    let token = format!("tokens/{}", id(&acme.alice));
    let named =
        ["", "members", "members/mia", "service-users", "service-users/ci", "environments", "environments/prod"];
    let more = ["environments/prod/grants", "environments/prod/grants/user:mia", "tokens", "proxy-tokens"];
    let resources =
        ["resource-types", "resource-types/gpu", "resources", "resources/gpu/a%2F100", "resources?type=gpu"];
    let audit = ["access-keys", "events", "audit/access", "audit/access?principal=user:mia"];
    named.iter().chain(&more).chain(&resources).chain(&audit).map(ToString::to_string).chain([token]).collect()
}

fn stage() -> Acme {
    let acme = Acme::new();
    acme.restricted("prod", "viewer");
    acme.post("members", &json!({"user": "mia", "role": "member", "name": "Mia M.", "email": "mia@example.com"}))
        .expect(201);
    acme.service_user("ci");
    acme.grant("prod", "user:mia", "contributor");
    acme.proxy_token(Some(&["prod"]));
    acme.access_key("auditor");
    acme.post("resource-types", &json!({"name": "gpu", "actions": {"read": "viewer"}})).expect(201);
    acme.put("resources/gpu/a%2F100", &json!({"environment": "prod"})).expect(201);
    acme
}

/// Returns the path with the view of a response.
fn pinned(path: &str, reply: &Reply) -> String {
    let (at, revision) = (reply.header("tenure-at").unwrap(), reply.header("tenure-revision").unwrap());
    format!("{path}{}at={at}&revision={revision}", if path.contains('?') { '&' } else { '?' })
}

#[test]
fn a_credential_is_presented_as_a_bearer_token_or_as_basic_authentication() {
    use base64::Engine;
    let acme = stage();
    let basic = base64::engine::general_purpose::STANDARD.encode(acme.alice.replacen('.', ":", 1));
    for good in [format!("Bearer {}", acme.alice), format!("bEARER {}", acme.alice), format!("Basic {basic}")] {
        acme.server.send("GET", &path(""), &[("authorization", &good)], None).expect(200);
    }
    let no_secret = format!("Bearer {}", id(&acme.alice));
    for bad in [no_secret.as_str(), &format!("Token {}", acme.alice), "Basic !!", "Bearer", "Bearer .", &acme.alice] {
        acme.server.send("GET", &path(""), &[("authorization", bad)], None).refused(401, "unauthenticated");
    }
    let twice = format!("Bearer {}", acme.alice);
    let headers = [("authorization", twice.as_str()), ("authorization", &twice)];
    acme.server.send("GET", &path(""), &headers, None).refused(400, "malformed");
}

#[test]
fn every_read_names_its_view_and_the_newest_revision_and_is_not_stored() {
    let acme = stage();
    let head = acme.head();
    for read in reads(&acme) {
        let reply = acme.get(&read).expect(200);
        assert_eq!(reply.header("tenure-revision"), Some(head.to_string().as_str()), "{read}");
        assert!(reply.header("tenure-at").is_some_and(|at| at.ends_with('Z')), "{read}");
        assert_eq!(reply.header("etag"), Some(format!("\"{head}\"").as_str()), "{read}");
        assert_eq!(reply.header("cache-control"), Some("no-store"), "{read}");
        let past = acme.get(&format!("{read}{}at={}", if read.contains('?') { '&' } else { '?' }, head));
        assert_eq!(past.header("etag"), Some(format!("\"{head}\"").as_str()), "{read}");
    }
}

#[test]
fn a_view_has_the_same_bytes_after_changes_and_a_restart() {
    let acme = stage();
    let asked: Vec<String> = reads(&acme).iter().map(|read| pinned(read, &acme.get(read).expect(200))).collect();
    let mias = question("user:mia", "deploy", "app@prod");
    let asking = pinned("access/v1/evaluation?explain=true", &acme.ask_as(&acme.alice, "", &mias).expect(200));
    let texts = |acme: &Acme| -> Vec<String> {
        let reads = asked.iter().map(|path| acme.get(path).expect(200).text);
        reads.chain([acme.post(&asking, &mias).expect(200).text]).collect()
    };
    let before = texts(&acme);

    acme.delete("members/mia").expect(200);
    acme.patch("environments/prod", &json!({"restricted": false, "name": "production"})).expect(200);
    acme.post("environments", &json!({"name": "prod"})).expect(201);
    acme.delete("service-users/ci").expect(200);
    acme.service_user("ci");
    acme.rbac(false);
    assert_eq!(texts(&acme), before);

    let acme = acme.restart();
    assert_eq!(texts(&acme), before);
}

#[test]
fn a_response_is_about_the_requested_instant_or_revision() {
    let acme = stage();
    let revision = acme.head();
    let instant = acme.events().last().unwrap()["time"].as_str().unwrap().to_owned();
    acme.delete("environments/prod").expect(200);
    for at in [instant.clone(), revision.to_string(), format!("{instant}&revision={revision}")] {
        let reply = acme.get(&format!("environments/prod?at={at}")).expect(200);
        assert_eq!(reply.header("tenure-revision"), Some(revision.to_string().as_str()), "{at}");
        assert_eq!(reply.header("tenure-at"), Some(instant.as_str()), "{at}");
    }
    acme.get("environments/prod").refused(404, "not_found");
}

#[test]
fn a_revision_inside_a_command_means_its_last_one() {
    let acme = stage();
    let reply = acme.get("?at=1").expect(200);
    assert_eq!(reply.header("tenure-revision"), Some("4"));
    let reply = acme.get("environments?at=2").expect(200);
    assert_eq!(reply.json["items"][0]["name"], "main");
}

#[test]
fn an_unknown_view_is_refused_on_every_read() {
    let acme = stage();
    let first = acme.events()[0]["time"].as_str().unwrap().to_owned();
    let past_head = format!("at={}", acme.head() + 1);
    let later_than_beside = format!("at={first}&revision={}", acme.head());
    let bad = ["at=2999-01-01T00:00:00Z", &past_head, &later_than_beside, "revision=1", "at=1&revision=1", "at=soon"];
    let worse = ["at=", "at=-1", "at=1&at=2", "wat=1", "at=2026-03-01", "at_least=x"];
    for read in reads(&acme) {
        for query in bad.iter().chain(&worse) {
            let reply = acme.get(&format!("{read}{}{query}", if read.contains('?') { '&' } else { '?' }));
            assert_eq!((reply.status, reply.code()), (422, "invalid"), "{read} {query}: {}", reply.text);
        }
    }
    for query in bad.iter().chain(&worse) {
        let asked = acme.ask_as(&acme.alice, &format!("?{query}"), &question("user:mia", "read", "app@prod"));
        asked.refused(422, "invalid");
    }
}

#[test]
fn the_past_cannot_be_changed() {
    let acme = stage();
    let head = acme.head();
    let writes = [
        ("POST", "environments?at=1", json!({"name": "dev"})),
        ("PUT", "rbac?at=1", json!({"enabled": false})),
        ("PATCH", "members/mia?at=2026-01-01T00:00:00Z", json!({"role": "manager"})),
        ("DELETE", "environments/prod?at=1", Value::Null),
        ("POST", "commands?at=1", json!({"commands": [{"type": "rbac.disable"}]})),
        ("PUT", "members/mia/profile?at=1", json!({"name": "M"})),
        ("DELETE", "?at=1", Value::Null),
        ("POST", "environments?revision=1", json!({"name": "dev"})),
        ("POST", "environments?explain=true", json!({"name": "dev"})),
    ];
    for (method, write, body) in writes {
        acme.call(method, write, &acme.alice, &body).refused(422, "invalid");
    }
    assert_eq!(acme.head(), head);
}

#[test]
fn authority_is_of_now_in_every_view() {
    let acme = stage();
    let mia = acme.post("members/mia/tokens", &Value::Null).expect(201).credential("token");
    let head = acme.head();
    acme.call("GET", &format!("events?at={head}"), &mia, &Value::Null).refused(403, "forbidden");
    acme.patch("members/mia", &json!({"role": "manager"})).expect(200);
    acme.call("GET", &format!("events?at={head}"), &mia, &Value::Null).expect(200);
    acme.delete("members/mia").expect(200);
    acme.call("GET", &format!("events?at={head}"), &mia, &Value::Null).refused(401, "unauthenticated");
}

#[test]
fn at_least_requires_a_state_that_new() {
    let acme = stage();
    let head = acme.head();
    acme.get(&format!("members?at_least={head}")).expect(200);
    let reply = acme.get(&format!("members?at_least={}", head + 1)).refused(503, "not_there_yet");
    assert!(reply.header("retry-after").is_some());
    let asked = acme.ask_as(&acme.alice, &format!("?at_least={}", head + 1), &question("user:mia", "read", "app@prod"));
    asked.refused(503, "not_there_yet");
}

#[test]
fn before_the_first_event_a_view_is_empty() {
    let acme = stage();
    let early = "at=2001-01-01T00:00:00Z";
    let of_people = ["members", "tokens", "service-users", "access-keys"];
    for list in of_people.iter().chain(&["environments", "events", "audit/access", "resource-types", "resources"]) {
        let reply = acme.get(&format!("{list}?{early}")).expect(200);
        assert_eq!(reply.json["items"], json!([]), "{list}");
        assert_eq!(reply.header("tenure-revision"), Some("0"), "{list}");
    }
    acme.get(&format!("?{early}")).refused(404, "not_found");
    let asked = acme.ask_as(&acme.alice, &format!("?{early}"), &question("user:alice", "read", "app@main"));
    assert_eq!(asked.expect(200).json, json!({"decision": false}));
}

#[test]
fn a_pinned_response_has_nothing_from_outside_the_log() {
    let acme = stage();
    let mia = acme.get("members/mia").expect(200);
    assert_eq!((mia.json["name"].as_str(), mia.json["email"].as_str()), (Some("Mia M."), Some("mia@example.com")));
    let head = acme.head();
    let pinned = acme.get(&format!("members/mia?at={head}")).expect(200);
    assert!(!pinned.text.contains("Mia M.") && !pinned.text.contains("example.com"));
    assert!(!acme.get(&format!("members?at={head}")).expect(200).text.contains("Mia M."));
    let token = format!("tokens/{}", id(&acme.alice));
    assert!(acme.get(&token).expect(200).json["last_used_at"].is_string());
    assert!(acme.get(&format!("{token}?at={head}")).expect(200).json["last_used_at"].is_null());
}

#[test]
fn a_list_of_workspaces_takes_an_instant_only() {
    let acme = stage();
    let before = acme.events()[0]["time"].as_str().unwrap().to_owned();
    acme.server.delete("/v1/workspaces/acme", OPERATOR).expect(200);
    let list = |query: &str| acme.server.get(&format!("/v1/workspaces{query}"), OPERATOR);
    assert_eq!(list("").expect(200).json["items"], json!([]));
    assert_eq!(list(&format!("?at={before}")).expect(200).json["items"][0]["name"], "acme");
    for query in ["?at=3", "?at=2999-01-01T00:00:00Z", "?cursor=x", "?limit=0", "?which=all"] {
        list(query).refused(422, "invalid");
    }
}
