//! Authority and facts belong to one instant, after the request is complete.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};
use tenure::domain::model::id::{AccessKeyId, WorkspaceId};
use tenure::domain::model::principal::{Caller, Principal};
use tenure::domain::model::role::AccessKeyRole;
use tenure::domain::model::time::Revision;
use tenure::log::journal::{AnswerForm, AuditReader, ReadRecord};
use tenure::service::SideRequest;
use tenure::service::submission::SubmitError;

use crate::support::acme::{Acme, id, path, question, workspace_body};
use crate::support::server::{OPERATOR, Reply, Server};

/// A request whose head the server has read and whose body is not sent yet.
struct Late {
    stream: BufReader<TcpStream>,
    body: Vec<u8>,
}

/// The head of a response, in lower case, and its body.
struct Told {
    head: String,
    body: Vec<u8>,
}

impl Told {
    fn status(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")))
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

fn head_of(stream: &mut BufReader<TcpStream>) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        let mut line = String::new();
        assert!(stream.read_line(&mut line).unwrap() > 0, "the connection ended after {head:?}");
        head.push_str(&line);
    }
    head.to_ascii_lowercase().replace("\r\n", "\n")
}

fn answer_of(stream: &mut BufReader<TcpStream>) -> Told {
    let mut told = Told { head: head_of(stream), body: Vec::new() };
    let length = told.header("content-length").map_or(0, |length| length.parse().unwrap());
    told.body.resize(length, 0);
    stream.read_exact(&mut told.body).unwrap();
    told
}

/// Sends the head of a request, and waits until the server asks for the body.
fn late(server: &Server, (method, target): (&str, &str), credential: &str, body: &Value) -> Late {
    let body = serde_json::to_vec(body).unwrap();
    let mut stream = BufReader::new(TcpStream::connect(server.address).unwrap());
    let head = format!(
        "{method} {target} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {credential}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nexpect: 100-continue\r\n\r\n",
        body.len()
    );
    stream.get_mut().write_all(head.as_bytes()).unwrap();
    assert!(head_of(&mut stream).starts_with("http/1.1 100"));
    Late { stream, body }
}

impl Late {
    fn complete(mut self) -> Told {
        let (first, rest) = self.body.split_at(self.body.len() / 2);
        self.stream.get_mut().write_all(first).unwrap();
        self.stream.get_mut().write_all(rest).unwrap();
        answer_of(&mut self.stream)
    }
}

/// Returns requests of a manager, each with a body; reads have one too, which is ignored.
fn managers_requests() -> Vec<(&'static str, &'static str, Value)> {
    let commands = json!({"commands": [{"type": "environment.create", "name": "late"}]});
    vec![
        ("POST", "access/v1/evaluation", question("user:alice", "deploy", "app@main")),
        ("POST", "access/v1/evaluations", question("user:alice", "deploy", "app@main")),
        (
            "POST",
            "access/v1/search/action",
            json!({"subject": {"type": "user", "id": "alice"}, "resource": {"type": "app", "id": "x",
                   "properties": {"environment": "main"}}}),
        ),
        ("POST", "audit/what-if", commands.clone()),
        ("POST", "commands", commands),
        ("POST", "environments", json!({"name": "late"})),
        ("PUT", "members/alice/profile", json!({"name": "Mallory"})),
        ("DELETE", "members/alice/profile", json!({})),
        ("GET", "events", json!({})),
        ("GET", "audit/access", json!({})),
        ("GET", "members", json!({})),
    ]
}

#[test]
fn a_credential_that_ends_before_the_body_arrives_is_refused() {
    let acme = Acme::new();
    for (number, (method, rest, body)) in managers_requests().into_iter().enumerate() {
        let mark = acme.member(&format!("mark{number}"), "manager");
        let request = late(&acme.server, (method, &path(rest)), &mark, &body);
        acme.delete(&format!("members/mark{number}")).expect(200);
        let told = request.complete();
        assert_eq!((told.status(), &told.json()["code"]), (401, &json!("unauthenticated")), "{method} {rest}");
    }
    let auditor = acme.access_key("auditor");
    let asked = question("user:alice", "deploy", "app@main");
    let request = late(&acme.server, ("POST", &path("access/v1/evaluation")), &auditor, &asked);
    acme.delete(&format!("access-keys/{}", id(&auditor))).expect(200);
    assert_eq!(request.complete().status(), 401);
    acme.get("environments/late").refused(404, "not_found");
    assert_eq!(acme.get("members/alice/profile").expect(200).json, json!({}));
}

