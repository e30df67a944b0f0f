//! Audit queries over spans of time: tenures, differences, credentials and what-if, and the forms of their responses.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::acme::{Acme, TestClock, id, path};
use crate::support::server::{OPERATOR, Reply};

/// A year in the life of `prod`, each change on a day of its own.
struct Year {
    acme: Acme,
    clock: Arc<TestClock>,
}

impl Year {
    fn new() -> Self {
        let clock = TestClock::start();
        let year = Self { acme: Acme::with_clock(clock.clone()), clock };
        year.on("2026-03-02", |acme| {
            acme.member("bob", "member");
            acme.restricted("prod", "viewer");
        });
        year.on("2026-03-10", |acme| {
            let body = json!({"role": "contributor", "expires_at": "2026-04-01T00:00:00Z"});
            acme.put("environments/prod/grants/user:bob?reason=OPS-41", &body).expect(200);
        });
        year.on("2026-05-01", |acme| drop(acme.delete("members/bob?reason=HR-9").expect(200)));
        year.on("2026-06-01", |acme| drop(acme.member("bob", "manager")));
        year.on("2026-07-01", |acme| drop(acme.delete("environments/prod").expect(200)));
        year.clock.set("2026-08-01T00:00:00Z");
        year
    }

    fn on(&self, day: &str, change: impl FnOnce(&Acme)) {
        self.clock.set(&format!("{day}T00:00:00Z"));
        change(&self.acme);
    }

    fn accept(&self, rest: &str, accept: &str) -> Reply {
        self.acme.server.send(
            "GET",
            &path(rest),
            &[("accept", accept), ("authorization", &bearer(&self.acme.alice))],
            None,
        )
    }
}

fn bearer(credential: &str) -> String {
    format!("Bearer {credential}")
}

/// Returns the bound of a tenure: the type of the event without its version, or the expiry.
fn cause(shown: &Value) -> String {
    match (&shown["type"], &shown["expiry"]) {
        (Value::String(name), _) => name.trim_end_matches(".v1").to_owned(),
        (_, Value::String(instant)) => format!("expiry {}", &instant[..10]),
        _ => "-".to_owned(),
    }
}

/// Returns `ROLE RULE FROM UNTIL: OPENED, CLOSED` of each row, with days as times.
#[track_caller]
fn tenures(acme: &Acme, query: &str) -> Vec<String> {
    let reply = acme.get(&format!("audit/tenures?{query}")).expect(200);
    let day = |value: &Value| value.as_str().map_or("-", |text| &text[5..10]).to_owned();
    let row = |row: &Value| {
        format!(
            "{} {} {} {}: {}, {}",
            row["role"].as_str().unwrap(),
            row["rule"].as_str().unwrap(),
            day(&row["from"]),
            day(&row["until"]),
            cause(&row["opened_by"]),
            cause(&row["closed_by"]),
        )
    };
    reply.json["items"].as_array().unwrap().iter().map(row).collect()
}

const BOB_IN_PROD: [&str; 4] = [
    "viewer default_role 03-02 03-10: environment.restricted, grant.added",
    "contributor grant 03-10 04-01: grant.added, expiry 2026-04-01",
    "viewer default_role 04-01 05-01: expiry 2026-04-01, member.removed",
    "contributor workspace_role 06-01 07-01: member.added, environment.deleted",
];

#[test]
fn tenures_have_exact_bounds_and_name_the_events_that_began_and_ended_them() {
    let year = Year::new();
    assert_eq!(tenures(&year.acme, "environment=prod&principal=user:bob"), BOB_IN_PROD);
    let reply = year.acme.get("audit/tenures?environment=prod&principal=user:bob").expect(200);
    let fields: Vec<&String> = reply.json.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["workspace", "revision", "at", "from", "until", "query", "items", "next"]);
    let granted = &reply.json["items"][1];
    assert_eq!(granted["opened_by"]["reason"], "OPS-41");
    assert_eq!(granted["opened_by"]["actor"], "user:alice");
    assert_eq!(granted["closed_by"]["set_by"]["reason"], "OPS-41", "who set the end, and why");
    assert_eq!(reply.json["items"][2]["closed_by"]["reason"], "HR-9");
}

