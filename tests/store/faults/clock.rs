//! A clock that is wrong for a while: an hour behind, a day ahead. Times in a log never run back, expired access stays
//! expired, and a repeated request gets the same response.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use super::life::{open, verify_all};
use crate::support::acme::{Acme, TestClock, path, workspace_body};
use crate::support::server::{OPERATOR, Reply};

const NOON: &str = "2026-03-01T12:00:00Z";
const AN_HOUR_BACK: &str = "2026-03-01T11:00:00Z";
const IN_AN_HOUR: &str = "2026-03-01T13:00:00Z";
const TOMORROW: &str = "2026-03-02T12:00:00Z";

fn at_noon() -> (Arc<TestClock>, Acme) {
    let clock = TestClock::start();
    clock.set(NOON);
    (clock.clone(), Acme::with_clock(clock))
}

fn restarted(acme: Acme, clock: &Arc<TestClock>) -> Acme {
    let Acme { server, alice } = acme;
    Acme { server: server.restart_after(clock.clone(), |folder: &Path| verify_all(&open(folder))), alice }
}

fn keyed(acme: &Acme, name: &str) -> Reply {
    let authorization = format!("Bearer {OPERATOR}");
    let headers = [("authorization", &*authorization), ("content-type", "application/json"), ("idempotency-key", name)];
    let body = json!({"name": name}).to_string();
    acme.server.send("POST", &path("environments"), &headers, Some(body.as_bytes()))
}

fn newest(acme: &Acme) -> Value {
    acme.events().last().unwrap().clone()
}

#[test]
fn set_back_an_hour_changes_are_made_in_order_and_answers_stay_as_they_were() {
    let (clock, acme) = at_noon();
    let token = acme.member("bob", "member");
    acme.restricted("prod", "viewer");
    let body = json!({"role": "contributor", "expires_at": IN_AN_HOUR});
    acme.put("environments/prod/grants/user:bob", &body).expect(200);
    let first = keyed(&acme, "dev").expect(201);
    let asked = acme.get("audit/access?environment=prod").expect(200);
    let at = |reply: &Reply| {
        format!("at={}&revision={}", reply.header("tenure-at").unwrap(), reply.header("tenure-revision").unwrap())
    };
    let view = at(&asked);

    let mut acme = acme;
    clock.set(AN_HOUR_BACK);
    for name in ["while-running", "after-a-restart"] {
        assert_eq!(keyed(&acme, "dev").expect(201).json["revision"], first.json["revision"], "done once");
        let before = newest(&acme)["time"].as_str().unwrap().to_owned();
        acme.environment(name);
        assert!(newest(&acme)["time"].as_str().unwrap() > before.as_str(), "{name}");
        assert!(newest(&acme)["time"].as_str().unwrap() < "2026-03-01T12:00:01Z", "{name}");
        assert!(acme.allows("user:bob", "deploy", "app@prod"), "{name}: the grant has not ended");
        acme.call("GET", "", &token, &Value::Null).expect(200);
        let again = acme.get(&format!("audit/access?environment=prod&{view}")).expect(200);
        assert_eq!(again.text, asked.text, "{name}");
        acme = restarted(acme, &clock);
    }
    clock.set(IN_AN_HOUR);
    assert!(!acme.allows("user:bob", "deploy", "app@prod"));
    restarted(acme, &clock);
}

#[test]
fn set_forward_a_day_and_back_what_ended_meanwhile_stays_so_and_changes_go_on() {
    let (clock, acme) = at_noon();
    acme.member("bob", "member");
    acme.restricted("prod", "viewer");
    let body = json!({"role": "contributor", "expires_at": IN_AN_HOUR});
    acme.put("environments/prod/grants/user:bob", &body).expect(200);
    let token = acme.post("members/bob/tokens", &json!({"expires_at": IN_AN_HOUR})).expect(201).credential("token");
    let other = acme.server.post("/v1/workspaces", OPERATOR, &workspace_body("other", "shared", "team", "olga"));
    let olga = other.expect(201).credential("token");

    clock.set(TOMORROW);
    acme.environment("made-too-late");
    assert!(!acme.allows("user:bob", "deploy", "app@prod"));
    acme.call("GET", "", &token, &Value::Null).refused(401, "unauthenticated");

    clock.set(NOON);
    let acme = restarted(acme, &clock);
    assert!(!acme.allows("user:bob", "deploy", "app@prod"), "its end is in the log");
    acme.call("GET", "", &token, &Value::Null).refused(401, "unauthenticated");
    acme.environment("made-in-order");
    assert!(
        newest(&acme)["time"].as_str().unwrap() > "2026-03-02T12:00:00.000000Z",
        "the log is a day ahead until the day is over"
    );
    let soon = acme.post("members/bob/tokens", &json!({"expires_at": IN_AN_HOUR})).refused(422, "invalid");
    let detail = soon.json["detail"].as_str().unwrap();
    assert!(detail.contains("expires_at") && detail.contains("2026-03-02T12:00"), "it says what time it is: {detail}");
    acme.put("environments/prod/grants/user:bob", &json!({"role": "contributor"})).expect(200);
    assert!(acme.allows("user:bob", "deploy", "app@prod"), "it can be given again");

    let made = acme.server.post("/v1/workspaces/other/environments", &olga, &json!({"name": "dev"})).expect(201);
    let time = made.json["events"][0]["time"].as_str().unwrap();
    assert!(time < "2026-03-01T12:00:01Z", "another workspace, which was left alone, has the right time: {time}");
    restarted(acme, &clock);
}
