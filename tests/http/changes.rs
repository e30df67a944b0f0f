//! Every change: its status, its location, its response, and its events in order.

use serde_json::{Value, json};

use crate::support::acme::{Acme, id, path, types, workspace_body};
use crate::support::server::{OPERATOR, Reply};

const WORKSPACE: &[&str] = &["id", "name", "kind", "plan", "rbac"];
const MEMBER: &[&str] = &["user", "role", "since"];
const SERVICE_USER: &[&str] = &["id", "name", "created_at", "created_by"];
const TOKEN: &[&str] =
    &["id", "holder", "holder_name", "issued_by", "created_at", "expires_at", "last_used_at", "secret"];
const ENVIRONMENT: &[&str] = &["id", "name", "restricted", "default_role"];
const GRANT: &[&str] =
    &["environment", "environment_name", "principal", "principal_name", "role", "expires_at", "since"];
const PROXY_TOKEN: &[&str] = &["id", "scope", "environments", "environment_names", "expires_at", "secret"];
const ACCESS_KEY: &[&str] = &["id", "role", "label", "expires_at", "secret"];

fn fields(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// Checks that a response has the revision, these events, these entities with exactly these fields, and the checkpoint.
#[track_caller]
fn assert_answer(reply: &Reply, events: &[&str], entities: &[(&str, &[&str])]) {
    assert_eq!(types(reply), events);
    let kinds: Vec<&str> = entities.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(
        fields(&reply.json),
        [&["revision", "events"], kinds.as_slice(), &["checkpoint"]].concat(),
        "{}",
        reply.text
    );
    for (kind, expected) in entities {
        assert_eq!(fields(&reply.json[kind]), *expected, "{kind}");
    }
    assert_eq!(fields(&reply.json["checkpoint"]), ["size", "root"]);
    assert_eq!(reply.json["checkpoint"]["size"], reply.json["revision"], "nobody else changed anything meanwhile");
    let revision = reply.json["revision"].to_string();
    assert_eq!(reply.header("tenure-revision"), Some(revision.as_str()));
    assert_eq!(reply.header("etag"), Some(format!("\"{revision}\"").as_str()));
    if let Some(last) = reply.json["events"].as_array().unwrap().last() {
        assert_eq!(last["revision"], reply.json["revision"]);
        assert_eq!(reply.header("tenure-at"), last["time"].as_str());
    }
}

/// Checks that the new entity is at its location, without its secret.
#[track_caller]
fn assert_located(acme: &Acme, reply: &Reply, kind: &str) {
    assert_eq!(reply.status, 201);
    let found = acme.server.get(reply.header("location").unwrap(), &acme.alice).expect(200);
    let mut expected = reply.json[kind].clone();
    expected.as_object_mut().unwrap().remove("secret");
    assert_eq!(found.json, expected);
}

#[track_caller]
fn assert_no_op(acme: &Acme, reply: Reply, kind: Option<&str>) {
    let reply = reply.expect(200);
    assert_eq!(reply.json["events"], json!([]));
    assert_eq!(reply.json["revision"], acme.head());
    assert!(reply.header("location").is_none());
    assert!(kind.is_none_or(|kind| reply.json[kind].is_object()), "{}", reply.text);
}

mod workspaces {
    use super::*;

    #[test]
    fn a_new_workspace_has_an_owner_an_environment_and_a_token() {
        let acme = Acme::new();
        let body = workspace_body("other", "personal", "starter", "olga");
        let made = acme.server.post("/v1/workspaces", OPERATOR, &body).expect(201);
        let events = ["workspace.created", "member.added", "environment.created", "token.issued"];
        assert_answer(&made, &events, &[("workspace", WORKSPACE), ("token", TOKEN)]);
        let expected = json!({"name": "other", "kind": "personal", "plan": "starter", "rbac": false});
        for (field, value) in expected.as_object().unwrap() {
            assert_eq!(made.json["workspace"][field], *value);
        }
        let olga = made.credential("token");
        let found = acme.server.get(made.header("location").unwrap(), &olga).expect(200);
        assert_eq!(found.json, made.json["workspace"]);
        let environments = acme.server.get("/v1/workspaces/other/environments", &olga).expect(200);
        assert_eq!(environments.json["items"][0]["name"], "main");
        assert_eq!(environments.json["items"][0]["restricted"], false);
        let actors: Vec<&Value> = made.json["events"].as_array().unwrap().iter().map(|event| &event["actor"]).collect();
        assert_eq!(actors, ["operator"; 4]);
    }

    #[test]
    fn names_of_live_workspaces_are_unique() {
        let acme = Acme::new();
        let make = || acme.server.post("/v1/workspaces", OPERATOR, &workspace_body("acme", "shared", "team", "al"));
        make().refused(409, "already_exists");
        acme.delete("").expect(200);
        make().expect(201);
    }

    #[test]
    fn a_plan_without_rbac_turns_rbac_off() {
        let acme = Acme::new();
        let plan = |plan: &str| acme.server.put(&path("plan"), OPERATOR, &json!({"plan": plan})).expect(200);
        assert_answer(&plan("enterprise"), &["plan.changed"], &[("workspace", WORKSPACE)]);
        let changed = plan("starter");
        assert_answer(&changed, &["plan.changed", "rbac.disabled"], &[("workspace", WORKSPACE)]);
        assert_eq!(changed.json["workspace"]["rbac"], false);
        assert_no_op(&acme, plan("starter"), Some("workspace"));
        acme.put("rbac", &json!({"enabled": true})).refused(409, "plan_required");
        acme.put("plan", &json!({"plan": "team"})).refused(403, "forbidden");
    }

    #[test]
    fn rbac_is_turned_off_and_on() {
        let acme = Acme::new();
        let rbac = |enabled: bool| acme.put("rbac", &json!({"enabled": enabled})).expect(200);
        assert_answer(&rbac(false), &["rbac.disabled"], &[("workspace", WORKSPACE)]);
        assert_no_op(&acme, rbac(false), Some("workspace"));
        assert_answer(&rbac(true), &["rbac.enabled"], &[("workspace", WORKSPACE)]);
        assert_no_op(&acme, rbac(true), Some("workspace"));
    }
}

mod people {
    use super::*;

    #[test]
    fn a_member_is_added_changed_and_removed() {
        let acme = Acme::new();
        let added = acme.post("members", &json!({"user": "mia", "role": "member"}));
        assert_answer(&added, &["member.added"], &[("member", MEMBER)]);
        assert_located(&acme, &added, "member");
        acme.restricted("prod", "viewer");
        acme.restricted("vault", "viewer");
        acme.grant("prod", "user:mia", "contributor");
        acme.grant("vault", "user:mia", "contributor");
        acme.post("members/mia/tokens", &Value::Null).expect(201);
        let changed = acme.patch("members/mia", &json!({"role": "manager"})).expect(200);
        let events = ["grant.revoked", "grant.revoked", "member.role_changed"];
        assert_answer(&changed, &events, &[("member", MEMBER)]);
        assert_eq!(changed.json["member"]["since"], added.json["member"]["since"]);
        assert_no_op(&acme, acme.patch("members/mia", &json!({"role": "manager"})), Some("member"));
        acme.patch("members/mia", &json!({"role": "member"})).expect(200);
        acme.grant("prod", "user:mia", "viewer");
        let removed = acme.delete("members/mia").expect(200);
        assert_answer(&removed, &["grant.revoked", "token.revoked", "member.removed"], &[]);
        acme.delete("members/mia").refused(404, "not_found");
    }

    #[test]
    fn members_are_refused_by_their_rules() {
        let acme = Acme::new();
        let mark = acme.member("mark", "manager");
        acme.post("members", &json!({"user": "mark", "role": "member"})).refused(409, "already_exists");
        acme.call("POST", "members", &mark, &json!({"user": "x", "role": "owner"})).refused(409, "owner_protected");
        acme.call("DELETE", "members/alice", &mark, &Value::Null).refused(409, "owner_protected");
        acme.delete("members/alice").refused(409, "last_owner");
        acme.patch("members/alice", &json!({"role": "member"})).refused(409, "last_owner");
        acme.patch("members/nobody", &json!({"role": "member"})).refused(404, "not_found");
        acme.patch("members/a%20b", &json!({"role": "member"})).refused(404, "not_found");
        let solo = workspace_body("solo", "personal", "team", "sam");
        let sam = acme.server.post("/v1/workspaces", OPERATOR, &solo).expect(201).credential("token");
        let other = json!({"user": "x", "role": "member"});
        acme.server.post("/v1/workspaces/solo/members", &sam, &other).refused(409, "personal_workspace");
    }

    #[test]
    fn any_member_may_leave() {
        let acme = Acme::new();
        let mia = acme.member("mia", "member");
        let left = acme.call("DELETE", "members/mia", &mia, &Value::Null).expect(200);
        assert_answer(&left, &["token.revoked", "member.removed"], &[]);
        assert_eq!(left.json["events"][0]["actor"], "user:mia");
        assert_eq!(left.json["events"][0]["credential"], id(&mia));
        acme.call("GET", "", &mia, &Value::Null).refused(401, "unauthenticated");
    }

    #[test]
    fn a_service_user_is_created_with_a_token_and_deleted_with_its_tokens_and_grants() {
        let acme = Acme::new();
        acme.restricted("prod", "viewer");
        let made = acme.post("service-users", &json!({"name": "ci"}));
        let entities = [("service_user", SERVICE_USER), ("token", TOKEN)];
        assert_answer(&made, &["service_user.created", "token.issued"], &entities);
        assert_located(&acme, &made, "service_user");
        assert_eq!(made.json["service_user"]["created_by"], "user:alice");
        assert_eq!(made.json["token"]["holder_name"], "ci");
        acme.post("service-users", &json!({"name": "ci"})).refused(409, "already_exists");
        acme.grant("prod", "service_user:ci", "contributor");
        acme.post("service-users/ci/tokens", &Value::Null).expect(201);
        let ended = acme.delete("service-users/ci").expect(200);
        let events = ["grant.revoked", "token.revoked", "token.revoked", "service_user.deleted"];
        assert_answer(&ended, &events, &[]);
        acme.delete("service-users/ci").refused(404, "not_found");
        let again = acme.post("service-users", &json!({"name": "ci"})).expect(201);
        assert_ne!(again.json["service_user"]["id"], made.json["service_user"]["id"]);
        assert_eq!(acme.role("service_user:ci", "prod"), "viewer", "the new holder of a name inherits nothing");
    }
}

mod environments {
    use super::*;

    #[test]
    fn an_environment_is_created_unrestricted_or_restricted_with_grants() {
        let acme = Acme::new();
        acme.member("mia", "member");
        acme.service_user("ci");
        let made = acme.post("environments", &json!({"name": "Dev"}));
        assert_answer(&made, &["environment.created"], &[("environment", ENVIRONMENT)]);
        assert_located(&acme, &made, "environment");
        assert_eq!(made.json["environment"]["default_role"], Value::Null);
        let grants = json!([{"principal": "user:mia", "role": "contributor"},
            {"principal": "service_user:ci", "role": "viewer", "expires_at": "2999-01-01T00:00:00Z"}]);
        let body = json!({"name": "prod", "restricted": true, "default_role": "no_access", "grants": grants});
        let made = acme.post("environments", &body);
        let events = ["environment.created", "environment.restricted", "grant.added", "grant.added"];
        assert_answer(&made, &events, &[("environment", ENVIRONMENT)]);
        assert_located(&acme, &made, "environment");
        assert_eq!(made.json["environment"]["default_role"], "no_access");
        acme.post("environments", &json!({"name": "dEV"})).refused(409, "already_exists");
        acme.post("environments", &json!({"name": "x", "default_role": "viewer"}))
            .refused(409, "environment_unrestricted");
        acme.rbac(false);
        acme.post("environments", &json!({"name": "x", "restricted": true})).refused(409, "rbac_disabled");
    }

    #[test]
    fn an_environment_is_changed_in_one_command() {
        let acme = Acme::new();
        acme.member("mia", "member");
        acme.environment("dev");
        let patch = |name: &str, body: Value| acme.patch(&format!("environments/{name}"), &body).expect(200);
        let shown = &[("environment", ENVIRONMENT)];
        let grants = json!([{"principal": "user:mia", "role": "viewer"}]);
        let body = json!({"name": "prod", "restricted": true, "default_role": "no_access", "grants": grants});
        let changed = patch("dev", body);
        assert_answer(&changed, &["environment.restricted", "grant.added", "environment.renamed"], shown);
        let commands = changed.json["events"].as_array().unwrap().iter().map(|event| &event["command"]);
        assert!(commands.clone().all(|command| Some(command) == commands.clone().next()));
        assert_eq!(changed.json["environment"]["name"], "prod");
        assert_no_op(&acme, patch("prod", json!({"restricted": true})), Some("environment"));
        let changed = patch("prod", json!({"default_role": "viewer"}));
        assert_answer(&changed, &["environment.default_role_changed"], shown);
        let contributor = json!({"grants": [{"principal": "user:mia", "role": "contributor"}]});
        assert_answer(&patch("prod", contributor), &["grant.changed"], shown);
        assert_answer(&patch("prod", json!({"name": "PROD"})), &["environment.renamed"], shown);
        let opened = patch("prod", json!({"restricted": false}));
        assert_answer(&opened, &["grant.revoked", "environment.unrestricted"], shown);
        assert_eq!(opened.json["environment"]["default_role"], Value::Null);
        assert_no_op(&acme, patch("PROD", json!({"restricted": false})), Some("environment"));
    }

    #[test]
    fn a_change_that_is_refused_in_part_is_refused_as_a_whole() {
        let acme = Acme::new();
        acme.environment("dev");
        let head = acme.head();
        let patch = |body: Value| acme.patch("environments/dev", &body);
        patch(json!({"default_role": "viewer"})).refused(409, "environment_unrestricted");
        patch(json!({"restricted": true, "name": "main"})).refused(409, "already_exists");
        patch(json!({"restricted": false, "default_role": "viewer"})).refused(409, "environment_unrestricted");
        let alice = json!([{"principal": "user:alice", "role": "viewer"}]);
        patch(json!({"restricted": true, "grants": alice})).refused(409, "role_implied");
        patch(json!({"restricted": true, "grants": [{"principal": "user:x", "role": "viewer"}]}))
            .refused(404, "not_found");
        assert_eq!(acme.head(), head);
    }

    #[test]
    fn a_deleted_environment_loses_its_grants_and_leaves_all_scopes() {
        let acme = Acme::new();
        acme.member("mia", "member");
        acme.restricted("prod", "viewer");
        acme.grant("prod", "user:mia", "contributor");
        let token = acme.proxy_token(Some(&["prod"]));
        let ended = acme.delete("environments/prod").expect(200);
        assert_answer(&ended, &["grant.revoked", "proxy_token.scoped", "environment.deleted"], &[]);
        acme.delete("environments/prod").refused(404, "not_found");
        acme.environment("prod");
        acme.proxy("prod", &token).expect(403);
        acme.rbac(false);
        acme.proxy("prod", &token).expect(204);
    }

    #[test]
    fn a_grant_is_set_changed_and_revoked() {
        let acme = Acme::new();
        acme.member("mia", "member");
        acme.restricted("prod", "viewer");
        let grant = "environments/prod/grants/user:mia";
        let given = acme.put(grant, &json!({"role": "contributor"})).expect(200);
        assert_answer(&given, &["grant.added"], &[("grant", GRANT)]);
        assert_eq!(acme.get(grant).expect(200).json, given.json["grant"]);
        assert_no_op(&acme, acme.put(grant, &json!({"role": "contributor"})), Some("grant"));
        let until = json!({"role": "contributor", "expires_at": "2999-01-01T00:00:00Z"});
        assert_answer(&acme.put(grant, &until).expect(200), &["grant.changed"], &[("grant", GRANT)]);
        assert_answer(&acme.delete(grant).expect(200), &["grant.revoked"], &[]);
        acme.delete(grant).refused(404, "not_found");
        acme.get(grant).refused(404, "not_found");
        let viewer = json!({"role": "viewer"});
        acme.put("environments/main/grants/user:mia", &viewer).refused(409, "environment_unrestricted");
        acme.put("environments/prod/grants/user:alice", &viewer).refused(409, "role_implied");
        acme.put("environments/prod/grants/user:nobody", &viewer).refused(404, "not_found");
        acme.put("environments/prod/grants/mia", &viewer).refused(404, "not_found");
        let past = json!({"role": "viewer", "expires_at": "2001-01-01T00:00:00Z"});
        acme.put(grant, &past).refused(422, "invalid");
        acme.rbac(false);
        acme.put(grant, &viewer).refused(409, "rbac_disabled");
    }
}

mod credentials {
    use super::*;

    #[test]
    fn an_api_token_is_issued_and_revoked() {
        let acme = Acme::new();
        let mia = acme.member("mia", "member");
        let until = json!({"expires_at": "2999-01-01T00:00:00Z"});
        let issued = acme.post("members/mia/tokens", &until);
        assert_answer(&issued, &["token.issued"], &[("token", TOKEN)]);
        assert_located(&acme, &issued, "token");
        assert_eq!(issued.json["token"]["expires_at"], "2999-01-01T00:00:00.000000Z");
        let own = acme.call("POST", "members/mia/tokens", &mia, &Value::Null).expect(201).credential("token");
        acme.call("POST", "members/alice/tokens", &mia, &Value::Null).refused(403, "forbidden");
        let mark = acme.member("mark", "manager");
        acme.call("POST", "members/mia/tokens", &mark, &Value::Null).refused(403, "forbidden");
        let alices = format!("tokens/{}", id(&acme.alice));
        acme.call("DELETE", &alices, &mark, &Value::Null).refused(409, "owner_protected");
        acme.call("DELETE", &alices, &mia, &Value::Null).refused(403, "forbidden");
        let revoked = acme.call("DELETE", &format!("tokens/{}", id(&own)), &mia, &Value::Null).expect(200);
        assert_answer(&revoked, &["token.revoked"], &[]);
        acme.delete(&format!("tokens/{}", id(&own))).refused(404, "not_found");
        acme.delete("tokens/tok_x").refused(404, "not_found");
        acme.post("service-users/none/tokens", &Value::Null).refused(404, "not_found");
    }

    #[test]
    fn a_token_made_with_another_never_outlives_it() {
        let acme = Acme::new();
        let until = |end: &str| json!({"expires_at": end});
        let short = acme.post("members/alice/tokens", &until("2998-01-01T00:00:00Z")).expect(201).credential("token");
        let issue = |body: &Value| acme.call("POST", "members/alice/tokens", &short, body);
        issue(&until("2999-01-01T00:00:00Z")).refused(422, "invalid");
        issue(&until("2997-01-01T00:00:00Z")).expect(201);
        assert_eq!(issue(&json!({})).expect(201).json["token"]["expires_at"], "2998-01-01T00:00:00.000000Z");
        let made = acme.call("POST", "service-users", &short, &json!({"name": "ci"})).expect(201);
        assert_eq!(made.json["token"]["expires_at"], "2998-01-01T00:00:00.000000Z");
    }

    #[test]
    fn a_proxy_token_is_created_scoped_and_revoked() {
        let acme = Acme::new();
        acme.restricted("prod", "viewer");
        let made = acme.post("proxy-tokens", &json!({"environments": ["prod", "main", "PROD"]}));
        assert_answer(&made, &["proxy_token.created"], &[("proxy_token", PROXY_TOKEN)]);
        assert_located(&acme, &made, "proxy_token");
        assert_eq!(made.json["proxy_token"]["environments"].as_array().unwrap().len(), 2);
        let token = made.json["proxy_token"]["id"].as_str().unwrap();
        let scope = |body: Value| acme.put(&format!("proxy-tokens/{token}/environments"), &body);
        let shown: &[&str] = &PROXY_TOKEN[..5];
        let scoped = scope(json!({"environments": ["main"]})).expect(200);
        assert_answer(&scoped, &["proxy_token.scoped"], &[("proxy_token", shown)]);
        assert_eq!(scoped.json["proxy_token"]["environment_names"], json!(["main"]));
        assert_no_op(&acme, scope(json!({"environments": ["main"]})), Some("proxy_token"));
        scope(json!({"environments": []})).expect(200);
        scope(json!({"environments": ["none"]})).refused(404, "not_found");
        acme.post("proxy-tokens", &json!({"environments": []})).refused(422, "invalid");
        acme.rbac(false);
        scope(json!({"environments": ["main"]})).refused(409, "rbac_disabled");
        acme.post("proxy-tokens", &json!({"environments": ["main"]})).refused(409, "rbac_disabled");
        acme.post("proxy-tokens", &json!({"environments": []})).refused(409, "rbac_disabled");
        let wide = acme.proxy_token(None);
        acme.put(&format!("proxy-tokens/{}/environments", id(&wide)), &json!({"environments": []}))
            .refused(409, "token_not_scoped");
        assert_answer(&acme.delete(&format!("proxy-tokens/{token}")), &["proxy_token.revoked"], &[]);
        acme.delete(&format!("proxy-tokens/{token}")).refused(404, "not_found");
    }

    #[test]
    fn an_access_key_is_issued_and_revoked() {
        let acme = Acme::new();
        let issued = acme.post("access-keys", &json!({"role": "evaluator", "label": "the gateway's"}));
        assert_answer(&issued, &["access_key.issued"], &[("access_key", ACCESS_KEY)]);
        assert_located(&acme, &issued, "access_key");
        let key = format!("access-keys/{}", issued.json["access_key"]["id"].as_str().unwrap());
        assert_answer(&acme.delete(&key), &["access_key.revoked"], &[]);
        acme.delete(&key).refused(404, "not_found");
        acme.get(&key).refused(404, "not_found");
    }
}

mod batches {
    use super::*;

    #[test]
    fn a_batch_takes_every_type_of_command() {
        let acme = Acme::new();
        let token = id(&acme.member("max", "member")).to_owned();
        let proxy_token = id(&acme.proxy_token(Some(&["main"]))).to_owned();
        let access_key = id(&acme.access_key("auditor")).to_owned();
        let commands = json!([
            {"type": "member.add", "user": "mia", "role": "member"},
            {"type": "service_user.create", "name": "ci"},
            {"type": "environment.create", "name": "dev"},
            {"type": "environment.rename", "environment": "dev", "name": "prod"},
            {"type": "environment.restrict", "environment": "prod"},
            {"type": "environment.set_default_role", "environment": "prod", "default_role": "no_access"},
            {"type": "grant.set", "environment": "prod", "principal": "service_user:ci", "role": "viewer"},
            {"type": "grant.revoke", "environment": "prod", "principal": "service_user:ci"},
            {"type": "environment.unrestrict", "environment": "prod"},
            {"type": "token.issue", "service_user": "ci"},
            {"type": "token.revoke", "token": token},
            {"type": "proxy_token.create", "environments": ["prod"]},
            {"type": "proxy_token.set_environments", "proxy_token": proxy_token, "environments": ["prod"]},
            {"type": "proxy_token.revoke", "proxy_token": proxy_token},
            {"type": "access_key.issue", "role": "evaluator", "label": "x"},
            {"type": "access_key.revoke", "access_key": access_key},
            {"type": "resource_type.define", "name": "gpu", "actions": {"read": "viewer"}},
            {"type": "resource.place", "resource": {"type": "gpu", "id": "a100"}, "environment": "prod"},
            {"type": "resource.remove", "resource": {"type": "gpu", "id": "a100"}},
            {"type": "environment.delete", "environment": "prod"},
            {"type": "member.change_role", "user": "mia", "role": "manager"},
            {"type": "member.remove", "user": "mia"},
            {"type": "service_user.delete", "service_user": "ci"},
            {"type": "rbac.disable"},
            {"type": "rbac.enable"},
            {"type": "plan.change", "plan": "enterprise"},
        ]);
        let count = commands.as_array().unwrap().len();
        let reply = acme.call("POST", "commands", OPERATOR, &json!({"commands": commands})).expect(200);
        let results = reply.json["results"].as_array().unwrap();
        assert_eq!(results.len(), count);
    }
}
