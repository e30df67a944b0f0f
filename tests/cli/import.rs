//! Imports of recorded histories: the appended events, each refusal, and that a refused import leaves nothing.

mod refusals;
mod support;

use std::io::{BufReader, Write};

use support::{Store, at, line, opening};
use tenure::domain::model::event::EventData;
use tenure::domain::model::principal::Actor;
use tenure::log::Directories;

#[test]
fn imported_events_have_their_own_time_and_the_recorded_time() {
    let store = Store::new();
    let imported = store.import(&[
        opening("2024-01-01T00:00:00Z", r#"[{"type":"rbac.enable"}]"#),
        line("2024-02-01T00:00:00Z", "user:alice", r#"[{"type":"member.add","user":"bob","role":"member"}]"#),
    ]);
    let imported = imported.unwrap();
    assert_eq!((imported.name.as_str(), imported.lines, imported.commands, imported.events), ("acme", 2, 2, 6));
    assert_eq!(imported.until, at("2024-02-01T00:00:00Z"));
    let events = store.events(&imported);
    let types: Vec<&str> = events.iter().map(|event| event.data.type_name()).collect();
    assert_eq!(
        types,
        [
            "workspace.created.v1",
            "member.added.v1",
            "environment.created.v1",
            "token.issued.v1",
            "rbac.enabled.v1",
            "member.added.v1",
        ]
    );
    let last = events.last().unwrap();
    assert_eq!((last.time, last.recorded), (at("2024-02-01T00:00:00Z"), Some(support::NOW)));
    assert_eq!((last.actor.to_string(), last.credential), ("user:alice".to_owned(), None));
    assert_eq!(last.reason.as_ref().map(ToString::to_string), Some("because".to_owned()));
    assert_eq!(store.log.workspace_named("acme").unwrap(), Some(imported.workspace));
}

#[test]
fn the_creation_is_a_command_of_its_own_and_each_line_is_one() {
    let store = Store::new();
    let two =
        r#"[{"type":"member.add","user":"bob","role":"member"},{"type":"member.add","user":"carol","role":"member"}]"#;
    let lines = [opening("2024-01-01T00:00:00Z", two), line("2024-01-01T00:00:00Z", "operator", "[]")];
    let imported = store.import(&lines).unwrap();
    let commands: Vec<_> = store.events(&imported).iter().map(|event| event.command).collect();
    assert_eq!(commands.len(), 6);
    assert!(commands[..4].iter().all(|command| *command == commands[0]));
    assert_ne!(commands[3], commands[4]);
    assert_eq!(commands[4], commands[5]);
}

#[test]
fn imports_trust_the_operator_so_a_member_may_make_an_owner() {
    let store = Store::new();
    let by_bob = r#"[{"type":"member.add","user":"carol","role":"owner"},{"type":"plan.change","plan":"enterprise"}]"#;
    let imported = store.import(&[
        opening("2024-01-01T00:00:00Z", r#"[{"type":"member.add","user":"bob","role":"member"}]"#),
        line("2024-01-02T00:00:00Z", "user:bob", by_bob),
    ]);
    assert_eq!(imported.unwrap().events, 7);
}

#[test]
fn a_line_may_hold_more_commands_than_a_request() {
    let store = Store::new();
    let hires: Vec<String> =
        (0..1_500).map(|n| format!(r#"{{"type":"member.add","user":"u{n}","role":"member"}}"#)).collect();
    let imported = store.import(&[opening("2024-01-01T00:00:00Z", &format!("[{}]", hires.join(",")))]).unwrap();
    assert_eq!(imported.events, 1_504);
}

#[test]
fn expiries_between_lines_are_recorded_by_the_system_at_their_own_instant() {
    let store = Store::new();
    let grant = |user: &str, end: &str| {
        format!(
            r#"{{"type":"grant.set","environment":"prod","principal":"user:{user}","role":"contributor","expires_at":"{end}"}}"#
        )
    };
    let first = format!(
        r#"[{{"type":"rbac.enable"}},{{"type":"member.add","user":"bob","role":"member"}},
            {{"type":"member.add","user":"carol","role":"member"}},{{"type":"member.add","user":"dan","role":"member"}},
            {{"type":"environment.create","name":"prod","restricted":true}},{},{},{}]"#,
        grant("bob", "2024-03-01T00:00:00Z"),
        grant("carol", "2024-02-01T00:00:00Z"),
        grant("dan", "2024-03-01T00:00:00Z"),
    );
    // The last line has the instant of an expiry, which comes first.
    let again = format!("[{}]", grant("bob", "2024-04-01T00:00:00Z"));
    let lines = [
        opening("2024-01-01T00:00:00Z", &first.replace('\n', " ")),
        line("2024-03-01T00:00:00Z", "user:alice", &again),
    ];
    let imported = store.import(&lines).unwrap();
    let events = store.events(&imported);
    let tail = &events[events.len() - 4..];
    let shown: Vec<String> =
        tail.iter().map(|event| format!("{} {} {}", event.time, event.actor, event.data.type_name())).collect();
    assert_eq!(
        shown,
        [
            "2024-02-01T00:00:00.000000Z system grant.expired.v1",
            "2024-03-01T00:00:00.000000Z system grant.expired.v1",
            "2024-03-01T00:00:00.000000Z system grant.expired.v1",
            "2024-03-01T00:00:00.000000Z user:alice grant.added.v1",
        ]
    );
    assert_ne!(tail[0].command, tail[1].command);
    assert_eq!(tail[1].command, tail[2].command);
    assert_ne!(tail[2].command, tail[3].command);
    assert!(tail.iter().all(|event| event.recorded == Some(support::NOW)));
    // The server that opens the store records expiries after the last line.
    assert_eq!(store.log.due(at("2024-04-01T00:00:00Z")).unwrap(), [imported.workspace]);
    assert!(store.log.due(at("2024-03-31T23:59:59Z")).unwrap().is_empty());
}

#[test]
fn a_service_user_can_act_by_its_name() {
    let store = Store::new();
    let imported = store.import(&[
        opening("2024-01-01T00:00:00Z", r#"[{"type":"service_user.create","name":"ci"}]"#),
        line("2024-01-02T00:00:00Z", "service_user:ci", r#"[{"type":"environment.create","name":"dev"}]"#),
    ]);
    let events = store.events(&imported.unwrap());
    let made = events.iter().find_map(|event| match &event.data {
        EventData::ServiceUserCreated(id, _) => Some(*id),
        _ => None,
    });
    assert_eq!(events.last().unwrap().actor, Actor::ServiceUser(made.unwrap()));
}

#[test]
fn names_and_addresses_of_people_are_stored_beside_the_log_never_in_it() {
    let store = Store::new();
    let hire = r#"[{"type":"member.add","user":"bob","role":"member","name":"Bob Stone","email":"bob@acme.example"}]"#;
    let imported = store.import(&[opening("2024-01-01T00:00:00Z", hire)]).unwrap();
    let profile = store.log.profiles(imported.workspace, &["bob".parse().unwrap()]).unwrap().remove(0);
    assert_eq!(profile.name.map(|name| name.to_string()), Some("Bob Stone".to_owned()));
    assert!(!store.bytes(&imported).contains("Stone"));
    assert!(!store.bytes(&imported).contains("bob@"));
}

#[test]
fn a_line_that_changes_nothing_and_a_blank_one_are_accepted() {
    let store = Store::new();
    let same = r#"[{"type":"plan.change","plan":"team"}]"#;
    let lines = [opening("2024-01-01T00:00:00Z", "[]"), " ".to_owned(), line("2024-01-02T00:00:00Z", "operator", same)];
    let imported = store.import(&lines).unwrap();
    assert_eq!((imported.lines, imported.events), (2, 4));
}

#[test]
fn windows_line_ends_and_a_missing_last_line_end_are_accepted() {
    let lines = [opening("2024-01-01T00:00:00Z", "[]"), line("2024-01-02T00:00:00Z", "operator", "[]")];
    for end in ["\r\n", "\n\r\n", " \n"] {
        let imported = Store::new().import_from(lines.join(end).as_bytes()).unwrap();
        assert_eq!((imported.lines, imported.events), (2, 4), "{end:?}");
    }
}

#[test]
fn lines_keep_their_order_across_a_leap_second() {
    let store = Store::new();
    let times = [
        "2016-12-31T23:59:59.9Z",
        "2016-12-31T23:59:60Z",
        "2016-12-31T23:59:60.7Z",
        "2017-01-01T00:00:00Z",
        "2017-01-01T00:00:00.1Z",
    ];
    let mut lines = vec![opening("2016-01-01T00:00:00Z", "[]")];
    lines.extend(times.iter().enumerate().map(|(number, time)| {
        line(time, "operator", &format!(r#"[{{"type":"member.add","user":"u{number}","role":"member"}}]"#))
    }));
    let imported = store.import(&lines).unwrap();
    let events = store.events(&imported);
    let shown: Vec<String> = events[4..].iter().map(|event| event.time.to_string()).collect();
    let midnight = "2017-01-01T00:00:00.000000Z";
    assert_eq!(shown, ["2016-12-31T23:59:59.900000Z", midnight, midnight, midnight, "2017-01-01T00:00:00.100000Z"]);
}

#[test]
fn two_histories_are_imported_into_one_store_in_turn() {
    let store = Store::new();
    let acme = store.import(&[opening("2024-01-01T00:00:00Z", "[]")]).unwrap();
    let other = opening("2020-01-01T00:00:00Z", "[]").replace("acme", "umbrella");
    let umbrella = store.import(&[other]).unwrap();
    assert_eq!(store.events(&acme).len() + store.events(&umbrella).len(), 8);
}

#[test]
fn eight_years_of_a_real_organisation_are_imported_without_a_refusal() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/kubernetes.jsonl.gz");
    let Ok(file) = std::fs::File::open(&path) else {
        let _ = writeln!(std::io::stderr(), "skipped: there is no `{}`", path.display());
        return;
    };
    let store = Store::new();
    let lines = BufReader::new(flate2::read::MultiGzDecoder::new(file));
    let imported = store.import_from(lines).unwrap();
    assert_eq!((imported.lines, imported.commands, imported.events), (970, 5_185, 5_371));
    assert_eq!(store.events(&imported).len(), 5_371);
}
