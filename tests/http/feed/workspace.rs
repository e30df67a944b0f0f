//! Following one workspace.

use super::*;

#[test]
fn a_stream_has_the_stored_bytes_of_past_and_new_events() {
    let acme = Acme::new();
    let mut listener = follow(&acme, "", &acme.alice).opened();
    let header = |name: &str| listener.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
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
        assert_eq!(message.id, Some(message_id(&event["revision"], &stored)));
    }
}

/// The revision and, in base64url, the first twelve bytes of the event's leaf.
fn message_id(revision: &impl std::fmt::Display, stored: &str) -> String {
    let leaf = TreeHash::of_leaf(stored.as_bytes()).0;
    format!("{revision}.{}", URL_SAFE_NO_PAD.encode(&leaf[..12]))
}

/// Changes a log as a restore from an older copy and new events would: the same revisions have other events.
#[test]
fn an_id_of_another_history_is_refused_and_a_bare_revision_is_accepted() {
    let acme = Acme::new();
    let stored = stored(&acme);
    for (revision, event) in (1..).zip(&stored) {
        let id = message_id(&revision, event);
        assert_eq!(resume(&acme, "?until=2100-01-01T00:00:00Z", &id).status, 200, "{id}");
        assert_eq!(resume(&acme, "", &revision.to_string()).status, 200, "{revision}");
        let other = message_id(&revision, &stored[usize::try_from(revision % 3).unwrap()].replace("alice", "malory"));
        for wrong in [&other, &format!("{revision}."), &format!("{revision}.AAAAAAAAAAAAAAAA"), &format!("{id}.")] {
            let mut refused = resume(&acme, "", wrong);
            assert_eq!(refused.status, 422, "{wrong}");
            assert!(refused.rest().contains("another history"), "{wrong}");
        }
    }
    assert_eq!(resume(&acme, "", "0.AAAAAAAAAAAAAAAA").status, 422, "nothing stands before the first event");
    let past = message_id(&(acme.head() + 1), &stored[0]);
    assert_eq!(resume(&acme, "", &past).status, 422);
}

#[test]
fn a_stream_begins_after_the_last_event_id_or_the_parameter() {
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
fn each_filter_matches_the_list() {
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
fn a_name_includes_its_later_bearers() {
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
    let ended_and_made = ["token.revoked.v1", "service_user.deleted.v1", "service_user.created.v1", "token.issued.v1"];
    assert_eq!(types(&mut principals, 4), ended_and_made);
}

#[test]
fn a_stream_ends_when_nothing_before_until_can_come_and_the_client_does_not_reconnect() {
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
fn a_heartbeat_advances_the_position_of_a_filtered_reader() {
    let acme = Acme::on(Server::beating_every(SOON, Arc::new(SystemClock)));
    let mut listener = follow(&acme, "?type=rbac.enabled", &acme.alice).opened();
    let mut beats_at = |revision: u64| loop {
        let message = listener.message().unwrap();
        assert_eq!((message.comment.as_deref(), message.data.as_deref()), (Some("heartbeat"), None));
        let id = message.id.unwrap();
        if id.starts_with(&format!("{revision}.")) {
            break id;
        }
    };
    beats_at(acme.head());
    acme.environment("dev");
    let last = beats_at(acme.head());
    acme.rbac(true);
    assert_eq!(resume(&acme, "?type=rbac.enabled", &last).opened().revisions(1), [acme.head()]);
}

#[test]
fn a_restart_neither_loses_nor_repeats_events() {
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
fn readers_that_disconnect_at_random_see_each_event_once_and_in_order() {
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
fn a_late_reader_gets_everything_in_order() {
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
fn many_streams_get_one_change() {
    let acme = Acme::new();
    let after = format!("?after={}", acme.head());
    let mut listeners: Vec<Listener> = (0..300).map(|_| follow(&acme, &after, OPERATOR).opened()).collect();
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
fn a_shutdown_ends_streams_at_once() {
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
fn streams_are_limited_and_a_disconnect_frees_a_permit() {
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

/// The limit is one of a holder, whichever of its credentials it uses, and leaves the other holders of the workspace their streams.
#[test]
fn a_holder_has_a_limited_number_of_streams() {
    let acme = Acme::new();
    let (key, other_key) = (acme.access_key("auditor"), acme.access_key("auditor"));
    let other_token = acme.post("members/alice/tokens", &json!({})).expect(201).credential("token");
    for (first, second, others) in
        [(&key, &key, [&other_key, &acme.alice]), (&acme.alice, &other_token, [&key, &other_key])]
    {
        let mut open: Vec<Listener> = (0..STREAMS_PER_HOLDER_MAX).map(|_| follow(&acme, "", first).opened()).collect();
        for credential in [first, second] {
            let mut refused = follow(&acme, "", credential);
            assert_eq!(refused.status, 429);
            assert!(refused.headers.contains(&("retry-after".to_owned(), "1".to_owned())));
            assert!(refused.rest().contains("you have 100 live streams"));
        }
        for credential in others.into_iter().chain([&OPERATOR.to_owned()]) {
            assert_eq!(follow(&acme, "", credential).status, 200);
        }
        // A refused stream counts for nobody.
        drop(open.pop());
        let begun = Instant::now();
        while follow(&acme, "", second).status == 429 {
            assert!(begun.elapsed() < AT_ONCE, "a closed stream is still counted");
        }
    }
    let many: Vec<Listener> = (0..=STREAMS_PER_HOLDER_MAX).map(|_| follow(&acme, "", OPERATOR).opened()).collect();
    assert_eq!(many.len(), STREAMS_PER_HOLDER_MAX + 1, "the operator follows as many workspaces as there are");
}

#[test]
fn a_stream_ends_after_a_foreign_write_and_resumes_with_it() {
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
    let sql = "INSERT INTO events (workspace, revision, leaf, event) VALUES (?1, ?2, ?3, ?4)";
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
fn parameters_of_pages_are_refused_for_streams() {
    let acme = Acme::new();
    let head = acme.head();
    for query in ["?limit=5", "?cursor=x", "?at=3", "?revision=3", "?at_least=1", "?what=x", "?after=x", "?type=x"] {
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
