//! Bodies of requests: how large they may be, how long they may take, how much memory they may take together, and what becomes of
//! one that nobody waits for.

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
/// How long a body may take to arrive.
pub const BODY_TIME_MAX: Duration = Duration::from_secs(30);
/// How long a body is read away after its request was answered.
const LINGER_TIME_MAX: Duration = Duration::from_secs(5);
/// How many times it is looked whether a body has arrived.
const LOOKS_MAX: usize = 8;

/// The largest body, in bytes, that takes no place among the large ones.
pub const SMALL_BODY_BYTES: usize = 16 * 1_024;
/// The memory that large bodies may take together if nobody says, in MiB.
pub const BODIES_MIB_DEFAULT: usize = 64;
/// The bodies from one address may take this part of it.
const ADDRESS_PART: usize = 4;
/// The unit in which memory is given to bodies, in bytes.
const UNIT: usize = 1_024;

/// The memory for large bodies of requests. Whoever sends one waits for a place, in order, before the server reads on.
pub struct Bodies {
    instance: Arc<Semaphore>,
    of_an_address: usize,
    addresses: Arc<Addresses>,
}

/// The addresses that large bodies come from now.
type Addresses = Mutex<HashMap<IpAddr, Arc<Semaphore>>>;

/// A place among the large bodies; free for others once it is dropped.
pub struct BodyReservation {
    address: IpAddr,
    addresses: Arc<Addresses>,
    /// What it takes of the address's part; none while it waits for that.
    of_address: Option<OwnedSemaphorePermit>,
    of_instance: Option<OwnedSemaphorePermit>,
}

impl Default for Bodies {
    fn default() -> Self {
        Self::of_mib(BODIES_MIB_DEFAULT)
    }
}

impl Bodies {
    /// So much memory, in MiB; at least as much as the largest body of each of four addresses.
    pub fn of_mib(mib: usize) -> Self {
        let units = mib.saturating_mul(1_024 * 1_024).max(BODY_BYTES_MAX * ADDRESS_PART) / UNIT;
        let units = units.min(Semaphore::MAX_PERMITS);
        let instance = Arc::new(Semaphore::new(units));
        Self { instance, of_an_address: units / ADDRESS_PART, addresses: Arc::default() }
    }

    /// The whole body, from an address, and its place among the large ones if it is one.
    ///
    /// # Errors
    /// It is too large or too slow, does not arrive whole, or waits too long for a place.
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

    /// A body that arrives in one piece, as small ones do, is not copied.
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
                self.find(reservation.insert(self.reservation(address())), bytes).await;
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

    fn reservation(&self, address: IpAddr) -> BodyReservation {
        let (address, addresses) = (network_of(address), Arc::clone(&self.addresses));
        BodyReservation { address, addresses, of_address: None, of_instance: None }
    }

    /// Waits for room for so many bytes, first among those of the same address, then among all.
    async fn find(&self, reservation: &mut BodyReservation, bytes: usize) {
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
        // The map has one copy, and whoever waits or holds a part has another.
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

/// Gives an answer that does not wait for the body. Where the whole body is here already, the connection can be used again. Else it
/// ends with the answer; what still comes is read away for a while, so that a sender that is still writing does not lose the answer.
pub async fn respond_early(mut response: Response<Body>, mut body: Body) -> Response<Body> {
    if is_here(&mut body).await {
        return response;
    }
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    tokio::spawn(tokio::time::timeout(LINGER_TIME_MAX, read_away(body)));
    response
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

/// Whether a body ends without any data; reads it up to the first of it.
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
pub async fn drain(body: Body, timer: &ConnectionTimer) {
    // Whether it was in time or not, there is nothing more to do with it.
    drop(select(pin!(read_away(body)), timer.after(BODY_TIME_MAX)).await);
}
