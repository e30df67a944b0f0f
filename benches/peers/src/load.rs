//! Load over HTTP on loopback: the same closed-loop client for every server.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::measure::middle;
use crate::peer::Outcome;

/// The longest response, in bytes.
const ANSWER_BYTES_MAX: usize = 1 << 18;

/// A connection that sends one request at a time.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Opens a connection.
    ///
    /// # Errors
    /// No server listens there.
    pub fn open(address: SocketAddr) -> Outcome<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; ANSWER_BYTES_MAX] })
    }

    /// Sends a request and reads the whole response; returns the status, and the body if there is one.
    ///
    /// # Errors
    /// The connection broke, or the response is not HTTP with a `Content-Length`.
    pub fn ask(&mut self, request: &[u8]) -> Outcome<(u16, &str)> {
        self.stream.write_all(request)?;
        let mut answer = Answer::default();
        loop {
            let read = self.stream.read(&mut self.buffer[answer.filled..])?;
            if let Some((status, start, end)) = answer.take(read, &self.buffer)? {
                return Ok((status, std::str::from_utf8(&self.buffer[start..end])?));
            }
        }
    }
}

/// A response that is being received.
#[derive(Default)]
struct Answer {
    filled: usize,
    head: Option<(u16, usize, usize)>,
}

impl Answer {
    /// Accepts this many more bytes in the buffer; returns the status and the range of the body when it is complete.
    fn take(&mut self, read: usize, buffer: &[u8]) -> Outcome<Option<(u16, usize, usize)>> {
        if read == 0 {
            return Err("the server closed the connection".into());
        }
        self.filled += read;
        if self.head.is_none() {
            self.head = head(&buffer[..self.filled])?;
        }
        Ok(self.head.filter(|(_, _, end)| self.filled >= *end))
    }
}

/// Returns the status and the range of the body; none while the head is incomplete.
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

/// Returns a complete request.
pub fn request(method: &str, path: &str, credential: Option<&str>, body: Option<&Value>) -> Vec<u8> {
    let body = body.map(Value::to_string).unwrap_or_default();
    let length = body.len();
    let credential = credential.map(|given| format!("authorization: Bearer {given}\r\n")).unwrap_or_default();
    let kind = if body.is_empty() { "" } else { "content-type: application/json\r\n" };
    format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n{credential}{kind}content-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

/// Makes the next request of a connection, from its number and the count of requests sent before.
pub type Next<'a> = &'a (dyn Fn(usize, usize) -> Vec<u8> + Sync);

/// Returns the median time of a request on one connection, in nanoseconds.
///
/// # Errors
/// The connection broke, or a response has a status other than 200.
pub fn alone(address: SocketAddr, time: Duration, next: Next<'_>) -> Outcome<f64> {
    let (mut connection, mut times) = (Connection::open(address)?, Vec::new());
    let end = Instant::now() + time;
    while Instant::now() < end {
        let request = next(0, times.len());
        let started = Instant::now();
        let (status, text) = connection.ask(&request)?;
        times.push(started.elapsed().as_secs_f64() * 1e9);
        is_ok(status, text)?;
    }
    Ok(middle(times))
}

fn is_ok(status: u16, text: &str) -> Outcome<()> {
    if status == 200 { Ok(()) } else { Err(format!("{status}: {text}").into()) }
}

/// The number of threads that share the connections. Each runs an event loop, which costs the shared cores less than a
/// thread per connection.
const THREADS: usize = 2;

/// Returns the requests per second over this many connections.
///
/// # Errors
/// A connection broke, or a response has a status other than 200.
pub fn rate(address: SocketAddr, connections: usize, time: Duration, next: Next<'_>) -> Outcome<f64> {
    let (stop, started) = (&AtomicBool::new(false), Instant::now());
    let outcomes: Vec<Outcome<u32>> = std::thread::scope(|scope| {
        let start =
            |thread| scope.spawn(move || send_over(address, (thread..connections).step_by(THREADS), stop, next));
        let threads: Vec<_> = (0..THREADS).map(start).collect();
        std::thread::sleep(time);
        stop.store(true, Ordering::Relaxed);
        let join = |thread: ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|_| Err("a thread of the load ended".into()))
        };
        threads.into_iter().map(join).collect()
    });
    let elapsed = started.elapsed().as_secs_f64();
    Ok(f64::from(outcomes.into_iter().sum::<Outcome<u32>>()?) / elapsed)
}

/// Sends over some of the connections; returns the number of responses.
fn send_over(
    address: SocketAddr,
    connections: impl Iterator<Item = usize>,
    stop: &AtomicBool,
    next: Next<'_>,
) -> Outcome<u32> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let sending = connections.map(|connection| send_until(address, connection, stop, next));
    Ok(runtime.block_on(futures_util::future::try_join_all(sending))?.into_iter().sum())
}

async fn send_until(address: SocketAddr, connection: usize, stop: &AtomicBool, next: Next<'_>) -> Outcome<u32> {
    let mut stream = tokio::net::TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut sent, mut buffer) = (0, vec![0; ANSWER_BYTES_MAX]);
    while !stop.load(Ordering::Relaxed) {
        stream.write_all(&next(connection, usize::try_from(sent)?)).await?;
        let mut answer = Answer::default();
        let (status, start, end) = loop {
            let read = stream.read(&mut buffer[answer.filled..]).await?;
            if let Some(whole) = answer.take(read, &buffer)? {
                break whole;
            }
        };
        is_ok(status, std::str::from_utf8(&buffer[start..end])?)?;
        sent += 1;
    }
    Ok(sent)
}

/// A server as a peer: each question is a request, and the response contains `"decision":true` or not.
pub struct HttpPeer {
    /// Its name.
    pub name: &'static str,
    /// The connection for single questions.
    pub connection: Connection,
    /// Its address.
    pub address: SocketAddr,
    /// The questions.
    pub requests: Vec<Vec<u8>>,
}

impl HttpPeer {
    /// Connects to a server, with these questions.
    ///
    /// # Errors
    /// The server does not listen.
    pub fn new(name: &'static str, address: SocketAddr, requests: Vec<Vec<u8>>) -> Outcome<Self> {
        Ok(Self { name, connection: Connection::open(address)?, address, requests })
    }

    /// Returns its rate over this many connections. Each asks all questions in turn, from a different one on.
    ///
    /// # Errors
    /// As [`rate`].
    pub fn rate(&self, connections: usize, time: Duration) -> Outcome<f64> {
        let requests = &self.requests;
        let next = |connection: usize, sent: usize| requests[(connection * 257 + sent) % requests.len()].clone();
        rate(self.address, connections, time, &next)
    }
}

impl crate::peer::Peer for HttpPeer {
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
