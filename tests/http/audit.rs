//! The audit: the roster, the log with its filters, and their readers.

use serde_json::{Value, json};
use tenure::domain::model::id::WorkspaceId;
use tenure::domain::model::time::Revision;

use crate::support::acme::{Acme, id, path, workspace_body};
use crate::support::server::{OPERATOR, Server};

fn stage() -> Acme {
    let acme = Acme::new();
    acme.member("bob", "member");
    acme.service_user("ci");
    acme.restricted("prod", "viewer");
    acme.restricted("vault", "no_access");
    acme.grant("prod", "service_user:ci", "contributor");
    acme
}

/// Returns `PRINCIPAL ENVIRONMENT ROLE RULE` of each row.
#[track_caller]
fn rows(acme: &Acme, query: &str) -> Vec<String> {
    let reply = acme.get(&format!("audit/access?{query}")).expect(200);
    let text = |row: &Value, field: &str| row[field].as_str().unwrap().to_owned();
    let row =
        |row: &Value| ["principal_name", "environment_name", "role", "rule"].map(|field| text(row, field)).join(" ");
    let mut rows: Vec<String> = reply.json["items"].as_array().unwrap().iter().map(row).collect();
    rows.sort();
    rows
}

mod access {
    use super::*;

    #[test]
    fn the_roster_lists_every_principal_with_a_role_in_an_environment() {
        let acme = stage();
        let prod =
            ["alice prod contributor workspace_role", "bob prod viewer default_role", "ci prod contributor grant"];
        assert_eq!(rows(&acme, "environment=prod"), prod);
        assert_eq!(rows(&acme, "environment=PROD"), prod);
        assert_eq!(rows(&acme, "environment=vault"), ["alice vault contributor workspace_role"]);
        let bob = ["bob main contributor unrestricted", "bob prod viewer default_role"];
        assert_eq!(rows(&acme, "principal=user:bob"), bob);
        assert_eq!(rows(&acme, "principal=service_user:ci&environment=prod"), ["ci prod contributor grant"]);
        assert_eq!(rows(&acme, "principal=user:bob&environment=vault"), Vec::<String>::new());
        assert_eq!(rows(&acme, "").len(), 7);
        acme.rbac(false);
        assert!(rows(&acme, "").contains(&"bob vault contributor rbac_off".to_owned()));
    }

    #[test]
    fn the_roster_states_the_question_and_the_evidence() {
        let acme = stage();
        let reply = acme.get("audit/access?environment=prod&principal=service_user:ci").expect(200);
        let fields: Vec<&String> = reply.json.as_object().unwrap().keys().collect();
        assert_eq!(fields, ["workspace", "revision", "at", "query", "items", "next"]);
        assert_eq!(reply.json["query"], json!({"environment": "prod", "principal": "service_user:ci"}));
        assert_eq!(reply.json["revision"].to_string(), reply.header("tenure-revision").unwrap());
        assert_eq!(reply.json["at"], reply.header("tenure-at").unwrap());
        let granted = acme.events().pop().unwrap();
        let row = &reply.json["items"][0];
        assert_eq!(row["since"], granted["time"]);
        assert_eq!(row["evidence"].as_array().unwrap().last().unwrap()["event"], granted["id"]);
        assert_eq!(row["evidence"].as_array().unwrap().last().unwrap()["actor"], "user:alice");
    }

    #[test]
    fn the_roster_can_be_of_the_past() {
        let acme = stage();
        let then = acme.head();
        acme.delete("environments/prod").expect(200);
        acme.delete("service-users/ci").expect(200);
        let prod =
            ["alice prod contributor workspace_role", "bob prod viewer default_role", "ci prod contributor grant"];
        assert_eq!(rows(&acme, &format!("environment=prod&at={then}")), prod);
        assert_eq!(rows(&acme, "environment=prod"), Vec::<String>::new(), "it was, and is no more");
        assert_eq!(rows(&acme, "principal=service_user:ci"), Vec::<String>::new());
        assert_eq!(rows(&acme, "environment=vault&at=5"), Vec::<String>::new(), "it is not there yet");
    }

    #[test]
    fn filters_with_unknown_names_are_not_found() {
        let acme = stage();
        for query in ["environment=none", "principal=user:nobody", "principal=bob", "principal=service_user:none"] {
            acme.get(&format!("audit/access?{query}")).refused(404, "not_found");
        }
        acme.get("audit/access?env=prod").refused(422, "invalid");
    }

