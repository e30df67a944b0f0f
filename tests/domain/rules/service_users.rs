use tenure::domain::model::role::EnvironmentRole::Contributor;
use tenure::domain::model::role::{Plan, WorkspaceKind};

use crate::support::commands::{
    create_service_user, delete_service_user, issue_token, issue_token_until, set_grant, set_grant_until,
};
use crate::support::given::{OPERATOR, World, by, team, workspace};

fn ci_has_a_grant_and_tokens() -> World {
    team().and([set_grant("prod", "service_user:ci", Contributor), issue_token("service_user:ci")])
}

#[test]
fn a_service_user_comes_with_a_token() {
    for who in [by("ada"), by("mo"), OPERATOR] {
        let world = team().when(who, create_service_user("deploy")).then(["service_user.created", "token.issued"]);
        let view = world.writer.now();
        let holder = view.tokens().last().unwrap().terms.holder.to_string();
        assert_eq!(holder, format!("service_user:{}", world.service_user("deploy")));
    }
}

#[test]
fn a_personal_workspace_has_no_service_users() {
    let world = workspace(WorkspaceKind::Personal, Plan::Team);
    world.when(by("ada"), create_service_user("ci")).refused("personal_workspace");
}

#[test]
fn a_live_service_users_name_is_taken() {
    team().when(by("ada"), create_service_user("ci")).refused("already_exists");
}

#[test]
fn a_service_user_of_a_freed_name_is_another_and_inherits_nothing() {
    let before = ci_has_a_grant_and_tokens();
    let world = before.clone().and([delete_service_user("ci"), create_service_user("ci")]);
    assert_ne!(world.service_user("ci"), before.service_user("ci"));
    assert_eq!(world.asks("service_user:ci", "deploy", "app", "prod").rule.as_str(), "default_role");
    let old = format!("service_user:{}", before.service_user("ci"));
    assert_eq!(world.asks(&old, "read", "app", "prod").rule.as_str(), "no_such_service_user");
}

#[test]
fn the_first_token_lives_no_longer_than_the_one_that_made_it() {
    let world = team();
    let end = world.in_micros(1_000);
    let world = world.and([issue_token_until("user:mo", end)]).when(by("mo"), create_service_user("deploy")).world;
    assert_eq!(world.writer.now().tokens().last().unwrap().expires_at, Some(end));
}

#[test]
fn deleting_a_service_user_ends_its_grants_and_tokens() {
    ci_has_a_grant_and_tokens().when(by("mo"), delete_service_user("ci")).then([
        "grant.revoked",
        "token.revoked",
        "token.revoked",
        "service_user.deleted",
    ]);
}

#[test]
fn expired_tokens_are_not_revoked_with_their_service_user() {
    let world = team();
    let soon = world.in_micros(10);
    world
        .and([set_grant_until("prod", "service_user:ci", Contributor, soon)])
        .later(20)
        .when(by("mo"), delete_service_user("ci"))
        .after_noting(["grant.expired"])
        .then(["token.revoked", "service_user.deleted"]);
}

#[test]
fn a_service_user_is_named_by_name_or_id() {
    let world = team();
    world
        .when(by("mo"), delete_service_user(&world.service_user("ci")))
        .then(["token.revoked", "service_user.deleted"]);
}

#[test]
fn an_unknown_service_user_cannot_be_deleted() {
    team().when(by("ada"), delete_service_user("deploy")).refused("not_found");
    team().when(by("ada"), delete_service_user("CI")).refused("not_found");
    team().when(by("ada"), delete_service_user("user:ada")).refused("not_found");
    let world = team();
    let id = world.service_user("ci");
    world.and([delete_service_user("ci")]).when(by("ada"), delete_service_user(&id)).refused("not_found");
}

#[test]
fn a_service_user_changes_nothing_not_even_its_own_token() {
    let world = team();
    world.when(by("ci"), delete_service_user("ci")).refused("forbidden");
    world.when(by("ci"), issue_token("service_user:ci")).refused("forbidden");
    world.when(by("ci"), crate::support::commands::revoke_token(world.token("ci"))).refused("forbidden");
}
