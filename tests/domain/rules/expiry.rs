use tenure::domain::model::principal::Actor;
use tenure::domain::model::role::AccessKeyRole::Auditor;
use tenure::domain::model::role::EnvironmentRole::{Contributor, Viewer};
use tenure::domain::model::time::Revision;
use tenure::domain::state::view::At;
use tenure::query::tenure::since;

use crate::support::after;
use crate::support::commands::{
    create_environment, create_proxy_token_until, delete_workspace, issue_access_key_until, issue_token_until,
    revoke_access_key, revoke_grant, revoke_proxy_token, revoke_token, set_grant, set_grant_for_good, set_grant_until,
    set_scope,
};
use crate::support::given::{OPERATOR, World, by, team};

/// Returns a world in which `bob` contributes to `prod` for another hundred microseconds.
fn bob_contributes_for_a_while() -> World {
    let world = team();
    let end = world.in_micros(100);
    world.and([set_grant_until("prod", "user:bob", Contributor, end)])
}

fn end_of_everything() -> World {
    let world = team();
    let end = |micros| world.in_micros(micros);
    let ends = [end(70), end(80), end(90), end(100)];
    world.and([
        issue_access_key_until(Auditor, ends[3]),
        create_proxy_token_until(["prod"], ends[2]),
        issue_token_until("user:bob", ends[1]),
        set_grant_until("prod", "user:bob", Contributor, ends[0]),
    ])
}

#[test]
fn due_expiries_are_appended_before_the_next_command_the_earliest_first() {
    end_of_everything()
        .later(1_000)
        .when(by("mo"), create_environment("dev"))
        .after_noting(["grant.expired", "token.expired", "proxy_token.expired", "access_key.expired"])
        .then(["environment.created"]);
}

#[test]
fn an_expiry_is_a_command_of_its_own_by_the_system() {
    let when = end_of_everything().later(1_000).when(by("mo"), create_environment("dev"));
    let [noted] = when.submitted.expired.as_slice() else { panic!("one command") };
    assert!(noted.iter().all(|event| event.command == noted[0].command && event.time == noted[0].time));
    assert!(noted.iter().all(|event| event.actor == Actor::System && event.credential.is_none()));
    let next = when.events().remove(0);
    assert_ne!(next.command, noted[0].command);
    assert_eq!(next.time, noted[0].time.next());
}

#[test]
fn an_expiry_at_the_time_of_the_next_command_is_appended_too() {
    let world = team();
    let (first, second) = (world.in_micros(100), world.in_micros(101));
    let world = world
        .and([set_grant_until("prod", "user:bob", Viewer, first), set_grant_until("prod", "user:cyd", Viewer, second)]);
    let until_first = first.micros() - world.writer.clock.micros() - 1;
    let when = world.later(until_first).when(by("mo"), create_environment("dev"));
    assert_eq!(when.submitted.expired.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1]);
    assert_eq!(when.events()[0].time, second.next());
}

#[test]
fn an_expiry_is_appended_even_if_the_command_is_refused() {
    let world = bob_contributes_for_a_while().later(1_000);
    let after =
        world.when(by("mo"), create_environment("prod")).after_noting(["grant.expired"]).refused("already_exists");
    assert!(after.writer.events.len() > world.writer.events.len());
}

#[test]
fn an_expiry_is_appended_once_and_not_early() {
    let world = bob_contributes_for_a_while();
    world.when(by("mo"), create_environment("dev")).after_noting([]).then(["environment.created"]);
    let noted = world.later(1_000).when(by("mo"), create_environment("dev")).world;
    noted.later(1_000).when(by("mo"), create_environment("test")).after_noting([]).then(["environment.created"]);
}

#[test]
fn a_revoked_or_prolonged_grant_does_not_expire() {
    let world = bob_contributes_for_a_while();
    let revoked = world.clone().and([revoke_grant("prod", "user:bob")]).later(1_000);
    revoked.when(by("mo"), create_environment("dev")).after_noting([]).then(["environment.created"]);
    let prolonged = world.and([set_grant_for_good("prod", "user:bob", Contributor)]).later(1_000);
    prolonged.when(by("mo"), create_environment("dev")).after_noting([]).then(["environment.created"]);
}

