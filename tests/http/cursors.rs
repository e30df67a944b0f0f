//! Forged cursors and extreme numbers: each is refused and harms only its own request.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tenure::clock::SystemClock;
use tenure::http::cursor::CursorKey;
use tenure::log::CursorSecret;

use crate::support::acme::{Acme, path};
use crate::support::server::{OPERATOR, Reply};

/// Starts a workspace with three items in each list.
fn stage() -> Acme {
    let acme = Acme::new();
    acme.restricted("prod", "viewer");
    for number in 0..3 {
        acme.member(&format!("m{number}"), "member");
        acme.grant("prod", &format!("user:m{number}"), "contributor");
        acme.put(&format!("resources/app/a{number}"), &json!({"environment": "prod"})).expect(201);
        let other = crate::support::acme::workspace_body(&format!("w{number}"), "shared", "team", "olga");
        acme.server.post("/v1/workspaces", OPERATOR, &other).expect(201);
        acme.get("audit/access").expect(200);
    }
    acme
}

/// Lists of every kind of cursor: the name in the cursor, and the path.
fn lists() -> Vec<(&'static str, String)> {
    let within = [
        "members",
        "resources",
        "events",
        "audit/access",
        "audit/tenures",
        "audit/credentials",
        "environments/prod/grants",
    ];
    let mut lists: Vec<_> = within.into_iter().map(|rest| ("pages", path(rest))).collect();
    lists.push(("reads", path("audit/reads")));
    lists.push(("feed", "/v1/events".to_owned()));
    lists.push(("workspaces", "/v1/workspaces".to_owned()));
    lists
}

fn page(acme: &Acme, target: &str, cursor: &str) -> Reply {
    acme.server.get(&format!("{target}?limit=1&cursor={cursor}"), OPERATOR)
}

fn next(acme: &Acme, target: &str) -> String {
    let first = acme.server.get(&format!("{target}?limit=1"), OPERATOR).expect(200);
    first.json["next"].as_str().unwrap().to_owned()
}

fn read(cursor: &str) -> Value {
    let (text, _) = cursor.split_once('.').unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
}

/// Returns the key that a server signs its cursors with.
fn key(acme: &Acme) -> CursorKey {
    CursorKey::of(acme.server.block_on(acme.server.service.cursor_key()).unwrap())
}

/// Returns the cursor with each of its numbers in turn replaced by extreme ones.
fn edges(cursor: &Value) -> Vec<Value> {
    let mut edges = Vec::new();
    for (name, value) in cursor.as_object().unwrap() {
        let numbers =
            if value.is_number() { vec![json!(0), json!(i64::MAX), json!(u64::MAX), json!(i64::MIN)] } else { vec![] };
        for number in numbers {
            let mut edge = cursor.clone();
            edge[name.as_str()] = number;
            edges.push(edge);
        }
    }
    edges.retain(|edge| edge != cursor);
    edges
}

#[test]
fn a_forged_cursor_is_refused_in_every_list() {
    let acme = stage();
    for (list, target) in lists() {
        let cursor = next(&acme, &target);
        page(&acme, &target, &cursor).expect(200);
        let (text, code) = cursor.split_once('.').unwrap();
        let stranger = CursorKey::of(CursorSecret::new([8; 32]));
        let mut forged = vec![
            text.to_owned(),
            format!("{text}."),
            format!("{text}.AAAAAAAAAAAAAAAAAAAAAA"),
            format!("{text}.{}", &code[..code.len() - 2]),
            format!("{text}.{code}AA"),
            stranger.seal(list, &read(&cursor)),
        ];
        for edge in edges(&read(&cursor)) {
            let text = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&edge).unwrap());
            forged.extend([text.clone(), format!("{text}.{code}")]);
        }
        for other in ["pages", "reads", "feed", "workspaces"].into_iter().filter(|other| *other != list) {
            forged.push(key(&acme).seal(other, &read(&cursor)));
        }
        for forged in forged {
            let reply = page(&acme, &target, &forged);
            assert_eq!((reply.status, reply.code()), (422, "invalid"), "{target} {forged}: {}", reply.text);
        }
    }
}

