//! The health of the service's threads: one that ends before it is told to is noticed at once.

use tokio::sync::watch;

/// The threads' health, shared by all of them.
#[derive(Debug, Default)]
pub(super) struct Health {
    failed: watch::Sender<Option<&'static str>>,
}

impl Health {
    /// Takes note that a thread has ended before it should have. The first one counts.
    pub(super) fn fail(&self, name: &'static str) {
        let is_first = self.failed.send_if_modified(|failed| failed.is_none().then(|| *failed = Some(name)).is_some());
        if is_first {
            tracing::error!(thread = name, "a thread of the service ended unexpectedly: the server stops");
        }
    }

    /// The thread that failed first; none if none did.
    pub(super) fn failed(&self) -> Option<&'static str> {
        *self.failed.borrow()
    }

    /// Waits until a thread has failed, and gives its name.
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

/// A guard that a thread holds for as long as it runs: its loop ends by itself only where it was told to.
pub(super) struct Watched<'a> {
    pub(super) health: &'a Health,
    pub(super) name: &'static str,
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.health.fail(self.name);
        }
    }
}
