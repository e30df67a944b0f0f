//! What takes events down: their ids are minted and their bytes are made before they count, so that one that cannot be stored
//! changes nothing.

use super::mint::Mint;
use crate::domain::decide::Recorder;
use crate::domain::event::Event;
use crate::domain::id::EventId;
use crate::domain::rejection::Rejection;
use crate::log::EVENT_BYTES_MAX;
use crate::log::codec::{self, EncodeError};

/// Events as they will be stored.
pub(super) struct StoredForms<'a> {
    mint: &'a dyn Mint,
    /// The bytes of each, in order.
    pub(super) bytes: Vec<Vec<u8>>,
}

impl<'a> StoredForms<'a> {
    /// None yet.
    pub(super) const fn new(mint: &'a dyn Mint) -> Self {
        Self { mint, bytes: Vec::new() }
    }
}

impl Recorder for StoredForms<'_> {
    fn next_event_id(&mut self) -> EventId {
        EventId::from_uuid(self.mint.uuid())
    }

    fn take_down(&mut self, event: &Event) -> Result<(), Rejection> {
        let bytes = codec::encode(event).map_err(|error| match error {
            EncodeError::TooLarge(_) => Rejection::TooLarge { what: "bytes an event", max: EVENT_BYTES_MAX },
            error => Rejection::Invalid { field: "time", why: error.to_string() },
        })?;
        self.bytes.push(bytes);
        Ok(())
    }
}
