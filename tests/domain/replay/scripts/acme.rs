//! A year of a company. The first quarter is imported from an earlier tool; the rest has every change of access in
//! practice.

use serde_json::json;
use tenure::domain::model::role::Plan;

use super::{
    access_key, add, begin, change_role, default_role, delete_environment, delete_service_user, environment, expiring,
    grant, plan, private_environment, proxy_token, rbac, remove, rename, restrict, revoke_access_key, revoke_grant,
    revoke_proxy_token, revoke_token, scope, service_token, service_user, token, unrestrict, wide_proxy_token,
};
use crate::support::recording::{Recorder, Recording};

/// 2025 at Acme.
pub(super) fn a_year(mut recorder: Recorder) -> Recording {
    let r = &mut recorder;
    first_quarter(r);
    spring(r);
    summer(r);
    a_new_checkout(r);
    autumn(r);
    winter(r);
    recorder.finish()
}

/// The import of the first of April. Its actors used the earlier tool, so no credential is recorded.
fn first_quarter(r: &mut Recorder) {
    r.import_at("2025-04-01 06:00");
    begin(r, "2025-01-02 09:00", "acme", Plan::Team, "wanda");
    r.step(
        "2025-01-02 09:30",
        "wanda",
        "",
        json!([add("ian", "manager"), add("sofia", "member"), add("li.wei", "member")]),
    );
    r.step("2025-01-07 10:00", "wanda", "", json!([environment("staging"), environment("prod")]));
    r.step("2025-01-09 14:00", "ian", "SEC-4: production is not a playground", json!([rbac(true), restrict("prod")]));
    r.step("2025-01-09 14:10", "ian", "SEC-4", grant("prod", "user:sofia", "contributor"));
    r.step("2025-01-20 11:00", "ian", "ONB-11", json!([add("marta", "member"), add("dev-patel", "member")]));
    r.step("2025-02-03 08:45", "ian", "CI moves off laptops", service_user("ci"));
    r.step("2025-02-03 08:50", "ian", "CI moves off laptops", grant("prod", "service_user:ci", "contributor"));
    r.step(
        "2025-02-14 16:30",
        "ian",
        "INC-7",
        expiring(grant("prod", "user:marta", "contributor"), "2025-02-15 16:30"),
    );
    r.step("2025-03-03 09:00", "wanda", "ONB-15", add("yusuf", "member"));
    r.step("2025-03-17 13:20", "ian", "SEC-19", default_role("prod", "no_access"));
    r.step(
        "2025-03-17 13:25",
        "ian",
        "SEC-19",
        json!([grant("prod", "user:marta", "viewer"), grant("prod", "user:li.wei", "viewer"),]),
    );
    r.mark();
    r.import_ends();
}

fn spring(r: &mut Recorder) {
    r.step("2025-04-01 06:10", "operator", "imported workspace, first tokens", json!([token("wanda"), token("ian")]));
    r.step("2025-04-01 08:00", "ian", "new secrets after the move, SEC-25", service_token("ci"));
    r.step("2025-04-01 08:30", "wanda", "", access_key("evaluator", "API gateway"));
    r.step("2025-04-02 09:00", "ian", "storefront", proxy_token(&["prod", "staging"]));
    r.step("2025-04-02 09:05", "ian", "partner feed", expiring(proxy_token(&["prod"]), "2025-10-01 00:00"));
    r.step(
        "2025-04-07 09:00",
        "ian",
        "ONB-20",
        json!([add("noemi", "member"), add("gustav", "member"), add("hana", "member"), add("bruno", "member"),]),
    );
    r.step(
        "2025-04-07 09:15",
        "ian",
        "ONB-20",
        json!([grant("prod", "user:noemi", "contributor"), grant("prod", "user:gustav", "viewer"),]),
    );
    r.step(
        "2025-04-22 10:30",
        "ian",
        "DATA-3",
        private_environment(
            "warehouse",
            "no_access",
            &[("user:hana", "contributor"), ("user:bruno", "viewer"), ("user:dev-patel", "viewer")],
        ),
    );
    r.step("2025-04-22 10:40", "ian", "DATA-3", service_user("etl"));
    r.step("2025-04-22 10:45", "ian", "DATA-3", grant("warehouse", "service_user:etl", "contributor"));
    r.step("2025-05-05 11:00", "wanda", "two in the rota", change_role("sofia", "manager"));
    r.mark();
    r.step("2025-05-05 11:05", "wanda", "", token("sofia"));
    r.step(
        "2025-05-12 15:00",
        "sofia",
        "INC-23",
        expiring(grant("prod", "user:yusuf", "contributor"), "2025-05-13 15:00"),
    );
    r.step(
        "2025-05-13 09:00",
        "sofia",
        "INC-23 takes longer",
        expiring(grant("prod", "user:yusuf", "contributor"), "2025-05-14 18:00"),
    );
    r.step("2025-05-20 09:00", "sofia", "says what it is", rename("staging", "pre-prod"));
    r.step("2025-05-26 10:00", "sofia", "DATA-9", grant("warehouse", "user:bruno", "contributor"));
    r.step("2025-06-02 14:00", "ian", "laptop lost, SEC-31", token("ian"));
    r.step(
        "2025-06-02 16:00",
        "wanda",
        "external audit H1",
        expiring(access_key("auditor", "Brandt & Partner, H1"), "2025-07-31 00:00"),
    );
    r.step("2025-06-13 17:00", "ian", "last day of gustav, HR-77", remove("gustav"));
}

