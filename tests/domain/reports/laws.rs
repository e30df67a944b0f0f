//! Laws of the reports on random histories, derived from the events alone.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};
use serde_json::{Value, json};
use tenure::domain::model::event::{Event, EventData};
use tenure::domain::model::id::EnvironmentId;
use tenure::domain::model::principal::{Actor, Caller, Principal};
use tenure::domain::model::role::{EnvironmentRole, WorkspaceKind};
use tenure::domain::model::time::{Instant, Revision, Span};
use tenure::domain::state::view::{At, View};
use tenure::query::credentials::Credentials;
use tenure::query::report::catalogue::ReportName;
use tenure::query::report::report;
use tenure::query::report::request::ReportRequest;

use crate::support::model::decisions;
use crate::support::model::facts::at_instant;
use crate::support::model::generate::{History, Known, Mix, histories};
use crate::support::{Writer, after};

const PEOPLE: Mix = Mix {
    prepared: true,
    kind: WorkspaceKind::Shared,
    workspace: 2,
    members: 14,
    environments: 5,
    grants: 10,
    credentials: 4,
    proxy_tokens: 3,
    resources: 1,
};

fn config() -> Config {
    let config = Config { failure_persistence: None, ..Config::default() };
    let rng_seed = if config.rng_seed == RngSeed::Random { RngSeed::Fixed(15) } else { config.rng_seed };
    Config { rng_seed, cases: config.cases.min(128), ..config }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn reports_agree_with_the_events(
        history in histories(PEOPLE, 30..60),
        moments in vec(any::<(u16, u16)>(), 3),
    ) {
        let writer = lived(&history);
        for (first, second) in moments {
            let (first, second) = (instant(&writer, first), instant(&writer, second));
            let (from, until) = (first.min(second), first.max(second));
            check_roster(&writer, first);
            check_privileged(&writer, first);
            check_orphans(&writer, first);
            check_population(&writer, from, until);
            check_leavers(&writer, from, until);
            check_window(&writer, from, until);
        }
    }
}

fn lived(history: &History) -> Writer {
    let mut writer = Writer::new();
    writer.submit(&Caller::Operator, &[history.start()]);
    for step in &history.steps {
        writer.clock = after(writer.clock, step.clock);
        let known = Known::of(writer.workspace.id(), &writer.events, writer.clock);
        let (caller, commands) = step.resolve(&known, writer.clock);
        writer.submit(&caller, &commands);
    }
    writer
}

/// Returns the instant of an event, or one just before or after it; never later than now.
fn instant(writer: &Writer, choice: u16) -> Instant {
    let choice = usize::from(choice);
    let event = &writer.events[choice / 4 % writer.events.len()];
    after(event.time, [0, 0, 1, -1][choice % 4]).min(writer.now().instant())
}

fn view_at(writer: &Writer, instant: Instant) -> View {
    View::new(Arc::clone(&writer.workspace), At::Instant(instant), writer.clock).unwrap()
}

fn rows(name: ReportName, view: View, span: Span) -> Vec<Value> {
    let asked = ReportRequest { view, span, days: 1, environments: None, principals: None, uses: None };
    report(name, &asked).unwrap().rows.iter().map(tenure::query::report::table::ReportRow::value).collect()
}

fn rows_at(name: ReportName, view: View) -> Vec<Value> {
    rows(name, view, Span::new(None, None).unwrap())
}

fn within(from: Instant, until: Instant) -> Span {
    Span::new(Some(from), Some(until)).unwrap()
}

fn plain(value: &impl serde::Serialize) -> Value {
    json!(value)
}

/// Returns the model's roster.
fn modelled(writer: &Writer, instant: Instant) -> Vec<(Principal, EnvironmentId, EnvironmentRole, &'static str)> {
    decisions::roster(&at_instant(writer.workspace.id(), &writer.events, instant))
}

