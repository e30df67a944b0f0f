//! `GET /.well-known/authzen-configuration/…` (§9).

use serde_json::json;

use super::*;
use crate::support::server::Server;

fn ask(server: &Server, workspace: &str, headers: &[(&str, &str)]) -> Reply {
    server.send("GET", &format!("/.well-known/authzen-configuration/v1/workspaces/{workspace}"), headers, None)
}

#[test]
fn the_metadata_lists_endpoints_that_respond() {
    let stage = stage();
    let server = &stage.acme.server;
    let reply = ask(server, "acme", &[]).expect(200);
    let point = format!("http://{}/v1/workspaces/acme", server.address);
    let endpoint = |name: &str| format!("{point}/access/v1/{name}");
    let expected = json!({
        "policy_decision_point": point,
        "access_evaluation_endpoint": endpoint("evaluation"),
        "access_evaluations_endpoint": endpoint("evaluations"),
        "search_subject_endpoint": endpoint("search/subject"),
        "search_resource_endpoint": endpoint("search/resource"),
        "search_action_endpoint": endpoint("search/action"),
    });
    assert_eq!(reply.json, expected);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    for (parameter, address) in reply.json.as_object().unwrap().iter().skip(1) {
        let path = address.as_str().unwrap().strip_prefix(&format!("http://{}", server.address)).unwrap();
        assert_eq!(server.post(path, &stage.evaluator, &any_question()).status, 200, "{parameter}");
    }
}

#[test]
fn the_metadata_is_public_and_does_not_reveal_workspaces() {
    let stage = stage();
    let server = &stage.acme.server;
    let there = ask(server, "acme", &[("authorization", "Bearer nonsense")]).expect(200).text;
    let none = ask(server, "none", &[]).expect(200).text;
    assert_eq!(there.replace("/acme", "/none"), none);
    let id = stage.acme.get("").expect(200).json["id"].as_str().unwrap().to_owned();
    let by_id = ask(server, &id, &[]).expect(200).text;
    assert_eq!(there.replace("/acme", &format!("/{id}")), by_id, "the identifier is as it was asked");
    for wrong in ["Not%20A%20Name", "%C3%A9", "WS_nonsense", "a%2Fb", "%ff"] {
        let status = ask(server, wrong, &[]).status;
        assert!([400, 404].contains(&status), "{wrong}: {status}");
    }
}

#[test]
fn the_host_header_is_ignored() {
    let stage = stage();
    let plain = ask(&stage.acme.server, "acme", &[]).expect(200).text;
    for header in ["host", "x-forwarded-host", "forwarded"] {
        let asked = ask(&stage.acme.server, "acme", &[(header, "evil.example.com")]).expect(200).text;
        assert_eq!(asked, plain, "{header}");
    }
}

#[test]
fn a_request_id_is_echoed() {
    let stage = stage();
    let reply = ask(&stage.acme.server, "acme", &[("x-request-id", "abc-1")]).expect(200);
    assert_eq!(reply.header("x-request-id"), Some("abc-1"));
}
