use std::sync::Arc;

use tenure::domain::model::role::EnvironmentRole::{Contributor, NoAccess, Viewer};
use tenure::domain::model::time::{Instant, Revision};
use tenure::domain::state::view::{At, View};

use crate::support::commands::{
    create_environment, create_restricted, delete_environment, delete_workspace, grant, rename, set_default_role,
    set_grant,
};
use crate::support::given::{World, by, team};
use crate::support::{START, after};

fn refusal(world: &World, at: At) -> &'static str {
    let view = View::new(Arc::clone(&world.writer.workspace), at, world.writer.clock);
    view.map(|view| view.revision()).unwrap_err().code()
}

#[test]
fn now_is_the_newest_revision_at_the_later_of_the_clock_and_its_time() {
    let world = team();
    let last = world.writer.workspace.head_time();
    assert_eq!(world.view(At::Now).revision(), world.writer.workspace.head());
    assert_eq!(world.clone().later(50).view(At::Now).instant(), after(last, 50));
    assert_eq!(world.later(-50).view(At::Now).instant(), last);
}

#[test]
fn a_view_of_the_future_is_refused() {
    let world = team();
    let now = world.view(At::Now).instant();
    assert_eq!(refusal(&world, At::Instant(now.next())), "invalid");
    assert_eq!(refusal(&world, At::Both(Revision(1), now.next())), "invalid");
    assert_eq!(world.view(At::Instant(now)).revision(), world.writer.workspace.head());
}

#[test]
fn a_view_of_a_revision_past_the_newest_is_refused() {
    let world = team();
    let past = world.writer.workspace.head().next();
    assert_eq!(refusal(&world, At::Revision(past)), "invalid");
    assert_eq!(refusal(&world, At::Both(past, world.view(At::Now).instant())), "invalid");
}

#[test]
fn a_view_of_a_revision_before_its_time_is_refused() {
    let world = team();
    let head = world.writer.workspace.head();
    let time = world.writer.workspace.head_time();
    assert_eq!(refusal(&world, At::Both(head, after(time, -1))), "invalid");
    assert_eq!(world.view(At::Both(head, time)).revision(), head);
}

#[test]
fn a_clock_that_stepped_back_does_not_put_the_newest_revision_into_the_future() {
    let world = team().later(-1_000);
    let head = world.writer.workspace.head();
    assert_eq!(world.view(At::Instant(world.writer.workspace.head_time())).revision(), head);
    assert_eq!(world.view(At::Revision(head)).revision(), head);
}

#[test]
fn an_instant_shows_the_newest_revision_at_or_before_it() {
    let world = team();
    let time = |revision| world.writer.workspace.event(Revision(revision)).unwrap().time;
    assert_eq!(world.view(At::Instant(time(5))).revision(), Revision(5));
    assert_eq!(world.view(At::Instant(after(time(5), -1))).revision(), Revision(4));
    assert_eq!(world.view(At::Instant(START)).revision(), Revision::ZERO);
}

#[test]
fn nothing_exists_before_the_first_event() {
    let world = team();
    for at in [At::Revision(Revision::ZERO), At::Instant(Instant::EARLIEST), At::Both(Revision::ZERO, START)] {
        assert_eq!(world.asks_at(at, "user:ada", "read", "app", "main").rule.as_str(), "no_such_workspace");
        assert_eq!(world.view(at).principals().count(), 0);
    }
}

#[test]
fn a_revision_inside_a_command_means_the_last_of_the_command() {
    let world = team().when(by("mo"), create_restricted("dev", NoAccess, [grant("user:bob", Viewer)])).world;
    let last = world.writer.workspace.head();
    for inside in [last.0 - 2, last.0 - 1, last.0] {
        let at = At::Revision(Revision(inside));
        assert_eq!(world.view(at).revision(), last);
        assert_eq!(world.asks_at(at, "user:bob", "read", "app", "dev").rule.as_str(), "grant");
        assert!(!world.asks_at(at, "user:cyd", "read", "app", "dev").allowed, "never open for a moment");
    }
    assert_eq!(world.view(At::Revision(Revision(last.0 - 3))).revision(), Revision(last.0 - 3));
    assert_eq!(world.view(At::Revision(Revision(1))).revision(), Revision(4), "the creation of the workspace is one");
}

#[test]
fn a_revision_and_an_instant_together_name_a_view_that_nothing_changes() {
    let world = team().and([set_grant("prod", "user:bob", Contributor)]);
    let (revision, instant) = (world.writer.workspace.head(), world.view(At::Now).instant());
    let at = At::Both(revision, instant);
    let before = world.asks_at(at, "user:bob", "deploy", "app", "prod");
    let later = world.and([set_default_role("prod", NoAccess), delete_environment("prod")]).later(1_000);
    assert_eq!(later.asks_at(at, "user:bob", "deploy", "app", "prod"), before);
    let ended = later.and([delete_workspace()]);
    assert_eq!(ended.asks_at(at, "user:bob", "deploy", "app", "prod"), before);
}

#[test]
fn a_name_means_its_owner_at_the_moment_of_the_view() {
    let world = team();
    let before = At::Revision(world.writer.workspace.head());
    let world = world.and([rename("prod", "live"), create_environment("prod")]);
    assert_eq!(world.asks_at(before, "user:bob", "read", "app", "prod").rule.as_str(), "default_role");
    assert_eq!(world.asks_at(before, "user:bob", "read", "app", "live").rule.as_str(), "no_such_environment");
    assert_eq!(world.asks("user:bob", "read", "app", "prod").rule.as_str(), "unrestricted");
    assert_eq!(world.asks("user:bob", "read", "app", "live").rule.as_str(), "default_role");
}

#[test]
fn the_name_of_something_deleted_still_works_for_its_time() {
    let world = team();
    let before = At::Revision(world.writer.workspace.head());
    let world = world.and([delete_environment("prod")]);
    assert!(world.asks_at(before, "user:bob", "read", "app", "PROD").allowed);
    let now = world.asks("user:bob", "read", "app", "prod");
    assert_eq!((now.allowed, now.rule.as_str()), (false, "no_such_environment"));
    assert_eq!(*now.evidence, [world.writer.workspace.head()], "the deletion");
}
