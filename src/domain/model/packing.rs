//! Values as bytes beside the tables of a block: what comes up again and again is written once there and named by its place.
//!
//! Words, among them the types of events, stand in the table as they are, so a later order of roles or types reads nothing wrongly.

use std::collections::{BTreeMap, BTreeSet};

use foldhash::HashMap;
use imbl::Vector;
use uuid::Uuid;

use super::bytes::{Bytes, Column, folded, put_column, put_number, unfolded};
use crate::domain::model::credential::SecretDigest;
use crate::domain::model::id::{AccessKeyId, EnvironmentId, ProxyTokenId, ServiceUserId, TokenId, UserId, WorkspaceId};
use crate::domain::collections::hash_index::Index;
use crate::domain::model::name::{
    ActionName, EnvironmentName, Label, Reason, ResourceId, ResourceTypeName, ServiceUserName, StoredText as _,
    WorkspaceName,
};
use crate::domain::collections::dense_id_map::Number;
use crate::domain::model::principal::Principal;
use crate::domain::model::resource::ResourceKey;
use crate::domain::model::role::{AccessKeyRole, EnvironmentRole, Plan, RequiredRole, WorkspaceKind, WorkspaceRole};
use crate::domain::model::time::Instant;

/// A value that can stand in a packed event.
///
/// # Contract
/// `unpack` gives what was packed, and takes the bytes that `pack` wrote and no others.
pub(in crate::domain) trait Packed: Sized {
    /// Appends the value.
    fn pack<'a>(&'a self, out: &mut Packer<'a>);
    /// Takes the value off; none if it is not there.
    fn unpack(from: &mut Unpacker<'_>) -> Option<Self>;
}

/// Every user that the packed events of a workspace name, each once, whatever block names them.
#[derive(Debug, Clone, Default)]
pub(in crate::domain) struct Users {
    known: Vector<UserId>,
    places: Index,
}

impl Users {
    /// Every one, in the order of their places.
    pub(in crate::domain) const fn known(&self) -> &Vector<UserId> {
        &self.known
    }

    /// The place of a user, who is known from now on.
    pub(in crate::domain) fn place(&mut self, user: &UserId) -> u64 {
        let is_it = |Number(place)| self.at(u64::from(place)).is_some_and(|known| known == user);
        let place = self.places.find(user.as_str().as_bytes(), is_it).unwrap_or_else(|| {
            let place = Number(u32::try_from(self.known.len()).unwrap_or(u32::MAX));
            self.known.push_back(user.clone());
            self.places.insert(user.as_str().as_bytes(), place);
            place
        });
        u64::from(place.0)
    }

    fn at(&self, place: u64) -> Option<&UserId> {
        self.known.get(usize::try_from(place).ok()?)
    }
}

/// Writes the values of a block.
#[derive(Debug)]
pub(in crate::domain) struct Packer<'a> {
    /// The rows, one after the other.
    pub(in crate::domain) rows: Vec<u8>,
    /// When the event happened whose row is being written.
    pub(in crate::domain) time: i64,
    users: &'a mut Users,
    /// The places of the users that the block has named so far.
    user_places: HashMap<&'a str, u64>,
    texts: HashMap<&'a str, u64>,
    text_ends: Vec<u64>,
    text_bytes: Vec<u8>,
    ids: HashMap<Uuid, u64>,
    id_bytes: Vec<u8>,
}

impl<'a> Packer<'a> {
    /// A writer of a block, beside the users that the blocks before it name.
    pub(in crate::domain) fn beside(users: &'a mut Users) -> Self {
        Self {
            rows: Vec::new(),
            time: 0,
            users,
            user_places: HashMap::default(),
            texts: HashMap::default(),
            text_ends: Vec::new(),
            text_bytes: Vec::new(),
            ids: HashMap::default(),
            id_bytes: Vec::new(),
        }
    }

