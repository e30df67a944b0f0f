//! The pool for audits: it leaves processors to the threads that answer single checks.

use std::sync::{Arc, LazyLock};

use tokio::sync::Semaphore;

use super::{Service, not_done, stopping};
use crate::log::LogError;

/// The pieces of audits that run at a time: half of the processors, at least one. Decisions keep the others.
pub static PIECES_MAX: LazyLock<usize> =
    LazyLock::new(|| std::thread::available_parallelism().map_or(1, |processors| processors.get().div_ceil(2)));

/// The semaphores that limit the pool's work.
pub(super) struct AuditPool {
    pieces: Arc<Semaphore>,
    /// For work that cannot be split, so that pieces never wait for it.
    whole: Arc<Semaphore>,
}

impl Default for AuditPool {
    fn default() -> Self {
        let (pieces, whole) = (*PIECES_MAX, PIECES_MAX.div_ceil(2));
        Self { pieces: Arc::new(Semaphore::new(pieces)), whole: Arc::new(Semaphore::new(whole)) }
    }
}

impl Service {
    /// Runs a piece of an audit in the pool. Waits while the most pieces run.
    ///
    /// # Errors
    /// `Unavailable` if the server is stopping.
    pub async fn auditing<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, LogError> {
        run(&self.audits.pieces, work).await
    }

    /// Runs a piece of an audit that borrows, on this thread; the runtime moves other tasks to another thread.
    ///
    /// # Errors
    /// `Unavailable` if the server is stopping.
    pub async fn auditing_here<T>(&self, work: impl FnOnce() -> T) -> Result<T, LogError> {
        let _permit = self.audits.pieces.acquire().await.map_err(|_| stopping())?;
        Ok(tokio::task::block_in_place(work))
    }

    /// Runs audit work that cannot be split. It waits only for other such work.
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

/// Runs work on a blocking thread, with a permit of the semaphore.
async fn run<T: Send + 'static>(
    permits: &Arc<Semaphore>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, LogError> {
    let permit = Arc::clone(permits).acquire_owned().await.map_err(|_| stopping())?;
    let run = move || {
        let done = work();
        drop(permit);
        done
    };
    tokio::task::spawn_blocking(run).await.map_err(not_done)
}
