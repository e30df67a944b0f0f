//! The live form of the log, and the feed of the whole instance: nothing lost, nothing twice, and nothing to who may not read.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tenure::clock::{Clock, SystemClock};
use tenure::domain::id::WorkspaceId;
use tenure::domain::time::Revision;
use tenure::proof::hash::TreeHash;
use tenure::service::feed::{FOLLOWERS_MAX, INSTANCE_FOLLOWERS_MAX};

use crate::acme::{Acme, TestClock, id, path, workspace_body};
use crate::server::{Listener, OPERATOR, Server, listen};

/// A heartbeat that a test can wait for.
const SOON: Duration = Duration::from_millis(20);
/// Less than a heartbeat, and far less than the server waits for requests in flight.
const AT_ONCE: Duration = Duration::from_secs(10);

fn follow(acme: &Acme, query: &str, credential: &str) -> Listener {
    acme.server.stream(&path(&format!("events{query}")), credential, &[])
}

/// Goes on after a message.
fn resume(acme: &Acme, query: &str, last: &str) -> Listener {
    acme.server.stream(&path(&format!("events{query}")), OPERATOR, &[("last-event-id", last)])
}

fn workspace_id(acme: &Acme) -> WorkspaceId {
    acme.get("").expect(200).json["id"].as_str().unwrap().parse().unwrap()
}

/// The stored bytes of the workspace's events, as text.
fn stored(acme: &Acme) -> Vec<String> {
    let events = acme.server.service.log().read(workspace_id(acme), Revision::ZERO, usize::MAX).unwrap();
    events.into_iter().map(|event| String::from_utf8(event.bytes).unwrap()).collect()
}

fn numbers(from: u64, until: u64) -> Vec<u64> {
    (from..=until).collect()
}

mod workspace {
    use super::*;

    #[test]
    fn a_stream_shows_the_stored_bytes_of_what_was_and_of_what_comes() {
        let acme = Acme::new();
        let mut listener = follow(&acme, "", &acme.alice).opened();
        let header =
            |name: &str| listener.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        assert_eq!(header("content-type"), Some("text/event-stream"));
        assert_eq!(header("cache-control"), Some("no-store"));
        let before = acme.head();
        let mut messages: Vec<_> = (0..before).map(|_| listener.event().unwrap()).collect();
        acme.environment("dev");
        messages.push(listener.event().unwrap());
        acme.restricted("prod", "viewer");
        messages.extend([listener.event().unwrap(), listener.event().unwrap()]);
        let stored = stored(&acme);
        assert_eq!(messages.len(), stored.len());
        for (message, stored) in messages.iter().zip(stored) {
            let event: Value = serde_json::from_str(&stored).unwrap();
            assert_eq!(message.data.as_ref(), Some(&stored));
            assert_eq!(message.event.as_deref(), event["type"].as_str());
            assert_eq!(message.id, Some(event["revision"].to_string()));
        }
    }

    #[test]
    fn it_begins_after_the_last_event_id_or_else_after_the_parameter() {
        let acme = Acme::new();
        let head = acme.head();
        assert_eq!(follow(&acme, "?after=2", &acme.alice).opened().revisions(1), [3]);
        assert_eq!(resume(&acme, "", "3").opened().revisions(1), [4]);
        assert_eq!(resume(&acme, "?after=1", "3").opened().revisions(1), [4], "the header wins");
        assert_eq!(resume(&acme, "?after=3", "0").opened().revisions(1), [1]);
        let mut at_the_head = resume(&acme, "", &head.to_string()).opened();
        acme.environment("dev");
        assert_eq!(at_the_head.revisions(1), [head + 1]);
    }

    #[test]
    fn each_filter_gives_what_the_list_gives() {
        let clock = TestClock::start();
        let acme = Acme::with_clock(clock.clone());
        acme.member("bob", "member");
        acme.restricted("prod", "viewer");
        acme.grant("prod", "user:bob", "contributor");
        acme.service_user("ci");
        let prod = acme.get("environments/prod").json["id"].as_str().unwrap().to_owned();
        clock.set("2026-03-03T00:00:00Z");
        acme.environment("dev");
        for filter in [
            "",
            "&type=grant.added",
            "&type=member.added.v1",
            &format!("&subject={prod}"),
            "&actor=operator",
            &format!("&credential={}", id(&acme.alice)),
            "&environment=PROD",
            "&principal=service_user:ci",
            "&from=2026-03-01T00:00:00.000003Z&after=4",
            "&environment=prod&principal=user:bob&actor=user:alice",
        ] {
            let query = format!("?until=2026-03-02T00:00:00Z{filter}");
            let listed = acme.get(&format!("events{query}")).expect(200).json["items"].clone();
            let listed: Vec<u64> =
                listed.as_array().unwrap().iter().map(|event| event["revision"].as_u64().unwrap()).collect();
            let mut listener = follow(&acme, &query, &acme.alice).opened();
            let mut streamed = Vec::new();
            while let Some(event) = listener.event() {
                streamed.push(event.revision());
            }
            assert!(!listed.is_empty(), "{filter}");
            assert_eq!(streamed, listed, "{filter}");
        }
    }

