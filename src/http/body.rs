//! Bodies of requests: how large they may be, how long they may take, and what becomes of one that nobody waits for.

use std::pin::pin;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Response, StatusCode};
use futures_util::FutureExt;
use futures_util::future::{Either, select};
use http_body_util::BodyExt;

use super::connection::Limits;
use super::problem::Problem;

/// The largest body, in bytes.
pub const BODY_BYTES_MAX: usize = 2 * 1_024 * 1_024;
/// How long a body may take to arrive.
pub const BODY_TIME_MAX: Duration = Duration::from_secs(30);
/// How long a body is read away after its request was answered.
const LINGER_TIME_MAX: Duration = Duration::from_secs(5);
/// How many times it is looked whether a body has arrived.
const LOOKS_MAX: usize = 8;

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

/// Gives an answer that does not wait for the body. Where the whole body is here already, the connection can be used again. Else it
/// ends with the answer; what still comes is read away for a while, so that a sender that is still writing does not lose the answer.
pub async fn answer_first(mut answer: Response<Body>, mut body: Body) -> Response<Body> {
    if is_here(&mut body).await {
        return answer;
    }
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    tokio::spawn(tokio::time::timeout(LINGER_TIME_MAX, read_away(body)));
    answer
}

/// Whether the rest of a body has arrived; reads it away as far as it has.
async fn is_here(body: &mut Body) -> bool {
    for _ in 0..LOOKS_MAX {
        if body.is_end_stream() {
            return true;
        }
        match body.frame().now_or_never() {
            Some(None | Some(Err(_))) => return true,
            Some(Some(Ok(_))) => {}
            // The connection, whose task this is, has to hand over what it has read.
            None => tokio::task::yield_now().await,
        }
    }
    false
}

/// Reads a body to its end, up to the size that a body may have.
async fn read_away(mut body: Body) {
    let mut left = BODY_BYTES_MAX;
    while let Some(Ok(frame)) = body.frame().await {
        let Some(rest) = left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) else { break };
        left = rest;
    }
}

/// Reads a body away, so that the connection can be used again after a refusal that did not wait for it. One that is too
/// large or too slow is left, and the connection ends.
pub async fn drain(body: Body, limits: &Limits) {
    // Whether it was in time or not, there is nothing more to do with it.
    drop(select(pin!(read_away(body)), limits.after(BODY_TIME_MAX)).await);
}