#[test]
fn a_role_that_ends_before_the_body_arrives_gives_no_authority() {
    let acme = Acme::new();
    for (number, (method, rest, body)) in managers_requests().into_iter().enumerate() {
        let mark = acme.member(&format!("mark{number}"), "manager");
        let request = late(&acme.server, (method, &path(rest)), &mark, &body);
        acme.patch(&format!("members/mark{number}"), &json!({"role": "member"})).expect(200);
        let told = request.complete();
        if rest == "members" {
            assert_eq!(told.json()["items"].as_array().unwrap().len(), 1, "a member sees itself");
        } else {
            assert_eq!((told.status(), &told.json()["code"]), (403, &json!("forbidden")), "{method} {rest}");
        }
    }
    acme.get("environments/late").refused(404, "not_found");
}

#[test]
fn facts_are_the_newest_at_the_completion_of_the_request() {
    let acme = Acme::new();
    acme.restricted("prod", "viewer");
    acme.member("bob", "member");
    acme.grant("prod", "user:bob", "contributor");
    let asked = question("user:bob", "deploy", "app@prod");
    for credential in [OPERATOR, &acme.alice] {
        let request = late(&acme.server, ("POST", &path("access/v1/evaluation")), credential, &asked);
        acme.delete("environments/prod/grants/user:bob").expect(200);
        let told = request.complete();
        assert_eq!(told.json(), json!({"decision": false}));
        let (head, events) = (acme.head(), acme.events());
        assert_eq!(told.header("tenure-revision"), Some(head.to_string().as_str()));
        let at = told.header("tenure-at").unwrap().to_ascii_uppercase();
        assert!(at.as_str() >= events.last().unwrap()["time"].as_str().unwrap(), "{at}");
        acme.grant("prod", "user:bob", "contributor");
    }
}

fn workspace_of(acme: &Acme) -> WorkspaceId {
    acme.get("").expect(200).json["id"].as_str().unwrap().parse().unwrap()
}

fn caller(user: &str, credential: &str) -> Caller {
    Caller::Principal { principal: Principal::User(user.parse().unwrap()), token: id(credential).parse().unwrap() }
}

/// Returns the writer's result of a side write by a caller that was authenticated before.
fn side(acme: &Acme, caller: &Caller, write: SideRequest) -> Result<(), String> {
    let asked = acme.server.service.submit_side(workspace_of(acme), caller, write, (None, None));
    match acme.server.block_on(asked) {
        Ok(_) => Ok(()),
        Err(SubmitError::Refused(refused)) => Err(refused.rejection.code().to_owned()),
        Err(other) => panic!("{other}"),
    }
}

/// Returns the record of a read of the audit.
fn read(workspace: WorkspaceId, reader: AuditReader, number: u128) -> ReadRecord {
    let at = "2026-03-01T00:00:00Z".parse().unwrap();
    ReadRecord {
        id: tenure::domain::model::id::ReadId::from_uuid(uuid::Uuid::from_u128(number)),
        workspace,
        at,
        reader,
        token: None,
        request: "request".to_owned(),
        question: "audit/access".to_owned(),
        query: String::new(),
        form: AnswerForm::Json,
        revision: Revision(1),
        view_at: at,
        rows: Some(1),
    }
}

fn read_by(acme: &Acme, reader: AuditReader, number: u128) -> SideRequest {
    SideRequest::RecordRead(Box::new(read(workspace_of(acme), reader, number)))
}

#[test]
fn a_read_by_a_reader_without_authority_is_neither_recorded_nor_answered() {
    let acme = Acme::new();
    let mark = acme.member("mark", "manager");
    let of_mark = caller("mark", &mark);
    let reader = || AuditReader::Principal(Principal::User("mark".parse().unwrap()));
    let keys: Vec<AccessKeyId> = (0..2).map(|_| id(&acme.access_key("auditor")).parse().unwrap()).collect();
    let of = |key: AccessKeyId| Caller::AccessKey { key, role: AccessKeyRole::Auditor };
    assert_eq!(side(&acme, &of_mark, read_by(&acme, reader(), 1)), Ok(()));
    assert_eq!(side(&acme, &of(keys[0]), read_by(&acme, AuditReader::AccessKey(keys[0]), 2)), Ok(()));
    acme.patch("members/mark", &json!({"role": "member"})).expect(200);
    assert_eq!(side(&acme, &of_mark, read_by(&acme, reader(), 3)), Err("forbidden".to_owned()));
    acme.delete("members/mark").expect(200);
    assert_eq!(side(&acme, &of_mark, read_by(&acme, reader(), 4)), Err("unauthenticated".to_owned()));
    acme.delete(&format!("access-keys/{}", keys[0])).expect(200);
    let refused = side(&acme, &of(keys[0]), read_by(&acme, AuditReader::AccessKey(keys[0]), 5));
    assert_eq!(refused, Err("unauthenticated".to_owned()));
    let recorded = acme.get("audit/reads").expect(200).json["items"].as_array().unwrap().len();
    assert_eq!(recorded, 2);
}

