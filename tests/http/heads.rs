//! The rules for the head of every request.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::json;

use tenure::clock::Clock as _;

use crate::support::acme::{Acme, TestClock, path};
use crate::support::server::Server;

/// The last microsecond of the year 9999, since 1970.
const MICROS_9999: i64 = 253_402_300_799_999_999;

/// Sends the bytes of a request and returns the status and the whole response.
fn send(server: &Server, head: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.write_all(head.replacen("\r\n\r\n", "\r\nconnection: close\r\n\r\n", 1).as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    (answer.split(' ').nth(1).map_or(0, |status| status.parse().unwrap()), answer)
}

#[test]
fn a_request_names_its_host_once() {
    let server = Server::start();
    for (head, status) in [
        ("GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n", 200),
        ("GET /healthz HTTP/1.1\r\nhost:\r\n\r\n", 200),
        ("GET /healthz HTTP/1.0\r\n\r\n", 200),
        ("GET /healthz HTTP/1.1\r\n\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nhost: x\r\nHost: x\r\n\r\n", 400),
        ("GET /healthz HTTP/1.0\r\nhost: x\r\nhost: y\r\n\r\n", 400),
        ("GET /nowhere HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nhost: [::1]:8321\r\n\r\n", 200),
        ("GET /healthz HTTP/1.1\r\nhost: a b\r\n\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nhost: a/b\r\n\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nhost: a@b\r\n\r\n", 400),
        ("GET /healthz HTTP/1.0\r\nhost: a b/@c\r\n\r\n", 400),
        ("POST /v1/workspaces HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}", 400),
    ] {
        let (got, answer) = send(&server, head);
        assert_eq!(got, status, "{head:?}: {answer}");
        assert!(status == 200 || answer.contains("\"code\":\"malformed\""), "{head:?}: {answer}");
    }
}

#[test]
fn chunked_is_the_only_transfer_coding() {
    let server = Server::start();
    for (coding, status) in [("chunked", 401), ("Chunked", 401), ("gzip, chunked", 501), ("x, chunked", 501)] {
        let head = format!("POST /v1/workspaces HTTP/1.1\r\nhost: x\r\ntransfer-encoding: {coding}\r\n\r\n0\r\n\r\n");
        let (got, answer) = send(&server, &head);
        assert_eq!(got, status, "{coding}: {answer}");
        assert!(answer.contains("\"detail\":"), "{coding}: {answer}");
    }
}

#[test]
fn the_date_is_that_of_the_service_s_clock_and_no_clock_ends_a_request() {
    let clock = TestClock::start();
    let server = Server::with_clock(clock.clone());
    let date = || {
        let (status, answer) = send(&server, "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n");
        assert_eq!(status, 200, "{answer}");
        answer.lines().find_map(|line| line.strip_prefix("date: ")).map(str::to_owned)
    };
    let start = "Sun, 01 Mar 2026 00:00:00 GMT";
    assert_eq!(date().as_deref(), Some(start));
    for beyond in [MICROS_9999 + 1, i64::MAX, -1, i64::MIN] {
        clock.pass(beyond.wrapping_sub(clock.now().micros()));
        // Time passes on the settled timeline, and it is a time that can be.
        assert!(date().is_none_or(|date| date.starts_with("Sun, 01 Mar 2026 00:00:")), "{beyond}");
    }
    clock.set("2026-03-01T00:00:05Z");
    assert_eq!(date().as_deref(), Some("Sun, 01 Mar 2026 00:00:05 GMT"));
}

#[test]
fn a_deciding_header_occurs_once() {
    let acme = Acme::without_rbac(std::sync::Arc::new(tenure::clock::SystemClock));
    let token = acme.proxy_token(None);
    let (key, secret) = token.split_once('.').unwrap();
    let (own, basic) = (format!("Bearer {}", acme.alice), "Basic eDp5");
    let proxy = path("proxy-auth/main");
    let cases: Vec<(String, Vec<(&str, &str)>)> = vec![
        (path(""), vec![("authorization", &own), ("authorization", &own)]),
        (path(""), vec![("authorization", &own), ("Authorization", basic)]),
        (path("environments"), vec![("authorization", &own), ("idempotency-key", "a"), ("idempotency-key", "b")]),
        (path("environments"), vec![("authorization", &own), ("idempotency-key", "a"), ("Idempotency-Key", "a")]),
        (proxy.clone(), vec![("tenure-key", key), ("tenure-key", key), ("tenure-secret", secret)]),
        (proxy.clone(), vec![("tenure-key", key), ("tenure-secret", "x"), ("Tenure-Secret", secret)]),
        (proxy.clone(), vec![("authorization", basic), ("authorization", basic)]),
    ];
    for (target, headers) in cases {
        let reply = acme.server.send("GET", &target, &headers, None).refused(400, "malformed");
        assert!(reply.json["detail"].as_str().unwrap().contains("twice"), "{}", reply.text);
        assert!(!reply.text.contains(secret), "{}", reply.text);
    }
    let twice = [("authorization", own.as_str()), ("x-forwarded-for", "192.0.2.1"), ("x-forwarded-for", "192.0.2.2")];
    acme.server.send("GET", &path(""), &twice, None).expect(200);
    let matches = [
        ("authorization", own.as_str()),
        ("if-match", "\"1\""),
        ("if-match", "*"),
        ("content-type", "application/json"),
    ];
    let body = serde_json::to_vec(&json!({"name": "e"})).unwrap();
    acme.server.send("POST", &path("environments"), &matches, Some(&body)).refused(422, "invalid");
    let head = format!("\"{}\"", acme.head());
    let matches = [
        ("authorization", own.as_str()),
        ("if-match", "\"1\""),
        ("if-match", &head),
        ("content-type", "application/json"),
    ];
    acme.server.send("POST", &path("environments"), &matches, Some(&body)).expect(201);
}

#[test]
fn the_largest_head_is_the_documented_one() {
    let server = Server::start();
    let around = "GET /healthz HTTP/1.1\r\nhost: x\r\nx: \r\n\r\n".len();
    for (size, status) in
        [(30 * 1_024, 200), (32 * 1_024 - 1, 200), (32 * 1_024, 200), (32 * 1_024 + 1, 431), (64 * 1_024, 431)]
    {
        let head = format!("GET /healthz HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "y".repeat(size - around));
        assert_eq!(head.len(), size);
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(String::from_utf8_lossy(&answer), format!("HTTP/1.1 {status}"), "{size} bytes");
    }
}
