//! What takes events down: their ids are minted and their bytes are made before they count, so that one that cannot be stored
//! changes nothing.

use super::mint::Mint;
use super::submission::{BYTES_FOR_A_BYTE, BYTES_FOR_ANY};
use crate::domain::model::event::{Event, EventData};
use crate::domain::model::id::EventId;
use crate::domain::model::rejection::Rejection;
use crate::domain::rules::decide::EventSink;
use crate::log::EVENT_BYTES_MAX;
use crate::log::codec::{self, EncodeError};

/// What a row of the credential directory takes.
const CREDENTIAL_BYTES: usize = 128;

/// How much one request may make the store write.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowance {
    max: usize,
    left: usize,
    /// Whether events that only end something count too.
    counts_ends: bool,
}

impl Allowance {
    /// What a request of so many bytes may make the store write, where so many go beside its events. What a single command ends is
    /// not counted, so that nothing that was made can be too large to end.
    pub(super) fn of_request(bytes: usize, beside: usize, is_single: bool) -> Self {
        let max = bytes.saturating_mul(BYTES_FOR_A_BYTE).saturating_add(BYTES_FOR_ANY);
        Self { max, left: max.saturating_sub(beside), counts_ends: !is_single }
    }

    fn take(&mut self, event: &Event, bytes: usize) -> Result<(), Rejection> {
        if event.data.only_ends() && !self.counts_ends {
            return Ok(());
        }
        let bytes = bytes.saturating_add(directory_bytes(&event.data));
        let too_much = Rejection::WritesTooMuch { max: self.max };
        self.left = self.left.checked_sub(bytes).ok_or(too_much)?;
        Ok(())
    }
}

fn directory_bytes(data: &EventData) -> usize {
    if data.fact().is_new_credential() { CREDENTIAL_BYTES } else { 0 }
}

/// Events as they will be stored.
pub(super) struct StoredForms<'a> {
    mint: &'a dyn Mint,
    allowance: Option<Allowance>,
    /// The bytes of each, in order.
    pub(super) bytes: Vec<Vec<u8>>,
}

impl<'a> StoredForms<'a> {
    /// None yet.
    pub(super) const fn new(mint: &'a dyn Mint) -> Self {
        Self { mint, allowance: None, bytes: Vec::new() }
    }

    /// None yet, and no more than are allowed.
    pub(super) const fn within(mint: &'a dyn Mint, allowance: Option<Allowance>) -> Self {
        Self { mint, allowance, bytes: Vec::new() }
    }
}

impl EventSink for StoredForms<'_> {
    fn next_event_id(&mut self) -> EventId {
        EventId::from_uuid(self.mint.uuid())
    }

    fn accept(&mut self, event: &Event) -> Result<(), Rejection> {
        let bytes = codec::encode(event).map_err(|error| match error {
            EncodeError::TooLarge(_) => Rejection::TooLarge { what: "bytes an event", max: EVENT_BYTES_MAX },
            error => Rejection::Invalid { field: "time", why: error.to_string() },
        })?;
        if let Some(allowance) = &mut self.allowance {
            allowance.take(event, bytes.len())?;
        }
        self.bytes.push(bytes);
        Ok(())
    }
}
