//! The rate limit on failed authentication: for each id and address apart, and never for the right secret.

use std::sync::Arc;

use serde_json::Value;

use crate::support::acme::{Acme, TestClock, id, path};
use crate::support::server::{OPERATOR, Reply, Server};

fn stage() -> (Arc<TestClock>, Acme) {
    let clock = TestClock::start();
    let acme = Acme::on(Server::behind("127.0.0.1", clock.clone()));
    acme.rbac(true);
    (clock, acme)
}

/// Sends a request from an address, as a loopback proxy reports it.
fn from(acme: &Acme, address: &str, target: &str, credential: &str) -> Reply {
    let authorization = format!("Bearer {credential}");
    let headers = [("authorization", authorization.as_str()), ("x-forwarded-for", address)];
    acme.server.send("GET", target, &headers, None)
}

fn with_wrong_secret(credential: &str) -> String {
    format!("{}.{}", id(credential), "0".repeat(64))
}

/// Fails as often as allowed, then once more.
#[track_caller]
fn fail_until_limited(acme: &Acme, address: &str, target: &str, credential: &str) -> Reply {
    for _ in 0..10 {
        let refused = from(acme, address, target, credential).refused(401, "unauthenticated");
        assert!(refused.header("www-authenticate").is_some());
    }
    from(acme, address, target, credential).refused(429, "too_many_attempts")
}

#[test]
fn after_ten_failures_more_are_429_with_a_time_to_retry() {
    let (clock, acme) = stage();
    let wrong = with_wrong_secret(&acme.alice);
    let limited = fail_until_limited(&acme, "192.0.2.1", &path(""), &wrong);
    assert_eq!(limited.header("retry-after"), Some("6"));
    assert_eq!(limited.header("content-type"), Some("application/problem+json"));
    clock.pass(4_500_000);
    let limited = from(&acme, "192.0.2.1", &path(""), &wrong).refused(429, "too_many_attempts");
    assert_eq!(limited.header("retry-after"), Some("2"));
    clock.pass(2_000_000);
    from(&acme, "192.0.2.1", &path(""), &wrong).refused(401, "unauthenticated");
    from(&acme, "192.0.2.1", &path(""), &wrong).refused(429, "too_many_attempts");
}

#[test]
fn the_right_secret_passes_after_any_failures() {
    let (_, acme) = stage();
    let evaluator = acme.access_key("evaluator");
    let proxy_token = acme.proxy_token(Some(&["main"]));
    for (credential, target, good) in [
        (acme.alice.as_str(), path(""), 200),
        (OPERATOR, path(""), 200),
        (evaluator.as_str(), path(""), 403),
        (proxy_token.as_str(), path("proxy-auth/main"), 204),
    ] {
        let wrong = with_wrong_secret(credential);
        fail_until_limited(&acme, "192.0.2.1", &target, &wrong);
        for _ in 0..3 {
            from(&acme, "192.0.2.1", &target, credential).expect(good);
            from(&acme, "192.0.2.1", &target, &wrong).refused(429, "too_many_attempts");
        }
    }
}

#[test]
fn other_ids_and_addresses_are_not_limited() {
    let (_, acme) = stage();
    let (alice, bob) = (with_wrong_secret(&acme.alice), with_wrong_secret(&acme.member("bob", "member")));
    fail_until_limited(&acme, "192.0.2.1", &path(""), &alice);
    from(&acme, "192.0.2.1", &path(""), &bob).refused(401, "unauthenticated");
    from(&acme, "192.0.2.2", &path(""), &alice).refused(401, "unauthenticated");
    from(&acme, "2001:db8::1", &path(""), &alice).refused(401, "unauthenticated");
}

#[test]
fn all_ways_to_present_an_id_are_counted_together() {
    let (_, acme) = stage();
    let token = acme.proxy_token(Some(&["main"]));
    let wrong = with_wrong_secret(&token);
    fail_until_limited(&acme, "192.0.2.1", &path("proxy-auth/main"), &wrong);
    from(&acme, "192.0.2.1", &path(""), &wrong).refused(429, "too_many_attempts");
    let headers = [("tenure-key", id(&token)), ("tenure-secret", "wrong"), ("x-forwarded-for", "192.0.2.1")];
    acme.server.send("GET", &path("proxy-auth/main"), &headers, None).refused(429, "too_many_attempts");
}

#[test]
fn unknown_ids_are_limited_too_and_a_missing_id_is_not() {
    let (_, acme) = stage();
    fail_until_limited(&acme, "192.0.2.1", &path(""), "nonsense.wrong");
    for _ in 0..20 {
        acme.server.send("GET", &path(""), &[("x-forwarded-for", "192.0.2.1")], None).refused(401, "unauthenticated");
    }
}

#[test]
fn an_address_from_an_untrusted_header_is_ignored() {
    let clock = TestClock::start();
    let acme = Acme::with_clock(clock);
    let wrong = with_wrong_secret(&acme.alice);
    for number in 0..10 {
        from(&acme, &format!("192.0.2.{number}"), &path(""), &wrong).refused(401, "unauthenticated");
    }
    from(&acme, "192.0.2.99", &path(""), &wrong).refused(429, "too_many_attempts");
    acme.call("GET", "", &wrong, &Value::Null).refused(429, "too_many_attempts");
}
