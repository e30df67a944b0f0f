//! Conventions of every request: bodies, limits, problems, request ids, and secrecy.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::support::acme::{Acme, id, path, workspace_body};
use crate::support::server::{OPERATOR, Server};

#[test]
fn a_problem_has_the_shape_of_rfc_9457_and_a_stable_code() {
    let acme = Acme::new();
    let problems = [
        (acme.get("environments/none"), 404, "not_found"),
        (acme.post("environments", &json!({"name": "main"})), 409, "already_exists"),
        (acme.post("environments", &json!({"name": "?"})), 422, "invalid"),
        (acme.server.get("/nowhere", OPERATOR), 404, "not_found"),
        (acme.server.call("DELETE", "/healthz", OPERATOR, &Value::Null), 405, "method_not_allowed"),
        (acme.server.put(&path("members"), &acme.alice, &json!({})), 405, "method_not_allowed"),
        (acme.server.send("GET", &path(""), &[], None), 401, "unauthenticated"),
    ];
    for (reply, status, code) in problems {
        let reply = reply.refused(status, code);
        assert_eq!(reply.header("content-type"), Some("application/problem+json"), "{code}");
        let fields: Vec<&String> = reply.json.as_object().unwrap().keys().collect();
        assert_eq!(fields, ["type", "title", "status", "detail", "code"], "{code}");
        assert_eq!(reply.json["type"], format!("urn:tenure:problem:{code}"));
        assert_eq!(reply.json["status"], status);
        assert!(reply.json["detail"].as_str().is_some_and(|detail| detail.len() > 10), "{code}");
    }
    let reply = acme.server.put(&path("members"), &acme.alice, &json!({}));
    assert!(reply.header("allow").is_some_and(|allow| allow.contains("GET") && allow.contains("POST")));
}

#[test]
fn the_detail_names_the_field_and_the_value_at_fault() {
    let acme = Acme::new();
    let detail = |rest: &str, body: Value| {
        let reply = acme.post(rest, &body).refused(422, "invalid");
        reply.json["detail"].as_str().unwrap().to_owned()
    };
    let said = detail("environments", json!({"name": "a b"}));
    assert!(said.contains("`name`") && said.contains("`a b`"), "{said}");
    let said = detail("members", json!({"user": "x", "role": "king"}));
    assert!(said.contains("`role`") && said.contains("king"), "{said}");
    let body = json!({"name": "e", "restricted": true, "grants": [{"principal": "user:alice", "rule": "viewer"}]});
    let said = detail("environments", body);
    assert!(said.contains("grants[0]") && said.contains("rule"), "{said}");
    let said = detail("commands", json!({"commands": [{"type": "rbac.enable"}, {"type": "rbac.toggle"}]}));
    assert!(said.contains("commands[1].type") && said.contains("rbac.toggle"), "{said}");
}

#[test]
fn a_field_that_is_not_of_the_contract_is_refused() {
    let acme = Acme::new();
    let head = acme.head();
    for (rest, body) in [
        ("environments", json!({"name": "e", "restrcted": true})),
        ("members", json!({"user": "m", "role": "member", "x": 1})),
        ("service-users", json!({"name": "s", "expires_at": "2030-01-01T00:00:00Z"})),
        ("access-keys", json!({"role": "auditor", "label": "l", "secret": "s"})),
        ("members/alice/tokens", json!({"expires": null})),
        ("commands", json!({"commands": [], "dry_run": true})),
        ("commands", json!({"commands": [{"type": "environment.create", "name": "e", "restrict": true}]})),
    ] {
        acme.post(rest, &body).refused(422, "invalid");
    }
    acme.patch("environments/main", &json!({"restricted": true, "role": "no_access"})).refused(422, "invalid");
    acme.patch("environments/main", &json!({})).refused(422, "invalid");
    acme.post("environments", &json!({})).refused(422, "invalid");
    assert_eq!(acme.head(), head);
}

#[test]
fn wrong_types_and_malformed_json_are_400() {
    let acme = Acme::new();
    for (rest, body) in [
        ("environments", json!({"name": 5})),
        ("environments", json!({"name": "e", "restricted": "yes"})),
        ("environments", json!(["e"])),
        ("environments", json!({"name": "e", "restricted": true, "grants": [["user:bob", "viewer"]]})),
        ("access-keys", json!(["auditor", "l"])),
        ("commands", json!({"commands": "all"})),
        ("commands", json!({"commands": [7]})),
    ] {
        acme.post(rest, &body).refused(400, "malformed");
    }
    let authorization = format!("Bearer {}", acme.alice);
    for bytes in [b"{".as_slice(), b"", b"{\"name\": \"e\"} x", b"\xff\xfe", b"{'name': 1}"] {
        let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
        acme.server.send("POST", &path("environments"), &headers, Some(bytes)).refused(400, "malformed");
    }
    let listed = json!({"name": "w", "kind": "shared", "plan": "team", "owner": ["olga"]});
    acme.server.post("/v1/workspaces", OPERATOR, &listed).refused(400, "malformed");
    acme.call("DELETE", "environments/main", &acme.alice, &json!({"force": true})).refused(422, "invalid");
}

