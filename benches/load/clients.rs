//! Clients that `wrk` lacks: listeners, stalled readers, slow senders and idle connections.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::running::Workspace;
use crate::table::quantiles;

pub const LISTENERS: usize = 1_000;
pub const IDLE: usize = 9_900;
/// The number of connections opened at a time, below the server's backlog.
const OPENED_AT_A_TIME: usize = 100;
/// The longest wait before the bench gives up.
const PATIENCE: Duration = Duration::from_mins(1);

/// Listeners, each of which reports how many of the expected events have arrived.
pub struct Listening {
    seen: Vec<watch::Receiver<(u32, Instant)>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// A task that is aborted on drop.
pub struct Open(JoinHandle<()>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn write(stream: &TcpStream, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        stream.writable().await.unwrap();
        match stream.try_write(bytes) {
            Ok(len) => bytes = &bytes[len..],
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
}

/// Returns the bytes that have arrived; empty at the end.
async fn read<'a>(stream: &TcpStream, buffer: &'a mut [u8]) -> &'a [u8] {
    loop {
        stream.readable().await.unwrap();
        match stream.try_read(buffer) {
            Ok(len) => return &buffer[..len],
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return &[],
        }
    }
}

async fn connect(place: &Workspace) -> TcpStream {
    tokio::time::timeout(PATIENCE, TcpStream::connect(place.address())).await.expect("it is accepted").unwrap()
}

async fn ask_for_events(place: &Workspace) -> TcpStream {
    let stream = connect(place).await;
    let head = format!(
        "GET /v1/workspaces/acme/events HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n\
         accept: text/event-stream\r\nlast-event-id: {}\r\n\r\n",
        place.owner,
        place.head(),
    );
    write(&stream, head.as_bytes()).await;
    stream
}

/// Opens this many streams of the workspace's events.
pub async fn listen(place: &Workspace, count: usize) -> Listening {
    let mut all = Listening { seen: Vec::new(), tasks: Vec::new() };
    for _ in 0..count {
        let stream = ask_for_events(place).await;
        let mut buffer = vec![0; 4_096];
        let begun = tokio::time::timeout(PATIENCE, read(&stream, &mut buffer)).await.expect("it answers").to_vec();
        assert!(begun.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&begun));
        let (sender, seen) = watch::channel((0, Instant::now()));
        all.seen.push(seen);
        all.tasks.push(tokio::spawn(count_events(stream, sender)));
    }
    all
}

/// Counts the lines that begin an event.
async fn count_events(stream: TcpStream, sender: watch::Sender<(u32, Instant)>) {
    let (mut buffer, mut line) = (vec![0; 16 * 1_024], Vec::new());
    loop {
        let bytes = read(&stream, &mut buffer).await;
        if bytes.is_empty() {
            return;
        }
        for byte in bytes {
            if *byte == b'\n' {
                if line.starts_with(b"data:") {
                    sender.send_modify(|(count, at)| (*count, *at) = (*count + 1, Instant::now()));
                }
                line.clear();
            } else if line.len() < 8 {
                line.push(*byte);
            }
        }
    }
}

/// Makes changes one by one, each after the one before has reached every listener.
///
/// Returns the time from before each request until its event reached each listener.
pub async fn deliver(place: &Workspace, listening: &Listening, changes: u32) -> String {
    static RUNS: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let run = RUNS.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let mut micros = Vec::new();
    let mut seen = listening.seen.clone();
    for change in 0..changes {
        let before: Vec<u32> = seen.iter().map(|seen| seen.borrow().0).collect();
        let started = Instant::now();
        let expires_at = format!("2998-01-{:02}T00:00:{:02}.{:06}Z", 1 + run, change / 1_000, change % 1_000);
        let body = json!({"role": "contributor", "expires_at": expires_at});
        tokio::task::block_in_place(|| {
            place.send("PUT", "/v1/workspaces/acme/environments/env2/grants/user:user1", &body)
        });
        for (seen, before) in seen.iter_mut().zip(before) {
            let reached = tokio::time::timeout(PATIENCE, seen.wait_for(|(count, _)| *count > before)).await;
            let (_, at) = *reached.expect("the change reaches every listener").unwrap();
            micros.push(at.saturating_duration_since(started).as_secs_f64() * 1_000_000.0);
        }
    }
    quantiles(micros)
}

/// Opens streams that nobody reads.
pub async fn stop_reading(place: &Workspace, count: usize) -> Vec<TcpStream> {
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(ask_for_events(place).await);
    }
    all
}

/// Opens requests whose bodies arrive at one byte a second.
pub async fn trickle(place: &Workspace, count: usize) -> Vec<Open> {
    let mut all = Vec::new();
    for _ in 0..count {
        let stream = connect(place).await;
        let head = format!(
            "POST /v1/workspaces/acme/access/v1/evaluation HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\ncontent-length: 1000\r\n\r\n",
            place.owner,
        );
        write(&stream, head.as_bytes()).await;
        all.push(Open(tokio::spawn(async move {
            while stream.try_write(b" ").is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        })));
    }
    all
}

/// Opens connections that send nothing.
pub async fn idle(place: &Workspace, count: usize) -> Vec<TcpStream> {
    let mut all = Vec::new();
    while all.len() < count {
        let more = OPENED_AT_A_TIME.min(count - all.len());
        all.extend(futures_util::future::join_all((0..more).map(|_| connect(place))).await);
    }
    all
}

/// Waits until the server has closed them all; returns the seconds that took.
pub async fn ended(connections: Vec<TcpStream>) -> u64 {
    let started = Instant::now();
    for connection in connections {
        let mut buffer = [0; 1_024];
        while !tokio::time::timeout(PATIENCE, read(&connection, &mut buffer)).await.expect("it is closed").is_empty() {}
    }
    started.elapsed().as_secs()
}
