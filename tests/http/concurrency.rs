//! Concurrency: each change is done once, a revoked caller changes nothing more, and damage stays in its workspace.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use tenure::clock::SystemClock;
use tenure::domain::model::id::WorkspaceId;
use tenure::domain::model::time::Revision;

use crate::support::acme::{Acme, id, path, workspace_body};
use crate::support::server::{OPERATOR, Reply, Server};

/// Checks that a log has no gaps, unique event ids, and times that never run back.
fn verify(server: &Server, workspace: &str) -> Vec<Value> {
    let id: WorkspaceId = workspace.parse().unwrap();
    let log = server.service.log();
    let events = log.read(id, Revision::ZERO, usize::MAX).unwrap();
    let mut ids = std::collections::HashSet::new();
    let mut before = String::new();
    let mut parsed = Vec::new();
    for (number, event) in (1..).zip(events) {
        let event: Value = serde_json::from_slice(&event.bytes).unwrap();
        assert_eq!(event["revision"], json!(number));
        assert!(ids.insert(event["id"].as_str().unwrap().to_owned()));
        let time = event["time"].as_str().unwrap().to_owned();
        assert!(before <= time);
        before = time;
        parsed.push(event);
    }
    assert_eq!(log.head(id).unwrap(), Some(Revision(u64::try_from(parsed.len()).unwrap())));
    parsed
}

fn workspace_of(acme: &Acme) -> String {
    acme.get("").expect(200).json["id"].as_str().unwrap().to_owned()
}

