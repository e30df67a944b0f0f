//! The feed of the whole instance.

use super::*;

fn found(server: &Server, name: &str) -> String {
    server
        .post("/v1/workspaces", OPERATOR, &workspace_body(name, "shared", "team", "al"))
        .expect(201)
        .credential("token")
}

fn page(server: &Server, query: &str) -> (Vec<Value>, String) {
    let reply = server.get(&format!("/v1/events?{query}"), OPERATOR).expect(200);
    let fields: Vec<&String> = reply.json.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["items", "next"]);
    (reply.json["items"].as_array().unwrap().clone(), reply.json["next"].as_str().unwrap().to_owned())
}

/// The stored bytes of all events, as text.
fn whole(server: &Server) -> Vec<String> {
    let events = server.service.log().feed(0, usize::MAX).unwrap();
    events.into_iter().map(|event| String::from_utf8(event.bytes).unwrap()).collect()
}

fn texts(items: &[Value]) -> Vec<String> {
    items.iter().map(ToString::to_string).collect()
}

#[test]
fn pages_hold_every_event_once_and_always_have_a_next() {
    let server = Server::start();
    let (none, start) = page(&server, "");
    assert_eq!(none, Vec::<Value>::new());
    for name in ["one", "two", "three"] {
        found(&server, name);
    }
    let (first, mut next) = page(&server, &format!("limit=5&cursor={start}"));
    let mut all = texts(&first);
    loop {
        let (items, after) = page(&server, &format!("limit=5&cursor={next}"));
        if items.is_empty() {
            assert_eq!(after, next, "at the end it stays where it is");
            break;
        }
        all.extend(texts(&items));
        next = after;
    }
    assert_eq!(all, whole(&server));
    assert_eq!(all.len(), 12);
    found(&server, "four");
    let server = server.restart();
    let (items, _) = page(&server, &format!("cursor={next}"));
    assert_eq!(texts(&items), whole(&server)[12..]);
}

#[test]
fn events_are_the_stored_bytes_also_in_a_batch() {
    let server = Server::start();
    found(&server, "one");
    let reply = server.get("/v1/events", OPERATOR).expect(200);
    assert!(reply.text.starts_with(&format!("{{\"items\":[{}],", whole(&server).join(","))));
    let authorization = format!("Bearer {OPERATOR}");
    let headers = [("authorization", authorization.as_str()), ("accept", "application/cloudevents-batch+json")];
    let batch = server.send("GET", "/v1/events?limit=3", &headers, None).expect(200);
    assert_eq!(batch.header("content-type"), Some("application/cloudevents-batch+json"));
    assert_eq!(batch.text, format!("[{}]", whole(&server)[..3].join(",")));
    let next = format!("/v1/events?cursor={}", batch.header("tenure-next").unwrap());
    let rest = server.send("GET", &next, &headers, None).expect(200);
    assert_eq!(rest.text, format!("[{}]", whole(&server)[3..].join(",")));
}

#[test]
fn an_invalid_cursor_or_one_of_another_history_is_refused() {
    let server = Server::start();
    // A restored copy has the same key of cursors, and goes on with other events.
    let other = server.on_copy(Arc::new(SystemClock), |_| {});
    found(&server, "one");
    found(&other, "one");
    let (_, elsewhere) = page(&other, "");
    // base64url of `{"position":0,"digest":"x"}`, `{"position":1}`, and a place far past the end.
    let made_up =
        ["eyJwb3NpdGlvbiI6MCwiZGlnZXN0IjoieCJ9", "eyJwb3NpdGlvbiI6MX0", "eyJwb3NpdGlvbiI6OTk5LCJkaWdlc3QiOiIifQ"];
    for cursor in ["", "x", "AAAA", "e30", "4", &elsewhere].iter().chain(&made_up) {
        server.get(&format!("/v1/events?cursor={cursor}"), OPERATOR).refused(422, "invalid");
        let refused = server.stream("/v1/events", OPERATOR, &[("last-event-id", cursor)]);
        assert_eq!(refused.status, 422, "{cursor}");
    }
    let reply = server.get(&format!("/v1/events?cursor={elsewhere}"), OPERATOR);
    assert!(reply.text.contains("another history"), "{}", reply.text);
    for query in ["limit=0", "limit=1001", "at=3", "after=1", "type=grant.added"] {
        server.get(&format!("/v1/events?{query}"), OPERATOR).refused(422, "invalid");
    }
    assert_eq!(server.stream("/v1/events?limit=3", OPERATOR, &[]).status, 422);
}

