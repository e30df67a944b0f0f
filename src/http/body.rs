//! Request bodies: their limits of size, time and memory, and the draining of a body that no handler reads.

use std::pin::pin;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Response, StatusCode};
use futures_util::FutureExt;
use futures_util::future::{Either, select};
use http_body_util::BodyExt;
use tokio::time::Instant;

use super::budget::Permit;
use super::connection::{ConnectionTimer, Deadline};
use super::problem::Problem;

/// The largest body, in bytes.
pub const BODY_BYTES_MAX: usize = 2 * 1_024 * 1_024;
/// The most time in which a body must arrive.
pub const BODY_TIME_MAX: Duration = Duration::from_secs(30);
/// The time for which a body is drained after its request was answered.
const LINGER_TIME_MAX: Duration = Duration::from_secs(5);
/// The most polls for a body that may have arrived already.
const POLLS_MAX: usize = 8;

/// The largest body, in bytes, that needs no permit.
pub const SMALL_BODY_BYTES: usize = 16 * 1_024;
/// The time by which a large body may fall behind its pace.
const PACE_SLACK: Duration = Duration::from_secs(3);

/// Reads a whole body. A large one needs a permit for its memory, which `admit` returns for a number of bytes before more than
/// [`SMALL_BODY_BYTES`] of it are kept. It must then arrive at a pace that ends within [`BODY_TIME_MAX`], so that nobody holds much memory by
/// sending little.
///
/// # Errors
/// The body is too large (413) or too slow (408), does not arrive whole (400), or is not admitted (as `admit`).
pub async fn read(
    mut body: Body,
    timer: &ConnectionTimer,
    admit: impl AsyncFnOnce(usize) -> Result<Permit, Problem>,
) -> Result<(Bytes, Option<Permit>), Problem> {
    if usize::try_from(body.size_hint().lower()).is_ok_and(|len| len > BODY_BYTES_MAX) {
        return Err(too_large());
    }
    let mut pieces = Vec::new();
    let mut end = timer.after(BODY_TIME_MAX);
    while pieces.len() <= SMALL_BODY_BYTES {
        let Some(piece) = next(&mut body, &mut end).await? else { return Ok((pieces.into(), None)) };
        // One that arrives in one piece, as small ones do, is not copied.
        if pieces.is_empty() && body.is_end_stream() {
            return Ok((piece, None));
        }
        pieces.extend_from_slice(&piece);
    }
    let left = body.size_hint().exact().and_then(|left| usize::try_from(left).ok());
    let whole = left.map_or(BODY_BYTES_MAX, |left| left.saturating_add(pieces.len()));
    match admit(whole).await {
        Ok(permit) => Ok((read_large(body, pieces, whole, timer).await?, Some(permit))),
        Err(problem) => {
            // The client may read the response only after it has sent the body.
            tokio::spawn(tokio::time::timeout(LINGER_TIME_MAX, drain_all(body)));
            Err(problem)
        }
    }
}

/// Reads the rest of a large body, after `pieces`, at its pace.
async fn read_large(
    mut body: Body,
    mut pieces: Vec<u8>,
    whole: usize,
    timer: &ConnectionTimer,
) -> Result<Bytes, Problem> {
    pieces.reserve_exact(whole.saturating_sub(pieces.len()));
    let slack_end = Instant::now() + PACE_SLACK;
    loop {
        let mut end = timer.at(slack_end + time_for(pieces.len(), whole));
        let Some(piece) = next(&mut body, &mut end).await? else { return Ok(pieces.into()) };
        if pieces.len().saturating_add(piece.len()) > BODY_BYTES_MAX {
            return Err(too_large());
        }
        pieces.extend_from_slice(&piece);
    }
}

/// Returns the time that the first `arrived` bytes of a large body may take.
fn time_for(arrived: usize, whole: usize) -> Duration {
    let [arrived, whole] = [arrived, whole].map(|bytes| u32::try_from(bytes).unwrap_or(u32::MAX));
    BODY_TIME_MAX.saturating_mul(arrived) / whole.max(1)
}

/// Returns the next piece of a body; none at its end.
async fn next(body: &mut Body, end: &mut Deadline) -> Result<Option<Bytes>, Problem> {
    loop {
        let Either::Left((frame, _)) = select(pin!(body.frame()), &mut *end).await else {
            return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "too_slow", "the body took too long to arrive"));
        };
        let Some(frame) = frame else { return Ok(None) };
        let frame = frame.map_err(|_| Problem::malformed("the body did not arrive whole"))?;
        if let Ok(piece) = frame.into_data() {
            return Ok(Some(piece));
        }
    }
}

fn too_large() -> Problem {
    let detail = format!("the body is larger than {BODY_BYTES_MAX} bytes");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
}

/// Responds without waiting for the body. If the whole body has arrived, the connection stays open. Otherwise it closes after the
/// response. The rest of the body is drained for a while, so that a client that is still sending can read the response.
pub async fn respond_early(mut response: Response<Body>, mut body: Body) -> Response<Body> {
    if has_arrived(&mut body).await {
        return response;
    }
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    tokio::spawn(tokio::time::timeout(LINGER_TIME_MAX, drain_all(body)));
    response
}

/// Returns whether the rest of a body has arrived, and drains what has.
async fn has_arrived(body: &mut Body) -> bool {
    for _ in 0..POLLS_MAX {
        if body.is_end_stream() {
            return true;
        }
        match body.frame().now_or_never() {
            Some(None | Some(Err(_))) => return true,
            Some(Some(Ok(_))) => {}
            // This task is the connection's: it must run to deliver what it has read.
            None => tokio::task::yield_now().await,
        }
    }
    false
}

/// Returns whether a body ends without any data. Reads up to the first data.
pub async fn is_empty(body: &mut Body, timer: &ConnectionTimer) -> bool {
    let first = async {
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return false };
            if frame.data_ref().is_some_and(|data| !data.is_empty()) {
                return false;
            }
        }
        true
    };
    matches!(select(pin!(first), timer.after(BODY_TIME_MAX)).await, Either::Left((true, _)))
}

/// Drains a body, up to the largest size of a body.
async fn drain_all(mut body: Body) {
    let mut left = BODY_BYTES_MAX;
    while let Some(Ok(frame)) = body.frame().await {
        let Some(rest) = left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) else { break };
        left = rest;
    }
}

/// Drains a body, so that the connection can be reused after an early refusal. If the body is too large or too slow, the connection
/// ends instead.
pub async fn drain(body: Body, timer: &ConnectionTimer) {
    // The result does not matter: the connection ends if the body was not drained.
    drop(select(pin!(drain_all(body)), timer.after(BODY_TIME_MAX)).await);
}
