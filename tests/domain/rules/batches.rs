use std::sync::Arc;

use tenure::domain::model::event::Event;
use tenure::domain::model::id::{CommandId, EventId};
use tenure::domain::model::principal::{Actor, Caller};
use tenure::domain::model::rejection::Rejection;
use tenure::domain::model::role::EnvironmentRole::{Contributor, Viewer};
use tenure::domain::model::role::Plan;
use tenure::domain::model::role::WorkspaceRole::{Member, Owner};
use tenure::domain::rules::decide::{EventMetadata, EventSink, decide_all};

use crate::support::Counter;
use crate::support::commands::{
    add_member, change_plan, change_role, create_environment, create_restricted, create_service_user,
    delete_environment, delete_workspace, disable_rbac, enable_rbac, grant, issue_token, remove_member, rename,
    restrict, revoke_grant, revoke_token, set_grant,
};
use crate::support::given::{OPERATOR, by, team};

#[test]
fn each_command_of_a_batch_sees_what_the_ones_before_it_left() {
    team()
        .when(
            by("mo"),
            [
                create_environment("dev"),
                restrict("dev"),
                create_service_user("deploy"),
                set_grant("dev", "service_user:deploy", Contributor),
            ],
        )
        .then(["environment.created", "environment.restricted", "service_user.created", "token.issued", "grant.added"]);
}

#[test]
fn a_batch_is_one_command_with_one_time() {
    let world = team();
    let when = world.when(by("mo"), [create_environment("a"), create_environment("b"), rename("a", "c")]);
    let events = when.events();
    assert!(events.iter().all(|event| event.command == events[0].command && event.time == events[0].time));
    assert_eq!(events.last().unwrap().revision, when.world.writer.workspace.head());
}

#[test]
fn one_refusal_refuses_the_whole_batch_and_names_the_command() {
    let world = team();
    let head = world.writer.workspace.head();
    let after = world
        .when(by("mo"), [create_environment("dev"), set_grant("dev", "user:bob", Viewer), create_environment("test")])
        .refused_at(1, "environment_unrestricted");
    assert_eq!(after.writer.workspace.head(), head);
    assert!(after.writer.now().environment_named("dev").is_none());
}

/// A sink that accepts a limited number of events.
struct Narrow {
    ids: Counter,
    room: usize,
}

impl EventSink for Narrow {
    fn next_event_id(&mut self) -> EventId {
        self.ids.next_event_id()
    }

    fn accept(&mut self, _: &Event) -> Result<(), Rejection> {
        self.room = self.room.checked_sub(1).ok_or(Rejection::TooLarge { what: "events", max: 0 })?;
        Ok(())
    }
}

#[test]
fn an_event_that_is_not_accepted_changes_nothing() {
    let writer = team().writer;
    let alone = [create_restricted("test", Viewer, [grant("user:bob", Contributor)])];
    let batch = [create_environment("dev"), restrict("dev"), set_grant("dev", "user:bob", Contributor)];
    for commands in [&alone[..], &batch[..]] {
        for room in 0..=3 {
            let mut sink = Narrow { ids: Counter::starting_at(1 << 64), room };
            let commands: Vec<_> = commands.iter().map(|command| (command.clone(), sink.ids.generated())).collect();
            let metadata = EventMetadata {
                command: CommandId::from_uuid(sink.ids.uuid()),
                time: writer.clock,
                recorded: None,
                actor: Actor::Operator,
                credential: None,
                reason: None,
            };
            let mut workspace = Arc::clone(&writer.workspace);
            let decided = decide_all(&mut workspace, &Caller::Operator, &commands, &metadata, &mut sink);
            assert_eq!(decided.is_ok(), room == 3, "{room}: {decided:?}");
            assert_eq!(Arc::ptr_eq(&workspace, &writer.workspace), room < 3, "{room}");
        }
    }
    assert!(writer.now().environment_named("dev").is_none());
}

#[test]
fn the_first_refusal_is_reported() {
    team().when(by("mo"), [restrict("nowhere"), create_environment("prod")]).refused_at(0, "not_found");
    team()
        .when(by("mo"), [restrict("main"), create_environment("prod"), restrict("x")])
        .refused_at(1, "already_exists");
}

#[test]
fn a_batch_of_nothing_changes_nothing() {
    team().when(by("mo"), []).changes_nothing();
    team().when(by("mo"), [enable_rbac(), restrict("prod"), enable_rbac()]).changes_nothing();
}

#[test]
fn a_batch_can_mix_commands_that_change_something_and_commands_that_do_not() {
    let when = team().when(by("mo"), [enable_rbac(), create_environment("dev"), restrict("prod")]);
    let lengths: Vec<_> = when.submitted.outcome.as_ref().unwrap().iter().map(Vec::len).collect();
    assert_eq!(lengths, [0, 1, 0]);
}

#[test]
fn a_batch_records_changes_that_it_undoes_itself() {
    team().when(by("mo"), [disable_rbac(), enable_rbac()]).then(["rbac.disabled", "rbac.enabled"]);
    team()
        .when(by("mo"), [set_grant("prod", "user:bob", Viewer), revoke_grant("prod", "user:bob")])
        .then(["grant.added", "grant.revoked"]);
}

#[test]
fn a_name_freed_in_a_batch_can_be_given_in_it() {
    team().when(by("mo"), [delete_environment("prod"), create_restricted("prod", None, [])]).then([
        "environment.deleted",
        "environment.created",
        "environment.restricted",
    ]);
    team()
        .when(by("mo"), [rename("prod", "old"), rename("main", "prod")])
        .then(["environment.renamed", "environment.renamed"]);
}

#[test]
fn authority_lost_in_a_batch_is_lost_for_its_later_commands() {
    team().when(by("mo"), [change_role("mo", Member), create_environment("dev")]).refused_at(1, "forbidden");
    team().when(by("mo"), [remove_member("mo"), create_environment("dev")]).refused_at(1, "unauthenticated");
    let world = team();
    let own = revoke_token(world.token("mo"));
    world.when(by("mo"), [create_environment("dev"), own, create_environment("b")]).refused_at(2, "unauthenticated");
    team().when(by("ada"), [delete_workspace(), create_environment("dev")]).refused_at(1, "unauthenticated");
    team().when(OPERATOR, [delete_workspace(), create_environment("dev")]).refused_at(1, "not_found");
}

#[test]
fn ownership_is_handed_over_in_one_batch_and_in_that_order_only() {
    team().when(by("ada"), [add_member("eve", Owner), remove_member("ada")]).then([
        "member.added",
        "token.revoked",
        "member.removed",
    ]);
    team().when(by("ada"), [remove_member("ada"), add_member("eve", Owner)]).refused_at(0, "last_owner");
    team()
        .when(by("ada"), [change_role("bob", Owner), change_role("ada", Member)])
        .then(["member.role_changed", "member.role_changed"]);
}

#[test]
fn only_the_operator_may_ask_for_a_batch_with_a_change_of_plan() {
    let batch = || [create_environment("dev"), change_plan(Plan::Enterprise)];
    team().when(by("ada"), batch()).refused_at(1, "forbidden");
    team().when(OPERATOR, batch()).then(["environment.created", "plan.changed"]);
}

#[test]
fn a_token_made_in_a_batch_ends_with_its_holder() {
    team().when(OPERATOR, [add_member("eve", Member), issue_token("user:eve"), remove_member("eve")]).then([
        "member.added",
        "token.issued",
        "token.revoked",
        "member.removed",
    ]);
}