/// Every event of the whole log, read by a reader of either form while writers write, is what the store holds.
fn read_while_writers_write(read: impl Fn(&Server, usize) -> Vec<String> + Sync) {
    let server = Server::start();
    let owners: Vec<(String, String)> =
        (0..4).map(|number| format!("w{number}")).map(|name| (found(&server, &name), name)).collect();
    let count = 4 * (4 + 50);
    let seen = std::thread::scope(|scope| {
        for (owner, name) in &owners {
            let server = &server;
            scope.spawn(move || {
                for number in 0..50 {
                    let body = json!({"user": format!("u{number}"), "role": "member"});
                    server.post(&format!("/v1/workspaces/{name}/members"), owner, &body).expect(201);
                }
            });
        }
        scope.spawn(|| read(&server, count)).join().unwrap()
    });
    assert_eq!(seen, whole(&server), "none skipped, none twice");
    let mut heads = std::collections::HashMap::new();
    for event in seen.iter().map(|event| serde_json::from_str::<Value>(event).unwrap()) {
        let head = heads.entry(event["source"].to_string()).or_insert(0);
        *head += 1;
        assert_eq!(event["revision"], json!(*head), "each workspace's in their order");
    }
    assert_eq!(heads.len(), 4);
}

#[test]
fn pages_skip_nothing_while_writers_write() {
    read_while_writers_write(|server, count| {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        while seen.len() < count {
            let (items, next) = page(server, &format!("limit=7{cursor}"));
            seen.extend(texts(&items));
            cursor = format!("&cursor={next}");
        }
        seen
    });
}

#[test]
fn streams_skip_nothing_while_writers_write_and_readers_disconnect() {
    read_while_writers_write(|server, count| {
        let (mut seen, mut last): (Vec<String>, Option<String>) = (Vec::new(), None);
        while seen.len() < count {
            let headers: Vec<(&str, &str)> = last.iter().map(|last| ("last-event-id", last.as_str())).collect();
            let mut listener = server.stream("/v1/events", OPERATOR, &headers).opened();
            for _ in 0..(seen.len() % 17 + 1).min(count - seen.len()) {
                let event = listener.event().unwrap();
                seen.push(event.data.unwrap());
                last = event.id;
            }
        }
        seen
    });
}

#[test]
fn cursors_of_pages_and_streams_are_interchangeable() {
    let server = Server::start();
    found(&server, "one");
    let (_, next) = page(&server, "");
    let mut listener = server.stream(&format!("/v1/events?cursor={next}"), OPERATOR, &[]).opened();
    found(&server, "two");
    let first = listener.event().unwrap();
    assert_eq!(first.event.as_deref(), Some("workspace.created.v1"));
    assert_eq!(first.data.as_ref(), Some(&whole(&server)[4]));
    let (items, _) = page(&server, &format!("cursor={}", first.id.unwrap()));
    assert_eq!(texts(&items), whole(&server)[5..]);
}

#[test]
fn a_heartbeat_carries_the_cursor() {
    let server = Server::beating_every(SOON, Arc::new(SystemClock));
    let mut listener = server.stream("/v1/events", OPERATOR, &[]).opened();
    let beat = listener.message().unwrap();
    assert_eq!((beat.comment.as_deref(), beat.id), (Some("heartbeat"), Some(page(&server, "").1)));
}

#[test]
fn only_the_operator_reads_the_feed() {
    let acme = Acme::new();
    for credential in [&acme.alice, &acme.access_key("auditor")] {
        acme.server.get("/v1/events", credential).refused(403, "forbidden");
        assert_eq!(acme.server.stream("/v1/events", credential, &[]).status, 403);
    }
}
