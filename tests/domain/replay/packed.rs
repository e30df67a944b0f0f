//! Packed events unpack byte for byte.

use std::sync::Arc;

use tenure::domain::model::event::{AccessKeyTerms, Event, EventData};
use tenure::domain::model::time::Revision;
use tenure::domain::state::permission_state::PermissionState;
use tenure::domain::state::workspace::Workspace;
use tenure::log::codec::{decode, encode};
use tenure::log::snapshot::{self, BadSnapshot, FORMAT};
use tenure::proof::hash::TreeHash;
use tenure::proof::note::LogKey;

use super::files::{BLESS, HISTORIES, blessing, evolved, names_in, root, state_at};
use super::samples::samples;

/// Packs the events, all at once or `at_a_time`.
fn packed(events: &[Arc<Event>], at_a_time: usize) -> Workspace {
    let mut workspace = Workspace::empty(events[0].workspace);
    for events in events.chunks(at_a_time) {
        for event in events {
            workspace.evolve(event);
        }
        workspace.compact();
    }
    workspace
}

fn assert_holds(workspace: &Workspace, events: &[Arc<Event>], what: &str) {
    for event in events {
        let found = workspace.event(event.revision).map(|found| encode(&found).unwrap());
        assert_eq!(found, Some(encode(event).unwrap()), "{what} at {}", event.revision);
    }
    assert_eq!(workspace.event(Revision::ZERO).map(|event| event.revision), None);
    assert_eq!(workspace.event(workspace.head().next()).map(|event| event.revision), None);
    let all = workspace.events(Revision::ZERO, workspace.head()).map(|event| encode(&event).unwrap());
    assert!(all.eq(events.iter().map(|event| encode(event).unwrap())), "{what}");
}

#[test]
fn every_event_type_unpacks_to_itself() {
    let events: Vec<_> = samples().into_iter().map(Arc::new).collect();
    for at_a_time in [1, 5, events.len()] {
        assert_holds(&packed(&events, at_a_time), &events, "the samples");
    }
}

#[test]
fn every_history_unpacks_to_itself() {
    for history in HISTORIES.iter() {
        for at_a_time in [1, 3, 64, history.events.len()] {
            assert_holds(&packed(&history.events, at_a_time), &history.events, &history.name);
        }
    }
}

/// More events than a block holds, so that some are packed by a push and some are not.
#[test]
fn a_long_history_unpacks_to_itself() {
    let history = HISTORIES.iter().max_by_key(|history| history.events.len()).unwrap();
    let again = history.events.iter().cycle().take(5_000);
    let events: Vec<_> = (1..)
        .zip(again)
        .map(|(revision, event)| {
            let time = history.events[0].time;
            Arc::new(Event { revision: Revision(revision), time, ..Event::clone(event) })
        })
        .collect();
    let mut workspace = Workspace::empty(events[0].workspace);
    for event in &events {
        workspace.evolve(event);
    }
    assert_holds(&workspace, &events, &history.name);
}

#[test]
fn every_history_rebuilds_its_states_from_a_stored_snapshot_at_any_revision_and_the_events_after_it() {
    let key = LogKey::from_seed(&[7; 32]);
    for history in HISTORIES.iter() {
        let id = history.events[0].workspace;
        for base in history.ends_of_commands() {
            let until = usize::try_from(base.0).unwrap();
            let before = evolved(Workspace::empty(id), &history.events[..until]);
            let stored = snapshot::write(&before, &TreeHash::of_nothing(), &key);
            let restored = snapshot::read(&stored, id, &key).unwrap().facts;
            let what = format!("{} from a snapshot at {base}", history.name);
            assert_holds(&restored, &history.events[..until], &what);
            let workspace = evolved(restored, history.after(base));
            assert_eq!(state_at(&workspace, history.head_revision()), history.head, "{what}");
            for (revision, state) in &history.snapshots {
                assert_eq!(state_at(&workspace, *revision), *state, "{what}, at {revision}");
            }
        }
    }
}

/// The history of the samples of the stored formats, whole.
const SAMPLED: &str = "a-year-at-acme";

/// A snapshot of an older build is read as it was written, or refused.
#[test]
fn the_sample_of_each_stored_format_is_read_or_refused() {
    let key = LogKey::from_seed(&[7; 32]);
    let history = HISTORIES.iter().find(|history| history.name == SAMPLED).unwrap();
    let (id, facts) = (history.events[0].workspace, history.replay());
    let newest = root(&format!("snapshots/formats/{FORMAT}.snapshot"));
    if blessing() && !newest.exists() {
        std::fs::create_dir_all(newest.parent().unwrap()).unwrap();
        std::fs::write(&newest, snapshot::write(&facts, &TreeHash::of_nothing(), &key)).unwrap();
    }
    assert!(newest.exists(), "{} is missing; {BLESS}", newest.display());
    for name in names_in(&root("snapshots/formats")) {
        let sample = std::fs::read(root(&format!("snapshots/formats/{name}"))).unwrap();
        match snapshot::read(&sample, id, &key).map(|read| read.facts) {
            Ok(found) => {
                assert_holds(&found, &history.events, &name);
                assert_eq!(state_at(&Arc::new(found), history.head_revision()), history.head, "{name}");
            }
            Err(BadSnapshot::Format(_) | BadSnapshot::Evolve(_)) => assert_ne!(name, format!("{FORMAT}.snapshot")),
            Err(why) => panic!("{name}: {why}"),
        }
    }
}

/// Earlier versions accepted texts with invisible characters.
#[test]
fn texts_of_older_logs_that_callers_may_no_longer_give_are_read() {
    let (now, old) = ("HERE", "HE\u{200b}R\u{2028}E👩\u{200d}👧");
    let rewrite = |event: &Event| {
        let data = match &event.data {
            EventData::AccessKeyIssued(id, terms) => {
                EventData::AccessKeyIssued(*id, AccessKeyTerms { label: now.parse().unwrap(), ..terms.clone() })
            }
            EventData::ResourcePlaced(_, place) => {
                EventData::ResourcePlaced("app/HERE".parse().unwrap(), place.clone())
            }
            data => data.clone(),
        };
        let event = Event { reason: Some(now.parse().unwrap()), data, ..event.clone() };
        let stored = String::from_utf8(encode(&event).unwrap()).unwrap().replace(now, old);
        let read = decode(stored.as_bytes()).unwrap();
        assert_eq!(encode(&read).unwrap(), stored.as_bytes());
        Arc::new(read)
    };
    let events: Vec<_> = samples().iter().map(rewrite).collect();
    for at_a_time in [1, events.len()] {
        assert_holds(&packed(&events, at_a_time), &events, "older texts");
    }
    let facts = packed(&events, 1);
    let key = LogKey::from_seed(&[7; 32]);
    let stored = snapshot::write(&facts, &TreeHash::of_nothing(), &key);
    assert_holds(&snapshot::read(&stored, facts.id(), &key).unwrap().facts, &events, "older texts in a snapshot");
    let state = state_at(&Arc::new(facts), Revision(events.len().try_into().unwrap()));
    assert!(state.contains(old));
    PermissionState::from_json(&state).unwrap();
}
