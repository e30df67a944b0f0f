use tenure::domain::command::{Command, IssueToken};
use tenure::domain::role::WorkspaceRole::Owner;

use crate::support::commands::{add_member, issue_token, issue_token_until, remove_member, revoke_token};
use crate::support::given::{OPERATOR, World, by, team};

/// The token that was issued last, with its holder and end.
fn issued_last(world: &World) -> String {
    let view = world.writer.now();
    let token = view.tokens().last().unwrap();
    let end = token.expires_at.map_or_else(|| "for good".to_owned(), |end| format!("until {end}"));
    format!("{} {end}", token.terms.holder)
}

#[test]
fn any_member_issues_a_token_for_themself() {
    for who in ["ada", "mo", "bob"] {
        let world = team().when(by(who), issue_token(&format!("user:{who}"))).then(["token.issued"]);
        assert_eq!(issued_last(&world), format!("user:{who} for good"));
    }
}

#[test]
fn owners_managers_and_the_operator_issue_tokens_for_service_users() {
    let world = team();
    let by_id = format!("service_user:{}", world.service_user("ci"));
    for who in [by("ada"), by("mo"), OPERATOR] {
        world.when(who, issue_token("service_user:ci")).then(["token.issued"]);
        world.when(who, issue_token(&by_id)).then(["token.issued"]);
    }
    world.when(by("bob"), issue_token("service_user:ci")).refused("forbidden");
}

#[test]
fn only_an_owner_or_the_operator_issues_a_token_for_another_member() {
    team().when(by("ada"), issue_token("user:bob")).then(["token.issued"]);
    team().when(OPERATOR, issue_token("user:bob")).then(["token.issued"]);
    team().when(by("mo"), issue_token("user:bob")).refused("forbidden");
    team().when(by("mo"), issue_token("user:ada")).refused("forbidden");
    team().when(by("mo"), issue_token("user:nobody")).refused("forbidden");
    team().when(by("bob"), issue_token("user:cyd")).refused("forbidden");
}

#[test]
fn a_holder_must_exist() {
    team().when(by("ada"), issue_token("user:nobody")).refused("not_found");
    team().when(by("ada"), issue_token("service_user:nobody")).refused("not_found");
}

#[test]
fn a_token_has_exactly_one_holder() {
    let issue = |user: Option<&str>, service_user: Option<&str>| -> Command {
        let (user, service_user) = (user.map(Into::into), service_user.map(Into::into));
        IssueToken { user, service_user, expires_at: None }.into()
    };
    team().when(by("ada"), issue(None, None)).refused("invalid");
    team().when(by("ada"), issue(Some("ada"), Some("ci"))).refused("invalid");
    team().when(by("bob"), issue(None, None)).refused("forbidden");
}

#[test]
fn a_token_ends_in_the_future() {
    let world = team();
    let submitted_at = world.in_micros(1);
    world.when(by("bob"), issue_token_until("user:bob", submitted_at)).refused("invalid");
    world.when(by("bob"), issue_token_until("user:bob", submitted_at.next())).then(["token.issued"]);
    world.when(by("ada"), issue_token_until("user:nobody", submitted_at)).refused("not_found");
}

#[test]
fn a_token_lives_no_longer_than_the_one_it_was_asked_with() {
    let world = team();
    let end = world.in_micros(100);
    let world = world.and([issue_token_until("user:mo", end)]);
    let inherited = world.when(by("mo"), issue_token("user:mo")).then(["token.issued"]);
    assert_eq!(issued_last(&inherited), format!("user:mo until {end}"));
    world.when(by("mo"), issue_token_until("service_user:ci", end.next())).refused("invalid");
    world.when(by("mo"), issue_token_until("service_user:ci", end)).then(["token.issued"]);
    let sooner = world.in_micros(50);
    let shorter = world.when(by("mo"), issue_token_until("user:mo", sooner)).then(["token.issued"]);
    assert_eq!(issued_last(&shorter), format!("user:mo until {sooner}"));
    world.when(OPERATOR, issue_token_until("user:mo", end.next())).then(["token.issued"]);
}

#[test]
fn any_member_revokes_their_own_token_even_the_one_they_ask_with() {
    for who in ["ada", "mo", "bob"] {
        let world = team();
        let token = world.token(who);
        let world = world
            .when(by(who), revoke_token(&token))
            .then_says(&format!("token.revoked {token} {{\"holder\":\"user:{who}\"}}"));
        world.when(by(who), issue_token(&format!("user:{who}"))).refused("unauthenticated");
    }
}

#[test]
fn a_member_revokes_no_token_but_their_own() {
    let world = team();
    world.when(by("bob"), revoke_token(world.token("cyd"))).refused("forbidden");
    world.when(by("bob"), revoke_token(world.token("ci"))).refused("forbidden");
    world.when(by("bob"), revoke_token("tok_nothing")).refused("forbidden");
}

#[test]
fn owners_managers_and_the_operator_revoke_the_tokens_of_others() {
    let world = team();
    for who in [by("ada"), by("mo"), OPERATOR] {
        world.when(who, revoke_token(world.token("bob"))).then(["token.revoked"]);
        world.when(who, revoke_token(world.token("ci"))).then(["token.revoked"]);
    }
}

#[test]
fn an_owners_token_is_revoked_by_owners_only() {
    let world = team().and([add_member("eve", Owner), issue_token("user:eve")]);
    world.when(by("mo"), revoke_token(world.token("ada"))).refused("owner_protected");
    world.when(by("eve"), revoke_token(world.token("ada"))).then(["token.revoked"]);
    world.when(OPERATOR, revoke_token(world.token("ada"))).then(["token.revoked"]);
}

#[test]
fn a_token_that_is_not_there_cannot_be_revoked() {
    let world = team();
    let token = world.token("bob");
    world.when(by("mo"), revoke_token("tok_nothing")).refused("not_found");
    world
        .when(by("mo"), revoke_token(world.access_key(tenure::domain::role::AccessKeyRole::Auditor)))
        .refused("not_found");
    world.clone().and([revoke_token(&token)]).when(by("mo"), revoke_token(&token)).refused("not_found");
    world.and([remove_member("bob")]).when(by("mo"), revoke_token(&token)).refused("not_found");
}

#[test]
fn ones_own_token_that_has_ended_cannot_be_revoked_again() {
    let world = team();
    let first = world.token("bob");
    let world = world.and([issue_token("user:bob"), revoke_token(&first)]);
    world.when(by("bob"), revoke_token(&first)).refused("not_found");
}

#[test]
fn a_token_of_an_owner_that_has_ended_is_not_found_before_owners_are_protected() {
    let world = team();
    let first = world.token("ada");
    world.and([revoke_token(&first)]).when(by("mo"), revoke_token(&first)).refused("not_found");
}
