//! A hash table from names to dense ids. A name is a text, or the bytes of an id.
//!
//! Slots of eight bytes are probed linearly, so most names are found with one memory read. The table does not hold the
//! names: the caller says which ids have a name. A name is never removed.
//!
//! No crate serves: `hashbrown::HashTable` is not persistent, and its control bytes cost a second read.

use std::hash::{BuildHasher, Hasher};
use std::num::NonZeroU32;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::domain::collections::dense_id_map::DenseId;

/// The fewest slots of a table that is not empty.
const SLOTS_MIN: usize = 8;

/// The ids of names. A copy shares the table. An insertion into a shared table copies it, eight bytes a slot.
#[derive(Debug, Clone, Default)]
pub(in crate::domain) struct HashIndex {
    slots: Arc<[Slot]>,
    hasher: RandomState,
    len: usize,
}

/// The hash of a name, and its id plus one; a free slot has no id.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    hash: u32,
    id: Option<NonZeroU32>,
}

impl HashIndex {
    fn hash(&self, name: &[u8]) -> u32 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(name);
        let [a, b, c, d, ..] = hasher.finish().to_le_bytes();
        u32::from_le_bytes([a, b, c, d])
    }

    /// Returns the id of a name. `has_name` says whether an id has that name.
    pub(in crate::domain) fn find(&self, name: &[u8], has_name: impl Fn(DenseId) -> bool) -> Option<DenseId> {
        let last = self.slots.len().checked_sub(1)?;
        let hash = self.hash(name);
        let mut position = first_position(hash);
        // INVARIANT: some slots are always free, so the loop ends. `insert` keeps it.
        loop {
            let slot = self.slots.get(position & last)?;
            let id = DenseId(slot.id?.get() - 1);
            if slot.hash == hash && has_name(id) {
                return Some(id);
            }
            position = position.wrapping_add(1);
        }
    }

    /// Adds a name that has no id yet.
    pub(in crate::domain) fn insert(&mut self, name: &[u8], id: DenseId) {
        let hash = self.hash(name);
        if (self.len + 1) * 2 > self.slots.len() {
            self.grow();
        }
        self.len += 1;
        put(Arc::make_mut(&mut self.slots), Slot { hash, id: NonZeroU32::new(id.next().0) });
    }

    fn grow(&mut self) {
        let mut slots = vec![Slot::default(); (self.slots.len() * 2).max(SLOTS_MIN)];
        for slot in self.slots.iter().filter(|slot| slot.id.is_some()) {
            put(&mut slots, *slot);
        }
        self.slots = slots.into();
    }
}

fn first_position(hash: u32) -> usize {
    usize::try_from(hash).unwrap_or_default()
}

/// Puts a slot into the first free position, starting at its own.
fn put(slots: &mut [Slot], slot: Slot) {
    // INVARIANT: the number of slots is a power of two, so every slot is probed.
    let last = slots.len().saturating_sub(1);
    let mut positions = (0..slots.len()).map(|step| first_position(slot.hash).wrapping_add(step) & last);
    let free = positions.find(|position| slots.get(*position).is_some_and(|slot| slot.id.is_none()));
    if let Some(free) = free.and_then(|free| slots.get_mut(free)) {
        *free = slot;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_its_own_number_and_no_other_name_has_one() {
        let names: Vec<_> = (0..5_000).map(|id| format!("user-{id}")).collect();
        let mut index = HashIndex::default();
        for (id, name) in (0..).zip(&names) {
            index.insert(name.as_bytes(), DenseId(id));
        }
        let id = |name: &str| {
            let has_name =
                |DenseId(id)| names.get(usize::try_from(id).unwrap_or_default()).is_some_and(|it| it == name);
            index.find(name.as_bytes(), has_name)
        };
        for (expected, name) in (0..).zip(&names) {
            assert_eq!(id(name), Some(DenseId(expected)), "{name}");
        }
        assert_eq!(id("user-5000"), None);
    }
}
