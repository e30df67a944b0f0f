//! The tables beside the log are only indexes: altering one gives an error or less access, never more.

use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;
use serde_json::{Value, json};
use tenure::clock::{Clock, SystemClock};
use tenure::domain::model::time::Revision;
use tenure::log::sqlite::SqliteLog;
use tenure::log::{Append, EventLog, Outcome};
use tenure::service::inspect::inspect;

use crate::support::acme::{Acme, TestClock, id, question, workspace_body};
use crate::support::server::{OPERATOR, signer};

/// Starts another server on a copy of the store that `alter` changed from outside.
fn altered(acme: &Acme, sql: &str) -> Acme {
    altered_at(acme, Arc::new(SystemClock), sql)
}

fn altered_at(acme: &Acme, clock: Arc<dyn Clock>, sql: &str) -> Acme {
    let alter = |folder: &Path| Connection::open(folder.join("tenure.db")).unwrap().execute_batch(sql).unwrap();
    Acme { server: acme.server.on_copy(clock, alter), alice: acme.alice.clone() }
}

/// Returns the differences between the store and its logs.
fn flaws(acme: &Acme) -> Vec<String> {
    inspect(acme.server.service.log().as_ref(), Some(&signer())).unwrap().flaws
}

#[track_caller]
fn assert_found(acme: &Acme, words: &[&str]) {
    let flaws = flaws(acme);
    assert!(flaws.iter().any(|flaw| words.iter().all(|word| flaw.contains(word))), "{words:?}: {flaws:?}");
}

fn token(acme: &Acme, user: &str) -> String {
    acme.post(&format!("members/{user}/tokens"), &Value::Null).expect(201).credential("token")
}

#[test]
fn an_unaltered_store_verifies() {
    let acme = Acme::new();
    acme.member("bob", "member");
    acme.restricted("prod", "viewer");
    acme.grant("prod", "user:bob", "contributor");
    let (bob, key) = (token(&acme, "bob"), acme.access_key("auditor"));
    acme.proxy_token(Some(&["prod"]));
    acme.put("members/bob/profile", &json!({"name": "Bob"})).expect(200);
    acme.call("GET", "events", &key, &Value::Null).expect(200);
    acme.call("GET", "", &bob, &Value::Null).expect(200);
    acme.server.post("/v1/workspaces", OPERATOR, &workspace_body("other", "shared", "team", "olga")).expect(201);
    acme.server.delete("/v1/workspaces/other", OPERATOR).expect(200);
    let acme = altered(&acme, "");
    assert_eq!(flaws(&acme), [""; 0]);
}

#[test]
fn the_holder_of_a_credential_comes_from_its_event() {
    let acme = Acme::new();
    acme.member("bob", "member");
    acme.member("rob", "manager");
    let (bob, evaluator) = (token(&acme, "bob"), acme.access_key("evaluator"));
    let (token, key) = (id(&bob).to_owned(), id(&evaluator).to_owned());
    for holder in ["user:rob", "user:alice", "access_key:auditor", "proxy_token"] {
        for (id, member) in [(&token, true), (&key, false)] {
            let sql = format!("UPDATE credentials SET holder = '{holder}' WHERE id = '{id}'");
            let acme = altered(&acme, &sql);
            let add = json!({"user": "eve", "role": "member"});
            let credential = if member { &bob } else { &evaluator };
            acme.call("POST", "members", credential, &add).refused(403, "forbidden");
            acme.call("GET", "events", credential, &Value::Null).refused(403, "forbidden");
            assert_found(&acme, &[id, "another holder"]);
        }
    }
}

#[test]
fn the_power_of_a_secret_comes_from_its_event() {
    let acme = Acme::new();
    acme.member("bob", "member");
    let (bob, web, other) = (token(&acme, "bob"), acme.proxy_token(Some(&["main"])), acme.proxy_token(Some(&["main"])));
    let key = acme.access_key("auditor");
    let secret = |credential: &str| credential.split_once('.').unwrap().1.to_owned();
    for (taken, own) in [(&acme.alice, &bob), (&key, &bob), (&web, &other)] {
        let (taken_id, own_id) = (id(taken), id(own));
        let sql = format!(
            "UPDATE credentials SET sha256 = (SELECT sha256 FROM credentials WHERE id = '{own_id}') WHERE id = '{taken_id}'"
        );
        let acme = altered(&acme, &sql);
        let forged = format!("{taken_id}.{}", secret(own));
        if taken == &web {
            acme.proxy("main", &forged).refused(401, "unauthenticated");
        } else {
            acme.call("GET", "", &forged, &Value::Null).refused(401, "unauthenticated");
        }
        assert_found(&acme, &[taken_id, "another digest"]);
    }
}

