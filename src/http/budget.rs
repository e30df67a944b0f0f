//! Budgets: limits of memory and concurrency for batches, searches, audits and large responses.
//!
//! A [`Permit`] counts for the holder of a credential, for its workspace and for the instance. A handler takes it after
//! authentication and before the work. The response holds it until it is sent, or the connection ends. Single checks and small
//! responses need no permit.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{Response, StatusCode};
use hyper::body::{Frame, SizeHint};
use tokio::sync::Semaphore;

use super::problem::Problem;
use crate::domain::model::id::WorkspaceId;
use crate::log::LogError;
use crate::service::{PIECES_MAX, Service};

/// The default memory for the large responses of an instance, in MiB.
pub const ANSWERS_MIB_DEFAULT: usize = 128;
/// The default memory for the large request bodies of an instance, in MiB.
pub const BODIES_MIB_DEFAULT: usize = 64;
/// The largest response, in bytes, that needs no permit.
pub const SMALL_ANSWER_BYTES: usize = 16 * 1_024;
/// The most permits at a time of one holder, one workspace and the instance.
pub const PERMITS_MAX: [usize; 3] = [100, 400, 2_000];

/// The divisors for the shares of a holder, a workspace and the instance in the memory.
const PARTS: [usize; 3] = [4, 2, 1];
const MIB: usize = 1_024 * 1_024;
/// The largest part of a response, in bytes, that the connection gets at a time.
const PART_BYTES: usize = 64 * 1_024;
/// The time that a refused client should wait.
const WAIT: Duration = Duration::from_secs(1);

/// The accounts of one instance. Clones share them.
#[derive(Clone)]
pub struct Budgets(Arc<Accounts>);

struct Accounts {
    purpose: Purpose,
    bytes_max: usize,
    used: Mutex<HashMap<Account, Usage>>,
}

/// The use of the memory that permits are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// Requests that are processed, and their responses.
    Responses,
    /// Bodies that are arriving.
    Bodies,
}

/// An owner of permits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Account {
    Holder(WorkspaceId, String),
    Workspace(WorkspaceId),
    Instance,
    /// The operator has no workspace, and the limits of the instance.
    Operator,
}

/// The totals of an account's permits.
struct Usage {
    permits: usize,
    bytes: usize,
    /// The pieces of work that run at a time.
    turns: Arc<Semaphore>,
}

impl Default for Usage {
    fn default() -> Self {
        // If there are several threads for pieces, a holder never has all of them.
        Self { permits: 0, bytes: 0, turns: Arc::new(Semaphore::new((*PIECES_MAX / 2).max(1))) }
    }
}

/// A permit to work on one request and to use memory for it. Clones share it; it ends with the last one.
#[derive(Clone)]
pub struct Permit(Arc<PermitState>);

struct PermitState {
    accounts: Arc<Accounts>,
    /// The holder's account first.
    of: Vec<Account>,
    bytes: AtomicUsize,
    turns: Arc<Semaphore>,
}

impl Default for Budgets {
    fn default() -> Self {
        Self::of_mib(ANSWERS_MIB_DEFAULT)
    }
}

impl Account {
    /// Returns the index into the constants above.
    const fn level(&self) -> usize {
        match self {
            Self::Holder(..) => 0,
            Self::Workspace(_) => 1,
            Self::Instance | Self::Operator => 2,
        }
    }

    /// Returns the accounts that a permit counts for: a holder's, or the operator's.
    fn all(holder: Option<(WorkspaceId, String)>) -> Vec<Self> {
        match holder {
            Some((workspace, holder)) => {
                vec![Self::Holder(workspace, holder), Self::Workspace(workspace), Self::Instance]
            }
            None => vec![Self::Operator, Self::Instance],
        }
    }

    fn permits_max(&self) -> usize {
        PERMITS_MAX.get(self.level()).copied().unwrap_or_default()
    }

    fn bytes_max(&self, instance: usize) -> usize {
        instance / PARTS.get(self.level()).copied().unwrap_or(1)
    }

    fn refuse(&self, purpose: Purpose) -> Problem {
        let whose = match self {
            Self::Holder(..) | Self::Operator => "of this credential's holder",
            Self::Workspace(_) => "of this workspace",
            Self::Instance => "of this server",
        };
        metrics::counter!("tenure_budget_refused_total").increment(1);
        let detail = match purpose {
            Purpose::Responses => format!(
                "the requests {whose} that are being answered take all that they may: read their answers, and ask again in a moment"
            ),
            Purpose::Bodies => format!(
                "the large bodies {whose} that are arriving take all the memory that they may: send this one again in a moment"
            ),
        };
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", detail).retry_after(WAIT)
    }
}

