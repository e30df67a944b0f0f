//! Durable writes: the disk, bare stores, and Tenure.

pub mod cqrs;
pub mod disk;
pub mod inserts;
pub mod rows;
pub mod submissions;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use crate::peer::Outcome;

/// The number of concurrent callers.
pub const CALLERS: usize = 64;

/// Returns the operations per second of concurrent callers in a closed loop. `once` performs one, given the caller's
/// number and the count of its operations before.
///
/// # Errors
/// An operation failed.
pub fn rate<F, T>(runtime: &Runtime, callers: usize, time: Duration, once: F) -> Outcome<f64>
where
    F: Fn(usize, usize) -> T + Send + Sync + 'static,
    T: Future<Output = Outcome<()>> + Send,
{
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let once = Arc::new(once);
    let started = Instant::now();
    let call = |caller| {
        let (stop, done, once) = (Arc::clone(&stop), Arc::clone(&done), Arc::clone(&once));
        runtime.spawn(async move {
            let mut did = 0;
            while !stop.load(Ordering::Relaxed) {
                once(caller, did).await?;
                did += 1;
                done.fetch_add(1, Ordering::Relaxed);
            }
            Outcome::Ok(())
        })
    };
    let tasks: Vec<_> = (0..callers).map(call).collect();
    std::thread::sleep(time);
    stop.store(true, Ordering::Relaxed);
    for task in tasks {
        runtime.block_on(task)??;
    }
    Ok(f64::from(u32::try_from(done.load(Ordering::Relaxed))?) / started.elapsed().as_secs_f64())
}
