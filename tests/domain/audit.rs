//! The audit's queries against a deliberately naive model on random histories, and the laws that connect them.
//!
//! Every run has the same histories, so that a failure can be reproduced. `PROPTEST_RNG_SEED` draws others, `PROPTEST_CASES` more.

mod naive;

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use tenure::domain::model::event::EventData;
use tenure::domain::model::id::EnvironmentId;
use tenure::domain::model::principal::{Caller, Principal};
use tenure::domain::model::role::{EnvironmentRole, Plan, WorkspaceKind};
use tenure::domain::model::time::{Instant, Span};
use tenure::domain::rules::authorize::accepts;
use tenure::domain::state::view::{At, View};
use tenure::query::AuditQuery;
use tenure::query::diff::{Diff, DiffRow, EVENTS_SHOWN_MAX};
use tenure::query::evidence::{ShownCause, principal_name};
use tenure::query::pairs::Pairs;
use tenure::query::roster::{AccessRow, Roster};
use tenure::query::tenure::{TenureRow, Tenures};
use tenure::query::what_if::{Widened, simulate};

use crate::support::commands::{create_service_user, create_workspace, delete_service_user};
use crate::support::model::decisions;
use crate::support::model::facts::at_instant;
use crate::support::model::generate::{History, Known, Mix, histories};
use crate::support::model::runs::{Choices, EVERYTHING, config, moments};
use crate::support::{Submitted, Writer, after};

proptest! {
    #![proptest_config(config(11))]

    #[test]
    fn any_history(history in histories(EVERYTHING, 30..60), moments in moments(4)) {
        follow(&history, &moments);
    }
}

proptest! {
    #![proptest_config(config(12))]

    #[test]
    fn a_history_of_many_grants_and_restrictions(
        history in histories(Mix { environments: 6, grants: 16, ..EVERYTHING }, 30..60),
        moments in moments(4),
    ) {
        follow(&history, &moments);
    }
}

proptest! {
    #![proptest_config(config(13))]

    #[test]
    fn a_history_of_joiners_and_leavers(
        history in histories(Mix { members: 16, grants: 8, ..EVERYTHING }, 30..60),
        moments in moments(4),
    ) {
        follow(&history, &moments);
    }
}

proptest! {
    #![proptest_config(config(14))]

    #[test]
    fn a_history_that_begins_empty(
        history in histories(Mix { prepared: false, workspace: 4, ..EVERYTHING }, 30..60),
        moments in moments(4),
    ) {
        follow(&history, &moments);
    }
}

/// Replays a history with a simulation of each step, and then queries moments and spans of it.
fn follow(history: &History, moments: &[Choices]) {
    let mut writer = Writer::new();
    writer.submit(&Caller::Operator, &[history.start()]);
    for step in &history.steps {
        writer.clock = after(writer.clock, step.clock);
        let known = Known::of(writer.workspace.id(), &writer.events, writer.clock);
        let (caller, commands) = step.resolve(&known, writer.clock);
        simulate_and_compare(&mut writer, &caller, &commands);
    }
    let all = check_tenures(&writer, writer.now().instant());
    check_tenures(&writer, instant(&writer, moments[0].0));
    for (first, second) in moments {
        let (first, second) = (instant(&writer, *first), instant(&writer, *second));
        check_roster(&writer, first, &all);
        check_diff(&writer, first.min(second), first.max(second));
        check_span(&writer, first.min(second), first.max(second), &all);
    }
}

/// Returns a moment of the history, not later than now.
fn instant(writer: &Writer, choice: u16) -> Instant {
    crate::support::model::runs::instant(writer, choice).min(writer.now().instant())
}

fn view_at(writer: &Writer, instant: Instant) -> View {
    View::new(Arc::clone(&writer.workspace), At::Instant(instant), writer.clock).unwrap()
}

fn all_rows<Q: AuditQuery>(question: &Q) -> Vec<Q::Row> {
    (0..question.candidates()).flat_map(|candidate| question.rows(candidate)).collect()
}

fn everyone_everywhere(view: &View) -> Pairs {
    Pairs::all(view.environments_of_all_time(), view.principals_of_all_time().collect())
}

fn tenures_of(view: &View, span: Span, role: Option<EnvironmentRole>) -> Vec<TenureRow> {
    all_rows(&Tenures::new(view.clone(), span, role, everyone_everywhere(view)))
}

fn cause(shown: &ShownCause) -> naive::Cause {
    match shown {
        ShownCause::Event(event) => naive::Cause::Event(event.revision),
        ShownCause::Expiry { expiry, set_by } => naive::Cause::Expiry(*expiry, set_by.as_ref().unwrap().revision),
    }
}

