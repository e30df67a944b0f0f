//! The journal records reads of the audit: the reader, the question and the number of rows.

use std::sync::Arc;

use rusqlite::Connection;
use serde_json::{Value, json};
use tenure::domain::model::principal::Caller;
use tenure::domain::model::time::{Instant, Revision};
use tenure::http::journal::Recording;
use tenure::log::journal::{AnswerForm, AuditReader, QUESTION_BYTES_MAX, ReadRecord};
use tenure::log::sqlite::SqliteLog;
use tenure::log::{LogError, ReadJournal};
use tenure::service::submission::SubmitError;

use crate::support::acme::{Acme, TestClock, id, path, workspace_body};
use crate::support::server::{OPERATOR, Reply, Server};

const READS: &str = "audit/reads?limit=1000";

/// Returns the reads, as the operator sees them.
#[track_caller]
fn items(acme: &Acme, rest: &str) -> Vec<Value> {
    let reply = acme.call("GET", rest, OPERATOR, &Value::Null).expect(200);
    reply.json["items"].as_array().unwrap().clone()
}

/// Returns `ACTOR QUESTION ROWS` of each read.
fn summary(items: &[Value]) -> Vec<String> {
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let line = |item: &Value| ["actor", "question", "rows"].map(|field| plain(&item[field])).join(" ");
    items.iter().map(line).collect()
}

/// Breaks or repairs the store's journal from outside.
fn sql(server: &Server, sql: &str) {
    Connection::open(server.folder().join("tenure.db")).unwrap().execute_batch(sql).unwrap();
}

const FAULT: &str = "CREATE TRIGGER fault BEFORE INSERT ON audit_reads BEGIN SELECT RAISE(ABORT, 'a fault'); END";

/// Returns the text of every file in the server's folder.
fn stored(server: &Server) -> String {
    let files = std::fs::read_dir(server.folder()).unwrap().map(|file| file.unwrap().path());
    let files = files.filter(|path| path.is_file()).map(|path| std::fs::read(path).unwrap());
    files.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).collect()
}

#[test]
fn each_read_is_recorded_with_its_reader_question_and_rows() {
    let clock = TestClock::start();
    let acme = Acme::with_clock(clock.clone());
    acme.restricted("prod", "viewer");
    clock.set("2026-03-02T10:00:00Z");
    let authorization = format!("Bearer {}", acme.alice);
    let headers = [("authorization", authorization.as_str()), ("x-request-id", "audit-of-march")];
    let asked = path("audit/access?principal=user:alice&environment=%70rod&at=4");
    let answer = acme.server.send("GET", &asked, &headers, None).expect(200);
    let rows = answer.json["items"].as_array().unwrap().len();

    let read = items(&acme, READS).remove(0);
    let fields: Vec<&String> = read.as_object().unwrap().keys().collect();
    assert_eq!(
        fields,
        ["id", "at", "actor", "credential", "question", "query", "format", "revision", "view_at", "rows", "request_id"]
    );
    assert!(read["id"].as_str().unwrap().starts_with("read_"));
    assert!(read["at"].as_str().unwrap().starts_with("2026-03-02T10:00:00.0000"), "{read}");
    assert_eq!((&read["actor"], &read["credential"]), (&json!("user:alice"), &json!(id(&acme.alice))));
    assert_eq!(read["question"], "audit/access");
    assert_eq!(read["query"], "principal=user%3Aalice&environment=prod&at=4");
    assert_eq!((&read["format"], &read["rows"]), (&json!("json"), &json!(rows)));
    assert_eq!((&read["revision"], &read["view_at"]), (&json!(4), &answer.json["at"]));
    assert_eq!(read["request_id"], "audit-of-march");
    assert_eq!(items(&acme, READS)[0], read, "it stays as it is");
}

#[test]
fn every_reader_is_named_with_the_credential() {
    let acme = Acme::new();
    let (mark, auditor) = (acme.member("mark", "manager"), acme.access_key("auditor"));
    for credential in [&acme.alice, &mark, OPERATOR, &auditor] {
        acme.call("GET", "audit/access", credential, &Value::Null).expect(200);
    }
    let named = |item: &Value| [item["actor"].clone(), item["credential"].clone()];
    let found: Vec<_> = items(&acme, READS).iter().map(named).collect();
    let expected = [
        [json!("user:alice"), json!(id(&acme.alice))],
        [json!("user:mark"), json!(id(&mark))],
        [json!("operator"), json!("operator")],
        [json!(id(&auditor)), json!(id(&auditor))],
    ];
    assert_eq!(found, expected);
}

