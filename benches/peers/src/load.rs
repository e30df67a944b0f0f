//! Load over HTTP on loopback: one client for every server, which sends the next request when it has the answer to the last.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::peer::Outcome;

/// A connection that sends one request after the other.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Opens one.
    ///
    /// # Errors
    /// Nobody listens.
    pub fn open(address: SocketAddr) -> Outcome<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; 1 << 18] })
    }

    /// Sends a request and reads its whole answer; gives the status, and the body where there is one.
    ///
    /// # Errors
    /// The connection broke, or what came is no answer of HTTP with a length.
    pub fn ask(&mut self, request: &[u8]) -> Outcome<(u16, &str)> {
        self.stream.write_all(request)?;
        let (mut filled, mut expected) = (0, None);
        loop {
            let read = self.stream.read(&mut self.buffer[filled..])?;
            if read == 0 {
                return Err("the server closed the connection".into());
            }
            filled += read;
            if expected.is_none() {
                expected = head(&self.buffer[..filled])?;
            }
            if let Some((status, start, end)) = expected.filter(|(_, _, end)| filled >= *end) {
                return Ok((status, std::str::from_utf8(&self.buffer[start..end])?));
            }
        }
    }
}

/// The status, and where the body begins and ends; none if the head is not whole yet.
fn head(bytes: &[u8]) -> Outcome<Option<(u16, usize, usize)>> {
    let text = std::str::from_utf8(bytes)?;
    let Some(end) = text.find("\r\n\r\n") else { return Ok(None) };
    let mut length = 0;
    for line in text[..end].lines() {
        if let Some((_, value)) = line.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("content-length")) {
            length = value.trim().parse()?;
        }
    }
    Ok(Some((text.get(9..12).ok_or("no status")?.parse()?, end + 4, end + 4 + length)))
}

/// A request, whole.
pub fn request(method: &str, path: &str, credential: Option<&str>, body: Option<&Value>) -> Vec<u8> {
    let body = body.map(Value::to_string).unwrap_or_default();
    let length = body.len();
    let credential = credential.map(|given| format!("authorization: Bearer {given}\r\n")).unwrap_or_default();
    let kind = if body.is_empty() { "" } else { "content-type: application/json\r\n" };
    format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n{credential}{kind}content-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

/// Requests a second over so many connections. `next` makes the next request of a connection, given the connection's number and
/// how many it sent before; every answer must have the status 200.
///
/// # Errors
/// A connection broke, or an answer has another status.
pub fn rate(
    address: SocketAddr,
    connections: usize,
    time: Duration,
    next: &(dyn Fn(usize, usize) -> Vec<u8> + Sync),
) -> Outcome<f64> {
    let (stop, done) = (AtomicBool::new(false), AtomicUsize::new(0));
    let started = Instant::now();
    let outcomes: Vec<Outcome<()>> = std::thread::scope(|scope| {
        let (stop, done) = (&stop, &done);
        let start = |connection| scope.spawn(move || send_until(address, connection, stop, done, next));
        let threads: Vec<_> = (0..connections).map(start).collect();
        std::thread::sleep(time);
        stop.store(true, Ordering::Relaxed);
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err("a connection's thread ended".into())))
            .collect()
    });
    let elapsed = started.elapsed();
    outcomes.into_iter().collect::<Outcome<()>>()?;
    Ok(f64::from(u32::try_from(done.into_inner())?) / elapsed.as_secs_f64())
}

fn send_until(
    address: SocketAddr,
    connection: usize,
    stop: &AtomicBool,
    done: &AtomicUsize,
    next: &(dyn Fn(usize, usize) -> Vec<u8> + Sync),
) -> Outcome<()> {
    let mut open = Connection::open(address)?;
    let mut sent = 0;
    while !stop.load(Ordering::Relaxed) {
        let (status, text) = open.ask(&next(connection, sent))?;
        if status != 200 {
            return Err(format!("{status}: {text}").into());
        }
        sent += 1;
        done.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// A server over HTTP as a peer: each question is a request, and the answer says `"decision":true` or not.
pub struct Asked {
    /// What it is called.
    pub name: &'static str,
    /// The connection that questions are asked over.
    pub connection: Connection,
    /// Where it listens.
    pub address: SocketAddr,
    /// The questions.
    pub requests: Vec<Vec<u8>>,
}

impl Asked {
    /// A server, and what it is asked.
    ///
    /// # Errors
    /// It does not listen.
    pub fn new(name: &'static str, address: SocketAddr, requests: Vec<Vec<u8>>) -> Outcome<Self> {
        Ok(Self { name, connection: Connection::open(address)?, address, requests })
    }

    /// Its rate over so many connections, each of which asks all questions in turn, from another one on.
    ///
    /// # Errors
    /// As [`rate`].
    pub fn rate(&self, connections: usize, time: Duration) -> Outcome<f64> {
        let requests = &self.requests;
        rate(self.address, connections, time, &|connection, sent| {
            requests[(connection * 257 + sent) % requests.len()].clone()
        })
    }
}

impl crate::peer::Peer for Asked {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    fn decide(&mut self, question: usize) -> Outcome<bool> {
        let (status, text) = self.connection.ask(&self.requests[question])?;
        if status != 200 {
            return Err(format!("{}: {status}: {text}", self.name).into());
        }
        let answer: Value = serde_json::from_str(text)?;
        Ok(answer["decision"].as_bool().ok_or("the answer has no decision")?)
    }
}
