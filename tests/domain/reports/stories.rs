//! Short histories, each with a case for an auditor.

use std::sync::Arc;

use serde_json::{Value, json};
use tenure::domain::model::command::Command;
use tenure::domain::model::event::{Event, EventData, Nothing};
use tenure::domain::model::id::EventId;
use tenure::domain::model::principal::Caller;
use tenure::domain::model::role::{Plan, WorkspaceKind};
use tenure::domain::model::time::{Instant, Revision, Span};
use tenure::domain::rules::decide::EventSink as _;
use tenure::domain::state::view::View;
use tenure::domain::state::workspace::Workspace;
use tenure::query::report::catalogue::ReportName;
use tenure::query::report::request::ReportRequest;
use tenure::query::report::{ROWS_MAX, TooLarge, report};

use super::golden::recorded;
use crate::support::commands::create_workspace;
use crate::support::{Counter, START, Writer, after};

const MINUTE: i64 = 60_000_000;

fn asked(view: View) -> ReportRequest {
    let span = Span::new(None, None).unwrap();
    ReportRequest { view, span, days: 90, environments: None, principals: None, uses: None }
}

fn rows(name: ReportName, view: View) -> Vec<Value> {
    report(name, &asked(view)).unwrap().rows.iter().map(tenure::query::report::table::ReportRow::value).collect()
}

/// Returns the events of a workspace in which bob, who has a token, is removed after an hour.
fn bob_leaves() -> Vec<Arc<Event>> {
    let mut writer = Writer::new();
    let start = create_workspace("acme", WorkspaceKind::Shared, Plan::Team, "alice");
    let command = |command: Value| Command::from_value(command).unwrap();
    let add = command(json!({"type": "member.add", "user": "bob", "role": "member"}));
    let issue = command(json!({"type": "token.issue", "user": "bob"}));
    let remove = command(json!({"type": "member.remove", "user": "bob"}));
    for command in [start, add, issue, remove] {
        writer.submit(&Caller::Operator, &[command]).outcome.unwrap();
        writer.clock = after(writer.clock, 60 * MINUTE);
    }
    writer.events
}

fn replayed(events: &[Event]) -> View {
    let mut workspace = Workspace::empty(events[0].workspace);
    for event in events {
        workspace.evolve(&Arc::new(event.clone()));
    }
    View::now(Arc::new(workspace), after(START, 24 * 60 * MINUTE))
}

#[test]
fn all_access_of_a_leaver_ends_with_the_membership() {
    let events: Vec<Event> = bob_leaves().iter().map(|event| (**event).clone()).collect();
    let rows = rows(ReportName::Leavers, replayed(&events));
    assert_eq!(rows.len(), 1);
    assert_eq!((&rows[0]["minutes_between"], &rows[0]["has_access_still"]), (&json!(0), &json!(false)));
    assert_eq!(rows[0]["last_access_ended_at"], rows[0]["left_at"]);
}

/// An imported log may revoke a token late or never. The report shows that to the second.
#[test]
fn a_token_that_outlives_the_membership_is_reported() {
    let mut events: Vec<Event> = bob_leaves().iter().map(|event| (**event).clone()).collect();
    let removed = events.pop().unwrap();
    let revoked = events.pop().unwrap();
    let late = |seconds: i64| after(removed.time, seconds * 1_000_000);
    let never = [events.clone(), vec![Event { revision: revoked.revision, ..removed.clone() }]].concat();
    for (seconds, minutes) in [(1, 1), (60, 1), (61, 2), (3_600, 60)] {
        let late = Event { revision: removed.revision, time: late(seconds), ..revoked.clone() };
        let rows = rows(ReportName::Leavers, replayed(&[never.clone(), vec![late]].concat()));
        assert_eq!((&rows[0]["minutes_between"], &rows[0]["has_access_still"]), (&json!(minutes), &json!(false)));
        assert!(rows[0]["last_access"].as_str().unwrap().starts_with("token tok_"));
        let behind: Vec<&str> =
            rows[0]["evidence"].as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap()).collect();
        assert_eq!(behind, ["member.removed.v1", "token.revoked.v1"]);
    }
    let rows = rows(ReportName::Leavers, replayed(&never));
    assert_eq!((&rows[0]["minutes_between"], &rows[0]["has_access_still"]), (&Value::Null, &json!(true)));
}

#[test]
fn a_returning_member_has_a_row_for_each_membership() {
    let workspace = recorded("leaver-and-rehire");
    let view = View::now(Arc::clone(&workspace), workspace.head_time());
    let returned = |row: &&Value| row["is_return"] == true;
    let joiners = rows(ReportName::Joiners, view.clone());
    let back: Vec<&Value> = joiners.iter().filter(returned).collect();
    assert!(!back.is_empty(), "someone returns in this history");
    for row in back {
        let leavers = rows(ReportName::Leavers, view.clone());
        let before = leavers.iter().find(|left| left["principal"] == row["principal"]).unwrap();
        assert_eq!(before["returned_at"], row["joined_at"]);
        assert_eq!(before["minutes_between"], 0, "what they had after their return is not held against their leaving");
    }
}

#[test]
fn before_the_first_event_every_report_is_empty() {
    let view = View::now(recorded("a-year-at-acme"), START).back_to(Instant::EARLIEST);
    for name in ReportName::ALL {
        assert_eq!(rows(*name, view.clone()), Vec::<Value>::new(), "{name}");
    }
}

#[test]
fn a_report_at_the_row_limit_is_given_and_one_above_it_is_refused() {
    let first = bob_leaves()[0].clone();
    let mut ids = Counter::starting_at(1 << 64);
    let mut workspace = Workspace::empty(first.workspace);
    workspace.evolve(&first);
    let mut grow = |workspace: &mut Workspace| {
        let revision = Revision(workspace.head().0 + 1);
        let id: EventId = ids.next_event_id();
        let data = EventData::RbacEnabled(first.workspace, Nothing {});
        workspace.evolve(&Arc::new(Event {
            id,
            revision,
            time: after(workspace.head_time(), 1),
            data,
            ..(*first).clone()
        }));
    };
    (1..ROWS_MAX).for_each(|_| grow(&mut workspace));
    let view = |workspace: &Workspace| View::now(Arc::new(workspace.clone()), workspace.head_time());
    assert_eq!(report(ReportName::Changes, &asked(view(&workspace))).unwrap().rows.len(), ROWS_MAX);
    grow(&mut workspace);
    assert_eq!(report(ReportName::Changes, &asked(view(&workspace))).unwrap_err(), TooLarge::Rows);
}