fn keyed(acme: &Acme, credential: &str, method: &str, target: &str, key: &str, body: &Value) -> Reply {
    let authorization = format!("Bearer {credential}");
    let headers =
        [("authorization", authorization.as_str()), ("idempotency-key", key), ("content-type", "application/json")];
    let bytes = serde_json::to_vec(body).unwrap();
    acme.server.send(method, target, &headers, (!body.is_null()).then_some(bytes.as_slice()))
}

#[test]
fn a_retried_request_is_authorized_again() {
    let acme = Acme::new();
    acme.restricted("prod", "viewer");
    acme.member("bob", "member");
    let mark = acme.member("mark", "manager");
    let batch = json!({"commands": [{"type": "environment.create", "name": "two"}, {"type": "environment.create", "name": "three"}]});
    let requests = [
        ("POST", "environments", json!({"name": "one"})),
        ("POST", "commands", batch),
        ("POST", "proxy-tokens", json!({"environments": ["prod"]})),
        ("PUT", "environments/prod/grants/user:bob", json!({"role": "viewer"})),
        ("DELETE", "environments/prod/grants/user:bob", Value::Null),
        ("PUT", "members/alice/profile", json!({"name": "Alice"})),
        ("DELETE", "members/alice/profile", Value::Null),
    ];
    let send = |(method, rest, body): &(&str, &str, Value)| {
        keyed(&acme, &mark, method, &path(rest), &format!("{method} {rest}"), body)
    };
    for request in requests.iter().flat_map(|request| [request, request]) {
        assert!(send(request).status < 300, "{request:?}");
    }
    acme.patch("members/mark", &json!({"role": "member"})).expect(200);
    for request in &requests {
        send(request).refused(403, "forbidden");
    }
    acme.patch("members/mark", &json!({"role": "manager"})).expect(200);
    let head = acme.head();
    for request in &requests {
        assert!(send(request).status < 300, "who may again gets the first answer: {request:?}");
    }
    assert_eq!(acme.head(), head, "and nothing is done again");
}

#[test]
fn a_retried_deletion_of_a_workspace_gets_the_first_response() {
    let acme = Acme::new();
    let other = acme.server.post("/v1/workspaces", OPERATOR, &workspace_body("other", "shared", "team", "olga"));
    let other = other.expect(201).json["workspace"]["id"].as_str().unwrap().to_owned();
    let by_id = format!("/v1/workspaces/{other}");
    let delete = |acme: &Acme, target: &str, key: &str| keyed(acme, OPERATOR, "DELETE", target, key, &Value::Null);
    let firsts = [path("?reason=over"), by_id].map(|target| (delete(&acme, &target, "k").expect(200), target));
    acme.server.delete(&path("?reason=over"), OPERATOR).refused(404, "not_found");
    delete(&acme, &path("?reason=over"), "other").refused(404, "not_found");
    let check = |acme: &Acme| {
        for (first, target) in &firsts {
            let again = delete(acme, target, "k").expect(200);
            assert_eq!((&again.text, again.header("etag")), (&first.text, first.header("etag")), "{target}");
        }
        delete(acme, &path("?reason=else"), "k").refused(422, "idempotency_key_reused");
    };
    check(&acme);
    let acme = acme.restart();
    check(&acme);
    let made = acme.server.post("/v1/workspaces", OPERATOR, &workspace_body("acme", "shared", "team", "olga"));
    made.expect(201);
    check(&acme);
    acme.server.get(&path(""), OPERATOR).expect(200);
    delete(&acme, &path(""), "new").expect(200);
    acme.server.get(&path(""), OPERATOR).refused(404, "not_found");
}

#[test]
fn a_retried_revocation_in_a_deleted_workspace_gets_the_first_response() {
    let acme = Acme::new();
    let auditor = acme.access_key("auditor");
    let workspace = workspace_of(&acme);
    acme.delete("").expect(200);
    let target = format!("/v1/workspaces/{workspace}/access-keys/{}", id(&auditor));
    let first = keyed(&acme, OPERATOR, "DELETE", &target, "k", &Value::Null).expect(200);
    assert_eq!(keyed(&acme, OPERATOR, "DELETE", &target, "k", &Value::Null).expect(200).text, first.text);
    keyed(&acme, OPERATOR, "DELETE", &target, "other", &Value::Null).refused(404, "not_found");
    let key: AccessKeyId = id(&auditor).parse().unwrap();
    let of_key = Caller::AccessKey { key, role: AccessKeyRole::Auditor };
    let read = read(workspace, AuditReader::AccessKey(key), 1);
    let refused = acme.server.block_on(acme.server.service.record_read(read, &of_key)).unwrap_err();
    assert!(matches!(refused, SubmitError::Refused(why) if why.rejection.code() == "unauthenticated"));
}

