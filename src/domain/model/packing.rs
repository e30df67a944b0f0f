//! Values as bytes beside the tables of a block. A value that repeats is written once into a table and referred to by
//! its position.
//!
//! Words, such as the types of events, are written as texts. So the order of roles or types in the code may change.

use std::collections::{BTreeMap, BTreeSet};

use foldhash::HashMap;
use imbl::Vector;
use uuid::Uuid;

use super::bytes::{Bytes, NumberColumn, folded, put_column, put_number, unfolded};
use crate::domain::collections::dense_id_map::DenseId;
use crate::domain::collections::hash_index::HashIndex;
use crate::domain::model::credential::SecretDigest;
use crate::domain::model::id::{AccessKeyId, EnvironmentId, ProxyTokenId, ServiceUserId, TokenId, UserId, WorkspaceId};
use crate::domain::model::name::{
    ActionName, EnvironmentName, Label, Reason, ResourceId, ResourceTypeName, ServiceUserName, StoredText as _,
    WorkspaceName,
};
use crate::domain::model::principal::Principal;
use crate::domain::model::resource::ResourceKey;
use crate::domain::model::role::{AccessKeyRole, EnvironmentRole, Plan, RequiredRole, WorkspaceKind, WorkspaceRole};
use crate::domain::model::time::Instant;

/// A value of a packed event.
///
/// # Contract
/// `unpack` returns the value that was packed, and takes exactly the bytes that `pack` wrote.
pub(in crate::domain) trait Packed: Sized {
    /// Appends the value.
    fn pack<'a>(&'a self, out: &mut Packer<'a>);
    /// Takes the value, or returns `None` if it is not there.
    fn unpack(from: &mut Unpacker<'_>) -> Option<Self>;
}

/// Every user that the packed events of a workspace name, once for all blocks.
#[derive(Debug, Clone, Default)]
pub(in crate::domain) struct Users {
    known: Vector<UserId>,
    positions: HashIndex,
}

impl Users {
    /// Returns the users in the order of their positions.
    pub(in crate::domain) const fn known(&self) -> &Vector<UserId> {
        &self.known
    }

    /// Returns the position of a user, and adds the user if needed.
    pub(in crate::domain) fn position(&mut self, user: &UserId) -> u64 {
        let is_it = |DenseId(position)| self.at(u64::from(position)).is_some_and(|known| known == user);
        let position = self.positions.find(user.as_str().as_bytes(), is_it).unwrap_or_else(|| {
            let position = DenseId(u32::try_from(self.known.len()).unwrap_or(u32::MAX));
            self.known.push_back(user.clone());
            self.positions.insert(user.as_str().as_bytes(), position);
            position
        });
        u64::from(position.0)
    }

    fn at(&self, position: u64) -> Option<&UserId> {
        self.known.get(usize::try_from(position).ok()?)
    }
}

/// The writer of a block.
#[derive(Debug)]
pub(in crate::domain) struct Packer<'a> {
    /// The rows, one after the other.
    pub(in crate::domain) rows: Vec<u8>,
    /// The time of the event whose row is being written, in microseconds.
    pub(in crate::domain) time: i64,
    users: &'a mut Users,
    /// The positions of the users that this block names.
    user_positions: HashMap<&'a str, u64>,
    texts: HashMap<&'a str, u64>,
    text_ends: Vec<u64>,
    text_bytes: Vec<u8>,
    ids: HashMap<Uuid, u64>,
    id_bytes: Vec<u8>,
}

impl<'a> Packer<'a> {
    /// Returns a writer of a block. `users` are those that earlier blocks name.
    pub(in crate::domain) fn beside(users: &'a mut Users) -> Self {
        Self {
            rows: Vec::new(),
            time: 0,
            users,
            user_positions: HashMap::default(),
            texts: HashMap::default(),
            text_ends: Vec::new(),
            text_bytes: Vec::new(),
            ids: HashMap::default(),
            id_bytes: Vec::new(),
        }
    }

    /// Returns the position of a user among all that the history names.
    fn user_position(&mut self, user: &'a UserId) -> u64 {
        *self.user_positions.entry(user.as_str()).or_insert_with(|| self.users.position(user))
    }

    /// Appends a number.
    pub(in crate::domain) fn number(&mut self, number: u64) {
        put_number(&mut self.rows, number);
    }

