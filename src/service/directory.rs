//! Who presents which credential, and when they last did.
//!
//! A row of the credential directory never changes, so it is kept in memory once it was looked up. Whether the credential is
//! still good is not asked here: the workspace's newest facts say so.

use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use moka::sync::Cache;

use super::mint::Secret;
use crate::domain::id::{AccessKeyId, NotAnId, ProxyTokenId, TokenId};
use crate::domain::time::Instant;
use crate::log::{CredentialRow, EventLog, LogError, Note, PresentedId};

/// How many rows are kept in memory.
const ROWS_MAX: u64 = 200_000;

impl FromStr for PresentedId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        match text.split_once('_').map(|(prefix, _)| prefix) {
            Some(TokenId::PREFIX) => text.parse().map(Self::Token),
            Some(ProxyTokenId::PREFIX) => text.parse().map(Self::ProxyToken),
            Some(AccessKeyId::PREFIX) => text.parse().map(Self::AccessKey),
            _ => Err(NotAnId(text.to_owned())),
        }
    }
}

/// An id and a secret, as someone presents them.
#[derive(Debug, Clone)]
pub struct Presented {
    /// Which credential it claims to be.
    pub id: String,
    /// What is to prove it.
    pub secret: Secret,
}

/// A row in memory, and when the credential was last used.
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
    rows: Cache<PresentedId, Arc<Entry>>,
    /// How many rows were forgotten: what was looked up before one of them was may be that one.
    forgotten: Mutex<u64>,
    used: Mutex<Vec<Arc<Entry>>>,
}

impl Directory {
    pub(super) fn new(log: Arc<dyn EventLog>) -> Self {
        Self { log, rows: Cache::new(ROWS_MAX), forgotten: Mutex::default(), used: Mutex::default() }
    }

    /// The row that a presented credential proves; none if there is no such credential or the secret is not its own.
    pub(super) async fn prove(&self, presented: &Presented) -> Result<Option<Arc<Entry>>, LogError> {
        let Ok(id) = presented.id.parse() else { return Ok(None) };
        let entry = self.find(id).await?;
        Ok(entry.filter(|entry| presented.secret.matches(&entry.row.sha256)))
    }

    /// The row of an id, for what was proved before.
    pub(super) async fn find(&self, id: PresentedId) -> Result<Option<Arc<Entry>>, LogError> {
        match self.rows.get(&id) {
            Some(entry) => Ok(Some(entry)),
            None => self.look_up(id).await,
        }
    }

    async fn look_up(&self, id: PresentedId) -> Result<Option<Arc<Entry>>, LogError> {
        loop {
            let before = *self.forgotten();
            let log = Arc::clone(&self.log);
            let row = tokio::task::spawn_blocking(move || log.credential(id)).await;
            let row = row.map_err(|_| LogError::Unavailable("the server is stopping".to_owned()))??;
            let Some(row) = row else { return Ok(None) };
            if let Some(entry) = self.keep(row, before) {
                return Ok(Some(entry));
            }
        }
    }

    /// Keeps a row that was looked up; none if one was forgotten since, and so perhaps this one.
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
    pub(super) fn forget(&self, id: PresentedId) {
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
    pub(super) fn last_used(&self, id: PresentedId) -> Option<Instant> {
        let micros = self.rows.get(&id)?.last_used.load(Ordering::Relaxed);
        (micros != i64::MIN).then(|| Instant::from_micros(micros))
    }
}
