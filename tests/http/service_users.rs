//! Every statement of the reference document on service users.

use serde_json::{Value, json};

use crate::reference::{assert_contributor, assert_viewer, stage};
use crate::support::server::OPERATOR;

#[test]
fn service_users_are_for_shared_workspaces_only() {
    let acme = stage();
    let body = crate::support::acme::workspace_body("solo", "personal", "team", "sam");
    let sam = acme.server.post("/v1/workspaces", OPERATOR, &body).expect(201).credential("token");
    let made = acme.server.post("/v1/workspaces/solo/service-users", &sam, &json!({"name": "ci"}));
    made.refused(409, "personal_workspace");
}

#[test]
fn owners_and_managers_create_service_users_and_members_do_not() {
    let acme = stage();
    let issue = |user: &str| acme.post(&format!("members/{user}/tokens"), &Value::Null).credential("token");
    let (mark, mia) = (issue("mark"), issue("mia"));
    acme.call("POST", "service-users", &mark, &json!({"name": "by-mark"})).expect(201);
    acme.call("POST", "service-users", &mia, &json!({"name": "by-mia"})).refused(403, "forbidden");
}

#[test]
fn service_user_names_are_lowercase_alphanumeric_with_hyphens_or_underscores() {
    let acme = stage();
    for name in ["ci-bot", "ci_bot", "bot2", "0", "key_rotator", "env_sync", "_ci", "-ci"] {
        acme.post("service-users", &json!({"name": name})).expect(201);
    }
    for name in ["CI", "ci bot", "ci.bot", "", "_-", "svc_01h455vb4pex5vsknk084sn02q"] {
        acme.post("service-users", &json!({"name": name})).refused(422, "invalid");
    }
}

#[test]
fn the_secret_of_the_first_token_is_shown_once() {
    let acme = stage();
    let made = acme.post("service-users", &json!({"name": "robot"})).expect(201);
    let secret = made.json["token"]["secret"].as_str().unwrap();
    let token = acme.get(&format!("tokens/{}", made.json["token"]["id"].as_str().unwrap())).expect(200);
    assert!(!token.text.contains(secret));
    assert!(!acme.get("events").text.contains(secret));
}

#[test]
fn a_deleted_service_user_can_do_nothing() {
    let acme = stage();
    let robot = acme.service_user("robot");
    acme.call("GET", "", &robot, &Value::Null).expect(200);
    acme.delete("service-users/robot").expect(200);
    acme.call("GET", "", &robot, &Value::Null).refused(401, "unauthenticated");
    assert!(!acme.allows("service_user:robot", "read", "app@dev"));
}

#[test]
fn service_users_have_the_permissions_of_members() {
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
