//! Load through HTTP on loopback: decisions beside a bare axum handler, and durable changes at 1 and 64 connections.
//!
//! `cargo bench --bench load` prints medians of several rounds, and the ratios within one run. `-- --seconds N --rounds N`
//! changes how long it takes. It stops by itself.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark fails by panicking, and prints"
)]

#[path = "../tests/support/server.rs"]
#[allow(dead_code, clippy::indexing_slicing, unreachable_pub, reason = "made for the tests")]
mod server;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};

use server::{OPERATOR, Server};
use tenure::http::handlers::decisions::{DecisionBody, EvaluationBody};

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const DECISION_CONNECTIONS: usize = 16;
const CHANGE_CONNECTIONS: usize = 64;

/// A connection that sends one request after the other.
struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: vec![0; 1 << 16] }
    }

    /// Sends a request and reads its whole answer; gives the status.
    fn ask(&mut self, request: &[u8]) -> u16 {
        self.stream.write_all(request).unwrap();
        let mut filled = 0;
        loop {
            let read = self.stream.read(self.buffer.get_mut(filled..).unwrap()).unwrap();
            assert!(read > 0, "the server closed the connection");
            filled += read;
            let head = std::str::from_utf8(self.buffer.get(..filled).unwrap()).unwrap();
            let Some(end) = head.find("\r\n\r\n") else { continue };
            let length = head.get(..end).unwrap().lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().unwrap())
            });
            if filled >= end + 4 + length.unwrap_or(0) {
                return head.get(9..12).unwrap().parse().unwrap();
            }
        }
    }
}

fn request(method: &str, path: &str, credential: &str, body: &Value) -> Vec<u8> {
    let body = body.to_string();
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {credential}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Requests a second, over so many connections; each request is made by `next` and must get the status.
fn rate(
    address: SocketAddr,
    connections: usize,
    time: Duration,
    status: u16,
    next: impl Fn(usize) -> Vec<u8> + Sync,
) -> f64 {
    let (stop, done) = (AtomicBool::new(false), AtomicUsize::new(0));
    let started = Instant::now();
    std::thread::scope(|scope| {
        for connection in 0..connections {
            let (stop, done, next) = (&stop, &done, &next);
            scope.spawn(move || {
                let mut open = Connection::open(address);
                while !stop.load(Ordering::Relaxed) {
                    assert_eq!(open.ask(&next(connection)), status);
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        std::thread::sleep(time);
        stop.store(true, Ordering::Relaxed);
    });
    f64::from(u32::try_from(done.load(Ordering::Relaxed)).unwrap()) / started.elapsed().as_secs_f64()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    *values.get(values.len() / 2).unwrap()
}

fn report(name: &str, values: &[f64]) -> f64 {
    let middle = median(values.to_vec());
    let list: Vec<_> = values.iter().map(|value| format!("{value:.0}")).collect();
    println!("{name:<44} {middle:>9.0} /s   ({})", list.join(", "));
    middle
}

async fn bare(Json(body): Json<EvaluationBody>) -> Json<DecisionBody> {
    Json(DecisionBody { decision: body.action.name == "deploy", context: None })
}

fn serve_bare(server: &Server) -> SocketAddr {
    let listener = server.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let path = "/v1/workspaces/{ws}/access/v1/evaluation";
    let router = Router::new().route(path, post(bare));
    server.spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

/// A workspace with some people and environments; gives the owner's credential and an instant before the newest changes.
fn workspace(server: &Server) -> (String, String) {
    let owner = json!({"name": "acme", "kind": "shared", "plan": "team", "owner": {"user": "alice"}});
    let alice = server.post("/v1/workspaces", OPERATOR, &owner).expect(201).credential("token");
    server.put("/v1/workspaces/acme/rbac", &alice, &json!({"enabled": true})).expect(200);
    for person in 0..100 {
        let member = json!({"user": format!("user{person}"), "role": "member"});
        server.post("/v1/workspaces/acme/members", &alice, &member).expect(201);
    }
    for place in 0..20 {
        let grants: Vec<_> =
            (0..20).map(|person| json!({"principal": format!("user:user{person}"), "role": "contributor"})).collect();
        let body = json!({"name": format!("env{place}"), "restricted": true, "grants": grants});
        server.post("/v1/workspaces/acme/environments", &alice, &body).expect(201);
    }
    let past = server.get("/v1/workspaces/acme", &alice).expect(200).header("tenure-at").unwrap().to_owned();
    for person in 0..20 {
        server.delete(&format!("/v1/workspaces/acme/environments/env1/grants/user:user{person}"), &alice).expect(200);
    }
    (alice, past)
}

fn decisions(server: &Server, alice: &str, past: &str, rounds: usize, time: Duration) {
    let address = serve_bare(server);
    let path = "/v1/workspaces/acme/access/v1/evaluation";
    let question = json!({
        "subject": {"type": "user", "id": "user7"}, "action": {"name": "deploy"},
        "resource": {"type": "environment", "id": "env3"},
    });
    let now = request("POST", path, alice, &question);
    let then = request("POST", &format!("{path}?at={past}"), alice, &question);
    let (mut bare, mut present, mut earlier) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        bare.push(rate(address, DECISION_CONNECTIONS, time, 200, |_| now.clone()));
        present.push(rate(server.address, DECISION_CONNECTIONS, time, 200, |_| now.clone()));
        earlier.push(rate(server.address, DECISION_CONNECTIONS, time, 200, |_| then.clone()));
    }
    let baseline = report("bare axum handler, 16 connections", &bare);
    let present = report("one check now, 16 connections", &present);
    let earlier = report("one check in the past, 16 connections", &earlier);
    println!("ratio to the bare handler: now {:.2}, past {:.2}\n", present / baseline, earlier / baseline);
}

fn changes(server: &Server, alice: &str, rounds: usize, time: Duration) {
    let counter = AtomicUsize::new(0);
    // Each change gives a grant another expiry, so that none is like the one before.
    let next = |connection: usize| {
        let path = format!("/v1/workspaces/acme/environments/env0/grants/user:user{connection}");
        let micros = counter.fetch_add(1, Ordering::Relaxed);
        let expires_at = format!(
            "2999-01-01T{:02}:{:02}:00.{:06}Z",
            micros / 60_000_000,
            micros / 1_000_000 % 60,
            micros % 1_000_000
        );
        request("PUT", &path, alice, &json!({"role": "contributor", "expires_at": expires_at}))
    };
    let (mut alone, mut together) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        alone.push(rate(server.address, 1, time, 200, next));
        together.push(rate(server.address, CHANGE_CONNECTIONS, time, 200, next));
    }
    let alone = report("durable changes, 1 connection", &alone);
    let together = report("durable changes, 64 connections", &together);
    println!("ratio: {:.1}", together / alone);
}

fn option(name: &str, default: usize) -> usize {
    let given: Vec<String> = std::env::args().collect();
    let place = given.iter().position(|argument| argument == name);
    place.and_then(|place| given.get(place + 1)?.parse().ok()).unwrap_or(default)
}

fn main() {
    let (rounds, seconds) = (option("--rounds", 5), option("--seconds", 2));
    let time = Duration::from_secs(u64::try_from(seconds).unwrap());
    let server = Server::start();
    let (alice, past) = workspace(&server);
    println!("{rounds} rounds of {seconds} s each; medians (all rounds in brackets)");
    decisions(&server, &alice, &past, rounds, time);
    changes(&server, &alice, rounds, time);
}