#[test]
fn a_credential_is_valid_in_its_own_workspace_whatever_the_directory_says() {
    let acme = Acme::new();
    acme.member("bob", "member");
    let bob = token(&acme, "bob");
    acme.server.post("/v1/workspaces", OPERATOR, &workspace_body("other", "shared", "team", "bob")).expect(201);
    let sql = format!(
        "UPDATE credentials SET workspace = (SELECT workspace FROM names WHERE name = 'other') WHERE id = '{}'",
        id(&bob)
    );
    let acme = altered(&acme, &sql);
    acme.server.get("/v1/workspaces/other", &bob).refused(401, "unauthenticated");
    acme.call("GET", "", &bob, &Value::Null).refused(401, "unauthenticated");
    assert_found(&acme, &["leads", id(&bob), "made no such credential"]);
    assert_found(&acme, &["does not have", id(&bob)]);
}

#[test]
fn a_name_resolves_only_to_a_workspace_that_has_it() {
    let acme = Acme::new();
    let made = acme.server.post("/v1/workspaces", OPERATOR, &workspace_body("other", "shared", "team", "olga"));
    let other = made.expect(201).json["workspace"]["id"].as_str().unwrap().to_owned();
    let own = acme.get("").expect(200).json["id"].as_str().unwrap().to_owned();
    let swap = "UPDATE names SET name = 'swapping' WHERE name = 'acme';
                UPDATE names SET name = 'acme' WHERE name = 'other';
                UPDATE names SET name = 'other' WHERE name = 'swapping'";
    for sql in [swap, "UPDATE names SET name = 'acne' WHERE name = 'acme'"] {
        let acme = altered(&acme, sql);
        let misled = if sql == swap { "acme" } else { "acne" };
        for path in ["", "/members", "/events", "/log/checkpoint"] {
            let reply = acme.server.get(&format!("/v1/workspaces/{misled}{path}"), OPERATOR).refused(500, "unreadable");
            assert!(reply.text.contains("tenure verify --data") && reply.text.contains(misled), "{}", reply.text);
        }
        let ask = question("user:alice", "read", "app@main");
        let path = format!("/v1/workspaces/{misled}/access/v1/evaluation");
        acme.server.post(&path, OPERATOR, &ask).refused(500, "unreadable");
        for id in [&own, &other] {
            acme.server.get(&format!("/v1/workspaces/{id}"), OPERATOR).expect(200);
        }
        assert_found(&acme, &["`names` leads", misled]);
        assert_found(&acme, &["`names` does not lead `acme`"]);
    }
}

/// Expiry works whatever the index of next expiries says.
#[test]
fn expiry_does_not_depend_on_the_stores_index() {
    for sql in ["DELETE FROM next_expiries", "UPDATE next_expiries SET at = at + 1000000000000"] {
        let clock = TestClock::start();
        let acme = Acme::with_clock(clock.clone());
        acme.member("bob", "member");
        acme.restricted("prod", "viewer");
        let end = "2026-03-02T00:00:00Z";
        acme.put("environments/prod/grants/user:bob", &json!({"role": "contributor", "expires_at": end})).expect(200);
        let bob = acme.post("members/bob/tokens", &json!({"expires_at": end})).expect(201).credential("token");
        let acme = altered_at(&acme, clock.clone(), sql);
        assert_found(&acme, &["`next_expiries` has", "something in it expires at"]);
        assert!(acme.allows("user:bob", "deploy", "app@prod"));
        clock.set(end);
        assert!(!acme.allows("user:bob", "deploy", "app@prod"), "{sql}");
        acme.call("GET", "", &bob, &Value::Null).refused(401, "unauthenticated");
        acme.get("environments/prod/grants/user:bob").refused(404, "not_found");
        acme.environment("dev");
        let expired = acme.events().into_iter().filter(|event| event["type"].as_str().unwrap().contains(".expired."));
        assert_eq!(expired.count(), 2, "{sql}");
        assert_eq!(flaws(&acme), [""; 0], "the next change tells the store");
    }
}

