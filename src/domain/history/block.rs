//! A block: neighbouring events of one workspace, packed.
//!
//! The times and the commands of the events have columns of their own, so neither is unpacked. The rest of each event
//! is a row beside the block's tables.

use std::ops::Range;
use std::sync::Arc;

use uuid::Uuid;

use super::BLOCK_LEN;
use crate::domain::collections::interpolation_search::{part, search_from};
use crate::domain::model::bytes::{Bytes, NumberColumn, folded, put_column, unfolded};
use crate::domain::model::event::{Event, EventData};
use crate::domain::model::id::{CommandId, EventId, ServiceUserId, TokenId, WorkspaceId};
use crate::domain::model::packing::{Packed, Packer, Tables, Unpacker, Users, count};
use crate::domain::model::principal::{Actor, ActorCredential};
use crate::domain::model::time::{Instant, Revision};

/// The number of samples in a block: they fit one cache line.
const SAMPLES: usize = 8;
/// The distance between two samples, in events.
const SAMPLED: usize = BLOCK_LEN / SAMPLES;
/// The first step of a search for a time, in events.
const NEAR: usize = 4;

/// The bits that say which parts the row of an event has.
mod marks {
    pub(super) const RECORDED: u8 = 1;
    pub(super) const REASON: u8 = 2;
    pub(super) const BY_USER: u8 = 4;
    pub(super) const BY_SERVICE_USER: u8 = 8;
    pub(super) const BY_SYSTEM: u8 = 16;
    pub(super) const WITH_OPERATOR: u8 = 32;
    pub(super) const WITH_TOKEN: u8 = 64;
}

/// Packed events.
#[derive(Debug, Clone)]
pub(super) struct Block {
    /// The position of its first event in the history, from 0.
    pub(super) first: u64,
    /// The time of its first event.
    pub(super) first_time: Instant,
    /// The number of its events.
    pub(super) len: usize,
    /// The width of the column of times, in bytes. It is also the first of `bytes`; this copy saves a memory read for
    /// each time.
    time_width: u8,
    /// The time of every [`SAMPLED`]th event since the first one, in microseconds; the greatest number where there is
    /// none. They lead a search near the wanted position of the column.
    samples: [u64; SAMPLES],
    /// The columns, the tables and the rows.
    pub(super) bytes: Arc<[u8]>,
}

/// The parts of a block.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parts<'a> {
    first_time: i64,
    times: NumberColumn<'a>,
    starts: &'a [u8],
    commands: &'a [u8],
    tables: Tables<'a>,
    users: &'a Users,
    row_ends: NumberColumn<'a>,
    rows: &'a [u8],
}

impl Block {
    /// Returns a block of `len` events, with the position and time of its first event.
    pub(super) fn new(first: u64, first_time: Instant, len: usize, bytes: Arc<[u8]>) -> Self {
        let time_width = bytes.first().copied().unwrap_or_default();
        let times = times_in(&bytes, time_width, len);
        let sample = |position| times.filter(|_| position * SAMPLED < len)?.get(position * SAMPLED);
        let samples = std::array::from_fn(|position| sample(position).unwrap_or(u64::MAX));
        Self { first, first_time, len, time_width, samples, bytes }
    }

    /// Packs events. `first` is the position of the first one in the history.
    pub(super) fn pack<'a>(first: u64, events: impl Iterator<Item = &'a Event> + Clone, users: &'a mut Users) -> Self {
        let first_time = events.clone().next().map_or(Instant::EARLIEST, |event| event.time);
        let mut packer = Packer::beside(users);
        let mut row_ends = Vec::new();
        for event in events.clone() {
            pack_row(event, &mut packer);
            row_ends.push(count(packer.rows.len()));
        }
        let mut bytes = Vec::with_capacity(packer.rows.len() * 2);
        put_times(&mut bytes, first_time, events.clone());
        put_commands(&mut bytes, events);
        packer.put_tables(&mut bytes);
        put_column(&mut bytes, &row_ends);
        bytes.extend_from_slice(&packer.rows);
        Self::new(first, first_time, row_ends.len(), bytes.into())
    }

    /// Returns the position after its last event.
    pub(super) fn end(&self) -> u64 {
        self.first.saturating_add(count(self.len))
    }

    fn times(&self) -> Option<NumberColumn<'_>> {
        times_in(&self.bytes, self.time_width, self.len)
    }

    /// Returns the time of its event at an offset.
    pub(super) fn time(&self, offset: usize) -> Option<Instant> {
        self.times()?.get(offset).map(|passed| later(self.first_time.micros(), passed))
    }

    /// Returns the number of its events that happened at or before an instant. `end` is the time of the next block's
    /// first event, or of the last event.
    pub(super) fn count_until(&self, instant: Instant, end: Option<Instant>) -> usize {
        let Some(times) = self.times().filter(|_| self.first_time <= instant) else { return 0 };
        let since_first = |instant: Instant| instant.micros().wrapping_sub(self.first_time.micros()).cast_unsigned();
        let passed = since_first(instant);
        let begun = self.samples.iter().filter(|sample| **sample <= passed).count();
        let Some(position) = begun.checked_sub(1) else { return 0 };
        let next = self.samples.get(begun).copied().unwrap_or(u64::MAX).min(end.map_or(0, since_first));
        let (first, from) = (position * SAMPLED, self.samples.get(position).copied().unwrap_or_default());
        let len = self.len.saturating_sub(first).min(SAMPLED);
        let guess = part(len, passed.saturating_sub(from), next.saturating_sub(from));
        let happened = |offset: usize| times.get(first + offset).is_some_and(|of_event| of_event <= passed);
        first.min(self.len) + search_from(guess, NEAR, len, happened)
    }

    /// Returns the command of its event at an offset.
    pub(super) fn command(&self, offset: usize) -> Option<CommandId> {
        let mut bytes = Bytes(&self.bytes);
        bytes.column(self.len)?;
        let (starts, commands) = take_commands(&mut bytes, self.len)?;
        last_command(commands, commands_begun(starts, offset)?)
    }

    /// Returns its parts. `users` are those of its history.
    pub(super) fn parts<'a>(&'a self, users: &'a Users) -> Option<Parts<'a>> {
        let mut bytes = Bytes(&self.bytes);
        let times = bytes.column(self.len)?;
        let (starts, commands) = take_commands(&mut bytes, self.len)?;
        let tables = Tables::take(&mut bytes)?;
        let row_ends = bytes.column(self.len)?;
        let first_time = self.first_time.micros();
        Some(Parts { first_time, times, starts, commands, tables, users, row_ends, rows: bytes.0 })
    }
}

