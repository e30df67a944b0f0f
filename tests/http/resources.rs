//! Resource types and placements: changes, reads, lists, decisions, and concealment.

use serde_json::{Value, json};

use crate::support::acme::{Acme, path, types};
use crate::support::server::Reply;

const GPU: &str = "resource-types";

fn gpu() -> Value {
    json!({"name": "gpu", "actions": {"read": "viewer", "reserve": "contributor"}})
}

/// Starts a workspace with a type `gpu`, a `vault` for the owner only, and a `lab` for everyone.
fn stage() -> Acme {
    let acme = Acme::new();
    acme.restricted("vault", "no_access");
    acme.environment("lab");
    acme.post(GPU, &gpu()).expect(201);
    acme
}

fn place(acme: &Acme, resource: &str, environment: &str) -> Reply {
    acme.put(&format!("resources/{resource}"), &json!({"environment": environment}))
}

/// Returns a question about a resource by its type and id, and perhaps an environment.
fn question(subject: &str, action: &str, kind: &str, id: &str, environment: Option<&str>) -> Value {
    let (subject_type, named) = subject.split_once(':').unwrap();
    let mut resource = json!({"type": kind, "id": id});
    if let Some(environment) = environment {
        resource["properties"] = json!({"environment": environment});
    }
    json!({"subject": {"type": subject_type, "id": named}, "action": {"name": action}, "resource": resource})
}

fn explained(acme: &Acme, credential: &str, query: &str, question: &Value) -> Value {
    acme.ask_as(credential, &format!("?explain=true{query}"), question).expect(200).json
}

fn decided(answer: &Value) -> (bool, &str) {
    (answer["decision"].as_bool().unwrap(), answer["context"]["rule"].as_str().unwrap())
}

fn evidence(answer: &Value) -> Vec<&str> {
    let events = answer["context"]["evidence"].as_array().unwrap();
    events.iter().map(|event| event["type"].as_str().unwrap().trim_end_matches(".v1")).collect()
}

/// Returns the resources of a list, as `TYPE/ID`.
fn listed(reply: &Reply) -> Vec<String> {
    let name = |item: &Value| format!("{}/{}", item["type"].as_str().unwrap(), item["id"].as_str().unwrap());
    reply.json["items"].as_array().unwrap().iter().map(name).collect()
}

mod resource_types {
    use super::*;

    #[test]
    fn a_resource_type_is_defined_and_found_at_its_location() {
        let acme = Acme::new();
        let defined = acme.post(&format!("{GPU}?reason=OPS-1"), &gpu()).expect(201);
        assert_eq!(types(&defined), ["resource_type.defined"]);
        let event = &defined.json["events"][0];
        assert_eq!((&event["subject"], &event["reason"]), (&json!("gpu"), &json!("OPS-1")));
        assert_eq!(event["data"], json!({"actions": {"read": "viewer", "reserve": "contributor"}}));
        let expected = json!({"name": "gpu", "built_in": false, "since": event["time"],
            "actions": {"read": "viewer", "reserve": "contributor"}});
        assert_eq!(defined.json["resource_type"], expected);
        let shown = acme.server.get(defined.header("location").unwrap(), &acme.alice).expect(200);
        assert_eq!(shown.json, expected);
    }

    #[test]
    fn a_resource_type_that_is_defined_again_is_not_new() {
        let acme = stage();
        let head = acme.head();
        let same = acme.post(GPU, &gpu()).expect(200);
        assert_eq!((same.json["events"].clone(), same.header("location")), (json!([]), None));
        assert_eq!(same.json["resource_type"]["name"], "gpu");
        let changed = acme.post(GPU, &json!({"name": "gpu", "actions": {"read": "contributor"}})).expect(200);
        assert_eq!((types(&changed), changed.header("location")), (vec!["resource_type.defined".to_owned()], None));
        assert_eq!(acme.get("resource-types/gpu").expect(200).json["actions"], json!({"read": "contributor"}));
        let before = acme.get(&format!("resource-types/gpu?at={head}")).expect(200);
        assert_eq!(before.json["actions"], json!({"read": "viewer", "reserve": "contributor"}));
        acme.get("resource-types/gpu?at=1").refused(404, "not_found");
    }

