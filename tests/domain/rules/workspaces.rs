use tenure::domain::model::role::{Plan, WorkspaceKind, WorkspaceRole};

use crate::support::Writer;
use crate::support::commands::{
    add_member, change_plan, create_environment, create_workspace, delete_workspace, disable_rbac, enable_rbac,
    restrict,
};
use crate::support::given::{OPERATOR, World, by, team, workspace};

fn shared(plan: Plan) -> World {
    workspace(WorkspaceKind::Shared, plan)
}

#[test]
fn a_new_workspace_comes_with_its_owner_main_and_the_owners_token() {
    let nothing = World { writer: Writer::new() };
    let world = nothing.when(OPERATOR, create_workspace("acme", WorkspaceKind::Shared, Plan::Team, "ada")).then([
        "workspace.created",
        "member.added",
        "environment.created",
        "token.issued",
    ]);
    let view = world.writer.now();
    assert_eq!(view.member(&"ada".parse().unwrap()).unwrap().value, WorkspaceRole::Owner);
    assert_eq!(view.environments().map(|environment| environment.name.to_string()).collect::<Vec<_>>(), ["main"]);
    assert!(!view.rbac().value);
    assert_eq!(view.plan().value, Plan::Team);
}

#[test]
fn a_workspace_is_created_once() {
    shared(Plan::Team)
        .when(OPERATOR, create_workspace("acme", WorkspaceKind::Shared, Plan::Team, "ada"))
        .refused("already_exists");
    shared(Plan::Team)
        .and([delete_workspace()])
        .when(OPERATOR, create_workspace("acme", WorkspaceKind::Shared, Plan::Team, "ada"))
        .refused("already_exists");
}

#[test]
fn only_the_operator_creates_workspaces() {
    team().when(by("ada"), create_workspace("other", WorkspaceKind::Shared, Plan::Team, "ada")).refused("forbidden");
}

#[test]
fn an_owner_or_the_operator_deletes_the_workspace() {
    team().when(by("ada"), delete_workspace()).then(["workspace.deleted"]);
    team().when(OPERATOR, delete_workspace()).then(["workspace.deleted"]);
    team().when(by("mo"), delete_workspace()).refused("forbidden");
}

#[test]
fn nothing_follows_the_deletion_of_a_workspace() {
    let world = team().and([delete_workspace()]);
    world.when(OPERATOR, delete_workspace()).refused("not_found");
    world.when(OPERATOR, create_environment("dev")).refused("not_found");
    world.when(OPERATOR, change_plan(Plan::Enterprise)).refused("not_found");
    world.when(by("ada"), create_environment("dev")).refused("unauthenticated");
}

#[test]
fn an_unknown_workspace_accepts_no_command() {
    let nothing = World { writer: Writer::new() };
    nothing.when(OPERATOR, enable_rbac()).refused("not_found");
}

#[test]
fn everything_in_a_deleted_workspace_ended_with_it() {
    let world = team().and([delete_workspace()]);
    let view = world.writer.now();
    assert!(!view.exists());
    assert_eq!(view.principals().count(), 0);
    assert_eq!(view.environments().count(), 0);
    assert_eq!(view.tokens().count(), 0);
    assert_eq!(world.asks("user:ada", "read", "app", "main").rule.as_str(), "no_such_workspace");
}

#[test]
fn the_operator_changes_the_plan() {
    team()
        .when(OPERATOR, change_plan(Plan::Enterprise))
        .then_says(&format!("plan.changed {} {{\"plan\":\"enterprise\"}}", team().writer.workspace.id()));
    team().when(by("ada"), change_plan(Plan::Enterprise)).refused("forbidden");
}

#[test]
fn a_change_to_the_plan_that_it_is_on_changes_nothing() {
    team().when(OPERATOR, change_plan(Plan::Team)).changes_nothing();
    shared(Plan::Starter).when(OPERATOR, change_plan(Plan::Starter)).changes_nothing();
}

#[test]
fn a_change_to_starter_disables_rbac() {
    team().when(OPERATOR, change_plan(Plan::Starter)).then(["plan.changed", "rbac.disabled"]);
    shared(Plan::Team).when(OPERATOR, change_plan(Plan::Starter)).then(["plan.changed"]);
}

#[test]
fn rbac_needs_a_plan_that_includes_it() {
    shared(Plan::Starter).when(by("ada"), enable_rbac()).refused("plan_required");
    shared(Plan::Team).when(by("ada"), enable_rbac()).then(["rbac.enabled"]);
    shared(Plan::Enterprise).when(by("ada"), enable_rbac()).then(["rbac.enabled"]);
    shared(Plan::Starter).and([change_plan(Plan::Team)]).when(by("ada"), enable_rbac()).then(["rbac.enabled"]);
}

#[test]
fn rbac_that_is_on_or_off_already_stays_so() {
    team().when(by("mo"), enable_rbac()).changes_nothing();
    shared(Plan::Starter).when(by("ada"), disable_rbac()).changes_nothing();
}

#[test]
fn rbac_is_disabled() {
    team().when(by("mo"), disable_rbac()).then(["rbac.disabled"]);
}

#[test]
fn restrictions_are_enforced_again_when_rbac_is_enabled_again() {
    let off = team().and([disable_rbac()]);
    assert_eq!(off.asks("user:bob", "deploy", "app", "prod").rule.as_str(), "rbac_off");
    let on = off.and([enable_rbac()]);
    assert_eq!(on.asks("user:bob", "deploy", "app", "prod").rule.as_str(), "default_role");
}

#[test]
fn a_personal_workspace_has_environments_and_rbac_and_no_others_in_it() {
    let world = workspace(WorkspaceKind::Personal, Plan::Team).and([enable_rbac(), create_environment("dev")]);
    world.when(by("ada"), restrict("dev")).then(["environment.restricted"]);
    world.when(OPERATOR, add_member("bob", WorkspaceRole::Member)).refused("personal_workspace");
}