fn check_roster(writer: &Writer, instant: Instant) {
    let view = view_at(writer, instant);
    let rows = rows_at(ReportName::Roster, view.clone());
    let text = |row: &Value| ["principal", "environment", "role", "rule"].map(|field| row[field].to_string());
    let found: BTreeSet<_> = rows.iter().filter(|row| !row["environment"].is_null()).map(text).collect();
    let quoted = |value: Value| value.to_string();
    let expected: BTreeSet<_> = modelled(writer, instant)
        .iter()
        .map(|(who, place, role, rule)| [plain(who), plain(place), plain(role), plain(rule)].map(quoted))
        .collect();
    assert_eq!(found, expected, "at {instant}");
    let named: BTreeSet<String> = rows.iter().map(|row| row["principal"].to_string()).collect();
    let everyone: BTreeSet<String> = view.principals().map(|who| plain(&who).to_string()).collect();
    assert_eq!(named, everyone, "everyone is in the roster at {instant}");
}

/// Checks that each contributor in a restricted environment is privileged: there, or everywhere by the workspace role.
fn check_privileged(writer: &Writer, instant: Instant) {
    let view = view_at(writer, instant);
    let rows = rows_at(ReportName::Privileged, view.clone());
    let everywhere: BTreeSet<&str> =
        rows.iter().filter(|row| row["environment"].is_null()).map(|row| row["principal"].as_str().unwrap()).collect();
    let roster = modelled(writer, instant);
    let restricted = |place: EnvironmentId| view.environment(place).unwrap().default_role().is_some();
    let contributors =
        roster.iter().filter(|(_, place, role, _)| *role == EnvironmentRole::Contributor && restricted(*place));
    let expected: BTreeSet<_> = contributors
        .map(|(who, place, ..)| (who.to_string(), place.to_string()))
        .filter(|(who, _)| !everywhere.contains(who.as_str()))
        .collect();
    let text = |row: &Value, field: &str| row[field].as_str().unwrap().to_owned();
    let single = rows.iter().filter(|row| !row["environment"].is_null());
    let found: BTreeSet<_> = single.map(|row| (text(row, "principal"), text(row, "environment"))).collect();
    assert_eq!(found, expected, "at {instant}");
    let administrators = view.members().filter(|(_, role)| role.value.administers()).count();
    assert_eq!(everywhere.len(), administrators, "at {instant}");
}

/// Checks that the orphans are the live credentials of issuers who are no members.
fn check_orphans(writer: &Writer, instant: Instant) {
    let view = view_at(writer, instant);
    let all = Credentials::new(view.clone());
    let rows_of_all = all.all().iter().filter_map(|credential| all.row(*credential));
    let gone = rows_of_all.filter(|row| match &row.issued_by {
        Actor::User(user) => view.member(user).is_none(),
        Actor::ServiceUser(id) => view.service_user(*id).is_none(),
        Actor::Operator | Actor::System => false,
    });
    let expected: Vec<String> = gone.map(|row| row.id).collect();
    let rows = rows_at(ReportName::Orphans, view);
    let found: Vec<&str> = rows.iter().map(|row| row["credential"].as_str().unwrap()).collect();
    assert_eq!(found, expected, "at {instant}");
}

/// Returns the revisions of a span's events that `holds` accepts.
fn revisions(writer: &Writer, span: Span, holds: impl Fn(&EventData) -> bool) -> Vec<u64> {
    let events = writer.events.iter().filter(|event| span.contains(event.time) && holds(&event.data));
    events.map(|event| event.revision.0).collect()
}