    #[test]
    fn a_name_means_whoever_bears_it_later_too() {
        let acme = Acme::new();
        acme.restricted("prod", "viewer");
        acme.service_user("ci");
        let (mut environments, mut principals) = (
            follow(&acme, &format!("?environment=prod&after={}", acme.head()), &acme.alice).opened(),
            follow(&acme, &format!("?principal=service_user:ci&after={}", acme.head()), &acme.alice).opened(),
        );
        acme.delete("environments/prod").expect(200);
        acme.environment("staging");
        acme.patch("environments/staging", &json!({"name": "PROD"})).expect(200);
        acme.delete("service-users/ci").expect(200);
        acme.service_user("ci");
        let types = |listener: &mut Listener, count: usize| -> Vec<String> {
            (0..count).map(|_| listener.event().unwrap().event.unwrap()).collect()
        };
        assert_eq!(types(&mut environments, 2), ["environment.deleted.v1", "environment.renamed.v1"]);
        let ended_and_made =
            ["token.revoked.v1", "service_user.deleted.v1", "service_user.created.v1", "token.issued.v1"];
        assert_eq!(types(&mut principals, 4), ended_and_made);
    }

    #[test]
    fn a_stream_ends_once_nothing_before_until_can_come_and_is_not_asked_for_again() {
        let clock = TestClock::start();
        let acme = Acme::on(Server::beating_every(SOON, clock.clone()));
        let head = acme.head();
        let query = "?until=2026-03-02T00:00:00Z";
        let mut listener = follow(&acme, query, &acme.alice).opened();
        assert_eq!(listener.revisions(usize::try_from(head).unwrap()), numbers(1, head));
        acme.environment("in-time");
        assert_eq!(listener.revisions(1), [head + 1]);
        clock.set("2026-03-02T00:00:00Z");
        acme.environment("too-late");
        assert_eq!(listener.event(), None);
        assert_eq!(resume(&acme, query, &(head + 1).to_string()).status, 204);
        assert_eq!(resume(&acme, query, &head.to_string()).opened().revisions(1), [head + 1]);
    }

    #[test]
    fn a_heartbeat_moves_the_position_of_a_reader_to_whom_nothing_is_sent() {
        let acme = Acme::on(Server::beating_every(SOON, Arc::new(SystemClock)));
        let mut listener = follow(&acme, "?type=rbac.enabled", &acme.alice).opened();
        let mut beats_at = |revision: u64| loop {
            let message = listener.message().unwrap();
            assert_eq!((message.comment.as_deref(), message.data.as_deref()), (Some("heartbeat"), None));
            if message.id == Some(revision.to_string()) {
                break;
            }
        };
        beats_at(acme.head());
        acme.environment("dev");
        beats_at(acme.head());
        let last = acme.head().to_string();
        acme.rbac(true);
        assert_eq!(resume(&acme, "?type=rbac.enabled", &last).opened().revisions(1), [acme.head()]);
    }

    #[test]
    fn a_restart_neither_loses_nor_repeats_anything() {
        let acme = Acme::new();
        let head = acme.head();
        let mut listener = follow(&acme, "", &acme.alice).opened();
        assert_eq!(listener.revisions(usize::try_from(head).unwrap()), numbers(1, head));
        let acme = acme.restart();
        assert_eq!(listener.event(), None, "the stream ended with the server");
        acme.environment("dev");
        let mut listener = resume(&acme, "", &head.to_string()).opened();
        acme.environment("prod");
        assert_eq!(listener.revisions(2), [head + 1, head + 2]);
    }