    #[test]
    fn built_in_types_are_listed_before_the_workspaces_own() {
        let acme = stage();
        let mia = acme.member("mia", "member");
        let list = acme.call("GET", GPU, &mia, &Value::Null).expect(200);
        let items = list.json["items"].as_array().unwrap();
        let names: Vec<_> = items.iter().map(|item| item["name"].as_str().unwrap()).collect();
        let built_in = ["environment", "app", "function", "secret", "volume", "dict", "queue", "web_function"];
        assert_eq!(names, [built_in.as_slice(), &["gpu"]].concat());
        let actions =
            json!({"call": "proxy_token", "read": "viewer", "deploy": "contributor", "delete": "contributor"});
        let expected = json!({"name": "web_function", "built_in": true, "actions": actions, "since": null});
        assert_eq!(items[7], expected);
        assert_eq!(acme.get("resource-types/web_function").expect(200).json, expected);
        acme.get("resource-types/tpu").refused(404, "not_found");
    }

    #[test]
    fn invalid_input_is_refused_with_a_reason() {
        let acme = stage();
        let head = acme.head();
        acme.post(GPU, &json!({"name": "app", "actions": {"read": "viewer"}})).refused(409, "already_exists");
        acme.post(GPU, &json!({"name": "gpu", "actions": ["read"]})).refused(400, "malformed");
        for bad in [
            json!({"name": "user", "actions": {"read": "viewer"}}),
            json!({"name": "GPU", "actions": {"read": "viewer"}}),
            json!({"name": "env_01h455vb4pex5vsknk084sn02q", "actions": {"read": "viewer"}}),
            json!({"name": "gpu", "actions": {}}),
            json!({"name": "gpu", "actions": {"read": "no_access"}}),
            json!({"name": "gpu", "actions": {"read": "owner"}}),
            json!({"name": "gpu", "actions": {"Read it": "viewer"}}),
            json!({"name": "gpu", "actions": {"read": "viewer"}, "owner": "mia"}),
            json!({"name": "gpu"}),
        ] {
            acme.post(GPU, &bad).refused(422, "invalid");
        }
        let actions: serde_json::Map<_, _> = (0..101).map(|n| (format!("a{n}"), json!("viewer"))).collect();
        acme.post(GPU, &json!({"name": "gpu", "actions": actions})).refused(422, "too_large");
        assert_eq!(acme.head(), head);
    }
}

mod placements {
    use super::*;

    #[test]
    fn a_resource_is_placed_moved_and_removed() {
        let acme = stage();
        let placed = place(&acme, "gpu/a100", "LAB").expect(201);
        assert_eq!(types(&placed), ["resource.placed"]);
        let resource = &placed.json["resource"];
        assert_eq!((&resource["type"], &resource["id"]), (&json!("gpu"), &json!("a100")));
        assert_eq!(
            (&resource["environment_name"], &resource["since"]),
            (&json!("lab"), &placed.json["events"][0]["time"])
        );
        assert_eq!(acme.get("resources/gpu/a100").expect(200).json, *resource);
        let same = place(&acme, "gpu/a100", resource["environment"].as_str().unwrap()).expect(200);
        assert_eq!((types(&same).len(), &same.json["resource"]), (0, resource));
        let moved = place(&acme, "gpu/a100", "main").expect(200);
        assert_eq!((types(&moved), moved.header("location")), (vec!["resource.moved".to_owned()], None));
        assert_eq!(moved.json["events"][0]["data"]["from"], resource["environment"]);
        let removed = acme.delete("resources/gpu/a100").expect(200);
        assert_eq!(types(&removed), ["resource.removed"]);
        assert_eq!(removed.json.as_object().unwrap().keys().collect::<Vec<_>>(), ["revision", "events", "checkpoint"]);
        acme.delete("resources/gpu/a100").refused(404, "not_found");
        acme.get("resources/gpu/a100").refused(404, "not_found");
        let before = acme.get(&format!("resources/gpu/a100?at={}", placed.json["revision"])).expect(200);
        assert_eq!(before.json, *resource);
    }

