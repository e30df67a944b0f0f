//! The health of the service's threads: a thread that ends too early is noticed at once.

use tokio::sync::watch;

/// The first thread that ended too early, shared by all threads.
#[derive(Debug, Default)]
pub(super) struct Health {
    failed: watch::Sender<Option<&'static str>>,
}

impl Health {
    /// Records that a thread has ended too early. Only the first counts.
    pub(super) fn fail(&self, name: &'static str) {
        let is_first = self.failed.send_if_modified(|failed| failed.is_none().then(|| *failed = Some(name)).is_some());
        if is_first {
            tracing::error!(thread = name, "a thread of the service ended unexpectedly: the server stops");
        }
    }

    /// Returns the name of the first thread that failed.
    pub(super) fn failed(&self) -> Option<&'static str> {
        *self.failed.borrow()
    }

    /// Waits until a thread has failed, and returns its name.
    pub(super) async fn until_failed(&self) -> &'static str {
        let mut failed = self.failed.subscribe();
        loop {
            if let Some(name) = *failed.borrow_and_update() {
                return name;
            }
            if failed.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

/// A guard of a running thread, which reports a panic.
pub(super) struct ThreadGuard<'a> {
    pub(super) health: &'a Health,
    pub(super) name: &'static str,
}

impl Drop for ThreadGuard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.health.fail(self.name);
        }
    }
}
