//! Compares the rules with a deliberately naive model, on random histories: every command, and every decision at random
//! revisions and instants.
//!
//! The histories are the same on every run, so that a failure can be investigated. `PROPTEST_RNG_SEED` draws others,
//! and `PROPTEST_CASES` sets their number.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use tempfile::TempDir;
use tenure::domain::model::command::Command;
use tenure::domain::model::event::{Event, EventData};
use tenure::domain::model::fact::Fact;
use tenure::domain::model::principal::{Actor, Caller};
use tenure::domain::model::role::{EnvironmentRole, WorkspaceKind};
use tenure::domain::model::time::Revision;
use tenure::domain::rules::authorize::{
    AnyRole, Decision, Question, Rule, Subject, access, authorize, authorize_visible,
};
use tenure::domain::rules::visibility::Visibility;
use tenure::domain::state::permission_state::PermissionState;
use tenure::domain::state::view::{At, PlacementView, View};
use tenure::domain::state::workspace::Workspace;
use tenure::log::sqlite::SqliteLog;
use tenure::log::{Append, EventLog, Outcome, Store, codec, snapshot};
use tenure::proof::hash::TreeHash;
use tenure::proof::note::LogKey;
use tenure::service::replay;

use crate::support::model::decisions::{self, Answer, Row};
use crate::support::model::facts::{self, Facts};
use crate::support::model::generate::{History, Known, Mix, RESOURCE_TYPES, histories};
use crate::support::model::questions::questions;
use crate::support::model::runs::{Choices, EVERYTHING, config, instant, moments};
use crate::support::model::{known_ids, lines, predict, types};
use crate::support::{Counter, Submitted, Writer, after};

proptest! {
    #![proptest_config(config(1))]

    #[test]
    fn a_workspace_in_which_everything_happens_follows_the_model(
        history in histories(EVERYTHING, 40..90),
        moments in moments(6),
    ) {
        follow(&history, &moments);
    }
}

proptest! {
    #![proptest_config(config(2))]

    #[test]
    fn a_workspace_of_many_grants_and_restrictions_follows_the_model(
        history in histories(Mix { environments: 6, grants: 16, credentials: 2, ..EVERYTHING }, 40..90),
        moments in moments(6),
    ) {
        follow(&history, &moments);
    }
}

proptest! {
    #![proptest_config(config(3))]

    #[test]
    fn a_workspace_of_many_credentials_and_scopes_follows_the_model(
        history in histories(Mix { credentials: 12, proxy_tokens: 10, grants: 2, ..EVERYTHING }, 40..90),
        moments in moments(6),
    ) {
        follow(&history, &moments);
    }
}

proptest! {
    #![proptest_config(config(6))]

    #[test]
    fn a_workspace_of_many_resources_follows_the_model(
        history in histories(Mix { resources: 20, environments: 8, ..EVERYTHING }, 40..90),
        moments in moments(6),
    ) {
        follow(&history, &moments);
    }
}

proptest! {
    #![proptest_config(config(4))]

    #[test]
    fn a_workspace_that_begins_with_nothing_follows_the_model(
        history in prop_oneof![
            3 => histories(Mix { prepared: false, workspace: 4, ..EVERYTHING }, 40..90),
            1 => histories(Mix { prepared: false, kind: WorkspaceKind::Personal, workspace: 4, ..EVERYTHING }, 30..60),
        ],
        moments in moments(6),
    ) {
        follow(&history, &moments);
    }
}

/// The counts of event types, refusal codes and rules that a run met.
type Met = BTreeMap<&'static str, u32>;

fn count(met: &mut Met, what: &'static str) {
    *met.entry(what).or_default() += 1;
}

