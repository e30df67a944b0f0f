use tenure::domain::model::command::{Command, CreateProxyToken, IssueToken};
use tenure::domain::model::credential::SecretDigest;
use tenure::domain::model::event::{Event, EventData, TokenTerms};
use tenure::domain::model::id::TokenId;
use tenure::domain::model::principal::Caller;
use tenure::domain::model::role::AccessKeyRole::{Auditor, Evaluator};
use tenure::domain::model::role::WorkspaceRole::Owner;
use tenure::domain::model::time::{Instant, Revision};
use tenure::domain::rules::decide::{TOKENS_OF_PRINCIPAL_MAX, decide};
use tenure::domain::state::view::View;
use tenure::domain::state::workspace::Workspace;

use crate::support::Counter;
use crate::support::commands::{
    add_member, create_proxy_token, create_proxy_token_until, create_service_user, disable_rbac, enable_rbac,
    issue_access_key, issue_access_key_until, issue_token, issue_token_until, remove_member, revoke_token,
};
use crate::support::given::{OPERATOR, World, by, team};

/// Returns the newest token, with its holder and end.
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
fn a_token_lives_no_longer_than_the_one_that_made_it() {
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

/// Returns the end of the newest credential of each kind.
fn last_ends(world: &World) -> [Option<Instant>; 3] {
    let view = world.writer.now();
    [
        view.tokens().last().and_then(|token| token.expires_at),
        view.proxy_tokens().last().and_then(|token| token.expires_at),
        view.access_keys().last().and_then(|key| key.expires_at),
    ]
}

#[test]
fn no_credential_outlives_the_expiring_token_that_made_it() {
    let world = team();
    let (end, sooner) = (world.in_micros(100), world.in_micros(50));
    let world = world.and([issue_token_until("user:mo", end)]);
    let made =
        world.when(by("mo"), [create_service_user("deploy"), create_proxy_token(["prod"]), issue_access_key(Auditor)]);
    let made = made.then(["service_user.created", "token.issued", "proxy_token.created", "access_key.issued"]);
    assert_eq!(last_ends(&made), [Some(end); 3], "what is left out is the token's own end");
    for too_late in [
        issue_token_until("service_user:ci", end.next()),
        create_proxy_token_until(["prod"], end.next()),
        issue_access_key_until(Auditor, end.next()),
        issue_access_key_until(Evaluator, end.next()),
    ] {
        world.when(by("mo"), too_late.clone()).refused("invalid");
        world.when(by("mo"), [enable_rbac(), too_late.clone()]).refused_at(1, "invalid");
        world.when(OPERATOR, too_late.clone()).events();
        world.when(by("ada"), too_late).events();
    }
    let shorter = world.when(
        by("mo"),
        [
            issue_token_until("service_user:ci", sooner),
            create_proxy_token_until(["prod"], sooner),
            issue_access_key_until(Auditor, sooner),
        ],
    );
    assert_eq!(last_ends(&shorter.world), [Some(sooner); 3]);
    let off = world.and([disable_rbac()]);
    let wide: Command = CreateProxyToken { environments: None, expires_at: None }.into();
    let off = off.when(by("mo"), wide).then(["proxy_token.created"]);
    assert_eq!(last_ends(&off)[1], Some(end), "a workspace-wide one too");
    let later = made.later(100);
    let gone = later.when(OPERATOR, disable_rbac()).after_noting([
        "token.expired",
        "token.expired",
        "proxy_token.expired",
        "access_key.expired",
    ]);
    gone.then(["rbac.disabled"]);
}

#[test]
fn a_token_without_end_makes_credentials_without_end() {
    let made = team().when(by("mo"), [create_proxy_token(["prod"]), issue_access_key(Auditor)]).world;
    assert_eq!(last_ends(&made), [None; 3]);
}

#[test]
fn the_live_tokens_of_a_principal_are_limited() {
    let issue = |world: World, holder: &str, count: usize| -> World {
        (0..count).fold(world, |world, _| world.and([issue_token(holder)]))
    };
    for (holder, who) in [("user:bob", by("bob")), ("service_user:ci", by("mo"))] {
        let full = issue(team(), holder, TOKENS_OF_PRINCIPAL_MAX - 1);
        full.when(who, issue_token(holder)).refused("too_large");
        full.when(OPERATOR, issue_token(holder)).refused("too_large");
        full.when(by("ada"), [issue_token("user:cyd"), issue_token(holder)]).refused_at(1, "too_large");
        full.when(by("ada"), issue_token("user:cyd")).then(["token.issued"]);
        full.when(by("ada"), create_service_user("deploy")).then(["service_user.created", "token.issued"]);
        full.when(who, issue_token_until(holder, full.in_micros(-1))).refused("invalid");
        let freed = full.clone().and([revoke_token(full.token(holder.split_once(':').unwrap().1))]);
        let full = freed.when(by("ada"), issue_token(holder)).then(["token.issued"]);
        full.when(by("ada"), issue_token(holder)).refused("too_large");
    }
}

#[test]
fn expired_tokens_do_not_count_towards_the_limit() {
    let world = team();
    let end = world.in_micros(1_000);
    let full = (1..TOKENS_OF_PRINCIPAL_MAX).fold(world, |world, _| world.and([issue_token_until("user:bob", end)]));
    full.when(by("ada"), issue_token("user:bob")).refused("too_large");
    let later = full.later(2_000);
    let issued = later.when(by("ada"), issue_token("user:bob"));
    assert_eq!(issued.submitted.expired.concat().len(), TOKENS_OF_PRINCIPAL_MAX - 1);
    issued.then(["token.issued"]);
}

#[test]
fn a_log_with_more_tokens_than_the_limit_is_replayed_and_no_more_are_issued() {
    let world = team();
    let mut events = world.writer.events.clone();
    let last = events.last().unwrap().clone();
    for revision in (last.revision.0 + 1..).take(2 * TOKENS_OF_PRINCIPAL_MAX) {
        let id = TokenId::from_uuid(uuid::Uuid::from_u128(u128::MAX - u128::from(revision)));
        let terms = TokenTerms { holder: "user:bob".parse().unwrap(), sha256: SecretDigest([7; 32]), expires_at: None };
        let data = EventData::TokenIssued(id, terms);
        events.push(Event { revision: Revision(revision), data, ..Event::clone(&last) }.into());
    }
    let mut replayed = Workspace::empty(world.writer.workspace.id());
    for event in &events {
        replayed.evolve(event);
    }
    let view = View::now(replayed.into(), world.writer.clock);
    assert_eq!(view.tokens_of(&"user:bob".parse().unwrap()).count(), 2 * TOKENS_OF_PRINCIPAL_MAX + 1);
    let refused = decide(&view, &Caller::Operator, &issue_token("user:bob"), &Counter::starting_at(1).generated());
    assert_eq!(refused.map_err(|refused| refused.code()).unwrap_err(), "too_large");
}

#[test]
fn any_member_revokes_their_own_token_even_the_one_of_the_request() {
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
fn an_unknown_token_cannot_be_revoked() {
    let world = team();
    let token = world.token("bob");
    world.when(by("mo"), revoke_token("tok_nothing")).refused("not_found");
    world
        .when(by("mo"), revoke_token(world.access_key(tenure::domain::model::role::AccessKeyRole::Auditor)))
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
fn an_ended_token_of_an_owner_is_not_found_before_owners_are_protected() {
    let world = team();
    let first = world.token("ada");
    world.and([revoke_token(&first)]).when(by("mo"), revoke_token(&first)).refused("not_found");
}
