//! Characters that end a line for some readers only are escaped in NDJSON, CSV and server-sent events.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use tenure::clock::SystemClock;
use tenure::domain::model::time::Revision;
use tenure::log::sqlite::SqliteLog;
use tenure::log::{Append, Directories, EventLog};

use crate::support::acme::{Acme, path};
use crate::support::server::{OPERATOR, Reply};

/// The characters that end a line for `str.splitlines` of Python, and that an old log may hold.
const SEPARATORS: [char; 2] = ['\u{2028}', '\u{2029}'];
const REASON: &str = "one\u{2028}two\u{2029}three";

fn asked(acme: &Acme, rest: &str, accept: &str) -> Reply {
    let authorization = format!("Bearer {}", acme.alice);
    acme.server.send("GET", &path(rest), &[("authorization", &authorization), ("accept", accept)], None)
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Appends an event with such a reason, as logs from before the check have.
fn add_event(data: &Path) {
    let log = SqliteLog::open(data).unwrap();
    let workspace = log.workspace_named("acme").unwrap().unwrap();
    let events = log.read(workspace, Revision::ZERO, usize::MAX).unwrap();
    let is_of = |event: &Value, name: &str| event["type"].as_str().unwrap().starts_with(name);
    let events: Vec<Value> = events.iter().map(|event| serde_json::from_slice(&event.bytes).unwrap()).collect();
    let mut event = events.iter().find(|event| is_of(event, "environment.renamed")).unwrap().clone();
    let (head, last) = (events.len(), events.last().unwrap());
    let again = |id: &Value| {
        let id = id.as_str().unwrap();
        format!("{}{}", &id[..id.len() - 1], if id.ends_with('z') { "y" } else { "z" })
    };
    event["id"] = json!(again(&last["id"]));
    event["command"] = json!(again(&last["command"]));
    event["time"] = last["time"].clone();
    event["revision"] = json!(head + 1);
    event["reason"] = json!(REASON);
    event["data"]["name"] = json!("later");
    let expected = Revision(u64::try_from(head).unwrap());
    let part = Append { workspace, expected, events: vec![event.to_string().into_bytes()], side_writes: Vec::new() };
    assert!(log.append(&[part]).unwrap().is_as_expected());
}

/// Starts a workspace whose newest event has a reason that some readers split into four lines.
fn acme() -> Acme {
    let acme = Acme::new();
    acme.environment("dev");
    acme.patch("environments/dev?reason=a+ticket", &json!({"name": "soon"})).expect(200);
    let Acme { server, alice } = acme;
    Acme { server: server.restart_after(Arc::new(SystemClock), add_event), alice }
}

#[test]
fn an_event_is_one_line_of_ndjson_csv_and_sse_with_any_content() {
    let acme = acme();
    let listed = acme.get("events").expect(200).json["items"].clone();
    assert_eq!(listed.as_array().unwrap().last().unwrap()["reason"], REASON);

    let ndjson = asked(&acme, "events", "application/x-ndjson").expect(200).text;
    assert_eq!(json!(lines(&ndjson)), listed);
    let csv = asked(&acme, "events", "text/csv").expect(200).text;
    assert!(csv.contains(",one\\u2028two\\u2029three,"), "{csv}");
    let after = acme.head() - 1;
    let mut of_workspace = acme.server.stream(&path(&format!("events?after={after}")), &acme.alice, &[]).opened();
    let mut of_instance = acme.server.stream("/v1/events", OPERATOR, &[]).opened();
    let last = |data: Option<String>| {
        let data = data.unwrap();
        assert!(!data.contains(SEPARATORS), "{data}");
        serde_json::from_str::<Value>(&data).unwrap()
    };
    assert_eq!(last(of_workspace.event().unwrap().data)["reason"], REASON);
    let all = (0..=after).map(|_| last(of_instance.event().unwrap().data)).collect::<Vec<_>>();
    assert_eq!(json!(all), listed);
    for text in [ndjson, csv, asked(&acme, "events?limit=1000", "application/x-ndjson").expect(200).text] {
        assert!(!text.contains(SEPARATORS), "{text}");
    }
}

#[test]
fn proofs_are_of_the_stored_bytes() {
    let acme = acme();
    let bundle = format!("log/tile/entries/000.p/{}", acme.head());
    let bundle = asked(&acme, &bundle, "*/*").expect(200).text;
    assert!(bundle.contains(REASON), "hashes are over these bytes");
}