fn times_in(bytes: &[u8], width: u8, len: usize) -> Option<NumberColumn<'_>> {
    Bytes(bytes.get(1..)?).column_of(width, len)
}

fn later(micros: i64, passed: u64) -> Instant {
    Instant::from_micros(micros.wrapping_add(passed.cast_signed()))
}

fn put_times<'a>(out: &mut Vec<u8>, first: Instant, events: impl Iterator<Item = &'a Event>) {
    let passed = |event: &Event| event.time.micros().wrapping_sub(first.micros()).cast_unsigned();
    let passed: Vec<u64> = events.map(passed).collect();
    put_column(out, &passed);
}

/// Appends a bit for each event, set where another command begins, and then each command once.
fn put_commands<'a>(out: &mut Vec<u8>, events: impl Iterator<Item = &'a Event>) {
    let mut starts = Vec::new();
    let mut commands: Vec<CommandId> = Vec::new();
    for (offset, event) in events.enumerate() {
        if offset % 8 == 0 {
            starts.push(0_u8);
        }
        if commands.last() != Some(&event.command) {
            commands.push(event.command);
            if let Some(bits) = starts.last_mut() {
                *bits |= 1 << (offset % 8);
            }
        }
    }
    out.extend_from_slice(&starts);
    for command in commands {
        out.extend_from_slice(command.uuid().as_bytes());
    }
}

fn ones(bits: &[u8]) -> usize {
    let ones: u32 = bits.iter().map(|byte| byte.count_ones()).sum();
    usize::try_from(ones).unwrap_or(usize::MAX)
}

fn take_commands<'a>(bytes: &mut Bytes<'a>, len: usize) -> Option<(&'a [u8], &'a [u8])> {
    let starts = bytes.take(len.div_ceil(8))?;
    Some((starts, bytes.take(ones(starts).checked_mul(16)?)?))
}

/// Returns the number of commands that have begun at an offset.
fn commands_begun(starts: &[u8], offset: usize) -> Option<usize> {
    let (whole, rest) = (starts.get(..offset / 8)?, starts.get(offset / 8)?);
    Some(ones(whole) + ones(&[rest & (0xff >> (7 - offset % 8))]))
}

/// Returns whether the event at an offset is the first one of its command.
fn begins_command(starts: &[u8], offset: usize) -> bool {
    starts.get(offset / 8).is_some_and(|bits| bits & (1 << (offset % 8)) != 0)
}

/// Returns the command at a position, counted from 1.
fn last_command(commands: &[u8], begun: usize) -> Option<CommandId> {
    let start = begun.checked_sub(1)?.checked_mul(16)?;
    Some(CommandId::from_uuid(Uuid::from_bytes(*commands.get(start..)?.first_chunk()?)))
}

fn pack_row<'a>(event: &'a Event, out: &mut Packer<'a>) {
    out.time = event.time.micros();
    out.rows.push(marks_of(event));
    if let Some(recorded) = &event.recorded {
        recorded.pack(out);
    }
    pack_id(event.id.uuid(), event.recorded.unwrap_or(event.time), out);
    match &event.actor {
        Actor::User(user) => user.pack(out),
        Actor::ServiceUser(id) => id.pack(out),
        Actor::Operator | Actor::System => {}
    }
    if let Some(ActorCredential::Token(token)) = &event.credential {
        token.pack(out);
    }
    if let Some(reason) = &event.reason {
        reason.pack(out);
    }
    event.data.pack(out);
}

/// The length of an id's part after its millisecond, in bytes.
const RANDOM_LEN: usize = 10;
const RANDOM_BITS: u32 = 80;

