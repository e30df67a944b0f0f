//! What is kept of events in memory gives them back byte for byte.

use std::sync::Arc;

use tenure::domain::event::Event;
use tenure::domain::time::Revision;
use tenure::domain::workspace::Workspace;
use tenure::log::codec::encode;

use crate::files::HISTORIES;
use crate::samples::samples;

/// Packs the events, all at once or so many at a time.
fn packed(events: &[Arc<Event>], at_a_time: usize) -> Workspace {
    let mut workspace = Workspace::empty(events[0].workspace);
    for events in events.chunks(at_a_time) {
        events.iter().for_each(|event| workspace.evolve(event));
        workspace.settle();
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
fn every_event_type_comes_back_as_it_was_packed() {
    let events: Vec<_> = samples().into_iter().map(Arc::new).collect();
    for at_a_time in [1, 5, events.len()] {
        assert_holds(&packed(&events, at_a_time), &events, "the samples");
    }
}

#[test]
fn every_history_comes_back_as_it_was_packed() {
    for history in HISTORIES.iter() {
        for at_a_time in [1, 3, 64, history.events.len()] {
            assert_holds(&packed(&history.events, at_a_time), &history.events, &history.name);
        }
    }
}

/// Longer than a block, so that some of it is packed by itself, and not all.
#[test]
fn a_long_history_comes_back_as_it_was_packed() {
    let history = HISTORIES.iter().max_by_key(|history| history.events.len()).unwrap();
    let again = history.events.iter().cycle().take(1_700);
    let events: Vec<_> = (1..)
        .zip(again)
        .map(|(revision, event)| {
            let time = history.events[0].time;
            Arc::new(Event { revision: Revision(revision), time, ..Event::clone(event) })
        })
        .collect();
    let mut workspace = Workspace::empty(events[0].workspace);
    events.iter().for_each(|event| workspace.evolve(event));
    assert_holds(&workspace, &events, &history.name);
}
