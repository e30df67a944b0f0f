use tenure::domain::model::event::EventData;
use tenure::domain::model::role::EnvironmentRole::{Contributor, NoAccess};
use tenure::domain::model::role::WorkspaceRole::{Manager, Member};
use tenure::domain::rules::authorize::Decision;

use crate::support::commands::{
    add_member, change_role, create_proxy_token, create_restricted, delete_environment, disable_rbac, remove_member,
    restrict, revoke_grant, revoke_proxy_token, set_default_role, set_grant, set_grant_until,
};
use crate::support::given::{World, team};

/// Returns the types of the events that a decision rests on.
fn evidence(world: &World, decision: &Decision) -> Vec<&'static str> {
    let name = |data: &EventData| data.type_name().trim_end_matches(".v1");
    decision.evidence.iter().map(|revision| name(&world.writer.workspace.event(*revision).unwrap().data)).collect()
}

#[track_caller]
fn rests_on<const N: usize>(world: &World, subject: &str, environment: &str, rule: &str, expected: [&str; N]) {
    let action = if subject.starts_with("proxy_token:") { "call" } else { "read" };
    let decision = world.asks(subject, action, "web_function", environment);
    assert_eq!(decision.rule.as_str(), rule);
    assert_eq!(evidence(world, &decision), expected);
}

#[test]
fn an_allowed_decision_rests_on_membership_environment_and_role() {
    let world = team().and([set_grant("prod", "user:bob", Contributor)]);
    rests_on(&world, "user:bob", "main", "unrestricted", ["environment.created", "member.added"]);
    rests_on(&world, "user:bob", "prod", "grant", ["member.added", "environment.restricted", "grant.added"]);
    let roles = ["rbac.enabled", "member.added", "environment.restricted"];
    rests_on(&world, "user:mo", "prod", "workspace_role", roles);
    let off = world.and([disable_rbac()]);
    rests_on(&off, "user:bob", "prod", "rbac_off", ["member.added", "environment.restricted", "rbac.disabled"]);
}

#[test]
fn a_denial_rests_on_the_restriction_the_revocation_or_the_expiry() {
    let world = team().and([create_restricted("dev", NoAccess, []), set_grant("dev", "user:bob", Contributor)]);
    rests_on(&world, "user:cyd", "dev", "default_role", ["member.added", "environment.restricted"]);
    let revoked = world.clone().and([revoke_grant("dev", "user:bob")]);
    let after_revocation = ["member.added", "environment.restricted", "grant.revoked"];
    rests_on(&revoked, "user:bob", "dev", "default_role", after_revocation);

    let end = world.in_micros(100);
    let expired = world.and([set_grant_until("dev", "user:bob", Contributor, end)]).later(1_000);
    let before_the_event = ["member.added", "environment.restricted", "grant.changed"];
    rests_on(&expired, "user:bob", "dev", "default_role", before_the_event);
    let noted = expired.and([add_member("eve", Member)]);
    let after_the_event = ["member.added", "environment.restricted", "grant.expired"];
    rests_on(&noted, "user:bob", "dev", "default_role", after_the_event);
}

#[test]
fn a_missing_entity_rests_on_the_event_that_ended_it() {
    let world = team().and([create_proxy_token(["prod"]), remove_member("bob"), delete_environment("prod")]);
    rests_on(&world, "user:bob", "main", "not_a_member", ["member.removed"]);
    rests_on(&world, "user:cyd", "prod", "no_such_environment", ["environment.deleted"]);
    rests_on(&world, "user:nobody", "main", "not_a_member", []);
    let world = world.clone().and([revoke_proxy_token(world.proxy_token())]);
    let token = format!("proxy_token:{}", world.proxy_token());
    rests_on(&world, &token, "main", "no_such_proxy_token", ["proxy_token.created", "proxy_token.revoked"]);
}

#[test]
fn a_role_that_changed_rests_on_the_last_change() {
    let world = team().and([change_role("bob", Manager), set_default_role("prod", NoAccess)]);
    let changes = ["rbac.enabled", "member.role_changed", "environment.default_role_changed"];
    rests_on(&world, "user:bob", "prod", "workspace_role", changes);
}

#[test]
fn a_task_and_a_proxy_token_rest_on_both_ends() {
    let world = team().and([create_proxy_token(["main"])]);
    rests_on(&world, "task:main", "prod", "cross_environment", ["environment.created", "environment.restricted"]);
    rests_on(&world, "task:prod", "main", "unrestricted", ["environment.created", "environment.created"]);
    let token = format!("proxy_token:{}", world.proxy_token());
    rests_on(&world, &token, "prod", "token_scope", ["rbac.enabled", "proxy_token.created"]);
    let restricted = world.and([restrict("main")]);
    rests_on(&restricted, "task:main", "main", "same_environment", ["environment.created"]);
}

#[test]
fn an_environment_without_access_is_answered_like_one_that_never_existed() {
    let world = team().and([create_restricted("dev", NoAccess, [])]);
    let hidden = world.decision_for_self("bob", "read", "app", "dev");
    assert_eq!(hidden, world.asks("user:bob", "read", "app", "never-was"));
    let gone = world.clone().and([delete_environment("dev")]);
    assert_eq!(hidden, gone.decision_for_self("bob", "read", "app", "dev"));
    let seen = world.asks("user:bob", "deploy", "app", "prod");
    assert_eq!(
        world.decision_for_self("bob", "deploy", "app", "prod"),
        seen,
        "a viewer is told why they may not deploy"
    );
}
