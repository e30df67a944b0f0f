use tenure::domain::model::command::Command;
use tenure::domain::model::principal::{Actor, ActorCredential, Caller};
use tenure::domain::model::role::AccessKeyRole::{Auditor, Evaluator};
use tenure::domain::model::role::EnvironmentRole::Viewer;
use tenure::domain::model::role::WorkspaceRole::{Manager, Member};
use tenure::domain::model::role::{Plan, WorkspaceKind};

use crate::support::commands::{
    add_member, change_plan, change_role, create_environment, create_proxy_token, create_service_user,
    create_workspace, define_resource_type, delete_environment, delete_service_user, delete_workspace, disable_rbac,
    enable_rbac, issue_access_key, issue_token, issue_token_until, place, remove_member, remove_resource, rename,
    restrict, revoke_access_key, revoke_grant, revoke_proxy_token, revoke_token, set_default_role, set_grant,
    set_scope, unrestrict,
};
use crate::support::given::{OPERATOR, Who, World, by, team};

/// Returns one of each command, about others than the caller. They may name unknown entities, because authority is
/// checked first.
fn one_of_each() -> Vec<Command> {
    vec![
        create_workspace("other", WorkspaceKind::Shared, Plan::Team, "ada"),
        delete_workspace(),
        change_plan(Plan::Enterprise),
        enable_rbac(),
        disable_rbac(),
        add_member("eve", Member),
        change_role("nobody", Manager),
        remove_member("nobody"),
        create_service_user("deploy"),
        delete_service_user("nothing"),
        issue_token("service_user:nothing"),
        revoke_token("tok_nothing"),
        create_environment("dev"),
        rename("nothing", "dev"),
        restrict("nothing"),
        set_default_role("nothing", Viewer),
        unrestrict("nothing"),
        delete_environment("nothing"),
        set_grant("nothing", "user:nobody", Viewer),
        revoke_grant("nothing", "user:nobody"),
        create_proxy_token(["nothing"]),
        set_scope("prx_nothing", []),
        revoke_proxy_token("prx_nothing"),
        issue_access_key(Auditor),
        revoke_access_key("key_nothing"),
        define_resource_type("gpu", ["read=viewer"]),
        place("nothing:at-all", "nothing"),
        remove_resource("nothing:at-all"),
    ]
}

fn assert_all_refused(world: &World, who: Who, code: &str) {
    for command in one_of_each() {
        world.when(who, command).refused(code);
    }
}

#[test]
fn there_is_one_of_each_command() {
    // The commands to create and to delete a workspace have no type, because no batch may hold them.
    assert_eq!(one_of_each().len(), Command::TYPES.len() + 2);
}

#[test]
fn members_service_users_and_access_keys_cannot_change_others() {
    for who in [by("bob"), by("ci"), Who::Key(Evaluator), Who::Key(Auditor)] {
        assert_all_refused(&team(), who, "forbidden");
    }
}

#[test]
fn a_revoked_token_is_unauthenticated() {
    for who in ["ada", "mo", "bob", "ci"] {
        let world = team();
        let world = world.clone().and([revoke_token(world.token(who))]);
        assert_all_refused(&world, by(who), "unauthenticated");
    }
}

#[test]
fn a_token_is_unauthenticated_from_its_expiry_on() {
    let world = team();
    let end = world.in_micros(100);
    let world = world.and([issue_token_until("user:ada", end)]);
    let submitted_at_end = end.micros() - world.writer.clock.micros() - 1;
    world.clone().later(submitted_at_end - 1).when(by("ada"), create_environment("dev")).then(["environment.created"]);
    world
        .later(submitted_at_end)
        .when(by("ada"), create_environment("dev"))
        .after_noting(["token.expired"])
        .refused("unauthenticated");
}

#[test]
fn a_removed_member_is_unauthenticated_and_returns_only_with_a_new_token() {
    let world = team().and([remove_member("mo"), add_member("mo", Manager)]);
    assert_all_refused(&world, by("mo"), "unauthenticated");
    let world = world.and([issue_token("user:mo")]);
    world.when(by("mo"), create_environment("dev")).then(["environment.created"]);
}

#[test]
fn a_deleted_service_user_is_unauthenticated() {
    assert_all_refused(&team().and([delete_service_user("ci")]), by("ci"), "unauthenticated");
}

#[test]
fn a_demoted_member_loses_authority() {
    let world = team().and([change_role("mo", Member)]);
    world.when(by("mo"), create_environment("dev")).refused("forbidden");
    world.when(by("mo"), issue_token("user:mo")).then(["token.issued"]);
}

#[test]
fn authority_is_checked_before_names() {
    team().when(by("bob"), restrict("nothing")).refused("forbidden");
    team().when(by("mo"), restrict("nothing")).refused("not_found");
}

#[test]
fn an_event_names_its_actor_and_credential() {
    let world = team();
    let token: ActorCredential = world.token("mo").parse().unwrap();
    let event = world.when(by("mo"), create_environment("dev")).events().remove(0);
    assert_eq!((&event.actor, event.credential), (&Actor::User("mo".parse().unwrap()), Some(token)));
    let event = world.when(OPERATOR, create_environment("dev")).events().remove(0);
    assert_eq!((&event.actor, event.credential), (&Actor::Operator, Some(ActorCredential::Operator)));
}

#[test]
fn an_import_vouches_for_the_actors_it_names() {
    let mut writer = team().writer;
    let actor = Actor::User("long-gone".parse().unwrap());
    let submitted = writer.submit(&Caller::ImportedActor(actor.clone()), &[create_environment("dev")]);
    let event = submitted.outcome.unwrap().concat().remove(0);
    assert_eq!((&event.actor, event.credential), (&actor, None));
}