    /// Returns the position of a text in the table.
    pub(in crate::domain) fn text_position(&mut self, text: &'a str) -> u64 {
        let next = count(self.text_ends.len());
        let position = *self.texts.entry(text).or_insert(next);
        if position == next {
            self.text_bytes.extend_from_slice(text.as_bytes());
            self.text_ends.push(count(self.text_bytes.len()));
        }
        position
    }

    /// Returns the position of an id in the table.
    pub(in crate::domain) fn id_position(&mut self, id: Uuid) -> u64 {
        let next = count(self.ids.len());
        let position = *self.ids.entry(id).or_insert(next);
        if position == next {
            self.id_bytes.extend_from_slice(id.as_bytes());
        }
        position
    }

    /// Appends a text.
    pub(in crate::domain) fn text(&mut self, text: &'a str) {
        let position = self.text_position(text);
        self.number(position);
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

/// Returns a length as a number.
pub(in crate::domain) fn count(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

/// The tables of a block.
#[derive(Debug, Clone, Copy)]
pub(in crate::domain) struct Tables<'a> {
    text_ends: NumberColumn<'a>,
    texts: &'a [u8],
    ids: &'a [u8],
}

impl<'a> Tables<'a> {
    /// Takes the tables that [`Packer::put_tables`] wrote.
    pub(in crate::domain) fn take(bytes: &mut Bytes<'a>) -> Option<Self> {
        let texts_len = bytes.count()?;
        let text_ends = bytes.column(texts_len)?;
        let texts_end = texts_len.checked_sub(1).map_or(Some(0), |last| text_ends.get(last))?;
        let texts = bytes.take(usize::try_from(texts_end).ok()?)?;
        let ids_len = bytes.count()?;
        Some(Self { text_ends, texts, ids: bytes.take(ids_len.checked_mul(16)?)? })
    }
}

/// The reader of one row.
#[derive(Debug)]
pub(in crate::domain) struct Unpacker<'a> {
    pub(in crate::domain) row: Bytes<'a>,
    pub(in crate::domain) tables: Tables<'a>,
    pub(in crate::domain) users: &'a Users,
    /// The time of the event, in microseconds.
    pub(in crate::domain) time: i64,
}

impl<'a> Unpacker<'a> {
    /// Takes a number.
    pub(in crate::domain) fn number(&mut self) -> Option<u64> {
        self.row.number()
    }

    /// Returns the text at a position in the table.
    pub(in crate::domain) fn text_at(&self, position: u64) -> Option<&'a str> {
        let text = self.tables.text_ends.piece(usize::try_from(position).ok()?, self.tables.texts)?;
        std::str::from_utf8(text).ok()
    }

    /// Returns the id at a position in the table.
    pub(in crate::domain) fn id_at(&self, position: u64) -> Option<Uuid> {
        let start = usize::try_from(position).ok()?.checked_mul(16)?;
        Some(Uuid::from_bytes(*self.tables.ids.get(start..)?.first_chunk()?))
    }

    /// Takes a text.
    pub(in crate::domain) fn text(&mut self) -> Option<&'a str> {
        let position = self.number()?;
        self.text_at(position)
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
                let position = out.id_position(self.uuid());
                out.number(position);
            }

            fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
                let position = from.number()?;
                from.id_at(position).map(Self::from_uuid)
            }
        }
    )*};
}
packed_ids!(WorkspaceId, EnvironmentId, ServiceUserId, TokenId, ProxyTokenId, AccessKeyId);

impl Packed for UserId {
    fn pack<'a>(&'a self, out: &mut Packer<'a>) {
        let position = out.user_position(self);
        out.number(position);
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        let position = from.number()?;
        from.users.at(position).cloned()
    }
}

impl Packed for Principal {
    fn pack<'a>(&'a self, out: &mut Packer<'a>) {
        let position = match self {
            Self::User(user) => out.user_position(user) << 1,
            Self::ServiceUser(id) => (out.id_position(id.uuid()) << 1) | 1,
        };
        out.number(position);
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        let position = from.number()?;
        match position & 1 {
            0 => from.users.at(position >> 1).cloned().map(Self::User),
            _ => from.id_at(position >> 1).map(ServiceUserId::from_uuid).map(Self::ServiceUser),
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

/// An instant is written as its distance from the time of its event.
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
