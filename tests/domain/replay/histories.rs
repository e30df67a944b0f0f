//! Every recorded history rebuilds its snapshots, byte for byte: from the first event, and from every snapshot and the tail.

use std::collections::BTreeSet;
use std::sync::Arc;

use tenure::domain::model::event::{Event, EventData};
use tenure::domain::model::fact::Fact;
use tenure::domain::model::time::{Instant, Revision};
use tenure::domain::state::permission_state::PermissionState;
use tenure::domain::state::view::{At, View};
use tenure::domain::state::workspace::Workspace;

use super::answers::{Cast, answers};
use super::files::{BLESS, HISTORIES, History, evolved, names_in, root, state_at};
use super::scripts::SCRIPTS;
use crate::support::verify::verify;

const END_OF_TIME: Instant = Instant::from_micros(i64::MAX);

fn view(workspace: &Arc<Workspace>, at: At) -> View {
    View::new(Arc::clone(workspace), at, END_OF_TIME).unwrap()
}

fn restored(snapshot: &str, history: &History) -> Arc<Workspace> {
    let state = PermissionState::from_json(snapshot).unwrap();
    evolved(Workspace::restore(&state), history.after(state.revision))
}

/// Shorter than two pages of JSON.
#[track_caller]
fn assert_same(found: &str, expected: &str, what: &str) {
    let differs = found.lines().zip(expected.lines()).enumerate().find(|(_, (found, expected))| found != expected);
    assert!(found == expected, "{what}: line {differs:?} (found, expected); {BLESS}");
}

#[test]
fn there_is_a_history_for_every_script_and_each_has_snapshots() {
    let names: BTreeSet<_> = HISTORIES.iter().map(|history| history.name.as_str()).collect();
    for (name, _) in SCRIPTS {
        assert!(names.contains(name), "events/histories/{name}.jsonl is missing; {BLESS}");
    }
    for history in HISTORIES.iter() {
        assert!(history.snapshots.len() >= 2, "{} has too few snapshots", history.name);
    }
    for folder in names_in(&root("snapshots")).into_iter().filter(|folder| folder != "formats") {
        assert!(names.contains(folder.as_str()), "snapshots/{folder} belongs to no history");
    }
}

#[test]
fn the_histories_hold_every_event_type() {
    let events = HISTORIES.iter().flat_map(|history| &history.events);
    let held: BTreeSet<_> = events.map(|event| event.data.type_name()).collect();
    let missing: Vec<_> = EventData::TYPES.iter().filter(|name| !held.contains(*name)).collect();
    assert!(missing.is_empty(), "no history holds {missing:?}");
}

#[test]
fn every_history_is_a_valid_log() {
    for history in HISTORIES.iter() {
        let verified = verify(&history.lines).unwrap_or_else(|why| panic!("{}: {why}", history.name));
        assert_same(&verified.state, &history.head, &history.name);
    }
}

#[test]
fn every_history_rebuilds_its_snapshots_from_the_first_event() {
    for history in HISTORIES.iter() {
        let workspace = history.replay();
        assert_same(&state_at(&workspace, history.head_revision()), &history.head, &history.name);
        for (revision, snapshot) in &history.snapshots {
            assert_same(&state_at(&workspace, *revision), snapshot, &format!("{} at {revision}", history.name));
        }
    }
}

#[test]
fn every_snapshot_equals_a_replay_up_to_its_revision() {
    for history in HISTORIES.iter() {
        for (revision, snapshot) in &history.snapshots {
            let until = usize::try_from(revision.0).unwrap();
            let workspace = evolved(Workspace::empty(history.events[0].workspace), &history.events[..until]);
            assert_same(&state_at(&workspace, *revision), snapshot, &format!("{} at {revision}", history.name));
        }
    }
}