#[test]
fn an_end_that_is_set_again_belongs_to_the_last_event() {
    let world = team();
    let (end, other) = (world.in_micros(100), world.in_micros(90));
    let set = |role, end| set_grant_until("prod", "user:bob", role, end);
    let world = world.and([set(Viewer, end), set(Viewer, other), set(Contributor, end)]);
    let last = world.writer.workspace.head();
    let world = world.later(200);
    let view = world.writer.now();
    let prod = world.environment("prod").parse().unwrap();
    let ends = view.grant_ends(prod, &"user:bob".parse().unwrap());
    let found: Vec<_> = ends.iter().map(|set| (set.value, set.since.0)).collect();
    assert_eq!(found, [(other, last.0 - 1), (end, last.0)]);
}

#[test]
fn nothing_expires_in_a_deleted_workspace() {
    let world = end_of_everything().and([delete_workspace()]).later(1_000);
    world.when(OPERATOR, create_environment("dev")).after_noting([]).refused("not_found");
}

#[test]
fn an_expired_grant_cannot_be_revoked_and_is_granted_anew() {
    let world = end_of_everything();
    let (token, proxy_token, key) = (world.token("bob"), world.proxy_token(), world.access_key(Auditor));
    let world = world.later(1_000);
    world.when(by("mo"), revoke_grant("prod", "user:bob")).refused("not_found");
    world.when(by("mo"), revoke_token(token)).refused("not_found");
    world.when(by("mo"), revoke_proxy_token(&proxy_token)).refused("not_found");
    world.when(by("mo"), set_scope(&proxy_token, ["main"])).refused("not_found");
    world.when(by("mo"), revoke_access_key(key)).refused("not_found");
    world.when(by("mo"), set_grant("prod", "user:bob", Contributor)).then(["grant.added"]);
}

#[test]
fn no_decision_waits_for_the_event() {
    let world = bob_contributes_for_a_while();
    let head = world.writer.workspace.head();
    let end =
        world.writer.now().environments().find_map(|environment| {
            world.writer.now().grant(&environment, &"user:bob".parse().unwrap())?.value.expires_at
        });
    let end = end.unwrap();
    let world = world.later(1_000);
    assert_eq!(world.writer.workspace.head(), head, "no event says so yet");
    let rule = |at| world.asks_at(at, "user:bob", "deploy", "app", "prod").rule.as_str();
    let before = after(end, -1);
    assert_eq!(rule(At::Instant(before)), "grant");
    assert_eq!(rule(At::Instant(end)), "default_role");
    assert_eq!(rule(At::Both(head, before)), "grant");
    assert_eq!(rule(At::Both(head, end)), "default_role");
    assert_eq!(rule(At::Revision(head)), "grant");
    assert_eq!(rule(At::Now), "default_role");
}

#[test]
fn an_expired_credential_is_in_no_view_even_without_its_event() {
    let world = end_of_everything();
    let head = world.writer.workspace.head();
    let gone = world.later(1_000);
    let view = gone.view(At::Now);
    assert_eq!(view.tokens_of(&"user:bob".parse().unwrap()).count(), 1, "the one that never expires");
    assert_eq!(view.proxy_tokens().count(), 0);
    assert_eq!(view.access_keys().count(), 2);
    let before = gone.view(At::Revision(head));
    assert_eq!(before.tokens_of(&"user:bob".parse().unwrap()).count(), 2);
    assert_eq!(before.proxy_tokens().count(), 1);
    assert_eq!(before.access_keys().count(), 3);
    assert_eq!(gone.view(At::Revision(Revision(4))).proxy_tokens().count(), 0);
}

#[test]
fn a_credential_exists_from_its_issue_until_its_expiry() {
    let world = team();
    let (issued, end) = (world.in_micros(1), world.in_micros(100));
    let world = world.and([issue_access_key_until(Auditor, end)]).later(1_000);
    let keys = |at| world.view(At::Instant(at)).access_keys().count();
    assert_eq!(keys(after(issued, -1)), 2);
    assert_eq!(keys(issued), 3);
    assert_eq!(keys(after(end, -1)), 3);
    assert_eq!(keys(end), 2);
}

#[test]
fn a_principal_whose_grant_expires_has_the_default_role_from_that_instant() {
    let world = team();
    let end = world.in_micros(100);
    let world = world.and([set_grant_until("prod", "user:bob", Contributor, end)]).later(1_000);
    let bobs = |world: &World| {
        let view = world.view(At::Now);
        let prod = view.find_environment(&"prod".into()).unwrap().id;
        since(&view, prod, &"user:bob".parse().unwrap())
    };
    assert_eq!(bobs(&world), end, "no event says so yet");
    assert_eq!(bobs(&world.and([create_environment("dev")])), end, "whenever the event came");
}
