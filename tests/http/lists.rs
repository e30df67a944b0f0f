//! Lists: all pages are of the first one's view, and a cursor belongs to one question.

use serde_json::{Value, json};

use crate::support::acme::{Acme, workspace_body};
use crate::support::server::OPERATOR;

/// Starts a workspace with five items in every list.
fn stage() -> Acme {
    let acme = Acme::new();
    acme.restricted("prod", "viewer");
    for number in 0..5 {
        acme.member(&format!("m{number}"), "member");
        acme.service_user(&format!("s{number}"));
        acme.environment(&format!("e{number}"));
        acme.grant("prod", &format!("user:m{number}"), "contributor");
        acme.proxy_token(Some(&["prod"]));
        acme.access_key("auditor");
        let define = json!({"name": format!("type{number}"), "actions": {"read": "viewer"}});
        acme.post("resource-types", &define).expect(201);
        acme.put(&format!("resources/app/a{number}"), &json!({"environment": "prod"})).expect(201);
        acme.put(&format!("resources/type0/x{number}"), &json!({"environment": "main"})).expect(201);
    }
    acme
}

const LISTS: &[&str] = &[
    "members",
    "service-users",
    "environments",
    "environments/prod/grants",
    "tokens",
    "proxy-tokens",
    "access-keys",
    "resource-types",
    "resources",
    "resources?type=app",
    "resources?environment=prod",
    "resources?type=type0&environment=main",
    "events",
    "events?type=grant.added",
    "audit/access",
    "audit/access?environment=prod",
];

fn and(path: &str, query: &str) -> String {
    format!("{path}{}{query}", if path.contains('?') { '&' } else { '?' })
}

/// Returns the items of a list, without fields from outside the log.
fn items(reply: &Value) -> Vec<Value> {
    let mut items = reply["items"].as_array().unwrap().clone();
    for item in &mut items {
        item.as_object_mut().unwrap().remove("last_used_at");
    }
    items
}

#[test]
fn all_pages_are_of_the_first_ones_view_while_changes_happen() {
    for list in LISTS {
        let acme = stage();
        let whole = items(&acme.get(&and(list, "limit=1000")).expect(200).json);
        assert!(whole.len() >= 5, "{list}");
        let first = acme.get(&and(list, "limit=2")).expect(200);
        let (mut found, mut next) = (items(&first.json), first.json["next"].clone());
        for name in ["m0", "m3"] {
            acme.delete(&format!("members/{name}")).expect(200);
        }
        acme.delete("service-users/s1").expect(200);
        acme.delete("environments/e0").expect(200);
        acme.environment("new");
        acme.member("aaron", "member");
        acme.delete("environments/prod").expect(200);
        while let Some(cursor) = next.as_str() {
            let page = acme.get(&and(list, &format!("limit=3&cursor={cursor}"))).expect(200);
            assert_eq!(page.header("tenure-revision"), first.header("tenure-revision"), "{list}");
            assert_eq!(page.header("tenure-at"), first.header("tenure-at"), "{list}");
            found.extend(items(&page.json));
            next = page.json["next"].clone();
        }
        assert_eq!(found, whole, "{list}");
    }
}

#[test]
fn a_cursor_belongs_to_one_question() {
    let acme = stage();
    let next = |list: &str| acme.get(list).expect(200).json["next"].as_str().unwrap().to_owned();
    let members = next("members?limit=1");
    let grants = next("events?limit=1&type=grant.added");
    for other in ["environments", "events", "tokens", "members?at=5", "environments/prod/grants"] {
        acme.get(&and(other, &format!("cursor={members}"))).refused(422, "invalid");
    }
    for other in ["events", "events?type=member.added", "events?type=grant.added&actor=user:alice"] {
        acme.get(&and(other, &format!("cursor={grants}"))).refused(422, "invalid");
    }
    let body = workspace_body("other", "shared", "team", "olga");
    acme.server.post("/v1/workspaces", OPERATOR, &body).expect(201);
    let elsewhere = format!("/v1/workspaces/other/members?cursor={members}");
    acme.server.get(&elsewhere, OPERATOR).refused(422, "invalid");
}