/// Packs an id. It begins with the millisecond in which it was made (RFC 9562, section 5.7), which is close to the time
/// at which the event was recorded. An id that does not takes some bytes more.
fn pack_id(id: Uuid, made: Instant, out: &mut Packer<'_>) {
    let millis = i64::try_from(id.as_u128() >> RANDOM_BITS).unwrap_or_default();
    out.number(folded(millis.wrapping_sub(made.micros().div_euclid(1_000))));
    if let Some(random) = id.as_bytes().last_chunk::<RANDOM_LEN>() {
        out.rows.extend_from_slice(random);
    }
}

fn unpack_id(made: Instant, from: &mut Unpacker<'_>) -> Option<Uuid> {
    let millis = made.micros().div_euclid(1_000).wrapping_add(unfolded(from.number()?));
    let mut bytes = (u128::from(millis.cast_unsigned()) << RANDOM_BITS).to_be_bytes();
    *bytes.last_chunk_mut::<RANDOM_LEN>()? = from.row.array()?;
    Some(Uuid::from_bytes(bytes))
}

fn marks_of(event: &Event) -> u8 {
    let actor = match event.actor {
        Actor::Operator => 0,
        Actor::User(_) => marks::BY_USER,
        Actor::ServiceUser(_) => marks::BY_SERVICE_USER,
        Actor::System => marks::BY_SYSTEM,
    };
    let credential = match event.credential {
        None => 0,
        Some(ActorCredential::Operator) => marks::WITH_OPERATOR,
        Some(ActorCredential::Token(_)) => marks::WITH_TOKEN,
    };
    let recorded = if event.recorded.is_some() { marks::RECORDED } else { 0 };
    let reason = if event.reason.is_some() { marks::REASON } else { 0 };
    actor | credential | recorded | reason
}

impl<'a> Parts<'a> {
    /// Returns the event at an offset, with this workspace and revision. Returns `None` if there is none, or if the
    /// bytes are not those of an event.
    pub(super) fn event(&self, offset: usize, workspace: WorkspaceId, revision: Revision) -> Option<Event> {
        self.event_from(offset, commands_begun(self.starts, offset)?, workspace, revision)
    }

    /// Returns the events at some offsets. The first has this revision.
    pub(super) fn events(
        self,
        offsets: Range<usize>,
        workspace: WorkspaceId,
        first: Revision,
    ) -> impl Iterator<Item = Option<Event>> + use<'a> {
        // Counted once for the first event, and then with each event.
        let before = offsets.start.checked_sub(1).and_then(|before| commands_begun(self.starts, before));
        let mut begun = before.unwrap_or_default();
        offsets.zip(first.0..).map(move |(offset, revision)| {
            begun += usize::from(begins_command(self.starts, offset));
            self.event_from(offset, begun, workspace, Revision(revision))
        })
    }

    /// Returns the event at an offset, with the command at the position `begun`.
    fn event_from(&self, offset: usize, begun: usize, workspace: WorkspaceId, revision: Revision) -> Option<Event> {
        let time = later(self.first_time, self.times.get(offset)?);
        let row = Bytes(self.row_ends.piece(offset, self.rows)?);
        let mut from = Unpacker { row, tables: self.tables, users: self.users, time: time.micros() };
        let marks = from.row.byte()?;
        let has = |mark: u8| marks & mark != 0;
        let recorded = if has(marks::RECORDED) { Some(Instant::unpack(&mut from)?) } else { None };
        let event = Event {
            id: EventId::from_uuid(unpack_id(recorded.unwrap_or(time), &mut from)?),
            workspace,
            revision,
            time,
            recorded,
            actor: unpack_actor(marks, &mut from)?,
            credential: unpack_credential(marks, &mut from)?,
            command: last_command(self.commands, begun)?,
            reason: if has(marks::REASON) { Some(Packed::unpack(&mut from)?) } else { None },
            data: EventData::unpack(&mut from)?,
        };
        from.row.0.is_empty().then_some(event)
    }
}

fn unpack_actor(marks: u8, from: &mut Unpacker<'_>) -> Option<Actor> {
    match marks & (marks::BY_USER | marks::BY_SERVICE_USER | marks::BY_SYSTEM) {
        0 => Some(Actor::Operator),
        marks::BY_USER => Packed::unpack(from).map(Actor::User),
        marks::BY_SERVICE_USER => ServiceUserId::unpack(from).map(Actor::ServiceUser),
        marks::BY_SYSTEM => Some(Actor::System),
        _ => None,
    }
}

#[expect(clippy::option_option, reason = "an event may have no credential, and bytes may be of no event")]
fn unpack_credential(marks: u8, from: &mut Unpacker<'_>) -> Option<Option<ActorCredential>> {
    match marks & (marks::WITH_OPERATOR | marks::WITH_TOKEN) {
        0 => Some(None),
        marks::WITH_OPERATOR => Some(Some(ActorCredential::Operator)),
        marks::WITH_TOKEN => TokenId::unpack(from).map(|token| Some(ActorCredential::Token(token))),
        _ => None,
    }
}