#[test]
fn tenures_of_a_window_are_those_that_overlap_it() {
    let year = Year::new();
    let of = |query: &str| tenures(&year.acme, &format!("environment=prod&principal=user:bob&{query}"));
    assert_eq!(of("from=2026-03-10T00:00:00Z&until=2026-03-11T00:00:00Z"), BOB_IN_PROD[1..2]);
    assert_eq!(of("from=2026-04-01T00:00:00Z&until=2026-06-01T00:00:00Z"), BOB_IN_PROD[2..3]);
    assert_eq!(of("until=2026-04-01T00:00:00Z"), BOB_IN_PROD[..2]);
    assert_eq!(of("role=viewer"), [BOB_IN_PROD[0], BOB_IN_PROD[2]]);
    assert_eq!(of("from=1926-01-01T00:00:00Z&until=2126-01-01T00:00:00Z"), BOB_IN_PROD);
    assert_eq!(of("from=2026-05-02T00:00:00Z&until=2026-05-02T00:00:00Z"), Vec::<String>::new());
}

#[test]
fn an_earlier_view_has_no_later_facts() {
    let year = Year::new();
    let then = tenures(&year.acme, "environment=prod&principal=user:bob&at=2026-03-20T00:00:00Z");
    assert_eq!(then, [BOB_IN_PROD[0], "contributor grant 03-10 -: grant.added, -"]);
    let reply = year.acme.get("audit/tenures?principal=user:bob&environment=prod&at=2026-03-20T00:00:00Z").expect(200);
    assert_eq!(reply.json["items"][1]["expires_at"], "2026-04-01T00:00:00.000000Z");
}

#[test]
fn in_a_span_a_name_means_everything_that_had_it_then() {
    let year = Year::new();
    year.on("2026-08-02", |acme| drop(acme.environment("prod")));
    let environments = |query: &str| {
        let reply = year.acme.get(&format!("audit/tenures?environment=prod&principal=user:alice&{query}")).expect(200);
        let mut ids: Vec<String> =
            reply.json["items"].as_array().unwrap().iter().map(|row| row["environment"].to_string()).collect();
        ids.dedup();
        ids.len()
    };
    assert_eq!(environments(""), 2);
    assert_eq!(environments("until=2026-08-02T00:00:00Z"), 1);
    assert_eq!(environments("from=2026-08-02T00:00:00Z"), 1);
    assert_eq!(environments("from=2026-07-02T00:00:00Z&until=2026-08-01T00:00:00Z"), 0);
}

#[test]
fn the_difference_of_two_instants_lists_changed_roles_and_reasons() {
    let year = Year::new();
    let changes = |query: &str| {
        let reply = year.acme.get(&format!("audit/diff?{query}")).expect(200);
        let row = |row: &Value| {
            let events: Vec<String> = row["events"].as_array().unwrap().iter().map(cause).collect();
            format!(
                "{} {} {}>{} {}",
                row["principal_name"].as_str().unwrap(),
                row["environment_name"].as_str().unwrap(),
                row["before"].as_str().unwrap_or("-"),
                row["after"].as_str().unwrap_or("-"),
                events.join(",")
            )
        };
        reply.json["items"].as_array().unwrap().iter().map(row).collect::<Vec<_>>()
    };
    assert_eq!(
        changes("from=2026-03-05T00:00:00Z&until=2026-03-31T00:00:00Z"),
        ["bob prod viewer>contributor grant.added"]
    );
    assert_eq!(
        changes("from=2026-03-20T00:00:00Z&until=2026-04-02T00:00:00Z"),
        ["bob prod contributor>viewer expiry 2026-04-01"]
    );
    assert_eq!(
        changes("from=2026-03-20T00:00:00Z&until=2026-05-02T00:00:00Z&principal=user:bob"),
        [
            "bob main contributor>- member.removed",
            "bob prod contributor>- expiry 2026-04-01,grant.expired,member.removed"
        ]
    );
    assert_eq!(changes("from=2026-04-02T00:00:00Z&until=2026-04-30T00:00:00Z"), Vec::<String>::new());
    assert_eq!(changes("from=1926-01-01T00:00:00Z&until=2026-02-01T00:00:00Z").len(), 0, "before it was there");
    let whole = changes("from=1926-01-01T00:00:00Z&principal=user:alice");
    assert_eq!(
        whole,
        ["alice main ->contributor workspace.created,member.added,environment.created,rbac.enabled"],
        "`prod` came and went"
    );
}