    #[test]
    fn an_id_is_percent_encoded_in_paths() {
        let acme = stage();
        for (encoded, id) in
            [("s3%3A%2F%2Fbucket%2F%C3%BC%20%3F%23", "s3://bucket/ü ?#"), ("a%25b", "a%b"), ("...", "...")]
        {
            let placed = place(&acme, &format!("volume/{encoded}"), "lab").expect(201);
            assert_eq!(placed.json["resource"]["id"], id);
            assert_eq!(placed.json["events"][0]["subject"], format!("volume/{id}"));
            let shown = acme.server.get(placed.header("location").unwrap(), &acme.alice).expect(200);
            assert_eq!(shown.json, placed.json["resource"]);
            acme.delete(&format!("resources/volume/{encoded}")).expect(200);
        }
    }

    #[test]
    fn invalid_input_is_refused_with_a_reason() {
        let acme = stage();
        let head = acme.head();
        place(&acme, "tpu/v5", "lab").refused(404, "not_found");
        place(&acme, "gpu/a100", "nowhere").refused(404, "not_found");
        place(&acme, "environment/lab", "lab").refused(422, "invalid");
        place(&acme, "workspace/acme", "lab").refused(422, "invalid");
        for id in ["%20", "a%0Ab", "%E2%80%AEa", &"x".repeat(257)] {
            place(&acme, &format!("gpu/{id}"), "lab").refused(422, "invalid");
        }
        acme.put("resources/gpu/a100", &json!({"environment": 7})).refused(400, "malformed");
        acme.put("resources/gpu/a100", &json!({})).refused(422, "invalid");
        acme.put("resources/gpu/a100", &json!({"environment": "lab", "id": "b"})).refused(422, "invalid");
        acme.delete("resources/gpu/%20").refused(404, "not_found");
        assert_eq!(acme.head(), head);
    }

    #[test]
    fn a_batch_defines_places_and_removes() {
        let acme = Acme::new();
        let resource = json!({"type": "gpu", "id": "a/1"});
        let commands = json!({"commands": [
            {"type": "resource_type.define", "name": "gpu", "actions": {"read": "viewer"}},
            {"type": "environment.create", "name": "lab"},
            {"type": "resource.place", "resource": resource, "environment": "lab"},
            {"type": "resource.place", "resource": resource, "environment": "main"},
            {"type": "resource.remove", "resource": resource},
        ]});
        let done = acme.post("commands", &commands).expect(200);
        let expected =
            ["resource_type.defined", "environment.created", "resource.placed", "resource.moved", "resource.removed"];
        assert_eq!(types(&done), expected);
        assert_eq!(done.json["results"][0]["resource_type"]["name"], "gpu");
        let one = json!({"commands": [{"type": "resource.place", "resource": resource, "environment": "main"}]});
        let one = acme.post("commands", &one).expect(201);
        assert!(one.header("location").unwrap().ends_with("/resources/gpu/a%2F1"));
        acme.post(
            "commands",
            &json!({"commands": [{"type": "resource.place", "resource": "gpu/a", "environment": "main"}]}),
        )
        .refused(400, "malformed");
    }

