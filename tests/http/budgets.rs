//! The budgets of a request, a holder and a workspace. They count until the response is read or the client disconnects.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, RwLock};

use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};
use tenure::service::PIECES_MAX;

use crate::support::acme::{Acme, path, question};
use crate::support::server::{OPERATOR, Reply, Server};

/// A little less than the largest body.
const LARGE: usize = 2_000_000;

fn send(acme: &Acme, credential: &str, rest: &str, body: &[u8]) -> Reply {
    let authorization = format!("Bearer {credential}");
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    acme.server.send("POST", &path(rest), &headers, Some(body))
}

fn list_of(around: (&str, &str), item: &str) -> Vec<u8> {
    let count = (LARGE - 1_000) / (item.len() + 1);
    format!("{}{}{item}{}", around.0, format!("{item},").repeat(count), around.1).into_bytes()
}

#[test]
fn a_list_counts_while_it_is_read_and_one_over_budget_is_refused_before_the_work() {
    let acme = Acme::new();
    let head = acme.head();
    for item in ["0", "{}", "[]", "\"\"", "null", "[[[[[[]]]]]]", r#"{"a":{"b":{}}}"#, r#""\u0061""#] {
        let body = list_of((r#"{"evaluations":["#, "]}"), item);
        let said = send(&acme, &acme.alice, "access/v1/evaluations", &body).refused(422, "too_large").text;
        assert!(said.contains("`evaluations`: there are") && said.contains("10000"), "{said}");
        for rest in ["commands", "audit/what-if"] {
            let said = send(&acme, &acme.alice, rest, &list_of((r#"{"commands":["#, "]}"), item));
            let said = said.refused(422, "too_large").text;
            assert!(said.contains("`commands`: there are") && said.contains("1000"), "{said}");
        }
        for (rest, before) in [
            ("environments", r#"{"name":"e","restricted":true,"grants":["#),
            ("proxy-tokens", r#"{"label":"l","environments":["#),
            ("resource-types", r#"{"name":"boat","viewer":["#),
            ("commands", r#"{"commands":[{"type":"environment.create","name":"e","grants":["#),
        ] {
            let around = (before, if rest == "commands" { "]}]}" } else { "]}" });
            let reply = send(&acme, &acme.alice, rest, &list_of(around, item));
            assert!([400, 422].contains(&reply.status), "{rest}: {}", reply.text);
            assert!(reply.text.len() < 2_000, "{rest}");
        }
        for search in ["subject", "resource", "action"] {
            let around = (r#"{"subject":{"type":"user","properties":{"environment":["#, "]}}}");
            let reply = send(&acme, &acme.alice, &format!("access/v1/search/{search}"), &list_of(around, item));
            assert_eq!(reply.status, 400, "{}", reply.text);
        }
    }
    let values = send(&acme, &acme.alice, "members", &list_of((r#"{"user":["#, "]}"), "0"));
    assert!(values.refused(422, "too_large").text.contains("50000 values"));
    assert_eq!(acme.head(), head);
}

#[test]
fn messages_about_a_broken_question_or_field_are_short() {
    let acme = Acme::new();
    let long = "x".repeat(100_000);
    let items = [json!(long), json!({"subject": long}), json!({"subject": {"type": "user", "id": 1, long.clone(): 1}})];
    let batch = json!({"evaluations": items, "subject": {"type": "user", "id": "alice"}});
    let reply = acme.post("access/v1/evaluations", &batch).expect(200);
    for answer in reply.json["evaluations"].as_array().unwrap() {
        let message = answer["context"]["error"]["message"].as_str().unwrap();
        assert!((10..=201).contains(&message.chars().count()), "{message}");
    }
    for (rest, body) in [
        ("access/v1/evaluation", json!({"subject": long})),
        ("access/v1/evaluations", json!({"subject": long, "evaluations": [{}]})),
        ("access/v1/search/action", json!({"subject": long})),
        ("members", json!({"user": long, "role": "member"})),
        ("environments", json!({"name": [long]})),
        ("environments", json!({long.clone(): 1})),
        ("commands", json!({"commands": [{"type": long}]})),
        (
            "commands",
            json!({"commands": [{"type": "grant.set", "environment": long, "principal": "user:x", "role": "viewer"}]}),
        ),
        ("audit/what-if", json!({"commands": [{"type": "member.remove", "user": long}]})),
    ] {
        let reply = acme.post(rest, &body);
        assert!((400..500).contains(&reply.status) && reply.text.len() < 5_000, "{rest}: {}", reply.text.len());
    }
}

/// Returns questions of several kinds, some of them broken.
fn questions(count: usize) -> Vec<Value> {
    let one = |number: usize| match number % 5 {
        0 => question("user:bob", "read", "app@prod"),
        1 => question("user:bob", "deploy", "app@prod"),
        2 => json!({"subject": {"type": "user", "id": format!("nobody \"{number}\" \\ é")}}),
        3 => json!(number),
        _ => json!({}),
    };
    (0..count).map(one).collect()
}

#[test]
fn a_batch_in_pieces_decides_as_its_questions_alone() {
    let acme = Acme::new();
    let bob = acme.member("bob", "member");
    acme.restricted("prod", "viewer");
    let common = question("user:bob", "read", "app@main");
    let ask = |credential: &str, query: &str, items: &[Value]| {
        let mut body = common.clone();
        body["evaluations"] = json!(items);
        let view = format!("at={}", acme.head());
        let rest = format!("access/v1/evaluations?{view}{query}");
        acme.call("POST", &rest, credential, &body).expect(200)
    };
    for credential in [&acme.alice, &bob] {
        for query in ["", "&explain=true"] {
            let (all, each) = (questions(1_000), questions(10));
            let together = ask(credential, query, &all);
            let pieces: Vec<String> = all
                .chunks(each.len())
                .map(|some| {
                    let text = ask(credential, query, some).text;
                    text.strip_prefix(r#"{"evaluations":["#).unwrap().strip_suffix("]}").unwrap().to_owned()
                })
                .collect();
            let expected = format!(r#"{{"evaluations":[{}]}}"#, pieces.join(","));
            // Each request has its own instant.
            let timeless = |text: &str| {
                let mut json: Value = serde_json::from_str(text).unwrap();
                for one in json["evaluations"].as_array_mut().unwrap() {
                    one.pointer_mut("/context/at").map(Value::take);
                }
                json
            };
            assert_eq!(timeless(&together.text), timeless(&expected));
            assert!(together.header("tenure-revision").is_some() && together.header("etag").is_some());
        }
    }
}

#[test]
fn a_batch_in_pieces_ends_right_after_the_one_that_decides() {
    let acme = Acme::new();
    let (permit, deny) = (question("user:alice", "read", "app@main"), question("user:eve", "read", "app@main"));
    for (semantic, go_on, decide) in
        [("deny_on_first_deny", &permit, &deny), ("permit_on_first_permit", &deny, &permit)]
    {
        for place in [0, 1, 99, 100, 255, 256, 257, 511, 512, 899] {
            let mut items = vec![go_on.clone(); 900];
            items[place] = decide.clone();
            let body = json!({"evaluations": items, "options": {"evaluations_semantic": semantic}});
            let answers = acme.post("access/v1/evaluations", &body).expect(200).json;
            assert_eq!(answers["evaluations"].as_array().unwrap().len(), place + 1, "{semantic} {place}");
        }
    }
}

/// A client that reads only the first bytes of its response.
struct Unread(TcpStream);

impl Unread {
    fn ask(address: SocketAddr, credential: &str, request: &str, accept: &str, body: &str) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        // The receive buffer of the system does not count for the server.
        socket.set_recv_buffer_size(4_096).unwrap();
        socket.connect(&address.into()).unwrap();
        let mut stream = TcpStream::from(socket);
        let head = format!(
            "{request} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {credential}\r\naccept: {accept}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body.as_bytes()).unwrap();
        Self(stream)
    }

    /// Returns the status, when the response begins.
    fn status(&mut self) -> u16 {
        let mut start = [0; 12];
        self.0.read_exact(&mut start).unwrap();
        std::str::from_utf8(&start[9..]).unwrap().parse().unwrap()
    }

    /// Returns the length of the whole chunked response.
    fn rest(mut self) -> usize {
        let (mut rest, mut buffer) = (Vec::new(), [0; 16_000]);
        while !rest.ends_with(b"\r\n0\r\n\r\n") {
            let len = self.0.read(&mut buffer).unwrap();
            assert!(len > 0, "it ends as it should");
            rest.extend_from_slice(&buffer[..len]);
        }
        rest.len()
    }
}

fn explained_batch(count: usize) -> String {
    json!({"evaluations": vec![question("user:bob", "read", "app@prod"); count]}).to_string()
}

const EXPLAINED: &str = "POST /v1/workspaces/acme/access/v1/evaluations?explain=true";

/// Starts a workspace on a server with 16 MiB for responses: a holder has 4 of them, a workspace 8.
fn sparing() -> Acme {
    let acme = Acme::on(Server::sparing(16, 8));
    acme.rbac(true);
    acme.restricted("prod", "viewer");
    acme
}

/// Waits until nothing counts any more: the server notices a disconnect when it writes.
fn until_idle(server: &Server) {
    while server.budgets.in_use() != (0, 0) {
        std::thread::yield_now();
    }
}

#[test]
fn unread_responses_count_for_their_holder_only() {
    let acme = sparing();
    let bob = acme.member("bob", "member");
    let body = explained_batch(8_000);
    let mut unread = Vec::new();
    let mut refused = loop {
        let mut one = Unread::ask(acme.server.address, &bob, EXPLAINED, "*/*", &body);
        match one.status() {
            200 => unread.push(one),
            status => {
                assert_eq!(status, 429, "after {}", unread.len());
                break one;
            }
        }
        assert!(unread.len() < 10, "4 MiB is not that many requests of 1.2 MB");
    };
    let mut said = String::new();
    refused.0.shutdown(std::net::Shutdown::Write).unwrap();
    refused.0.read_to_string(&mut said).unwrap();
    assert!(said.contains("retry-after: 1") && said.contains("too_many_requests"), "{said}");
    let small = json!(question("user:bob", "read", "app@prod"));
    acme.ask_as(&bob, "", &small).expect(200);
    acme.ask_as(&bob, "?explain=true", &small).expect(200);
    acme.call("POST", "access/v1/evaluations", &bob, &json!({"evaluations": vec![small; 50]})).expect(200);
    send(&acme, &acme.alice, "access/v1/evaluations", body.as_bytes()).expect(200);
    acme.get("audit/access").expect(200);
    let first = unread.pop().unwrap();
    assert!(first.rest() > 2_000_000, "it is all there for whoever reads on");
    drop(unread);
    until_idle(&acme.server);
    send(&acme, &bob, "access/v1/evaluations", body.as_bytes()).expect(200);
}

#[test]
fn without_room_large_requests_are_refused_and_single_checks_and_changes_are_not() {
    let acme = Acme::new();
    let (auditor, bob) = (acme.access_key("auditor"), acme.member("bob", "member"));
    acme.restricted("prod", "viewer");
    let one = question("user:bob", "read", "app@prod");
    let many = json!({"evaluations": vec![one.clone(); 101]});
    let disable = json!({"commands": [{"type": "rbac.disable"}]});
    let add = |number: usize| json!({"type": "member.add", "user": format!("u{number}"), "role": "member"});
    let members = json!({"commands": (0..500).map(add).collect::<Vec<_>>()});
    let (none, ws) = (Value::Null, path(""));
    let large: Vec<(&str, &str, String, &Value)> = vec![
        (&acme.alice, "POST", format!("{ws}/access/v1/evaluations"), &many),
        (&acme.alice, "POST", format!("{ws}/commands"), &members),
        (&auditor, "POST", format!("{ws}/audit/what-if"), &disable),
        (OPERATOR, "GET", "/v1/events".to_owned(), &none),
        (OPERATOR, "GET", "/v1/workspaces".to_owned(), &none),
    ];
    let explained = json!({"evaluations": [one, one]});
    let explain = (bob.as_str(), "POST", format!("{ws}/access/v1/evaluations?explain=true"), &explained);
    let search = json!({"subject": one["subject"], "action": one["action"], "resource": one["resource"]});
    let searches = ["subject", "resource", "action"]
        .map(|kind| (bob.as_str(), "POST", format!("{ws}/access/v1/search/{kind}"), &search));
    let lists = [
        "members",
        "service-users",
        "tokens",
        "proxy-tokens",
        "access-keys",
        "environments",
        "resource-types",
        "resources",
        "environments/prod/grants",
        "events",
        "audit/access",
        "audit/tenures",
        "audit/credentials",
        "audit/reads",
        "audit/diff?from=2026-01-01T00:00:00Z",
        "reports/roster",
        "reports/dormant",
        "log/tile/entries/000.p/1",
    ];
    let lists = lists.map(|list| (auditor.as_str(), "GET", format!("{ws}/{list}"), &none));
    let all: Vec<_> = large.into_iter().chain([explain]).chain(searches).chain(lists).collect();
    let ask = |(credential, method, path, body): &(&str, &str, String, &Value)| {
        acme.server.call(method, path, credential, body)
    };
    let full = acme.server.budgets.permit(None, usize::MAX / 2).unwrap();
    for request in &all {
        let reply = ask(request).refused(429, "too_many_requests");
        assert_eq!(reply.header("retry-after"), Some("1"), "{}", request.2);
    }
    acme.get("members/u0").refused(404, "not_found");
    acme.ask_as(&bob, "", &one).expect(200);
    acme.ask_as(&bob, "?explain=true", &one).expect(200);
    acme.call("POST", "access/v1/evaluations", &bob, &json!({"evaluations": vec![one.clone(); 100]})).expect(200);
    acme.post("members", &json!({"user": "eve", "role": "member"})).expect(201);
    acme.post("commands", &json!({"commands": (0..100).map(add).collect::<Vec<_>>()})).expect(200);
    acme.delete("environments/prod").expect(200);
    acme.server.get("/healthz", OPERATOR).expect(200);
    acme.post("environments", &json!({"name": "prod"})).expect(201);
    drop(full);
    for request in &all[2..] {
        let reply = ask(request);
        assert!([200, 422, 400].contains(&reply.status), "{}: {}", request.2, reply.text);
        assert_ne!(reply.code(), "too_many_requests");
    }
    until_idle(&acme.server);
}

#[test]
fn a_large_response_to_a_change_counts_until_it_is_read() {
    let acme = Acme::new();
    let add =
        |number: usize| json!({"type": "service_user.create", "name": format!("a-service-user-of-this-test-{number}")});
    let body = json!({"commands": (0..900).map(add).collect::<Vec<_>>()});
    let counted = acme.server.budgets.clone();
    let mut most = 0;
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| acme.post("commands", &body).expect(200).bytes.len());
        while !asking.is_finished() {
            most = most.max(counted.in_use().1);
        }
        assert!(asking.join().unwrap() > 500_000);
    });
    assert!(most >= body.to_string().len(), "{most}");
    until_idle(&acme.server);
}

#[test]
fn a_small_response_to_a_large_question_frees_its_budget() {
    let acme = Acme::new();
    for (rest, body) in [
        ("access/v1/evaluations", list_of((r#"{"evaluations":["#, "]}"), "0")),
        ("access/v1/evaluations", b"{".repeat(LARGE)),
        ("commands", list_of((r#"{"commands":["#, "]}"), "0")),
        ("audit/what-if", b"[".repeat(LARGE)),
    ] {
        let reply = send(&acme, &acme.alice, rest, &body);
        assert!((400..500).contains(&reply.status));
        until_idle(&acme.server);
    }
}

/// Sends the head of a request with a large body, and some of the body.
fn begin(acme: &Acme, credential: &str, sent: usize) -> TcpStream {
    let mut stream = TcpStream::connect(acme.server.address).unwrap();
    let head = format!(
        "POST /v1/workspaces/acme/commands HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {credential}\r\n\
         content-type: application/json\r\ncontent-length: {LARGE}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&vec![b' '; sent]).unwrap();
    stream
}

/// Waits until so many large bodies are arriving.
fn until_arriving(server: &Server, count: usize) {
    while server.bodies.in_use().0 != count {
        std::thread::yield_now();
    }
}

fn status(stream: &mut TcpStream) -> String {
    let mut start = [0; 12];
    stream.read_exact(&mut start).unwrap();
    String::from_utf8_lossy(&start[9..]).into_owned()
}

#[test]
fn large_bodies_count_for_their_sender_and_delay_nobody_else() {
    // 8 MiB: a holder has room for one body of 2 MiB, a workspace for two.
    let acme = Acme::on(Server::sparing(4, 8));
    let bob = acme.member("bob", "member");
    let mut first = begin(&acme, &bob, LARGE / 2);
    until_arriving(&acme.server, 1);
    let refused = send(&acme, &bob, "commands", &vec![b' '; LARGE]).refused(429, "too_many_requests");
    assert!(refused.text.contains("large bodies of this credential's holder"), "{}", refused.text);
    assert_eq!(refused.header("retry-after"), Some("1"));
    send(&acme, &acme.alice, "commands", &vec![b' '; LARGE]).refused(400, "malformed");
    send(&acme, OPERATOR, "commands", &vec![b' '; LARGE]).refused(400, "malformed");
    send(&acme, &bob, "commands", b"{").refused(400, "malformed");
    first.write_all(&vec![b' '; LARGE - LARGE / 2]).unwrap();
    assert_eq!(status(&mut first), "400");
    until_arriving(&acme.server, 0);
    drop(begin(&acme, &bob, LARGE / 2));
    until_arriving(&acme.server, 0);
}

#[test]
fn a_large_body_without_a_live_credential_takes_no_memory() {
    let acme = Acme::on(Server::sparing(4, 8));
    let (bob, gone) = (acme.member("bob", "member"), acme.member("carol", "member"));
    acme.delete("members/carol").expect(200);
    let (id, _) = bob.split_once('.').unwrap();
    for stranger in
        ["nobody.x", "tok_00000000000000000000000000.x", format!("{id}.x").as_str(), gone.as_str(), "operator.x"]
    {
        let mut stalled: Vec<_> = (0..8).map(|_| begin(&acme, stranger, 20_000)).collect();
        for stream in &mut stalled {
            assert!(["401", "429"].contains(&status(stream).as_str()), "{stranger}");
        }
        assert_eq!(acme.server.bodies.in_use(), (0, 0), "{stranger}");
        send(&acme, &acme.alice, "commands", &vec![b' '; LARGE]).refused(400, "malformed");
    }
}

/// Fills a pool of the server until the guard of `gate` is dropped.
fn occupy(acme: &Acme, whole: bool, gate: &Arc<RwLock<()>>) {
    let begun = Arc::new(AtomicUsize::new(0));
    for _ in 0..*PIECES_MAX {
        let (service, gate, begun) = (Arc::clone(&acme.server.service), Arc::clone(gate), Arc::clone(&begun));
        let work = move || {
            begun.fetch_add(1, Ordering::SeqCst);
            drop(gate.read());
        };
        acme.server.spawn(async move {
            if whole { service.auditing_whole(work).await.unwrap() } else { service.auditing(work).await.unwrap() }
        });
    }
    while begun.load(Ordering::SeqCst) == 0 || (!whole && begun.load(Ordering::SeqCst) < *PIECES_MAX) {
        std::thread::yield_now();
    }
}

type Request = (&'static str, &'static str, Value);

/// Sends some requests that must wait for a full pool, and others that must not.
fn beside_a_full_pool(acme: &Acme, whole: bool, waiting: &[Request], going_on: &[Request]) {
    let gate = Arc::new(RwLock::new(()));
    let shut = gate.write().unwrap();
    occupy(acme, whole, &gate);
    std::thread::scope(|scope| {
        let ask = |(method, rest, body): &Request| acme.call(method, rest, &acme.alice, body);
        let asked: Vec<_> = waiting.iter().map(|request| (request, scope.spawn(move || ask(request)))).collect();
        for request in going_on {
            let status = ask(request).status;
            assert!([200, 201].contains(&status), "{request:?}: {status}");
        }
        for (request, asked) in &asked {
            assert!(!asked.is_finished(), "{request:?} does not wait");
        }
        drop(shut);
        for (request, asked) in asked {
            assert_eq!(asked.join().unwrap().status, 200, "{request:?}");
        }
    });
    until_idle(&acme.server);
}

#[test]
fn large_batches_searches_lists_and_audits_run_apart_from_single_checks() {
    let acme = Acme::new();
    acme.restricted("prod", "viewer");
    let one = question("user:alice", "read", "app@prod");
    let mut large = one.clone();
    large["context"] = json!({"note": "x".repeat(20_000)});
    let (evaluation, evaluations) = ("access/v1/evaluation", "access/v1/evaluations");
    let waiting = [
        ("POST", evaluations, json!({"evaluations": vec![one.clone(); 101]})),
        ("POST", "access/v1/evaluations?explain=true", json!({"evaluations": [one, one]})),
        ("POST", evaluation, large),
        ("POST", "access/v1/search/resource", one.clone()),
        ("GET", "tokens", Value::Null),
        ("GET", "resources", Value::Null),
        ("GET", "events", Value::Null),
        ("GET", "audit/access", Value::Null),
        ("GET", "audit/tenures", Value::Null),
        ("GET", "audit/credentials", Value::Null),
        ("POST", "audit/what-if", json!({"commands": [{"type": "rbac.disable"}]})),
    ];
    let going_on = [
        ("POST", evaluation, one.clone()),
        ("POST", "access/v1/evaluation?explain=true", one.clone()),
        ("POST", evaluations, json!({"evaluations": vec![one; 100]})),
        ("POST", "members", json!({"user": "bob", "role": "member"})),
        ("GET", "members/bob", Value::Null),
    ];
    beside_a_full_pool(&acme, false, &waiting, &going_on);
}

#[test]
fn work_that_cannot_be_split_delays_no_pieces() {
    let acme = Acme::new();
    acme.restricted("prod", "viewer");
    let one = question("user:alice", "read", "app@prod");
    let waiting = [
        ("GET", "reports/roster", Value::Null),
        ("GET", "audit/diff?from=2026-01-01T00:00:00Z", Value::Null),
        ("POST", "audit/what-if", json!({"commands": [{"type": "rbac.disable"}]})),
    ];
    let going_on = [
        ("POST", "access/v1/evaluations", json!({"evaluations": vec![one.clone(); 101]})),
        ("POST", "access/v1/evaluation", one),
        ("GET", "audit/access", Value::Null),
    ];
    // One holder's requests take turns, so they are sent by separate holders.
    beside_a_full_pool(&acme, true, &waiting, &[]);
    beside_a_full_pool(&acme, true, &[], &going_on);
}
