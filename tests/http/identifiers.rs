//! User ids and names with every allowed character, through every route that takes one.

use serde_json::{Value, json};
use tenure::http::response::escaped;

use crate::support::acme::{Acme, id, path, question, types};
use crate::support::server::{OPERATOR, Reply};

/// Subjects of identity providers, and ids that look like something else.
const USERS: [&str; 9] = [
    "auth0|5f7c8ec7c33c6c004bbafe82",
    "repo:acme/app:ref:refs/heads/main",
    "arn:aws:iam::123456789012:user/Bob",
    "spiffe://acme.example/ns/prod/sa/web",
    "https://id.example/~o'neil=1+1@x",
    "user:bob",
    "../members",
    "=cmd|'x'",
    "env_01h455vb4pex5vsknk084sn02q",
];

/// Starts a workspace with a restricted environment and each of the users as a member.
fn stage() -> Acme {
    let acme = Acme::new();
    acme.restricted("prod", "viewer");
    for user in USERS {
        acme.post("members", &json!({"user": user, "role": "member"})).expect(201);
    }
    acme
}

/// Returns the principals or users of a list.
fn all(reply: &Reply, field: &str) -> Vec<String> {
    let items = reply.json["items"].as_array().unwrap();
    items.iter().map(|item| item[field].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_member_with_any_id_is_found_at_its_location() {
    let acme = Acme::new();
    for user in USERS {
        let made = acme.post("members", &json!({"user": user, "role": "member"})).expect(201);
        let place = made.header("location").unwrap().to_owned();
        assert!(place.ends_with(&format!("/members/{}", escaped(user))), "{place}");
        assert_eq!(acme.server.get(&place, OPERATOR).expect(200).json["user"], user);
    }
    let listed = all(&acme.get("members?limit=1000").expect(200), "user");
    assert!(USERS.iter().all(|user| listed.contains(&(*user).to_owned())), "{listed:?}");
    acme.get("members/..%2Fmembers").expect(200);
    acme.get("members/nobody%2Fat%2Fall").refused(404, "not_found");
}

#[test]
fn a_member_with_any_id_can_be_changed_and_removed() {
    let acme = stage();
    for user in USERS {
        let member = format!("members/{}", escaped(user));
        let principal = format!("user:{user}");
        let grant = format!("environments/prod/grants/{}", escaped(&principal));
        let token = acme.post(&format!("{member}/tokens"), &Value::Null).expect(201);
        assert_eq!(token.json["token"]["holder"], principal.as_str());
        let own = token.credential("token");
        assert_eq!(acme.call("GET", "members", &own, &Value::Null).expect(200).json["items"][0]["user"], user);
        let set = acme.put(&grant, &json!({"role": "contributor"})).expect(200);
        assert_eq!(set.json["grant"]["principal"], principal.as_str());
        assert_eq!(acme.get(&grant).expect(200).json["principal_name"], user);
        assert_eq!(types(&acme.delete(&grant).expect(200)), ["grant.revoked"]);
        acme.put(&format!("{member}/profile"), &json!({"name": "Someone"})).expect(200);
        assert_eq!(acme.get(&member).expect(200).json["name"], "Someone");
        acme.call("DELETE", &format!("{member}/profile"), &own, &Value::Null).expect(200);
        assert_eq!(acme.patch(&member, &json!({"role": "manager"})).expect(200).json["member"]["user"], user);
        let made = acme.call("POST", "environments", &own, &json!({"name": "dev"})).expect(201);
        assert_eq!(made.json["events"][0]["actor"], principal.as_str());
        acme.delete("environments/dev").expect(200);
        assert_eq!(types(&acme.delete(&member).expect(200)), ["token.revoked", "member.removed"]);
    }
}

#[test]
fn decisions_and_audits_work_for_members_with_any_id() {
    let acme = stage();
    let auditor = acme.access_key("auditor");
    for user in USERS {
        let principal = format!("user:{user}");
        acme.put(&format!("environments/prod/grants/{}", escaped(&principal)), &json!({"role": "contributor"}))
            .expect(200);
        assert!(acme.allows(&principal, "deploy", "app@prod"), "{user}");
        for question in ["audit/access", "audit/tenures", "events"] {
            let asked = format!("{question}?environment=prod&principal={}", escaped(&principal));
            let answer = acme.call("GET", &asked, &auditor, &Value::Null).expect(200);
            assert_eq!(answer.json["query"]["principal"], principal.as_str(), "{asked}");
            assert!(answer.json["items"][0].to_string().contains(&principal), "{asked}");
        }
        let about = format!("events?subject={}", escaped(&principal));
        assert_eq!(acme.get(&about).expect(200).json["items"][0]["type"], "member.added.v1");
    }
    let mut question = question("user:x", "deploy", "app@prod");
    question["subject"] = json!({"type": "user"});
    let found = acme.post("access/v1/search/subject", &question).expect(200);
    let found: Vec<&str> =
        found.json["results"].as_array().unwrap().iter().filter_map(|row| row["id"].as_str()).collect();
    assert!(USERS.iter().all(|user| found.contains(user)), "{found:?}");
}

#[test]
fn pages_are_contiguous_with_any_ids() {
    let acme = stage();
    let asked = format!("events?principal={}&limit=1", escaped("user:repo:acme/app:ref:refs/heads/main"));
    acme.put(
        "environments/prod/grants/user%3Arepo%3Aacme%2Fapp%3Aref%3Arefs%2Fheads%2Fmain",
        &json!({"role": "viewer"}),
    )
    .expect(200);
    let first = acme.get(&asked).expect(200);
    let second = acme.get(&format!("{asked}&cursor={}", first.json["next"].as_str().unwrap())).expect(200);
    assert_eq!(second.json["items"][0]["type"], "grant.added.v1");
    let mut listed = Vec::new();
    let mut page = acme.get("members?limit=2").expect(200);
    loop {
        listed.extend(all(&page, "user"));
        let Some(cursor) = page.json["next"].as_str() else { break };
        page = acme.get(&format!("members?limit=2&cursor={cursor}")).expect(200);
    }
    assert_eq!(listed.len(), USERS.len() + 1);
}

#[test]
fn members_with_any_id_survive_a_restart() {
    let acme = stage();
    let before = acme.get("audit/access?limit=1000").expect(200);
    let [revision, at] = ["tenure-revision", "tenure-at"].map(|name| before.header(name).unwrap().to_owned());
    let acme = acme.restart();
    let after = acme.get(&format!("audit/access?limit=1000&at={at}&revision={revision}")).expect(200);
    assert_eq!(after.json["items"], before.json["items"]);
}

#[test]
fn a_service_user_named_like_an_id_is_found_by_name_and_by_id() {
    let acme = Acme::new();
    acme.restricted("prod", "viewer");
    for name in ["key_rotator", "env_sync", "_ci", "-ci", "svc_x"] {
        let made = acme.post("service-users", &json!({"name": name})).expect(201);
        let svc = made.json["service_user"]["id"].as_str().unwrap().to_owned();
        for reference in [name, &svc] {
            assert_eq!(acme.get(&format!("service-users/{reference}")).expect(200).json["id"], svc.as_str());
            acme.grant("prod", &format!("service_user:{reference}"), "contributor");
            assert!(acme.allows(&format!("service_user:{reference}"), "deploy", "app@prod"), "{reference}");
        }
        let token = acme.post(&format!("service-users/{name}/tokens"), &Value::Null).expect(201).credential("token");
        assert_eq!(acme.get(&format!("tokens/{}", id(&token))).expect(200).json["holder_name"], name);
        acme.get(&format!("events?principal=service_user:{name}")).expect(200);
        acme.delete(&format!("service-users/{name}")).expect(200);
    }
}

#[test]
fn a_workspace_and_an_environment_named_like_ids_are_found_by_name() {
    let acme = Acme::new();
    let environment = acme.environment("env_prod");
    assert_eq!(acme.get("environments/ENV_PROD").expect(200).json["id"], environment.as_str());
    let body = crate::support::acme::workspace_body("ws_acme", "shared", "team", "olga");
    let olga = acme.server.post("/v1/workspaces", OPERATOR, &body).expect(201).credential("token");
    for credential in [OPERATOR, &olga] {
        assert_eq!(acme.server.get("/v1/workspaces/ws_acme", credential).expect(200).json["name"], "ws_acme");
    }
    acme.server.get(&path(""), &olga).refused(404, "not_found");
}

#[test]
fn every_route_refuses_texts_with_invisible_characters() {
    let acme = Acme::new();
    acme.restricted("prod", "viewer");
    for hidden in ["a\u{200b}b", "a\u{2028}b", "a\u{2029}b", "a\u{ad}b", "a\u{200d}b", "a\u{e0041}b", "a\u{fe0f}b"] {
        let query = escaped(hidden);
        acme.post(&format!("environments?reason={query}"), &json!({"name": "dev"})).refused(422, "invalid");
        acme.delete(&format!("environments/prod?reason={query}")).refused(422, "invalid");
        acme.post(&format!("commands?reason={query}"), &json!({"commands": [{"type": "rbac.disable"}]}))
            .refused(422, "invalid");
        acme.post("access-keys", &json!({"role": "auditor", "label": hidden})).refused(422, "invalid");
        acme.put(&format!("resources/app/{query}"), &json!({"environment": "prod"})).refused(422, "invalid");
        acme.post("members", &json!({"user": "mia", "role": "member", "name": hidden})).refused(422, "invalid");
        acme.put("members/alice/profile", &json!({"name": hidden})).refused(422, "invalid");
        let issue = json!({"type": "access_key.issue", "role": "auditor", "label": hidden});
        acme.post("commands", &json!({"commands": [issue]})).refused(422, "invalid");
        let place = json!({"type": "resource.place", "resource": {"type": "app", "id": hidden}, "environment": "prod"});
        acme.post("audit/what-if", &json!({"commands": [place]})).refused(422, "invalid");
    }
    acme.put("members/alice/profile?reason=%E2%9A%A0%EF%B8%8F", &json!({"name": "Zoë ⚠\u{fe0f}"})).expect(200);
}