#[test]
fn a_body_of_10_megabytes_is_refused_unread() {
    let server = Server::start();
    let length = 10 * 1_024 * 1_024;
    let mut stream = TcpStream::connect(server.address).unwrap();
    let head = format!(
        "POST /v1/workspaces HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {OPERATOR}\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
}

/// Reads the next response on a connection and returns its status.
fn status_of(stream: &mut BufReader<TcpStream>) -> String {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        if line.trim().is_empty() {
            break;
        }
        lines.push(line.to_ascii_lowercase());
    }
    let length = lines.iter().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    stream.read_exact(&mut vec![0; length.unwrap_or(0)]).unwrap();
    lines[0].split(' ').nth(1).unwrap().to_owned()
}

#[test]
fn a_connection_stays_open_after_a_refusal_that_did_not_read_the_body() {
    let acme = Acme::new();
    let body = vec![b'x'; 1_024 * 1_024];
    for (target, credential, status) in [
        (path("environments"), "none.none", "401"),
        ("/v1/workspaces/none/members".to_owned(), acme.alice.as_str(), "404"),
        (path("members?a=1&a=2"), &acme.alice, "422"),
        ("/nowhere".to_owned(), "none.none", "404"),
        (path("events"), "none.none", "405"),
    ] {
        let length = body.len();
        let head = format!(
            "POST {target} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {credential}\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n\r\n"
        );
        let mut stream = BufReader::new(TcpStream::connect(acme.server.address).unwrap());
        stream.get_mut().write_all(head.as_bytes()).unwrap();
        stream.get_mut().write_all(&body).unwrap();
        assert_eq!(status_of(&mut stream), status, "{target}");
        stream.get_mut().write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        assert_eq!(status_of(&mut stream), "200", "after {target}");
    }
}

#[test]
fn names_are_accepted_up_to_their_limits() {
    let acme = Acme::new();
    let of = |len: usize| "n".repeat(len);
    acme.post("environments", &json!({"name": of(64)})).expect(201);
    acme.post("environments", &json!({"name": of(65)})).refused(422, "invalid");
    acme.post("service-users", &json!({"name": of(64)})).expect(201);
    acme.post("service-users", &json!({"name": of(65)})).refused(422, "invalid");
    acme.post("members", &json!({"user": of(255), "role": "member"})).expect(201);
    acme.post("members", &json!({"user": of(256), "role": "member"})).refused(422, "invalid");
    acme.post("access-keys", &json!({"role": "auditor", "label": of(128)})).expect(201);
    acme.post("access-keys", &json!({"role": "auditor", "label": of(129)})).refused(422, "invalid");
    acme.put("members/alice/profile", &json!({"name": of(200)})).expect(200);
    acme.put("members/alice/profile", &json!({"name": of(201)})).refused(422, "invalid");
    let workspace = |name: &str| workspace_body(name, "shared", "team", "olga");
    acme.server.post("/v1/workspaces", OPERATOR, &workspace(&of(64))).expect(201);
    acme.server.post("/v1/workspaces", OPERATOR, &workspace(&of(65))).refused(422, "invalid");
}

#[test]
fn names_with_control_characters_or_the_form_of_ids_are_refused() {
    let acme = Acme::new();
    let (lower, upper) = ("ws_01h455vb4pex5vsknk084sn02q", "ENV_01H455VB4PEX5VSKNK084SN02Q");
    for name in ["a\nb", "a\u{202e}b", "", "-a", "_a", lower, upper, "a/b", "ä"] {
        acme.post("environments", &json!({"name": name})).refused(422, "invalid");
    }
    for user in ["", ".", "..", "a b", "a\u{7}", "a%b", "ü"] {
        acme.post("members", &json!({"user": user, "role": "member"})).refused(422, "invalid");
    }
    for label in ["", "  ", "a\nb", "a\u{2066}b", "a\u{200b}b", "a\u{2028}b"] {
        acme.post("access-keys", &json!({"role": "auditor", "label": label})).refused(422, "invalid");
    }
    acme.post("members", &json!({"user": "A.b_c@d+e-f", "role": "member"})).expect(201);
    acme.get("members/A.b_c@d+e-f").expect(200);
}

