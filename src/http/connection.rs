//! What a request is told of by the server: its id, who is at the other end of its connection, and the time limits of that, all on
//! one timer.
//!
//! A limit is set for every head and every body, and hardly any runs out; a timer of its own for each would cost more than a
//! decision does. So the connection has one timer, which is left alone for as long as it ends no later than what waits, and set
//! anew only when it has ended. Everything of a connection runs in one task, so whatever waits is asked again when it ends.

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
    /// The address of its other end.
    pub peer: IpAddr,
    /// Its time limits.
    pub timer: ConnectionTimer,
    /// The permit of the request that is being answered.
    pub permit: PermitSlot,
}

/// What the server puts on each request.
#[derive(Debug, Clone)]
pub struct RequestContext {
    /// By what it came.
    pub connection: Connection,
    /// What it is known by in log lines, and in its answer.
    pub id: RequestId,
}

/// What a request is known by.
#[derive(Debug, Clone)]
pub enum RequestId {
    /// Its sender chose it.
    Given(HeaderValue),
    /// The server did: a UUID in hexadecimal digits.
    Made([u8; 32]),
}

impl RequestId {
    /// As text.
    pub fn as_str(&self) -> &str {
        let text = match self {
            Self::Given(id) => id.as_bytes(),
            Self::Made(digits) => digits,
        };
        std::str::from_utf8(text).unwrap_or_default()
    }

    /// As the value of a header.
    pub fn into_header(self) -> HeaderValue {
        match self {
            Self::Given(id) => id,
            Self::Made(digits) => HeaderValue::from_bytes(&digits).unwrap_or(HeaderValue::from_static("unknown")),
        }
    }
}

/// The time limits of one connection. A copy is of the same connection.
#[derive(Debug, Clone, Default)]
pub struct ConnectionTimer(Arc<Mutex<Option<Pin<Box<tokio::time::Sleep>>>>>);

impl ConnectionTimer {
    /// Those of the connection that a request came by; of none, where it came by none.
    pub fn of(extensions: &Extensions) -> Self {
        extensions.get::<RequestContext>().map(|context| context.connection.timer.clone()).unwrap_or_default()
    }

    /// Done when so much time has passed since it was first waited for.
    pub fn after(&self, time: Duration) -> Deadline {
        Deadline { time, end: None, timer: self.clone() }
    }

    /// Done from an instant on.
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

/// Done when its time has passed.
#[derive(Debug)]
pub struct Deadline {
    time: Duration,
    /// Once it is known. Hardly any limit is waited for, so the clock is not asked before.
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
    fn the_shorter_limit_ends_first_whichever_waits_first() {
        run(async {
            let (timer, started) = (ConnectionTimer::default(), Instant::now());
            assert!(matches!(select(timer.after(SHORT), timer.after(LONG)).await, Either::Left(_)));
            assert!(matches!(select(timer.after(LONG), timer.after(SHORT)).await, Either::Right(_)));
            assert!(started.elapsed() >= 2 * SHORT, "none ends before its time");
        });
    }

    #[test]
    fn each_of_several_limits_ends_in_its_own_time() {
        run(async {
            let (timer, started) = (ConnectionTimer::default(), Instant::now());
            join(timer.after(4 * SHORT), timer.after(SHORT)).await;
            assert!(started.elapsed() >= 4 * SHORT);
        });
    }

    #[test]
    fn a_limit_that_was_let_go_of_ends_no_later_one() {
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