#[test]
fn no_number_in_an_authentic_cursor_does_harm() {
    let acme = stage();
    let key = key(&acme);
    for (list, target) in lists() {
        for edge in edges(&read(&next(&acme, &target))) {
            let reply = page(&acme, &target, &key.seal(list, &edge));
            assert!([200, 404, 422].contains(&reply.status), "{target} {edge}: {} {}", reply.status, reply.text);
        }
    }
    let search = json!({"subject": {"type": "user"}, "action": {"name": "read"}, "page": {"limit": 1},
        "resource": {"type": "environment", "id": "main"}});
    let target = path("access/v1/search/subject");
    let token = acme.server.post(&target, OPERATOR, &search).expect(200).json["page"]["next_token"].clone();
    for edge in edges(&read(token.as_str().unwrap())) {
        let mut search = search.clone();
        search["page"]["token"] = json!(key.seal("pages", &edge));
        let status = acme.server.post(&target, OPERATOR, &search).status;
        assert!([200, 400, 422].contains(&status), "{edge}: {status}");
        let (_, code) = token.as_str().unwrap().split_once('.').unwrap();
        search["page"]["token"] =
            json!(format!("{}.{code}", URL_SAFE_NO_PAD.encode(serde_json::to_vec(&edge).unwrap())));
        acme.server.post(&target, OPERATOR, &search).refused(400, "malformed");
    }
}

#[test]
fn a_cursor_survives_a_restart_and_a_restored_backup() {
    let acme = stage();
    let cursors: Vec<_> = lists().into_iter().map(|(_, target)| (next(&acme, &target), target)).collect();
    let copy = acme.server.on_copy(Arc::new(SystemClock), |_| {});
    let restored = Acme { server: copy, alice: acme.alice.clone() };
    let restarted = acme.restart();
    for (cursor, target) in cursors {
        page(&restarted, &target, &cursor).expect(200);
        page(&restored, &target, &cursor).expect(200);
    }
}

#[test]
fn the_key_of_cursors_is_random_and_in_no_event_and_no_response() {
    let (acme, other) = (stage(), stage());
    let secret = |acme: &Acme| *acme.server.service.log().cursor_key().unwrap().unwrap().expose();
    assert_ne!(secret(&acme), secret(&other), "two stores with one log key");
    let secret = secret(&acme);
    for target in lists().into_iter().map(|(_, target)| target).chain([path(""), path("log/keys")]) {
        let reply = acme.server.get(&target, OPERATOR).text;
        let forms = [URL_SAFE_NO_PAD.encode(secret), STANDARD.encode(secret), base16ct::lower::encode_string(&secret)];
        assert!(forms.iter().all(|form| !reply.contains(form)), "{target}");
    }
}

#[test]
fn a_members_cursor_does_not_reveal_hidden_rows() {
    let acme = stage();
    acme.restricted("vault", "no_access");
    let bob = acme.member("bob", "member");
    for id in ["b1", "b3", "b5"] {
        acme.put(&format!("resources/app/{id}"), &json!({"environment": "main"})).expect(201);
    }
    let positions = |acme: &Acme, list: &str| {
        let (mut target, mut positions, mut shown) =
            (format!("{list}{}limit=1", if list.contains('?') { '&' } else { '?' }), vec![], vec![]);
        loop {
            let page = acme.call("GET", &target, &bob, &Value::Null).expect(200);
            shown.push(page.json["items"].clone());
            let Some(next) = page.json["next"].as_str() else { return (positions, shown) };
            positions.push(read(next)["position"].clone());
            target = format!("{list}{}limit=1&cursor={next}", if list.contains('?') { '&' } else { '?' });
        }
    };
    for list in ["resources", "resources?type=app", "environments"] {
        let before = positions(&acme, list);
        assert!(!before.0.is_empty(), "{list}");
        for id in ["a", "b2", "b4", "z"] {
            acme.put(&format!("resources/app/{id}"), &json!({"environment": "vault"})).expect(201);
        }
        acme.restricted("attic", "no_access");
        assert_eq!(positions(&acme, list), before, "{list}");
        for id in ["a", "b2", "b4", "z"] {
            acme.delete(&format!("resources/app/{id}")).expect(200);
        }
        acme.delete("environments/attic").expect(200);
    }
}