#[test]
fn backward_spans_and_unknown_names_are_refused() {
    let year = Year::new();
    let backwards = "from=2026-05-01T00:00:00Z&until=2026-04-01T00:00:00Z";
    for question in ["audit/tenures", "audit/diff", "events"] {
        year.acme.get(&format!("{question}?{backwards}")).refused(422, "invalid");
        year.acme.get(&format!("{question}?environment=nowhere&from=2026-05-01T00:00:00Z")).refused(404, "not_found");
        year.acme.get(&format!("{question}?principal=user:nobody&from=2026-05-01T00:00:00Z")).refused(404, "not_found");
        year.acme.get(&format!("{question}?from=yesterday")).refused(422, "invalid");
    }
    year.acme.get("audit/diff").refused(422, "invalid");
    year.acme.get("audit/diff?from=2026-05-01T00:00:00Z&until=2126-01-01T00:00:00Z").refused(422, "invalid");
    year.acme.get("audit/tenures?role=owner").refused(422, "invalid");
}

#[test]
fn the_operator_and_auditors_can_still_query_a_deleted_workspace() {
    let year = Year::new();
    let auditor = year.acme.access_key("auditor");
    let id = year.acme.get("").expect(200).json["id"].as_str().unwrap().to_owned();
    year.on("2026-09-01", |acme| drop(acme.delete("").expect(200)));
    let ask = |credential: &str, rest: &str| {
        year.acme.server.get(&format!("/v1/workspaces/{id}/{rest}"), credential).expect(200).json["items"].clone()
    };
    for credential in [OPERATOR, &auditor] {
        let rows = ask(credential, "audit/tenures?environment=main&principal=user:alice");
        assert_eq!(cause(&rows[0]["closed_by"]), "workspace.deleted");
        assert_eq!(ask(credential, "audit/access"), json!([]));
        assert_eq!(ask(credential, "audit/credentials"), json!([]));
        let diff = ask(credential, "audit/diff?from=2026-08-01T00:00:00Z");
        assert_eq!(diff.as_array().unwrap().len(), 2, "alice and bob had access to `main`");
    }
}

#[test]
fn credentials_list_their_holders_and_roles() {
    let acme = Acme::new();
    let ci = acme.service_user("ci");
    acme.restricted("prod", "viewer");
    let (scoped, auditor) = (acme.proxy_token(Some(&["prod"])), acme.access_key("auditor"));
    let reply = acme.get("audit/credentials").expect(200);
    let find = |credential: &str| {
        let rows = reply.json["items"].as_array().unwrap();
        rows.iter().find(|row| row["id"] == id(credential)).unwrap().clone()
    };
    assert_eq!((&find(&acme.alice)["kind"], &find(&acme.alice)["holder_role"]), (&json!("api_token"), &json!("owner")));
    assert!(find(&acme.alice)["last_used_at"].is_string());
    assert_eq!((&find(&ci)["holder_name"], &find(&ci)["holder_role"]), (&json!("ci"), &Value::Null));
    assert_eq!(find(&ci)["last_used_at"], Value::Null);
    assert_eq!(find(&ci)["issued_by"], "user:alice");
    assert_eq!(find(&scoped)["environment_names"], json!(["prod"]));
    assert_eq!(find(&auditor)["role"], "auditor");
    assert_eq!(find(&auditor)["evidence"][0]["type"], "access_key.issued.v1");
    let head = acme.head();
    acme.delete(&format!("proxy-tokens/{}", id(&scoped))).expect(200);
    let count = |query: &str| {
        acme.get(&format!("audit/credentials{query}")).expect(200).json["items"].as_array().unwrap().len()
    };
    assert_eq!((count(""), count(&format!("?at={head}")), count("?at=1")), (3, 4, 1));
    let pinned = acme.get(&format!("audit/credentials?at={head}")).expect(200);
    assert!(pinned.json["items"].as_array().unwrap().iter().all(|row| row["last_used_at"] == Value::Null));
    assert!(!pinned.text.contains("sha256") && !pinned.text.contains(acme.alice.split_once('.').unwrap().1));
}