impl Budgets {
    /// Returns the accounts of an instance with this much memory, in MiB, for responses.
    pub fn of_mib(mib: usize) -> Self {
        Self::for_purpose(Purpose::Responses, mib)
    }

    /// Returns the accounts of an instance with this much memory, in MiB, for large request bodies.
    pub fn of_bodies(mib: usize) -> Self {
        Self::for_purpose(Purpose::Bodies, mib)
    }

    fn for_purpose(purpose: Purpose, mib: usize) -> Self {
        Self(Arc::new(Accounts { purpose, bytes_max: mib.saturating_mul(MIB), used: Mutex::default() }))
    }

    /// Returns a permit for this many bytes, of a holder in a workspace or of the operator.
    ///
    /// # Errors
    /// 429 if the holder, the workspace or the instance is at its limit of permits or bytes.
    pub fn permit(&self, holder: Option<(WorkspaceId, String)>, bytes: usize) -> Result<Permit, Problem> {
        let of = Account::all(holder);
        let mut used = self.0.used();
        let full = |account: &&Account| {
            used.get(account).is_some_and(|used| used.permits >= account.permits_max())
                || !self.0.has_room(&used, account, bytes, 0)
        };
        if let Some(full) = of.iter().find(full) {
            return Err(full.refuse(self.0.purpose));
        }
        Ok(self.give(&mut used, of, bytes))
    }

    /// Returns a permit without checking the limits.
    pub fn permit_unchecked(&self, holder: Option<(WorkspaceId, String)>, bytes: usize) -> Permit {
        self.give(&mut self.0.used(), Account::all(holder), bytes)
    }

    fn give(&self, used: &mut HashMap<Account, Usage>, of: Vec<Account>, bytes: usize) -> Permit {
        for account in &of {
            let used = used.entry(account.clone()).or_default();
            used.permits = used.permits.saturating_add(1);
            used.bytes = used.bytes.saturating_add(bytes);
        }
        let turns = of.first().and_then(|holder| used.get(holder)).map(|used| Arc::clone(&used.turns));
        let turns = turns.unwrap_or_else(|| Usage::default().turns);
        Permit(Arc::new(PermitState { accounts: Arc::clone(&self.0), of, bytes: AtomicUsize::new(bytes), turns }))
    }

    /// Returns the number of permits in use, and their bytes.
    pub fn in_use(&self) -> (usize, usize) {
        self.0.used().get(&Account::Instance).map_or((0, 0), |used| (used.permits, used.bytes))
    }
}

impl Accounts {
    fn used(&self) -> MutexGuard<'_, HashMap<Account, Usage>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether an account has room for more bytes. An account whose only permits are the caller's `own` always has.
    fn has_room(&self, all: &HashMap<Account, Usage>, account: &Account, more: usize, own: usize) -> bool {
        all.get(account).is_none_or(|used| {
            used.permits <= own || used.bytes.saturating_add(more) <= account.bytes_max(self.bytes_max)
        })
    }
}

impl Permit {
    /// Adds bytes to the permit.
    ///
    /// # Errors
    /// 429 if the holder, the workspace or the instance is at its limit and has other permits.
    pub fn grow(&self, bytes: usize) -> Result<(), Problem> {
        let held = &self.0;
        let mut used = held.accounts.used();
        let has_room = |account: &&Account| held.accounts.has_room(&used, account, bytes, 1);
        if let Some(full) = held.of.iter().find(|account| !has_room(account)) {
            return Err(full.refuse(held.accounts.purpose));
        }
        held.add(&mut used, bytes);
        Ok(())
    }

    /// Grows the permit to at least this many bytes.
    ///
    /// # Errors
    /// As [`Self::grow`].
    pub fn cover(&self, bytes: usize) -> Result<(), Problem> {
        match bytes.checked_sub(self.0.bytes.load(Ordering::Relaxed)) {
            Some(more) if more > 0 => self.grow(more),
            _ => Ok(()),
        }
    }

