//! The endpoints of the `OpenID` `AuthZEN` Authorization API 1.0, on its certification scenario. Alice may read, write and delete both
//! records; bob may only read the first one.

mod evaluation;
mod evaluations;
mod metadata;
mod search_action;
mod search_resource;
mod search_subject;

use serde_json::{Value, json};

use crate::support::acme::{Acme, path};
use crate::support::server::Reply;

/// The workspace, and the credential of the enforcement point.
struct Stage {
    acme: Acme,
    evaluator: String,
}

const ENDPOINTS: [&str; 5] = ["evaluation", "evaluations", "search/subject", "search/resource", "search/action"];

fn stage() -> Stage {
    let acme = Acme::new();
    acme.restricted("open-files", "viewer");
    acme.restricted("closed-files", "no_access");
    acme.post("members", &json!({"user": "bob", "role": "member"})).expect(201);
    let actions = json!({"read": "viewer", "write": "contributor", "delete": "contributor"});
    acme.post("resource-types", &json!({"name": "record", "actions": actions})).expect(201);
    acme.put("resources/record/record-1", &json!({"environment": "open-files"})).expect(201);
    acme.put("resources/record/record-2", &json!({"environment": "closed-files"})).expect(201);
    let evaluator = acme.access_key("evaluator");
    Stage { acme, evaluator }
}

impl Stage {
    fn ask(&self, endpoint: &str, body: &Value) -> Reply {
        self.ask_as(&self.evaluator, endpoint, body)
    }

    fn ask_as(&self, credential: &str, endpoint: &str, body: &Value) -> Reply {
        self.acme.call("POST", &format!("access/v1/{endpoint}"), credential, body)
    }

    /// Sends a body that may be no JSON, with any content type.
    fn ask_text(&self, endpoint: &str, content_type: Option<&str>, body: &[u8]) -> Reply {
        let authorization = format!("Bearer {}", self.evaluator);
        let mut headers = vec![("authorization", authorization.as_str())];
        headers.extend(content_type.map(|content_type| ("content-type", content_type)));
        self.acme.server.send("POST", &path(&format!("access/v1/{endpoint}")), &headers, Some(body))
    }

    /// Returns the results, as `TYPE:ID` or the names of actions.
    #[track_caller]
    fn found(&self, endpoint: &str, body: &Value) -> Vec<String> {
        names(&self.ask(endpoint, body).expect(200))
    }
}

/// Returns the results of a search, and checks that they have only the fields of the standard.
#[track_caller]
fn names(reply: &Reply) -> Vec<String> {
    let name = |found: &Value| {
        let fields: Vec<_> = found.as_object().unwrap().keys().map(String::as_str).collect();
        let text = |field: &str| found[field].as_str().unwrap().to_owned();
        match fields.as_slice() {
            ["type", "id"] => format!("{}:{}", text("type"), text("id")),
            ["name"] => text("name"),
            other => panic!("a result has the fields {other:?}"),
        }
    };
    reply.json["results"].as_array().unwrap().iter().map(name).collect()
}

fn user(id: &str) -> Value {
    json!({"type": "user", "id": id})
}

fn record(id: &str) -> Value {
    json!({"type": "record", "id": id})
}

fn question(subject: &str, action: &str, resource: &str) -> Value {
    json!({"subject": user(subject), "action": {"name": action}, "resource": record(resource)})
}

/// Returns a body that every endpoint accepts.
fn any_question() -> Value {
    question("alice", "read", "record-1")
}

/// Returns a body with a member, perhaps nested, replaced or, without a value, removed.
fn with(body: &Value, pointer: &str, value: Option<Value>) -> Value {
    let mut body = body.clone();
    let (place, member) = pointer.rsplit_once('/').unwrap();
    let object = body.pointer_mut(place).unwrap().as_object_mut().unwrap();
    match value {
        Some(value) => object.insert(member.to_owned(), value),
        None => object.remove(member),
    };
    body
}

/// Checks that bodies with one wrong member are 400.
#[track_caller]
fn each_refused(stage: &Stage, endpoint: &str, required: &[&str], mistyped: &[(&str, Value)]) {
    let good = any_question();
    stage.ask(endpoint, &good).expect(200);
    for pointer in required {
        let reply = stage.ask(endpoint, &with(&good, pointer, None));
        assert_eq!((reply.status, reply.code()), (400, "malformed"), "{endpoint} without {pointer}");
        let member = pointer.rsplit_once('/').unwrap().1;
        assert!(reply.json["detail"].as_str().unwrap().contains(member), "{pointer}: {}", reply.text);
    }
    let shared = [
        ("/subject", json!("alice")),
        ("/subject", json!(["user", "alice"])),
        ("/subject", Value::Null),
        ("/subject/type", json!(1)),
        ("/subject/properties", json!("x")),
        ("/resource", json!([])),
        ("/resource/type", json!({})),
        ("/resource/properties", json!(7)),
        ("/context", json!("now")),
        ("/context", Value::Null),
    ];
    for (pointer, value) in shared.iter().chain(mistyped) {
        let reply = stage.ask(endpoint, &with(&good, pointer, Some(value.clone())));
        assert_eq!((reply.status, reply.code()), (400, "malformed"), "{endpoint} with {pointer}: {value}");
    }
}

mod all_endpoints {
    use super::*;

