//! The limits on the writes of a request and a holder, and long reasons that are stored once.

use rusqlite::Connection;
use serde_json::{Value, json};
use tenure::service::{Days, Quotas, Rate};

use crate::support::acme::{Acme, TestClock, path};
use crate::support::server::{OPERATOR, Reply, Server};

const MICROS_OF_A_DAY: i64 = 24 * 3_600 * 1_000_000;

fn batch(commands: &[Value]) -> Value {
    json!({ "commands": commands })
}

fn members(names: std::ops::Range<usize>) -> Value {
    batch(&names.map(|n| json!({"type": "member.add", "user": format!("u{n}"), "role": "member"})).collect::<Vec<_>>())
}

fn keyed(acme: &Acme, key: &str, rest: &str, body: &Value) -> Reply {
    let (authorization, bytes) = (format!("Bearer {}", acme.alice), serde_json::to_vec(body).unwrap());
    let headers =
        [("authorization", authorization.as_str()), ("idempotency-key", key), ("content-type", "application/json")];
    acme.server.send("POST", &path(rest), &headers, Some(&bytes))
}

#[test]
fn a_long_reason_is_stored_with_the_first_events_of_a_command_and_shown_for_all() {
    let acme = Acme::new();
    let reason = "r".repeat(1_000);
    acme.post(&format!("commands?reason={reason}"), &members(0..20)).expect(200);
    acme.post("commands?reason=HR-7", &members(20..60)).expect(200);
    let events = acme.get("events?type=member.added&limit=100").expect(200).json["items"].as_array().unwrap().clone();
    let told: Vec<_> =
        events.iter().map(|event| event.get("reason").map(|reason| reason.as_str().unwrap().len())).collect();
    let by = |from: usize, until: usize, len| told[from..until].iter().all(|told| *told == len);
    assert!(by(1, 6, Some(1_000)) && by(6, 21, None) && by(21, 61, Some(4)), "{told:?}");
    for user in ["u0", "u4", "u19"] {
        let question = json!({"subject": {"type": "user", "id": user}, "action": {"name": "deploy"},
            "resource": {"type": "environment", "id": "main"}});
        let explained = acme.ask_as(&acme.alice, "?explain=true", &question).expect(200);
        let evidence = explained.json.pointer("/context/evidence").unwrap().as_array().unwrap().clone();
        let event = evidence.iter().find(|event| event["type"] == "member.added.v1").unwrap();
        assert_eq!(event["reason"], reason.as_str(), "{user}");
        let elsewhere = user == "u19";
        assert_eq!(event.get("reason_revision").is_some(), elsewhere, "{user}");
        if elsewhere {
            assert_eq!(event["reason_revision"], events[1]["revision"]);
        }
        let spans = acme.get(&format!("audit/tenures?environment=main&principal=user:{user}")).expect(200);
        assert!(spans.text.contains(&reason), "{user}: {}", spans.text);
    }
    let rows = acme.get("reports/changes?from=2020-01-01T00:00:00Z").expect(200);
    let rows = rows.json["items"].as_array().unwrap().clone();
    let with_reason = rows.iter().filter(|row| row["reason"] == reason.as_str()).count();
    assert_eq!(with_reason, 20);
    let joiners = acme.get("reports/joiners?from=2020-01-01T00:00:00Z").expect(200).json;
    let joined = |row: &&Value| row["reason"] == reason.as_str();
    assert_eq!(joiners["items"].as_array().unwrap().iter().filter(joined).count(), 20);
}

#[test]
fn the_writes_of_a_request_are_limited_by_its_size_except_for_what_one_command_ends() {
    let acme = Acme::new();
    acme.post("commands", &members(0..250)).expect(200);
    for name in ["one", "two"] {
        let grants: Vec<_> =
            (0..250).map(|n| json!({"principal": format!("user:u{n}"), "role": "contributor"})).collect();
        acme.post("environments", &json!({"name": name, "restricted": true, "grants": grants})).expect(201);
    }
    let head = acme.head();
    let end = |name: &str| json!({"type": "environment.delete", "environment": name});
    let refused = acme.post("commands", &batch(&[end("one"), end("two")])).refused(422, "too_large");
    let detail = refused.json["detail"].as_str().unwrap();
    assert!(detail.starts_with("commands[") && detail.ends_with("send its commands in several requests"), "{detail}");
    keyed(&acme, "k", "commands", &batch(&[end("one"), end("two")])).refused(422, "too_large");
    assert_eq!(acme.head(), head, "nothing of it was written");
    acme.post("commands", &batch(&[end("one")])).expect(200);
    acme.delete("environments/two").expect(200);
    assert!(acme.head() >= head + 500);
}

