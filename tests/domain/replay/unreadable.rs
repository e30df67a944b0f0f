//! A log that this build cannot read is read up to the unreadable event, and the error says where.

use tenure::domain::model::time::Revision;
use tenure::log::codec::StreamDecoder;
use tenure::log::{LogError, StoredEvent};
use tenure::proof::hash::TreeHash;

use super::files::{HISTORIES, History};

/// Returns a stored history, to be damaged at one revision.
fn stored(history: &History) -> Vec<StoredEvent> {
    let workspace = history.events[0].workspace;
    let stored = |(place, bytes): (u64, &Vec<u8>)| StoredEvent {
        workspace,
        revision: Revision(place),
        position: place,
        leaf: TreeHash::of_leaf(bytes),
        bytes: bytes.clone(),
    };
    (1..).zip(&history.lines).map(stored).collect()
}

fn replace(stored: &mut StoredEvent, old: &str, new: &str) {
    let text = String::from_utf8(stored.bytes.clone()).unwrap();
    assert!(text.contains(old), "{text}");
    stored.bytes = text.replacen(old, new, 1).into_bytes();
}

/// Damages every history at the first event of a type, and checks that reading stops there with these words.
#[track_caller]
fn assert_stops(type_name: &str, spoil: impl Fn(&mut Vec<StoredEvent>, usize), why: &str) {
    let mut spoiled = 0;
    for history in HISTORIES.iter() {
        let Some(place) = history.events.iter().position(|event| event.data.type_name() == type_name) else { continue };
        let (workspace, mut log) = (history.events[0].workspace, stored(history));
        spoil(&mut log, place);
        let mut decoder = StreamDecoder::from_start(workspace);
        let error = log.iter().find_map(|event| decoder.decode(event).err()).unwrap();
        let revision = place + 1;
        assert!(matches!(error, LogError::Unreadable { .. }), "{error:?}");
        let begins = format!("workspace {workspace} cannot be read at revision {revision}: ");
        let message = error.to_string();
        assert!(message.starts_with(&begins) && message.contains(why), "{message}");
        spoiled += 1;
    }
    assert!(spoiled > 1, "no history has a {type_name}");
}

#[test]
fn an_unknown_type_stops_the_replay() {
    assert_stops(
        "grant.added.v1",
        |log, place| replace(&mut log[place], "grant.added.v1", "grant.borrowed.v1"),
        "the event type `grant.borrowed.v1` is unknown to this version of tenure",
    );
}

#[test]
fn an_unknown_version_of_a_known_type_stops_the_replay() {
    assert_stops(
        "grant.added.v1",
        |log, place| replace(&mut log[place], "grant.added.v1", "grant.added.v2"),
        "the event type `grant.added.v2` is unknown to this version of tenure",
    );
}

#[test]
fn a_gap_stops_the_replay() {
    assert_stops("rbac.enabled.v1", |log, place| drop(log.remove(place)), "stands in its place");
}

#[test]
fn a_repeated_event_stops_the_replay() {
    assert_stops("rbac.enabled.v1", |log, place| log[place] = log[place - 1].clone(), "stands in its place");
}

#[test]
fn another_workspaces_event_stops_the_replay() {
    let other = "ws_00000000000000000000000000";
    let spoil = |log: &mut Vec<StoredEvent>, place: usize| {
        let own = log[place].workspace.to_string();
        replace(&mut log[place], &own, other);
    };
    assert_stops("member.removed.v1", spoil, other);
}

#[test]
fn broken_bytes_stop_the_replay() {
    let cut = |log: &mut Vec<StoredEvent>, place: usize| {
        let half = log[place].bytes.len() / 2;
        log[place].bytes.truncate(half);
    };
    assert_stops("token.issued.v1", cut, "EOF");
    let flip = |log: &mut Vec<StoredEvent>, place: usize| log[place].bytes[0] = 0xff;
    assert_stops("token.issued.v1", flip, "expected value");
}

#[test]
fn data_of_another_shape_stops_the_replay() {
    assert_stops(
        "environment.restricted.v1",
        |log, place| replace(&mut log[place], "\"default_role\"", "\"default_roles\""),
        "the data does not have the shape of its type",
    );
}

#[test]
fn time_that_goes_back_stops_the_replay() {
    assert_stops(
        "environment.restricted.v1",
        |log, place| replace(&mut log[place], "\"time\":\"2025", "\"time\":\"2024"),
        "is before",
    );
}
