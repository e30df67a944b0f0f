//! People who join, leave and return, and a workspace that ends.

use serde_json::json;
use tenure::domain::model::command::DeleteWorkspace;
use tenure::domain::model::role::{Plan, WorkspaceKind};

use super::{
    access_key, add, begin, begin_as, change_role, environment, expiring, grant, plan, private_environment,
    proxy_token, rbac, remove, rename, restrict, revoke_access_key, revoke_token, service_user, token,
    wide_proxy_token,
};
use crate::support::recording::{Recorder, Recording};

/// Priya leaves with all her access, and returns under the same id with none. Later she is promoted and demoted, and
/// inherits nothing from before. Tomas removes himself.
pub(super) fn leaver_and_rehire(mut recorder: Recorder) -> Recording {
    let r = &mut recorder;
    begin(r, "2025-02-03 08:55", "northwind", Plan::Team, "helen");
    r.step("2025-02-03 09:10", "helen", "first team in", json!([add("priya", "member"), add("tomas", "member")]));
    r.step("2025-02-03 09:14", "helen", "", add("omar", "manager"));
    r.step("2025-02-03 09:20", "helen", "no SSO yet", json!([token("priya"), token("tomas"), token("omar")]));
    r.step("2025-02-03 10:02", "helen", "NW-14", rbac(true));
    r.step("2025-02-03 10:05", "helen", "NW-14", private_environment("production", "no_access", &[]));
    r.step(
        "2025-02-03 10:06",
        "helen",
        "NW-14",
        private_environment("billing", "viewer", &[("user:tomas", "contributor")]),
    );
    r.step(
        "2025-02-10 11:30",
        "omar",
        "NW-31 on-call",
        json!([grant("production", "user:priya", "contributor"), grant("billing", "user:priya", "viewer"),]),
    );
    r.step("2025-02-24 16:40", "priya", "laptop", token("priya"));
    r.step("2025-03-10 09:00", "omar", "NW-55 approved by helen", grant("billing", "user:priya", "contributor"));
    r.mark();
    r.step("2025-06-27 17:30", "omar", "last day, HR-208", remove("priya"));
    r.mark();
    r.step("2025-08-01 12:00", "tomas", "off to sail around the world", remove("tomas"));
    r.step("2025-09-01 09:05", "omar", "rehired, HR-251", add("priya", "member"));
    r.mark();
    r.step("2025-09-01 09:30", "helen", "HR-251", token("priya"));
    r.step("2025-09-04 13:15", "omar", "NW-140: read only this time", grant("production", "user:priya", "viewer"));
    r.step("2025-09-18 15:00", "helen", "leads the team while omar is away", change_role("priya", "manager"));
    r.mark();
    r.step("2025-10-20 09:00", "helen", "omar is back", change_role("priya", "member"));
    r.step("2025-10-20 09:45", "omar", "NW-163", grant("billing", "user:priya", "contributor"));
    recorder.finish()
}

/// A workspace is deleted while its members, tokens, grants and keys are live.
pub(super) fn a_pilot_that_ended(mut recorder: Recorder) -> Recording {
    let r = &mut recorder;
    begin_as(r, "2025-04-07 07:30", "pilot-2025", WorkspaceKind::Shared, Plan::Enterprise, "s.lindqvist@fjord.example");
    let owner = "s.lindqvist@fjord.example";
    r.step(
        "2025-04-07 08:00",
        owner,
        "pilot kick-off",
        json!([
            rbac(true),
            add("k.berg@fjord.example", "member"),
            add("a.novak@fjord.example", "manager"),
            environment("sandbox"),
            private_environment("demo", "viewer", &[("user:k.berg@fjord.example", "contributor")]),
        ]),
    );
    r.step("2025-04-07 08:20", owner, "", service_user("demo-loader"));
    r.step("2025-04-07 08:25", owner, "", grant("demo", "service_user:demo-loader", "contributor"));
    r.step("2025-04-07 08:30", owner, "", proxy_token(&["demo"]));
    r.step("2025-04-08 10:00", owner, "auditors of the pilot", access_key("auditor", "Fjord internal audit"));
    r.step("2025-04-08 10:05", owner, "", access_key("evaluator", "demo gateway"));
    let gateway = r.made();
    r.mark();
    r.step("2025-05-05 14:00", owner, "the gateway asks with its own token now", revoke_access_key(&gateway));
    r.step(
        "2025-05-06 09:00",
        owner,
        "until the review",
        expiring(access_key("auditor", "review board"), "2025-12-31 00:00"),
    );
    r.step("2025-05-19 16:00", owner, "customer visit", restrict("sandbox"));
    r.step(
        "2025-05-19 16:01",
        owner,
        "customer visit",
        expiring(grant("sandbox", "user:k.berg@fjord.example", "contributor"), "2025-07-01 00:00"),
    );
    r.mark();
    r.workspace_step("2025-06-30 15:00", "pilot over, PIL-99", owner, DeleteWorkspace {});
    recorder.finish()
}

/// A workspace of one: no members, no service users, and every environment open until RBAC comes with the plan.
pub(super) fn a_workspace_of_one(mut recorder: Recorder) -> Recording {
    let r = &mut recorder;
    begin_as(r, "2025-06-01 19:00", "kai", WorkspaceKind::Personal, Plan::Starter, "kai-1987");
    r.step("2025-06-01 19:20", "kai-1987", "", environment("blog"));
    r.step("2025-06-01 19:25", "kai-1987", "second laptop", token("kai-1987"));
    let laptop = r.made();
    r.step("2025-06-01 19:40", "kai-1987", "contact form", wide_proxy_token());
    r.mark();
    r.step("2025-08-09 11:00", "kai-1987", "sold the laptop", revoke_token(&laptop));
    r.step("2025-09-01 00:10", "operator", "order 9001", plan("team"));
    r.step("2025-09-01 20:00", "kai-1987", "", json!([rbac(true), restrict("blog"), rename("blog", "journal")]));
    r.mark();
    r.step("2025-09-02 20:00", "kai-1987", "", proxy_token(&["journal"]));
    recorder.finish()
}