#[test]
fn an_idempotency_record_is_small_and_reproduces_the_response() {
    let acme = Acme::new();
    acme.restricted("prod", "viewer");
    let commands: Vec<_> = (0..300)
        .map(|n| match n % 3 {
            0 => json!({"type": "member.add", "user": format!("u{n}"), "role": "member", "name": "A Person"}),
            1 => json!({"type": "service_user.create", "name": format!("bot-{n}")}),
            _ => json!({"type": "token.issue", "user": format!("u{}", n - 2)}),
        })
        .collect();
    let first = keyed(&acme, "k", "commands?reason=HR-1", &batch(&commands)).expect(200);
    acme.post("commands", &members(1_000..1_010)).expect(200);
    acme.delete("members/u0").expect(200);
    acme.patch("environments/prod", &json!({"name": "production"})).expect(200);
    let sizes = "SELECT length(answer) FROM answers WHERE key = 'k'";
    let store = Connection::open(acme.server.folder().join("tenure.db")).unwrap();
    let size: i64 = store.query_row(sizes, [], |row| row.get(0)).unwrap();
    assert!(size < 4_096 && first.bytes.len() > 100_000, "{size} of {}", first.bytes.len());
    drop(store);
    let acme = acme.restart();
    let again = keyed(&acme, "k", "commands?reason=HR-1", &batch(&commands)).expect(200);
    // Except secrets, profiles and the newest checkpoint.
    let mut expected = first.json;
    for result in expected["results"].as_array_mut().unwrap() {
        let result = result.as_object_mut().unwrap();
        if let Some(token) = result.get_mut("token") {
            token["secret"] = Value::Null;
        }
        if let Some(member) = result.get_mut("member") {
            member.as_object_mut().unwrap().remove("name");
        }
    }
    expected["checkpoint"] = again.json["checkpoint"].clone();
    assert_eq!(again.json, expected);
    let events = |text: &str| text[text.find("\"events\"").unwrap()..text.find("\"results\"").unwrap()].to_owned();
    assert_eq!(events(&again.text), events(&first.text), "byte for byte");
}

#[track_caller]
fn too_fast(reply: Reply) {
    let reply = reply.refused(429, "too_many_requests");
    let wait: u64 = reply.header("retry-after").unwrap().parse().unwrap();
    let detail = reply.json["detail"].as_str().unwrap();
    assert!(wait > 0 && detail.ends_with(&format!("try again in {wait} s")), "{detail}");
}

#[test]
fn a_holder_that_changes_too_much_waits_and_others_do_not() {
    let quotas = Quotas { changes: Rate { per_second: 1, burst: 40 }, ..Quotas::default() };
    let acme = Acme::on(Server::with_quotas(quotas, TestClock::start()));
    let operator = |rest: &str, body: &Value| acme.call("POST", rest, OPERATOR, body);
    operator("members", &json!({"user": "mo", "role": "manager"})).expect(201);
    let mo = [(); 2].map(|()| operator("members/mo/tokens", &Value::Null).expect(201).credential("token"));
    acme.call("POST", "commands", &mo[0], &members(0..35)).expect(200);
    too_fast(acme.call("POST", "commands", &mo[0], &members(40..60)));
    too_fast(acme.call("POST", "commands", &mo[1], &members(40..60)));
    let profile = |user: &str| acme.call("PUT", &format!("members/{user}/profile"), &mo[1], &json!({"name": "x"}));
    assert!((0..10).any(|n| profile(&format!("u{n}")).status == 429), "what is written beside the log counts too");
    too_fast(acme.call("POST", "environments", &mo[0], &json!({"name": "staging"})));
    acme.call("POST", "commands", &acme.alice, &members(100..120)).expect(200);
    operator("commands", &members(200..300)).expect(200);
    acme.call("GET", "members", &mo[0], &Value::Null).expect(200);
    // Refused requests are charged too.
    let forbidden = batch(&[json!({"type": "plan.change", "plan": "enterprise"})]);
    assert!((0..40).any(|_| acme.post("commands", &forbidden).status == 429));
}

#[test]
fn a_holder_that_reads_the_audit_too_often_waits_and_others_do_not() {
    let quotas = Quotas { reads: Rate { per_second: 1, burst: 10 }, ..Quotas::default() };
    let acme = Acme::on(Server::with_quotas(quotas, TestClock::start()));
    let auditor = acme.access_key("auditor");
    let ask = |who: &str, rest: &str| acme.call("GET", rest, who, &Value::Null);
    let questions = ["audit/access?environment=main", "events", "audit/reads", "reports/roster"];
    let answers: Vec<_> = (0..20).map(|n| ask(&auditor, questions[n % 4])).collect();
    assert!(answers[..10].iter().all(|answer| answer.status == 200), "{:?}", answers[..10].iter().map(|a| a.status));
    too_fast(answers.into_iter().find(|answer| answer.status != 200).unwrap());
    ask(&acme.alice, "audit/access?environment=main").expect(200);
    (0..40).for_each(|_| drop(ask(OPERATOR, "audit/access?environment=main").expect(200)));
}

