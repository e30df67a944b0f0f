//! The key that cursors are signed with: random, made on the first start, and kept in the store.

use super::id_generator::NoRandomness;
use super::{INSTANCE, Service};
use crate::log::{CursorSecret, LogError, SideWrite};

impl Service {
    /// Returns the key that cursors are signed with. The first start makes it. If the store cannot keep it, it lasts until the server stops.
    ///
    /// # Errors
    /// The system has no randomness to give.
    pub async fn cursor_key(&self) -> Result<CursorSecret, NoRandomness> {
        if let Ok(Some(stored)) = self.stored_cursor_key().await {
            return Ok(stored);
        }
        let made = CursorSecret::new(self.ids.secret_bits()?);
        match self.keep_cursor_key(made.clone()).await {
            Ok(Some(stored)) => return Ok(stored),
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "the key of cursors could not be stored: the next start refuses them"),
        }
        Ok(made)
    }

    async fn stored_cursor_key(&self) -> Result<Option<CursorSecret>, LogError> {
        self.reading(|log| log.cursor_key()).await
    }

    /// Stores a key unless there is one, and returns the one that is stored.
    async fn keep_cursor_key(&self, made: CursorSecret) -> Result<Option<CursorSecret>, LogError> {
        self.write(INSTANCE, vec![SideWrite::KeepCursorKey(made)]).await?;
        self.stored_cursor_key().await
    }
}
