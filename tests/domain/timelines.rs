//! Cached access timelines equal computed tenures: on random histories, advanced at random moments, at random views, over random spans.
//!
//! The histories are the same on every run; `PROPTEST_RNG_SEED` draws others, and `PROPTEST_CASES` more of them.

use std::sync::Arc;

use proptest::prelude::*;
use tenure::domain::model::command::Command;
use tenure::domain::model::id::EnvironmentId;
use tenure::domain::model::principal::{Caller, Principal};
use tenure::domain::model::role::{EnvironmentRole, Plan, WorkspaceKind, WorkspaceRole};
use tenure::domain::model::time::{Revision, Span};
use tenure::domain::state::permission_state::PermissionState;
use tenure::domain::state::view::{At, View};
use tenure::domain::state::workspace::Workspace;
use tenure::query::AuditQuery as _;
use tenure::query::pairs::Pairs;
use tenure::query::tenure::{Tenure, Tenures, tenures_in};
use tenure::query::what_if::simulate;
use tenure::service::timelines::AccessTimelineCache;

use crate::support::commands::{add_member, create_environment, create_workspace, disable_rbac};
use crate::support::model::generate::{History, Known, Mix, histories};
use crate::support::model::runs::{Choices, EVERYTHING, config, instant, moments};
use crate::support::{Counter, Writer, after};

const BYTES: u64 = 1 << 20;

proptest! {
    #![proptest_config(config(21))]

    #[test]
    fn any_history(history in histories(EVERYTHING, 30..60), moments in moments(60)) {
        follow(&history, &moments);
    }
}

proptest! {
    #![proptest_config(config(22))]

    #[test]
    fn a_history_of_many_grants_and_restrictions(
        history in histories(Mix { environments: 6, grants: 16, ..EVERYTHING }, 30..60),
        moments in moments(60),
    ) {
        follow(&history, &moments);
    }
}

proptest! {
    #![proptest_config(config(23))]

    #[test]
    fn a_history_of_joiners_and_leavers(
        history in histories(Mix { prepared: false, members: 16, grants: 8, workspace: 4, ..EVERYTHING }, 30..60),
        moments in moments(60),
    ) {
        follow(&history, &moments);
    }
}

/// Replays a history with queries after some of its steps, so that timelines are advanced over one command or several.
fn follow(history: &History, moments: &[Choices]) {
    let (cache, empty_cache) = (AccessTimelineCache::with_capacity(BYTES), AccessTimelineCache::with_capacity(0));
    let mut writer = Writer::new();
    writer.submit(&Caller::Operator, &[history.start()]);
    for (step, (first, second)) in history.steps.iter().zip(moments.iter().cycle()) {
        writer.clock = after(writer.clock, step.clock);
        let known = Known::of(writer.workspace.id(), &writer.events, writer.clock);
        let (caller, commands) = step.resolve(&known, writer.clock);
        if let Ok(simulated) = simulate(&writer.workspace, &caller, commands.clone(), None, writer.clock) {
            check(&cache, &simulated.after, Span::ALWAYS);
        }
        let before = writer.now();
        let mut fork = writer.clone();
        writer.submit(&caller, &commands);
        if !first.is_multiple_of(6) {
            continue;
        }
        let span = span(&writer, *first, *second);
        for view in views(&writer, *second) {
            check(&cache, &view, span);
            check(&empty_cache, &view, span);
        }
        check(&cache, &before, span);
        if second.is_multiple_of(2) {
            part(&mut fork, &writer.ids, &caller, &commands);
            check(&cache, &fork.now(), Span::ALWAYS);
        }
        check(&cache, &writer.now(), Span::ALWAYS);
    }
    let grows = writer.now().environments_of_all_time().count() > 0;
    assert!(!grows || cache.bytes() > 0, "no timeline was cached");
    assert_eq!(empty_cache.bytes(), 0);
}

/// Continues a log differently, with other ids, as after a restored backup.
fn part(fork: &mut Writer, ids: &Counter, caller: &Caller, commands: &[Command]) {
    fork.ids = Counter::starting_at(ids.clone().uuid().as_u128() << 64);
    fork.clock = after(fork.clock, 1);
    for command in commands.iter().rev() {
        fork.submit(caller, std::slice::from_ref(command));
    }
    fork.submit(&Caller::Operator, &[disable_rbac()]);
}

fn span(writer: &Writer, first: u16, second: u16) -> Span {
    let (one, other) = (instant(writer, first), instant(writer, second));
    let from = (!first.is_multiple_of(5)).then_some(one.min(other));
    let until = (!second.is_multiple_of(5)).then_some(one.max(other));
    Span::new(from, until).unwrap()
}

