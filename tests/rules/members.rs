use tenure::domain::role::EnvironmentRole::{Contributor, NoAccess};
use tenure::domain::role::WorkspaceRole::{Manager, Member, Owner};
use tenure::domain::role::{Plan, WorkspaceKind};

use crate::support::commands::{
    add_member, change_role, create_restricted, issue_token, remove_member, set_grant, set_grant_until,
};
use crate::support::given::{OPERATOR, World, by, team, workspace};

/// `bob` has a grant in two environments, and two tokens.
fn bob_has_grants_and_tokens() -> World {
    team().and([
        create_restricted("staging", NoAccess, []),
        set_grant("prod", "user:bob", Contributor),
        set_grant("staging", "user:bob", Contributor),
        issue_token("user:bob"),
    ])
}

#[test]
fn owners_managers_and_the_operator_add_members() {
    for who in [by("ada"), by("mo"), OPERATOR] {
        team().when(who, add_member("eve", Member)).then_says("member.added user:eve {\"role\":\"member\"}");
        team().when(who, add_member("eve", Manager)).then(["member.added"]);
    }
}

#[test]
fn a_personal_workspace_takes_no_members() {
    let world = workspace(WorkspaceKind::Personal, Plan::Team);
    world.when(by("ada"), add_member("eve", Member)).refused("personal_workspace");
    world.when(OPERATOR, add_member("ada", Member)).refused("personal_workspace");
}

#[test]
fn a_member_is_added_once() {
    team().when(by("ada"), add_member("bob", Member)).refused("already_exists");
    team().when(by("mo"), add_member("bob", Owner)).refused("already_exists");
}

#[test]
fn only_an_owner_or_the_operator_adds_an_owner() {
    team().when(by("mo"), add_member("eve", Owner)).refused("owner_protected");
    team().when(by("ada"), add_member("eve", Owner)).then(["member.added"]);
    team().when(OPERATOR, add_member("eve", Owner)).then(["member.added"]);
}

#[test]
fn whoever_comes_back_has_nothing_of_what_they_had() {
    let world = bob_has_grants_and_tokens().and([remove_member("bob"), add_member("bob", Member)]);
    let bob = "user:bob".parse().unwrap();
    assert_eq!(world.writer.now().tokens_of(&bob).count(), 0);
    assert_eq!(world.writer.now().granted(&bob), []);
    world.when(by("bob"), issue_token("user:bob")).refused("unauthenticated");
}

#[test]
fn a_members_role_is_changed() {
    team().when(by("mo"), change_role("bob", Manager)).then_says("member.role_changed user:bob {\"role\":\"manager\"}");
    team().when(by("mo"), change_role("mo", Member)).then(["member.role_changed"]);
    team().when(by("ada"), change_role("bob", Owner)).then(["member.role_changed"]);
}

#[test]
fn nobody_changes_the_role_of_who_is_not_a_member() {
    team().when(by("ada"), change_role("eve", Owner)).refused("not_found");
    team().when(by("mo"), change_role("eve", Owner)).refused("not_found");
    team().when(OPERATOR, change_role("not a user id", Member)).refused("not_found");
}

#[test]
fn giving_a_role_that_is_held_changes_nothing() {
    team().when(by("mo"), change_role("bob", Member)).changes_nothing();
    team().when(by("mo"), change_role("ada", Owner)).changes_nothing();
}

#[test]
fn only_an_owner_or_the_operator_makes_or_unmakes_owners() {
    let two_owners = team().and([add_member("eve", Owner)]);
    two_owners.when(by("mo"), change_role("bob", Owner)).refused("owner_protected");
    two_owners.when(by("mo"), change_role("eve", Member)).refused("owner_protected");
    two_owners.when(by("ada"), change_role("eve", Member)).then(["member.role_changed"]);
    two_owners.when(by("ada"), change_role("ada", Member)).then(["member.role_changed"]);
    two_owners.when(OPERATOR, change_role("eve", Manager)).then(["member.role_changed"]);
}

#[test]
fn the_last_owner_stays_owner() {
    team().when(by("ada"), change_role("ada", Manager)).refused("last_owner");
    team().when(OPERATOR, change_role("ada", Member)).refused("last_owner");
    team().when(by("mo"), change_role("ada", Member)).refused("owner_protected");
}

#[test]
fn a_promotion_ends_the_members_grants() {
    for role in [Manager, Owner] {
        bob_has_grants_and_tokens().when(by("ada"), change_role("bob", role)).then([
            "grant.revoked",
            "grant.revoked",
            "member.role_changed",
        ]);
    }
}

#[test]
fn a_demotion_brings_no_grant_back() {
    let world = bob_has_grants_and_tokens().and([change_role("bob", Manager), change_role("bob", Member)]);
    let decision = world.asks("user:bob", "deploy", "app", "prod");
    assert_eq!((decision.allowed, decision.rule.as_str()), (false, "default_role"));
}

#[test]
fn removing_a_member_ends_their_grants_and_tokens() {
    bob_has_grants_and_tokens().when(by("mo"), remove_member("bob")).then([
        "grant.revoked",
        "grant.revoked",
        "token.revoked",
        "token.revoked",
        "member.removed",
    ]);
}

#[test]
fn a_grant_that_expired_is_not_revoked_with_its_member() {
    let world = team();
    let soon = world.in_micros(10);
    world
        .and([set_grant_until("prod", "user:bob", Contributor, soon)])
        .later(20)
        .when(by("mo"), remove_member("bob"))
        .after_noting(["grant.expired"])
        .then(["token.revoked", "member.removed"]);
}

#[test]
fn any_member_removes_themself() {
    team().when(by("bob"), remove_member("bob")).then(["token.revoked", "member.removed"]);
    team().when(by("mo"), remove_member("mo")).then(["token.revoked", "member.removed"]);
    let two_owners = team().and([add_member("eve", Owner)]);
    two_owners.when(by("ada"), remove_member("ada")).then(["token.revoked", "member.removed"]);
}

#[test]
fn a_member_removes_nobody_else() {
    team().when(by("bob"), remove_member("cyd")).refused("forbidden");
    team().when(by("bob"), remove_member("nobody")).refused("forbidden");
}

#[test]
fn who_is_not_a_member_cannot_be_removed() {
    team().when(by("ada"), remove_member("eve")).refused("not_found");
    team().when(OPERATOR, remove_member("")).refused("not_found");
}

#[test]
fn an_owner_is_removed_by_owners_only_and_the_last_by_nobody() {
    let two_owners = team().and([add_member("eve", Owner)]);
    two_owners.when(by("mo"), remove_member("eve")).refused("owner_protected");
    two_owners.when(by("ada"), remove_member("eve")).then(["member.removed"]);
    two_owners.when(OPERATOR, remove_member("eve")).then(["member.removed"]);
    team().when(by("ada"), remove_member("ada")).refused("last_owner");
    team().when(OPERATOR, remove_member("ada")).refused("last_owner");
    team().when(by("mo"), remove_member("ada")).refused("owner_protected");
}