/// Returns the rest of a response that its client reads only after `act`.
fn read_slowly(acme: &Acme, credential: &str, accept: &str, meanwhile: impl FnOnce()) -> Vec<u8> {
    let mut stream = BufReader::with_capacity(1, TcpStream::connect(acme.server.address).unwrap());
    let head = format!(
        "GET {} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {credential}\r\naccept: {accept}\r\n\r\n",
        path("audit/access")
    );
    stream.get_mut().write_all(head.as_bytes()).unwrap();
    assert!(head_of(&mut stream).starts_with("http/1.1 200"));
    meanwhile();
    let mut rest = Vec::new();
    let _ = stream.into_inner().read_to_end(&mut rest);
    rest
}

#[test]
fn a_slow_stream_ends_when_its_reader_loses_authority() {
    let acme = Acme::new();
    for batch in 0..6 {
        let add = |number| json!({"type": "member.add", "user": format!("u{batch}-{number}"), "role": "member"});
        let commands: Vec<Value> = (0..1_000).map(add).collect();
        acme.post("commands", &json!({"commands": commands})).expect(200);
    }
    for number in 0..6 {
        acme.environment(&format!("e{number}"));
    }
    for accept in ["application/x-ndjson", "text/csv"] {
        let whole = read_slowly(&acme, &acme.alice, accept, || {});
        assert!(whole.ends_with(b"0\r\n\r\n") && whole.len() > 8_000_000, "{accept}: {}", whole.len());
        let auditor = acme.access_key("auditor");
        let rest = read_slowly(&acme, &auditor, accept, || {
            acme.delete(&format!("access-keys/{}", id(&auditor))).expect(200);
        });
        assert!(!rest.ends_with(b"0\r\n\r\n") && rest.len() < whole.len(), "{accept}: {}", rest.len());
        let mark = acme.member(&format!("mark-{}", accept.len()), "manager");
        let rest = read_slowly(&acme, &mark, accept, || {
            acme.patch(&format!("members/mark-{}", accept.len()), &json!({"role": "member"})).expect(200);
        });
        assert!(!rest.ends_with(b"0\r\n\r\n") && rest.len() < whole.len(), "{accept}: {}", rest.len());
    }
}

mod proxies {
    use super::*;

    fn ask(server: &Server, credential: &str, more: &str) -> BufReader<TcpStream> {
        let head = format!(
            "GET {} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {credential}\r\n{more}",
            path("proxy-auth/main")
        );
        let mut stream = BufReader::new(TcpStream::connect(server.address).unwrap());
        stream.get_mut().write_all(head.as_bytes()).unwrap();
        stream
    }

    fn stage() -> (Acme, String) {
        let acme = Acme::without_rbac(std::sync::Arc::new(tenure::clock::SystemClock));
        let token = acme.proxy_token(None);
        (acme, token)
    }

    #[test]
    fn a_response_does_not_wait_for_a_body_that_never_arrives() {
        let (acme, token) = stage();
        for (credential, status) in [(token.as_str(), 204), ("none.none", 401)] {
            for framing in
                ["content-length: 10\r\n\r\n", "transfer-encoding: chunked\r\n\r\n", "content-length: 10\r\n\r\n12345"]
            {
                let mut stream = ask(&acme.server, credential, framing);
                let told = answer_of(&mut stream);
                assert_eq!((told.status(), told.header("connection")), (status, Some("close")), "{framing:?}");
                stream.get_mut().shutdown(std::net::Shutdown::Write).unwrap();
                assert_eq!(stream.read(&mut [0]).unwrap(), 0, "nothing more is answered");
            }
        }
    }

    #[test]
    fn a_connection_stays_open_after_a_request_whose_body_has_arrived() {
        let (acme, token) = stage();
        for framing in ["\r\n", "content-length: 0\r\n\r\n", "content-length: 5\r\n\r\n12345"] {
            let mut stream = ask(&acme.server, &token, framing);
            let told = answer_of(&mut stream);
            assert_eq!((told.status(), told.header("connection")), (204, None), "{framing:?}");
            stream.get_mut().write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
            assert_eq!(answer_of(&mut stream).status(), 200, "{framing:?}");
        }
    }

    #[test]
    fn a_client_that_sends_a_large_body_still_gets_its_response() {
        let (acme, token) = stage();
        for (credential, status) in [(token.as_str(), 204), ("none.none", 401)] {
            let mut stream = ask(&acme.server, credential, "content-length: 1048576\r\n\r\n");
            stream.get_mut().write_all(&vec![b'x'; 1_024 * 1_024]).unwrap();
            assert_eq!(answer_of(&mut stream).status(), status);
        }
    }
}
