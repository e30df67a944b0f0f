//! The pool for audits, beside the threads that decide single checks.

use std::sync::{Arc, LazyLock};

use tokio::sync::Semaphore;

use super::{Service, not_done, stopping};
use crate::log::LogError;

/// How many pieces of audits run at a time: half of the processors, at least one, so that decisions keep the others.
pub static PIECES_MAX: LazyLock<usize> =
    LazyLock::new(|| std::thread::available_parallelism().map_or(1, |processors| processors.get().div_ceil(2)));

/// How much of the pool's work runs at a time.
pub(super) struct AuditPool {
    pieces: Arc<Semaphore>,
    /// For what cannot be done in pieces, which would hold them up.
    whole: Arc<Semaphore>,
}

impl Default for AuditPool {
    fn default() -> Self {
        let (pieces, whole) = (*PIECES_MAX, PIECES_MAX.div_ceil(2));
        Self { pieces: Arc::new(Semaphore::new(pieces)), whole: Arc::new(Semaphore::new(whole)) }
    }
}

impl Service {
    /// Runs a piece of an audit in the pool beside the threads that decide; it waits while as many run as may.
    ///
    /// # Errors
    /// `Unavailable` if the server is stopping.
    pub async fn auditing<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, LogError> {
        run(&self.audits.pieces, work).await
    }

    /// As [`Self::auditing`], of work that borrows. It runs on this thread, whose other work goes on elsewhere meanwhile.
    ///
    /// # Errors
    /// `Unavailable` if the server is stopping.
    pub async fn auditing_here<T>(&self, work: impl FnOnce() -> T) -> Result<T, LogError> {
        let _permit = self.audits.pieces.acquire().await.map_err(|_| stopping())?;
        Ok(tokio::task::block_in_place(work))
    }

    /// As [`Self::auditing`], of work that cannot be done in pieces. It waits for its like only, so that pieces never wait for it.
    ///
    /// # Errors
    /// `Unavailable` if the server is stopping.
    pub async fn auditing_whole<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, LogError> {
        run(&self.audits.whole, work).await
    }
}

/// Runs work where it may block, at most so much of it at a time as the semaphore says.
async fn run<T: Send + 'static>(
    room: &Arc<Semaphore>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, LogError> {
    let permit = Arc::clone(room).acquire_owned().await.map_err(|_| stopping())?;
    let run = move || {
        let done = work();
        drop(permit);
        done
    };
    tokio::task::spawn_blocking(run).await.map_err(not_done)
}