#[test]
fn every_audit_response_is_recorded_also_of_the_journal() {
    let acme = Acme::new();
    let access = acme.get("audit/access").expect(200).json["items"].as_array().unwrap().len();
    acme.get("events?limit=2").expect(200);
    let authorization = format!("Bearer {}", acme.alice);
    let headers = [("authorization", authorization.as_str()), ("accept", "application/cloudevents-batch+json")];
    acme.server.send("GET", &path("events?limit=3"), &headers, None).expect(200);
    assert_eq!(acme.get("audit/reads").expect(200).json["items"].as_array().unwrap().len(), 3);
    acme.get("audit/reads?actor=user:nobody").expect(200);
    let found = items(&acme, READS);
    let access = format!("user:alice audit/access {access}");
    let expected = [
        access.as_str(),
        "user:alice events 2",
        "user:alice events 3",
        "user:alice audit/reads 3",
        "user:alice audit/reads 0",
    ];
    assert_eq!(summary(&found), expected);
    let forms: Vec<_> = found.iter().map(|item| item["format"].as_str().unwrap()).collect();
    assert_eq!(forms, ["json", "json", "cloudevents_batch", "json", "json"]);
    let head = acme.head();
    acme.get("audit/reads").expect(200);
    assert_eq!(acme.head(), head, "a read is no event");
}

#[test]
fn refusals_are_not_recorded() {
    let acme = Acme::new();
    let (bob, evaluator) = (acme.member("bob", "member"), acme.access_key("evaluator"));
    for credential in [&bob, &evaluator] {
        for rest in ["audit/access", "events", "audit/reads"] {
            acme.call("GET", rest, credential, &Value::Null).refused(403, "forbidden");
        }
    }
    acme.get("audit/access?environment=none").refused(404, "not_found");
    acme.get("events?type=member.flown").refused(422, "invalid");
    acme.get("audit/reads?actor=none").refused(422, "invalid");
    assert_eq!(items(&acme, READS), Vec::<Value>::new());
}

#[test]
fn the_journal_is_filtered_by_time_and_reader() {
    let clock = TestClock::start();
    let acme = Acme::with_clock(clock.clone());
    let auditor = acme.access_key("auditor");
    for (day, credential) in [("02", acme.alice.as_str()), ("03", OPERATOR), ("04", &auditor), ("05", &acme.alice)] {
        clock.set(&format!("2026-03-{day}T00:00:00Z"));
        acme.call("GET", "events?limit=1", credential, &Value::Null).expect(200);
    }
    clock.set("2026-03-09T00:00:00Z");
    let days = |query: &str| -> Vec<String> {
        let found = items(&acme, &format!("{READS}&until=2026-03-09T00:00:00Z&{query}"));
        found.iter().map(|item| item["at"].as_str().unwrap()[8..10].to_owned()).collect()
    };
    assert_eq!(days(""), ["02", "03", "04", "05"]);
    assert_eq!(days("from=2026-03-03T00:00:00Z"), ["03", "04", "05"]);
    assert_eq!(days("from=2026-03-03T00:00:00Z&actor=user:alice"), ["05"]);
    assert_eq!(days("actor=user:alice"), ["02", "05"]);
    assert_eq!(days("actor=operator"), ["03"]);
    assert_eq!(days(&format!("actor={}", id(&auditor))), ["04"]);
    assert_eq!(days("actor=user:nobody"), Vec::<String>::new());
    assert_eq!(days("from=2026-03-06T00:00:00Z"), Vec::<String>::new());
    let reply = acme.get("audit/reads?until=2026-03-02T00:00:00Z&actor=operator").expect(200);
    assert_eq!(reply.json["query"], json!({"from": null, "until": "2026-03-02T00:00:00.000000Z", "actor": "operator"}));
    let fields: Vec<&String> = reply.json.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["workspace", "revision", "at", "query", "items", "next"]);
    assert_eq!(reply.json["revision"].to_string(), reply.header("tenure-revision").unwrap());
    assert_eq!(reply.json["at"], reply.header("tenure-at").unwrap());
}

#[test]
fn invalid_filters_are_refused() {
    let acme = Acme::new();
    for query in [
        "from=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z",
        "from=yesterday",
        "actor=alice",
        "actor=systems",
        "actor=tok_01h455vb4pex5vsknk084sn02q",
        "at=3",
        "limit=0",
        "who=user:alice",
        "cursor=x",
    ] {
        acme.get(&format!("audit/reads?{query}")).refused(422, "invalid");
    }
    let zeros = "0".repeat(QUESTION_BYTES_MAX);
    let long = acme.get(&format!("events?after={zeros}")).refused(422, "too_large");
    assert!(long.json["detail"].as_str().unwrap().contains("2000 bytes"), "{}", long.text);
    assert_eq!(items(&acme, READS), Vec::<Value>::new());
}