    /// Grows the permit to at least this many bytes without checking the limits: for responses that can no longer be refused.
    pub fn cover_unchecked(&self, bytes: usize) {
        let more = bytes.saturating_sub(self.0.bytes.load(Ordering::Relaxed));
        self.0.add(&mut self.0.accounts.used(), more);
    }

    /// Runs a piece of work in the pool for audits, apart from the threads that decide single checks. The pieces of one holder take
    /// turns, so they never fill the pool's queue.
    ///
    /// # Errors
    /// `Unavailable` if the server is stopping.
    pub async fn run<T: Send + 'static>(
        &self,
        service: &Service,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, LogError> {
        let _turn = self.0.turns.acquire().await;
        service.auditing(work).await
    }

    /// Runs a piece of work that borrows, as [`Self::run`].
    ///
    /// # Errors
    /// `Unavailable` if the server is stopping.
    pub async fn run_borrowing<T>(&self, service: &Service, work: impl FnOnce() -> T) -> Result<T, LogError> {
        let _turn = self.0.turns.acquire().await;
        service.auditing_here(work).await
    }

    /// Runs work that cannot be split into pieces, in a pool of its own, so that it never delays any pieces.
    ///
    /// # Errors
    /// `Unavailable` if the server is stopping.
    pub async fn run_whole<T: Send + 'static>(
        &self,
        service: &Service,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, LogError> {
        let _turn = self.0.turns.acquire().await;
        service.auditing_whole(work).await
    }

    /// Attaches the permit to a response; returns a refusal if the budgets have no room for it.
    pub fn carried_by(self, response: Response<Body>) -> Response<Body> {
        let known = response.body().size_hint().exact().and_then(|len| usize::try_from(len).ok());
        if let Err(problem) = self.cover(known.unwrap_or_default()) {
            return axum::response::IntoResponse::into_response(problem);
        }
        response.map(|body| Body::new(Carrying { body, rest: Bytes::new(), _permit: self }))
    }
}

impl PermitState {
    fn add(&self, used: &mut HashMap<Account, Usage>, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        for account in &self.of {
            if let Some(used) = used.get_mut(account) {
                used.bytes = used.bytes.saturating_add(bytes);
            }
        }
    }
}

impl Drop for PermitState {
    fn drop(&mut self) {
        let bytes = *self.bytes.get_mut();
        let mut used = self.accounts.used();
        for account in self.of.drain(..) {
            let Entry::Occupied(mut known) = used.entry(account) else { continue };
            let now = known.get_mut();
            now.permits = now.permits.saturating_sub(1);
            now.bytes = now.bytes.saturating_sub(bytes);
            if now.permits == 0 {
                known.remove();
            }
        }
    }
}

/// The permit of the request that a connection is processing, until the response takes it. Clones share it.
#[derive(Clone, Default)]
pub struct PermitSlot(Arc<Mutex<Option<Permit>>>);

impl std::fmt::Debug for PermitSlot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PermitSlot")
    }
}

impl PermitSlot {
    /// Returns the permit in the slot, or takes one and stores it there.
    ///
    /// # Errors
    /// As `take`.
    pub fn get_or(&self, take: impl FnOnce() -> Result<Permit, Problem>) -> Result<Permit, Problem> {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(permit) = &*slot {
            return Ok(permit.clone());
        }
        Ok(slot.insert(take()?).clone())
    }

    /// Removes and returns the permit.
    pub fn take(&self) -> Option<Permit> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A body that holds a permit. The connection gets it in copied parts, since it keeps a buffer until the client has read it. So all
/// but the last parts stay here, where they are counted.
struct Carrying {
    body: Body,
    rest: Bytes,
    _permit: Permit,
}

impl Carrying {
    fn part(&mut self) -> Option<Bytes> {
        let len = self.rest.len().min(PART_BYTES);
        (len > 0).then(|| Bytes::copy_from_slice(&self.rest.split_to(len)))
    }
}

impl HttpBody for Carrying {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if let Some(part) = self.part() {
            return Poll::Ready(Some(Ok(Frame::data(part))));
        }
        let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(context)).transpose()? else {
            return Poll::Ready(None);
        };
        Poll::Ready(Some(Ok(match frame.into_data() {
            Ok(data) if data.len() > PART_BYTES => {
                self.rest = data;
                Frame::data(self.part().unwrap_or_default())
            }
            Ok(data) => Frame::data(data),
            Err(frame) => frame,
        })))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (mut hint, here) = (self.body.size_hint(), u64::try_from(self.rest.len()).unwrap_or(u64::MAX));
        let upper = hint.upper().map(|upper| upper.saturating_add(here));
        hint.set_lower(hint.lower().saturating_add(here));
        if let Some(upper) = upper {
            hint.set_upper(upper);
        }
        hint
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    fn workspace(number: u128) -> WorkspaceId {
        WorkspaceId::from_uuid(uuid::Uuid::from_u128(number))
    }

