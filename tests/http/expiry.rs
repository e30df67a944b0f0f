//! Expiry: a fact is gone at its instant, before the event that records it. The tests set the clock.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::acme::{Acme, TestClock, id, types};

const BEFORE: &str = "2026-03-01T23:59:59.999999Z";
const END: &str = "2026-03-02T00:00:00Z";
const LATER: &str = "2026-03-03T00:00:00Z";

fn stage() -> (Arc<TestClock>, Acme) {
    let clock = TestClock::start();
    let acme = Acme::with_clock(clock.clone());
    acme.member("bob", "member");
    acme.restricted("prod", "viewer");
    (clock, acme)
}

fn grant_until(acme: &Acme, end: &str) {
    let body = json!({"role": "contributor", "expires_at": end});
    acme.put("environments/prod/grants/user:bob", &body).expect(200);
}

/// Returns the events of a type, as the operator reads them.
fn of_type(acme: &Acme, name: &str) -> Vec<Value> {
    acme.events().into_iter().filter(|event| event["type"] == name).collect()
}

/// Records the expiries and waits for them: a profile goes through the same writer and records no event.
fn run_maintenance(acme: &Acme) {
    acme.server.block_on(acme.server.service.run_maintenance()).unwrap();
    acme.server
        .put("/v1/workspaces/acme/members/bob/profile", crate::support::server::OPERATOR, &json!({}))
        .expect(200);
}

#[test]
fn a_grant_has_no_effect_from_its_end_on() {
    let (clock, acme) = stage();
    grant_until(&acme, END);
    clock.set(BEFORE);
    assert!(acme.allows("user:bob", "deploy", "app@prod"));
    clock.set(END);
    assert!(!acme.allows("user:bob", "deploy", "app@prod"));
    let why = acme.explained("user:bob", "deploy", "app@prod");
    assert_eq!(why["context"]["rule"], "default_role");
    acme.get("environments/prod/grants/user:bob").refused(404, "not_found");
    assert_eq!(acme.get("environments/prod/grants").json["items"], json!([]));
    let rows = acme.get("audit/access?principal=user:bob&environment=prod").json["items"].clone();
    assert_eq!(rows[0]["since"], "2026-03-02T00:00:00.000000Z");
}

#[test]
fn a_token_or_key_is_refused_from_its_end_on() {
    let (clock, acme) = stage();
    let until = json!({"expires_at": END});
    let token = acme.post("members/bob/tokens", &until).expect(201).credential("token");
    let body = json!({"role": "auditor", "label": "x", "expires_at": END});
    let key = acme.post("access-keys", &body).expect(201).credential("access_key");
    clock.set(BEFORE);
    for credential in [&token, &key] {
        acme.call("GET", "", credential, &Value::Null).expect(200);
    }
    clock.set(END);
    for credential in [&token, &key] {
        acme.call("GET", "", credential, &Value::Null).refused(401, "unauthenticated");
    }
    acme.get(&format!("tokens/{}", id(&token))).refused(404, "not_found");
    acme.get(&format!("access-keys/{}", id(&key))).refused(404, "not_found");
}

#[test]
fn the_system_records_an_expiry_before_the_next_command() {
    let (clock, acme) = stage();
    grant_until(&acme, END);
    let head = acme.head();
    clock.set(LATER);
    let made = acme.post("environments", &json!({"name": "dev"})).expect(201);
    assert_eq!(types(&made), ["environment.created"]);
    assert_eq!(made.json["revision"], head + 2);
    let expired = of_type(&acme, "grant.expired.v1");
    assert_eq!((&expired[0]["revision"], &expired[0]["actor"]), (&json!(head + 1), &json!("system")));
    assert!(expired[0].get("credential").is_none());
    assert_ne!(expired[0]["command"], made.json["events"][0]["command"]);
    assert!(expired[0]["time"].as_str() < made.json["events"][0]["time"].as_str());
}

#[test]
fn maintenance_records_expiries_in_order() {
    let (clock, acme) = stage();
    grant_until(&acme, "2026-03-02T03:00:00Z");
    acme.post("members/bob/tokens", &json!({"expires_at": "2026-03-02T02:00:00Z"})).expect(201);
    let proxy = json!({"environments": ["prod"], "expires_at": "2026-03-02T01:00:00Z"});
    acme.post("proxy-tokens", &proxy).expect(201);
    acme.post("access-keys", &json!({"role": "auditor", "label": "x", "expires_at": END})).expect(201);
    let head = usize::try_from(acme.head()).unwrap();
    run_maintenance(&acme);
    assert_eq!(acme.events().len(), head, "nothing has expired yet");
    clock.set(LATER);
    run_maintenance(&acme);
    let types: Vec<String> = acme.events()[head..].iter().map(|event| event["type"].as_str().unwrap().into()).collect();
    assert_eq!(types, ["access_key.expired.v1", "proxy_token.expired.v1", "token.expired.v1", "grant.expired.v1"]);
    run_maintenance(&acme);
    assert_eq!(acme.events().len(), head + 4, "each is recorded once");
}