mod what_if {
    use super::*;

    fn stage() -> Acme {
        let acme = Acme::new();
        acme.member("bob", "member");
        acme.restricted("prod", "viewer");
        acme.environment("dev");
        acme
    }

    fn ask(acme: &Acme, credential: &str, commands: &Value) -> Reply {
        acme.call("POST", "audit/what-if", credential, &json!({"commands": commands}))
    }

    #[test]
    fn a_what_if_lists_losses_and_gains_and_changes_nothing() {
        let acme = stage();
        let token = acme.proxy_token(Some(&["prod"]));
        let events = acme.events();
        let reply = ask(
            &acme,
            &acme.alice,
            &json!([
                {"type": "environment.restrict", "environment": "dev", "default_role": "no_access"},
                {"type": "rbac.disable"},
            ]),
        )
        .expect(200);
        let row = &reply.json["changes"][0];
        assert_eq!((&row["principal"], &row["environment_name"]), (&json!("user:bob"), &json!("prod")));
        assert_eq!((&row["before"], &row["after"]), (&json!("viewer"), &json!("contributor")));
        assert_eq!((&reply.json["changes_total"], &reply.json["widened_total"]), (&json!(1), &json!(1)));
        assert_eq!(reply.json["environments"][0]["gain"], 1);
        assert_eq!(reply.json["query"]["commands"][1]["type"], "rbac.disable");
        let reads = acme.get("audit/reads").expect(200).json["items"].clone();
        let query =
            reads.as_array().unwrap().iter().rev().find(|row| row["question"] == "audit/what-if").unwrap()["query"]
                .clone();
        assert!(
            query.as_str().unwrap().starts_with("commands=environment.restrict,rbac.disable&commands_total=2&sha256=")
        );
        assert_eq!(reply.json["widened"][0]["proxy_token"], id(&token));
        assert_eq!(reply.json["widened"][0]["environment_names"], json!(["main", "dev"]));
        let types: Vec<&str> =
            reply.json["events"].as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap()).collect();
        assert_eq!(types, ["environment.restricted.v1", "rbac.disabled.v1"]);
        assert_eq!(acme.events(), events);
    }

    #[test]
    fn a_what_if_generates_no_secret_and_no_digest() {
        let acme = stage();
        let reply = ask(
            &acme,
            &acme.alice,
            &json!([
                {"type": "service_user.create", "name": "ci"},
                {"type": "proxy_token.create", "environments": ["prod"]},
            ]),
        )
        .expect(200);
        assert!(!reply.text.contains("sha256") && !reply.text.contains("secret"), "{}", reply.text);
        assert_eq!(reply.json["changes_total"], 3, "it would reach main, dev and prod");
        assert_eq!(reply.json["widened_total"], 1);
    }

    #[test]
    fn a_what_if_has_the_callers_authority_and_an_auditor_an_owners() {
        let acme = stage();
        let mark = acme.member("mark", "manager");
        let (auditor, evaluator) = (acme.access_key("auditor"), acme.access_key("evaluator"));
        let remove_owner = json!([{"type": "member.add", "user": "olga", "role": "owner"}]);
        ask(&acme, &acme.alice, &remove_owner).expect(200);
        ask(&acme, &auditor, &remove_owner).expect(200);
        ask(&acme, &mark, &remove_owner).refused(409, "owner_protected");
        ask(&acme, &evaluator, &remove_owner).refused(403, "forbidden");
        ask(&acme, &auditor, &json!([{"type": "plan.change", "plan": "starter"}])).refused(403, "forbidden");
        ask(&acme, OPERATOR, &json!([{"type": "plan.change", "plan": "starter"}])).expect(200);
        let refused = ask(
            &acme,
            &auditor,
            &json!([{"type": "rbac.enable"}, {"type": "grant.revoke", "environment": "prod", "principal": "user:bob"}]),
        );
        assert!(refused.json["detail"].as_str().unwrap().contains("commands[1]"), "{}", refused.text);
        refused.refused(404, "not_found");
        ask(&acme, &auditor, &json!([])).refused(422, "invalid");
        acme.call("POST", "audit/what-if?at=3", &auditor, &json!({"commands": remove_owner})).refused(422, "invalid");
    }
}

