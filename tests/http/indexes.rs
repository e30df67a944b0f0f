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
use tenure::service::{Days, Quotas};

use crate::support::acme::{Acme, TestClock, id, path, question, workspace_body};
use crate::support::server::{OPERATOR, Reply, Server, signer};

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
    inspect(acme.server.service.log().as_ref(), Some(&signer()), SystemClock.now()).unwrap().flaws
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
    keep_a_record_in_every_scope(&acme);
    let acme = altered(&acme, "");
    assert_eq!(flaws(&acme), [""; 0]);
}

/// Sends a request with an idempotency key.
fn keyed(acme: &Acme, credential: &str, (method, path): (&str, &str), body: &Value) -> Reply {
    let authorization = format!("Bearer {credential}");
    let json = ("content-type", "application/json");
    let headers = [("authorization", authorization.as_str()), ("idempotency-key", "k"), json];
    let bytes = serde_json::to_vec(body).unwrap();
    acme.server.send(method, path, &headers, (!body.is_null()).then_some(&bytes))
}

fn keep_a_record_in_every_scope(acme: &Acme) {
    let workspaces = "/v1/workspaces";
    let body = workspace_body("leaving", "shared", "team", "olga");
    keyed(acme, OPERATOR, ("POST", workspaces), &body).expect(201);
    keyed(acme, OPERATOR, ("DELETE", &format!("{workspaces}/leaving")), &Value::Null).expect(200);
    let mo = acme.member("mo", "manager");
    for (credential, name) in [(OPERATOR, "one"), (&acme.alice, "two"), (&mo, "three")] {
        keyed(acme, credential, ("POST", &path("environments")), &json!({"name": name})).expect(201);
    }
    let profile = path("members/mo/profile");
    let mo = acme.post("members/mo/tokens", &Value::Null).expect(201).credential("token");
    keyed(acme, &acme.member("max", "manager"), ("PUT", &profile), &json!({"name": "Mo"})).expect(200);
    acme.call("GET", "", &mo, &Value::Null).expect(200);
}

