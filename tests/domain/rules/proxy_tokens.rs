use tenure::domain::model::role::{Plan, WorkspaceKind};

use crate::support::commands::{
    create_environment, create_proxy_token, create_proxy_token_until, create_wide_proxy_token, disable_rbac,
    enable_rbac, revoke_proxy_token, set_scope,
};
use crate::support::given::{OPERATOR, World, by, team, workspace};

fn rbac_off() -> World {
    team().and([disable_rbac()])
}

fn is_accepted(world: &World, environment: &str) -> (bool, &'static str) {
    let token = format!("proxy_token:{}", world.proxy_token());
    let decision = world.asks(&token, "call", "web_function", environment);
    (decision.allowed, decision.rule.as_str())
}

#[test]
fn a_proxy_token_is_scoped_while_rbac_is_on() {
    for who in [by("ada"), by("mo"), OPERATOR] {
        let world = team().when(who, create_proxy_token(["PROD"])).then(["proxy_token.created"]);
        assert_eq!(is_accepted(&world, "prod"), (true, "token_scope"));
        assert_eq!(is_accepted(&world, "main"), (false, "token_scope"));
    }
}

#[test]
fn while_rbac_is_on_a_proxy_token_names_at_least_one_environment() {
    team().when(by("ada"), create_wide_proxy_token()).refused("invalid");
    team().when(by("ada"), create_proxy_token([])).refused("invalid");
    team().when(by("ada"), create_proxy_token(["main", "nowhere"])).refused("not_found");
}

#[test]
fn a_proxy_token_is_workspace_wide_while_rbac_is_off() {
    let world = rbac_off().when(by("mo"), create_wide_proxy_token()).then(["proxy_token.created"]);
    assert_eq!(is_accepted(&world, "prod"), (true, "workspace_wide"));
    let starter = workspace(WorkspaceKind::Personal, Plan::Starter);
    starter.when(by("ada"), create_wide_proxy_token()).then(["proxy_token.created"]);
}

#[test]
fn while_rbac_is_off_a_proxy_token_names_no_environments() {
    rbac_off().when(by("ada"), create_proxy_token(["prod"])).refused("rbac_disabled");
    rbac_off().when(by("ada"), create_proxy_token([])).refused("rbac_disabled");
    rbac_off().when(by("ada"), create_proxy_token(["nowhere"])).refused("not_found");
}

#[test]
fn a_proxy_token_ends_in_the_future() {
    let world = team();
    let submitted_at = world.in_micros(1);
    world.when(by("ada"), create_proxy_token_until(["prod"], submitted_at)).refused("invalid");
    world.when(by("ada"), create_proxy_token_until(["prod"], submitted_at.next())).then(["proxy_token.created"]);
}

#[test]
fn a_workspace_wide_token_stays_so_when_rbac_is_enabled() {
    let world = rbac_off().and([create_wide_proxy_token(), enable_rbac()]);
    assert_eq!(is_accepted(&world, "prod"), (true, "workspace_wide"));
}

#[test]
fn a_scoped_token_is_valid_everywhere_while_rbac_is_off() {
    let world = team().and([create_proxy_token(["main"]), disable_rbac()]);
    assert_eq!(is_accepted(&world, "prod"), (true, "rbac_off"));
    assert_eq!(is_accepted(&world.and([enable_rbac()]), "prod"), (false, "token_scope"));
}

#[test]
fn a_scope_is_set_as_a_whole() {
    let world = team().and([create_environment("dev"), create_proxy_token(["prod", "dev"])]);
    let world =
        world.when(by("mo"), set_scope(world.proxy_token(), ["main", "dev", "DEV"])).then(["proxy_token.scoped"]);
    assert_eq!(is_accepted(&world, "main"), (true, "token_scope"));
    assert_eq!(is_accepted(&world, "dev"), (true, "token_scope"));
    assert_eq!(is_accepted(&world, "prod"), (false, "token_scope"));
}

#[test]
fn a_scope_may_be_emptied() {
    let world = team().and([create_proxy_token(["prod"])]);
    let world = world.when(by("mo"), set_scope(world.proxy_token(), [])).then(["proxy_token.scoped"]);
    assert_eq!(is_accepted(&world, "prod"), (false, "token_scope"));
    world.when(by("mo"), set_scope(world.proxy_token(), [])).changes_nothing();
}

#[test]
fn the_same_scope_changes_nothing() {
    let world = team().and([create_proxy_token(["prod", "main"])]);
    world.when(by("mo"), set_scope(world.proxy_token(), ["MAIN", "prod", "main"])).changes_nothing();
}

#[test]
fn only_a_scoped_token_has_a_scope_to_set() {
    let world = rbac_off().and([create_wide_proxy_token()]);
    world.when(by("mo"), set_scope(world.proxy_token(), ["prod"])).refused("token_not_scoped");
    let world = world.and([enable_rbac()]);
    world.when(by("mo"), set_scope(world.proxy_token(), ["prod"])).refused("token_not_scoped");
}

#[test]
fn a_scope_is_set_only_while_rbac_is_on() {
    let world = team().and([create_proxy_token(["prod"]), disable_rbac()]);
    world.when(by("mo"), set_scope(world.proxy_token(), ["main"])).refused("rbac_disabled");
    world.when(by("mo"), set_scope(world.proxy_token(), ["prod"])).refused("rbac_disabled");
}

#[test]
fn the_environments_of_a_scope_must_exist() {
    let world = team().and([create_proxy_token(["prod"])]);
    world.when(by("mo"), set_scope(world.proxy_token(), ["nowhere"])).refused("not_found");
    world.when(by("mo"), set_scope("prx_nothing", ["prod"])).refused("not_found");
    let off = world.and([disable_rbac(), create_wide_proxy_token()]);
    off.when(by("mo"), set_scope(off.proxy_token(), ["nowhere"])).refused("not_found");
}

#[test]
fn a_proxy_token_is_revoked_once() {
    let world = team().and([create_proxy_token(["prod"])]);
    let token = world.proxy_token();
    let world =
        world.when(by("mo"), revoke_proxy_token(&token)).then_says(&format!("proxy_token.revoked {token} {{}}"));
    assert_eq!(is_accepted(&world, "prod"), (false, "no_such_proxy_token"));
    world.when(by("mo"), revoke_proxy_token(&token)).refused("not_found");
    world.when(by("mo"), set_scope(&token, ["prod"])).refused("not_found");
    world.when(by("mo"), revoke_proxy_token("prx_nothing")).refused("not_found");
}