/// Lists events in a form.
fn revisions(acme: &Acme, query: &str) -> Vec<u64> {
    let reply = acme.get(&format!("events?limit=1000&{query}")).expect(200);
    reply.json["items"].as_array().unwrap().iter().map(|event| event["revision"].as_u64().unwrap()).collect()
}

#[test]
fn events_of_a_name_in_a_span_are_those_of_its_bearers_then() {
    let clock = TestClock::start();
    let acme = Acme::with_clock(clock.clone());
    acme.restricted("stage", "viewer");
    acme.patch("environments/stage", &json!({"name": "stage-old"})).expect(200);
    clock.set("2026-03-02T00:00:00Z");
    acme.restricted("stage", "viewer");
    acme.member("bob", "member");
    let before = acme.head();
    acme.grant("stage-old", "user:bob", "viewer");
    acme.grant("stage", "user:bob", "viewer");
    assert!(revisions(&acme, "environment=stage").contains(&(before + 1)));
    let then = revisions(&acme, "environment=stage&from=2026-03-01T12:00:00Z");
    assert!(!then.contains(&(before + 1)) && then.contains(&(before + 2)), "{then:?}");
}

#[test]
fn a_page_of_large_rows_ends_early_with_a_cursor() {
    let acme = Acme::new();
    acme.restricted("prod", "viewer");
    let reason = "%F0%9F%90%98".repeat(1_000);
    for number in 0..12 {
        let role = ["no_access", "contributor"][number % 2];
        acme.patch(&format!("environments/prod?reason={reason}"), &json!({"default_role": role})).expect(200);
    }
    let commands: Vec<Value> =
        (0..200).map(|number| json!({"type": "member.add", "user": format!("u{number}"), "role": "member"})).collect();
    let then = acme.get("").expect(200).header("tenure-at").unwrap().to_owned();
    acme.post(&format!("commands?reason={reason}"), &json!({"commands": commands})).expect(200);
    let (mut rows, mut next, mut pages) = (0, String::new(), 0);
    loop {
        let page = acme.get(&format!("audit/diff?from={then}&limit=1000{next}")).expect(200);
        assert!(page.text.len() < 6 << 20, "{}", page.text.len());
        let items = page.json["items"].as_array().unwrap().clone();
        assert!(items.iter().all(|row| row["events"].as_array().unwrap().len() <= 10));
        (rows, pages) = (rows + items.len(), pages + 1);
        let Some(cursor) = page.json["next"].as_str() else { break };
        next = format!("&cursor={cursor}");
    }
    assert_eq!(rows, 400, "each is in `main` and `prod`");
    assert!(pages >= 1);
}

#[test]
fn reading_the_feed_of_the_instance_is_recorded_in_each_workspace() {
    let acme = Acme::new();
    let feed = acme.server.get("/v1/events?limit=1000", OPERATOR).expect(200);
    let given = feed.json["items"].as_array().unwrap().len();
    let reads = acme.get("audit/reads").expect(200).json["items"].clone();
    let row = reads.as_array().unwrap().iter().find(|row| row["question"] == "/v1/events").unwrap();
    assert_eq!((&row["rows"], &row["actor"], &row["query"]), (&json!(given), &json!("operator"), &json!("limit=1000")));
}

mod forms {
    use super::*;

    const ROWS: [&str; 5] = [
        "audit/access",
        "audit/tenures",
        "audit/diff?from=2026-03-05T00:00:00Z",
        "audit/credentials",
        "audit/access?at=5",
    ];

