//! Bodies of requests: how large they may be, how long they may take, and what becomes of one that nobody waits for.

use std::pin::pin;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::StatusCode;
use futures_util::future::{Either, select};
use http_body_util::BodyExt;

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
    if usize::try_from(body.size_hint().lower()).is_ok_and(|len| len > BODY_BYTES_MAX) {
        return Err(too_large());
    }
    match select(pin!(whole(body)), limits.after(BODY_TIME_MAX)).await {
        Either::Left((read, _)) => read,
        Either::Right(_) => {
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "too_slow", "the body took too long to arrive"))
        }
    }
}

fn too_large() -> Problem {
    let detail = format!("the body is larger than {BODY_BYTES_MAX} bytes");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
}

/// A body that arrives in one piece, as small ones do, is not copied.
async fn whole(mut body: Body) -> Result<Bytes, Problem> {
    let mut pieces: Vec<u8> = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Problem::malformed("the body did not arrive whole"))?;
        let Ok(piece) = frame.into_data() else { continue };
        if pieces.len().saturating_add(piece.len()) > BODY_BYTES_MAX {
            return Err(too_large());
        }
        if pieces.is_empty() && body.is_end_stream() {
            return Ok(piece);
        }
        pieces.extend_from_slice(&piece);
    }
    Ok(pieces.into())
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