/// A record beside the log that does not say what the log has is no record: the request is decided anew, and the key is good again.
#[test]
fn an_idempotency_record_is_believed_only_if_the_log_has_its_change() {
    let acme = Acme::new();
    let mark = acme.member("mark", "manager");
    acme.server.post("/v1/workspaces", OPERATOR, &workspace_body("other", "shared", "team", "olga")).expect(201);
    let workspace = |name: &str| {
        let reply = acme.server.get(&format!("/v1/workspaces/{name}"), OPERATOR).expect(200);
        reply.json["id"].as_str().unwrap().to_owned()
    };
    let (own, other) = (workspace("acme"), workspace("other"));
    acme.call("POST", "environments", &mark, &json!({"name": "of-mark"})).expect(201);
    let before = acme.head();
    // Two events of one command.
    let (request, body) = (("POST", path("service-users")), json!({"name": "ci"}));
    let request = (request.0, request.1.as_str());
    let first = keyed(&acme, &acme.alice, request, &body).expect(201);
    assert_eq!(acme.head(), before + 2);
    let place = |workspace: &str, revision: u64, ends: &str| {
        let instant = 1_772_323_200_000_000_u64;
        let json = format!(r#"{{"workspace":"{workspace}","revision":{revision},"instant":{instant},"ends":{ends}}}"#);
        format!("answer = CAST('{json}' AS BLOB)")
    };
    let old = r#"{"status":200,"location":null,"revision":6,"instant":1,"body":{"any":"body"}}"#;
    let cases = [
        ("another tenant's change", place(&other, 4, "[4]")),
        ("a change of another holder", place(&own, before, "[1]")),
        ("a part of a command", place(&own, before + 2, "[1]")),
        ("the first part of a command", place(&own, before + 1, "[1]")),
        ("two changes", place(&own, before + 2, "[3]")),
        ("more commands", place(&own, before + 2, "[1,2]")),
        ("fewer commands", place(&own, before + 2, "[]")),
        ("ends that fall", place(&own, before + 2, "[2,1,2]")),
        ("more events than there are", place(&own, before + 2, "[18446744073709551615]")),
        ("a revision that is not there", place(&own, 9_000_000_000_000_000_000, "[2]")),
        ("another workspace that never was", place("ws_00000000000000000000000001", 2, "[2]")),
        ("the form of an earlier version", format!("answer = CAST('{old}' AS BLOB)")),
        ("junk", "answer = x'00ff'".to_owned()),
        ("a write beside the log, without commands", "answer = x''".to_owned()),
        ("a number", "answer = 5".to_owned()),
        ("a text", format!("answer = '{old}'")),
        ("an instant that is none", "at = 'then'".to_owned()),
        ("a fingerprint of another length", "fingerprint = x'00'".to_owned()),
    ];
    for (what, alteration) in cases {
        let altered = altered(&acme, &format!("UPDATE answers SET {alteration} WHERE key = 'k'"));
        // Only the request has the number of its commands.
        let is_found = flaws(&altered).iter().any(|flaw| flaw.contains("`answers`"));
        assert_eq!(is_found, !what.ends_with(" commands"), "{what}: {:?}", flaws(&altered));
        let send = || keyed(&altered, &acme.alice, request, &body);
        send().refused(409, "already_exists");
        altered.delete("service-users/ci").expect(200);
        let made = send().expect(201);
        assert_ne!(made.json["service_user"]["id"], first.json["service_user"]["id"], "{what}");
        assert_eq!(send().expect(201).json["service_user"], made.json["service_user"], "{what}");
        assert_eq!(flaws(&altered), [""; 0], "{what}");
    }
    let unaltered = altered(&acme, "");
    let again = keyed(&unaltered, &acme.alice, request, &body).expect(201);
    assert_eq!(again.json["service_user"], first.json["service_user"]);
}

/// The records of the scopes of the instance and of a name are no less compared with the log.
#[test]
fn an_idempotency_record_of_another_place_is_no_record() {
    let acme = Acme::new();
    let workspaces = "/v1/workspaces";
    let leaving = format!("{workspaces}/leaving");
    let create = || workspace_body("leaving", "shared", "team", "olga");
    keyed(&acme, OPERATOR, ("POST", workspaces), &create()).expect(201);
    keyed(&acme, OPERATOR, ("DELETE", &leaving), &Value::Null).expect(200);
    let own = acme.get("").expect(200).json["id"].as_str().unwrap().to_owned();
    let (delete, post) = (("DELETE", leaving.as_str()), ("POST", workspaces));
    let replace = |scope: &str, from: &str, to: &str| {
        format!(
            "UPDATE answers SET answer = CAST(replace(answer, {from}, '{to}') AS BLOB) WHERE scope LIKE '{scope} %'"
        )
    };
    let of = "(SELECT json_extract(CAST(answer AS TEXT), '$.workspace') FROM answers WHERE scope LIKE 'name %')";
    let altered_name = altered(&acme, &replace("name", of, &own));
    assert_found(&altered_name, &["`answers` has a record in the scope `name leaving operator`"]);
    keyed(&altered_name, OPERATOR, delete, &Value::Null).refused(404, "not_found");
    let altered_instance = altered(&acme, &replace("instance", r#"'"revision":4'"#, r#""revision":5"#));
    assert_found(&altered_instance, &["`answers` has a record in the scope `instance operator`"]);
    keyed(&altered_instance, OPERATOR, post, &create()).expect(201);
    let other_name = "UPDATE answers SET scope = 'name gone operator' WHERE scope LIKE 'name %'";
    let acme = altered(&acme, other_name);
    assert_found(&acme, &["`answers` has a record in the scope `name gone operator`"]);
    for scope in ["nowhere operator", "name operator", "instance nobody", "instance"] {
        let acme = altered(&acme, &format!("UPDATE answers SET scope = '{scope}' WHERE scope LIKE 'name %'"));
        assert_found(&acme, &["a row of `answers` cannot be read", scope]);
    }
}

/// The rows are about the whole instance, and are altered in every way that an attack found.
#[test]
fn an_alteration_of_the_rows_of_the_instance_is_found() {
    let acme = Acme::new();
    let (bob, key) = (acme.member("bob", "manager"), acme.access_key("auditor"));
    for _ in 0..16 {
        acme.call("GET", "events", &key, &Value::Null).expect(200);
        acme.patch("members/bob", &json!({"role": "member"})).expect(200);
        acme.patch("members/bob", &json!({"role": "manager"})).expect(200);
    }
    acme.call("GET", "", &bob, &Value::Null).expect(200);
    acme.server.block_on(acme.server.service.run_maintenance()).unwrap();
    let freed = "DROP TRIGGER events_are_never_updated; DROP TRIGGER audit_reads_are_never_updated;
                 DROP TRIGGER audit_reads_are_pruned_from_the_oldest; DROP TRIGGER log_keys_are_never_updated;
                 DROP TRIGGER log_keys_are_never_deleted;";
    assert_eq!(flaws(&altered(&acme, freed)), [""; 0]);
    let day = 86_400_000_000_i64;
    let swap =
        "UPDATE events SET position = 1000 WHERE position = 3; UPDATE events SET position = 3 WHERE position = 5;
                UPDATE events SET position = 5 WHERE position = 1000";
    let cases = [
        (swap.to_owned(), "`events` has revision 4 at the position 4, and the one before at 5"),
        ("UPDATE events SET position = position + 1000000 WHERE position > 5".to_owned(), "the last one has the position 10000"),
        (
            "UPDATE events SET position = 9223372036854775807 WHERE position = (SELECT max(position) FROM events)".to_owned(),
            "the last one has the position 9223372036854775807",
        ),
        ("DELETE FROM audit_reads WHERE sequence = 5".to_owned(), "`audit_reads` has nothing between 4 and 6"),
        ("DELETE FROM audit_reads WHERE sequence < 5".to_owned(), "`audit_reads` begins at 5, and no pruning of it is recorded"),
        (format!("UPDATE audit_reads SET at = at + 2 * {day}"), "is in the future"),
        ("INSERT INTO log_keys (key, at) VALUES (randomblob(32), 0)".to_owned(), "the key of the data folder is"),
        (
            "INSERT INTO log_keys (key, at) VALUES (randomblob(32), 0); INSERT INTO log_keys (key, at) VALUES (randomblob(32), 1)".to_owned(),
            "no signed record makes it follow the one before",
        ),
        ("INSERT INTO log_keys (key, at, note) VALUES (randomblob(32), 0, 'x')".to_owned(), "no signed record makes it follow"),
        ("INSERT INTO log_keys (key, at) VALUES (x'00', 0)".to_owned(), "a row of `log_keys` cannot be read"),
        ("DELETE FROM trees".to_owned(), "`trees` has no edge of the tree of"),
        (format!("UPDATE credential_uses SET at = at + {day}"), "`credential_uses` has a use of tok_"),
        ("UPDATE credential_uses SET at = 'x'".to_owned(), "a row of `credential_uses` cannot be read"),
    ];
    for (sql, words) in cases {
        assert_found(&altered(&acme, &format!("{freed} {sql}")), &[words]);
    }
}

/// The service itself reads nothing: all that it may have in the journal is the record that it was pruned.
#[test]
fn a_record_of_a_pruning_is_the_systems_own_and_the_journal_is_whole_from_the_first_read_that_is_left() {
    let clock = TestClock::start();
    let quotas = Quotas { journal: Some(Days(30)), ..Quotas::default() };
    let acme = Acme::on(Server::with_quotas(quotas, clock.clone()));
    let read = || acme.call("GET", "events", OPERATOR, &Value::Null).expect(200);
    for _ in 0..3 {
        read();
        clock.pass(20 * 86_400_000_000);
        acme.server.block_on(acme.server.service.run_maintenance()).unwrap();
    }
    (0..3).for_each(|_| drop(read()));
    let freed = "DROP TRIGGER audit_reads_are_never_updated; DROP TRIGGER audit_reads_are_counted_once;
                 DROP TRIGGER audit_reads_are_pruned_from_the_oldest;";
    let altered = |sql: &str| altered_at(&acme, clock.clone(), &format!("{freed} {sql}"));
    assert_eq!(flaws(&altered("")), [""; 0]);
    for alteration in [
        "question = 'audit/access'",
        "request = 'x'",
        "query = 'before=2020-01-01T00:00:00.000000Z'",
        "view_at = at + 1",
        "form = 'csv'",
        "rows = 0",
        "token = 'tok_00000000000000000000000001'",
    ] {
        let acme = altered(&format!("UPDATE audit_reads SET {alteration} WHERE reader = 'system'"));
        assert_found(&acme, &["by `system`, who could not have asked"]);
    }
    let system = "UPDATE audit_reads SET reader = 'system' WHERE sequence = (SELECT max(sequence) FROM audit_reads)";
    assert_found(&altered(system), &["by `system`, who could not have asked"]);
    let one_less = "DELETE FROM audit_reads WHERE sequence = (SELECT max(sequence) - 1 FROM audit_reads)";
    assert_found(&altered(one_less), &["`audit_reads` has nothing between"]);
    assert_found(&altered("DELETE FROM audit_reads WHERE reader = 'system'"), &["`audit_reads`"]);
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
