//! The context that the server attaches to each request: its id, its connection, and the connection's timer.
//!
//! Every head and every body has a deadline, and hardly any deadline passes. A timer for each would cost more than a decision, so each
//! connection has a single one. It is only reset after it fires, or when an earlier deadline is set. All futures of a connection run in
//! one task, so each deadline is polled again when the timer fires.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::http::{Extensions, HeaderValue};
use tokio::time::Instant;

use super::budget::PermitSlot;

/// A connection.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The address of the peer.
    pub peer: IpAddr,
    /// The timer for its deadlines.
    pub timer: ConnectionTimer,
    /// The permit of the request that is being processed.
    pub permit: PermitSlot,
}

/// The context of a request.
#[derive(Debug, Clone)]
pub struct RequestContext {
    /// The connection that it came by.
    pub connection: Connection,
    /// Its id, in log lines and in its response.
    pub id: RequestId,
}

/// The id of a request.
#[derive(Debug, Clone)]
pub enum RequestId {
    /// The client chose it.
    Given(HeaderValue),
    /// The server made it: a UUID in hexadecimal digits.
    Made([u8; 32]),
}

impl RequestId {
    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        let text = match self {
            Self::Given(id) => id.as_bytes(),
            Self::Made(digits) => digits,
        };
        std::str::from_utf8(text).unwrap_or_default()
    }

    /// Converts the id to the value of a header.
    pub fn into_header(self) -> HeaderValue {
        match self {
            Self::Given(id) => id,
            Self::Made(digits) => HeaderValue::from_bytes(&digits).unwrap_or(HeaderValue::from_static("unknown")),
        }
    }
}

/// The timer of one connection. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct ConnectionTimer(Arc<Mutex<Option<Pin<Box<tokio::time::Sleep>>>>>);

impl ConnectionTimer {
    /// Returns the timer of the connection that a request came by, or a new one.
    pub fn of(extensions: &Extensions) -> Self {
        extensions.get::<RequestContext>().map(|context| context.connection.timer.clone()).unwrap_or_default()
    }

    /// Returns a deadline this long after it is first polled.
    pub fn after(&self, time: Duration) -> Deadline {
        Deadline { time, end: None, timer: self.clone() }
    }

    /// Returns a deadline at an instant.
    pub fn at(&self, end: Instant) -> Deadline {
        Deadline { time: Duration::ZERO, end: Some(end), timer: self.clone() }
    }

    fn poll(&self, end: Instant, context: &mut Context<'_>) -> Poll<()> {
        let mut sleep = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sleep = sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(end)));
        if sleep.deadline() > end {
            sleep.as_mut().reset(end);
        }
        while sleep.as_mut().poll(context).is_ready() {
            if sleep.deadline() >= end {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(end);
        }
        Poll::Pending
    }
}

/// A future that is ready once its time has passed.
#[derive(Debug)]
pub struct Deadline {
    time: Duration,
    /// Set when it is first polled: most deadlines never are, so the clock is not read before.
    end: Option<Instant>,
    timer: ConnectionTimer,
}

impl Future for Deadline {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let time = self.time;
        let end = *self.end.get_or_insert_with(|| Instant::now() + time);
        self.timer.poll(end, context)
    }
}

impl hyper::rt::Sleep for Deadline {}

impl hyper::rt::Timer for ConnectionTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(self.after(duration))
    }

    fn sleep_until(&self, deadline: std::time::Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(self.at(deadline.into()))
    }

    fn now(&self) -> std::time::Instant {
        Instant::now().into()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use futures_util::future::{Either, join, select};

    use super::*;

    const SHORT: Duration = Duration::from_millis(5);
    const LONG: Duration = Duration::from_hours(1);

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
    }

    #[test]
    fn the_shorter_deadline_passes_first_whichever_is_polled_first() {
        run(async {
            let (timer, started) = (ConnectionTimer::default(), Instant::now());
            assert!(matches!(select(timer.after(SHORT), timer.after(LONG)).await, Either::Left(_)));
            assert!(matches!(select(timer.after(LONG), timer.after(SHORT)).await, Either::Right(_)));
            assert!(started.elapsed() >= 2 * SHORT, "none ends before its time");
        });
    }

    #[test]
    fn each_of_several_deadlines_passes_at_its_own_time() {
        run(async {
            let (timer, started) = (ConnectionTimer::default(), Instant::now());
            join(timer.after(4 * SHORT), timer.after(SHORT)).await;
            assert!(started.elapsed() >= 4 * SHORT);
        });
    }

    #[test]
    fn a_dropped_deadline_does_not_end_a_later_one() {
        run(async {
            let (timer, started) = (ConnectionTimer::default(), Instant::now());
            let waited = select(timer.after(SHORT), std::future::ready(())).await;
            assert!(matches!(waited, Either::Right(_)));
            drop(waited);
            timer.after(4 * SHORT).await;
            assert!(started.elapsed() >= 4 * SHORT);
        });
    }
}