    /// The place of a user among all that the history names.
    fn user_place(&mut self, user: &'a UserId) -> u64 {
        *self.user_places.entry(user.as_str()).or_insert_with(|| self.users.place(user))
    }

    /// Appends a number.
    pub(in crate::domain) fn number(&mut self, number: u64) {
        put_number(&mut self.rows, number);
    }

    /// The place of a text in the table.
    pub(in crate::domain) fn text_place(&mut self, text: &'a str) -> u64 {
        let next = count(self.text_ends.len());
        let place = *self.texts.entry(text).or_insert(next);
        if place == next {
            self.text_bytes.extend_from_slice(text.as_bytes());
            self.text_ends.push(count(self.text_bytes.len()));
        }
        place
    }

    /// The place of an id in the table.
    pub(in crate::domain) fn id_place(&mut self, id: Uuid) -> u64 {
        let next = count(self.ids.len());
        let place = *self.ids.entry(id).or_insert(next);
        if place == next {
            self.id_bytes.extend_from_slice(id.as_bytes());
        }
        place
    }

    /// Appends a text.
    pub(in crate::domain) fn text(&mut self, text: &'a str) {
        let place = self.text_place(text);
        self.number(place);
    }

    /// Appends both tables.
    pub(in crate::domain) fn put_tables(&self, out: &mut Vec<u8>) {
        put_number(out, count(self.text_ends.len()));
        put_column(out, &self.text_ends);
        out.extend_from_slice(&self.text_bytes);
        put_number(out, count(self.ids.len()));
        out.extend_from_slice(&self.id_bytes);
    }
}

/// A length as a number.
pub(in crate::domain) fn count(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

/// The tables of a block.
#[derive(Debug, Clone, Copy)]
pub(in crate::domain) struct Tables<'a> {
    text_ends: Column<'a>,
    texts: &'a [u8],
    ids: &'a [u8],
}

impl<'a> Tables<'a> {
    /// What [`Packer::put_tables`] wrote.
    pub(in crate::domain) fn take(bytes: &mut Bytes<'a>) -> Option<Self> {
        let texts_len = bytes.count()?;
        let text_ends = bytes.column(texts_len)?;
        let texts_end = texts_len.checked_sub(1).map_or(Some(0), |last| text_ends.get(last))?;
        let texts = bytes.take(usize::try_from(texts_end).ok()?)?;
        let ids_len = bytes.count()?;
        Some(Self { text_ends, texts, ids: bytes.take(ids_len.checked_mul(16)?)? })
    }
}

/// Reads the values of one row.
#[derive(Debug)]
pub(in crate::domain) struct Unpacker<'a> {
    pub(in crate::domain) row: Bytes<'a>,
    pub(in crate::domain) tables: Tables<'a>,
    pub(in crate::domain) users: &'a Users,
    /// When the event happened.
    pub(in crate::domain) time: i64,
}

impl<'a> Unpacker<'a> {
    /// Takes a number off.
    pub(in crate::domain) fn number(&mut self) -> Option<u64> {
        self.row.number()
    }

    /// The text at a place in the table.
    pub(in crate::domain) fn text_at(&self, place: u64) -> Option<&'a str> {
        let text = self.tables.text_ends.piece(usize::try_from(place).ok()?, self.tables.texts)?;
        std::str::from_utf8(text).ok()
    }

    /// The id at a place in the table.
    pub(in crate::domain) fn id_at(&self, place: u64) -> Option<Uuid> {
        let start = usize::try_from(place).ok()?.checked_mul(16)?;
        Some(Uuid::from_bytes(*self.tables.ids.get(start..)?.first_chunk()?))
    }

    /// Takes a text off.
    pub(in crate::domain) fn text(&mut self) -> Option<&'a str> {
        let place = self.number()?;
        self.text_at(place)
    }
}

