//! Panics in handlers: each ends its own response and nothing else.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;
use hyper::body::{Frame, SizeHint};

use super::connection::RequestId;
use super::problem::Problem;

/// Returns a handler's response, or a 500 if it panics. Shared state stays intact: a handler never changes facts in place, and the
/// writer handles its own panics.
///
/// # Errors
/// The handler's own.
pub async fn catch<E>(
    id: &RequestId,
    handler: impl Future<Output = Result<Response<Body>, E>>,
) -> Result<Response<Body>, E> {
    let mut handler = pin!(handler);
    let caught = poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| handler.as_mut().poll(context))) {
        Ok(polled) => polled.map(Ok),
        Err(panic) => Poll::Ready(Err(panic)),
    });
    match caught.await {
        Ok(response) => response,
        Err(panic) => {
            note(id, panic.as_ref());
            let detail = "the request could not be answered: its id leads to what the server's log says about it";
            Ok(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail).into_response())
        }
    }
}

/// Wraps a response so that a panic in its streamed body ends the connection.
pub fn contain(id: &RequestId, response: Response<Body>) -> Response<Body> {
    if response.body().size_hint().exact().is_some() {
        return response;
    }
    response.map(|body| Body::new(Contained { body: Some(body), id: id.clone() }))
}

fn note(id: &RequestId, panic: &(dyn Any + Send)) {
    let text = panic.downcast_ref::<&str>().copied();
    let why = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("it said nothing");
    tracing::error!(request_id = id.as_str(), why, "a panic ended a response");
}

/// A streamed body whose panics are caught.
struct Contained {
    /// None once it has panicked.
    body: Option<Body>,
    id: RequestId,
}

impl HttpBody for Contained {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        match catch_unwind(AssertUnwindSafe(|| Pin::new(body).poll_frame(context))) {
            Ok(polled) => polled,
            Err(panic) => {
                self.body = None;
                note(&self.id, panic.as_ref());
                Poll::Ready(Some(Err(axum::Error::new("the response could not be made"))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(HttpBody::size_hint).unwrap_or_default()
    }
}
