//! Who presents which credential, and when they last did.
//!
//! The stored directory is an index and never an authority: it leads from an id to a workspace, and the digest, the holder and the
//! role that count are those of the event that made the credential. They never change, so they are kept in memory once they were
//! looked up. Whether the credential is still good is not asked here: the workspace's newest facts say so.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use moka::sync::Cache;

use super::Service;
use super::mint::Secret;
use crate::domain::model::time::Instant;
use crate::domain::state::workspace::Workspace;
use crate::log::{CredentialHolder, CredentialId, CredentialRow, EventLog, LogError, Note};

/// How many rows are kept in memory.
const ROWS_MAX: u64 = 200_000;

impl Service {
    /// The credential that a presented one proves; none if there is no such credential or the secret is not its own.
    ///
    /// # Errors
    /// As [`Self::workspace`].
    pub(super) async fn prove(&self, presented: &Presented) -> Result<Option<Arc<Entry>>, LogError> {
        let Ok(id) = presented.id.parse() else { return Ok(None) };
        let entry = self.credential(id, Some(&presented.secret)).await?;
        Ok(entry.filter(|entry| presented.secret.matches(&entry.row.sha256)))
    }

    /// The credential of an id, as the facts of its workspace have it. Where a secret is given that is not the stored row's own, no
    /// workspace is loaded for it.
    ///
    /// # Errors
    /// As [`Self::workspace`].
    pub(super) async fn credential(
        &self,
        id: CredentialId,
        secret: Option<&Secret>,
    ) -> Result<Option<Arc<Entry>>, LogError> {
        loop {
            if let Some(entry) = self.directory.known(id) {
                return Ok(Some(entry));
            }
            let before = *self.directory.forgotten();
            let Some(stored) = self.directory.stored(id).await? else { return Ok(None) };
            if secret.is_some_and(|secret| !secret.matches(&stored.sha256)) {
                return Ok(None);
            }
            let root = self.workspace(stored.workspace).await?;
            let Some(row) = root.and_then(|root| of_facts(&root, id)) else {
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

/// The credential of an id, as the event that made it says; none if the workspace made none.
pub(super) fn of_facts(facts: &Workspace, id: CredentialId) -> Option<CredentialRow> {
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
    Some(CredentialRow { id, workspace: facts.id(), sha256, holder })
}

/// An id and a secret, as someone presents them.
#[derive(Debug, Clone)]
pub struct Presented {
    /// Which credential it claims to be.
    pub id: String,
    /// What is to prove it.
    pub secret: Secret,
}

/// A credential as its workspace's facts have it, and when it was last used.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) row: CredentialRow,
    last_used: AtomicI64,
    unsaved: AtomicBool,
}

impl Entry {
    /// What the store is told of its last use.
    pub(super) fn last_use(&self) -> Note {
        Note::Used(self.row.id, Instant::from_micros(self.last_used.load(Ordering::Relaxed)))
    }
}

/// The credential directory.
pub(super) struct Directory {
    log: Arc<dyn EventLog>,
    rows: Cache<CredentialId, Arc<Entry>>,
    /// How many rows were forgotten: what was looked up before one of them was may be that one.
    forgotten: Mutex<u64>,
    used: Mutex<Vec<Arc<Entry>>>,
}

impl Directory {
    pub(super) fn new(log: Arc<dyn EventLog>) -> Self {
        Self { log, rows: Cache::new(ROWS_MAX), forgotten: Mutex::default(), used: Mutex::default() }
    }

    /// What is kept in memory of an id.
    fn known(&self, id: CredentialId) -> Option<Arc<Entry>> {
        self.rows.get(&id)
    }

    /// The stored row of an id, which only says where to look.
    async fn stored(&self, id: CredentialId) -> Result<Option<CredentialRow>, LogError> {
        let log = Arc::clone(&self.log);
        let row = tokio::task::spawn_blocking(move || log.credential(id)).await;
        row.map_err(|_| LogError::Unavailable("the server is stopping".to_owned()))?
    }

    /// Keeps a credential that was looked up; none if one was forgotten since, and so perhaps this one.
    fn keep(&self, row: CredentialRow, forgotten_before: u64) -> Option<Arc<Entry>> {
        // Forgetting takes the same lock, so a row that was read before it is never kept after it.
        let forgotten = self.forgotten();
        let id = row.id;
        let fresh = || Arc::new(Entry { row, last_used: AtomicI64::new(i64::MIN), unsaved: AtomicBool::new(false) });
        (*forgotten == forgotten_before).then(|| self.rows.entry(id).or_insert_with(fresh).into_value())
    }

    fn forgotten(&self) -> MutexGuard<'_, u64> {
        self.forgotten.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets a row that the store has forgotten.
    pub(super) fn forget(&self, id: CredentialId) {
        let mut forgotten = self.forgotten();
        *forgotten += 1;
        self.rows.invalidate(&id);
    }

    /// Remembers that a credential was used; written to the store now and then, not now.
    pub(super) fn note_use(&self, entry: &Arc<Entry>, now: Instant) {
        entry.last_used.fetch_max(now.micros(), Ordering::Relaxed);
        if !entry.unsaved.swap(true, Ordering::AcqRel) {
            self.used.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(entry));
        }
    }

    /// What was used since the last time this was called.
    pub(super) fn take_used(&self) -> Vec<Arc<Entry>> {
        let used = std::mem::take(&mut *self.used.lock().unwrap_or_else(PoisonError::into_inner));
        for entry in &used {
            entry.unsaved.store(false, Ordering::Release);
        }
        used
    }

    /// Takes back what could not be written, to be written the next time.
    pub(super) fn put_back(&self, unwritten: Vec<Arc<Entry>>) {
        let unwritten = unwritten.into_iter().filter(|entry| !entry.unsaved.swap(true, Ordering::AcqRel));
        self.used.lock().unwrap_or_else(PoisonError::into_inner).extend(unwritten);
    }

    /// When a credential was last used since it was looked up.
    pub(super) fn last_used(&self, id: CredentialId) -> Option<Instant> {
        let micros = self.rows.get(&id)?.last_used.load(Ordering::Relaxed);
        (micros != i64::MIN).then(|| Instant::from_micros(micros))
    }
}
