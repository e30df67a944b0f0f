//! The reasons of decisions as sentences. They name actors only to readers of the audit.

use serde_json::{Value, json};

use crate::support::acme::{Acme, TestClock, question};

/// Returns the sentences that alice gets.
#[track_caller]
fn told(acme: &Acme, subject: &str, action: &str, resource: &str) -> Vec<String> {
    sentences(&acme.explained(subject, action, resource))
}

fn sentences(answer: &Value) -> Vec<String> {
    let reasons = answer["context"]["reasons"].as_array().unwrap();
    reasons.iter().map(|reason| reason.as_str().unwrap().to_owned()).collect()
}

fn stage() -> (Acme, std::sync::Arc<TestClock>) {
    let clock = TestClock::start();
    let acme = Acme::with_clock(clock.clone());
    acme.member("bob", "member");
    acme.restricted("prod", "viewer");
    (acme, clock)
}

#[test]
fn the_reason_of_an_ended_grant_says_how_it_ended() {
    let (acme, clock) = stage();
    let never = told(&acme, "user:bob", "deploy", "app@prod");
    assert_eq!(never[0], "the principal has no grant in `prod`, so the default role, viewer, decides");
    assert!(
        never[1].starts_with("`prod` was restricted, with the default role viewer, at 2026-03-01T00:00:00.0"),
        "{never:?}"
    );
    assert_eq!(never[2], "the role is viewer, and contributor is required");
    clock.set("2026-03-02T00:00:00Z");
    let grant = json!({"role": "contributor", "expires_at": "2026-03-10T00:00:00Z"});
    acme.put("environments/prod/grants/user:bob", &grant).expect(200);
    let held = told(&acme, "user:bob", "deploy", "app@prod");
    let until = "the principal has a grant of their own in `prod`: contributor, until 2026-03-10T00:00:00.000000Z";
    assert_eq!(held[..2], [until, "the grant was given at 2026-03-02T00:00:00.000000Z by user:alice"]);
    clock.set("2026-03-10T00:00:00Z");
    let expired = told(&acme, "user:bob", "deploy", "app@prod");
    let how = "the principal's grant of contributor in `prod` expired at 2026-03-10T00:00:00.000000Z, so the default role, viewer, decides";
    assert_eq!(expired[..2], [how, "that grant was given at 2026-03-02T00:00:00.000000Z by user:alice"]);
    clock.set("2026-03-11T00:00:00Z");
    acme.grant("prod", "user:bob", "contributor");
    clock.set("2026-03-12T00:00:00Z");
    acme.delete("environments/prod/grants/user:bob").expect(200);
    let taken = told(&acme, "user:bob", "deploy", "app@prod");
    let how = "the principal's grant of contributor in `prod` was taken back at 2026-03-12T00:00:00.000000Z by user:alice, so the default role, viewer, decides";
    assert_eq!(taken[0], how);
}

#[test]
fn reasons_say_when_and_by_whose_act_something_ended() {
    let (acme, clock) = stage();
    acme.service_user("ci");
    clock.set("2026-03-02T00:00:00Z");
    acme.delete("members/bob").expect(200);
    acme.delete("service-users/ci").expect(200);
    let first = |subject, resource| told(&acme, subject, "deploy", resource)[0].clone();
    let removed = "the user was removed from the workspace at 2026-03-02T00:00:00.000000Z by user:alice";
    assert_eq!(first("user:bob", "app@prod"), removed);
    let deleted = "the service user was deleted at 2026-03-02T00:00:00.000001Z by user:alice";
    assert_eq!(first("service_user:ci", "app@prod"), deleted, "by its name too");
    assert_eq!(first("user:nobody", "app@prod"), "the user is not a member of the workspace");
    acme.member("eve", "member");
    clock.set("2026-03-03T00:00:00Z");
    acme.rbac(false);
    let off = told(&acme, "user:eve", "deploy", "app@prod");
    assert_eq!(off[1], "RBAC was turned off at 2026-03-03T00:00:00.000000Z by user:alice");
    clock.set("2026-03-04T00:00:00Z");
    acme.patch("environments/prod", &json!({"name": "production"})).expect(200);
    assert_eq!(first("user:eve", "app@prod"), "no environment is called so; the one that was is called `production`");
    acme.delete("environments/production").expect(200);
    let gone = "the environment `production` was deleted at 2026-03-04T00:00:00.000001Z by user:alice";
    assert_eq!(first("user:eve", "app@production"), gone);
}