macro_rules! packed_texts {
    ($($text:ty),*) => {$(
        impl Packed for $text {
            fn pack<'a>(&'a self, out: &mut Packer<'a>) {
                out.text(self.as_str());
            }

            fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
                <$text>::stored(from.text()?).ok()
            }
        }
    )*};
}
packed_texts!(WorkspaceName, ServiceUserName, EnvironmentName, ResourceTypeName, ActionName, ResourceId, Reason, Label);

macro_rules! packed_words {
    ($($word:ty),*) => {$(
        impl Packed for $word {
            fn pack<'a>(&'a self, out: &mut Packer<'a>) {
                out.text(self.as_str());
            }

            fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
                from.text()?.parse().ok()
            }
        }
    )*};
}
packed_words!(EnvironmentRole, RequiredRole, WorkspaceRole, AccessKeyRole, WorkspaceKind, Plan);

macro_rules! packed_ids {
    ($($id:ty),*) => {$(
        impl Packed for $id {
            fn pack<'a>(&'a self, out: &mut Packer<'a>) {
                let place = out.id_place(self.uuid());
                out.number(place);
            }

            fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
                let place = from.number()?;
                from.id_at(place).map(Self::from_uuid)
            }
        }
    )*};
}
packed_ids!(WorkspaceId, EnvironmentId, ServiceUserId, TokenId, ProxyTokenId, AccessKeyId);

impl Packed for UserId {
    fn pack<'a>(&'a self, out: &mut Packer<'a>) {
        let place = out.user_place(self);
        out.number(place);
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        let place = from.number()?;
        from.users.at(place).cloned()
    }
}

impl Packed for Principal {
    fn pack<'a>(&'a self, out: &mut Packer<'a>) {
        let place = match self {
            Self::User(user) => out.user_place(user) << 1,
            Self::ServiceUser(id) => (out.id_place(id.uuid()) << 1) | 1,
        };
        out.number(place);
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        let place = from.number()?;
        match place & 1 {
            0 => from.users.at(place >> 1).cloned().map(Self::User),
            _ => from.id_at(place >> 1).map(ServiceUserId::from_uuid).map(Self::ServiceUser),
        }
    }
}

impl Packed for SecretDigest {
    fn pack<'a>(&'a self, out: &mut Packer<'a>) {
        out.rows.extend_from_slice(&self.0);
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        from.row.array().map(Self)
    }
}

/// Instants stand as their distance from the event's own.
impl Packed for Instant {
    fn pack<'a>(&'a self, out: &mut Packer<'a>) {
        out.number(folded(self.micros().wrapping_sub(out.time)));
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        from.number().map(|distance| Self::from_micros(from.time.wrapping_add(unfolded(distance))))
    }
}

impl Packed for ResourceKey {
    fn pack<'a>(&'a self, out: &mut Packer<'a>) {
        self.resource_type.pack(out);
        self.id.pack(out);
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        Some(Self { resource_type: Packed::unpack(from)?, id: Packed::unpack(from)? })
    }
}

impl<T: Packed> Packed for Option<T> {
    fn pack<'a>(&'a self, out: &mut Packer<'a>) {
        out.number(u64::from(self.is_some()));
        if let Some(value) = self {
            value.pack(out);
        }
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        match from.number()? {
            0 => Some(None),
            1 => T::unpack(from).map(Some),
            _ => None,
        }
    }
}

impl<T: Packed + Ord> Packed for BTreeSet<T> {
    fn pack<'a>(&'a self, out: &mut Packer<'a>) {
        out.number(count(self.len()));
        for value in self {
            value.pack(out);
        }
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        (0..from.number()?).map(|_| T::unpack(from)).collect()
    }
}

impl<K: Packed + Ord, V: Packed> Packed for BTreeMap<K, V> {
    fn pack<'a>(&'a self, out: &mut Packer<'a>) {
        out.number(count(self.len()));
        for (key, value) in self {
            key.pack(out);
            value.pack(out);
        }
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        (0..from.number()?).map(|_| Some((K::unpack(from)?, V::unpack(from)?))).collect()
    }
}