fn summer(r: &mut Recorder) {
    r.step(
        "2025-07-01 09:00",
        "sofia",
        "ONB-31",
        json!([add("klara", "member"), add("oleg", "member"), add("amara", "member")]),
    );
    r.step(
        "2025-07-01 09:10",
        "sofia",
        "ONB-31",
        json!([
            grant("warehouse", "user:amara", "viewer"),
            grant("prod", "user:klara", "viewer"),
            expiring(grant("prod", "user:oleg", "viewer"), "2025-10-01 00:00"),
        ]),
    );
    r.step("2025-07-02 09:00", "wanda", "contractor", expiring(token("oleg"), "2025-10-01 00:00"));
    r.step("2025-07-14 10:00", "sofia", "one team, one lab", json!([environment("lab-1"), environment("lab-2")]));
    r.step(
        "2025-07-21 11:30",
        "sofia",
        "DATA-17",
        json!([
            restrict("lab-1"),
            grant("lab-1", "user:hana", "contributor"),
            grant("lab-1", "service_user:etl", "viewer"),
        ]),
    );
    r.step("2025-08-04 08:00", "sofia", "DATA-20", json!([unrestrict("lab-1"), delete_environment("lab-2")]));
    r.step("2025-08-11 10:00", "wanda", "cost review: RBAC goes with the plan", add("cfo", "member"));
    r.step("2025-08-18 00:05", "operator", "downgrade, contract 4410", plan("starter"));
    r.mark();
    r.step("2025-08-18 09:00", "sofia", "scoped ones are valid everywhere now", wide_proxy_token());
    let wide = r.made();
    r.step("2025-08-25 07:00", "operator", "upgrade, contract 4417", plan("enterprise"));
    r.step("2025-08-25 07:30", "wanda", "never again, SEC-40", rbac(true));
    r.step("2025-08-25 07:40", "sofia", "SEC-40", revoke_proxy_token(&wide));
    r.mark();
}

fn a_new_checkout(r: &mut Recorder) {
    r.step("2025-09-01 09:00", "sofia", "ONB-40", json!([add("pia", "member"), add("rafael", "member")]));
    r.step("2025-09-01 09:05", "wanda", "ONB-40", json!([token("pia"), token("rafael")]));
    r.step(
        "2025-09-08 13:00",
        "sofia",
        "WEB-88",
        private_environment(
            "Checkout",
            "viewer",
            &[("user:pia", "contributor"), ("user:rafael", "contributor"), ("service_user:ci", "contributor")],
        ),
    );
    r.step("2025-09-08 13:10", "sofia", "WEB-88", proxy_token(&["checkout"]));
    let checkout = r.made();
    r.step("2025-09-15 10:00", "sofia", "WEB-90", scope(&checkout, &["checkout", "pre-prod"]));
    r.step(
        "2025-09-22 12:00",
        "sofia",
        "CI has its own account per team",
        json!([service_user("ci-web"), service_user("ci-data")]),
    );
    r.step(
        "2025-09-22 12:10",
        "sofia",
        "WEB-93",
        json!([
            grant("checkout", "service_user:ci-web", "contributor"),
            revoke_grant("checkout", "service_user:ci"),
            grant("warehouse", "service_user:ci-data", "contributor"),
        ]),
    );
}

