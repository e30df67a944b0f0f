//! A persistent map by dense ids: small ids that count from 0.
//!
//! Decisions read little else than this map and a [`HashIndex`](super::hash_index::HashIndex), and rarely what the last
//! decision read. So dependent memory reads are the cost. A copy shares everything, and a change copies the path to the
//! changed value.
//!
//! No crate serves: a lookup in `imbl::OrdMap` or `imbl::HashMap` takes about twice as many dependent reads, and `slab`
//! is not persistent.

use std::sync::Arc;

/// The id of bits of an id that choose a part of a node. More bits mean fewer nodes on the path, and more to copy
/// with a change.
const BITS: u32 = 4;
/// The most parts of a node.
const PARTS: u32 = 1 << BITS;

/// An id that counts from 0, in the order in which a workspace first sees each entity. It exists in memory only and is
/// never shown or stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::domain) struct DenseId(pub(in crate::domain) u32);

impl DenseId {
    /// Returns the next id.
    pub(in crate::domain) const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// A map from dense ids to values.
///
/// A tree whose nodes hold up to [`PARTS`] parts, with a bit for each part that is present. The tree is as high as the
/// largest id needs, so most values of a small workspace are one step from its root.
#[derive(Debug, Clone)]
pub(in crate::domain) struct DenseIdMap<T> {
    /// The id of bits of an id below those that choose in the root.
    height: u32,
    root: Node<T>,
}

#[derive(Debug, Clone)]
enum Node<T> {
    Values(u32, Arc<[T]>),
    Nodes(u32, Arc<[Node<T>]>),
}

/// Returns the bit of an id's part in a node of this height.
fn part(id: DenseId, height: u32) -> u32 {
    1 << ((id.0 >> (height & 31)) & (PARTS - 1))
}

/// Returns the position of a part among the present parts.
fn position(held: u32, part: u32) -> usize {
    let before = part - 1;
    // Usually all of them are present.
    let count = if held & before == before { part.trailing_zeros() } else { (held & before).count_ones() };
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// Returns the values with one more at a position.
fn with<T: Clone>(values: &[T], position: usize, value: T) -> Arc<[T]> {
    let (before, after) = values.split_at(position.min(values.len()));
    before.iter().cloned().chain([value]).chain(after.iter().cloned()).collect()
}

impl<T> Default for DenseIdMap<T> {
    fn default() -> Self {
        Self { height: 0, root: Node::Values(0, Arc::new([])) }
    }
}

impl<T: Clone> Node<T> {
    /// Returns a node of this height with one value.
    fn of(id: DenseId, height: u32, value: T) -> Self {
        let bit = part(id, height);
        match height.checked_sub(BITS) {
            None => Self::Values(bit, Arc::new([value])),
            Some(below) => Self::Nodes(bit, Arc::new([Self::of(id, below, value)])),
        }
    }

    fn get(&self, id: DenseId, mut height: u32) -> Option<&T> {
        let mut node = self;
        loop {
            let part = part(id, height);
            match node {
                Self::Values(held, values) if held & part != 0 => return values.get(position(*held, part)),
                Self::Nodes(held, nodes) if held & part != 0 => node = nodes.get(position(*held, part))?,
                Self::Values(..) | Self::Nodes(..) => return None,
            }
            height = height.checked_sub(BITS)?;
        }
    }

    fn get_mut(&mut self, id: DenseId, height: u32) -> Option<&mut T> {
        let part = part(id, height);
        match self {
            Self::Values(held, values) if *held & part != 0 => Arc::make_mut(values).get_mut(position(*held, part)),
            Self::Nodes(held, nodes) if *held & part != 0 => {
                Arc::make_mut(nodes).get_mut(position(*held, part))?.get_mut(id, height.checked_sub(BITS)?)
            }
            Self::Values(..) | Self::Nodes(..) => None,
        }
    }

    /// Adds a value for an id that has none.
    fn insert(&mut self, id: DenseId, height: u32, value: T) {
        let part = part(id, height);
        match self {
            Self::Values(held, values) => {
                *values = with(values, position(*held, part), value);
                *held |= part;
            }
            Self::Nodes(held, nodes) if *held & part == 0 => {
                *nodes = with(nodes, position(*held, part), Self::of(id, height.saturating_sub(BITS), value));
                *held |= part;
            }
            Self::Nodes(held, nodes) => {
                if let Some(node) = Arc::make_mut(nodes).get_mut(position(*held, part)) {
                    node.insert(id, height.saturating_sub(BITS), value);
                }
            }
        }
    }

    fn visit<'a>(&'a self, above: u32, height: u32, each: &mut impl FnMut(DenseId, &'a T)) {
        let (Self::Values(held, _) | Self::Nodes(held, _)) = self;
        let parts = (0..PARTS).filter(|bit| held & (1 << bit) != 0).map(|bit| (above << BITS) | bit);
        match self {
            Self::Values(_, values) => parts.zip(values.iter()).for_each(|(id, value)| each(DenseId(id), value)),
            Self::Nodes(_, nodes) => {
                parts.zip(nodes.iter()).for_each(|(above, node)| node.visit(above, height.saturating_sub(BITS), each));
            }
        }
    }
}

impl<T: Clone> DenseIdMap<T> {
    /// Returns the height of a tree that can hold the id.
    fn height_for(id: DenseId) -> u32 {
        id.0.checked_ilog2().unwrap_or(0) / BITS * BITS
    }

    /// Returns the value of an id.
    pub(in crate::domain) fn get(&self, id: DenseId) -> Option<&T> {
        // An id with bits above those of the root has no value.
        if id.0 >> (self.height & 31) >= PARTS {
            return None;
        }
        self.root.get(id, self.height)
    }

    /// Returns the value of an id, to be changed.
    pub(in crate::domain) fn get_mut(&mut self, id: DenseId) -> Option<&mut T> {
        if id.0 >> (self.height & 31) >= PARTS {
            return None;
        }
        self.root.get_mut(id, self.height)
    }

    /// Adds a value for an id that has none.
    pub(in crate::domain) fn insert(&mut self, id: DenseId, value: T) {
        let height = Self::height_for(id);
        if self.is_empty() {
            *self = Self { height, root: Node::of(id, height, value) };
            return;
        }
        while self.height < height {
            self.root = Node::Nodes(1, Arc::new([self.root.clone()]));
            self.height += BITS;
        }
        self.root.insert(id, self.height, value);
    }

    fn is_empty(&self) -> bool {
        matches!(self.root, Node::Values(0, _))
    }

    /// Returns every id with a value, in order.
    pub(in crate::domain) fn ids(&self) -> Vec<DenseId> {
        let mut ids = Vec::new();
        self.root.visit(0, self.height, &mut |id, _| ids.push(id));
        ids
    }

    /// Returns every value, in the order of the ids.
    pub(in crate::domain) fn values(&self) -> Vec<&T> {
        let mut values = Vec::new();
        self.root.visit(0, self.height, &mut |_, value| values.push(value));
        values
    }
}

#[cfg(test)]
mod tests {
    use super::{DenseId, DenseIdMap, PARTS};

    #[test]
    fn an_id_has_the_value_that_was_set_last_at_any_distance_from_others() {
        let ids = [0, 1, PARTS - 1, PARTS, 300, 299, 5_000, 4_095, 4_096, 70_000, 65_536, u32::MAX - 1];
        let mut values = DenseIdMap::default();
        let mut copies = Vec::new();
        for (count, id) in ids.into_iter().enumerate() {
            assert_eq!(values.get(DenseId(id)), None, "{id}");
            assert_eq!(values.get_mut(DenseId(id)), None, "{id}");
            copies.push((count, values.clone()));
            values.insert(DenseId(id), id);
        }
        for id in ids {
            assert!(values.get_mut(DenseId(id)).is_some_and(|value| std::mem::replace(value, !id) == id));
        }
        let mut sorted = ids.map(DenseId);
        sorted.sort_unstable();
        assert_eq!(values.ids(), sorted);
        assert_eq!(values.values(), sorted.map(|DenseId(id)| !id).each_ref());
        for (count, copy) in copies {
            let held = ids.map(|id| copy.get(DenseId(id)).copied());
            let expected = |(position, id): (usize, u32)| (position < count).then_some(id);
            assert!(ids.into_iter().enumerate().map(expected).eq(held), "a copy of {count} values changed");
        }
    }
}
