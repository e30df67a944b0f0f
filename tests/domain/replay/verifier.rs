//! The whole-log verifier finds damage. Without these tests, one that finds nothing would go unnoticed.

use super::files::{HISTORIES, History};
use crate::support::verify::verify;

fn history() -> &'static History {
    HISTORIES.iter().find(|history| history.name == "a-pilot-that-ended").unwrap()
}

fn edit(line: &mut Vec<u8>, old: &str, new: &str) {
    let text = String::from_utf8(line.clone()).unwrap();
    assert!(text.contains(old), "{text}");
    *line = text.replacen(old, new, 1).into_bytes();
}

/// Damages the log and checks that the verifier reports it.
#[track_caller]
fn assert_found(spoil: impl FnOnce(&mut Vec<Vec<u8>>), why: &str) {
    let mut lines = history().lines.clone();
    spoil(&mut lines);
    let found = verify(&lines).map(|verified| verified.state).unwrap_err();
    assert!(found.contains(why), "found `{found}`, not `{why}`");
}

#[test]
fn a_missing_event_is_found() {
    assert_found(|lines| drop(lines.remove(7)), "revision 8: it says that it is revision 9");
    assert_found(|lines| drop(lines.remove(0)), "revision 1: it says that it is revision 2");
    assert_found(Vec::clear, "the log is empty");
}

#[test]
fn bytes_in_another_form_are_found() {
    assert_found(
        |lines| edit(&mut lines[4], "\"specversion\":", "\"specversion\": "),
        "revision 5: it is not written as",
    );
    assert_found(|lines| edit(&mut lines[4], "workspace", "wörkspace"), "revision 5: ");
}

#[test]
fn a_repeated_event_is_found() {
    let first = history().events[3].id.to_string();
    let second = history().events[4].id.to_string();
    assert_found(|lines| edit(&mut lines[4], &second, &first), "revision 5: the event id");
}

#[test]
fn a_command_with_two_times_or_two_actors_is_found() {
    let event = &history().events[5];
    let time = event.time.to_string();
    let later = event.time.next().to_string();
    assert_found(|lines| edit(&mut lines[5], &time, &later), "revision 6: the events of cmd_");
    let actor = event.actor.to_string();
    assert_found(
        |lines| edit(&mut lines[5], &format!("\"{actor}\""), "\"operator\""),
        "revision 6: the events of cmd_",
    );
}

#[test]
fn a_command_whose_events_are_not_neighbours_is_found() {
    let [first, last] = [&history().events[0], history().events.last().unwrap()];
    let (old, new) = (last.command.to_string(), first.command.to_string());
    assert_found(|lines| edit(lines.last_mut().unwrap(), &old, &new), "do not stand together");
}

#[test]
fn equal_times_of_two_commands_are_found() {
    let events = &history().events;
    let place = events.windows(2).position(|pair| pair[0].command != pair[1].command).unwrap() + 1;
    let command = events[place].command;
    let (old, new) = (events[place].time.to_string(), events[place - 1].time.to_string());
    let spoil = |lines: &mut Vec<Vec<u8>>| {
        let own = lines.iter_mut().zip(events).filter(|(_, event)| event.command == command);
        own.for_each(|(line, _)| edit(line, &old, &new));
    };
    assert_found(spoil, "and the command before it at");
}

#[test]
fn an_event_after_the_end_of_the_workspace_is_found() {
    let last = history().events.last().unwrap();
    let spoil = |lines: &mut Vec<Vec<u8>>| {
        let mut line = lines[4].clone();
        let before = &history().events[4];
        edit(&mut line, &before.id.to_string(), "evt_00000000000000000000000000");
        edit(
            &mut line,
            &format!("\"revision\":{}", before.revision),
            &format!("\"revision\":{}", last.revision.next()),
        );
        edit(&mut line, &before.command.to_string(), "cmd_00000000000000000000000000");
        edit(&mut line, &before.time.to_string(), &last.time.next().to_string());
        lines.push(line);
    };
    assert_found(spoil, "it follows the end of the workspace");
}

#[test]
fn a_second_beginning_is_found() {
    let spoil = |lines: &mut Vec<Vec<u8>>| {
        let mut line = lines[0].clone();
        let (first, fourth) = (&history().events[0], &history().events[3]);
        edit(&mut line, &first.id.to_string(), &fourth.id.to_string());
        edit(&mut line, "\"revision\":1", "\"revision\":4");
        lines[3] = line;
    };
    assert_found(spoil, "revision 4: a log begins with the creation of its workspace, once");
}