#[test]
fn reasons_give_the_start_of_roles_and_open_environments() {
    let (acme, clock) = stage();
    clock.set("2026-03-02T00:00:00Z");
    acme.patch("members/bob", &json!({"role": "manager"})).expect(200);
    let manager = told(&acme, "user:bob", "deploy", "app@prod");
    assert!(manager[0].ends_with("contributors in every environment"), "{manager:?}");
    assert_eq!(manager[1], "the user became a manager at 2026-03-02T00:00:00.000000Z by user:alice");
    let owners = told(&acme, "user:bob", "manage_owners", "workspace");
    let expected = ["the workspace role decides", &manager[1], "the role is manager, and owner is required"];
    assert_eq!(owners, expected);
    acme.service_user("ci");
    let service_user = told(&acme, "service_user:ci", "manage_members", "workspace");
    assert_eq!(service_user[0], "a service user has no workspace role, and manages nothing");
    clock.set("2026-03-03T00:00:00Z");
    acme.patch("environments/prod", &json!({"restricted": false})).expect(200);
    let open = told(&acme, "service_user:ci", "deploy", "app@prod");
    assert_eq!(open[1], "`prod` was opened to every principal at 2026-03-03T00:00:00.000000Z by user:alice");
}

#[test]
fn the_reason_of_an_ended_proxy_token_says_how_it_ended() {
    let (acme, clock) = stage();
    let ask = |token: &str| told(&acme, &format!("proxy_token:{token}"), "call", "web_function@prod")[0].clone();
    let body = json!({"environments": ["prod"], "expires_at": "2026-03-05T00:00:00Z"});
    let short = acme.made("proxy-tokens", &body, "proxy_token");
    let taken = acme.made("proxy-tokens", &json!({"environments": ["prod"]}), "proxy_token");
    clock.set("2026-03-04T00:00:00Z");
    acme.delete(&format!("proxy-tokens/{taken}")).expect(200);
    assert_eq!(ask(&taken), "the proxy token was revoked at 2026-03-04T00:00:00.000000Z by user:alice");
    clock.set("2026-03-05T00:00:00Z");
    assert_eq!(ask(&short), "the proxy token expired at 2026-03-05T00:00:00.000000Z");
}

#[test]
fn only_auditors_see_who_acted() {
    let clock = TestClock::start();
    let acme = Acme::with_clock(clock.clone());
    let bob = acme.member("bob", "member");
    let evaluator = acme.access_key("evaluator");
    acme.restricted("prod", "viewer");
    acme.restricted("vault", "no_access");
    acme.put("environments/prod/grants/user:bob?reason=SEC-9", &json!({"role": "contributor"})).expect(200);
    acme.put("environments/vault/grants/user:bob?reason=SEC-9", &json!({"role": "contributor"})).expect(200);
    acme.delete("environments/prod/grants/user:bob").expect(200);
    acme.delete("environments/vault/grants/user:bob").expect(200);
    let deploy = question("user:bob", "deploy", "app@prod");
    for who in [&bob, &evaluator] {
        let answer = acme.ask_as(who, "?explain=true", &deploy).expect(200);
        assert!(
            sentences(&answer.json)[0].starts_with("the principal's grant of contributor in `prod` was taken back at")
        );
        assert!(!answer.text.contains("alice") && !answer.text.contains("SEC-9"), "{}", answer.text);
    }
    let hidden = acme.ask_as(&bob, "?explain=true", &question("user:bob", "deploy", "app@vault")).expect(200);
    let never = acme.ask_as(&bob, "?explain=true", &question("user:bob", "deploy", "app@nowhere")).expect(200);
    assert_eq!(sentences(&hidden.json), sentences(&never.json), "it is as if it never was");
}
