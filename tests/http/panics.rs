//! Panics in handlers: each ends its own response only.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use serde_json::Value;
use tenure::clock::{Clock, SystemClock};
use tenure::domain::model::time::Instant;

use crate::support::acme::{Acme, path, question};
use crate::support::server::Server;

/// A clock that panics in handlers once the switch is on.
#[derive(Default)]
struct Brittle(AtomicBool);

impl Clock for Brittle {
    fn now(&self) -> Instant {
        let thread = std::thread::current();
        let answers = thread.name().is_some_and(|name| name.starts_with("tokio"));
        assert!(!(answers && self.0.load(Ordering::SeqCst)), "the clock is broken");
        SystemClock.now()
    }
}

impl Brittle {
    fn is_broken(&self, broken: bool) {
        self.0.store(broken, Ordering::SeqCst);
    }
}

/// The error lines that this process has logged so far.
fn error_lines() -> String {
    static START: Once = Once::new();
    static LINES: Mutex<Vec<u8>> = Mutex::new(Vec::new());
    struct Lines;
    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            LINES.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    START.call_once(|| {
        let lines = tracing_subscriber::fmt().with_max_level(tracing::Level::ERROR).with_ansi(false);
        let _ = lines.with_writer(|| Lines).try_init();
    });
    String::from_utf8_lossy(&LINES.lock().unwrap()).into_owned()
}

/// Returns the status, the request id and the body of the next response on a connection.
fn answer(stream: &mut BufReader<TcpStream>) -> (u16, String, Value) {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(stream.read_line(&mut head).unwrap() > 0, "the connection was dropped after {head:?}");
    }
    let field =
        |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned();
    let mut body = vec![0; field("content-length:").parse().unwrap_or(0)];
    stream.read_exact(&mut body).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, field("x-request-id:"), serde_json::from_slice(&body).unwrap_or_default())
}

#[test]
fn a_panic_is_a_500_with_a_request_id_and_a_log_line_and_the_connection_stays_open() {
    error_lines();
    let clock = Arc::new(Brittle::default());
    let acme = Acme::with_clock(clock.clone());
    let asked = serde_json::to_vec(&question("user:alice", "deploy", "app@main")).unwrap();
    for (number, (method, rest, body)) in [
        ("GET", "", Vec::new()),
        ("GET", "members", Vec::new()),
        ("GET", "audit/access", Vec::new()),
        ("POST", "access/v1/evaluation", asked),
        ("GET", "proxy-auth/main", Vec::new()),
    ]
    .into_iter()
    .enumerate()
    {
        let mut stream = BufReader::new(TcpStream::connect(acme.server.address).unwrap());
        let mut ask = |id: &str| {
            let head = format!(
                "{method} {} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nx-request-id: {id}\r\n\
                 content-type: application/json\r\ncontent-length: {}\r\n\r\n",
                path(rest),
                acme.alice,
                body.len()
            );
            stream.get_mut().write_all(&[head.as_bytes(), &body].concat()).unwrap();
            answer(&mut stream)
        };
        let (before, broken) = (ask("before"), format!("broken-{number}"));
        clock.is_broken(true);
        let (status, id, problem) = ask(&broken);
        clock.is_broken(false);
        assert_eq!((status, id.as_str(), problem["code"].as_str()), (500, broken.as_str(), Some("internal")), "{rest}");
        let lines = error_lines();
        let line = lines.lines().find(|line| line.contains(&broken)).unwrap();
        assert!(line.contains("the clock is broken"), "{line}");
        assert_eq!(ask("after").0, before.0, "{method} {rest}: on the same connection");
    }
}

#[test]
fn a_panic_in_a_stream_ends_that_stream_only() {
    error_lines();
    let clock = Arc::new(Brittle::default());
    let acme = Acme::on(Server::beating_every(Duration::from_millis(20), clock.clone()));
    let mut stream = BufReader::new(TcpStream::connect(acme.server.address).unwrap());
    let head = format!(
        "GET {} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nx-request-id: broken-stream\r\naccept: text/event-stream\r\n\r\n",
        path("events"),
        acme.alice
    );
    stream.get_mut().write_all(head.as_bytes()).unwrap();
    let mut line = String::new();
    while !line.contains("heartbeat") {
        line.clear();
        assert!(stream.read_line(&mut line).unwrap() > 0);
    }
    clock.is_broken(true);
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    clock.is_broken(false);
    assert!(!rest.ends_with(b"0\r\n\r\n"), "it breaks off, and does not end as if it were whole");
    assert!(error_lines().lines().any(|line| line.contains("broken-stream") && line.contains("the clock is broken")));
    acme.get("").expect(200);
}