/// The key was revoked beside the log, since a deleted workspace takes no more events.
#[test]
fn an_access_key_of_a_deleted_workspace_that_was_forgotten_stays_so() {
    let acme = Acme::new();
    let (kept, forgotten) = (acme.access_key("auditor"), acme.access_key("auditor"));
    let workspace = acme.get("").expect(200).json["id"].as_str().unwrap().to_owned();
    let path = |rest: &str| format!("/v1/workspaces/{workspace}{rest}");
    acme.delete("").expect(200);
    acme.server.get(&path("/events"), &forgotten).expect(200);
    acme.server.delete(&path(&format!("/access-keys/{}", id(&forgotten))), OPERATOR).expect(200);
    let restored = altered(&acme, "");
    for acme in [&restored, &acme] {
        acme.server.get(&path("/events"), &forgotten).refused(401, "unauthenticated");
        acme.server.get(&path("/events"), &kept).expect(200);
        assert_eq!(flaws(acme), [""; 0]);
    }
}

/// The event is well formed, in its tree, and of a manager; only its credential is not the manager's.
#[test]
fn an_event_whose_actor_could_not_hold_its_credential_is_found() {
    let acme = Acme::new();
    acme.member("rob", "manager");
    let (rob, revoked) = (token(&acme, "rob"), token(&acme, "rob"));
    acme.delete(&format!("tokens/{}", id(&revoked))).expect(200);
    acme.call("POST", "members", &rob, &json!({"user": "ann", "role": "member"})).expect(201);
    let stored = acme.server.service.log();
    let workspace = acme.get("").expect(200).json["id"].as_str().unwrap().parse().unwrap();
    let head = Revision(acme.head());
    let last = stored.read(workspace, Revision(head.0 - 1), 1).unwrap().remove(0);
    let text = String::from_utf8(last.bytes).unwrap();
    let made = text
        .replace("user:ann", "user:eve")
        .replace(&format!("\"revision\":{head}"), &format!("\"revision\":{}", head.next()));
    let made = made.replace("\"command\":\"cmd_0", "\"command\":\"cmd_1").replace("\"id\":\"evt_0", "\"id\":\"evt_1");
    let later = |text: &str| {
        let time = text.split("\"time\":\"").nth(1).unwrap().split('"').next().unwrap();
        text.replace(time, "2100-01-01T00:00:00.000000Z")
    };
    let held = format!("\"credential\":\"{}\"", id(&rob));
    let with = |credential: &str| later(&made).replace(&held, credential);
    let cases = [
        (later(&made), None),
        (with(&format!("\"credential\":\"{}\"", id(&acme.alice))), Some("is a token of `user:alice`")),
        (with(&format!("\"credential\":\"{}\"", id(&revoked))), Some("had ended")),
        (with("\"credential\":\"tok_00000000000000000000000001\""), Some("made no tok_")),
        (with("\"credential\":\"operator\""), Some("its credential is `operator`")),
        (later(&made).replace(&format!("{held},"), ""), Some("its credential is `none`")),
        (later(&made).replace("\"actor\":\"user:rob\"", "\"actor\":\"operator\""), Some("its actor is `operator`")),
        (later(&made).replace("\"actor\":\"user:rob\"", "\"actor\":\"system\""), Some("its actor is `system`")),
    ];
    for (event, found) in cases {
        let append = |folder: &Path| {
            let part =
                Append { workspace, expected: head, events: vec![event.clone().into_bytes()], side_writes: Vec::new() };
            assert_eq!(SqliteLog::open(folder).unwrap().append(&[part]).unwrap().outcomes, [Outcome::Appended]);
        };
        let forged = Acme { server: acme.server.on_copy(Arc::new(SystemClock), append), alice: acme.alice.clone() };
        match found {
            None => assert_eq!(flaws(&forged), [""; 0]),
            Some(why) => assert_found(&forged, &[&format!("revision {}", head.next()), why]),
        }
    }
}

#[test]
fn a_read_of_the_journal_by_who_could_not_have_asked_is_found() {
    let acme = Acme::new();
    acme.member("rob", "manager");
    let rob = token(&acme, "rob");
    acme.call("GET", "events", &rob, &Value::Null).expect(200);
    assert_eq!(flaws(&altered(&acme, "")), [""; 0]);
    let no_triggers = "DROP TRIGGER audit_reads_are_never_updated;";
    for (sql, words) in [
        ("UPDATE audit_reads SET reader = 'user:alice'", "by `user:alice`, who could not have asked"),
        ("UPDATE audit_reads SET reader = 'operator'", "by `operator`, who could not have asked"),
        ("UPDATE audit_reads SET token = NULL", "by `user:rob`, who could not have asked"),
        ("UPDATE audit_reads SET revision = 1000", "is of revision 1000"),
        ("UPDATE audit_reads SET reader = 'nobody'", "a row of `audit_reads` cannot be read"),
    ] {
        assert_found(&altered(&acme, &format!("{no_triggers} {sql}")), &[words]);
    }
}
