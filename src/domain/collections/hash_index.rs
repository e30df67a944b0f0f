//! A hash table from names to dense ids. A name is a text, or the bytes of an id.
//!
//! One table of slots of eight bytes, probed linearly, so most names are found with one read. It does not hold the names: the caller says
//! which ids have the name. A name is never removed.
//!
//! No crate serves: `hashbrown::HashTable` is no persistent value, and its control bytes cost a second read.

use std::hash::{BuildHasher, Hasher};
use std::num::NonZeroU32;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::domain::collections::dense_id_map::Number;

/// The fewest slots that there are once there is a name.
const SLOTS_MIN: usize = 8;

/// The numbers of names. A persistent value: a copy shares the table, and one more name copies it, eight bytes a slot.
// How it is hashed differs from process to process, so that nobody can choose names that meet in one slot. Nothing depends on the
// order of the slots.
#[derive(Debug, Clone, Default)]
pub(in crate::domain) struct Index {
    slots: Arc<[Slot]>,
    hasher: RandomState,
    len: usize,
}

/// A name's hash, and its number plus one; none in a slot that is free.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    hash: u32,
    number: Option<NonZeroU32>,
}

impl Index {
    fn hash(&self, name: &[u8]) -> u32 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(name);
        let [a, b, c, d, ..] = hasher.finish().to_le_bytes();
        u32::from_le_bytes([a, b, c, d])
    }

    /// The number of a name, `bears` saying whether a number is the one of that name.
    pub(in crate::domain) fn find(&self, name: &[u8], bears: impl Fn(Number) -> bool) -> Option<Number> {
        let last = self.slots.len().checked_sub(1)?;
        let hash = self.hash(name);
        let mut place = first_place(hash);
        // INVARIANT: some slots are always free, so this ends. Kept by `insert`.
        loop {
            let slot = self.slots.get(place & last)?;
            let number = Number(slot.number?.get() - 1);
            if slot.hash == hash && bears(number) {
                return Some(number);
            }
            place = place.wrapping_add(1);
        }
    }

    /// Takes in a name that has no number yet.
    pub(in crate::domain) fn insert(&mut self, name: &[u8], number: Number) {
        let hash = self.hash(name);
        if (self.len + 1) * 2 > self.slots.len() {
            self.grow();
        }
        self.len += 1;
        put(Arc::make_mut(&mut self.slots), Slot { hash, number: NonZeroU32::new(number.next().0) });
    }

    fn grow(&mut self) {
        let mut slots = vec![Slot::default(); (self.slots.len() * 2).max(SLOTS_MIN)];
        for slot in self.slots.iter().filter(|slot| slot.number.is_some()) {
            put(&mut slots, *slot);
        }
        self.slots = slots.into();
    }
}

fn first_place(hash: u32) -> usize {
    usize::try_from(hash).unwrap_or_default()
}

/// Puts a slot into the first free place from its own on.
fn put(slots: &mut [Slot], slot: Slot) {
    // INVARIANT: the number of slots is a power of two, so this reaches each of them.
    let last = slots.len().saturating_sub(1);
    let mut places = (0..slots.len()).map(|step| first_place(slot.hash).wrapping_add(step) & last);
    let free = places.find(|place| slots.get(*place).is_some_and(|slot| slot.number.is_none()));
    if let Some(free) = free.and_then(|free| slots.get_mut(free)) {
        *free = slot;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_its_own_number_and_no_other_name_has_one() {
        let names: Vec<_> = (0..5_000).map(|number| format!("user-{number}")).collect();
        let mut index = Index::default();
        for (number, name) in (0..).zip(&names) {
            index.insert(name.as_bytes(), Number(number));
        }
        let number = |name: &str| {
            let bears =
                |Number(number)| names.get(usize::try_from(number).unwrap_or_default()).is_some_and(|it| it == name);
            index.find(name.as_bytes(), bears)
        };
        for (expected, name) in (0..).zip(&names) {
            assert_eq!(number(name), Some(Number(expected)), "{name}");
        }
        assert_eq!(number("user-5000"), None);
    }
}
