//! Reports over HTTP: their forms and parameters, and the escaping of text from the log.

use serde_json::{Value, json};

use crate::support::acme::{Acme, TestClock, id, path};
use crate::support::server::{OPERATOR, Reply};

const REPORTS: [&str; 10] = [
    "roster",
    "privileged",
    "changes",
    "joiners",
    "leavers",
    "movers",
    "service-users",
    "dormant",
    "orphans",
    "outside-window",
];

fn asked(acme: &Acme, rest: &str, accept: &str) -> Reply {
    let authorization = format!("Bearer {}", acme.alice);
    acme.server.send("GET", &path(rest), &[("authorization", &authorization), ("accept", accept)], None)
}

fn items(reply: &Reply) -> &Vec<Value> {
    reply.json["items"].as_array().unwrap()
}

/// Starts a workspace where bob was a member, carol has an endless grant and ci has a token.
fn busy() -> Acme {
    let acme = Acme::new();
    acme.restricted("prod", "viewer");
    acme.member("bob", "manager");
    acme.member("carol", "member");
    acme.service_user("ci");
    acme.grant("prod", "user:carol", "contributor");
    acme.patch("members/bob", &json!({"role": "member"})).expect(200);
    acme.delete("members/bob").expect(200);
    acme
}

#[test]
fn the_reports_are_listed_with_their_parameters() {
    let acme = Acme::new();
    let list = acme.get("reports").expect(200);
    let names: Vec<&str> = items(&list).iter().map(|report| report["name"].as_str().unwrap()).collect();
    assert_eq!(names, REPORTS);
    let dormant = &items(&list)[7];
    assert_eq!((&dormant["when"], &dormant["parameters"]), (&json!("now"), &json!(["principal", "days"])));
    assert!(dormant["controls"].as_array().unwrap().contains(&json!("PCI DSS 8.2.6")));
    acme.get("reports?at=1").refused(422, "invalid");
}

#[test]
fn every_report_has_json_csv_and_html_forms() {
    let acme = busy();
    for name in REPORTS {
        let json = acme.get(&format!("reports/{name}")).expect(200);
        let rows = items(&json).len();
        assert_eq!((&json.json["report"], &json.json["row_count"]), (&json!(name), &json!(rows)));
        assert_eq!((&json.json["workspace_name"], &json.json["revision"]), (&json!("acme"), &json!(acme.head())));
        assert_eq!(json.json["at"].as_str(), json.header("tenure-at"));

        let csv = asked(&acme, &format!("reports/{name}"), "text/csv").expect(200);
        assert_eq!(csv.text.lines().count(), rows + 1, "{name}: {}", csv.text);
        assert_eq!(csv.header("content-type"), Some("text/csv; charset=utf-8; header=present"));
        let file = format!("attachment; filename=\"acme-{name}-r{}.csv\"", acme.head());
        assert_eq!(csv.header("content-disposition"), Some(file.as_str()));

        let page = asked(&acme, &format!("reports/{name}"), "text/html,application/xhtml+xml,*/*;q=0.8").expect(200);
        assert_eq!(page.text.matches("<tbody>").count(), rows, "{name}");
        assert!(page.text.starts_with("<!doctype html>"));
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
        let policy = page.header("content-security-policy").unwrap();
        assert!(
            policy.starts_with("default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
            "{policy}"
        );
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
        for reply in [&json, &csv, &page] {
            assert_eq!(reply.header("cache-control"), Some("no-store"));
            assert_eq!(reply.header("tenure-revision"), Some(acme.head().to_string().as_str()));
        }
        asked(&acme, &format!("reports/{name}"), "image/png").refused(406, "not_acceptable");
    }
}

#[test]
fn a_report_of_a_view_has_the_same_bytes_for_ever() {
    let acme = busy();
    let forms = ["application/json", "text/csv", "text/html"];
    let view = acme.get("reports/roster").expect(200).json;
    let at = format!("at={}&revision={}", view["at"].as_str().unwrap(), view["revision"]);
    let all = |acme: &Acme| -> Vec<String> {
        let pinned = REPORTS.iter().filter(|name| **name != "dormant");
        let questions = pinned.flat_map(|name| forms.map(|form| (format!("reports/{name}?{at}"), form)));
        questions.map(|(rest, form)| asked(acme, &rest, form).expect(200).text).collect()
    };
    let before = all(&acme);
    acme.member("dave", "manager");
    acme.patch("environments/prod", &json!({"name": "live"})).expect(200);
    acme.delete("members/carol").expect(200);
    assert_eq!(all(&acme), before);
}

#[test]
fn a_browser_can_open_a_report_with_basic_authentication() {
    let acme = busy();
    let page = path("reports/roster");
    let refused = acme.server.send("GET", &page, &[("accept", "text/html")], None).refused(401, "unauthenticated");
    assert!(refused.header("www-authenticate").unwrap().contains("Basic"));
    let (id, secret) = acme.alice.split_once('.').unwrap();
    let basic = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("{id}:{secret}"));
    let headers = [("accept", "text/html"), ("authorization", &format!("Basic {basic}"))];
    assert!(acme.server.send("GET", &page, &headers, None).expect(200).text.contains("<h1>Roster of access</h1>"));
}

