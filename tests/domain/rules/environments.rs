use tenure::domain::model::command::{Command, CreateEnvironment};
use tenure::domain::model::role::EnvironmentRole::{self, Contributor, NoAccess, Viewer};
use tenure::domain::model::role::{Plan, WorkspaceKind};

use crate::support::commands::{
    change_plan, create_environment, create_proxy_token, create_restricted, delete_environment, disable_rbac, grant,
    grant_until, rename, restrict, restrict_with, set_default_role, set_grant, set_grant_until, unrestrict,
};
use crate::support::given::{OPERATOR, World, by, team, workspace};

fn rbac_off() -> World {
    team().and([create_environment("dev"), disable_rbac()])
}

fn create_open_with(default_role: Option<EnvironmentRole>, granted: bool) -> Command {
    let grants = if granted { vec![grant("user:bob", Viewer)] } else { vec![] };
    CreateEnvironment { name: "dev".parse().unwrap(), restricted: false, default_role, grants }.into()
}

#[test]
fn an_environment_is_created_unrestricted() {
    for who in [by("ada"), by("mo"), OPERATOR] {
        team().when(who, create_environment("dev")).then(["environment.created"]);
    }
    rbac_off().when(by("mo"), create_environment("test")).then(["environment.created"]);
}

#[test]
fn an_environment_is_created_restricted_with_its_first_grants() {
    let world = team()
        .when(
            by("mo"),
            create_restricted("dev", None, [grant("user:bob", Contributor), grant("service_user:ci", NoAccess)]),
        )
        .then(["environment.created", "environment.restricted", "grant.added", "grant.added"]);
    assert_eq!(world.asks("user:bob", "deploy", "app", "dev").rule.as_str(), "grant");
    assert_eq!(world.asks("user:cyd", "read", "app", "dev").role.unwrap().as_str(), "viewer");
    assert!(!world.asks("service_user:ci", "read", "app", "dev").allowed);
}

#[test]
fn a_restricted_environment_gives_the_role_it_was_created_with() {
    for role in [NoAccess, Viewer, Contributor] {
        let world = team().and([create_restricted("dev", role, [])]);
        assert_eq!(world.asks("user:bob", "read", "app", "dev").role.unwrap().as_str(), role.as_str());
    }
}

#[test]
fn a_restricted_environment_is_created_only_while_rbac_is_on() {
    rbac_off().when(by("ada"), create_restricted("test", None, [])).refused("rbac_disabled");
    rbac_off().when(by("ada"), create_restricted("dev", None, [])).refused("rbac_disabled");
}

#[test]
fn a_live_environments_name_is_taken_in_any_case() {
    team().when(by("ada"), create_environment("prod")).refused("already_exists");
    team().when(by("ada"), create_environment("PrOd")).refused("already_exists");
    team().when(by("ada"), create_restricted("MAIN", None, [])).refused("already_exists");
    team().and([delete_environment("prod")]).when(by("ada"), create_environment("Prod")).then(["environment.created"]);
}

#[test]
fn an_unrestricted_environment_carries_no_default_role_and_no_grants() {
    team().when(by("ada"), create_open_with(Some(Viewer), false)).refused("environment_unrestricted");
    team().when(by("ada"), create_open_with(None, true)).refused("environment_unrestricted");
}

#[test]
fn the_first_grants_keep_the_rules_of_grants() {
    let world = team();
    let create = |given| create_restricted("dev", None, [given]);
    world.when(by("ada"), create(grant("user:nobody", Viewer))).refused("not_found");
    world.when(by("ada"), create(grant("user:mo", Viewer))).refused("role_implied");
    let now = world.in_micros(1);
    world.when(by("ada"), create(grant_until("user:bob", Viewer, now))).refused("invalid");
    let twice =
        [grant("service_user:ci", Viewer), grant(&format!("service_user:{}", world.service_user("ci")), Viewer)];
    world.when(by("ada"), create_restricted("dev", None, twice)).refused("invalid");
}

#[test]
fn principals_are_looked_up_before_the_rules_of_creation() {
    rbac_off().when(by("ada"), create_restricted("dev", None, [grant("user:nobody", Viewer)])).refused("not_found");
}

