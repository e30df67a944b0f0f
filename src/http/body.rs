//! Request bodies: their limits of size, time and memory, and the draining of a body that no handler reads.

use std::collections::HashMap;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Response, StatusCode};
use futures_util::FutureExt;
use futures_util::future::{Either, select};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::client_address::network_of;
use super::connection::ConnectionTimer;
use super::problem::Problem;

/// The largest body, in bytes.
pub const BODY_BYTES_MAX: usize = 2 * 1_024 * 1_024;
/// The most time in which a body must arrive.
pub const BODY_TIME_MAX: Duration = Duration::from_secs(30);
/// The time for which a body is drained after its request was answered.
const LINGER_TIME_MAX: Duration = Duration::from_secs(5);
/// The most polls for a body that may have arrived already.
const POLLS_MAX: usize = 8;

/// The largest body, in bytes, that needs no reservation.
pub const SMALL_BODY_BYTES: usize = 16 * 1_024;
/// The default memory for all large bodies together, in MiB.
pub const BODIES_MIB_DEFAULT: usize = 64;
/// The divisor for the share of one address.
const ADDRESS_PART: usize = 4;
/// The unit of reservations, in bytes.
const UNIT: usize = 1_024;

/// The memory for large request bodies. A request waits for a reservation, first in first out, before its body is read.
pub struct Bodies {
    instance: Arc<Semaphore>,
    of_an_address: usize,
    addresses: Arc<Addresses>,
}

/// The addresses that are sending large bodies.
type Addresses = Mutex<HashMap<IpAddr, Arc<Semaphore>>>;

/// The memory that one large body has reserved; dropping it frees the memory.
pub struct BodyReservation {
    address: IpAddr,
    addresses: Arc<Addresses>,
    /// The part of the address's share; none while the body waits for it.
    of_address: Option<OwnedSemaphorePermit>,
    of_instance: Option<OwnedSemaphorePermit>,
}

impl Default for Bodies {
    fn default() -> Self {
        Self::of_mib(BODIES_MIB_DEFAULT)
    }
}

impl Bodies {
    /// Returns room for this much memory, in MiB, and at least for the largest body of each of four addresses.
    pub fn of_mib(mib: usize) -> Self {
        let units = mib.saturating_mul(1_024 * 1_024).max(BODY_BYTES_MAX * ADDRESS_PART) / UNIT;
        let units = units.min(Semaphore::MAX_PERMITS);
        let instance = Arc::new(Semaphore::new(units));
        Self { instance, of_an_address: units / ADDRESS_PART, addresses: Arc::default() }
    }

    /// Reads a whole body from an address, and returns its reservation if it is large.
    ///
    /// # Errors
    /// The body is too large (413) or too slow (408), does not arrive whole (400), or waits too long for memory (429).
    pub async fn read(
        &self,
        body: Body,
        timer: &ConnectionTimer,
        address: impl Fn() -> IpAddr,
    ) -> Result<(Bytes, Option<BodyReservation>), Problem> {
        if usize::try_from(body.size_hint().lower()).is_ok_and(|len| len > BODY_BYTES_MAX) {
            return Err(too_large());
        }
        let mut reservation = None;
        let read = match select(pin!(self.whole(body, &address, &mut reservation)), timer.after(BODY_TIME_MAX)).await {
            Either::Left((read, _)) => Some(read),
            Either::Right(_) => None,
        };
        match read {
            Some(read) => Ok((read?, reservation)),
            None if reservation.as_ref().is_some_and(|reservation| reservation.of_instance.is_none()) => Err(crowded()),
            None => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "too_slow", "the body took too long to arrive")),
        }
    }

    /// Reads a body. One that arrives in one piece, as small ones do, is not copied.
    async fn whole(
        &self,
        mut body: Body,
        address: &impl Fn() -> IpAddr,
        reservation: &mut Option<BodyReservation>,
    ) -> Result<Bytes, Problem> {
        let mut pieces: Vec<u8> = Vec::new();
        loop {
            if pieces.len() > SMALL_BODY_BYTES && reservation.is_none() {
                let whole = HttpBody::size_hint(&body).exact().and_then(|left| usize::try_from(left).ok());
                let bytes = whole.map_or(BODY_BYTES_MAX, |left| left.saturating_add(pieces.len()));
                self.reserve(reservation.insert(self.unreserved(address())), bytes).await;
                pieces.reserve_exact(bytes.min(BODY_BYTES_MAX).saturating_sub(pieces.len()));
            }
            let Some(frame) = body.frame().await else { break };
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

    fn unreserved(&self, address: IpAddr) -> BodyReservation {
        let (address, addresses) = (network_of(address), Arc::clone(&self.addresses));
        BodyReservation { address, addresses, of_address: None, of_instance: None }
    }

    /// Waits for this many bytes, first of the address's share, then of the instance's.
    async fn reserve(&self, reservation: &mut BodyReservation, bytes: usize) {
        let units = u32::try_from(bytes.min(BODY_BYTES_MAX).div_ceil(UNIT)).unwrap_or(u32::MAX);
        let of_address = {
            let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
            let new = || Arc::new(Semaphore::new(self.of_an_address));
            Arc::clone(addresses.entry(reservation.address).or_insert_with(new))
        };
        reservation.of_address = of_address.acquire_many_owned(units).await.ok();
        reservation.of_instance = Arc::clone(&self.instance).acquire_many_owned(units).await.ok();
    }
}

impl Drop for BodyReservation {
    fn drop(&mut self) {
        drop(self.of_address.take());
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        // The map has one copy; each waiting or granted reservation has another.
        if addresses.get(&self.address).is_some_and(|address| Arc::strong_count(address) == 1) {
            addresses.remove(&self.address);
        }
    }
}

fn crowded() -> Problem {
    let detail = "too many large bodies are on their way: send this one again in a moment";
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", detail)
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
