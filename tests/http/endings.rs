//! Profiles, which live beside the log, and workspaces that were deleted, whose logs stay.

use serde_json::{Value, json};

use crate::support::acme::{Acme, id, path, question, types, workspace_body};
use crate::support::server::OPERATOR;

mod profiles {
    use super::*;

    fn log(acme: &Acme) -> String {
        acme.server.get(&path("events?limit=1000"), OPERATOR).expect(200).text
    }

    #[test]
    fn a_profile_comes_with_a_member_and_is_in_no_event() {
        let acme = Acme::new();
        let body = json!({"user": "mia", "role": "member", "name": "Mia Maier", "email": "mia@example.com"});
        let added = acme.post("members", &body).expect(201);
        assert_eq!(added.json["member"]["name"], "Mia Maier");
        assert_eq!(added.json["member"]["email"], "mia@example.com");
        assert!(!added.json["events"].to_string().contains("Maier"));
        assert_eq!(
            acme.get("members/mia/profile").expect(200).json,
            json!({"name": "Mia Maier", "email": "mia@example.com"})
        );
        assert!(!log(&acme).contains("Maier") && !log(&acme).contains("example.com"));
        let mut owner = workspace_body("other", "shared", "team", "olga");
        owner["owner"]["name"] = json!("Olga Orlov");
        let made = acme.server.post("/v1/workspaces", OPERATOR, &owner).expect(201);
        assert!(!made.text.contains("Orlov"));
        let profile = acme.server.get("/v1/workspaces/other/members/olga/profile", OPERATOR).expect(200);
        assert_eq!(profile.json, json!({"name": "Olga Orlov"}));
    }

    #[test]
    fn a_profile_is_replaced_and_erased_without_an_event() {
        let acme = Acme::new();
        acme.member("mia", "member");
        let head = acme.head();
        let profile = "members/mia/profile";
        acme.put(profile, &json!({"name": "Mia", "email": "m@x"})).expect(200);
        acme.put(profile, &json!({"name": "Mia M."})).expect(200);
        assert_eq!(acme.get(profile).expect(200).json, json!({"name": "Mia M."}));
        assert_eq!(acme.get("members/mia").expect(200).json["name"], "Mia M.");
        let erased = acme.delete(profile).expect(200);
        assert_eq!(erased.json, json!({}));
        assert_eq!(erased.header("etag"), Some(format!("\"{head}\"").as_str()));
        assert_eq!(acme.get(profile).expect(200).json, json!({}));
        assert!(acme.get("members/mia").expect(200).json.get("name").is_none());
        assert_eq!(acme.head(), head);
        acme.put(profile, &json!({"nick": "M"})).refused(422, "invalid");
        acme.put(profile, &json!({"name": 1})).refused(400, "malformed");
        acme.put(profile, &json!({"email": "nowhere"})).refused(422, "invalid");
        acme.put("members/nobody/profile", &json!({})).refused(404, "not_found");
        acme.get("members/nobody/profile").refused(404, "not_found");
    }

    #[test]
    fn a_person_reads_and_erases_only_their_own_profile() {
        let acme = Acme::new();
        let mia = acme.member("mia", "member");
        acme.member("max", "member");
        acme.call("PUT", "members/mia/profile", &mia, &json!({"name": "Mia"})).expect(200);
        acme.call("GET", "members/mia/profile", &mia, &Value::Null).expect(200);
        for other in ["members/max/profile", "members/nobody/profile"] {
            acme.call("GET", other, &mia, &Value::Null).refused(403, "forbidden");
            acme.call("DELETE", other, &mia, &Value::Null).refused(403, "forbidden");
        }
        acme.call("DELETE", "members/mia/profile", &mia, &Value::Null).expect(200);
    }

    #[test]
    fn the_profile_of_a_former_member_can_still_be_erased() {
        let acme = Acme::new();
        acme.post("members", &json!({"user": "mia", "role": "member", "name": "Mia"})).expect(201);
        acme.delete("members/mia").expect(200);
        assert_eq!(acme.get("members/mia/profile").expect(200).json, json!({"name": "Mia"}));
        acme.delete("members/mia/profile").expect(200);
        assert_eq!(acme.get("members/mia/profile").expect(200).json, json!({}));
        let acme = acme.restart();
        assert_eq!(acme.get("members/mia/profile").expect(200).json, json!({}));
    }
}

mod deleted_workspaces {
    use super::*;

    /// Deletes a workspace with keys of both roles; returns its id, the auditor key and the evaluator key.
    fn stage() -> (Acme, String, String, String) {
        let acme = Acme::new();
        let (auditor, evaluator) = (acme.access_key("auditor"), acme.access_key("evaluator"));
        let workspace = acme.get("").json["id"].as_str().unwrap().to_owned();
        let deleted = acme.delete("?reason=over").expect(200);
        assert_eq!(types(&deleted), ["workspace.deleted"]);
        (acme, workspace, auditor, evaluator)
    }

    #[test]
    fn a_deleted_workspace_loses_everything_and_frees_its_name() {
        let (acme, workspace, _, evaluator) = stage();
        for credential in [&acme.alice, &evaluator] {
            acme.server.get(&format!("/v1/workspaces/{workspace}"), credential).refused(401, "unauthenticated");
        }
        acme.server.get(&path(""), OPERATOR).refused(404, "not_found");
        let made = acme.server.post("/v1/workspaces", OPERATOR, &workspace_body("acme", "shared", "team", "bob"));
        assert_ne!(made.expect(201).json["workspace"]["id"], workspace);
        acme.server.get(&path(""), &acme.alice).refused(401, "unauthenticated");
    }