/// Checks that the changes are the events, and that joiners, leavers and movers are those of their kinds, each once.
fn check_population(writer: &Writer, from: Instant, until: Instant) {
    let (view, span) = (writer.now(), within(from, until));
    let changes = rows(ReportName::Changes, view.clone(), span);
    let found: Vec<u64> = changes.iter().map(|row| row["revision"].as_u64().unwrap()).collect();
    assert_eq!(found, revisions(writer, span, |_| true), "from {from} until {until}");
    let numbers: Vec<u64> = changes.iter().map(|row| row["number"].as_u64().unwrap()).collect();
    assert!(numbers.into_iter().eq(1..=u64::try_from(changes.len()).unwrap()), "numbered from 1 on");

    let of = |name: ReportName, field: &str, holds: fn(&EventData) -> bool| {
        let rows = rows(name, view.clone(), span);
        let mut times: Vec<String> = rows.iter().map(|row| row[field].as_str().unwrap().to_owned()).collect();
        let expected = writer.events.iter().filter(|event| span.contains(event.time) && holds(&event.data));
        let expected: Vec<String> = expected.map(|event| event.time.to_string()).collect();
        times.sort();
        assert_eq!(times, expected, "{name} from {from} until {until}");
    };
    let joins = |data: &EventData| matches!(data, EventData::MemberAdded(..) | EventData::ServiceUserCreated(..));
    of(ReportName::Joiners, "joined_at", joins);
    let leaves = |data: &EventData| matches!(data, EventData::MemberRemoved(..) | EventData::ServiceUserDeleted(..));
    of(ReportName::Leavers, "left_at", leaves);
    of(ReportName::Movers, "changed_at", |data| matches!(data, EventData::MemberRoleChanged(..)));
}

/// Checks that no access outlives a membership, and that access lost with it ends at the same instant.
fn check_leavers(writer: &Writer, from: Instant, until: Instant) {
    for row in rows(ReportName::Leavers, writer.now(), within(from, until)) {
        let left: Instant = row["left_at"].as_str().unwrap().parse().unwrap();
        if row["returned_at"] == row["left_at"] {
            continue;
        }
        assert_eq!(row["has_access_still"], false, "{row:#}");
        assert!(row["minutes_between"].as_i64().is_none_or(|minutes| minutes <= 0), "{row:#}");
        let before = modelled(writer, after(left, -1));
        if before.iter().any(|(who, ..)| row["principal"] == plain(who)) {
            assert_eq!(row["last_access_ended_at"], row["left_at"], "{row:#}");
            assert_eq!(row["minutes_between"], 0, "{row:#}");
        }
    }
}

/// Checks whether an event ends a grant of a pair.
fn ends(event: &Event, environment: EnvironmentId, principal: &Principal) -> bool {
    match &event.data {
        EventData::GrantAdded(id, terms) | EventData::GrantChanged(id, terms) => {
            (*id, &terms.principal) == (environment, principal)
        }
        EventData::GrantRevoked(id, end) | EventData::GrantExpired(id, end) => {
            (*id, &end.principal) == (environment, principal)
        }
        EventData::EnvironmentDeleted(id, _) => *id == environment,
        EventData::WorkspaceDeleted(..) => true,
        _ => false,
    }
}

/// Checks that the rows are the grants without an expiry in the span; in these histories no expiry is a day away.
fn check_window(writer: &Writer, from: Instant, until: Instant) {
    let span = within(from, until);
    let mut expected = Vec::new();
    for event in &writer.events {
        let (EventData::GrantAdded(place, terms) | EventData::GrantChanged(place, terms)) = &event.data else {
            continue;
        };
        let later = writer.events.iter().filter(|later| later.revision > event.revision);
        let end = later.into_iter().find(|later| ends(later, *place, &terms.principal)).map(|end| end.time);
        let too_long = terms.expires_at.is_none_or(|end| end.micros() - event.time.micros() > 86_400_000_000);
        if too_long && terms.role > EnvironmentRole::NoAccess && span.overlaps(event.time, end) {
            expected.push(event.revision);
        }
    }
    let rows = rows(ReportName::OutsideWindow, writer.now(), span);
    let set = |row: &Value| Revision(row["evidence"][0]["revision"].as_u64().unwrap());
    assert_eq!(rows.iter().map(set).collect::<Vec<_>>(), expected, "from {from} until {until}");
}
