//! Credentials made with credentials, through every route, and their end when their issuers leave.

use serde_json::{Value, json};

use crate::support::acme::{Acme, TestClock, id, types};
use crate::support::server::Reply;

const END: &str = "2026-03-01T00:01:00.000000Z";
const LATER: &str = "2026-03-01T00:01:00.000001Z";

/// Starts a workspace with a restricted environment, a service user, and a manager whose token lives a minute.
fn stage(clock: &std::sync::Arc<TestClock>) -> (Acme, String) {
    let acme = Acme::with_clock(clock.clone());
    acme.restricted("prod", "viewer");
    acme.service_user("ci");
    acme.post("members", &json!({"user": "mark", "role": "manager"})).expect(201);
    let mark = acme.post("members/mark/tokens", &json!({"expires_at": END})).expect(201).credential("token");
    (acme, mark)
}

/// Returns each route that makes a credential, with its body and the kind of credential.
fn makers() -> [(&'static str, Value, &'static str); 6] {
    [
        ("members/mark/tokens", json!({}), "token"),
        ("service-users/ci/tokens", json!({}), "token"),
        ("service-users", json!({"name": "robot"}), "token"),
        ("proxy-tokens", json!({"environments": ["prod"]}), "proxy_token"),
        ("access-keys", json!({"role": "auditor", "label": "audit"}), "access_key"),
        ("access-keys", json!({"role": "evaluator", "label": "checks"}), "access_key"),
    ]
}

/// Returns the same as commands of a batch.
fn commands() -> Vec<Value> {
    vec![
        json!({"type": "token.issue", "user": "mark"}),
        json!({"type": "token.issue", "service_user": "ci"}),
        json!({"type": "service_user.create", "name": "robot-of-a-batch"}),
        json!({"type": "proxy_token.create", "environments": ["prod"]}),
        json!({"type": "access_key.issue", "role": "auditor", "label": "audit"}),
    ]
}

fn with_end(body: &Value, end: &str) -> Value {
    let mut body = body.clone();
    body["expires_at"] = json!(end);
    body
}

/// Returns the expiries in the events of a response.
fn ends(reply: &Reply) -> Vec<Value> {
    let events = reply.json["events"].as_array().unwrap().iter();
    let made = events.filter(|event| event["data"].get("sha256").is_some() || event["type"] == "token.issued.v1");
    made.map(|event| event["data"]["expires_at"].clone()).collect()
}

#[test]
fn a_credential_made_with_a_short_lived_token_ends_with_it_on_every_route() {
    let clock = TestClock::start();
    let (acme, mark) = stage(&clock);
    let mut made = Vec::new();
    for (route, body, kind) in makers() {
        let reply = acme.call("POST", route, &mark, &body).expect(201);
        assert_eq!(reply.json[kind]["expires_at"], END, "{route}");
        made.push((kind, reply.credential(kind)));
    }
    let batch = json!({"commands": commands()});
    let foreseen = acme.call("POST", "audit/what-if", &mark, &batch).expect(200);
    let batch = acme.call("POST", "commands", &mark, &batch).expect(200);
    for reply in [&foreseen, &batch] {
        let events = reply.json["events"].as_array().unwrap();
        let ends: Vec<_> = events.iter().filter_map(|event| event["data"].get("expires_at")).collect();
        assert_eq!(ends, [END; 5], "{}", reply.text);
    }
    assert_eq!(ends(&batch).len(), 5);
    acme.delete("members/mark").expect(200);
    clock.set(END);
    for (kind, credential) in made {
        let status = if kind == "proxy_token" {
            acme.proxy("prod", &credential).status
        } else {
            acme.call("GET", "", &credential, &Value::Null).status
        };
        assert_eq!(status, 401, "{kind} {credential}");
    }
}

#[test]
fn a_short_lived_token_cannot_make_a_longer_lived_credential() {
    let clock = TestClock::start();
    let (acme, mark) = stage(&clock);
    let head = acme.head();
    let routes = makers().into_iter().filter(|(route, ..)| *route != "service-users");
    for (route, body, _) in routes {
        let refused = acme.call("POST", route, &mark, &with_end(&body, LATER)).refused(422, "invalid");
        let detail = refused.json["detail"].as_str().unwrap();
        assert!(detail.contains("`expires_at`") && detail.contains(END) && detail.contains(LATER), "{detail}");
    }
    for command in commands().into_iter().filter(|command| command["type"] != "service_user.create") {
        let batch = json!({"commands": [{"type": "rbac.enable"}, with_end(&command, LATER)]});
        for route in ["commands", "audit/what-if"] {
            let refused = acme.call("POST", route, &mark, &batch).refused(422, "invalid");
            assert!(refused.json["detail"].as_str().unwrap().starts_with("commands[1]: "), "{}", refused.text);
        }
    }
    assert_eq!(acme.head(), head);
    for (route, body, kind) in makers().into_iter().filter(|(route, ..)| *route != "service-users") {
        let made = acme.post(route, &with_end(&body, LATER)).expect(201);
        assert_eq!(made.json[kind]["expires_at"], LATER, "an owner's token has no end: {route}");
        let sooner = "2026-03-01T00:00:30.000000Z";
        let made = acme.call("POST", route, &mark, &with_end(&body, sooner)).expect(201);
        assert_eq!(made.json[kind]["expires_at"], sooner);
    }
}