#[test]
fn the_histories_meet_every_event_refusal_and_rule() {
    let mut runner = TestRunner::new(config(5));
    let mut met = Met::new();
    let personal = Mix { prepared: false, kind: WorkspaceKind::Personal, workspace: 4, ..EVERYTHING };
    let strategy = (prop_oneof![8 => histories(EVERYTHING, 40..90), 1 => histories(personal, 30..60)], moments(6));
    for _ in 0..100 {
        let (history, moments) = strategy.new_tree(&mut runner).unwrap().current();
        for (what, times) in follow(&history, &moments) {
            *met.entry(what).or_default() += times;
        }
    }
    let rules = Rule::ALL.iter().map(|rule| rule.as_str());
    let all = access_event_types().chain(CODES).chain(rules);
    let missed: Vec<_> = all.filter(|what| !met.contains_key(what)).collect();
    assert_eq!(missed, Vec::<&str>::new(), "of {met:#?}");
}

/// Returns the types of events on which access may depend. The model may leave out those of details.
fn access_event_types() -> impl Iterator<Item = &'static str> {
    let sample = |type_name: &str| std::fs::read(format!("events/{type_name}/sample.json")).unwrap();
    let is_detail =
        move |type_name: &str| matches!(codec::decode(&sample(type_name)).unwrap().data.fact(), Fact::Detail(_));
    EventData::TYPES.iter().copied().filter(move |type_name| !is_detail(type_name))
}

/// Every refusal code that a history can meet. None meets `too_large`.
const CODES: [&str; 14] = [
    "unauthenticated",
    "forbidden",
    "not_found",
    "already_exists",
    "last_owner",
    "owner_protected",
    "rbac_disabled",
    "plan_required",
    "personal_workspace",
    "environment_unrestricted",
    "expiry_required",
    "role_implied",
    "token_not_scoped",
    "invalid",
];

/// Runs a history, command by command, and then compares moments of its past.
fn follow(history: &History, moments: &[Choices]) -> Met {
    let mut writer = Writer::with(ids_of_its_own());
    let mut met = Met::new();
    submit(&mut writer, &Caller::Operator, &[history.start()], &mut met);
    for (count, step) in history.steps.iter().enumerate() {
        if count % 7 == 0 {
            Arc::make_mut(&mut writer.workspace).compact();
        }
        writer.clock = after(writer.clock, step.clock);
        let known = Known::of(writer.workspace.id(), &writer.events, writer.clock);
        let (caller, commands) = step.resolve(&known, writer.clock);
        submit(&mut writer, &caller, &commands, &mut met);
        let (view, facts) = (writer.now(), head(&writer));
        compare_facts(&view, &facts);
        compare_rosters(&view, &facts);
    }
    compare_answers(&writer, At::Now, &head(&writer), &mut met);
    compare_history(&writer);
    restart(&mut writer, moments.first().map_or(0, |moment| moment.0));
    compare_history(&writer);
    for moment in moments {
        look_back(&writer, *moment, &mut met);
    }
    for data in data(&writer.events) {
        count(&mut met, data.type_name());
    }
    met
}

/// Checks that the facts hold every event exactly, packed or not, with its time and the end of its command.
fn compare_history(writer: &Writer) {
    let (workspace, events) = (&writer.workspace, &writer.events);
    let bytes = |event: &Event| codec::encode(event).unwrap();
    for (event, next) in events.iter().zip(events.iter().skip(1).map(Some).chain([None])) {
        let at = event.revision;
        assert_eq!(workspace.event(at).map(|found| bytes(&found)), Some(bytes(event)), "revision {at}");
        let last_of_command = next.is_none_or(|next| next.command != event.command);
        assert_eq!(workspace.end_of_command(at) == at, last_of_command, "revision {at}");
        assert_eq!(workspace.revision_at(event.time), workspace.end_of_command(at), "revision {at}");
    }
    for (after, until) in [(0, events.len()), (3, 17), (events.len() / 2, events.len() - 1), (5, 5), (9, 2)] {
        let [from, end] = [after, until].map(|count| Revision(u64::try_from(count).unwrap()));
        let found: Vec<_> = workspace.events(from, end).map(|event| bytes(&event)).collect();
        let expected: Vec<_> = events.iter().skip(after).take(until.saturating_sub(after)).collect();
        assert_eq!(found, expected.into_iter().map(|event| bytes(event)).collect::<Vec<_>>(), "{after} to {until}");
    }
}

