//! Bodies of requests: how large they may be, how long they may take, and what becomes of one that nobody waits for.

use std::pin::pin;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::http::StatusCode;
use futures_util::future::{Either, select};
use http_body_util::{BodyExt, LengthLimitError};

use super::connection::Limits;
use super::problem::Problem;

/// The largest body, in bytes.
pub const BODY_BYTES_MAX: usize = 2 * 1_024 * 1_024;
/// How long a body may take to arrive.
pub const BODY_TIME_MAX: Duration = Duration::from_secs(30);

/// The whole body.
///
/// # Errors
/// It is too large or too slow, or does not arrive whole.
pub async fn read_body(body: Body, limits: &Limits) -> Result<Bytes, Problem> {
    let too_large = || {
        let detail = format!("the body is larger than {BODY_BYTES_MAX} bytes");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
    };
    if usize::try_from(body.size_hint().lower()).is_ok_and(|len| len > BODY_BYTES_MAX) {
        return Err(too_large());
    }
    let read = pin!(to_bytes(body, BODY_BYTES_MAX));
    let Either::Left((read, _)) = select(read, limits.after(BODY_TIME_MAX)).await else {
        return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "too_slow", "the body took too long to arrive"));
    };
    read.map_err(|error| {
        let over_limit = std::error::Error::source(&error).is_some_and(<dyn std::error::Error>::is::<LengthLimitError>);
        if over_limit { too_large() } else { Problem::malformed("the body did not arrive whole") }
    })
}

/// Reads a body away, so that the connection can be used again after a refusal that did not wait for it. One that is too
/// large or too slow is left, and the connection ends.
pub async fn drain(mut body: Body, limits: &Limits) {
    let read = async {
        let mut left = BODY_BYTES_MAX;
        while let Some(Ok(frame)) = body.frame().await {
            let Some(rest) = left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) else { break };
            left = rest;
        }
    };
    // Whether it was in time or not, there is nothing more to do with it.
    drop(select(pin!(read), limits.after(BODY_TIME_MAX)).await);
}