#[test]
fn text_from_the_log_stays_text() {
    let acme = Acme::new();
    let hostile = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&";
    let reason = form_urlencoded::byte_serialize(hostile.as_bytes()).collect::<String>();
    acme.post(&format!("members?reason={reason}"), &json!({"user": "bob", "role": "manager"})).expect(201);
    acme.post("access-keys", &json!({"role": "auditor", "label": hostile})).expect(201);
    acme.post("members?reason=%3D1%2B1", &json!({"user": "carol", "role": "member"})).expect(201);
    let mut shown = 0;
    for name in REPORTS {
        let filter = if name == "dormant" { "?days=1" } else { "" };
        let page = asked(&acme, &format!("reports/{name}{filter}"), "text/html").expect(200).text;
        assert!(!page.contains("<script") && !page.contains("<img"), "{name}");
        shown += page.matches("&lt;script&gt;alert(1)&lt;/script&gt;").count();
    }
    assert!(shown >= 4, "it is shown as what it is");
    let csv = asked(&acme, "reports/joiners", "text/csv").expect(200).text;
    assert!(csv.contains(",'=1+1,"), "{csv}");
}

#[test]
fn negative_numbers_are_numbers_and_ids_like_numbers_are_text_in_every_form() {
    let clock = TestClock::start();
    let acme = Acme::with_clock(clock.clone());
    acme.patch("environments/main", &json!({"restricted": true, "default_role": "no_access"})).expect(200);
    acme.restricted("prod", "no_access");
    acme.post("members", &json!({"user": "-44640", "role": "member"})).expect(201);
    acme.grant("prod", "user:-44640", "viewer");
    acme.delete("environments/prod/grants/user:-44640").expect(200);
    clock.set("2026-04-01T00:00:00Z");
    acme.delete("members/-44640").expect(200);
    let leaver = &items(&acme.get("reports/leavers").expect(200))[0].clone();
    let minutes = leaver["minutes_between"].as_i64().unwrap();
    assert!(minutes < -44_000, "{leaver}");
    let csv = asked(&acme, "reports/leavers", "text/csv").expect(200).text;
    let row = csv.lines().nth(1).unwrap();
    assert!(
        row.starts_with("'-44640,user:-44640,") && row.contains(&format!(",environment prod,{minutes},false,")),
        "{row}"
    );
    let roster = asked(&acme, "audit/tenures?principal=user:-44640", "text/csv").expect(200).text;
    assert!(roster.contains(",'-44640,"), "{roster}");
}

#[test]
fn the_refusal_of_an_unknown_report_lists_the_known_ones() {
    let refused = Acme::new().get("reports/rooster").refused(404, "not_found");
    let detail = refused.json["detail"].as_str().unwrap();
    assert!(REPORTS.iter().all(|name| detail.contains(&format!("`{name}`"))), "{detail}");
}

#[test]
fn parameters_that_a_report_does_not_take_are_refused() {
    let acme = busy();
    for (rest, said) in [
        ("roster?from=2026-01-01T00:00:00Z", "no parameter `from`"),
        ("roster?limit=3", "no parameter `limit`"),
        ("joiners?environment=prod", "no parameter `environment`"),
        ("leavers?days=3", "no parameter `days`"),
        ("dormant?at=3", "uses of credentials are not in the log"),
        ("dormant?at=2026-01-01T00:00:00Z", "uses of credentials are not in the log"),
        ("dormant?days=0", "is not from 1 to 36500"),
        ("outside-window?days=36501", "is not from 1 to 36500"),
        ("outside-window?days=many", "`days`"),
        ("changes?from=2026-02-01T00:00:00Z&until=2026-01-01T00:00:00Z", "is later than `until`"),
        ("changes?from=yesterday", "`from`"),
        ("roster?at=9999", "is past the newest one"),
    ] {
        let refused = acme.get(&format!("reports/{rest}")).refused(422, "invalid");
        assert!(refused.json["detail"].as_str().unwrap().contains(said), "{rest}: {}", refused.text);
    }
    for rest in ["roster?environment=nowhere", "changes?principal=user:nobody", "orphans?principal=service_user:none"] {
        acme.get(&format!("reports/{rest}")).refused(404, "not_found");
    }
}

