//! Proxy tokens: scoped, emptied, left without an environment, revoked, expired.

use serde_json::json;
use tenure::domain::model::role::Plan;

use super::{
    add, begin, delete_environment, environment, expiring, private_environment, proxy_token, rbac, revoke_proxy_token,
    scope, token, wide_proxy_token,
};
use crate::support::recording::{Recorder, Recording};

/// Every way in which a proxy token's scope can change and end.
pub(super) fn proxy_token_scopes(mut recorder: Recorder) -> Recording {
    let r = &mut recorder;
    begin(r, "2025-05-05 06:55", "relay", Plan::Team, "noor");
    r.step("2025-05-05 07:00", "noor", "", wide_proxy_token());
    let wide = r.made();
    r.step("2025-05-05 07:10", "noor", "RL-1", json!([add("felix", "manager"), token("felix")]));
    r.step(
        "2025-05-05 07:20",
        "noor",
        "RL-2",
        json!([rbac(true), environment("eu"), environment("us"), private_environment("apac", "no_access", &[]),]),
    );
    r.step("2025-05-05 07:30", "felix", "partner webhook", proxy_token(&["eu", "us"]));
    let partner = r.made();
    r.step("2025-05-05 07:32", "felix", "apac gateway", proxy_token(&["apac"]));
    let gateway = r.made();
    r.step("2025-05-05 07:40", "felix", "load test", expiring(proxy_token(&["us", "apac"]), "2025-05-09 18:00"));
    r.mark();
    r.step("2025-05-06 12:00", "felix", "partner opens in Singapore, RL-9", scope(&partner, &["eu", "us", "apac"]));
    r.step("2025-05-07 12:00", "felix", "suspected leak, RL-10", scope(&partner, &[]));
    r.mark();
    r.step("2025-05-08 08:00", "felix", "false alarm, RL-10", scope(&partner, &["eu", "apac"]));
    r.wait("2025-05-10 00:00");
    r.mark();
    r.step("2025-05-19 09:00", "noor", "leaving apac, RL-21", delete_environment("apac"));
    r.mark();
    r.step("2025-05-19 09:30", "felix", "RL-21", revoke_proxy_token(&gateway));
    r.step("2025-06-02 09:00", "noor", "from before RBAC, RL-25", revoke_proxy_token(&wide));
    r.step(
        "2025-06-02 09:05",
        "felix",
        "RL-26",
        json!([
            environment("apac"),
            scope(&partner, &["eu", "us"]),
            expiring(proxy_token(&["apac"]), "2025-12-31 23:59"),
        ]),
    );
    r.step("2025-07-01 08:00", "noor", "RL-30", rbac(false));
    recorder.finish()
}