/// Returns the store of all histories of this run. Each history has ids of its own.
fn store() -> &'static SqliteLog {
    static STORE: OnceLock<(TempDir, SqliteLog)> = OnceLock::new();
    let (_, log) = STORE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let log = SqliteLog::open(folder.path()).unwrap();
        (folder, log)
    });
    log
}

fn ids_of_its_own() -> Counter {
    static HISTORIES: AtomicU64 = AtomicU64::new(0);
    Counter::starting_at(u128::from(HISTORIES.fetch_add(1, Ordering::Relaxed)) << 64)
}

/// Writes the log to the store, opens the store anew as after a restart, and continues with the loaded facts.
///
/// Some of the events come from a snapshot at a random revision.
fn restart(writer: &mut Writer, drawn: u16) {
    let workspace = writer.workspace.id();
    let events = writer.events.iter().map(|event| codec::encode(event).unwrap()).collect();
    let group = [Append { workspace, expected: Revision::ZERO, events, side_writes: Vec::new() }];
    assert_eq!(store().append(&group).unwrap().outcomes, [Outcome::Appended]);
    store().reopen().unwrap();
    let replayed = replay(store(), workspace).unwrap().unwrap();
    let taken_at = usize::from(drawn) % writer.events.len() + 1;
    let mut before = Workspace::empty(workspace);
    writer.events[..taken_at].iter().for_each(|event| before.evolve(event));
    let key = LogKey::from_seed(&[7; 32]);
    let mut restored =
        snapshot::read(&snapshot::write(&before, &TreeHash::of_nothing(), &key), workspace, &key).unwrap().facts;
    for event in replayed.events(before.head(), replayed.head()) {
        restored.evolve(&event);
    }
    assert_eq!(state(replayed), state(restored.clone()), "from a snapshot of the first {taken_at} events");
    writer.workspace = Arc::new(restored);
}

fn state(workspace: Workspace) -> String {
    PermissionState::of(&View::at_head(Arc::new(workspace))).to_json().unwrap()
}

fn head(writer: &Writer) -> Facts {
    let last = writer.events.last().map_or(writer.clock, |event| event.time);
    facts::at_head(writer.workspace.id(), &writer.events, writer.clock.max(last))
}

/// Submits a request and compares the result with that of the model.
fn submit(writer: &mut Writer, caller: &Caller, commands: &[Command], met: &mut Met) {
    let before = writer.events.len();
    let predicted = predict(writer.workspace.id(), &writer.events, writer.clock, caller, commands);
    let known = known_ids(&writer.events);
    let Submitted { expired, outcome } = writer.submit(caller, commands);
    let context = || format!("{caller:?} asked for {commands:#?}");

    let expired: Vec<_> = expired.iter().map(|events| lines(data(events), &known)).collect();
    let expected: Vec<_> = predicted.expired.iter().map(|events| lines(events, &known)).collect();
    assert_eq!(expired, expected, "what expired before {}", context());
    match (&outcome, &predicted.outcome) {
        (Ok(events), Ok(expected)) => {
            for (events, expected) in events.iter().zip(expected) {
                assert_eq!(types(data(events)), types(expected), "{}", context());
                assert_eq!(lines(data(events), &known), lines(expected, &known), "{}", context());
            }
        }
        (Err(refused), Err(expected)) => {
            assert_eq!((refused.index, refused.rejection.code()), *expected, "{}", context());
            count(met, refused.rejection.code());
        }
        (outcome, expected) => panic!("it came to {outcome:?}, the model says {expected:?}: {}", context()),
    }
    check_envelopes(&writer.events[before..], writer.events[..before].last(), caller);
}