    #[test]
    fn readers_who_break_off_at_random_see_each_event_once_and_in_order() {
        let acme = Acme::new();
        let (address, last) = (acme.server.address, acme.head() + 240);
        std::thread::scope(|scope| {
            let acme = &acme;
            for writer in 0..4 {
                scope.spawn(move || {
                    for number in 0..60 {
                        let body = json!({"user": format!("u{writer}-{number}"), "role": "member"});
                        acme.post("members", &body).expect(201);
                    }
                });
            }
            for reader in 0..4_u64 {
                scope.spawn(move || {
                    let (mut seen, mut chance) = (Vec::new(), reader + 1);
                    while seen.len() < usize::try_from(last).unwrap() {
                        let position = seen.last().map_or(0, |last: &u64| *last).to_string();
                        let headers = [("last-event-id", position.as_str())];
                        let mut listener = listen(address, &path("events"), OPERATOR, &headers).opened();
                        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                        let left = last - seen.last().copied().unwrap_or(0);
                        let some = ((chance >> 33) % 23 + 1).min(left);
                        seen.extend(listener.revisions(usize::try_from(some).unwrap()));
                    }
                    assert_eq!(seen, numbers(1, last));
                });
            }
        });
    }

    #[test]
    fn who_reads_late_gets_everything_and_in_order() {
        let acme = Acme::new();
        let mut late = follow(&acme, "", &acme.alice).opened();
        for batch in 0..4 {
            let add = |number| json!({"type": "member.add", "user": format!("u{batch}-{number}"), "role": "member"});
            let commands: Vec<Value> = (0..1_000).map(add).collect();
            acme.post("commands", &json!({"commands": commands})).expect(200);
        }
        let head = acme.head();
        assert_eq!(late.revisions(usize::try_from(head).unwrap()), numbers(1, head));
        acme.environment("dev");
        assert_eq!(late.revisions(1), [head + 1]);
    }

    #[test]
    fn many_listeners_hear_of_one_change() {
        let acme = Acme::new();
        let after = format!("?after={}", acme.head());
        let mut listeners: Vec<Listener> = (0..300).map(|_| follow(&acme, &after, &acme.alice).opened()).collect();
        acme.environment("dev");
        for listener in &mut listeners {
            assert_eq!(listener.revisions(1), [acme.head()]);
        }
    }

    #[test]
    fn an_idle_stream_keeps_no_old_facts_alive() {
        let acme = Acme::new();
        let mut listener = follow(&acme, &format!("?after={}", acme.head()), &acme.alice).opened();
        let facts = acme.server.block_on(acme.server.service.workspace(workspace_id(&acme))).unwrap().unwrap();
        let old = Arc::downgrade(&facts);
        drop(facts);
        acme.environment("dev");
        listener.event().unwrap();
        let begun = Instant::now();
        while old.strong_count() > 0 {
            assert!(begun.elapsed() < AT_ONCE, "the facts from before are still held");
            std::thread::yield_now();
        }
        acme.environment("prod");
        listener.event().unwrap();
    }

    #[test]
    fn the_servers_stop_ends_streams_at_once() {
        let acme = Acme::new();
        let mut idle: Vec<Listener> = (0..3).map(|_| follow(&acme, "", &acme.alice).opened()).collect();
        let mut feed = acme.server.stream("/v1/events", OPERATOR, &[]).opened();
        let head = usize::try_from(acme.head()).unwrap();
        assert_eq!(idle[0].revisions(head).len(), head);
        let begun = Instant::now();
        drop(acme);
        assert!(begun.elapsed() < AT_ONCE);
        while feed.event().is_some() {}
        for listener in &mut idle {
            while listener.event().is_some() {}
        }
    }

    #[test]
    fn no_more_may_follow_than_there_is_room_for_and_who_goes_away_makes_room() {
        let acme = Acme::new();
        let (service, workspace) = (&acme.server.service, workspace_id(&acme));
        let listener = follow(&acme, "", &acme.alice).opened();
        let mut followers = Vec::new();
        while let Ok(follower) = acme.server.block_on(service.follow(workspace)) {
            followers.push(follower);
        }
        assert_eq!(followers.len() + 1, FOLLOWERS_MAX);
        let refused = follow(&acme, "", &acme.alice);
        assert_eq!(refused.status, 429);
        assert!(refused.headers.contains(&("retry-after".to_owned(), "1".to_owned())));
        drop(listener);
        let begun = Instant::now();
        while follow(&acme, "", &acme.alice).status == 429 {
            assert!(begun.elapsed() < AT_ONCE, "who has gone away is still counted");
        }
        let all: Vec<_> = std::iter::from_fn(|| service.follow_all().ok()).collect();
        assert_eq!(all.len(), INSTANCE_FOLLOWERS_MAX);
        assert_eq!(acme.server.stream("/v1/events", OPERATOR, &[]).status, 429);
    }