    #[test]
    fn a_body_that_is_no_json_object_is_400() {
        let stage = stage();
        let json = Some("application/json");
        for endpoint in ENDPOINTS {
            for body in ["", " ", "{", "nonsense", "[]", "null", "7", "\"text\"", "{\"subject\":}", "{} {}", "\u{0}"] {
                let reply = stage.ask_text(endpoint, json, body.as_bytes());
                assert_eq!((reply.status, reply.code()), (400, "malformed"), "{endpoint}: {body:?}");
            }
            let inside = format!("[{}]", any_question());
            stage.ask_text(endpoint, json, inside.as_bytes()).refused(400, "malformed");
            stage.ask_text(endpoint, json, b"{\"subject\": \"\xff\"}").refused(400, "malformed");
        }
    }

    #[test]
    fn another_content_type_is_400_and_its_parameters_are_ignored() {
        let stage = stage();
        let body = any_question().to_string();
        for endpoint in ENDPOINTS {
            for wrong in [None, Some("text/plain"), Some("application/xml"), Some("application/x-www-form-urlencoded")]
            {
                stage.ask_text(endpoint, wrong, body.as_bytes()).refused(400, "malformed");
            }
            let good = stage.ask_text(endpoint, Some("Application/JSON; charset=utf-8"), body.as_bytes()).expect(200);
            assert_eq!(good.header("content-type"), Some("application/json"));
        }
    }

    #[test]
    fn unknown_fields_are_ignored_everywhere() {
        let stage = stage();
        let mut more = any_question();
        for (pointer, value) in [
            ("/foo", json!("bar")),
            ("/futureField", json!({"nested": [true, {"deep": null}]})),
            ("/subject/properties", json!({"department": "Sales", "environment": "closed-files"})),
            ("/subject/rank", json!(1)),
            ("/action/properties", json!({"method": "GET"})),
            ("/action/version", json!([2])),
            ("/resource/properties", json!({"status": "active", "environment": {"odd": 1}})),
            ("/resource/tags", json!([])),
            ("/context", json!({"ip": "192.168.1.1", "schema": {"a": []}})),
        ] {
            more = with(&more, pointer, Some(value));
        }
        for endpoint in ENDPOINTS {
            assert_eq!(stage.ask(endpoint, &more).expect(200).text, stage.ask(endpoint, &any_question()).text);
        }
    }

    #[test]
    fn the_same_question_gets_the_same_bytes_with_any_context() {
        let stage = stage();
        for endpoint in ENDPOINTS {
            for page in [json!({}), json!({"limit": 1})] {
                let body = with(&any_question(), "/page", Some(page));
                let first = stage.ask(endpoint, &body).expect(200).text;
                for time in ["1985-10-26T01:22-07:00", "2999-01-01T00:00:00Z", "no time"] {
                    let body = with(&body, "/context", Some(json!({"time": time})));
                    assert_eq!(stage.ask(endpoint, &body).expect(200).text, first, "{endpoint}");
                }
            }
        }
    }

    #[test]
    fn a_request_id_is_echoed_with_decisions_and_refusals() {
        let stage = stage();
        let authorization = format!("Bearer {}", stage.evaluator);
        let id = "bfe9eb29-ab87-4ca3-be83-a1d5d8305716";
        for endpoint in ENDPOINTS {
            for (body, status) in [(any_question().to_string(), 200), (String::from("{}"), 400)] {
                let headers = [
                    ("authorization", authorization.as_str()),
                    ("content-type", "application/json"),
                    ("x-request-id", id),
                ];
                let url = path(&format!("access/v1/{endpoint}"));
                let reply = stage.acme.server.send("POST", &url, &headers, Some(body.as_bytes())).expect(status);
                assert_eq!(reply.header("x-request-id"), Some(id), "{endpoint}");
                let anonymous = stage.acme.server.send("POST", &url, &headers[1..], Some(body.as_bytes())).expect(401);
                assert_eq!(anonymous.header("x-request-id"), Some(id), "{endpoint}");
            }
            assert!(stage.ask(endpoint, &any_question()).header("x-request-id").is_some(), "{endpoint}");
        }
    }

    #[test]
    fn a_question_may_be_about_any_time_before_now() {
        let stage = stage();
        let events = stage.acme.events();
        let added = events.iter().find(|event| event["subject"] == "user:bob").unwrap();
        let before_bob = added["revision"].as_u64().unwrap() - 1;
        stage.acme.delete("members/bob").expect(200);
        let head = stage.acme.head();
        let of_bob = question("bob", "read", "record-1");
        let found = |at: u64| {
            let decision = stage.ask(&format!("evaluation?at={at}"), &of_bob).expect(200);
            let who = stage.ask(&format!("search/subject?at={at}"), &of_bob).expect(200);
            let what = stage.ask(&format!("search/resource?at={at}"), &of_bob).expect(200);
            let how = stage.ask(&format!("search/action?at={at}"), &of_bob).expect(200);
            assert_eq!(who.header("tenure-revision"), Some(at.to_string().as_str()));
            (decision.json["decision"].as_bool().unwrap(), names(&who), names(&what), names(&how))
        };
        let (alice, bob, first) = ("user:alice".to_owned(), "user:bob".to_owned(), "record:record-1".to_owned());
        assert_eq!(found(before_bob), (false, vec![], vec![], vec![]));
        assert_eq!(found(head - 1), (true, vec![alice.clone(), bob], vec![first], vec!["read".to_owned()]));
        assert_eq!(found(head), (false, vec![alice], vec![], vec![]));
        for endpoint in ENDPOINTS {
            stage.ask(&format!("{endpoint}?at=2999-01-01T00:00:00Z"), &any_question()).refused(422, "invalid");
            stage.ask(&format!("{endpoint}?wat=1"), &any_question()).refused(422, "invalid");
        }
    }
}