/// Returns views of now, of an instant, of a revision, of a revision at a later instant, of a later clock, and of facts without their
/// beginning.
fn views(writer: &Writer, drawn: u16) -> Vec<View> {
    let root = &writer.workspace;
    let now = writer.now().instant();
    let revision = Revision(u64::from(drawn) % (root.head().0 + 1));
    let instant = instant(writer, drawn).min(now);
    let later = after(now, i64::from(drawn) * 10_000_000);
    let at = [At::Instant(instant), At::Revision(revision), At::Both(revision, now)];
    let views = at.into_iter().filter_map(|at| View::new(Arc::clone(root), at, now).ok());
    let mut restored =
        Workspace::restore(&PermissionState::of(&View::new(Arc::clone(root), At::Revision(revision), now).unwrap()));
    for event in root.events(restored.head(), root.head()) {
        restored.evolve(&event);
    }
    let ours = [View::now(Arc::clone(root), later), writer.now(), View::now(Arc::new(restored), now)];
    views.chain(ours).collect()
}

/// Checks each environment: cached tenures equal computed ones.
fn check(cache: &AccessTimelineCache, view: &View, span: Span) {
    for environment in view.environments_of_all_time().collect::<Vec<_>>() {
        let expected = computed(view, environment, span);
        let found = had_access(cache, view, environment, span);
        assert_eq!(found, expected, "in {environment} over {span:?} at {} of {}", view.revision(), view.instant());
        assert_eq!(rows_through(Some(cache), view, environment, span), rows_through(None, view, environment, span));
    }
}

fn had_access(
    cache: &AccessTimelineCache,
    view: &View,
    environment: EnvironmentId,
    span: Span,
) -> Vec<(Principal, Tenure)> {
    let mut found = Vec::new();
    cache.who_had_access(view, environment, span, |principal, tenure| found.push((principal.clone(), tenure)));
    found
}

fn computed(view: &View, environment: EnvironmentId, span: Span) -> Vec<(Principal, Tenure)> {
    let each = |principal: Principal| {
        let found = tenures_in(view, environment, &principal, span).into_iter();
        let above = found.filter(|tenure| tenure.held.role > EnvironmentRole::NoAccess);
        above.map(move |tenure| (principal.clone(), tenure))
    };
    view.principals_of_all_time().flat_map(each).collect()
}

/// Returns the rows as JSON.
fn rows_through(
    cache: Option<&AccessTimelineCache>,
    view: &View,
    environment: EnvironmentId,
    span: Span,
) -> Vec<String> {
    let pairs = Pairs::all([environment], view.principals_of_all_time().collect());
    let query = Tenures::new(view.clone(), span, None, pairs);
    let query = match cache {
        Some(cache) => query.from_source(cache.source()),
        None => query,
    };
    let rows = (0..query.candidates()).flat_map(|candidate| query.rows(candidate));
    rows.map(|row| serde_json::to_string(&row).unwrap()).collect()
}

/// Returns a workspace with one owner and some environments.
fn workspace(environments: usize) -> Writer {
    let mut writer = Writer::new();
    let start = create_workspace("acme", WorkspaceKind::Shared, Plan::Team, "alice");
    let more = (1..environments).map(|place| create_environment(&format!("env-{place}")));
    for command in std::iter::once(start).chain(more) {
        writer.submit(&Caller::Operator, &[command]).outcome.unwrap();
    }
    writer
}

#[test]
fn the_cache_stays_within_its_capacity() {
    let (writer, cache, few) =
        (workspace(64), AccessTimelineCache::with_capacity(BYTES), AccessTimelineCache::with_capacity(1_024));
    for environment in writer.now().environments_of_all_time() {
        for cache in [&cache, &few] {
            assert_eq!(had_access(cache, &writer.now(), environment, Span::ALWAYS).len(), 1);
        }
    }
    assert!(few.bytes() <= 1_024, "{} bytes", few.bytes());
    assert!(cache.bytes() > 4 * 1_024, "{} bytes for 64 environments", cache.bytes());
}

#[test]
fn a_simulation_is_never_cached() {
    let (writer, cache) = (workspace(1), AccessTimelineCache::with_capacity(BYTES));
    let environment = writer.now().environments_of_all_time().next().unwrap();
    let command = add_member("bob", WorkspaceRole::Member);
    let simulated = simulate(&writer.workspace, &Caller::Operator, vec![command], None, writer.clock).unwrap();
    assert_eq!(had_access(&cache, &simulated.after, environment, Span::ALWAYS).len(), 2);
    assert_eq!(cache.bytes(), 0);
}
