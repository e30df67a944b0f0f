use tenure::domain::model::principal::Actor;
use tenure::domain::model::role::AccessKeyRole::{Auditor, Evaluator};
use tenure::domain::model::role::EnvironmentRole::{Contributor, NoAccess};
use tenure::domain::model::role::WorkspaceRole::{Manager, Member, Owner};
use tenure::domain::model::role::{Plan, WorkspaceKind};
use tenure::domain::rules::decide::EVENTS_MAX;

use crate::support::commands::{
    add_member, change_role, create_proxy_token, create_restricted, create_service_user, delete_service_user,
    issue_access_key, issue_access_key_until, issue_token, remove_member, remove_member_and_issued, revoke_proxy_token,
    set_grant, set_grant_until,
};
use crate::support::given::{OPERATOR, World, by, team, workspace};

/// Returns a world in which `bob` has a grant in two environments, and two tokens.
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
fn a_returning_member_has_no_earlier_access() {
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
fn the_role_of_a_non_member_cannot_be_changed() {
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
fn only_an_owner_or_the_operator_gives_or_takes_the_role_of_an_owner() {
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
fn a_demotion_restores_no_grant() {
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

/// Returns a world with credentials that `mo` issued: a token for `ci`, another service user with its token, a proxy
/// token, an access key and an own token. `ada` issued as many.
fn mo_issued_credentials() -> World {
    let issue = |world: World, who: &'static str, name: &str| {
        let commands = [
            issue_token(&format!("user:{who}")),
            issue_token("service_user:ci"),
            create_service_user(name),
            create_proxy_token(["prod"]),
            issue_access_key(Auditor),
        ];
        commands.into_iter().fold(world, |world, command| world.when(by(who), command).world)
    };
    issue(issue(team(), "mo", "by-mo"), "ada", "by-ada")
}

/// Returns the numbers of live API tokens, proxy tokens and access keys that someone issued.
fn issued_by(world: &World, who: &str) -> [usize; 3] {
    let view = world.writer.now();
    let by = |actor: &Actor| actor.to_string() == who;
    [
        view.tokens().filter(|token| by(token.issued_by)).count(),
        view.proxy_tokens().filter(|token| by(token.issued_by)).count(),
        view.access_keys().filter(|key| by(key.issued_by)).count(),
    ]
}

#[test]
fn a_removal_revokes_the_credentials_that_the_member_issued_on_request() {
    let world = mo_issued_credentials();
    assert_eq!(issued_by(&world, "user:mo"), [3, 1, 1]);
    for who in [by("ada"), by("mo"), OPERATOR] {
        let ended = world.when(who, remove_member_and_issued("mo")).then([
            "token.revoked",
            "token.revoked",
            "token.revoked",
            "token.revoked",
            "proxy_token.revoked",
            "access_key.revoked",
            "member.removed",
        ]);
        assert_eq!(issued_by(&ended, "user:mo"), [0; 3]);
        assert_eq!(issued_by(&ended, "user:ada"), issued_by(&world, "user:ada"), "what others issued stays");
        assert_eq!(issued_by(&ended, "operator")[1..], issued_by(&world, "operator")[1..]);
        ended.when(by("by-mo"), issue_token("user:mo")).refused("unauthenticated");
    }
    let left = world.when(by("ada"), remove_member("mo")).then(["token.revoked", "token.revoked", "member.removed"]);
    assert_eq!(issued_by(&left, "user:mo"), [2, 1, 1], "it stays where nothing is said");
}

#[test]
fn a_credential_that_has_ended_is_not_revoked_again_with_its_issuer() {
    let world = mo_issued_credentials();
    let soon = world.in_micros(50);
    let world = world.when(by("mo"), issue_access_key_until(Evaluator, soon)).world;
    let (proxy_token, key) =
        (world.writer.now().proxy_tokens().next().unwrap().id.to_string(), world.access_key(Auditor));
    let world = world.and([revoke_proxy_token(&proxy_token), delete_service_user("by-mo")]).later(100);
    let ended = world.when(OPERATOR, remove_member_and_issued("mo")).after_noting(["access_key.expired"]);
    ended.then(["token.revoked", "token.revoked", "token.revoked", "access_key.revoked", "member.removed"]);
    assert!(world.writer.now().access_key(key.parse().unwrap()).is_some());
}

#[test]
fn a_token_of_an_owner_is_revoked_with_its_issuer_by_owners_only() {
    let world = team().and([add_member("eve", Owner), issue_token("user:eve")]);
    let world = world.when(by("eve"), issue_token("user:ada")).world.and([change_role("eve", Manager)]);
    world.when(by("mo"), remove_member_and_issued("eve")).refused("owner_protected");
    world.when(by("eve"), remove_member_and_issued("eve")).refused("owner_protected");
    world.when(by("mo"), remove_member("eve")).then(["token.revoked", "member.removed"]);
    let first_of_ada = world.writer.now().tokens().next().unwrap().id;
    let ended = world.when(OPERATOR, remove_member_and_issued("eve")).then([
        "token.revoked",
        "token.revoked",
        "member.removed",
    ]);
    assert!(ended.writer.now().token(first_of_ada).is_some(), "the operator issued it");
}

#[test]
fn a_member_who_leaves_revokes_what_they_issued_only_as_a_manager() {
    let world = mo_issued_credentials().and([change_role("mo", Member)]);
    world.when(by("mo"), remove_member_and_issued("mo")).refused("forbidden");
    world.when(by("bob"), remove_member_and_issued("bob")).refused("forbidden");
    world.when(by("ci"), remove_member_and_issued("mo")).refused("forbidden");
    world.when(by("mo"), remove_member("mo")).then(["token.revoked", "token.revoked", "member.removed"]);
    world.when(by("ada"), remove_member_and_issued("ada")).refused("last_owner");
    world.when(OPERATOR, remove_member_and_issued("nobody")).refused("not_found");
}

#[test]
fn a_returning_members_earlier_credentials_are_revoked_on_request_too() {
    let world = mo_issued_credentials().and([remove_member("mo"), add_member("mo", Manager)]);
    let ended = world.when(by("ada"), remove_member_and_issued("mo"));
    ended.then(["token.revoked", "token.revoked", "proxy_token.revoked", "access_key.revoked", "member.removed"]);
}

#[test]
fn a_removal_is_never_too_large() {
    let keys: Vec<_> = (0..EVENTS_MAX).map(|_| issue_access_key(Auditor)).collect();
    let world = team().when(by("mo"), keys).world.when(by("mo"), issue_access_key(Auditor)).world;
    let ended = world.when(by("ada"), remove_member_and_issued("mo"));
    assert_eq!(ended.events().len(), EVENTS_MAX + 3);
}

#[test]
fn any_member_can_leave() {
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
fn a_non_member_cannot_be_removed() {
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