    #[test]
    fn the_same_view_has_the_same_bytes_in_every_form() {
        let year = Year::new();
        for question in ROWS {
            for form in ["application/json", "application/x-ndjson", "text/csv"] {
                let first = year.accept(question, form).expect(200);
                assert!(first.header("content-type").unwrap().starts_with(form), "{question} {form}");
                assert_eq!(first.header("cache-control"), Some("no-store"));
                let pinned = format!(
                    "{question}{}at={}&revision={}",
                    if question.contains('?') { '&' } else { '?' },
                    first.header("tenure-at").unwrap(),
                    first.header("tenure-revision").unwrap()
                );
                if question.contains("at=") || question == "audit/credentials" {
                    continue;
                }
                let again = year.accept(&pinned, form).expect(200);
                year.acme.environment(&format!("e{}", year.acme.head()));
                assert_eq!(year.accept(&pinned, form).expect(200).text, again.text, "{question} {form}");
                assert_eq!(again.text, first.text, "{question} {form}");
            }
        }
    }

    #[test]
    fn a_stream_has_every_row_and_a_limit_splits_it_into_pages() {
        let year = Year::new();
        let all = year.acme.get("audit/tenures?limit=1000").expect(200).json["items"].clone();
        let lines =
            |text: &str| text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect::<Vec<_>>();
        let streamed = year.accept("audit/tenures", "application/x-ndjson").expect(200);
        assert_eq!(json!(lines(&streamed.text)), all);
        let (mut paged, mut next) = (Vec::new(), String::new());
        loop {
            let page = year.accept(&format!("audit/tenures?limit=1{next}"), "application/x-ndjson").expect(200);
            paged.extend(lines(&page.text));
            let Some(cursor) = page.header("tenure-next") else { break };
            next = format!("&cursor={cursor}");
        }
        assert_eq!(json!(paged), all, "one row a page, also where a pair has many");
        let csv = year.accept("audit/tenures", "text/csv").expect(200).text;
        assert_eq!(csv.lines().count(), all.as_array().unwrap().len() + 1);
        assert!(csv.starts_with("principal,principal_name,environment,"), "{csv}");
    }

    #[test]
    fn no_cell_is_a_formula() {
        let acme = Acme::new();
        acme.post("members?reason=%3DHYPERLINK(1)", &json!({"user": "-bob", "role": "member"})).expect(201);
        let csv = acme.server.send(
            "GET",
            &path("audit/tenures?principal=user:-bob"),
            &[("accept", "text/csv"), ("authorization", &bearer(&acme.alice))],
            None,
        );
        let line = csv.expect(200).text.lines().nth(1).unwrap().to_owned();
        assert!(line.contains(",'-bob,") && line.contains(",'=HYPERLINK(1),"), "{line}");
    }

    #[test]
    fn the_log_and_the_journal_have_the_same_forms() {
        let year = Year::new();
        let log = year.accept("events", "application/x-ndjson").expect(200).text;
        let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines, year.acme.events());
        let table = year.accept("events?type=grant.added", "text/csv").expect(200).text;
        assert!(table.starts_with("revision,time,type,subject,actor,credential,reason,data,"), "{table}");
        assert!(table.contains(",user:alice,") && table.contains(",OPS-41,"), "{table}");
        let reads = year.accept("audit/reads", "text/csv").expect(200).text;
        assert!(reads.starts_with("at,actor,credential,question,") && reads.contains(",csv,"), "{reads}");
        assert!(year.accept("audit/reads", "application/x-ndjson").expect(200).text.lines().count() >= 3);
    }

    #[test]
    fn an_unknown_form_is_not_acceptable() {
        let year = Year::new();
        year.accept("audit/access", "image/png").refused(406, "not_acceptable");
        year.accept("events", "text/event-stream;q=0").refused(406, "not_acceptable");
        let json = year.accept("events", "application/json, text/event-stream;q=0.5").expect(200);
        assert_eq!(json.header("content-type"), Some("application/json"));
        year.accept("audit/access", "text/html,*/*;q=0.8").expect(200);
    }

    #[test]
    fn a_stream_is_recorded_with_its_number_of_rows() {
        let year = Year::new();
        let rows = year.accept("audit/tenures", "text/csv").expect(200).text.lines().count() - 1;
        let reads = || year.acme.get("audit/reads?limit=1000").expect(200).json["items"].as_array().unwrap().clone();
        let recorded = || reads().into_iter().find(|row| row["question"] == "audit/tenures").unwrap();
        assert_eq!(recorded()["format"], "csv");
        while recorded()["rows"].is_null() {
            std::thread::yield_now();
        }
        assert_eq!(recorded()["rows"], rows);
    }
}