fn autumn(r: &mut Recorder) {
    r.step("2025-10-06 09:00", "sofia", "oleg stays on, ONB-44", grant("prod", "user:oleg", "contributor"));
    r.step("2025-10-13 15:30", "pia", "token was in a screenshot", token("pia"));
    let leaked = r.made();
    r.step("2025-10-13 15:32", "pia", "that one, too", revoke_token(&leaked));
    r.step("2025-10-20 10:00", "wanda", "succession", change_role("sofia", "owner"));
    r.step("2025-10-20 10:05", "sofia", "marta takes over from sofia", change_role("marta", "manager"));
    r.step("2025-10-20 10:10", "sofia", "", token("marta"));
    r.mark();
    r.step("2025-10-31 17:00", "wanda", "goodbye and thanks for all the tickets", remove("wanda"));
    r.mark();
    r.step("2025-11-03 09:00", "marta", "old CI is gone, CI-12", delete_service_user("ci"));
    r.step(
        "2025-11-03 09:20",
        "marta",
        "the brand changed",
        json!([rename("prod", "production"), rename("Checkout", "checkout")]),
    );
    r.step(
        "2025-11-10 11:00",
        "marta",
        "INC-61",
        json!([
            expiring(grant("production", "user:rafael", "contributor"), "2025-11-10 23:00"),
            expiring(grant("production", "user:klara", "contributor"), "2025-11-10 23:00"),
        ]),
    );
    r.step("2025-11-11 09:00", "marta", "INC-61 follow-up", grant("production", "user:klara", "viewer"));
    r.step(
        "2025-11-17 14:00",
        "sofia",
        "external audit H2",
        expiring(access_key("auditor", "Brandt & Partner, H2"), "2026-01-31 00:00"),
    );
    let audit = r.made();
    r.step("2025-11-24 10:00", "sofia", "audit done early", revoke_access_key(&audit));
    r.step(
        "2025-11-24 10:30",
        "sofia",
        "finding 3: nobody in production for good",
        json!([
            revoke_grant("production", "user:oleg"),
            expiring(grant("production", "user:noemi", "contributor"), "2026-02-28 00:00"),
        ]),
    );
}

fn winter(r: &mut Recorder) {
    r.step(
        "2025-12-01 09:00",
        "marta",
        "ONB-52",
        json!([add("tariq", "member"), add("elena", "member"), add("sven", "member")]),
    );
    r.step(
        "2025-12-01 09:10",
        "marta",
        "ONB-52",
        json!([
            grant("warehouse", "user:tariq", "viewer"),
            grant("checkout", "user:elena", "no_access"),
            grant("production", "user:sven", "viewer"),
        ]),
    );
    r.step("2025-12-08 09:00", "marta", "HR-101", json!([remove("yusuf"), remove("dev-patel"), remove("cfo")]));
    r.step("2025-12-09 16:00", "rafael", "moving on, HR-103", remove("rafael"));
    r.step("2025-12-15 10:00", "sofia", "ian leads data from January", change_role("ian", "member"));
    r.step("2025-12-15 10:05", "sofia", "DATA-40", grant("warehouse", "user:ian", "contributor"));
    r.step(
        "2025-12-15 11:00",
        "marta",
        "DATA-41",
        json!([
            rename("lab-1", "notebooks"),
            restrict("notebooks"),
            default_role("notebooks", "contributor"),
            default_role("notebooks", "viewer"),
        ]),
    );
    r.step(
        "2025-12-22 08:00",
        "marta",
        "freeze over the holidays",
        json!([default_role("checkout", "no_access"), revoke_grant("checkout", "service_user:ci-web"),]),
    );
    r.step(
        "2025-12-23 10:00",
        "marta",
        "DATA-44",
        json!([
            service_user("forecast"),
            grant("notebooks", "service_user:forecast", "contributor"),
            expiring(grant("warehouse", "service_user:forecast", "viewer"), "2026-06-30 00:00"),
        ]),
    );
    r.step("2025-12-23 10:30", "marta", "back to university, HR-109", remove("elena"));
    r.step("2025-12-29 12:00", "sofia", "closed, WEB-140", delete_environment("checkout"));
}