    #[test]
    fn a_stream_ends_where_another_writer_has_been_and_goes_on_with_what_they_wrote() {
        let acme = Acme::new();
        acme.member("bob", "member");
        let head = acme.head();
        let mut listener = follow(&acme, "", &acme.alice).opened();
        listener.revisions(usize::try_from(head).unwrap());
        let added = stored(&acme).into_iter().rev().find(|event| event.contains("member.added")).unwrap();
        let theirs = added
            .replace("user:bob", "user:eve")
            .replace(&format!("\"revision\":{}", head - 1), &format!("\"revision\":{}", head + 1));
        let time = serde_json::from_str::<Value>(&theirs).unwrap()["time"].as_str().unwrap().to_owned();
        let theirs = theirs.replace(&time, acme.events().pop().unwrap()["time"].as_str().unwrap());
        let store = rusqlite::Connection::open(acme.server.folder().join("tenure.db")).unwrap();
        let (workspace, revision) = (workspace_id(&acme), i64::try_from(head + 1).unwrap());
        let (id, leaf) = (workspace.uuid().as_bytes().to_vec(), TreeHash::of_leaf(theirs.as_bytes()));
        let mut tree = acme.server.service.log().tree(workspace).unwrap().unwrap();
        assert_eq!(tree.push(leaf).next().unwrap().1, leaf);
        let sql = "INSERT INTO events (workspace, revision, command, leaf, event) VALUES (?1, ?2, NULL, ?3, ?4)";
        store.execute(sql, (&id, revision, leaf.0, theirs.as_bytes())).unwrap();
        let sql = "UPDATE trees SET size = ?2, frontier = ?3 WHERE workspace = ?1";
        store.execute(sql, (&id, revision, tree.to_bytes())).unwrap();
        acme.post("environments", &json!({"name": "dev"})).refused(503, "unavailable");
        assert_eq!(listener.message(), None);
        let mut listener = resume(&acme, "", &head.to_string()).opened();
        assert_eq!(listener.event().unwrap().data, Some(theirs));
        acme.environment("dev");
        assert_eq!(listener.revisions(1), [head + 2]);
    }

    #[test]
    fn what_a_stream_does_not_take_is_refused() {
        let acme = Acme::new();
        let head = acme.head();
        for query in ["?limit=5", "?cursor=x", "?at=3", "?revision=3", "?at_least=1", "?what=x", "?after=x", "?type=x"]
        {
            assert_eq!(follow(&acme, query, &acme.alice).status, 422, "{query}");
        }
        for last in ["x", "-1", "1.5", "", "18446744073709551616", "\"3\""] {
            assert_eq!(resume(&acme, "", last).status, 422, "{last}");
        }
        let mut past = resume(&acme, "", &(head + 1).to_string());
        assert_eq!(past.status, 422);
        assert!(past.rest().contains("another history"));
        assert_eq!(follow(&acme, &format!("?after={}", head + 1), &acme.alice).status, 422);
        assert_eq!(follow(&acme, "?environment=none", &acme.alice).status, 404);
        acme.member("bob", "member");
        let bob = acme.post("members/bob/tokens", &Value::Null).credential("token");
        assert_eq!(follow(&acme, "", &bob).status, 403);
        assert_eq!(follow(&acme, "", &acme.access_key("evaluator")).status, 403);
        assert_eq!(follow(&acme, "", "none.none").status, 401);
    }
}

mod endings {
    use super::*;

    /// The stream of a manager, who has seen everything, and their token.
    fn listening(acme: &Acme) -> (Listener, String) {
        let mark = acme.member("mark", "manager");
        let mut listener = follow(acme, "", &mark).opened();
        listener.revisions(usize::try_from(acme.head()).unwrap());
        (listener, mark)
    }

    #[test]
    fn a_stream_ends_with_its_token_before_anything_later_is_sent() {
        let acme = Acme::new();
        let (mut listener, mark) = listening(&acme);
        let other = acme.post("members/mark/tokens", &Value::Null).expect(201).credential("token");
        assert_eq!(listener.event().unwrap().event.as_deref(), Some("token.issued.v1"));
        let mut others = follow(&acme, &format!("?after={}", acme.head()), &other).opened();
        acme.delete(&format!("tokens/{}", id(&mark))).expect(200);
        acme.environment("dev");
        assert_eq!(listener.message(), None);
        assert_eq!(follow(&acme, "", &mark).status, 401);
        assert_eq!(
            others.event().unwrap().event.as_deref(),
            Some("token.revoked.v1"),
            "the holder's other one goes on"
        );
    }