    #[test]
    fn the_operator_and_auditor_keys_read_the_log_of_a_deleted_workspace_by_id() {
        let (acme, workspace, auditor, _) = stage();
        let acme = acme.restart();
        for credential in [OPERATOR, &auditor] {
            let events = acme.server.get(&format!("/v1/workspaces/{workspace}/events"), credential).expect(200);
            let items = events.json["items"].as_array().unwrap();
            assert_eq!(items.last().unwrap()["type"], "workspace.deleted.v1");
            let before = items.len() - 1;
            let past = format!("/v1/workspaces/{workspace}/audit/access?at={before}");
            assert_eq!(acme.server.get(&past, credential).expect(200).json["items"][0]["principal"], "user:alice");
            let now = acme.server.get(&format!("/v1/workspaces/{workspace}/audit/access"), credential).expect(200);
            assert_eq!(now.json["items"], json!([]));
            let asked = format!("/v1/workspaces/{workspace}/access/v1/evaluation");
            let alices = question("user:alice", "deploy", "app@main");
            assert_eq!(acme.server.post(&asked, credential, &alices).expect(200).json["decision"], false);
            let then = acme.server.post(&format!("{asked}?at={before}"), credential, &alices).expect(200);
            assert_eq!(then.json["decision"], true);
            acme.server.get(&format!("/v1/workspaces/{workspace}"), credential).refused(404, "not_found");
        }
        let olga = acme.server.post("/v1/workspaces", OPERATOR, &workspace_body("other", "shared", "team", "olga"));
        let olga = olga.expect(201).credential("token");
        acme.server.get(&format!("/v1/workspaces/{workspace}/events"), &olga).refused(404, "not_found");
    }

    #[test]
    fn the_operator_revokes_an_auditor_key_of_a_deleted_workspace() {
        let (acme, workspace, auditor, evaluator) = stage();
        let events = format!("/v1/workspaces/{workspace}/events");
        let key = format!("/v1/workspaces/{workspace}/access-keys/{}", id(&auditor));
        acme.server.delete(&key, &auditor).refused(403, "forbidden");
        acme.server.delete(&key, &evaluator).refused(401, "unauthenticated");
        acme.server.get(&events, &auditor).expect(200);
        let gone = format!("/v1/workspaces/{workspace}/access-keys/key_00000000000000000000000000");
        acme.server.delete(&gone, OPERATOR).refused(404, "not_found");
        acme.server.delete(&key, OPERATOR).expect(200);
        acme.server.get(&events, &auditor).refused(401, "unauthenticated");
        acme.server.delete(&key, OPERATOR).refused(404, "not_found");
        let acme = acme.restart();
        acme.server.get(&events, &auditor).refused(401, "unauthenticated");
        let items = acme.server.get(&events, OPERATOR).expect(200).json["items"].clone();
        assert_eq!(items.as_array().unwrap().last().unwrap()["type"], "workspace.deleted.v1");
    }

    #[test]
    fn nothing_is_appended_to_a_deleted_workspace() {
        let (acme, workspace, auditor, _) = stage();
        let at = |rest: &str| format!("/v1/workspaces/{workspace}{rest}");
        for (method, rest, body) in [
            ("DELETE", "", Value::Null),
            ("PUT", "/plan", json!({"plan": "starter"})),
            ("PUT", "/rbac", json!({"enabled": false})),
            ("POST", "/members", json!({"user": "x", "role": "owner"})),
            ("POST", "/environments", json!({"name": "x"})),
            ("POST", "/commands", json!({"commands": [{"type": "rbac.disable"}]})),
        ] {
            acme.server.call(method, &at(rest), OPERATOR, &body).refused(404, "not_found");
            acme.server.call(method, &at(rest), &auditor, &body).refused(403, "forbidden");
        }
        let items = acme.server.get(&at("/events?limit=1000"), OPERATOR).expect(200).json["items"].clone();
        assert_eq!(items.as_array().unwrap().last().unwrap()["type"], "workspace.deleted.v1");
    }

    #[test]
    fn an_owner_deletes_a_workspace_and_a_manager_cannot() {
        let acme = Acme::new();
        let mark = acme.member("mark", "manager");
        acme.call("DELETE", "", &mark, &Value::Null).refused(403, "forbidden");
        acme.delete("").expect(200);
    }

    #[test]
    fn an_auditor_keys_own_expiry_still_counts() {
        let clock = crate::support::acme::TestClock::start();
        let acme = Acme::with_clock(clock.clone());
        let body = json!({"role": "auditor", "label": "x", "expires_at": "2026-03-02T00:00:00Z"});
        let auditor = acme.post("access-keys", &body).expect(201).credential("access_key");
        let workspace = acme.get("").json["id"].as_str().unwrap().to_owned();
        acme.delete("").expect(200);
        let events = format!("/v1/workspaces/{workspace}/events");
        acme.server.get(&events, &auditor).expect(200);
        clock.set("2026-03-02T00:00:00Z");
        acme.server.get(&events, &auditor).refused(401, "unauthenticated");
        acme.server.block_on(acme.server.service.run_maintenance()).unwrap();
        let items = acme.server.get(&events, OPERATOR).expect(200).json["items"].clone();
        assert_eq!(items.as_array().unwrap().last().unwrap()["type"], "workspace.deleted.v1");
    }
}
