use tenure::domain::role::EnvironmentRole::{Contributor, NoAccess, Viewer};
use tenure::domain::role::WorkspaceRole::Member;

use crate::support::commands::{
    add_member, create_environment, disable_rbac, enable_rbac, revoke_grant, set_grant, set_grant_until,
};
use crate::support::given::{OPERATOR, World, by, team};

fn bob_contributes() -> World {
    team().and([set_grant("prod", "user:bob", Contributor)])
}

#[test]
fn a_grant_is_given_to_a_member_or_a_service_user() {
    for who in [by("ada"), by("mo"), OPERATOR] {
        let world = team();
        let prod = world.environment("prod");
        world
            .when(who, set_grant("PROD", "user:bob", Contributor))
            .then_says(&format!("grant.added {prod} {{\"principal\":\"user:bob\",\"role\":\"contributor\"}}"));
        world.when(who, set_grant(&prod, "service_user:ci", NoAccess)).then(["grant.added"]);
        let by_id = format!("service_user:{}", world.service_user("ci"));
        world.when(who, set_grant("prod", &by_id, Viewer)).then(["grant.added"]);
    }
}

#[test]
fn a_grant_takes_the_place_of_the_one_before() {
    let world = bob_contributes();
    let end = world.in_micros(1_000);
    world.when(by("mo"), set_grant("prod", "user:bob", NoAccess)).then(["grant.changed"]);
    world.when(by("mo"), set_grant_until("prod", "user:bob", Contributor, end)).then(["grant.changed"]);
    world.when(by("mo"), set_grant("prod", "user:bob", Contributor)).changes_nothing();
}

#[test]
fn what_a_grant_names_must_exist() {
    team().when(by("mo"), set_grant("nowhere", "user:bob", Viewer)).refused("not_found");
    team().when(by("mo"), set_grant("prod", "user:nobody", Viewer)).refused("not_found");
    team().when(by("mo"), set_grant("prod", "service_user:nobody", Viewer)).refused("not_found");
    team().when(by("mo"), set_grant("prod", "bob", Viewer)).refused("not_found");
    team().when(by("mo"), set_grant("prod", "team:bob", Viewer)).refused("not_found");
    team().when(by("mo"), set_grant("prod", "user:", Viewer)).refused("not_found");
}

#[test]
fn the_rules_of_a_grant_are_judged_from_left_to_right() {
    let off = team().and([disable_rbac()]);
    let now = off.in_micros(1);
    off.when(by("mo"), set_grant("prod", "user:nobody", Viewer)).refused("not_found");
    off.when(by("mo"), set_grant("main", "user:mo", Viewer)).refused("rbac_disabled");
    let on = off.and([enable_rbac()]);
    on.when(by("mo"), set_grant("main", "user:mo", Viewer)).refused("environment_unrestricted");
    on.when(by("mo"), set_grant_until("prod", "user:mo", Viewer, now)).refused("role_implied");
    on.when(by("mo"), set_grant_until("prod", "user:bob", Viewer, now)).refused("invalid");
}

#[test]
fn owners_and_managers_have_no_use_for_a_grant() {
    team().when(by("ada"), set_grant("prod", "user:ada", Viewer)).refused("role_implied");
    team().when(by("ada"), set_grant("prod", "user:mo", Contributor)).refused("role_implied");
}

#[test]
fn a_grant_ends_in_the_future() {
    let world = team();
    let submitted_at = world.in_micros(1);
    world.when(by("mo"), set_grant_until("prod", "user:bob", Viewer, submitted_at)).refused("invalid");
    world.when(by("mo"), set_grant_until("prod", "user:bob", Viewer, submitted_at.next())).then(["grant.added"]);
    world.when(by("mo"), set_grant_until("prod", "user:bob", Viewer, world.in_micros(-9))).refused("invalid");
}

#[test]
fn a_grant_is_revoked_once() {
    let world = bob_contributes();
    let prod = world.environment("prod");
    let world = world
        .when(by("mo"), revoke_grant("prod", "user:bob"))
        .then_says(&format!("grant.revoked {prod} {{\"principal\":\"user:bob\"}}"));
    world.when(by("mo"), revoke_grant("prod", "user:bob")).refused("not_found");
}

#[test]
fn only_a_grant_that_is_there_is_revoked() {
    let world = bob_contributes();
    world.when(by("mo"), revoke_grant("prod", "user:cyd")).refused("not_found");
    world.when(by("mo"), revoke_grant("main", "user:bob")).refused("not_found");
    world.when(by("mo"), revoke_grant("nowhere", "user:bob")).refused("not_found");
    world.when(by("mo"), revoke_grant("prod", "user:nobody")).refused("not_found");
}

#[test]
fn a_grant_can_be_revoked_while_rbac_is_off() {
    bob_contributes().and([disable_rbac()]).when(by("mo"), revoke_grant("prod", "user:bob")).then(["grant.revoked"]);
}

#[test]
fn a_grant_decides_only_where_it_was_given() {
    let world = bob_contributes().and([add_member("eve", Member), create_environment("dev")]);
    assert!(world.asks("user:bob", "deploy", "app", "prod").allowed);
    assert!(!world.asks("user:eve", "deploy", "app", "prod").allowed);
    assert_eq!(world.asks("user:bob", "deploy", "app", "dev").rule.as_str(), "unrestricted");
}

#[test]
fn a_grant_of_no_access_takes_what_the_default_role_gives() {
    let world = team().and([set_grant("prod", "user:bob", NoAccess)]);
    let decision = world.asks("user:bob", "read", "app", "prod");
    assert_eq!((decision.allowed, decision.rule.as_str()), (false, "grant"));
}