#[test]
fn an_environment_is_renamed_and_found_by_its_new_name() {
    let world = team();
    let id = world.environment("prod");
    let world = world
        .when(by("mo"), rename("prod", "live"))
        .then_says(&format!("environment.renamed {id} {{\"name\":\"live\"}}"));
    world.when(by("mo"), restrict("prod")).refused("not_found");
    world.when(by("mo"), restrict("LIVE")).changes_nothing();
    world.when(by("mo"), create_environment("prod")).then(["environment.created"]);
}

#[test]
fn an_environment_can_change_the_case_of_its_name() {
    let world = team().when(by("mo"), rename("prod", "Prod")).then(["environment.renamed"]);
    world.when(by("mo"), restrict("prod")).changes_nothing();
    world.when(by("mo"), create_environment("pROD")).refused("already_exists");
}

#[test]
fn a_new_name_must_be_free_and_the_same_name_changes_nothing() {
    team().when(by("ada"), rename("prod", "MAIN")).refused("already_exists");
    team().when(by("ada"), rename("prod", "prod")).changes_nothing();
    team().when(by("ada"), rename("dev", "test")).refused("not_found");
}

#[test]
fn a_restricted_environment_has_the_default_role_viewer_unless_another_is_given() {
    let world = team();
    let id = world.environment("main");
    world
        .when(by("mo"), restrict("main"))
        .then_says(&format!("environment.restricted {id} {{\"default_role\":\"viewer\"}}"));
    world
        .when(by("mo"), restrict_with(&id, NoAccess, [grant("user:bob", Contributor)]))
        .then(["environment.restricted", "grant.added"]);
}

#[test]
fn restricting_again_keeps_a_default_role_that_is_left_out() {
    let world = team().and([create_restricted("dev", NoAccess, [])]);
    world.when(by("mo"), restrict("dev")).changes_nothing();
    world.when(by("mo"), restrict_with("dev", NoAccess, [])).changes_nothing();
    world.when(by("mo"), restrict_with("dev", Viewer, [])).then(["environment.default_role_changed"]);
}

#[test]
fn restricting_again_adds_grants_and_takes_none() {
    let world = team().and([set_grant("prod", "user:bob", Contributor)]);
    let world = world
        .when(by("mo"), restrict_with("prod", NoAccess, [grant("user:cyd", Viewer)]))
        .then(["environment.default_role_changed", "grant.added"]);
    assert!(world.asks("user:bob", "deploy", "app", "prod").allowed);
    world.when(by("mo"), restrict_with("prod", None, [grant("user:bob", Contributor)])).changes_nothing();
    world.when(by("mo"), restrict_with("prod", None, [grant("user:bob", Viewer)])).then(["grant.changed"]);
}

#[test]
fn an_environment_is_restricted_only_while_rbac_is_on() {
    rbac_off().when(by("ada"), restrict("dev")).refused("rbac_disabled");
    rbac_off().when(by("ada"), restrict("prod")).refused("rbac_disabled");
    workspace(WorkspaceKind::Shared, Plan::Starter).when(by("ada"), restrict("main")).refused("rbac_disabled");
}

#[test]
fn restricting_looks_up_principals_first() {
    team().when(by("ada"), restrict("nowhere")).refused("not_found");
    rbac_off().when(by("ada"), restrict_with("dev", None, [grant("user:nobody", Viewer)])).refused("not_found");
    team().when(by("ada"), restrict_with("main", None, [grant("user:ada", Viewer)])).refused("role_implied");
    let world = team();
    let now = world.in_micros(1);
    world.when(by("ada"), restrict_with("main", None, [grant_until("user:bob", Viewer, now)])).refused("invalid");
}

#[test]
fn only_a_restricted_environment_has_a_default_role_to_change() {
    let world = team();
    let id = world.environment("prod");
    world
        .when(by("mo"), set_default_role("prod", NoAccess))
        .then_says(&format!("environment.default_role_changed {id} {{\"default_role\":\"no_access\"}}"));
    world.when(by("mo"), set_default_role("prod", Viewer)).changes_nothing();
    world.when(by("mo"), set_default_role("main", Viewer)).refused("environment_unrestricted");
    world.when(by("mo"), set_default_role("nowhere", Viewer)).refused("not_found");
}