#[test]
fn no_number_in_a_request_harms_the_server() {
    let acme = stage();
    for number in [
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551615",
        "r18446744073709551615",
        "18446744073709551616",
    ] {
        for rest in [
            format!("?at={number}"),
            format!("?at=2026-01-01T00:00:00Z&revision={number}"),
            format!("?at_least={number}"),
            format!("members?at={number}"),
            format!("events?after={number}"),
            format!("events?after={number}&limit=1000"),
            format!("members?limit={number}"),
            format!("reports/dormant?days={number}"),
            format!("log/consistency?from={number}"),
            format!("log/consistency?from=1&to={number}"),
            format!("log/proof/{number}"),
            format!("log/tile/0/{number}"),
            format!("log/tile/entries/000.p/{number}"),
        ] {
            let reply = acme.get(&rest);
            let is_fine = (400..500).contains(&reply.status) || [200, 503].contains(&reply.status);
            assert!(is_fine, "{rest}: {} {}", reply.status, reply.text);
        }
        for stream in [path("events"), "/v1/events".to_owned()] {
            let status = acme.server.stream(&stream, OPERATOR, &[("last-event-id", number)]).status;
            assert_eq!(status, 422, "{stream} {number}");
        }
    }
    acme.get("").expect(200);
}

#[test]
fn a_bare_number_like_a_year_is_refused_as_an_instant() {
    let acme = stage();
    for rest in ["", "members", "environments/prod", "audit/access", "audit/credentials", "reports/roster", "events"] {
        for year in ["1970", "2026", "2100"] {
            let reply = acme.get(&format!("{rest}?at={year}")).refused(422, "invalid");
            assert!(reply.json["detail"].as_str().unwrap().contains("`r2026`"), "{rest}: {}", reply.text);
            let past = acme.get(&format!("{rest}?at=r{year}")).refused(422, "invalid");
            assert!(past.json["detail"].as_str().unwrap().contains("past the newest one"), "{rest}: {}", past.text);
        }
        let [bare, named] = ["7", "r7"].map(|at| acme.get(&format!("{rest}?at={at}")).expect(200));
        assert_eq!(bare.json["items"], named.json["items"], "{rest}");
        assert_eq!(named.header("tenure-revision"), Some("7"), "{rest}");
    }
    let question = crate::support::acme::question("user:alice", "deploy", "app@main");
    acme.post("access/v1/evaluation?at=2026", &question).refused(422, "invalid");
    assert_eq!(acme.post("access/v1/evaluation?at=r5", &question).expect(200).header("tenure-revision"), Some("5"));
    acme.server.get("/v1/workspaces?at=2026", OPERATOR).refused(422, "invalid");
}

#[test]
fn every_revision_may_be_written_with_an_r() {
    let acme = stage();
    let now = acme.get("").expect(200).header("tenure-at").unwrap().to_owned();
    for rest in [
        format!("?at={now}&revision=r5"),
        "?at_least=r5".to_owned(),
        "events?after=r5".to_owned(),
        "log/proof/r5".to_owned(),
        "log/consistency?from=r5&to=r6".to_owned(),
    ] {
        acme.get(&rest).expect(200);
    }
    assert_eq!(acme.server.stream(&path("events"), OPERATOR, &[("last-event-id", "r5")]).opened().revisions(1), [6]);
    let body = serde_json::to_vec(&json!({"name": "e"})).unwrap();
    let (authorization, tag) = (format!("Bearer {}", acme.alice), format!("\"r{}\"", acme.head()));
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json"), ("if-match", &tag)];
    acme.server.send("POST", &path("environments"), &headers, Some(&body)).refused(412, "revision_conflict");
}

#[test]
fn parameters_are_counted_before_they_are_compared() {
    let acme = Acme::new();
    let many = |count: usize| (0..count).map(|number| format!("p{number}=1")).collect::<Vec<_>>().join("&");
    acme.get(&format!("?{}", many(32))).refused(422, "invalid");
    for count in [33, 4_000] {
        for rest in ["", "events", "audit/access"] {
            let reply = acme.get(&format!("{rest}?{}", many(count))).refused(422, "too_large");
            assert!(reply.json["detail"].as_str().unwrap().contains("32 parameters"), "{}", reply.text);
        }
    }
    acme.server.get(&format!("/v1/workspaces?{}", many(33)), OPERATOR).refused(422, "too_large");
}
