//! Environments that end and are made anew, and RBAC that is disabled and enabled.

use serde_json::json;
use tenure::domain::model::role::Plan;

use super::{
    add, begin, default_role, delete_environment, environment, grant, plan, private_environment, proxy_token, rbac,
    rename, restrict, revoke_grant, service_user, token, unrestrict, wide_proxy_token,
};
use crate::support::recording::{Recorder, Recording};

/// `payments` is deleted with its grants and its entries in scopes. A new `Payments` inherits nothing. The name
/// `staging` passes to another environment while the first still exists.
pub(super) fn deleted_and_remade(mut recorder: Recorder) -> Recording {
    let r = &mut recorder;
    begin(r, "2025-03-03 07:50", "harbor", Plan::Team, "mina");
    r.step("2025-03-03 08:00", "mina", "", json!([rbac(true), add("jonas", "member"), add("lucia", "member")]));
    r.step(
        "2025-03-03 08:10",
        "mina",
        "HB-3",
        private_environment("payments", "no_access", &[("user:jonas", "contributor")]),
    );
    r.step("2025-03-03 08:12", "mina", "HB-3", json!([environment("staging"), service_user("deployer")]));
    r.step("2025-03-03 08:20", "mina", "HB-4", grant("payments", "service_user:deployer", "contributor"));
    r.step("2025-03-03 08:30", "mina", "checkout webhook", proxy_token(&["payments", "staging"]));
    r.step("2025-03-03 08:31", "mina", "refund webhook", proxy_token(&["payments"]));
    r.step("2025-03-17 10:00", "mina", "HB-19", default_role("payments", "viewer"));
    r.mark();
    r.step("2025-04-14 15:20", "mina", "moved to the shared ledger, HB-40", delete_environment("PAYMENTS"));
    r.mark();
    r.step("2025-05-12 09:00", "mina", "the ledger did not work out, HB-58", environment("Payments"));
    r.mark();
    r.step("2025-05-12 09:10", "mina", "HB-58", restrict("payments"));
    r.step("2025-05-12 09:15", "mina", "HB-58", grant("payments", "user:lucia", "contributor"));
    r.step(
        "2025-06-02 13:00",
        "mina",
        "two stagings now",
        json!([rename("staging", "preview"), environment("staging")]),
    );
    r.mark();
    r.step("2025-06-02 13:05", "mina", "spelling", rename("preview", "Preview"));
    r.step("2025-07-07 11:00", "mina", "HB-77", json!([delete_environment("Preview"), environment("preview")]));
    r.step("2025-07-21 09:00", "mina", "hackathon", unrestrict("payments"));
    r.step(
        "2025-07-25 18:00",
        "mina",
        "hackathon over",
        json!([restrict("payments"), default_role("payments", "no_access")]),
    );
    recorder.finish()
}

/// RBAC is disabled by a command and by a plan. Restrictions stay recorded, and are enforced again later.
pub(super) fn rbac_off_and_on(mut recorder: Recorder) -> Recording {
    let r = &mut recorder;
    begin(r, "2025-01-13 08:00", "lighthouse", Plan::Starter, "ada");
    r.step("2025-01-13 08:30", "ada", "", json!([add("ben", "member"), add("cleo", "manager")]));
    r.step("2025-01-13 08:40", "ada", "before RBAC: valid everywhere", wide_proxy_token());
    r.step("2025-01-20 09:00", "operator", "order 7731", plan("team"));
    r.step("2025-01-20 09:05", "ada", "LH-2", rbac(true));
    r.step("2025-01-20 09:10", "ada", "LH-2", private_environment("live", "viewer", &[]));
    r.step("2025-01-20 09:12", "ada", "LH-3", grant("live", "user:ben", "contributor"));
    r.step("2025-01-20 09:20", "ada", "LH-3", proxy_token(&["live"]));
    r.mark();
    r.step("2025-02-17 22:10", "ada", "incident LH-41: everyone needs in", rbac(false));
    r.mark();
    r.step("2025-02-17 22:30", "ada", "LH-41", revoke_grant("live", "user:ben"));
    r.step("2025-02-17 22:45", "ada", "LH-41 status page", wide_proxy_token());
    r.step("2025-02-18 08:00", "ada", "LH-41 closed", rbac(true));
    r.mark();
    r.step("2025-02-18 08:10", "ada", "LH-42", grant("live", "user:ben", "no_access"));
    r.step("2025-06-30 23:00", "operator", "subscription ended", plan("starter"));
    r.mark();
    r.step("2025-07-01 09:00", "ada", "no restrictions without RBAC", json!([token("cleo"), environment("scratch")]));
    r.step("2025-09-15 10:00", "operator", "order 9020", plan("enterprise"));
    r.step("2025-09-15 10:30", "cleo", "LH-88", rbac(true));
    recorder.finish()
}
