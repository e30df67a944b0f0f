//! The reference document on service users: every statement.

use serde_json::{Value, json};

use crate::reference::{assert_contributor, assert_viewer, stage};
use crate::support::server::OPERATOR;

#[test]
fn they_are_only_available_for_shared_workspaces() {
    let acme = stage();
    let body = crate::support::acme::workspace_body("solo", "personal", "team", "sam");
    let sam = acme.server.post("/v1/workspaces", OPERATOR, &body).expect(201).credential("token");
    let made = acme.server.post("/v1/workspaces/solo/service-users", &sam, &json!({"name": "ci"}));
    made.refused(409, "personal_workspace");
}

#[test]
fn owners_and_managers_make_them_and_members_do_not() {
    let acme = stage();
    let issue = |user: &str| acme.post(&format!("members/{user}/tokens"), &Value::Null).credential("token");
    let (mark, mia) = (issue("mark"), issue("mia"));
    acme.call("POST", "service-users", &mark, &json!({"name": "by-mark"})).expect(201);
    acme.call("POST", "service-users", &mia, &json!({"name": "by-mia"})).refused(403, "forbidden");
}

#[test]
fn their_names_are_lowercase_alphanumeric_with_hyphens_or_underscores() {
    let acme = stage();
    for name in ["ci-bot", "ci_bot", "bot2", "0", "key_rotator", "env_sync", "_ci", "-ci"] {
        acme.post("service-users", &json!({"name": name})).expect(201);
    }
    for name in ["CI", "ci bot", "ci.bot", "", "_-", "svc_01h455vb4pex5vsknk084sn02q"] {
        acme.post("service-users", &json!({"name": name})).refused(422, "invalid");
    }
}

#[test]
fn the_token_and_its_secret_come_with_the_creation_and_are_never_shown_again() {
    let acme = stage();
    let made = acme.post("service-users", &json!({"name": "robot"})).expect(201);
    let secret = made.json["token"]["secret"].as_str().unwrap();
    let token = acme.get(&format!("tokens/{}", made.json["token"]["id"].as_str().unwrap())).expect(200);
    assert!(!token.text.contains(secret));
    assert!(!acme.get("events").text.contains(secret));
}

#[test]
fn one_that_is_deleted_can_do_nothing_any_more() {
    let acme = stage();
    let robot = acme.service_user("robot");
    acme.call("GET", "", &robot, &Value::Null).expect(200);
    acme.delete("service-users/robot").expect(200);
    acme.call("GET", "", &robot, &Value::Null).refused(401, "unauthenticated");
    assert!(!acme.allows("service_user:robot", "read", "app@dev"));
}

#[test]
fn they_have_the_permissions_of_members_and_none_of_owners_or_managers() {
    let acme = stage();
    let robot = acme.service_user("robot");
    for environment in ["prod", "dev"] {
        assert_eq!(acme.role("service_user:robot", environment), acme.role("user:mia", environment));
    }
    acme.call("POST", "environments", &robot, &json!({"name": "x"})).refused(403, "forbidden");
    acme.call("GET", "events", &robot, &Value::Null).refused(403, "forbidden");
}

#[test]
fn a_grant_in_one_environment_keeps_production_isolated() {
    let acme = stage();
    acme.restricted("staging", "viewer");
    acme.grant("staging", "service_user:ci", "contributor");
    assert_contributor(&acme, "service_user:ci", "staging");
    assert_viewer(&acme, "service_user:ci", "prod");
}