#[test]
fn a_garbage_cursor_or_limit_is_refused() {
    let acme = stage();
    for list in LISTS {
        for query in
            ["cursor=", "cursor=x", "cursor=AAAA", "cursor=e30", "limit=0", "limit=1001", "limit=x", "limit=-1"]
        {
            let reply = acme.get(&and(list, query));
            assert_eq!((reply.status, reply.code()), (422, "invalid"), "{list} {query}");
        }
    }
}

#[test]
fn the_last_page_has_no_next() {
    let acme = stage();
    let count = acme.get("members").json["items"].as_array().unwrap().len();
    assert_eq!(acme.get(&format!("members?limit={count}")).expect(200).json["next"], Value::Null);
    assert!(acme.get(&format!("members?limit={}", count - 1)).expect(200).json["next"].is_string());
}

#[test]
fn pages_of_workspaces_skip_deleted_ones() {
    let acme = Acme::new();
    for number in 0..6 {
        let body = workspace_body(&format!("w{number}"), "shared", "team", "olga");
        acme.server.post("/v1/workspaces", OPERATOR, &body).expect(201);
    }
    acme.server.delete("/v1/workspaces/w2", OPERATOR).expect(200);
    let page = |query: &str| acme.server.get(&format!("/v1/workspaces{query}"), OPERATOR).expect(200).json;
    let names = |page: &Value| -> Vec<String> {
        let items = page["items"].as_array().unwrap().iter();
        items.map(|item| item["name"].as_str().unwrap().to_owned()).collect()
    };
    let first = page("?limit=2");
    assert_eq!(names(&first), ["acme", "w0"]);
    acme.server.put("/v1/workspaces/w5/plan", OPERATOR, &json!({"plan": "starter"})).expect(200);
    acme.server.delete("/v1/workspaces/w3", OPERATOR).expect(200);
    let second = page(&format!("?limit=3&cursor={}", first["next"].as_str().unwrap()));
    assert_eq!(names(&second), ["w1", "w3", "w4"], "as of the first page");
    let third = page(&format!("?limit=3&cursor={}", second["next"].as_str().unwrap()));
    assert_eq!((names(&third), &third["next"]), (vec!["w5".to_owned()], &Value::Null));
    assert_eq!(third["items"][0]["plan"], "team", "as of the first page");
}

#[test]
fn a_plain_principal_lists_only_itself_and_what_it_can_access() {
    let acme = stage();
    acme.restricted("vault", "no_access");
    let robot = acme.service_user("robot");
    let mia = acme.member("mia", "member");
    acme.grant("vault", "user:mia", "viewer");
    acme.grant("prod", "user:mia", "contributor");
    let count = |credential: &str, list: &str| {
        let reply = acme.call("GET", list, credential, &Value::Null).expect(200);
        reply.json["items"].as_array().unwrap().len()
    };
    assert_eq!((count(&mia, "members"), count(&robot, "members")), (1, 0));
    assert_eq!((count(&mia, "service-users"), count(&robot, "service-users")), (0, 1));
    assert_eq!((count(&mia, "tokens"), count(&robot, "tokens")), (1, 1));
    assert_eq!((count(&mia, "environments"), count(&robot, "environments")), (8, 7));
    assert_eq!((count(&mia, "environments/prod/grants"), count(&robot, "environments/prod/grants")), (1, 0));
    acme.call("GET", "environments/vault", &robot, &Value::Null).refused(404, "not_found");
    acme.call("GET", "environments/vault/grants", &robot, &Value::Null).refused(404, "not_found");
    acme.call("GET", "environments/vault", &mia, &Value::Null).expect(200);
    acme.call("GET", "environments/vault/grants/user:mia", &mia, &Value::Null).expect(200);
    let own = acme.server.get("/v1/workspaces", &mia).expect(200);
    assert_eq!(own.json["items"][0]["name"], "acme");
}