    #[test]
    fn a_deleted_environment_loses_its_placements() {
        let acme = stage();
        place(&acme, "gpu/b", "lab").expect(201);
        place(&acme, "gpu/a", "lab").expect(201);
        place(&acme, "gpu/c", "main").expect(201);
        let deleted = acme.delete("environments/lab").expect(200);
        assert_eq!(types(&deleted), ["resource.removed", "resource.removed", "environment.deleted"]);
        assert_eq!(listed(&acme.get("resources").expect(200)), ["gpu/c"]);
        let events = acme.get("events?environment=lab&type=resource.removed").expect(200);
        assert_eq!(events.json["items"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn a_change_retried_under_its_key_gets_the_first_response() {
        let acme = stage();
        let (authorization, body) = (format!("Bearer {}", acme.alice), br#"{"environment":"lab"}"#);
        let headers = [
            ("authorization", authorization.as_str()),
            ("content-type", "application/json"),
            ("idempotency-key", "once"),
        ];
        let send = || acme.server.send("PUT", &path("resources/gpu/a%2F1"), &headers, Some(body)).expect(201);
        let first = send();
        place(&acme, "gpu/a%2F1", "main").expect(200);
        let again = send();
        let mut expected = first.json.clone();
        expected["checkpoint"] = again.json["checkpoint"].clone();
        assert_eq!((&again.json, again.header("location")), (&expected, first.header("location")));
        assert_eq!(acme.get("resources/gpu/a%2F1").expect(200).json["environment_name"], "main");
    }
}

mod lists {
    use super::*;

    fn stocked() -> Acme {
        let acme = stage();
        for (resource, environment) in
            [("gpu/b", "lab"), ("gpu/a", "lab"), ("gpu/c", "vault"), ("app/shop", "lab"), ("app/bank", "vault")]
        {
            place(&acme, resource, environment).expect(201);
        }
        acme
    }

    #[test]
    fn resources_are_listed_by_type_and_by_environment() {
        let acme = stocked();
        let list = |query: &str| listed(&acme.get(&format!("resources{query}")).expect(200));
        assert_eq!(list(""), ["app/bank", "app/shop", "gpu/a", "gpu/b", "gpu/c"]);
        assert_eq!(list("?type=gpu"), ["gpu/a", "gpu/b", "gpu/c"]);
        assert_eq!(list("?environment=VAULT"), ["app/bank", "gpu/c"]);
        assert_eq!(list("?environment=lab&type=gpu"), ["gpu/a", "gpu/b"]);
        assert_eq!(list("?type=secret"), Vec::<String>::new());
        acme.get("resources?type=tpu").refused(404, "not_found");
        acme.get("resources?environment=nowhere").refused(404, "not_found");
        acme.get("resources?kind=gpu").refused(422, "invalid");
    }

    #[test]
    fn a_list_is_of_its_instant() {
        let acme = stocked();
        let then = acme.head();
        acme.delete("environments/lab").expect(200);
        let list = |query: &str| listed(&acme.get(&format!("resources{query}")).expect(200));
        assert_eq!(list("?environment=lab"), Vec::<String>::new(), "it was there once");
        assert_eq!(list(&format!("?environment=lab&at={then}")), ["app/shop", "gpu/a", "gpu/b"]);
        assert_eq!(list(&format!("?type=gpu&at={then}&limit=1000")), ["gpu/a", "gpu/b", "gpu/c"]);
        assert_eq!(list("?type=gpu&at=1"), Vec::<String>::new(), "the type came later");
    }

    #[test]
    fn a_principal_sees_the_resources_it_can_access() {
        let acme = stocked();
        let mia = acme.member("mia", "member");
        let get = |rest: &str| acme.call("GET", rest, &mia, &Value::Null);
        assert_eq!(listed(&get("resources").expect(200)), ["app/shop", "gpu/a", "gpu/b"]);
        assert_eq!(listed(&get("resources?type=app").expect(200)), ["app/shop"]);
        let hidden = get("resources?environment=vault").refused(404, "not_found").text;
        assert_eq!(hidden.replace("vault", "never"), get("resources?environment=never").refused(404, "not_found").text);
        get("resources/gpu/a").expect(200);
        let hidden = get("resources/gpu/c").refused(404, "not_found").text;
        assert_eq!(hidden.replace("gpu/c", "gpu/z"), get("resources/gpu/z").refused(404, "not_found").text);
        let auditor = acme.access_key("auditor");
        assert_eq!(listed(&acme.call("GET", "resources", &auditor, &Value::Null).expect(200)).len(), 5);
        acme.grant("vault", "user:mia", "viewer");
        assert_eq!(listed(&get("resources").expect(200)).len(), 5);
    }
}

mod questions {
    use super::*;

    #[test]
    fn a_question_may_name_only_the_resource() {
        let acme = stage();
        acme.member("mia", "member");
        place(&acme, "gpu/a%2F1", "vault").expect(201);
        let ask = |action: &str, environment| {
            explained(&acme, &acme.alice, "", &question("user:mia", action, "gpu", "a/1", environment))
        };
        let read = ask("read", None);
        assert_eq!(decided(&read), (false, "default_role"));
        let events = ["resource_type.defined", "resource.placed", "member.added", "environment.restricted"];
        let mut found = evidence(&read);
        found.sort_unstable();
        let mut expected = events.to_vec();
        expected.sort_unstable();
        assert_eq!(found, expected);
        acme.grant("vault", "user:mia", "viewer");
        assert_eq!(decided(&ask("read", None)), (true, "grant"));
        assert_eq!(decided(&ask("read", Some("vault"))), (true, "grant"));
        assert_eq!(decided(&ask("reserve", None)), (false, "grant"));
        let differs = ask("read", Some("lab"));
        assert_eq!(
            (decided(&differs), evidence(&differs)),
            ((false, "placement_differs"), vec!["resource_type.defined", "resource.placed"])
        );
        let reasons = differs["context"]["reasons"][0].as_str().unwrap();
        assert!(reasons.contains("recorded in another environment"), "{reasons}");
    }

    #[test]
    fn a_question_about_the_past_uses_the_types_and_placements_of_then() {
        let acme = stage();
        acme.member("mia", "member");
        let start = acme.head();
        place(&acme, "app/shop", "lab").expect(201);
        let in_lab = acme.head();
        place(&acme, "app/shop", "vault").expect(200);
        let ask = |at: u64| {
            let asked = question("user:mia", "deploy", "app", "shop", None);
            explained(&acme, &acme.alice, &format!("&at={at}"), &asked)
        };
        assert_eq!(decided(&ask(start)), (false, "no_environment"));
        assert_eq!(decided(&ask(in_lab)), (true, "unrestricted"));
        assert_eq!(decided(&ask(acme.head())), (false, "default_role"));
        let asked = question("user:mia", "read", "gpu", "a", Some("lab"));
        assert_eq!(decided(&explained(&acme, &acme.alice, "&at=5", &asked)), (false, "unknown_resource_type"));
    }

    #[test]
    fn a_batch_of_questions_names_resources_too() {
        let acme = stage();
        acme.member("mia", "member");
        place(&acme, "app/shop", "lab").expect(201);
        place(&acme, "app/bank", "vault").expect(201);
        let batch = json!({"subject": {"type": "user", "id": "mia"}, "action": {"name": "deploy"},
            "evaluations": [{"resource": {"type": "app", "id": "shop"}}, {"resource": {"type": "app", "id": "bank"}}]});
        let answers = acme.post("access/v1/evaluations", &batch).expect(200);
        assert_eq!(answers.json, json!({"evaluations": [{"decision": true}, {"decision": false}]}));
    }

    #[test]
    fn placements_are_hidden_from_principals_without_access() {
        let acme = stage();
        let mia = acme.member("mia", "member");
        place(&acme, "app/bank", "vault").expect(201);
        let ask = |action: &str, id: &str, environment: Option<&str>| {
            explained(&acme, &mia, "", &question("user:mia", action, "app", id, environment))
        };
        for environment in [None, Some("vault"), Some("nowhere")] {
            let (mut hidden, mut never) = (ask("deploy", "bank", environment), ask("deploy", "never", Some("nowhere")));
            if environment.is_none() {
                never = ask("deploy", "never", None);
            }
            for answer in [&mut hidden, &mut never] {
                answer["context"].as_object_mut().unwrap().remove("at");
            }
            assert_eq!(hidden, never);
        }
        let elsewhere = ask("deploy", "bank", Some("lab"));
        assert_eq!((decided(&elsewhere), evidence(&elsewhere).len()), ((false, "placement_differs"), 0));
        assert!(!elsewhere.to_string().contains("env_"));
    }
}
