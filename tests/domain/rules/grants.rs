use tenure::domain::model::command::{Command, GrantExpiry, SetGrant};
use tenure::domain::model::principal::Caller;
use tenure::domain::model::role::EnvironmentRole::{Contributor, NoAccess, Viewer};
use tenure::domain::model::role::WorkspaceRole::Member;

use crate::support::commands::{
    add_member, create_environment, disable_rbac, enable_rbac, grant, restrict_with, revoke_grant, set_grant,
    set_grant_for_good, set_grant_until,
};
use crate::support::given::{OPERATOR, World, by, names, team};

fn bob_contributes() -> World {
    team().and([set_grant("prod", "user:bob", Contributor)])
}

#[test]
fn a_grant_is_given_to_a_member_or_a_service_user() {
    for who in [by("ada"), by("mo"), OPERATOR] {
        let world = team();
        let prod = world.environment("prod");
        world
            .when(who, set_grant("PROD", "user:bob", Contributor))
            .then_says(&format!("grant.added {prod} {{\"principal\":\"user:bob\",\"role\":\"contributor\"}}"));
        world.when(who, set_grant(&prod, "service_user:ci", NoAccess)).then(["grant.added"]);
        let by_id = format!("service_user:{}", world.service_user("ci"));
        world.when(who, set_grant("prod", &by_id, Viewer)).then(["grant.added"]);
    }
}

#[test]
fn a_grant_replaces_the_earlier_one() {
    let world = bob_contributes();
    let end = world.in_micros(1_000);
    world.when(by("mo"), set_grant("prod", "user:bob", NoAccess)).then(["grant.changed"]);
    world.when(by("mo"), set_grant_until("prod", "user:bob", Contributor, end)).then(["grant.changed"]);
    world.when(by("mo"), set_grant("prod", "user:bob", Contributor)).changes_nothing();
}

#[test]
fn a_grant_loses_its_end_only_if_the_command_says_so() {
    let world = team();
    let (end, later) = (world.in_micros(1_000), world.in_micros(2_000));
    let world = world.and([set_grant_until("prod", "user:bob", Contributor, end)]);
    for role in [Contributor, Viewer, NoAccess] {
        world.when(by("mo"), set_grant("prod", "user:bob", role)).refused("expiry_required");
        world.when(OPERATOR, set_grant("PROD", "user:bob", role)).refused("expiry_required");
        let again = grant("user:bob", role);
        world.when(by("mo"), restrict_with("prod", None, [again.clone()])).refused("expiry_required");
        world
            .when(by("mo"), restrict_with("prod", NoAccess, [grant("user:cyd", Viewer), again]))
            .refused("expiry_required");
        world.when(by("mo"), set_grant_for_good("prod", "user:bob", role)).then(["grant.changed"]);
        world.when(by("mo"), set_grant_until("prod", "user:bob", role, later)).then(["grant.changed"]);
    }
    world.when(by("mo"), set_grant_until("prod", "user:bob", Contributor, end)).changes_nothing();
    world.when(by("mo"), [disable_rbac(), set_grant("prod", "user:bob", Viewer)]).refused_at(1, "rbac_disabled");
    world.when(by("mo"), set_grant("prod", "user:mo", Viewer)).refused("role_implied");
    world.when(by("bob"), set_grant("prod", "user:bob", Viewer)).refused("forbidden");
    let for_good = world.when(by("mo"), set_grant_for_good("prod", "user:bob", Contributor)).world;
    for_good.when(by("mo"), set_grant("prod", "user:bob", Viewer)).then(["grant.changed"]);
    for_good.when(by("mo"), set_grant("prod", "user:bob", Contributor)).changes_nothing();
}

#[test]
fn a_grant_that_has_ended_needs_no_word_about_its_end() {
    let world = team();
    let end = world.in_micros(50);
    let world = world.and([set_grant_until("prod", "user:bob", Contributor, end)]);
    let revoked = world.clone().and([revoke_grant("prod", "user:bob")]);
    revoked.when(by("mo"), set_grant("prod", "user:bob", Viewer)).then(["grant.added"]);
    let expired = world.later(100).when(by("mo"), set_grant("prod", "user:bob", Viewer));
    expired.after_noting(["grant.expired"]).then(["grant.added"]);
}