    fn take(budgets: &Budgets, number: u128, holder: &str, bytes: usize) -> Result<Permit, Problem> {
        budgets.permit(Some((workspace(number), holder.to_owned())), bytes)
    }

    #[test]
    fn the_permits_of_a_holder_a_workspace_and_the_instance_are_limited() {
        let budgets = Budgets::default();
        let mut all: Vec<_> = (0..PERMITS_MAX[0]).map(|_| take(&budgets, 1, "user:a", 0).unwrap()).collect();
        let refused = take(&budgets, 1, "user:a", 0).err().unwrap();
        assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
        for holder in ["user:b", "user:c", "user:d"] {
            all.extend((0..PERMITS_MAX[0]).map(|_| take(&budgets, 1, holder, 0).unwrap()));
        }
        assert!(take(&budgets, 1, "user:e", 0).is_err(), "the workspace has all that it may");
        all.push(take(&budgets, 2, "user:a", 0).unwrap());
        all.push(budgets.permit(None, 0).unwrap());
        drop(all);
        assert_eq!(budgets.in_use(), (0, 0));
        assert!(budgets.0.used().is_empty(), "nothing is left of holders that are gone");
    }

    #[test]
    fn bytes_count_at_each_level_until_the_last_clone_of_the_permit_is_dropped() {
        let budgets = Budgets::of_mib(4);
        let first = take(&budgets, 1, "user:a", MIB / 2).unwrap();
        let copy = first.clone();
        assert!(take(&budgets, 1, "user:a", MIB).is_err(), "a holder has a quarter");
        let second = take(&budgets, 1, "user:a", 0).unwrap();
        assert!(second.grow(MIB).is_err());
        second.grow(MIB / 2).unwrap();
        let other = take(&budgets, 1, "user:b", MIB).unwrap();
        assert!(take(&budgets, 1, "user:c", 1).is_err(), "a workspace has half");
        let elsewhere = take(&budgets, 2, "user:c", MIB).unwrap();
        drop(first);
        assert_eq!(budgets.in_use(), (4, 3 * MIB));
        drop((copy, second, other));
        assert_eq!(budgets.in_use(), (1, MIB));
        drop(elsewhere);
        assert_eq!(budgets.in_use(), (0, 0));
    }

    #[test]
    fn a_single_request_may_exceed_the_share_of_its_holder() {
        let budgets = Budgets::of_mib(4);
        let alone = take(&budgets, 1, "user:a", 0).unwrap();
        alone.grow(3 * MIB).unwrap();
        assert!(take(&budgets, 1, "user:a", 1).is_err());
        assert!(take(&budgets, 1, "user:b", 1).is_err());
        alone.cover_unchecked(5 * MIB);
        assert_eq!(budgets.in_use(), (1, 5 * MIB));
        assert!(take(&budgets, 2, "user:b", 1).is_err());
    }

    #[test]
    fn a_response_holds_its_permit_until_it_is_sent() {
        let budgets = Budgets::of_mib(4);
        let text: Vec<u8> = (0..200_000_u32).map(|number| u8::try_from(number % 251).unwrap()).collect();
        let permit = take(&budgets, 1, "user:a", 0).unwrap();
        let mut body = permit.carried_by(Response::new(Body::from(text.clone()))).into_body();
        assert_eq!(body.size_hint().exact(), Some(200_000));
        assert_eq!(budgets.in_use(), (1, 200_000));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut read = Vec::new();
        while let Some(frame) = runtime.block_on(body.frame()) {
            let part = frame.unwrap().into_data().unwrap();
            assert!(part.len() <= PART_BYTES);
            read.extend_from_slice(&part);
            assert_eq!(budgets.in_use(), (1, 200_000));
        }
        assert_eq!(read, text);
        drop(body);
        assert_eq!(budgets.in_use(), (0, 0));
    }
}