#[test]
fn an_expiry_that_cannot_be_stored_is_refused() {
    let acme = Acme::new();
    let issue = |end: &str| acme.post("members/alice/tokens", &json!({"expires_at": end}));
    for end in ["9999-12-31T23:59:59-01:00", "2001-01-01T00:00:00Z", "tomorrow", "2030-01-01"] {
        issue(end).refused(422, "invalid");
    }
    let made = issue("9999-12-31T23:59:59+01:00").expect(201);
    assert_eq!(made.json["token"]["expires_at"], "9999-12-31T22:59:59.000000Z");
    acme.restart().get("tokens").expect(200);
}

#[test]
fn a_batch_takes_1_to_1000_commands() {
    let acme = Acme::new();
    let batch = |count: usize| {
        let add = |number| json!({"type": "member.add", "user": format!("u{number}"), "role": "member"});
        let commands: Vec<Value> = (0..count).map(add).collect();
        acme.post("commands", &json!({"commands": commands}))
    };
    batch(0).refused(422, "invalid");
    batch(1_001).refused(422, "too_large");
    let made = batch(1_000).expect(200);
    assert_eq!(made.json["events"].as_array().unwrap().len(), 1_000);
    assert_eq!(made.json["results"].as_array().unwrap().len(), 1_000);
    assert_eq!(made.json["results"][999]["member"]["user"], "u999");
}

#[test]
fn a_batch_that_fails_in_the_middle_changes_nothing_and_names_its_place() {
    let acme = Acme::new();
    let head = acme.head();
    let commands = json!({"commands": [
        {"type": "environment.create", "name": "prod", "restricted": true},
        {"type": "member.add", "user": "bob", "role": "member", "name": "Bob"},
        {"type": "grant.set", "environment": "prod", "principal": "user:bert", "role": "viewer"},
        {"type": "rbac.disable"},
    ]});
    let reply = acme.post("commands", &commands).refused(404, "not_found");
    assert!(reply.json["detail"].as_str().unwrap().starts_with("commands[2]: "), "{}", reply.text);
    assert_eq!(acme.head(), head);
    acme.get("environments/prod").refused(404, "not_found");
    acme.get("members/bob/profile").refused(404, "not_found");
}

#[test]
fn every_response_has_a_request_id_echoed_or_made() {
    let acme = Acme::new();
    let asked = |target: &str, id: &str| acme.server.send("GET", target, &[("x-request-id", id)], None);
    for target in ["/healthz", "/nowhere", "/v1/workspaces", "/openapi.json", &path("events")] {
        assert_eq!(asked(target, "abc-123~!").header("x-request-id"), Some("abc-123~!"), "{target}");
        let made = acme.server.send("GET", target, &[], None).header("x-request-id").unwrap().to_owned();
        assert_eq!(made.len(), 32, "{target}");
        for invalid in ["a b", "", &"x".repeat(129)] {
            let given = asked(target, invalid).header("x-request-id").unwrap().to_owned();
            assert!(given != invalid && given.len() == 32 && given != made, "{target} {invalid}");
        }
    }
    assert_eq!(asked("/healthz", &"x".repeat(128)).header("x-request-id").unwrap().len(), 128);
}

#[test]
fn a_secret_is_in_no_list_event_or_error() {
    let acme = Acme::new();
    acme.restricted("prod", "viewer");
    let credentials = [
        acme.alice.clone(),
        acme.member("mia", "member"),
        acme.service_user("ci"),
        acme.proxy_token(Some(&["prod"])),
        acme.access_key("auditor"),
        OPERATOR.to_owned(),
    ];
    let proxy_token = format!("proxy-tokens/{}", id(&credentials[3]));
    let reads = ["", "members", "service-users", "tokens", "proxy-tokens", "access-keys", "events", "audit/access"];
    let mut texts: Vec<String> = reads.iter().chain([&proxy_token.as_str()]).map(|read| acme.get(read).text).collect();
    for credential in &credentials {
        let secret = credential.split_once('.').unwrap().1;
        let wrong_kind = acme.call("GET", "proxy-auth/main", credential, &Value::Null);
        let as_ever = [
            wrong_kind,
            acme.call("GET", "", &format!("{credential}x"), &Value::Null),
            acme.call("GET", &format!("tokens/{}", id(credential)), &acme.alice, &Value::Null),
            acme.call("POST", "environments", credential, &json!({"name": "main"})),
        ];
        texts.extend(as_ever.into_iter().map(|reply| format!("{:?}{}", reply.headers, reply.text)));
        assert!(texts.iter().all(|text| !text.contains(secret)), "the secret of {}", id(credential));
    }
    let digests = acme.get("tokens").text.contains("sha256") || acme.get("proxy-tokens").text.contains("sha256");
    assert!(!digests, "digests are the log's affair");
}

#[test]
fn operations_need_no_credential() {
    let server = Server::start();
    for target in ["/healthz", "/readyz", "/metrics", "/openapi.json", "/docs/"] {
        server.send("GET", target, &[], None).expect(200);
    }
}