    #[test]
    fn owners_managers_the_operator_and_auditors_read_the_roster() {
        let acme = stage();
        let (mark, bob) =
            (acme.member("mark", "manager"), acme.post("members/bob/tokens", &json!({})).credential("token"));
        for reading in ["audit/access", "events"] {
            for credential in [&acme.alice, &mark, OPERATOR, &acme.access_key("auditor")] {
                acme.call("GET", reading, credential, &Value::Null).expect(200);
            }
            for credential in [&bob, &acme.access_key("evaluator")] {
                acme.call("GET", reading, credential, &Value::Null).refused(403, "forbidden");
            }
        }
    }
}

mod events {
    use super::*;

    /// Returns the revisions that a filter matches.
    #[track_caller]
    fn found(acme: &Acme, query: &str) -> Vec<u64> {
        let reply = acme.get(&format!("events?limit=1000&{query}")).expect(200);
        reply.json["items"].as_array().unwrap().iter().map(|event| event["revision"].as_u64().unwrap()).collect()
    }

    /// Returns the revisions of the events for which a condition holds.
    fn where_(acme: &Acme, holds: impl Fn(&Value) -> bool) -> Vec<u64> {
        let events = acme.events();
        events.iter().filter(|event| holds(event)).map(|event| event["revision"].as_u64().unwrap()).collect()
    }

    #[test]
    fn events_are_filtered_by_each_condition_alone() {
        let acme = stage();
        acme.server.put(&path("plan"), OPERATOR, &json!({"plan": "enterprise"})).expect(200);
        let prod = acme.get("environments/prod").json["id"].clone();
        let ci = format!("service_user:{}", acme.get("service-users/ci").json["id"].as_str().unwrap());
        assert_eq!(found(&acme, "after=5"), where_(&acme, |event| event["revision"].as_u64() > Some(5)));
        assert_eq!(found(&acme, "after=999"), Vec::<u64>::new());
        let added = where_(&acme, |event| event["type"] == "member.added.v1");
        assert_eq!(added.len(), 2);
        assert_eq!(found(&acme, "type=member.added"), added);
        assert_eq!(found(&acme, "type=member.added.v1"), added);
        let of_prod = where_(&acme, |event| event["subject"] == prod);
        assert_eq!(of_prod.len(), 3);
        assert_eq!(found(&acme, &format!("subject={}", prod.as_str().unwrap())), of_prod);
        assert_eq!(found(&acme, "environment=prod"), of_prod);
        assert_eq!(found(&acme, "subject=user:bob"), where_(&acme, |event| event["subject"] == "user:bob"));
        assert_eq!(found(&acme, "actor=operator"), where_(&acme, |event| event["actor"] == "operator"));
        assert_eq!(found(&acme, "actor=user:alice"), where_(&acme, |event| event["actor"] == "user:alice"));
        assert_eq!(found(&acme, "actor=system"), Vec::<u64>::new());
        let about_ci = where_(&acme, |event| {
            event["type"] == "service_user.created.v1"
                || event["data"]["principal"] == *ci
                || event["data"]["holder"] == *ci
        });
        assert_eq!(about_ci.len(), 3);
        assert_eq!(found(&acme, "principal=service_user:ci"), about_ci);
        assert_eq!(found(&acme, &format!("principal={ci}")), about_ci);
        let time = acme.events()[6]["time"].as_str().unwrap().to_owned();
        let (from, until) = (found(&acme, &format!("from={time}")), found(&acme, &format!("until={time}")));
        assert_eq!(from, where_(&acme, |event| event["time"].as_str() >= Some(&time)));
        assert_eq!(until, where_(&acme, |event| event["time"].as_str() < Some(&time)));
    }

    #[test]
    fn conditions_are_combined() {
        let acme = stage();
        let query = "environment=prod&type=grant.added&principal=service_user:ci&actor=user:alice&after=3";
        let granted = where_(&acme, |event| event["type"] == "grant.added.v1");
        assert_eq!(found(&acme, query), granted);
        assert_eq!(found(&acme, &format!("{query}&until=2001-01-01T00:00:00Z")), Vec::<u64>::new());
        let at = granted[0] - 1;
        assert_eq!(found(&acme, &format!("{query}&at={at}")), Vec::<u64>::new());
    }