#[test]
fn filters_narrow_a_report() {
    let acme = busy();
    let count = |rest: &str| items(&acme.get(&format!("reports/{rest}")).expect(200)).len();
    assert_eq!(count("roster?principal=user:carol"), 2, "main and prod");
    assert_eq!(count("roster?environment=prod"), 3);
    assert_eq!(count("privileged?principal=user:carol&environment=prod"), 1);
    assert_eq!(count("leavers?principal=user:bob"), 1, "also someone who is gone");
    assert_eq!(count("leavers?principal=user:carol"), 0);
    assert_eq!(count("changes?environment=prod&principal=user:carol"), 1);
    assert_eq!(count("outside-window?principal=user:carol&days=36500"), 1);
    assert_eq!(count("service-users?principal=service_user:ci"), 1);
    assert_eq!(count("roster?at=0"), 0, "before the first event");
}

#[test]
fn a_period_begins_with_its_first_instant_and_ends_before_its_last() {
    let clock = TestClock::start();
    let acme = Acme::with_clock(clock.clone());
    clock.set("2026-03-02T00:00:00Z");
    acme.post("members", &json!({"user": "bob", "role": "member"})).expect(201);
    clock.set("2026-03-09T00:00:00Z");
    let count = |period: &str| {
        let reply = acme.get(&format!("reports/joiners?principal=user:bob{period}")).expect(200);
        assert!(reply.json.as_object().unwrap().contains_key("from"), "the period is said");
        items(&reply).len()
    };
    assert_eq!(count(""), 1);
    assert_eq!(count("&from=2026-03-02T00:00:00Z"), 1);
    assert_eq!(count("&until=2026-03-02T00:00:00Z"), 0);
    assert_eq!(count("&until=2026-03-02T00:00:00.000001Z"), 1);
    assert_eq!(count("&until=2036-01-01T00:00:00Z"), 1, "until now");
    assert_eq!(count("&from=2026-03-02T00:00:00.000001Z"), 0);
}

#[test]
fn last_use_is_known_for_now_only_and_unused_credentials_become_dormant() {
    let clock = TestClock::start();
    let acme = Acme::with_clock(clock.clone());
    let (ci, idle) = (acme.service_user("ci"), acme.service_user("idle"));
    clock.set("2026-04-01T00:00:00Z");
    acme.call("GET", "", &ci, &Value::Null).expect(200);
    let last_used = |rest: &str| -> Vec<Value> {
        let reply = acme.get(&format!("reports/service-users{rest}")).expect(200);
        items(&reply).iter().map(|row| row["last_used_at"].clone()).collect()
    };
    assert_eq!(last_used(""), [json!("2026-04-01T00:00:00.000000Z"), Value::Null]);
    assert_eq!(last_used(&format!("?at={}", acme.head())), [Value::Null, Value::Null]);
    let dormant = |days: u32| -> Vec<(Value, Value)> {
        let reply = acme.get(&format!("reports/dormant?days={days}")).expect(200);
        items(&reply).iter().map(|row| (row["credential"].clone(), row["idle_days"].clone())).collect()
    };
    clock.set("2026-04-05T00:00:00Z");
    assert_eq!(dormant(30), [(json!(id(&idle)), json!(34))], "made on the first of March, and never used");
    assert_eq!(dormant(4), [(json!(id(&ci)), json!(4)), (json!(id(&idle)), json!(34))]);
    assert_eq!(dormant(35), []);
}

#[test]
fn every_report_is_recorded_and_the_list_of_reports_is_not() {
    let acme = busy();
    acme.get("reports").expect(200);
    asked(&acme, "reports/roster?environment=prod", "text/html").expect(200);
    asked(&acme, "reports/changes", "text/csv").expect(200);
    acme.get("reports/none").refused(404, "not_found");
    acme.get("reports/dormant?at=1").refused(422, "invalid");
    let reads = acme.call("GET", "audit/reads", OPERATOR, &Value::Null).expect(200);
    let line = |read: &Value| ["question", "query", "format", "rows"].map(|field| read[field].to_string()).join(" ");
    let found: Vec<String> = items(&reads).iter().map(line).collect();
    let changes = format!("\"reports/changes\" \"\" \"csv\" {}", acme.head());
    assert_eq!(found, ["\"reports/roster\" \"environment=prod\" \"html\" 3", changes.as_str()]);
}
