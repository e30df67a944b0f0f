//! Grants, tokens and keys that expire.

use serde_json::json;
use tenure::domain::model::role::Plan;

use super::{
    access_key, add, begin, expiring, grant, private_environment, proxy_token, rbac, revoke_access_key, revoke_grant,
    service_token, service_user, token,
};
use crate::support::recording::{Recorder, Recording};

/// Expiries of every kind: appended at once, or with the next command. Ends are extended, shortened, removed, set again
/// after the expiry, and revoked before it.
pub(super) fn expiring_grants(mut recorder: Recorder) -> Recording {
    let r = &mut recorder;
    begin(r, "2025-09-01 07:00", "tidewater", Plan::Enterprise, "ines");
    r.step("2025-09-01 07:10", "ines", "", json!([rbac(true), add("pavel", "member"), add("rosa", "member")]));
    r.step("2025-09-01 07:12", "ines", "", service_user("nightly"));
    r.step(
        "2025-09-01 07:15",
        "ines",
        "TW-1",
        json!([private_environment("core", "no_access", &[]), private_environment("reports", "viewer", &[]),]),
    );
    r.step(
        "2025-09-01 08:00",
        "ines",
        "TW-5 on call this week",
        json!([
            expiring(grant("core", "user:pavel", "contributor"), "2025-09-08 08:00"),
            expiring(grant("reports", "user:pavel", "contributor"), "2025-09-08 08:00"),
            expiring(grant("core", "service_user:nightly", "viewer"), "2025-09-15 00:00"),
        ]),
    );
    r.step(
        "2025-09-01 08:05",
        "ines",
        "TW-5",
        json!([
            expiring(token("pavel"), "2025-09-08 08:00"),
            expiring(service_token("nightly"), "2025-10-01 00:00"),
            expiring(proxy_token(&["core"]), "2025-09-20 12:00"),
            expiring(access_key("auditor", "external review, September"), "2025-09-30 18:00"),
            expiring(access_key("evaluator", "edge cache"), "2026-03-01 00:00"),
        ]),
    );
    let edge = r.made();
    r.mark();
    r.step(
        "2025-09-07 20:00",
        "ines",
        "TW-5: rosa is ill",
        expiring(grant("core", "user:pavel", "contributor"), "2025-09-10 08:00"),
    );
    r.step("2025-09-08 08:00", "ines", "TW-6", expiring(grant("core", "user:rosa", "contributor"), "2025-09-22 08:00"));
    r.mark();
    r.wait("2025-09-10 09:00");
    r.mark();
    given_anew(r, &edge);
    r.sleep();
    r.step(
        "2025-11-03 08:00",
        "ines",
        "after the outage of the weekend, TW-30",
        grant("reports", "user:pavel", "contributor"),
    );
    recorder.finish()
}

fn given_anew(r: &mut Recorder, edge: &str) {
    r.step(
        "2025-09-10 09:30",
        "ines",
        "TW-9: again, read only",
        expiring(grant("core", "user:pavel", "viewer"), "2025-09-17 08:00"),
    );
    r.step(
        "2025-09-11 10:00",
        "ines",
        "TW-9: sooner",
        expiring(grant("core", "user:pavel", "viewer"), "2025-09-12 08:00"),
    );
    r.step("2025-09-16 10:00", "ines", "TW-12: for good", grant("core", "service_user:nightly", "viewer"));
    r.step("2025-09-17 10:00", "ines", "TW-13: not needed any more", revoke_grant("core", "user:rosa"));
    r.step("2025-09-18 10:00", "ines", "TW-14", grant("reports", "user:rosa", "no_access"));
    r.step(
        "2025-09-19 10:00",
        "ines",
        "TW-15",
        expiring(grant("reports", "user:rosa", "no_access"), "2025-11-01 00:00"),
    );
    r.wait("2025-10-02 00:00");
    r.mark();
    r.step("2025-10-06 09:00", "ines", "the cache is gone, TW-20", revoke_access_key(edge));
    r.step("2025-10-06 09:10", "ines", "TW-21", expiring(token("rosa"), "2025-12-24 00:00"));
    r.step("2025-10-06 09:20", "rosa", "cannot outlive the one it was asked with", token("rosa"));
}
