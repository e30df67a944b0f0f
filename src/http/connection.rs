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
    pub limits: Limits,
    /// The permit of the request that is being answered.
    pub permit: PermitSlot,
}

/// What the server puts on each request.
#[derive(Debug, Clone)]
pub struct Came {
    /// By what it came.
    pub by: Connection,
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
pub struct Limits(Arc<Mutex<Option<Pin<Box<tokio::time::Sleep>>>>>);

impl Limits {
    /// Those of the connection that a request came by; of none, where it came by none.
    pub fn of(extensions: &Extensions) -> Self {
        extensions.get::<Came>().map(|came| came.by.limits.clone()).unwrap_or_default()
    }

    /// Done when so much time has passed since it was first waited for.
    pub fn after(&self, time: Duration) -> Limit {
        Limit { time, end: None, limits: self.clone() }
    }

    /// Done from an instant on.
    pub fn at(&self, end: Instant) -> Limit {
        Limit { time: Duration::ZERO, end: Some(end), limits: self.clone() }
    }

    fn poll(&self, end: Instant, context: &mut Context<'_>) -> Poll<()> {
        let mut timer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(end)));
        if timer.deadline() > end {
            timer.as_mut().reset(end);
        }
        while timer.as_mut().poll(context).is_ready() {
            if timer.deadline() >= end {
                return Poll::Ready(());
            }
            timer.as_mut().reset(end);
        }
        Poll::Pending
    }
}

/// Done when its time has passed.
#[derive(Debug)]
pub struct Limit {
    time: Duration,
    /// Once it is known. Hardly any limit is waited for, so the clock is not asked before.
    end: Option<Instant>,
    limits: Limits,
}

impl Future for Limit {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let time = self.time;
        let end = *self.end.get_or_insert_with(|| Instant::now() + time);
        self.limits.poll(end, context)
    }
}

impl hyper::rt::Sleep for Limit {}

impl hyper::rt::Timer for Limits {
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
            let (limits, started) = (Limits::default(), Instant::now());
            assert!(matches!(select(limits.after(SHORT), limits.after(LONG)).await, Either::Left(_)));
            assert!(matches!(select(limits.after(LONG), limits.after(SHORT)).await, Either::Right(_)));
            assert!(started.elapsed() >= 2 * SHORT, "none ends before its time");
        });
    }

    #[test]
    fn each_of_several_limits_ends_in_its_own_time() {
        run(async {
            let (limits, started) = (Limits::default(), Instant::now());
            join(limits.after(4 * SHORT), limits.after(SHORT)).await;
            assert!(started.elapsed() >= 4 * SHORT);
        });
    }

    #[test]
    fn a_limit_that_was_let_go_of_ends_no_later_one() {
        run(async {
            let (limits, started) = (Limits::default(), Instant::now());
            let waited = select(limits.after(SHORT), std::future::ready(())).await;
            assert!(matches!(waited, Either::Right(_)));
            drop(waited);
            limits.after(4 * SHORT).await;
            assert!(started.elapsed() >= 4 * SHORT);
        });
    }
}