#[test]
fn the_journal_is_pruned_after_its_retention_and_records_it() {
    let quotas = Quotas { journal: Some(Days(30)), ..Quotas::default() };
    let clock = TestClock::start();
    let acme = Acme::on(Server::with_quotas(quotas, clock.clone()));
    let ask = |rest: &str| acme.get(rest).expect(200);
    let run_maintenance = || acme.server.block_on(acme.server.service.run_maintenance()).unwrap();
    (0..3).for_each(|_| drop(ask("audit/access?environment=main")));
    clock.pass(20 * MICROS_OF_A_DAY);
    ask("audit/credentials");
    clock.pass(10 * MICROS_OF_A_DAY);
    run_maintenance();
    let reads =
        |query: &str| acme.call("GET", &format!("audit/reads?limit=1000{query}"), OPERATOR, &Value::Null).expect(200);
    assert_eq!(reads("").json["items"].as_array().unwrap().len(), 4, "a day is forgotten when all of it is old");
    clock.pass(MICROS_OF_A_DAY);
    run_maintenance();
    let left = reads("").json["items"].as_array().unwrap().clone();
    let asked: Vec<_> = left.iter().map(|read| read["question"].as_str().unwrap()).collect();
    assert_eq!(asked, ["audit/credentials", "audit/reads", "audit/reads/pruned"]);
    let record = reads("&actor=system").json["items"][0].clone();
    assert_eq!(
        (&record["actor"], &record["credential"], &record["rows"]),
        (&json!("system"), &json!("system"), &json!(3))
    );
    assert_eq!(record["query"], "before=2026-03-02T00:00:00.000000Z");
    run_maintenance();
    assert_eq!(
        reads("&actor=system").json["items"].as_array().unwrap().len(),
        1,
        "what is forgotten is forgotten once"
    );
}

/// The ways to make one more credential, each of a kind of its own, and as a command of a batch.
fn makers(n: usize) -> [(&'static str, Value); 5] {
    let robot = format!("robot-{n}");
    [
        ("members/mo/tokens", json!({})),
        ("service-users", json!({"name": robot})),
        ("proxy-tokens", json!({})),
        ("access-keys", json!({"role": "auditor", "label": "x"})),
        (
            "commands",
            batch(&[
                json!({"type": "member.add", "user": robot, "role": "member"}),
                json!({"type": "token.issue", "user": "mo"}),
            ]),
        ),
    ]
}

#[test]
fn one_person_can_have_issued_only_so_many_live_credentials_of_all_kinds() {
    let clock = TestClock::start();
    let acme = Acme::on(Server::with_quotas(Quotas { issued: 5, ..Quotas::default() }, clock.clone()));
    let operator = |method: &str, rest: &str, body: &Value| acme.call(method, rest, OPERATOR, body);
    operator("POST", "members", &json!({"user": "mo", "role": "manager"})).expect(201);
    operator("POST", "members", &json!({"user": "bob", "role": "member"})).expect(201);
    let mo = operator("POST", "members/mo/tokens", &json!({})).expect(201).credential("token");
    let bob = operator("POST", "members/bob/tokens", &json!({})).expect(201).credential("token");
    let end = "2026-03-01T00:01:00Z";
    let first = acme.call("POST", "access-keys", &mo, &json!({"role": "auditor", "label": "x", "expires_at": end}));
    let first = first.expect(201).credential("access_key");
    for (route, body) in &makers(0)[..4] {
        acme.call("POST", route, &mo, body).expect(201);
    }
    let is_full = |n| {
        for (route, body) in makers(n) {
            let refused = acme.call("POST", route, &mo, &body).refused(422, "too_large");
            let detail = refused.json["detail"].as_str().unwrap();
            let index = if route == "commands" { "commands[1]: " } else { "" };
            let sentence = "the limit of 5 live tokens and keys that one person issued is reached";
            assert_eq!(detail, format!("{index}{sentence}"), "{route}");
        }
    };
    is_full(1);
    acme.call("POST", "access-keys", &bob, &json!({"role": "auditor", "label": "x"})).refused(403, "forbidden");
    acme.call("POST", "members", &mo, &json!({"user": "eve", "role": "member"})).expect(201);
    for credential in [OPERATOR, &acme.alice] {
        acme.call("POST", "members/bob/tokens", credential, &json!({})).expect(201);
    }
    let (key, _) = first.split_once('.').unwrap();
    acme.call("DELETE", &format!("access-keys/{key}"), &mo, &Value::Null).expect(200);
    acme.call("POST", "access-keys", &mo, &json!({"role": "auditor", "label": "x", "expires_at": end})).expect(201);
    is_full(2);
    clock.pass(2 * 60 * 1_000_000);
    acme.call("POST", "proxy-tokens", &mo, &json!({})).expect(201);
    is_full(3);
}