#[test]
fn an_end_can_be_left_out_null_or_given() {
    let read = |end: &str| {
        let text = format!(r#"{{"type":"grant.set","environment":"e","principal":"p","role":"viewer"{end}}}"#);
        match Command::from_value(serde_json::from_str(&text).unwrap()) {
            Ok(Command::SetGrant(command)) => command,
            other => panic!("{other:?}"),
        }
    };
    let end = "2030-01-01T00:00:00Z".parse().unwrap();
    for (text, expiry) in [
        ("", GrantExpiry::Unspecified),
        (r#","expires_at":null"#, GrantExpiry::Never),
        (r#","expires_at":"2030-01-01T00:00:00Z""#, GrantExpiry::At(end)),
    ] {
        let command = read(text);
        assert_eq!(command.expires_at, expiry);
        let written = serde_json::to_value(&command).unwrap();
        assert_eq!(serde_json::from_value::<SetGrant>(written).unwrap(), command);
    }
}

#[test]
fn an_imported_grant_without_an_end_replaces_one_with_an_end() {
    let world = team();
    let mut world = world.clone().and([set_grant_until("prod", "user:bob", Contributor, world.in_micros(1_000))]);
    let vouched = Caller::ImportedActor("user:mo".parse().unwrap());
    let submitted = world.writer.submit(&vouched, &[set_grant("prod", "user:bob", Viewer)]);
    assert_eq!(names(&submitted.outcome.unwrap().concat()), ["grant.changed"]);
}

#[test]
fn the_environment_and_the_principal_of_a_grant_must_exist() {
    team().when(by("mo"), set_grant("nowhere", "user:bob", Viewer)).refused("not_found");
    team().when(by("mo"), set_grant("prod", "user:nobody", Viewer)).refused("not_found");
    team().when(by("mo"), set_grant("prod", "service_user:nobody", Viewer)).refused("not_found");
    team().when(by("mo"), set_grant("prod", "bob", Viewer)).refused("not_found");
    team().when(by("mo"), set_grant("prod", "team:bob", Viewer)).refused("not_found");
    team().when(by("mo"), set_grant("prod", "user:", Viewer)).refused("not_found");
}

#[test]
fn the_rules_of_a_grant_are_checked_in_the_order_of_the_table() {
    let off = team().and([disable_rbac()]);
    let now = off.in_micros(1);
    off.when(by("mo"), set_grant("prod", "user:nobody", Viewer)).refused("not_found");
    off.when(by("mo"), set_grant("main", "user:mo", Viewer)).refused("rbac_disabled");
    let on = off.and([enable_rbac()]);
    on.when(by("mo"), set_grant("main", "user:mo", Viewer)).refused("environment_unrestricted");
    on.when(by("mo"), set_grant_until("prod", "user:mo", Viewer, now)).refused("role_implied");
    on.when(by("mo"), set_grant_until("prod", "user:bob", Viewer, now)).refused("invalid");
}

#[test]
fn owners_and_managers_have_no_use_for_a_grant() {
    team().when(by("ada"), set_grant("prod", "user:ada", Viewer)).refused("role_implied");
    team().when(by("ada"), set_grant("prod", "user:mo", Contributor)).refused("role_implied");
}

#[test]
fn a_grant_ends_in_the_future() {
    let world = team();
    let submitted_at = world.in_micros(1);
    world.when(by("mo"), set_grant_until("prod", "user:bob", Viewer, submitted_at)).refused("invalid");
    world.when(by("mo"), set_grant_until("prod", "user:bob", Viewer, submitted_at.next())).then(["grant.added"]);
    world.when(by("mo"), set_grant_until("prod", "user:bob", Viewer, world.in_micros(-9))).refused("invalid");
}

#[test]
fn a_grant_is_revoked_once() {
    let world = bob_contributes();
    let prod = world.environment("prod");
    let world = world
        .when(by("mo"), revoke_grant("prod", "user:bob"))
        .then_says(&format!("grant.revoked {prod} {{\"principal\":\"user:bob\"}}"));
    world.when(by("mo"), revoke_grant("prod", "user:bob")).refused("not_found");
}

#[test]
fn only_an_existing_grant_is_revoked() {
    let world = bob_contributes();
    world.when(by("mo"), revoke_grant("prod", "user:cyd")).refused("not_found");
    world.when(by("mo"), revoke_grant("main", "user:bob")).refused("not_found");
    world.when(by("mo"), revoke_grant("nowhere", "user:bob")).refused("not_found");
    world.when(by("mo"), revoke_grant("prod", "user:nobody")).refused("not_found");
}

#[test]
fn a_grant_can_be_revoked_while_rbac_is_off() {
    bob_contributes().and([disable_rbac()]).when(by("mo"), revoke_grant("prod", "user:bob")).then(["grant.revoked"]);
}

#[test]
fn a_grant_decides_only_in_its_environment() {
    let world = bob_contributes().and([add_member("eve", Member), create_environment("dev")]);
    assert!(world.asks("user:bob", "deploy", "app", "prod").allowed);
    assert!(!world.asks("user:eve", "deploy", "app", "prod").allowed);
    assert_eq!(world.asks("user:bob", "deploy", "app", "dev").rule.as_str(), "unrestricted");
}

#[test]
fn a_grant_of_no_access_overrides_the_default_role() {
    let world = team().and([set_grant("prod", "user:bob", NoAccess)]);
    let decision = world.asks("user:bob", "read", "app", "prod");
    assert_eq!((decision.allowed, decision.rule.as_str()), (false, "grant"));
}
