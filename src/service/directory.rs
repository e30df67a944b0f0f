//! Credentials that callers present, and the times of their last uses.
//!
//! The stored directory is an index and never an authority: it leads from an id to a workspace. The digest, the holder and the role
//! are those of the event that made the credential. They never change, so they are cached. The workspace's newest facts say whether
//! the credential is still live.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use moka::sync::Cache;

use super::Service;
use super::id_generator::Secret;
use crate::domain::model::time::Instant;
use crate::domain::state::workspace::Workspace;
use crate::log::{CredentialHolder, CredentialId, LogError, SideWrite, Store, StoredCredential};

/// The most cached credentials.
const ROWS_MAX: u64 = 200_000;

impl Service {
    /// Returns the credential that a presented one proves; none if there is no such id or the secret is wrong.
    ///
    /// # Errors
    /// As [`Self::workspace`].
    pub(super) async fn prove(
        &self,
        presented: &PresentedCredential,
    ) -> Result<Option<Arc<CachedCredential>>, LogError> {
        let Ok(id) = presented.id.parse() else { return Ok(None) };
        let entry = self.credential(id, Some(&presented.secret)).await?;
        Ok(entry.filter(|entry| presented.secret.matches(&entry.row.sha256)))
    }

    /// Returns the credential of an id from the facts of its workspace. With a secret that does not match the stored row, no workspace is
    /// loaded.
    ///
    /// # Errors
    /// As [`Self::workspace`].
    pub(super) async fn credential(
        &self,
        id: CredentialId,
        secret: Option<&Secret>,
    ) -> Result<Option<Arc<CachedCredential>>, LogError> {
        loop {
            if let Some(entry) = self.directory.cached(id) {
                return Ok(Some(entry));
            }
            let before = *self.directory.forgotten();
            let Some(stored) = self.directory.stored(id).await? else { return Ok(None) };
            if secret.is_some_and(|secret| !secret.matches(&stored.sha256)) {
                return Ok(None);
            }
            let root = self.workspace(stored.workspace).await?;
            let Some(row) = root.and_then(|root| credential_of_facts(&root, id)) else {
                tracing::error!(
                    workspace = %stored.workspace,
                    "the credential directory names a credential that the workspace never made: run `tenure verify --data`"
                );
                return Ok(None);
            };
            if let Some(entry) = self.directory.keep(row, before) {
                return Ok(Some(entry));
            }
        }
    }
}

/// Returns the credential of an id from the event that made it; none if the workspace made no such credential.
pub(super) fn credential_of_facts(facts: &Workspace, id: CredentialId) -> Option<StoredCredential> {
    let (sha256, holder) = match id {
        CredentialId::Token(id) => {
            let terms = facts.token_terms(id)?;
            (terms.sha256, CredentialHolder::Principal(terms.holder.clone()))
        }
        CredentialId::ProxyToken(id) => (facts.proxy_token_terms(id)?.sha256, CredentialHolder::ProxyToken),
        CredentialId::AccessKey(id) => {
            let terms = facts.access_key_terms(id)?;
            (terms.sha256, CredentialHolder::AccessKey(terms.role))
        }
    };
    Some(StoredCredential { id, workspace: facts.id(), sha256, holder })
}

/// An id and a secret that a caller presents.
#[derive(Debug, Clone)]
pub struct PresentedCredential {
    /// The id of the claimed credential.
    pub id: String,
    /// The secret that proves it.
    pub secret: Secret,
}

/// A credential from its workspace's facts, and the time of its last use.
#[derive(Debug)]
pub(super) struct CachedCredential {
    pub(super) row: StoredCredential,
    last_used: AtomicI64,
    unsaved: AtomicBool,
}

impl CachedCredential {
    /// Returns the write that records its last use.
    pub(super) fn last_use(&self) -> SideWrite {
        SideWrite::Used(self.row.id, Instant::from_micros(self.last_used.load(Ordering::Relaxed)))
    }
}

/// The credential directory.
pub(super) struct Directory {
    log: Arc<dyn Store>,
    rows: Cache<CredentialId, Arc<CachedCredential>>,
    /// A generation counter: a lookup that began under an older value may be stale.
    forgotten: Mutex<u64>,
    used: Mutex<Vec<Arc<CachedCredential>>>,
}

impl Directory {
    pub(super) fn new(log: Arc<dyn Store>) -> Self {
        Self { log, rows: Cache::new(ROWS_MAX), forgotten: Mutex::default(), used: Mutex::default() }
    }

    /// Returns the cached credential of an id.
    fn cached(&self, id: CredentialId) -> Option<Arc<CachedCredential>> {
        self.rows.get(&id)
    }

    /// Returns the stored row of an id, which only leads to its workspace.
    async fn stored(&self, id: CredentialId) -> Result<Option<StoredCredential>, LogError> {
        let log = Arc::clone(&self.log);
        let row = tokio::task::spawn_blocking(move || log.credential(id)).await;
        row.map_err(|_| LogError::Unavailable("the server is stopping".to_owned()))?
    }

    /// Caches a credential that was looked up; none if any was forgotten since, as it may be this one.
    fn keep(&self, row: StoredCredential, forgotten_before: u64) -> Option<Arc<CachedCredential>> {
        // `forget` takes the same lock, so a row that was read before it is never cached after it.
        let forgotten = self.forgotten();
        let id = row.id;
        let fresh =
            || Arc::new(CachedCredential { row, last_used: AtomicI64::new(i64::MIN), unsaved: AtomicBool::new(false) });
        (*forgotten == forgotten_before).then(|| self.rows.entry(id).or_insert_with(fresh).into_value())
    }

    fn forgotten(&self) -> MutexGuard<'_, u64> {
        self.forgotten.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes a credential that the store has removed.
    pub(super) fn forget(&self, id: CredentialId) {
        let mut forgotten = self.forgotten();
        *forgotten += 1;
        self.rows.invalidate(&id);
    }

    /// Remembers the time of a use. Maintenance writes it to the store later.
    pub(super) fn record_use(&self, entry: &Arc<CachedCredential>, now: Instant) {
        entry.last_used.fetch_max(now.micros(), Ordering::Relaxed);
        if !entry.unsaved.swap(true, Ordering::AcqRel) {
            self.used.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(entry));
        }
    }

    /// Removes and returns the credentials that were used since the last call.
    pub(super) fn take_used(&self) -> Vec<Arc<CachedCredential>> {
        let used = std::mem::take(&mut *self.used.lock().unwrap_or_else(PoisonError::into_inner));
        for entry in &used {
            entry.unsaved.store(false, Ordering::Release);
        }
        used
    }

    /// Puts credentials back whose uses could not be written.
    pub(super) fn put_back(&self, unwritten: Vec<Arc<CachedCredential>>) {
        let unwritten = unwritten.into_iter().filter(|entry| !entry.unsaved.swap(true, Ordering::AcqRel));
        self.used.lock().unwrap_or_else(PoisonError::into_inner).extend(unwritten);
    }

    /// Returns the time of the last use since the credential was cached.
    pub(super) fn last_used(&self, id: CredentialId) -> Option<Instant> {
        let micros = self.rows.get(&id)?.last_used.load(Ordering::Relaxed);
        (micros != i64::MIN).then(|| Instant::from_micros(micros))
    }
}