#[test]
fn unrestricting_ends_every_grant_there() {
    let world = team().and([
        set_grant("prod", "user:bob", Contributor),
        set_grant("prod", "service_user:ci", NoAccess),
        create_restricted("dev", None, [grant("user:bob", Viewer)]),
    ]);
    let open =
        world.when(by("mo"), unrestrict("prod")).then(["grant.revoked", "grant.revoked", "environment.unrestricted"]);
    assert_eq!(open.writer.now().granted(&"user:bob".parse().unwrap()).len(), 1);
    let again = open.and([restrict("prod")]);
    assert_eq!(again.asks("user:bob", "read", "app", "prod").rule.as_str(), "default_role");
}

#[test]
fn an_unrestricted_environment_stays_so() {
    team().when(by("mo"), unrestrict("main")).changes_nothing();
    team().when(by("mo"), unrestrict("nowhere")).refused("not_found");
}

#[test]
fn an_environment_can_be_unrestricted_while_rbac_is_off() {
    rbac_off().when(by("mo"), unrestrict("prod")).then(["environment.unrestricted"]);
}

#[test]
fn deleting_an_environment_ends_its_grants_and_removes_it_from_every_scope() {
    let world = team().and([
        create_environment("dev"),
        set_grant("prod", "user:bob", Contributor),
        create_proxy_token(["prod", "dev"]),
        create_proxy_token(["prod"]),
        create_proxy_token(["dev"]),
    ]);
    let dev = world.environment("dev");
    let events = world.when(by("mo"), delete_environment("PROD")).events();
    let said: Vec<_> = events.iter().map(|event| event.data.data_json().unwrap().get().to_owned()).collect();
    assert_eq!(
        crate::support::given::names(&events),
        ["grant.revoked", "proxy_token.scoped", "proxy_token.scoped", "environment.deleted"],
    );
    assert_eq!(said[1..3], [format!("{{\"environments\":[\"{dev}\"]}}"), "{\"environments\":[]}".to_owned()]);
}

#[test]
fn a_scope_that_is_left_empty_is_valid_nowhere_while_rbac_is_on() {
    let world = team().and([create_proxy_token(["prod"]), delete_environment("prod")]);
    let token = format!("proxy_token:{}", world.proxy_token());
    assert!(!world.asks(&token, "call", "web_function", "main").allowed);
    assert!(world.and([disable_rbac()]).asks(&token, "call", "web_function", "main").allowed);
}

#[test]
fn an_environment_of_a_freed_name_is_another_and_inherits_nothing() {
    let world = team().and([
        set_grant("prod", "user:bob", Contributor),
        create_proxy_token(["prod"]),
        delete_environment("prod"),
        create_restricted("prod", None, []),
    ]);
    assert_eq!(world.asks("user:bob", "read", "app", "prod").rule.as_str(), "default_role");
    let token = format!("proxy_token:{}", world.proxy_token());
    assert!(!world.asks(&token, "call", "web_function", "prod").allowed);
}

#[test]
fn every_environment_can_be_deleted_even_main() {
    team().when(by("mo"), delete_environment("main")).then(["environment.deleted"]);
    team().when(by("mo"), delete_environment("nowhere")).refused("not_found");
    let world = team();
    let id = world.environment("prod");
    world.and([delete_environment("prod")]).when(by("mo"), delete_environment(&id)).refused("not_found");
}

#[test]
fn a_grant_that_expired_is_not_revoked_with_its_environment() {
    let world = team();
    let soon = world.in_micros(10);
    let world = world.and([set_grant_until("prod", "user:bob", Contributor, soon)]).later(20);
    world.when(by("mo"), unrestrict("prod")).after_noting(["grant.expired"]).then(["environment.unrestricted"]);
    world.when(by("mo"), delete_environment("prod")).after_noting(["grant.expired"]).then(["environment.deleted"]);
}

#[test]
fn a_plan_without_rbac_keeps_restrictions_recorded_and_does_not_enforce_them() {
    let world = team().and([change_plan(Plan::Starter)]);
    assert_eq!(world.asks("user:bob", "deploy", "app", "prod").rule.as_str(), "rbac_off");
    assert_eq!(world.asks("user:bob", "deploy", "app", "main").rule.as_str(), "unrestricted");
    world.when(by("mo"), set_default_role("prod", NoAccess)).then(["environment.default_role_changed"]);
}
