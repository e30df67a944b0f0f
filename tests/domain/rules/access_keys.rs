use tenure::domain::model::role::AccessKeyRole::{Auditor, Evaluator};

use crate::support::commands::{issue_access_key, issue_access_key_until, issue_token, revoke_access_key};
use crate::support::given::{OPERATOR, Who, by, team};

#[test]
fn owners_managers_and_the_operator_issue_access_keys() {
    for who in [by("ada"), by("mo"), OPERATOR] {
        team().when(who, issue_access_key(Evaluator)).then(["access_key.issued"]);
        team().when(who, issue_access_key(Auditor)).then(["access_key.issued"]);
    }
}

#[test]
fn an_access_key_ends_in_the_future() {
    let world = team();
    let submitted_at = world.in_micros(1);
    world.when(by("ada"), issue_access_key_until(Auditor, submitted_at)).refused("invalid");
    world.when(by("ada"), issue_access_key_until(Auditor, submitted_at.next())).then(["access_key.issued"]);
}

#[test]
fn an_access_key_is_revoked_once() {
    let world = team();
    let key = world.access_key(Auditor);
    let world = world.when(by("mo"), revoke_access_key(&key)).then_says(&format!("access_key.revoked {key} {{}}"));
    world.when(by("mo"), revoke_access_key(&key)).refused("not_found");
    world.when(by("mo"), revoke_access_key("key_nothing")).refused("not_found");
    world.when(by("mo"), revoke_access_key(world.token("bob"))).refused("not_found");
}

#[test]
fn an_access_key_changes_nothing() {
    let world = team();
    for role in [Evaluator, Auditor] {
        world.when(Who::Key(role), issue_token("service_user:ci")).refused("forbidden");
        world.when(Who::Key(role), revoke_access_key(world.access_key(role))).refused("forbidden");
    }
}

#[test]
fn an_access_key_that_has_ended_proves_nothing() {
    let world = team();
    let world = world.clone().and([revoke_access_key(world.access_key(Auditor))]);
    world.when(Who::Key(Auditor), issue_token("service_user:ci")).refused("unauthenticated");
    world.when(Who::Key(Evaluator), issue_token("service_user:ci")).refused("forbidden");
}