#[test]
fn commands_do_not_see_expired_facts() {
    let (clock, acme) = stage();
    grant_until(&acme, END);
    let token = acme.post("members/bob/tokens", &json!({"expires_at": END})).expect(201).credential("token");
    clock.set(LATER);
    acme.delete("environments/prod/grants/user:bob").refused(404, "not_found");
    acme.delete(&format!("tokens/{}", id(&token))).refused(404, "not_found");
    let given = acme.put("environments/prod/grants/user:bob", &json!({"role": "contributor"})).expect(200);
    assert_eq!(types(&given), ["grant.added"]);
    let removed = acme.delete("members/bob").expect(200);
    assert_eq!(types(&removed), ["grant.revoked", "token.revoked", "member.removed"], "only the token that has no end");
}

#[test]
fn an_end_that_is_not_in_the_future_is_refused() {
    let (clock, acme) = stage();
    clock.set(END);
    for end in [BEFORE, END] {
        acme.post("members/bob/tokens", &json!({"expires_at": end})).refused(422, "invalid");
        let grant = json!({"role": "viewer", "expires_at": end});
        acme.put("environments/prod/grants/user:bob", &grant).refused(422, "invalid");
    }
}

#[test]
fn an_expired_fact_is_gone_in_past_views_before_its_event() {
    let (clock, acme) = stage();
    grant_until(&acme, END);
    clock.set(LATER);
    run_maintenance(&acme);
    assert_eq!(of_type(&acme, "grant.expired.v1")[0]["time"], "2026-03-03T00:00:00.000000Z");
    let allowed = |at: &str| acme.allowed_at(at, "user:bob", "deploy", "app@prod");
    assert!(allowed("2026-03-01T12:00:00Z") && allowed(BEFORE));
    assert!(!allowed(END) && !allowed("2026-03-02T12:00:00Z") && !allowed(LATER));
    let rows =
        acme.get("audit/access?principal=user:bob&environment=prod&at=2026-03-02T12:00:00Z").json["items"].clone();
    assert_eq!((&rows[0]["role"], &rows[0]["since"]), (&json!("viewer"), &json!("2026-03-02T00:00:00.000000Z")));
    let now = acme.get("audit/access?principal=user:bob&environment=prod").json["items"].clone();
    assert_eq!(now[0]["since"], rows[0]["since"], "the end is the end, whenever the event came");
}

#[test]
fn times_never_run_back_when_the_clock_stops_or_steps_back() {
    let (clock, acme) = stage();
    clock.set(LATER);
    acme.environment("one");
    acme.environment("two");
    clock.set("2020-01-01T00:00:00Z");
    acme.environment("three");
    let acme = Acme { server: acme.server.restart_after(clock.clone(), |_| {}), alice: acme.alice };
    acme.environment("four");
    let times: Vec<String> = acme.events().iter().map(|event| event["time"].as_str().unwrap().to_owned()).collect();
    assert!(times.windows(2).all(|pair| pair[0] <= pair[1]), "{times:?}");
    let made: Vec<Value> = of_type(&acme, "environment.created.v1");
    assert!(made.windows(2).all(|pair| pair[0]["time"].as_str() < pair[1]["time"].as_str()), "{times:?}");
    acme.get("environments").expect(200);
}

#[test]
fn expired_facts_stay_expired_when_the_clock_steps_back() {
    let (clock, acme) = stage();
    grant_until(&acme, END);
    let token = acme.post("members/bob/tokens", &json!({"expires_at": END})).expect(201).credential("token");
    clock.set(END);
    assert!(!acme.allows("user:bob", "deploy", "app@prod"));
    let asked = acme.get("audit/access").expect(200);
    clock.set(BEFORE);
    assert!(!acme.allows("user:bob", "deploy", "app@prod"));
    acme.call("GET", "", &token, &Value::Null).refused(401, "unauthenticated");
    let (at, revision) = (asked.header("tenure-at").unwrap(), asked.header("tenure-revision").unwrap());
    assert_eq!(acme.get(&format!("audit/access?at={at}&revision={revision}")).expect(200).text, asked.text);
}

#[test]
fn expiries_are_recorded_after_a_restart() {
    let (clock, acme) = stage();
    grant_until(&acme, END);
    let head = acme.head();
    clock.set(LATER);
    let acme = Acme { server: acme.server.restart_after(clock.clone(), |_| {}), alice: acme.alice };
    run_maintenance(&acme);
    assert_eq!(of_type(&acme, "grant.expired.v1")[0]["revision"], head + 1);
}
