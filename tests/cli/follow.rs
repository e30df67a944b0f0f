//! `tenure events --follow` as a running process.

use serde_json::Value;

use crate::support::program::{Credential, Running, Server};

/// Returns the revision of the next event in a stream of JSON lines.
#[track_caller]
fn revision(following: &mut Running) -> u64 {
    let line = following.lines.next().unwrap().unwrap();
    serde_json::from_str::<Value>(&line).unwrap()["revision"].as_u64().unwrap()
}

#[test]
fn new_events_are_shown_until_ctrl_c() {
    let server = Server::start();
    let alice = server.found();
    let mut following = server.running(&alice, "events --follow -o json");
    assert_eq!((1..=4).map(|_| revision(&mut following)).collect::<Vec<_>>(), [1, 2, 3, 4]);
    server.ask(&alice, "rbac enable").ok();
    assert_eq!(revision(&mut following), 5);
    assert_eq!(following.interrupt(), Some(0));
}

#[test]
fn following_survives_a_restart_of_the_server() {
    let server = Server::start();
    let alice = server.found();
    let mut following = server.running(&alice, "events --follow --after 3 -o json");
    assert_eq!(revision(&mut following), 4);
    let server = server.restart();
    server.ask(&alice, "rbac enable").ok();
    server.ask(&alice, "member add bob").ok();
    assert_eq!((revision(&mut following), revision(&mut following)), (5, 6));
    assert_eq!(following.interrupt(), Some(0));
}

#[test]
fn rows_have_names_and_titles_in_tables_and_in_csv() {
    let server = Server::start();
    let alice = server.found();
    server.ask(&alice, "rbac enable").ok();
    server.ask(&alice, "environment create prod --restricted").ok();
    server.ask(&alice, "service-user create ci").ok();
    let mut table = server.running(&alice, "events -f --type grant.added");
    let mut csv = server.running(&alice, "events -f --type grant.added -o csv");
    let line = |following: &mut Running| following.lines.next().unwrap().unwrap();
    assert!(line(&mut table).starts_with("REVISION  TIME "));
    assert!(line(&mut csv).starts_with("revision,time,type,subject,"));
    server.ask(&alice, "grant set prod service_user:ci viewer --reason OPS-1").ok();
    let row = line(&mut table);
    let cells: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(cells[3..], ["grant.added", "prod", "principal=service_user:ci", "role=viewer", "user:alice", "OPS-1"]);
    let row = line(&mut csv);
    assert!(row.contains(",grant.added.v1,env_") && row.contains(",OPS-1,"), "{row}");
    let listed = server.ask(&alice, "events --type grant.added").ok();
    assert!(listed.contains(" prod ") && listed.contains("principal=service_user:ci "), "{listed}");
    server.ask(&alice, "environment rename prod live").ok();
    let listed = server.ask(&alice, "events --type environment.created").ok();
    assert!(listed.contains(" live ") && !listed.contains("env_"), "{listed}");
}

#[test]
fn a_deleted_workspace_or_a_refusal_ends_following() {
    let server = Server::start();
    let alice = server.found();
    let past = server.ask(&alice, "events --follow --until 2020-01-01 -o json").ok();
    assert_eq!(past, "");
    assert!(server.ask(&alice, "events --follow --environment none").failed().contains("no environment `none`"));
    assert!(server.ask(&alice, "events --follow --limit 3").err.contains("cannot be used with"));
    let other = Credential { secret: "wrong".to_owned(), ..alice.clone() };
    server.ask(&other, "events --follow -w acme").failed();
    let by_alice = server.ask(&alice, &format!("events --credential {} -o json", alice.id)).json();
    assert_eq!(by_alice["items"], serde_json::json!([]));
}

#[test]
fn a_revoked_token_ends_following_with_an_error() {
    let server = Server::start();
    let alice = server.found();
    let made = server.ask(&alice, "token issue --user alice -o json");
    let other = Credential::of(&made.json()["token"]);
    let mut following = server.running(&other, "events --follow --after 4 -o json -w acme");
    assert_eq!(revision(&mut following), 5);
    server.run(&alice, &["token", "revoke", &other.id]).ok();
    assert!(following.lines.next().is_none());
    assert_eq!(following.ended(), Some(2));
}