#[test]
fn every_history_rebuilds_its_snapshots_from_every_snapshot_and_the_events_after_it() {
    for history in HISTORIES.iter() {
        for (base, snapshot) in &history.snapshots {
            let workspace = restored(snapshot, history);
            let what = format!("{} restored at {base}", history.name);
            assert_same(&state_at(&workspace, history.head_revision()), &history.head, &what);
            for (later, expected) in history.snapshots.range(base..) {
                assert_same(&state_at(&workspace, *later), expected, &format!("{what}, at {later}"));
            }
        }
        let (head, at_rest) = (history.head_revision(), restored(&history.head, history));
        assert_same(&state_at(&at_rest, head), &history.head, &format!("{} restored at its head", history.name));
    }
}

#[test]
fn two_replays_of_a_history_give_the_same_bytes() {
    for history in HISTORIES.iter() {
        let [first, second] = [history.replay(), history.replay()].map(|workspace| {
            let states = history.ends_of_commands().into_iter().map(|revision| state_at(&workspace, revision));
            states.collect::<String>()
        });
        assert_same(&first, &second, &history.name);
    }
}

#[test]
fn facts_restored_at_any_revision_answer_like_replayed_ones() {
    for history in HISTORIES.iter() {
        let (replayed, cast) = (history.replay(), Cast::of(&history.events));
        let ends = history.ends_of_commands();
        let expected = answers(&view(&replayed, At::Now), &cast);
        for base in &ends {
            let workspace = restored(&state_at(&replayed, *base), history);
            let what = format!("{} restored at {base}", history.name);
            assert_eq!(answers(&view(&workspace, At::Now), &cast), expected, "{what}, now");
            for later in ends.iter().filter(|end| *end >= base).step_by(9) {
                let at = At::Revision(*later);
                let (found, expected) = (view(&workspace, at), view(&replayed, at));
                assert_same(
                    &PermissionState::of(&found).to_json().unwrap(),
                    &PermissionState::of(&expected).to_json().unwrap(),
                    &what,
                );
                assert_eq!(answers(&found, &cast), answers(&expected, &cast), "{what}, at {later}");
            }
        }
    }
}

/// Between an expiry and its event, the facts and the clock disagree.
#[test]
fn facts_restored_after_an_expiry_without_an_event_still_append_one() {
    let mut noted = 0;
    for history in HISTORIES.iter() {
        let (replayed, cast) = (history.replay(), Cast::of(&history.events));
        let expected = answers(&view(&replayed, At::Now), &cast);
        for base in history.ends_of_commands() {
            let until = usize::try_from(base.0).unwrap();
            let before = evolved(Workspace::empty(replayed.id()), &history.events[..until]);
            let Some(expiry) = before.next_expiry() else { continue };
            let expired = PermissionState::of(&view(&before, At::Both(base, expiry))).to_json().unwrap();
            assert_ne!(expired, state_at(&before, base), "{} at {base}: what has expired is gone", history.name);
            let workspace = restored(&expired, history);
            let what = format!("{} restored at {base}, after {expiry}", history.name);
            assert_same(&state_at(&workspace, history.head_revision()), &history.head, &what);
            assert_eq!(answers(&view(&workspace, At::Now), &cast), expected, "{what}");
            noted += 1;
        }
    }
    assert!(noted > 20, "only {noted} expiries were still to be noted");
}

#[test]
fn views_from_before_the_revision_of_a_restored_workspace_are_refused() {
    let history = HISTORIES.iter().find(|history| history.snapshots.len() > 2).unwrap();
    let (base, snapshot) = history.snapshots.iter().nth(1).unwrap();
    let workspace = restored(snapshot, history);
    let time = history.events[usize::try_from(base.0).unwrap() - 1].time;
    let earlier = Instant::from_micros(time.micros() - 1);
    for at in [At::Revision(Revision(base.0 - 1)), At::Revision(Revision::ZERO), At::Instant(earlier)] {
        let refused = View::new(Arc::clone(&workspace), at, END_OF_TIME).unwrap_err();
        assert_eq!(refused.code(), "invalid", "{at:?}: {refused}");
        assert!(refused.to_string().contains(&format!("before revision {base} of {time}")), "{refused}");
    }
    for at in [At::Revision(*base), At::Instant(time), At::Both(*base, time), At::Now] {
        View::new(Arc::clone(&workspace), at, END_OF_TIME).unwrap();
    }
}