    #[test]
    fn a_stream_ends_when_its_reader_is_demoted_or_removed() {
        for demoted in [true, false] {
            let acme = Acme::new();
            let (mut listener, _) = listening(&acme);
            if demoted {
                acme.patch("members/mark", &json!({"role": "member"})).expect(200);
            } else {
                acme.delete("members/mark").expect(200);
            }
            acme.environment("dev");
            assert_eq!(listener.message(), None);
        }
    }

    #[test]
    fn a_stream_ends_with_its_access_key() {
        let acme = Acme::new();
        let key = acme.access_key("auditor");
        let mut listener = follow(&acme, &format!("?after={}", acme.head()), &key).opened();
        acme.environment("dev");
        assert_eq!(listener.revisions(1), [acme.head()]);
        acme.delete(&format!("access-keys/{}", id(&key))).expect(200);
        assert_eq!(listener.message(), None);
    }

    #[test]
    fn an_expiry_ends_a_stream_at_its_instant_though_no_event_says_so() {
        let acme = Acme::new();
        let end = tenure::domain::time::Instant::from_micros(SystemClock.now().micros() + 1_500_000);
        let body = json!({"role": "auditor", "label": "x", "expires_at": end.to_string()});
        let key = acme.post("access-keys", &body).expect(201).credential("access_key");
        let workspace = workspace_id(&acme);
        acme.delete("").expect(200);
        let begun = Instant::now();
        let target = format!("/v1/workspaces/{workspace}/events");
        let mut listener = acme.server.stream(&target, &key, &[]).opened();
        let mut last = None;
        while let Some(message) = listener.message() {
            last = message.event;
        }
        assert_eq!(last.as_deref(), Some("workspace.deleted.v1"), "nothing follows it");
        assert!(SystemClock.now() >= end && begun.elapsed() < AT_ONCE);
    }

    #[test]
    fn an_expiry_that_a_steered_clock_brings_ends_a_stream_by_the_next_heartbeat() {
        let clock = TestClock::start();
        let acme = Acme::on(Server::beating_every(SOON, clock.clone()));
        let body = json!({"expires_at": "2026-03-02T00:00:00Z"});
        let token = acme.post("members/alice/tokens", &body).expect(201).credential("token");
        let mut listener = follow(&acme, "?type=rbac.disabled", &token).opened();
        assert_eq!(listener.message().unwrap().comment.as_deref(), Some("heartbeat"));
        clock.set("2026-03-02T00:00:00Z");
        while listener.message().is_some() {}
    }

    #[test]
    fn the_log_of_a_deleted_workspace_goes_on_being_followed_by_who_may_read_it() {
        let acme = Acme::new();
        let key = acme.access_key("auditor");
        let workspace = workspace_id(&acme);
        let after = format!("?after={}", acme.head());
        let mut owners = follow(&acme, &after, &acme.alice).opened();
        let mut auditors = follow(&acme, &after, &key).opened();
        let mut operators = follow(&acme, &after, OPERATOR).opened();
        acme.delete("").expect(200);
        assert_eq!(owners.message(), None);
        for listener in [&mut auditors, &mut operators] {
            assert_eq!(listener.event().unwrap().event.as_deref(), Some("workspace.deleted.v1"));
        }
        let taken_back = format!("/v1/workspaces/{workspace}/access-keys/{}", id(&key));
        let begun = Instant::now();
        acme.server.delete(&taken_back, OPERATOR).expect(200);
        assert_eq!(auditors.message(), None);
        assert!(begun.elapsed() < AT_ONCE, "it did not wait for a heartbeat");
        drop(acme);
        assert_eq!(operators.message(), None);
    }
}

mod instance {
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
    fn pages_hold_every_event_once_and_there_is_always_a_next() {
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
    fn they_are_the_stored_bytes_also_as_a_batch() {
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
    fn a_cursor_that_is_none_or_of_another_history_is_refused() {
        let (server, other) = (Server::start(), Server::start());
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
    fn streams_skip_nothing_while_writers_write_and_readers_break_off() {
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
    fn a_cursor_of_a_page_is_where_a_stream_goes_on_and_the_other_way_round() {
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
    fn it_is_the_operators_alone() {
        let acme = Acme::new();
        for credential in [&acme.alice, &acme.access_key("auditor")] {
            acme.server.get("/v1/events", credential).refused(403, "forbidden");
            assert_eq!(acme.server.stream("/v1/events", credential, &[]).status, 403);
        }
    }
}