fn data(events: &[Arc<Event>]) -> impl Iterator<Item = &EventData> {
    events.iter().map(|event| &event.data)
}

/// Checks that revisions have no gaps, and that each command is later than the one before it.
fn check_envelopes<'a>(appended: &'a [Arc<Event>], mut before: Option<&'a Arc<Event>>, caller: &Caller) {
    for event in appended {
        let revision = before.map_or(Revision::ZERO, |before| before.revision);
        assert_eq!(event.revision, revision.next());
        match before {
            Some(before) if before.command == event.command => assert_eq!(before.time, event.time),
            Some(before) => assert!(before.time < event.time),
            None => {}
        }
        let by_system = event.data.type_name().contains(".expired.");
        let actor = if by_system { Actor::System } else { caller.actor() };
        assert_eq!((&event.actor, event.credential.is_some() && by_system), (&actor, false));
        before = Some(event);
    }
}

/// Asks every question at a moment of the past. The moment is named in one of the possible ways.
fn look_back(writer: &Writer, (first, second): Choices, met: &mut Met) {
    let revisions = writer.workspace.head().0;
    let revision = u64::from(first) % (revisions + 2);
    let instant = instant(writer, second);
    let now = head(writer).instant;
    let id = writer.workspace.id();
    let time = facts::time_of(&writer.events, revision);
    let (at, expected) = match first / 7 % 3 {
        0 => (At::Instant(instant), (instant <= now).then(|| facts::at_instant(id, &writer.events, instant))),
        1 => (
            At::Revision(Revision(revision)),
            (revision <= revisions).then(|| facts::at(id, &writer.events, revision, time)),
        ),
        _ => (
            At::Both(Revision(revision), instant),
            (revision <= revisions && time <= instant && instant <= now)
                .then(|| facts::at(id, &writer.events, revision, instant)),
        ),
    };
    if let Some(facts) = expected {
        compare_answers(writer, at, &facts, met);
    } else {
        let refused = View::new(Arc::clone(&writer.workspace), at, writer.clock).map(|view| view.revision());
        assert_eq!(refused.map_err(|rejection| rejection.code()), Err("invalid"), "at {at:?}");
    }
}

fn compare_answers(writer: &Writer, at: At, facts: &Facts, met: &mut Met) {
    let view = View::new(Arc::clone(&writer.workspace), at, writer.clock).unwrap();
    assert_eq!(view.instant(), facts.instant, "at {at:?}");
    compare_facts(&view, facts);
    compare_rosters(&view, facts);
    for question in questions(writer.workspace.id(), &writer.events) {
        let decision = authorize(&view, &question);
        assert_eq!(answer(&decision), decisions::decide(facts, &question), "at {at:?}: {question:?}");
        assert!(decision.evidence.iter().all(|revision| view.event(*revision).is_some()), "{question:?}");
        assert!(!decision.allowed || !decision.evidence.is_empty(), "{question:?} is allowed for no reason");
        compare_visible(&view, &writer.now(), &question, &decision);
        count(met, decision.rule.as_str());
    }
}

/// Checks that a principal who asks about itself is allowed no more and, where it has access now, gets the same decision.
fn compare_visible(view: &View, now: &View, question: &Question, decision: &Decision) {
    let Subject::Principal(named) = &question.subject else { return };
    let Ok(principal) = view.find_principal(named) else { return };
    let told = authorize_visible(view, question, &Visibility::Own { principal, now: now.clone() });
    assert!(decision.allowed || !told.allowed, "{question:?} is allowed to the subject itself: {told:?}");
    let is_now = (view.revision(), view.instant()) == (now.revision(), now.instant());
    assert!(!is_now || !decision.allowed || told == *decision, "{question:?} is not answered: {told:?}");
}

fn answer(decision: &Decision) -> Answer {
    Answer {
        allowed: decision.allowed,
        role: decision.role.map(AnyRole::as_str),
        required: decision.required.map(AnyRole::as_str),
        rule: decision.rule.as_str(),
    }
}