#[test]
fn changes_of_64_writers_are_each_acknowledged_once() {
    let acme = Acme::new();
    let workspace = workspace_of(&acme);
    let before = acme.head();
    let replies: Vec<Reply> = std::thread::scope(|scope| {
        let write = |writer: usize| {
            let acme = &acme;
            scope.spawn(move || -> Vec<Reply> {
                let body = |number: usize| json!({"user": format!("u{writer}-{number}"), "role": "member"});
                (0..4).map(|number| acme.post("members", &body(number)).expect(201)).collect()
            })
        };
        let threads: Vec<_> = (0..64).map(write).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let mut revisions: Vec<u64> = replies.iter().map(|reply| reply.json["revision"].as_u64().unwrap()).collect();
    revisions.sort_unstable();
    assert_eq!(revisions, (before + 1..=before + 256).collect::<Vec<u64>>());
    let log = verify(&acme.server, &workspace);
    for reply in replies {
        let event = &reply.json["events"][0];
        let place = usize::try_from(event["revision"].as_u64().unwrap()).unwrap() - 1;
        assert_eq!(log[place], *event, "what was acknowledged is what was written");
    }
    let acme = acme.restart();
    assert_eq!(acme.get("members?limit=1000").expect(200).json["items"].as_array().unwrap().len(), 257);
}

#[test]
fn of_many_concurrent_requests_for_a_name_one_succeeds() {
    let acme = Acme::new();
    let replies: Vec<Reply> = std::thread::scope(|scope| {
        let make = |number: usize| {
            let acme = &acme;
            scope.spawn(move || {
                if number.is_multiple_of(2) {
                    acme.post("environments", &json!({"name": "prod"}))
                } else {
                    acme.server.post("/v1/workspaces", OPERATOR, &workspace_body("new", "shared", "team", "olga"))
                }
            })
        };
        let threads: Vec<_> = (0..32).map(make).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let made: Vec<&Reply> = replies.iter().filter(|reply| reply.status == 201).collect();
    assert_eq!(made.len(), 2, "one environment, one workspace");
    assert!(replies.iter().all(|reply| reply.status == 201 || reply.code() == "already_exists"));
    verify(&acme.server, &workspace_of(&acme));
}

#[test]
fn of_many_concurrent_writes_with_one_if_match_one_succeeds() {
    let acme = Acme::new();
    let tag = format!("\"{}\"", acme.head());
    let authorization = format!("Bearer {}", acme.alice);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let write = |number: usize| {
            let (acme, tag, authorization) = (&acme, &tag, &authorization);
            scope.spawn(move || {
                let body = serde_json::to_vec(&json!({"name": format!("e{number}")})).unwrap();
                let json = ("content-type", "application/json");
                let headers = [("authorization", authorization.as_str()), ("if-match", tag), json];
                acme.server.send("POST", &path("environments"), &headers, Some(&body)).status
            })
        };
        let threads: Vec<_> = (0..32).map(write).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1);
    assert_eq!(statuses.iter().filter(|status| **status == 412).count(), 31);
}

#[test]
fn a_token_that_is_revoked_while_its_commands_wait_changes_nothing_more() {
    let acme = Acme::new();
    let workspace = workspace_of(&acme);
    for round in 0..5 {
        let mark = acme.member(&format!("mark{round}"), "manager");
        let replies: Vec<Reply> = std::thread::scope(|scope| {
            let write = |number: usize| {
                let (acme, mark) = (&acme, &mark);
                let name = format!("e{round}-{number}");
                scope.spawn(move || acme.call("POST", "environments", mark, &json!({"name": name})))
            };
            let mut threads: Vec<_> = (0..24).map(write).collect();
            let (acme, token) = (&acme, id(&mark));
            threads.push(scope.spawn(move || acme.delete(&format!("tokens/{token}")).expect(200)));
            threads.extend((24..48).map(write));
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let revoked = replies.iter().find(|reply| reply.status == 200).unwrap().json["revision"].as_u64().unwrap();
        for reply in &replies {
            match reply.status {
                200 => {}
                201 => assert!(reply.json["revision"].as_u64() < Some(revoked), "nothing of a revoked token follows"),
                429 => assert_eq!(reply.code(), "too_many_attempts"),
                _ => assert_eq!((reply.status, reply.code()), (401, "unauthenticated"), "{}", reply.text),
            }
        }
        let made = replies.iter().filter(|reply| reply.status == 201).count();
        let by_mark = verify(&acme.server, &workspace).iter().filter(|event| event["credential"] == id(&mark)).count();
        assert_eq!(by_mark, made, "what was refused was not written");
    }
}

#[test]
fn readers_see_their_writes_and_never_half_a_command() {
    let acme = Acme::new();
    acme.restricted("prod", "viewer");
    std::thread::scope(|scope| {
        let acme = &acme;
        scope.spawn(move || {
            for round in 0..20 {
                let user = format!("u{round}");
                let commands = json!([
                    {"type": "member.add", "user": user, "role": "member"},
                    {"type": "grant.set", "environment": "prod", "principal": format!("user:{user}"), "role": "contributor"},
                ]);
                acme.post("commands", &json!({"commands": commands})).expect(200);
                assert!(acme.allows(&format!("user:{user}"), "deploy", "app@prod"));
            }
        });
        scope.spawn(move || {
            for _ in 0..60 {
                let rows = acme.get("audit/access?environment=prod&limit=1000").expect(200).json["items"].clone();
                let plain = rows.as_array().unwrap().iter().filter(|row| row["role"] != "contributor").count();
                assert_eq!(plain, 0, "a member without their grant is half a command");
            }
        });
    });
}

/// Replaces a byte in the middle of an event, as a failing disk would.
fn damage(folder: &Path, workspace: &str, revision: u64) {
    let workspace: WorkspaceId = workspace.parse().unwrap();
    let store = rusqlite::Connection::open(folder.join("tenure.db")).unwrap();
    store.execute_batch("DROP TRIGGER events_are_never_updated").unwrap();
    let changed = store.execute(
        "UPDATE events SET event = CAST('{\"specversion\":\"1.0\",garbled' AS BLOB) WHERE workspace = ?1 AND revision = ?2",
        (workspace.uuid().as_bytes().as_slice(), i64::try_from(revision).unwrap()),
    );
    assert_eq!(changed.unwrap(), 1);
}

#[test]
fn a_damaged_workspace_names_the_damage_and_the_others_work() {
    let acme = Acme::new();
    let token = acme.proxy_token(Some(&["main"]));
    let workspace = workspace_of(&acme);
    let other = acme.server.post("/v1/workspaces", OPERATOR, &workspace_body("other", "shared", "team", "olga"));
    let olga = other.expect(201).credential("token");
    let Acme { server, alice } = acme;
    let server = server.restart_after(Arc::new(SystemClock), |folder| damage(folder, &workspace, 3));

    for (method, rest, credential, body) in [
        ("GET", "", alice.as_str(), Value::Null),
        ("GET", "/events", OPERATOR, Value::Null),
        ("POST", "/environments", OPERATOR, json!({"name": "dev"})),
        ("GET", "/proxy-auth/main", &token, Value::Null),
    ] {
        let target = format!("/v1/workspaces/{workspace}{rest}");
        let reply = server.call(method, &target, credential, &body).refused(500, "unreadable");
        let detail = reply.json["detail"].as_str().unwrap();
        assert!(detail.contains(&workspace) && detail.contains("revision 3"), "{detail}");
    }
    server.get("/v1/workspaces/other/events", &olga).expect(200);
    server.post("/v1/workspaces/other/environments", &olga, &json!({"name": "dev"})).expect(201);
    server.post("/v1/workspaces", OPERATOR, &workspace_body("third", "shared", "team", "theo")).expect(201);
    let listed = server.get("/v1/workspaces", OPERATOR).expect(200).json["items"].clone();
    assert_eq!(listed.as_array().unwrap().len(), 2, "what cannot be read is left out");
    server.send("GET", "/readyz", &[], None).expect(200);
}