/// Returns every page of a question, and the cursors between them.
fn pages(acme: &Acme, question: &str, meanwhile: impl Fn()) -> Vec<Reply> {
    let mut pages = vec![acme.get(question).expect(200)];
    while let Some(next) = pages.last().unwrap().json["next"].as_str() {
        meanwhile();
        let next = acme.get(&format!("{question}&cursor={next}")).expect(200);
        pages.push(next);
    }
    pages
}

#[test]
fn pages_hold_the_reads_before_the_first_page() {
    let acme = Acme::new();
    for limit in 1..=5 {
        acme.get(&format!("events?limit={limit}")).expect(200);
    }
    let pages = pages(&acme, "audit/reads?limit=2&actor=user:alice", || {
        acme.environment(&format!("env-{}", acme.head()));
        acme.get("events?limit=1").expect(200);
    });
    let rows = |page: &Reply| page.json["items"].as_array().unwrap().iter().map(|item| item["rows"].clone()).collect();
    let found: Vec<Vec<Value>> = pages.iter().map(rows).collect();
    assert_eq!(json!(found), json!([[1, 2], [3, 4], [5]]));
    for page in &pages {
        assert_eq!((&page.json["revision"], &page.json["at"]), (&pages[0].json["revision"], &pages[0].json["at"]));
    }
    let next = pages[0].json["next"].as_str().unwrap();
    for other in ["audit/reads?limit=2", "audit/reads?actor=operator", "events?limit=2"] {
        let separator = if other.contains('?') { '&' } else { '?' };
        acme.get(&format!("{other}{separator}cursor={next}")).refused(422, "invalid");
    }
}

#[test]
fn each_workspace_has_a_journal_of_its_own() {
    let acme = Acme::new();
    let other = acme.server.post("/v1/workspaces", OPERATOR, &workspace_body("other", "shared", "team", "olga"));
    let olga = other.expect(201).credential("token");
    acme.get("events").expect(200);
    acme.server.get("/v1/workspaces/other/events?limit=1", &olga).expect(200);
    let theirs = acme.server.get("/v1/workspaces/other/audit/reads?limit=1", &olga).expect(200);
    assert_eq!(summary(theirs.json["items"].as_array().unwrap()), ["user:olga events 1"]);
    let next = acme.server.get("/v1/workspaces/other/audit/reads?limit=1", &olga).expect(200).json["next"].clone();
    let taken = format!("audit/reads?cursor={}", next.as_str().unwrap());
    acme.get(&taken).refused(422, "invalid");
    acme.server.get(&path("audit/reads"), &olga).refused(404, "not_found");
}

#[test]
fn records_survive_a_restart_and_are_in_a_backup() {
    let acme = Acme::new();
    acme.get("audit/access?principal=user:alice").expect(200);
    acme.get("events?limit=2").expect(200);
    let before = items(&acme, READS);
    assert_eq!(before.len(), 2);
    let restored = tempfile::tempdir().unwrap();
    acme.server.service.log().backup(&restored.path().join("tenure.db")).unwrap();
    let acme = acme.restart();
    assert_eq!(items(&acme, READS)[..2], before);

    let workspace = acme.get("").expect(200).json["id"].as_str().unwrap().parse().unwrap();
    let filter =
        tenure::log::journal::ReadFilter { after: 0, until_sequence: u64::MAX, from: None, until: None, reader: None };
    let found = SqliteLog::attach(restored.path()).unwrap().reads(workspace, &filter, 2).unwrap();
    let ids: Vec<Value> = found.iter().map(|stored| json!(stored.record.id)).collect();
    assert_eq!(ids, before.iter().map(|item| item["id"].clone()).collect::<Vec<_>>());
}

#[test]
fn a_response_that_cannot_be_recorded_is_not_sent() {
    let acme = Acme::new();
    sql(&acme.server, FAULT);
    for rest in ["audit/access", "events", "audit/reads"] {
        let refused = acme.get(rest).refused(503, "unavailable");
        assert!(!refused.text.contains("alice") && refused.header("retry-after").is_some(), "{}", refused.text);
    }
    acme.get("members").expect(200);
    assert!(acme.allows("user:alice", "deploy", "environment@main"), "decisions are no reading of the audit");
    acme.environment("dev");
    sql(&acme.server, "DROP TRIGGER fault");
    acme.get("audit/access").expect(200);
    assert_eq!(items(&acme, READS).len(), 1);
}