fn compare_rosters(view: &View, facts: &Facts) {
    let (found, expected) = (in_order(roster(view)), in_order(decisions::roster(facts)));
    assert_eq!(found, expected, "who has access at revision {}, {:?}", view.revision(), view.instant());
}

/// Compares all entities, in any order.
fn compare_facts(view: &View, facts: &Facts) {
    assert_eq!(view.exists(), facts.workspace.is_some());
    if view.exists() {
        assert_eq!((view.plan().value, view.rbac().value), (facts.plan, facts.rbac));
    }
    let members = view.members().map(|(user, role)| (user.clone(), role.value));
    assert_eq!(in_order(members), in_order(facts.members.iter().cloned()));
    let service_users = view.service_users().map(|found| (found.id, found.name.to_string()));
    assert_eq!(in_order(service_users), in_order(facts.service_users.iter().cloned()));
    let environments = view.environments().map(|found| (found.id, found.name.to_string(), found.default_role()));
    let expected = facts.environments.iter().map(|found| (found.id, found.name.clone(), found.default_role));
    assert_eq!(in_order(environments), in_order(expected));
    compare_grants(view, facts);
    compare_resources(view, facts);

    let tokens = view.tokens().map(|token| (token.id, token.terms.holder.clone(), token.expires_at));
    let expected = facts.tokens.iter().map(|token| (token.id, token.holder.clone(), token.expires_at));
    assert_eq!(in_order(tokens), in_order(expected));
    let proxy_tokens = view.proxy_tokens().map(|token| (token.id, token.scope.value.cloned(), token.expires_at));
    let expected = facts.proxy_tokens.iter().map(|token| (token.id, token.scope.clone(), token.expires_at));
    assert_eq!(in_order(proxy_tokens), in_order(expected));
    let keys = view.access_keys().map(|key| (key.id, key.expires_at));
    assert_eq!(in_order(keys), in_order(facts.access_keys.iter().map(|key| (key.id, key.expires_at))));
}

/// Compares resource types, and placements by environment and by type.
fn compare_resources(view: &View, facts: &Facts) {
    let types = view.resource_types().map(|found| (found.name.to_string(), found.actions.value.clone()));
    assert_eq!(in_order(types), in_order(facts.resource_types.iter().cloned()));
    let placed = in_order(facts.placements.iter().cloned());
    let rows = |found: PlacementView<'_>| (found.key(), found.environment.value);
    assert_eq!(in_order(view.placements().map(rows)), placed);
    let by_place = view.environments().flat_map(|place| view.placements_in(place.id).map(rows).collect::<Vec<_>>());
    assert_eq!(in_order(by_place), placed);
    let by_type = RESOURCE_TYPES.iter().flat_map(|name| view.placements_of(name).map(rows).collect::<Vec<_>>());
    assert_eq!(in_order(by_type), placed);
}

/// Compares grants by environment, and environments by principal.
fn compare_grants(view: &View, facts: &Facts) {
    let mut found = Vec::new();
    for environment in view.environments() {
        for (principal, grant) in view.grants(&environment) {
            assert!(view.granted(principal).contains(&environment.id));
            found.push((environment.id, principal.clone(), grant.value.role, grant.value.expires_at));
        }
    }
    let expected = facts.grants.iter().map(|g| (g.environment, g.principal.clone(), g.role, g.expires_at));
    assert_eq!(in_order(found), in_order(expected));
}

fn in_order<T: Ord>(all: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut all: Vec<_> = all.into_iter().collect();
    all.sort();
    all
}

fn roster(view: &View) -> Vec<Row> {
    let mut rows = Vec::new();
    for environment in view.environments() {
        for principal in view.principals() {
            let access = access(view, &environment, &principal);
            if access.role > EnvironmentRole::NoAccess {
                rows.push((principal, environment.id, access.role, access.rule.as_str()));
            }
        }
    }
    rows
}
