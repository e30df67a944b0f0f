//! Decisions: evaluation and evaluations, the subjects that a caller may ask about, and concealment.

use serde_json::{Value, json};

use crate::support::acme::{Acme, path, question};
use crate::support::server::OPERATOR;

fn stage() -> Acme {
    let acme = Acme::new();
    acme.member("bob", "member");
    acme.service_user("ci");
    acme.restricted("prod", "viewer");
    acme
}

#[test]
fn a_decision_is_explained_on_request() {
    let acme = stage();
    acme.put("environments/prod/grants/user:bob?reason=SEC-1", &json!({"role": "contributor"})).expect(200);
    let question = question("user:bob", "deploy", "app@prod");
    let plain = acme.ask_as(&acme.alice, "", &question).expect(200);
    assert_eq!(plain.text, r#"{"decision":true}"#);
    let plain = acme.ask_as(&acme.alice, "?explain=false", &question).expect(200);
    assert_eq!(plain.text, r#"{"decision":true}"#);
    let asked = acme.ask_as(&acme.alice, "?explain=true", &question).expect(200);
    let context = &asked.json["context"];
    let fields: Vec<&String> = context.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["role", "required", "rule", "revision", "at", "reasons", "evidence"]);
    assert_eq!((&context["role"], &context["required"]), (&json!("contributor"), &json!("contributor")));
    assert_eq!(context["rule"], "grant");
    assert_eq!(context["revision"].to_string(), asked.header("tenure-revision").unwrap());
    assert_eq!(context["at"], asked.header("tenure-at").unwrap());
    let last = context["evidence"].as_array().unwrap().last().unwrap();
    let granted = acme.events().pop().unwrap();
    let expected = json!({"event": granted["id"], "revision": granted["revision"], "type": "grant.added.v1",
        "time": granted["time"], "actor": "user:alice", "reason": "SEC-1"});
    assert_eq!(*last, expected);
    acme.ask_as(&acme.alice, "?explain=1", &question).refused(422, "invalid");
}

#[test]
fn a_denial_has_evidence_too() {
    let acme = stage();
    acme.grant("prod", "user:bob", "contributor");
    acme.delete("environments/prod/grants/user:bob").expect(200);
    let types = |answer: &Value| -> Vec<String> {
        let evidence = answer["context"]["evidence"].as_array().unwrap();
        evidence.iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
    };
    let denied = acme.explained("user:bob", "deploy", "app@prod");
    assert_eq!((&denied["decision"], &denied["context"]["rule"]), (&json!(false), &json!("default_role")));
    assert_eq!(types(&denied), ["member.added.v1", "environment.restricted.v1", "grant.revoked.v1"]);
    acme.delete("members/bob").expect(200);
    let denied = acme.explained("user:bob", "deploy", "app@prod");
    assert_eq!(
        (&denied["context"]["rule"], types(&denied)),
        (&json!("not_a_member"), vec!["member.removed.v1".into()])
    );
    acme.delete("environments/prod").expect(200);
    let denied = acme.explained("user:alice", "deploy", "app@prod");
    assert_eq!(types(&denied), ["environment.deleted.v1"]);
    assert_eq!(denied["context"]["rule"], "no_such_environment");
}

#[test]
fn unanswerable_questions_are_denied_with_a_rule() {
    let acme = stage();
    let rule = |question: &Value| {
        let answer = acme.ask_as(&acme.alice, "?explain=true", question).expect(200).json;
        assert_eq!(answer["decision"], false);
        answer["context"]["rule"].as_str().unwrap().to_owned()
    };
    assert_eq!(rule(&question("user:bob", "fly", "app@prod")), "unknown_action");
    assert_eq!(rule(&question("user:bob", "read", "boat@prod")), "unknown_resource_type");
    assert_eq!(rule(&question("robot:bob", "read", "app@prod")), "unknown_subject_type");
    assert_eq!(rule(&question("user:nobody", "read", "app@prod")), "not_a_member");
    assert_eq!(rule(&question("service_user:none", "read", "app@prod")), "no_such_service_user");
    assert_eq!(rule(&question("task:none", "read", "app@prod")), "no_such_environment");
    assert_eq!(rule(&question("proxy_token:prx_x", "call", "web_function@prod")), "no_such_proxy_token");
    assert_eq!(rule(&question("user:bob", "read", "app@none")), "no_such_environment");
    assert_eq!(rule(&question("user:alice", "call", "web_function@prod")), "proxy_token_required");
    assert_eq!(rule(&question("task:prod", "read", "workspace")), "not_for_tasks");
    let nowhere = json!({"subject": {"type": "user", "id": "bob"}, "action": {"name": "read"},
        "resource": {"type": "app", "id": "web"}});
    assert_eq!(rule(&nowhere), "no_environment");
}

#[test]
fn past_questions_work_for_deleted_things() {
    let acme = stage();
    acme.grant("prod", "user:bob", "contributor");
    let granted = acme.head();
    acme.delete("environments/prod").expect(200);
    acme.delete("members/bob").expect(200);
    acme.environment("prod");
    let at = |revision: u64| acme.allowed_at(&revision.to_string(), "user:bob", "deploy", "app@prod");
    assert!(!at(granted - 1) && at(granted) && !at(granted + 2));
    assert!(!acme.allows("user:bob", "deploy", "app@prod"));
    let before =
        acme.ask_as(&acme.alice, "?at=2001-01-01T00:00:00Z&explain=true", &question("user:bob", "read", "app@prod"));
    let before = before.expect(200).json;
    assert_eq!((&before["decision"], &before["context"]["rule"]), (&json!(false), &json!("no_such_workspace")));
}

#[test]
fn a_malformed_question_is_400() {
    let acme = stage();
    let good = question("user:bob", "read", "app@prod");
    for broken in
        [json!({}), json!([]), json!({"subject": "bob", "action": good["action"], "resource": good["resource"]})]
    {
        acme.ask_as(&acme.alice, "", &broken).refused(400, "malformed");
        acme.post("access/v1/evaluations", &broken).refused(400, "malformed");
    }
    let authorization = format!("Bearer {}", acme.alice);
    let bytes = serde_json::to_vec(&good).unwrap();
    let send = |content_type: &str| {
        let headers = [("authorization", authorization.as_str()), ("content-type", content_type)];
        acme.server.send("POST", &path("access/v1/evaluation"), &headers, Some(&bytes))
    };
    send("application/json; charset=utf-8").expect(200);
    send("text/plain").refused(400, "malformed");
    acme.server
        .send("POST", &path("access/v1/evaluation"), &[("authorization", &authorization)], Some(&bytes))
        .refused(400, "malformed");
    let mut more = good;
    more["context"] = json!({"ip": "::1"});
    more["subject"]["properties"] = json!({"department": "x"});
    more["trace"] = json!(1);
    acme.ask_as(&acme.alice, "", &more).expect(200);
}

mod batches {
    use super::*;

    fn decisions(reply: &crate::support::server::Reply) -> Vec<bool> {
        let evaluations = reply.json["evaluations"].as_array().unwrap();
        evaluations.iter().map(|one| one["decision"].as_bool().unwrap()).collect()
    }

    #[test]
    fn missing_members_come_from_the_common_ones() {
        let acme = stage();
        let bob = question("user:bob", "read", "app@prod");
        let body = json!({"subject": bob["subject"], "action": bob["action"], "resource": bob["resource"],
        "evaluations": [
            {},
            {"action": {"name": "deploy"}},
            {"resource": {"id": "two", "properties": {"environment": "none"}}},
            {"subject": {"id": "alice"}, "action": {"name": "deploy"}},
            {"subject": {"type": "service_user", "id": "ci"}},
        ]});
        let reply = acme.post("access/v1/evaluations", &body).expect(200);
        assert_eq!(decisions(&reply), [true, false, false, true, true]);
        let none =
            json!({"subject": bob["subject"], "action": bob["action"], "resource": bob["resource"], "evaluations": []});
        assert_eq!(acme.post("access/v1/evaluations", &none).expect(200).json, json!({"decision": true}));
        assert_eq!(acme.post("access/v1/evaluations", &bob).expect(200).json, json!({"decision": true}));
        let explained = acme.post("access/v1/evaluations?explain=true", &body).expect(200);
        assert_eq!(explained.json["evaluations"][0]["context"]["rule"], "default_role");
    }

    #[test]
    fn a_batch_ends_by_its_semantic() {
        let acme = stage();
        let allowed = question("user:bob", "read", "app@prod");
        let denied = question("user:bob", "deploy", "app@prod");
        let ask = |semantic: &str| {
            let body =
                json!({"evaluations": [allowed, denied, allowed], "options": {"evaluations_semantic": semantic}});
            decisions(&acme.post("access/v1/evaluations", &body).expect(200))
        };
        assert_eq!(ask("execute_all"), [true, false, true]);
        assert_eq!(ask("deny_on_first_deny"), [true, false]);
        assert_eq!(ask("permit_on_first_permit"), [true]);
        let odd = json!({"evaluations": [allowed], "options": {"evaluations_semantic": "guess"}});
        acme.post("access/v1/evaluations", &odd).refused(400, "malformed");
    }

    #[test]
    fn a_broken_question_is_denied_with_a_reason() {
        let acme = stage();
        let good = question("user:bob", "read", "app@prod");
        let body = json!({"evaluations": [good, {"subject": good["subject"]}, 7, good]});
        let reply = acme.post("access/v1/evaluations", &body).expect(200);
        assert_eq!(decisions(&reply), [true, false, false, true]);
        assert_eq!(reply.json["evaluations"][1]["context"]["error"]["status"], 400);
        assert!(reply.json["evaluations"][1]["context"]["error"]["message"].is_string());
    }

    #[test]
    fn all_questions_of_a_batch_are_decided_in_one_view() {
        let acme = stage();
        let good = question("user:bob", "read", "app@prod");
        let body = json!({"evaluations": [good, good]});
        let head = acme.head();
        acme.delete("members/bob").expect(200);
        let reply = acme.post(&format!("access/v1/evaluations?at={head}"), &body).expect(200);
        assert_eq!(decisions(&reply), [true, true]);
        assert_eq!(reply.header("tenure-revision"), Some(head.to_string().as_str()));
    }
}

mod who_may_ask {
    use super::*;

    #[test]
    fn principals_ask_about_themselves_and_others_about_anyone() {
        let acme = stage();
        let bob = acme.post("members/bob/tokens", &Value::Null).expect(201).credential("token");
        let robot = acme.service_user("robot");
        let robot_id = acme.get("service-users/robot").json["id"].as_str().unwrap().to_owned();
        let ask = |credential: &str, subject: &str| {
            acme.ask_as(credential, "?explain=true", &question(subject, "read", "app@prod"))
        };
        ask(&bob, "user:bob").expect(200);
        ask(&robot, "service_user:robot").expect(200);
        ask(&robot, &format!("service_user:{robot_id}")).expect(200);
        for (credential, subject) in [
            (&bob, "user:alice"),
            (&bob, "service_user:bob"),
            (&robot, "user:robot"),
            (&robot, "service_user:ci"),
            (&bob, "task:prod"),
        ] {
            ask(credential, subject).refused(403, "forbidden");
        }
        for credential in
            [&acme.access_key("evaluator"), &acme.access_key("auditor"), &acme.member("mark", "manager"), OPERATOR]
        {
            for subject in ["user:bob", "user:alice", "service_user:ci", "task:prod", "user:nobody"] {
                ask(credential, subject).expect(200);
            }
        }
        let batch = json!({"evaluations": [question("user:bob", "read", "app@prod"), question("user:alice", "read", "app@prod")]});
        let reply = acme.call("POST", "access/v1/evaluations", &bob, &batch).expect(200);
        assert_eq!(reply.json["evaluations"][0]["decision"], true);
        assert_eq!(reply.json["evaluations"][1]["context"]["error"]["status"], 403);
    }

    #[test]
    fn only_auditors_see_actors_and_reasons_of_the_evidence() {
        let acme = stage();
        let bob = acme.post("members/bob/tokens", &Value::Null).expect(201).credential("token");
        acme.put("environments/prod/grants/user:bob?reason=SEC-1", &json!({"role": "contributor"})).expect(200);
        let asked = |credential: &str| {
            acme.ask_as(credential, "?explain=true", &question("user:bob", "deploy", "app@prod")).expect(200).text
        };
        for credential in [&bob, &acme.access_key("evaluator")] {
            let text = asked(credential);
            assert!(!text.contains("actor") && !text.contains("SEC-1") && text.contains("grant.added"), "{text}");
        }
        assert!(asked(&acme.access_key("auditor")).contains("SEC-1"));
    }

    /// Returns every way to ask about an environment, at different times.
    #[test]
    fn an_environment_without_access_looks_like_an_unknown_one() {
        let acme = Acme::new();
        let secret = acme.restricted("secret", "no_access");
        let before_bob = acme.head();
        let bob = acme.member("bob", "member");
        acme.grant("secret", "user:bob", "viewer");
        acme.delete("environments/secret/grants/user:bob").expect(200);
        let head = acme.head();
        let never = "env_01h455vb4pex5vsknk084sn02q";
        for query in
            ["?explain=true", &format!("?explain=true&at={before_bob}"), &format!("?explain=true&at={head}"), ""]
        {
            for (action, kind) in [
                ("read", "app"),
                ("deploy", "app"),
                ("call", "web_function"),
                ("fly", "app"),
                ("read", "boat"),
                ("read", "environment"),
            ] {
                for (hidden, none) in [("secret", "nothing"), (secret.as_str(), never)] {
                    let ask = |environment: &str| {
                        let question = question("user:bob", action, &format!("{kind}@{environment}"));
                        let mut json = acme.ask_as(&bob, query, &question).expect(200).json;
                        if !query.contains("&at") {
                            json["context"]["at"] = Value::Null;
                        }
                        json
                    };
                    assert_eq!(ask(hidden), ask(none), "{query} {action} {kind}");
                }
            }
        }
        let text = acme.call("GET", "environments/secret", &bob, &Value::Null).refused(404, "not_found").text;
        let none = acme.call("GET", "environments/nosuch", &bob, &Value::Null).refused(404, "not_found").text;
        assert_eq!(text.replace("secret", "nosuch"), none);
    }
}

mod proxy_auth {
    use super::*;
    use crate::support::acme::id;

    fn ask(acme: &Acme, method: &str, environment: &str, headers: &[(&str, &str)]) -> crate::support::server::Reply {
        acme.server.send(method, &path(&format!("proxy-auth/{environment}")), headers, None)
    }

    #[test]
    fn a_valid_proxy_token_gets_204_and_its_id_with_any_method() {
        let acme = stage();
        let token = acme.proxy_token(Some(&["prod"]));
        let (key, secret) = token.split_once('.').unwrap();
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            let reply = ask(&acme, method, "PROD", &[("tenure-key", key), ("tenure-secret", secret)]).expect(204);
            assert_eq!(reply.header("tenure-token"), Some(key), "{method}");
            assert_eq!(reply.header("cache-control"), Some("no-store"), "{method}");
            assert!(reply.text.is_empty());
        }
        acme.proxy("prod", &token).expect(204);
        acme.server.get(&path("proxy-auth/prod?anything=goes"), &token).expect(204);
        acme.server.call("POST", &path("proxy-auth/prod"), &token, &json!({"a": "body"})).expect(204);
        let workspace = acme.get("").json["id"].as_str().unwrap().to_owned();
        acme.server.get(&format!("/v1/workspaces/{workspace}/proxy-auth/prod"), &token).expect(204);
    }

    #[test]
    fn accepted_200_turns_a_204_into_a_200_and_changes_no_refusal() {
        let acme = stage();
        let token = acme.proxy_token(Some(&["prod"]));
        for (query, status) in [("?accepted=200", 200), ("?accepted=204", 204), ("?accepted=403", 204), ("?x=1", 204)] {
            let reply = acme.proxy(&format!("prod{query}"), &token).expect(status);
            assert_eq!(reply.header("tenure-token"), Some(crate::support::acme::id(&token)), "{query}");
            assert_eq!(reply.text, "");
        }
        acme.proxy("none?accepted=200", &token).expect(403);
        acme.proxy("prod?accepted=200", "none.none").expect(401);
    }

    #[test]
    fn the_headers_take_precedence_over_the_bearer_token() {
        let acme = stage();
        let token = acme.proxy_token(Some(&["prod"]));
        let (key, secret) = token.split_once('.').unwrap();
        let good = format!("Bearer {token}");
        let own = [("tenure-key", key), ("tenure-secret", secret), ("authorization", "Bearer someone.elses")];
        ask(&acme, "GET", "prod", &own).expect(204);
        for wrong in [
            vec![("tenure-key", key), ("tenure-secret", "x")],
            vec![("tenure-key", key)],
            vec![("tenure-secret", secret)],
        ] {
            let headers: Vec<_> = wrong.into_iter().chain([("authorization", good.as_str())]).collect();
            ask(&acme, "GET", "prod", &headers).refused(401, "unauthenticated");
        }
    }

    #[test]
    fn without_a_valid_proxy_token_it_is_always_401() {
        let acme = stage();
        let token = acme.proxy_token(Some(&["prod"]));
        let wrong = format!("{token}x");
        for credential in [acme.alice.as_str(), OPERATOR, &acme.access_key("evaluator"), &wrong, "prx_x.y", "x.y"] {
            for target in ["/v1/workspaces/acme/proxy-auth/prod", "/v1/workspaces/none/proxy-auth/none"] {
                let reply = acme.server.get(target, credential).refused(401, "unauthenticated");
                assert!(reply.header("www-authenticate").is_some());
            }
        }
        ask(&acme, "GET", "none", &[]).refused(401, "unauthenticated");
    }

    #[test]
    fn a_valid_proxy_token_of_another_environment_is_403() {
        let acme = stage();
        let token = acme.proxy_token(Some(&["prod"]));
        for target in ["acme/proxy-auth/main", "acme/proxy-auth/none", "none/proxy-auth/prod"] {
            acme.server.get(&format!("/v1/workspaces/{target}"), &token).refused(403, "forbidden");
        }
    }

    #[test]
    fn a_change_of_scope_takes_effect_with_its_response() {
        let acme = stage();
        let token = acme.proxy_token(Some(&["prod"]));
        let scope = |names: &[&str]| {
            let rest = format!("proxy-tokens/{}/environments", id(&token));
            acme.put(&rest, &json!({"environments": names})).expect(200);
        };
        for _ in 0..5 {
            scope(&["main"]);
            acme.proxy("prod", &token).expect(403);
            acme.proxy("main", &token).expect(204);
            scope(&["prod"]);
            acme.proxy("prod", &token).expect(204);
            acme.proxy("main", &token).expect(403);
        }
        scope(&[]);
        acme.proxy("prod", &token).expect(403);
        acme.rbac(false);
        acme.proxy("prod", &token).expect(204);
        acme.delete(&format!("proxy-tokens/{}", id(&token))).expect(200);
        acme.proxy("prod", &token).expect(401);
    }

    #[test]
    fn an_expired_token_is_401_at_once() {
        let clock = crate::support::acme::TestClock::start();
        let acme = Acme::with_clock(clock.clone());
        let body = json!({"environments": ["main"], "expires_at": "2026-03-02T00:00:00Z"});
        let token = acme.post("proxy-tokens", &body).expect(201).credential("proxy_token");
        clock.set("2026-03-01T23:59:59.999999Z");
        acme.proxy("main", &token).expect(204);
        clock.set("2026-03-02T00:00:00Z");
        acme.proxy("main", &token).refused(401, "unauthenticated");
    }
}
