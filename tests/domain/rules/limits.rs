//! Limits apply to new things. Nothing that ends things can hit one.

use tenure::domain::model::command::{Command, CreateProxyToken, DefineResourceType};
use tenure::domain::model::role::AccessKeyRole::Evaluator;
use tenure::domain::model::role::EnvironmentRole::Viewer;
use tenure::domain::model::role::RequiredRole;
use tenure::domain::model::role::WorkspaceRole::Member;
use tenure::domain::rules::decide::{
    ACTIONS_MAX, CREDENTIALS_MAX, ENVIRONMENTS_MAX, EVENTS_MAX, GRANTS_MAX, PLACEMENTS_MAX, PRINCIPALS_MAX,
    RESOURCE_TYPES_MAX, SCOPE_MAX,
};

use crate::support::commands::{
    add_member, create_environment, create_service_user, define_resource_type, delete_environment, disable_rbac,
    enable_rbac, grant, issue_access_key, issue_token, place, remove_member, remove_resource, restrict_with,
    revoke_access_key, set_grant, unrestrict,
};
use crate::support::given::{OPERATOR, World, by, names, team};

fn with(world: World, count: usize, command: impl Fn(usize) -> Command) -> World {
    let commands: Vec<_> = (0..count).map(command).collect();
    commands.chunks(EVENTS_MAX).fold(world, World::and_all)
}

fn with_environments(count: usize) -> World {
    with(team(), count - 2, |n| create_environment(&format!("e{n}")))
}

fn with_members(count: usize) -> World {
    with(team(), count, |n| add_member(&format!("u{n}"), Member))
}

#[test]
fn the_environments_of_a_workspace_are_limited() {
    let full = with_environments(ENVIRONMENTS_MAX);
    full.when(by("ada"), create_environment("one-more")).refused("too_large");
    full.when(by("ada"), create_environment("main")).refused("already_exists");
    let freed = full.and([delete_environment("e1")]);
    freed.when(by("ada"), create_environment("one-more")).then(["environment.created"]);
}

#[test]
fn the_environments_of_a_scope_are_limited() {
    let world = with_environments(SCOPE_MAX + 2);
    let scope = |count: usize| -> Command {
        let environments = Some((0..count).map(|n| format!("e{n}").into()).collect());
        CreateProxyToken { environments, expires_at: None }.into()
    };
    world.when(by("ada"), scope(SCOPE_MAX)).then(["proxy_token.created"]);
    world
        .when(by("ada"), [scope(SCOPE_MAX), scope(SCOPE_MAX - 1)])
        .then(["proxy_token.created", "proxy_token.created"]);
    let more = world.and([create_environment(&format!("e{SCOPE_MAX}"))]);
    more.when(by("ada"), scope(SCOPE_MAX + 1)).refused("too_large");
}

#[test]
fn the_grants_of_an_environment_are_limited() {
    let world = with_members(GRANTS_MAX + 1);
    let grants: Vec<_> = (0..GRANTS_MAX).map(|n| grant(&format!("user:u{n}"), Viewer)).collect();
    let mut one_more = grants.clone();
    one_more.push(grant(&format!("user:u{GRANTS_MAX}"), Viewer));
    world.when(by("ada"), restrict_with("prod", None, one_more)).refused("too_large");

    let full = world.when(by("ada"), restrict_with("prod", None, grants)).world;
    full.when(by("ada"), set_grant("prod", "user:bob", Viewer)).refused("too_large");
    full.when(by("ada"), set_grant("prod", "user:u1", Viewer)).changes_nothing();
    let ended = full.when(by("ada"), unrestrict("prod"));
    assert_eq!(ended.events().len(), GRANTS_MAX + 1, "ending them all is never too large");
}

#[test]
fn the_events_of_a_command_are_limited() {
    let toggles = |count: usize| -> Vec<_> {
        (0..count).map(|n| if n % 2 == 0 { disable_rbac() } else { enable_rbac() }).collect()
    };
    let world = team();
    assert_eq!(world.when(by("ada"), toggles(EVENTS_MAX)).events().len(), EVENTS_MAX);
    world.when(by("ada"), toggles(EVENTS_MAX + 1)).refused_at(EVENTS_MAX, "too_large");
}

#[test]
fn the_principals_of_a_workspace_are_limited() {
    let principals = team().writer.now().principals().count();
    let full = with_members(PRINCIPALS_MAX - principals);
    full.when(by("ada"), add_member("eve", Member)).refused("too_large");
    full.when(by("ada"), create_service_user("deploy")).refused("too_large");
    let freed = full.when(by("ada"), remove_member("u1")).then(["member.removed"]);
    freed.when(by("ada"), add_member("eve", Member)).then(["member.added"]);
}

#[test]
fn the_credentials_of_a_workspace_are_limited() {
    let view = team().writer.now();
    let credentials = view.tokens().count() + view.proxy_tokens().count() + view.access_keys().count();
    let full = with(team(), CREDENTIALS_MAX - credentials, |_| issue_access_key(Evaluator));
    full.when(by("ada"), issue_access_key(Evaluator)).refused("too_large");
    full.when(by("ada"), issue_token("user:ada")).refused("too_large");
    full.when(by("ada"), create_service_user("deploy")).refused("too_large");
    let freed = full.when(OPERATOR, revoke_access_key(full.access_key(Evaluator)));
    assert_eq!(names(&freed.events()), ["access_key.revoked"]);
    freed.world.when(by("ada"), issue_token("user:ada")).then(["token.issued"]);
}

#[test]
fn the_resource_types_of_a_workspace_are_limited() {
    let full = with(team(), RESOURCE_TYPES_MAX, |n| define_resource_type(&format!("t{n}"), ["read=viewer"]));
    full.when(by("ada"), define_resource_type("one_more", ["read=viewer"])).refused("too_large");
    full.when(by("ada"), define_resource_type("app", ["read=viewer"])).refused("already_exists");
    full.when(by("ada"), define_resource_type("t1", ["read=viewer"])).changes_nothing();
    full.when(by("ada"), define_resource_type("t1", ["read=contributor"])).then(["resource_type.defined"]);
}

#[test]
fn the_actions_of_a_resource_type_are_limited() {
    let define = |count: usize| -> Command {
        let actions = (0..count).map(|n| (format!("a{n}").parse().unwrap(), RequiredRole::Viewer));
        DefineResourceType { name: "gpu".parse().unwrap(), actions: actions.collect() }.into()
    };
    team().when(by("ada"), define(ACTIONS_MAX)).then(["resource_type.defined"]);
    team().when(by("ada"), define(ACTIONS_MAX + 1)).refused("too_large");
}

#[test]
fn the_placements_of_a_workspace_are_limited_and_ending_them_all_is_not() {
    let full = with(team(), PLACEMENTS_MAX, |n| place(&format!("app:a{n}"), "prod"));
    full.when(by("ada"), place("app:one-more", "prod")).refused("too_large");
    full.when(by("ada"), place("app:a1", "main")).then(["resource.moved"]);
    full.when(by("ada"), place("app:a1", "prod")).changes_nothing();
    let freed = full.when(by("ada"), remove_resource("app:a1")).then(["resource.removed"]);
    let full = freed.when(by("ada"), place("app:one-more", "prod")).then(["resource.placed"]);
    let ended = full.when(by("ada"), delete_environment("prod"));
    assert_eq!(ended.events().len(), PLACEMENTS_MAX + 1);
    ended.world.when(by("ada"), place("app:one-more", "main")).then(["resource.placed"]);
}