fn plain(row: &TenureRow) -> naive::Tenure {
    naive::Tenure {
        principal: row.principal.clone(),
        environment: row.environment,
        role: row.role,
        rule: row.rule,
        from: row.from,
        until: row.until,
        opened_by: cause(row.opened_by.as_ref().unwrap()),
        closed_by: row.closed_by.as_ref().map(cause),
    }
}

/// Checks that tenures up to an instant are those of the model, and that those of a pair never overlap.
fn check_tenures(writer: &Writer, until: Instant) -> Vec<naive::Tenure> {
    let rows = tenures_of(&view_at(writer, until), Span::new(None, None).unwrap(), None);
    let mut found: Vec<naive::Tenure> = rows.iter().map(plain).collect();
    found.sort();
    let expected = naive::tenures(writer.workspace.id(), &writer.events, until);
    assert_eq!(found, expected, "as far as {until}");
    for pair in found.chunk_by(|one, other| (&one.principal, one.environment) == (&other.principal, other.environment))
    {
        let mut by_time: Vec<_> = pair.iter().collect();
        by_time.sort_by_key(|tenure| tenure.from);
        for neighbours in by_time.windows(2) {
            assert!(neighbours[0].until.is_some_and(|end| end <= neighbours[1].from), "{neighbours:#?}");
        }
        assert!(by_time.iter().all(|tenure| tenure.until.is_none_or(|end| tenure.from < end)), "{by_time:#?}");
    }
    found
}

fn roster(view: &View) -> Vec<AccessRow> {
    let pairs = Pairs::all(view.environments().map(|found| found.id), view.principals().collect());
    all_rows(&Roster { view: view.clone(), pairs })
}

/// Checks that the roster at an instant is the tenures that contain it.
fn check_roster(writer: &Writer, instant: Instant, tenures: &[naive::Tenure]) {
    let row = |row: &AccessRow| (row.principal.clone(), row.environment, row.role, row.rule, row.since);
    let mut found: Vec<_> = roster(&view_at(writer, instant)).iter().map(row).collect();
    found.sort();
    let containing =
        tenures.iter().filter(|tenure| tenure.from <= instant && tenure.until.is_none_or(|end| instant < end));
    let mut expected: Vec<_> = containing
        .map(|tenure| (tenure.principal.clone(), tenure.environment, tenure.role, tenure.rule, tenure.from))
        .collect();
    expected.sort();
    assert_eq!(found, expected, "at {instant}");
    let facts = at_instant(writer.workspace.id(), &writer.events, instant);
    let mut modelled = decisions::roster(&facts);
    modelled.sort();
    let found: Vec<_> = found.into_iter().map(|(who, place, role, rule, _)| (who, place, role, rule)).collect();
    assert_eq!(found, modelled, "at {instant}");
}

/// Checks that the tenures of a span, and of a role, are those of all time that overlap it.
fn check_span(writer: &Writer, from: Instant, until: Instant, tenures: &[naive::Tenure]) {
    let view = writer.now();
    let span = Span::new(Some(from), Some(until)).unwrap();
    for role in [None, Some(EnvironmentRole::Viewer)] {
        let mut found: Vec<_> = tenures_of(&view, span, role).iter().map(plain).collect();
        found.sort();
        let overlaps = |tenure: &&naive::Tenure| {
            let begins = tenure.from.max(from);
            begins < until && tenure.until.is_none_or(|end| begins < end) && role.is_none_or(|role| role == tenure.role)
        };
        let expected: Vec<_> = tenures.iter().filter(overlaps).cloned().collect();
        assert_eq!(found, expected, "from {from} until {until}, {role:?}");
    }
}

type Roles = BTreeMap<(EnvironmentId, Principal), EnvironmentRole>;

fn modelled_roles(writer: &Writer, instant: Instant) -> Roles {
    let facts = at_instant(writer.workspace.id(), &writer.events, instant);
    decisions::roster(&facts).into_iter().map(|(who, place, role, _)| ((place, who), role)).collect()
}

/// Checks that a diff turns the earlier roster into the later one, names nothing else, and has causes.
fn check_diff(writer: &Writer, from: Instant, until: Instant) {
    let (before, after) = (view_at(writer, from), view_at(writer, until));
    let rows = all_rows(&Diff::new(before.clone(), after.clone(), |_| true, |_| true));
    let mut roles = modelled_roles(writer, from);
    for row in &rows {
        let pair = (row.environment, row.principal.clone());
        assert_ne!(row.before, row.after, "{row:#?}");
        assert_eq!(roles.get(&pair).copied(), row.before, "{row:#?}");
        match row.after {
            Some(role) => roles.insert(pair, role),
            None => roles.remove(&pair),
        };
        assert_eq!(row.events_total.min(EVENTS_SHOWN_MAX), row.events.len());
        assert!(!row.events.is_empty(), "{row:#?} happened for no reason");
        for shown in &row.events {
            match cause(shown) {
                naive::Cause::Event(revision) => {
                    assert!(before.revision() < revision && revision <= after.revision(), "{row:#?}");
                }
                naive::Cause::Expiry(end, _) => assert!(from < end && end <= until, "{row:#?}"),
            }
        }
    }
    assert_eq!(roles, modelled_roles(writer, until), "from {from} until {until}");
    let mut pairs: Vec<_> = rows.iter().map(|row| (row.environment, &row.principal)).collect();
    pairs.dedup();
    assert_eq!(pairs.len(), rows.len(), "each pair once");
}