/// Adds a manager who issues a token, a service user, a proxy token and an access key.
fn issuer() -> (Acme, [(&'static str, String); 4]) {
    let acme = Acme::new();
    acme.restricted("prod", "viewer");
    acme.service_user("ci");
    let mark = acme.member("mark", "manager");
    let issue = |route: &str, body: Value, kind: &'static str| {
        (kind, acme.call("POST", route, &mark, &body).expect(201).credential(kind))
    };
    let issued = [
        issue("service-users/ci/tokens", json!({}), "token"),
        issue("service-users", json!({"name": "robot"}), "token"),
        issue("proxy-tokens", json!({"environments": ["prod"]}), "proxy_token"),
        issue("access-keys", json!({"role": "auditor", "label": "audit"}), "access_key"),
    ];
    (acme, issued)
}

fn is_live(acme: &Acme, (kind, credential): &(&str, String)) -> bool {
    match *kind {
        "proxy_token" => acme.proxy("prod", credential).status == 204,
        _ => acme.call("GET", "", credential, &Value::Null).status == 200,
    }
}

const ENDS: [&str; 6] =
    ["token.revoked", "token.revoked", "token.revoked", "proxy_token.revoked", "access_key.revoked", "member.removed"];

#[test]
fn a_member_and_the_credentials_they_issued_are_removed_in_one_command() {
    let (acme, issued) = issuer();
    let ours = acme.proxy_token(Some(&["prod"]));
    acme.delete("members/mark?revoke_issued=perhaps").refused(422, "invalid");
    acme.delete("members/mark?revoke_issue=true").refused(422, "invalid");
    let removed = acme.delete("members/mark?revoke_issued=true&reason=HR-31").expect(200);
    assert_eq!(types(&removed), ENDS);
    let commands: std::collections::BTreeSet<_> =
        removed.json["events"].as_array().unwrap().iter().map(|event| event["command"].as_str().unwrap()).collect();
    assert_eq!(commands.len(), 1);
    assert!(issued.iter().all(|credential| !is_live(&acme, credential)));
    assert!(is_live(&acme, &("proxy_token", ours.clone())), "{ours}");
    let acme = acme.restart();
    assert!(issued.iter().all(|credential| !is_live(&acme, credential)));
}

#[test]
fn credentials_that_a_removed_member_issued_stay_by_default() {
    for query in ["", "?revoke_issued=false"] {
        let (acme, issued) = issuer();
        let removed = acme.delete(&format!("members/mark{query}")).expect(200);
        assert_eq!(types(&removed), ["token.revoked", "member.removed"]);
        assert!(issued.iter().all(|credential| is_live(&acme, credential)));
        let left = acme.get("audit/credentials?issued_by=user:mark").expect(200);
        let left: Vec<_> =
            left.json["items"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap()).collect();
        assert_eq!(left, issued.each_ref().map(|(_, credential)| id(credential)));
    }
}

#[test]
fn a_batch_and_a_what_if_revoke_the_credentials_a_member_issued_too() {
    let (acme, issued) = issuer();
    let batch = json!({"commands": [{"type": "member.remove", "user": "mark", "revoke_issued": true}]});
    let foreseen = acme.post("audit/what-if", &batch).expect(200);
    assert_eq!(types(&foreseen), ENDS);
    assert!(issued.iter().all(|credential| is_live(&acme, credential)));
    acme.post("commands", &json!({"commands": [{"type": "member.remove", "user": "mark", "revoke_issued": "yes"}]}))
        .refused(400, "malformed");
    assert_eq!(types(&acme.post("commands", &batch).expect(200)), ENDS);
    assert!(issued.iter().all(|credential| !is_live(&acme, credential)));
}

#[test]
fn a_leaver_revokes_the_credentials_they_issued_only_as_an_administrator() {
    let (acme, issued) = issuer();
    let mark = acme.post("members/mark/tokens", &Value::Null).expect(201).credential("token");
    acme.patch("members/mark", &json!({"role": "member"})).expect(200);
    acme.call("DELETE", "members/mark?revoke_issued=true", &mark, &Value::Null).refused(403, "forbidden");
    acme.patch("members/mark", &json!({"role": "manager"})).expect(200);
    acme.call("DELETE", "members/mark?revoke_issued=true", &mark, &Value::Null).expect(200);
    assert!(issued.iter().all(|credential| !is_live(&acme, credential)));
}

#[test]
fn credentials_are_listed_by_issuer() {
    let (acme, issued) = issuer();
    let ids = |query: &str| -> Vec<String> {
        let answer = acme.get(&format!("audit/credentials?{query}")).expect(200);
        answer.json["items"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
    };
    let of_mark = ids("issued_by=user:mark");
    assert_eq!(of_mark, issued.each_ref().map(|(_, credential)| id(credential).to_owned()));
    let (of_alice, of_operator) = (ids("issued_by=user:alice"), ids("issued_by=operator"));
    assert_eq!(ids("").len(), of_mark.len() + of_alice.len() + of_operator.len());
    let pages = acme.get("audit/credentials?issued_by=user:mark&limit=3").expect(200);
    assert_eq!(pages.json["query"], json!({"issued_by": "user:mark"}));
    let next = pages.json["next"].as_str().unwrap();
    let rest = acme.get(&format!("audit/credentials?issued_by=user:mark&limit=3&cursor={next}")).expect(200);
    assert_eq!(rest.json["items"].as_array().unwrap().len(), 1);
    assert_eq!(acme.get("audit/credentials").expect(200).json["query"], json!({}));
    for nobody in ["user:nobody", "mark", "key_x", ""] {
        acme.get(&format!("audit/credentials?issued_by={nobody}")).refused(404, "not_found");
    }
    acme.delete(&format!("tokens/{}", of_mark[0])).expect(200);
    assert_eq!(ids("issued_by=user:mark"), of_mark[1..]);
    let before = acme.head() - 1;
    assert_eq!(ids(&format!("issued_by=user:mark&at={before}")), of_mark);
}

#[test]
fn a_principal_holds_no_more_live_tokens_than_the_limit() {
    let acme = Acme::new();
    acme.service_user("ci");
    let issue = |holder: &str| acme.post(&format!("{holder}/tokens"), &Value::Null);
    for holder in ["members/alice", "service-users/ci"] {
        let mut last = String::new();
        for _ in 1..50 {
            last = issue(holder).expect(201).credential("token");
        }
        let refused = issue(holder).refused(422, "too_large");
        assert!(
            refused.json["detail"].as_str().unwrap().contains("50 live API tokens a principal"),
            "{}",
            refused.text
        );
        acme.delete(&format!("tokens/{}", id(&last))).expect(200);
        issue(holder).expect(201);
        issue(holder).refused(422, "too_large");
    }
    let one = json!({"type": "token.issue", "service_user": "ci"});
    let made = json!({"type": "service_user.create", "name": "robot"});
    acme.post("commands", &json!({"commands": [made, one]})).refused(422, "too_large");
    let acme = acme.restart();
    acme.post("members/alice/tokens", &Value::Null).refused(422, "too_large");
}

#[test]
fn only_null_makes_a_grant_with_an_end_endless() {
    let acme = Acme::new();
    acme.restricted("prod", "viewer");
    acme.member("mia", "member");
    let grant = "environments/prod/grants/user:mia";
    let end = "2999-01-01T00:00:00.000000Z";
    acme.put(grant, &json!({"role": "contributor", "expires_at": end})).expect(200);
    let (set, one) = (
        json!({"type": "grant.set", "environment": "prod", "principal": "user:mia", "role": "viewer"}),
        json!({"principal": "user:mia", "role": "viewer"}),
    );
    let restrict = json!({"type": "environment.restrict", "environment": "prod", "grants": [one]});
    let head = acme.head();
    let tries = [
        acme.put(grant, &json!({"role": "viewer"})),
        acme.put(grant, &json!({"role": "contributor"})),
        acme.post("commands", &json!({"commands": [set]})),
        acme.post("commands", &json!({"commands": [restrict]})),
        acme.post("audit/what-if", &json!({"commands": [set]})),
        acme.patch("environments/prod", &json!({"grants": [one]})),
        acme.patch("environments/prod", &json!({"restricted": true, "grants": [one]})),
    ];
    for tried in tries {
        let refused = tried.refused(409, "expiry_required");
        let detail = refused.json["detail"].as_str().unwrap();
        for part in ["`user:mia`", "`prod`", end, "`expires_at`", "`null`"] {
            assert!(detail.contains(part), "{part}: {detail}");
        }
    }
    assert_eq!(acme.head(), head);
    let for_good = |mut body: Value| {
        body["expires_at"] = Value::Null;
        body
    };
    let again = || acme.put(grant, &json!({"role": "contributor", "expires_at": end})).expect(200);
    let set_for_good = acme.put(grant, &json!({"role": "contributor", "expires_at": null})).expect(200);
    assert_eq!(set_for_good.json["grant"]["expires_at"], Value::Null);
    again();
    acme.post("commands", &json!({"commands": [for_good(set)]})).expect(200);
    again();
    acme.patch("environments/prod", &json!({"grants": [for_good(one)]})).expect(200);
    assert_eq!(acme.get(grant).expect(200).json["expires_at"], Value::Null);
    acme.put(grant, &json!({"role": "contributor"})).expect(200);
}