#[test]
fn an_empty_log_has_a_state_too() {
    let workspace = HISTORIES[0].replay();
    let state = PermissionState::of(&view(&workspace, At::Revision(Revision::ZERO)));
    assert_eq!(state.time, None);
    let again = Workspace::restore(&PermissionState::from_json(&state.to_json().unwrap()).unwrap());
    let again = evolved(again, &HISTORIES[0].events);
    assert_same(&state_at(&again, HISTORIES[0].head_revision()), &HISTORIES[0].head, "restored before the first event");
}

/// A replay from a snapshot is checked like one from the start.
#[test]
fn every_event_of_every_history_can_follow_the_events_before_it() {
    for history in HISTORIES.iter() {
        let mut workspace = Workspace::empty(history.events[0].workspace);
        for event in &history.events {
            workspace.evolve_checked(event).unwrap_or_else(|why| panic!("{}, {}: {why}", history.name, event.revision));
        }
        for (revision, snapshot) in &history.snapshots {
            let mut restored = Workspace::restore(&PermissionState::from_json(snapshot).unwrap());
            for event in history.after(*revision) {
                let found = restored.evolve_checked(event);
                found.unwrap_or_else(|why| panic!("{} from {revision}, {}: {why}", history.name, event.revision));
            }
        }
    }
}

/// Event types that may set the value that is already set. Those of details may do either.
const REPEATABLE: [&str; 7] = [
    "plan.changed.v1",
    "member.role_changed.v1",
    "environment.renamed.v1",
    "environment.default_role_changed.v1",
    "grant.changed.v1",
    "proxy_token.scoped.v1",
    "resource_type.defined.v1",
];

#[test]
fn a_repeated_event_is_refused_and_changes_nothing() {
    for history in HISTORIES.iter() {
        let mut workspace = Workspace::empty(history.events[0].workspace);
        for event in &history.events {
            workspace.evolve_checked(event).unwrap();
            let name = event.data.type_name();
            let head = workspace.head();
            let again = workspace.clone().evolve_checked(event);
            let is_detail = matches!(event.data.fact(), Fact::Detail(_));
            let may_repeat = REPEATABLE.contains(&name) || (is_detail && again.is_ok());
            assert_eq!(again.is_ok(), may_repeat, "{}, {}: {again:?}", history.name, event.revision);
            if let Err(why) = again {
                assert!(why.to_string().starts_with(&format!("`{name}` cannot follow")), "{why}");
                assert!(workspace.evolve_checked(event).is_err());
                assert_eq!(workspace.head(), head);
            }
        }
    }
}

/// A later event about an unknown entity is refused: a restriction of an unknown environment restricts nothing.
#[test]
fn an_event_about_an_unknown_entity_is_refused() {
    let makes = |event: &Event| {
        let name = event.data.type_name();
        [".created.", ".issued.", ".added.", ".placed."].iter().any(|made| name.contains(made))
    };
    for history in HISTORIES.iter() {
        for (place, made) in history.events.iter().enumerate().filter(|(_, event)| makes(event)) {
            let subject = made.data.subject();
            let about = |event: &&Arc<Event>| {
                event.data.subject() == subject && event.data.fact().principal() == made.data.fact().principal()
            };
            let Some(next) = history.events[place + 1..].iter().find(about) else { continue };
            let mut workspace = Workspace::empty(made.workspace);
            let others = history.events.iter().enumerate().filter(|(other, _)| *other != place);
            let refused =
                others.map(|(_, event)| (event, workspace.evolve_checked(event))).find(|(_, found)| found.is_err());
            let (event, why) = refused.unwrap_or_else(|| panic!("{}: {subject} is ignored", history.name));
            assert!(
                event.revision <= next.revision,
                "{}: {subject} is found at {}: {why:?}",
                history.name,
                event.revision
            );
        }
    }
}