/// Returns a diff by names, since simulated entities have placeholder ids.
type Named = (String, String, Option<EnvironmentRole>, Option<EnvironmentRole>);

fn named(rows: &[DiffRow]) -> Vec<Named> {
    let name = |row: &DiffRow| row.environment_name.as_ref().unwrap().to_string();
    let mut named: Vec<_> =
        rows.iter().map(|row| (row.principal_name.clone(), name(row), row.before, row.after)).collect();
    named.sort();
    named
}

/// Returns the environments that accept each proxy token.
fn accepted(view: &View) -> Vec<(String, String)> {
    let mut accepted = Vec::new();
    for token in view.proxy_tokens() {
        for place in view.environments().filter(|place| accepts(view, &token, place.id).allowed) {
            accepted.push((token.id.to_string(), place.name.to_string()));
        }
    }
    accepted
}

/// Simulates commands, submits them, and compares the results.
fn simulate_and_compare(writer: &mut Writer, caller: &Caller, commands: &[tenure::domain::model::command::Command]) {
    let simulated = simulate(&writer.workspace, caller, commands.to_vec(), None, writer.clock);
    let at_first = (writer.workspace.clone(), writer.events.len());
    let Submitted { expired, outcome } = writer.submit(caller, commands);
    let (simulated, appended) = match (simulated, outcome) {
        (Ok(simulated), Ok(appended)) => (simulated, appended),
        (Err(simulated), Err(refused)) => return assert_eq!(simulated, refused),
        (simulated, outcome) => panic!("simulated: {:?}, came: {outcome:?}", simulated.map(|_| ())),
    };
    let types = |event: &Arc<tenure::domain::model::event::Event>| event.data.type_name();
    let came: Vec<_> = appended.iter().flatten().map(types).collect();
    assert_eq!(simulated.events.iter().map(types).collect::<Vec<_>>(), came);
    let now = writer.now();
    let expired: usize = expired.iter().map(Vec::len).sum();
    let head = writer.events[..at_first.1 + expired].last().map_or(now.revision(), |event| event.revision);
    if something_expires(writer, simulated.after.instant(), now.instant()) {
        return;
    }
    let before = View::new(Arc::clone(&writer.workspace), At::Both(head, now.instant()), writer.clock).unwrap();
    let real = all_rows(&Diff::new(before.clone(), now.clone(), |_| true, |_| true));
    assert_eq!(named(&all_rows(&simulated.diff())), named(&real), "{commands:#?}");

    let mut opened = accepted(&now);
    let closed_before = accepted(&before);
    let made = |token: &str| before.proxy_tokens().all(|found| found.id.to_string() != token);
    opened.retain(|pair| !closed_before.contains(pair) && !made(&pair.0));
    let foretold = all_rows(&Widened::of(&simulated)).into_iter().flat_map(|row| {
        let token = row.proxy_token.to_string();
        row.environment_names.into_iter().map(move |name| (token.clone(), name.to_string()))
    });
    let renamed = came.contains(&"environment.renamed.v1");
    let mut foretold: Vec<_> = foretold.filter(|(token, _)| !made(token)).collect();
    opened.sort();
    foretold.sort();
    assert!(renamed || opened == foretold, "{commands:#?}: {opened:?}, foretold {foretold:?}");
}

fn something_expires(writer: &Writer, from: Instant, until: Instant) -> bool {
    writer.events.iter().any(|event| match &event.data {
        EventData::GrantAdded(_, terms) | EventData::GrantChanged(_, terms) => {
            terms.expires_at.is_some_and(|end| from < end && end <= until)
        }
        EventData::ProxyTokenCreated(_, terms) => terms.expires_at.is_some_and(|end| from < end && end <= until),
        _ => false,
    })
}

#[test]
fn a_deleted_principal_is_still_shown_by_name() {
    let mut writer = Writer::new();
    let start = create_workspace("acme", WorkspaceKind::Shared, Plan::Team, "alice");
    for command in [start, create_service_user("ci"), delete_service_user("ci")] {
        writer.submit(&Caller::Operator, &[command]).outcome.unwrap();
    }
    let view = writer.now();
    let names: Vec<_> = view.principals_of_all_time().map(|found| principal_name(&view, &found)).collect();
    assert_eq!(names, ["alice", "ci"]);
}