#[test]
fn a_deleted_workspaces_reads_are_recorded_and_readable_to_the_operator_and_auditor_keys() {
    let acme = Acme::new();
    let auditor = acme.access_key("auditor");
    acme.get("events?limit=1").expect(200);
    let workspace = acme.get("").expect(200).json["id"].as_str().unwrap().to_owned();
    acme.delete("").expect(200);
    let base = format!("/v1/workspaces/{workspace}");
    acme.server.get(&format!("{base}/events?limit=2"), &auditor).expect(200);
    acme.server.get(&format!("{base}/audit/access"), OPERATOR).expect(200);
    let auditors = format!("{} events 2", id(&auditor));
    let mut expected = vec!["user:alice events 1".to_owned(), auditors, "operator audit/access 0".to_owned()];
    for credential in [auditor.as_str(), OPERATOR] {
        let found = acme.server.get(&format!("{base}/audit/reads"), credential).expect(200);
        assert_eq!(summary(found.json["items"].as_array().unwrap()), expected);
        expected.push(format!("{} audit/reads {}", id(credential), expected.len()));
    }
    acme.server.get(&format!("{base}/audit/reads"), &acme.alice).refused(401, "unauthenticated");
}

#[test]
fn an_erased_profile_and_the_secrets_are_in_no_record() {
    let acme = Acme::new();
    let body = json!({"user": "mia", "role": "manager", "name": "Rumpelstilzchen"});
    acme.post("members", &body).expect(201);
    let mia = acme.post("members/mia/tokens", &Value::Null).expect(201).credential("token");
    acme.call("GET", "audit/access?principal=user:mia", &mia, &Value::Null).expect(200);
    assert!(!acme.get("audit/reads").expect(200).text.contains("Rumpelstilzchen"));
    acme.delete("members/mia/profile").expect(200);
    let acme = acme.restart();
    assert_eq!(summary(&items(&acme, READS))[0], "user:mia audit/access 1");
    let stored = stored(&acme.server);
    assert!(stored.contains("audit/access") && !stored.contains("Rumpelstilzchen"));
    for credential in [&mia, &acme.alice, OPERATOR] {
        assert!(!stored.contains(credential.split_once('.').unwrap().1));
    }
}

mod streamed {
    use super::*;

    /// Returns the record of a stream that begins.
    fn beginning(acme: &Acme) -> ReadRecord {
        let now: Instant = acme.server.service.now();
        ReadRecord {
            id: acme.server.service.read_id(),
            workspace: acme.get("").expect(200).json["id"].as_str().unwrap().parse().unwrap(),
            at: now,
            reader: AuditReader::Operator,
            token: None,
            request: "stream".to_owned(),
            question: "events".to_owned(),
            query: String::new(),
            form: AnswerForm::EventStream,
            revision: Revision(1),
            view_at: now,
            rows: None,
        }
    }

    fn begin(acme: &Acme) -> Result<Recording, SubmitError> {
        let service = Arc::clone(&acme.server.service);
        acme.server.block_on(Recording::begin(service, beginning(acme), &Caller::Operator))
    }

    #[test]
    fn a_stream_in_progress_has_no_row_count_and_gets_it_at_its_end_or_a_disconnect() {
        let acme = Acme::new();
        let mut recording = begin(&acme).unwrap();
        recording.sent(3);
        recording.sent(4);
        assert_eq!(summary(&items(&acme, READS))[0], "operator events null");
        drop(recording);
        // The record of this read waits behind the row count of the stream.
        items(&acme, READS);
        let found = items(&acme, READS);
        assert_eq!((summary(&found)[0].as_str(), &found[0]["format"]), ("operator events 7", &json!("event_stream")));
    }

    #[test]
    fn a_stream_that_cannot_be_recorded_does_not_start() {
        let acme = Acme::new();
        sql(&acme.server, FAULT);
        assert!(matches!(begin(&acme), Err(SubmitError::Log(LogError::Unavailable(_)))));
        sql(&acme.server, "DROP TRIGGER fault");
        assert_eq!(items(&acme, READS), Vec::<Value>::new(), "nothing of it is written later");
    }

    #[test]
    fn a_stream_that_the_server_did_not_end_keeps_no_row_count() {
        let acme = Acme::new();
        let recorded = acme.server.service.record_read(beginning(&acme), &Caller::Operator);
        acme.server.block_on(recorded).unwrap();
        let acme = acme.restart();
        assert_eq!(summary(&items(&acme, READS))[0], "operator events null");
    }
}