    #[test]
    fn filtered_pages_are_contiguous() {
        let acme = stage();
        let all = found(&acme, "actor=user:alice");
        let mut pages = Vec::new();
        let mut cursor = String::new();
        loop {
            let reply = acme.get(&format!("events?actor=user:alice&limit=2{cursor}")).expect(200);
            let items = reply.json["items"].as_array().unwrap();
            pages.extend(items.iter().map(|event| event["revision"].as_u64().unwrap()));
            let Some(next) = reply.json["next"].as_str() else { break };
            assert_eq!(items.len(), 2);
            cursor = format!("&cursor={next}");
        }
        assert_eq!(pages, all);
    }

    #[test]
    fn a_filter_with_an_unknown_name_is_not_found() {
        let acme = stage();
        for query in [
            "environment=none",
            "principal=user:nobody",
            "actor=user:nobody",
            "actor=nobody",
            "subject=user:nobody",
            "subject=env_01h455vb4pex5vsknk084sn02q",
        ] {
            acme.get(&format!("events?{query}")).refused(404, "not_found");
        }
        for query in [
            "type=member.flown",
            "from=now",
            "after=x",
            "what=x",
            "from=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z",
        ] {
            acme.get(&format!("events?{query}")).refused(422, "invalid");
        }
    }

    #[test]
    fn deleted_and_future_things_can_still_be_named() {
        let acme = stage();
        assert_eq!(found(&acme, "environment=prod&at=5"), Vec::<u64>::new());
        acme.delete("environments/prod").expect(200);
        acme.environment("prod");
        assert_eq!(found(&acme, "environment=prod").len(), 6, "both that bore the name");
    }

    #[test]
    fn events_are_the_stored_bytes_and_state_the_query() {
        let acme = stage();
        let reply = acme.get("events?limit=1000").expect(200);
        let workspace: WorkspaceId = reply.json["workspace"].as_str().unwrap().parse().unwrap();
        let stored = acme.server.service.log().read(workspace, Revision::ZERO, 1_000).unwrap();
        let stored: Vec<String> = stored.into_iter().map(|event| String::from_utf8(event.bytes).unwrap()).collect();
        assert!(reply.text.contains(&format!("\"items\":[{}]", stored.join(","))));
        let reply = acme.get("events?type=grant.added&limit=1").expect(200);
        let fields: Vec<&String> = reply.json.as_object().unwrap().keys().collect();
        assert_eq!(fields, ["workspace", "revision", "at", "query", "items", "next"]);
        assert_eq!(reply.json["query"]["type"], "grant.added");
        let authorization = format!("Bearer {}", acme.alice);
        let headers = [("authorization", authorization.as_str()), ("accept", "application/cloudevents-batch+json")];
        let batch = acme.server.send("GET", &path("events?limit=1000"), &headers, None).expect(200);
        assert_eq!(batch.header("content-type"), Some("application/cloudevents-batch+json"));
        assert_eq!(batch.text, format!("[{}]", stored.join(",")));
        let first = acme.server.send("GET", &path("events?limit=3"), &headers, None).expect(200);
        let next = format!("events?limit=1000&cursor={}", first.header("tenure-next").unwrap());
        let rest = acme.server.send("GET", &path(&next), &headers, None).expect(200);
        assert_eq!(rest.text, format!("[{}]", stored[3..].join(",")));
    }

    #[test]
    fn an_event_names_the_actor_and_the_credential() {
        let acme = stage();
        let last = acme.events().pop().unwrap();
        assert_eq!((&last["actor"], &last["credential"]), (&json!("user:alice"), &json!(id(&acme.alice))));
        let first = acme.events().remove(0);
        assert_eq!((&first["actor"], &first["credential"]), (&json!("operator"), &json!("operator")));
    }

    #[test]
    fn events_of_other_workspaces_are_not_listed() {
        let server = Server::start();
        for name in ["one", "two"] {
            server.post("/v1/workspaces", OPERATOR, &workspace_body(name, "shared", "team", "al")).expect(201);
        }
        let items = server.get("/v1/workspaces/two/events", OPERATOR).expect(200).json["items"].clone();
        assert_eq!(items.as_array().unwrap().len(), 4);
    }
}
