//! Encoding events: each gets its id and its stored bytes before it counts, so an event that cannot be stored changes nothing.

use super::id_generator::IdGenerator;
use super::reserve_shares::ROW_BYTES;
use super::submission::{BYTES_FOR_A_BYTE, BYTES_FOR_ANY};
use crate::domain::model::event::{Event, EventData};
use crate::domain::model::id::EventId;
use crate::domain::model::rejection::Rejection;
use crate::domain::rules::decide::EventSink;
use crate::log::EVENT_BYTES_MAX;
use crate::log::codec::{self, EncodeError};

/// The approximate size of a row of the credential directory, in bytes.
const CREDENTIAL_BYTES: usize = 128;

/// The bytes that one request may make the store write.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowance {
    max: usize,
    left: usize,
    /// Whether revocations and deletions count too.
    counts_ends: bool,
}

impl Allowance {
    /// Returns the allowance of a request of `bytes` bytes, less those written beside its events. Revocations and deletions do not count
    /// towards a single command's limit, so nothing is too large to delete.
    pub(super) fn of_request(bytes: usize, beside: usize, is_single: bool) -> Self {
        let max = bytes.saturating_mul(BYTES_FOR_A_BYTE).saturating_add(BYTES_FOR_ANY);
        Self { max, left: max.saturating_sub(beside), counts_ends: !is_single }
    }

    fn charge(&mut self, event: &Event, bytes: usize) -> Result<(), Rejection> {
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

/// An encoder of events, which holds their stored bytes.
pub(super) struct EventEncoder<'a> {
    ids: &'a dyn IdGenerator,
    allowance: Option<Allowance>,
    /// The bytes that are left of the holder's share of the disk reserve, if only that is left.
    share: Option<u64>,
    /// Whether an event was refused because of the share.
    pub(super) is_over_share: bool,
    /// The bytes of each event, in order.
    pub(super) bytes: Vec<Vec<u8>>,
}

impl<'a> EventEncoder<'a> {
    /// Returns an empty encoder without a limit.
    pub(super) const fn new(ids: &'a dyn IdGenerator) -> Self {
        Self::within(ids, None)
    }

    /// Returns an empty encoder with an optional limit.
    pub(super) const fn within(ids: &'a dyn IdGenerator, allowance: Option<Allowance>) -> Self {
        Self { ids, allowance, share: None, is_over_share: false, bytes: Vec::new() }
    }

    /// Limits the encoder to a share of the disk reserve too; none for no limit.
    pub(super) fn with_share(self, share: Option<u64>) -> Self {
        Self { share, ..self }
    }

    fn charge_share(&mut self, bytes: usize) -> Result<(), Rejection> {
        let Some(left) = self.share else { return Ok(()) };
        self.share = left.checked_sub(stored_bytes(bytes));
        self.is_over_share = self.share.is_none();
        if self.is_over_share { Err(Rejection::WritesTooMuch { max: 0 }) } else { Ok(()) }
    }
}

/// Returns about how many bytes the store writes for something of `bytes` bytes: once into the WAL, and once into the file.
pub(super) fn stored_bytes(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX).saturating_mul(2).saturating_add(ROW_BYTES)
}

impl EventSink for EventEncoder<'_> {
    fn next_event_id(&mut self) -> EventId {
        EventId::from_uuid(self.ids.uuid())
    }

    fn accept(&mut self, event: &Event) -> Result<(), Rejection> {
        let bytes = codec::encode(event).map_err(|error| match error {
            EncodeError::TooLarge(_) => Rejection::TooLarge { what: "bytes an event", max: EVENT_BYTES_MAX },
            error @ (EncodeError::Time(_) | EncodeError::Json(_)) => {
                Rejection::Invalid { field: "time", why: error.to_string() }
            }
        })?;
        if let Some(allowance) = &mut self.allowance {
            allowance.charge(event, bytes.len())?;
        }
        self.charge_share(bytes.len())?;
        self.bytes.push(bytes);
        Ok(())
    }
}
