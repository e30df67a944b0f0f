//! A persistent map by dense ids: small numbers that count from 0.
//!
//! Decisions read little else than this map and a [`HashIndex`](super::hash_index::Index), and rarely what the last decision read. So the number of dependent
//! memory reads counts. A copy shares everything, and a change copies the path to the changed value.
//!
//! No crate serves: `imbl::OrdMap` and `imbl::HashMap` need about twice as many dependent reads to a value, and `slab` is not persistent.

use std::sync::Arc;

/// How many bits of a number choose among the parts of a node: the more, the fewer nodes there are on the way to a value, and the
/// more is copied with it when it changes.
const BITS: u32 = 4;
/// How many parts a node has at most.
const PARTS: u32 = 1 << BITS;

/// The number that something has in its workspace, from 0 on in the order in which each was first heard of. It stands for it in
/// memory only, and is never shown or stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::domain) struct Number(pub(in crate::domain) u32);

impl Number {
    /// The number after this one.
    pub(in crate::domain) const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// Values by their numbers, of which any may have none.
///
/// A tree whose nodes hold up to [`PARTS`]: those that there are, and which these are. As high as the largest number needs, so most
/// values of a small workspace are one step from its root.
#[derive(Debug, Clone)]
pub(in crate::domain) struct Numbered<T> {
    /// How many bits of a number lie below those that choose in the root.
    height: u32,
    root: Node<T>,
}

#[derive(Debug, Clone)]
enum Node<T> {
    Values(u32, Arc<[T]>),
    Nodes(u32, Arc<[Node<T>]>),
}

/// The bit of a number's part in a node of this height.
fn part(number: Number, height: u32) -> u32 {
    1 << ((number.0 >> (height & 31)) & (PARTS - 1))
}

/// How many of the parts that are there come before the one of this bit.
fn place(held: u32, part: u32) -> usize {
    let before = part - 1;
    // Most often all of them are there, and need not be counted.
    let count = if held & before == before { part.trailing_zeros() } else { (held & before).count_ones() };
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// The values with one more at a place.
fn with<T: Clone>(values: &[T], place: usize, value: T) -> Arc<[T]> {
    let (before, after) = values.split_at(place.min(values.len()));
    before.iter().cloned().chain([value]).chain(after.iter().cloned()).collect()
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self { height: 0, root: Node::Values(0, Arc::new([])) }
    }
}

impl<T: Clone> Node<T> {
    /// A node of this height that holds one value.
    fn of(number: Number, height: u32, value: T) -> Self {
        let bit = part(number, height);
        match height.checked_sub(BITS) {
            None => Self::Values(bit, Arc::new([value])),
            Some(below) => Self::Nodes(bit, Arc::new([Self::of(number, below, value)])),
        }
    }

    fn get(&self, number: Number, mut height: u32) -> Option<&T> {
        let mut node = self;
        loop {
            let part = part(number, height);
            match node {
                Self::Values(held, values) if held & part != 0 => return values.get(place(*held, part)),
                Self::Nodes(held, nodes) if held & part != 0 => node = nodes.get(place(*held, part))?,
                Self::Values(..) | Self::Nodes(..) => return None,
            }
            height = height.checked_sub(BITS)?;
        }
    }

    fn get_mut(&mut self, number: Number, height: u32) -> Option<&mut T> {
        let part = part(number, height);
        match self {
            Self::Values(held, values) if *held & part != 0 => Arc::make_mut(values).get_mut(place(*held, part)),
            Self::Nodes(held, nodes) if *held & part != 0 => {
                Arc::make_mut(nodes).get_mut(place(*held, part))?.get_mut(number, height.checked_sub(BITS)?)
            }
            Self::Values(..) | Self::Nodes(..) => None,
        }
    }

    /// Adds a value under a number that has none.
    fn insert(&mut self, number: Number, height: u32, value: T) {
        let part = part(number, height);
        match self {
            Self::Values(held, values) => {
                *values = with(values, place(*held, part), value);
                *held |= part;
            }
            Self::Nodes(held, nodes) if *held & part == 0 => {
                *nodes = with(nodes, place(*held, part), Self::of(number, height.saturating_sub(BITS), value));
                *held |= part;
            }
            Self::Nodes(held, nodes) => {
                if let Some(node) = Arc::make_mut(nodes).get_mut(place(*held, part)) {
                    node.insert(number, height.saturating_sub(BITS), value);
                }
            }
        }
    }

    fn visit<'a>(&'a self, above: u32, height: u32, each: &mut impl FnMut(Number, &'a T)) {
        let (Self::Values(held, _) | Self::Nodes(held, _)) = self;
        let parts = (0..PARTS).filter(|bit| held & (1 << bit) != 0).map(|bit| (above << BITS) | bit);
        match self {
            Self::Values(_, values) => parts.zip(values.iter()).for_each(|(number, value)| each(Number(number), value)),
            Self::Nodes(_, nodes) => {
                parts.zip(nodes.iter()).for_each(|(above, node)| node.visit(above, height.saturating_sub(BITS), each));
            }
        }
    }
}

impl<T: Clone> Numbered<T> {
    /// How high a tree that has the number must be.
    fn height_for(number: Number) -> u32 {
        number.0.checked_ilog2().unwrap_or(0) / BITS * BITS
    }

    /// The value of a number.
    pub(in crate::domain) fn get(&self, number: Number) -> Option<&T> {
        // What is above the root's bits must be nothing.
        if number.0 >> (self.height & 31) >= PARTS {
            return None;
        }
        self.root.get(number, self.height)
    }

    /// The value of a number, to be changed.
    pub(in crate::domain) fn get_mut(&mut self, number: Number) -> Option<&mut T> {
        if number.0 >> (self.height & 31) >= PARTS {
            return None;
        }
        self.root.get_mut(number, self.height)
    }

    /// Gives a value to a number that has none.
    pub(in crate::domain) fn insert(&mut self, number: Number, value: T) {
        let height = Self::height_for(number);
        if self.is_empty() {
            *self = Self { height, root: Node::of(number, height, value) };
            return;
        }
        while self.height < height {
            self.root = Node::Nodes(1, Arc::new([self.root.clone()]));
            self.height += BITS;
        }
        self.root.insert(number, self.height, value);
    }

    fn is_empty(&self) -> bool {
        matches!(self.root, Node::Values(0, _))
    }

    /// Every number that has a value, in order.
    pub(in crate::domain) fn numbers(&self) -> Vec<Number> {
        let mut numbers = Vec::new();
        self.root.visit(0, self.height, &mut |number, _| numbers.push(number));
        numbers
    }

    /// Every value, in the order of the numbers.
    pub(in crate::domain) fn values(&self) -> Vec<&T> {
        let mut values = Vec::new();
        self.root.visit(0, self.height, &mut |_, value| values.push(value));
        values
    }
}

#[cfg(test)]
mod tests {
    use super::{Number, Numbered, PARTS};

    #[test]
    fn a_number_has_the_value_that_was_set_last_however_far_from_others_it_is() {
        let numbers = [0, 1, PARTS - 1, PARTS, 300, 299, 5_000, 4_095, 4_096, 70_000, 65_536, u32::MAX - 1];
        let mut values = Numbered::default();
        let mut copies = Vec::new();
        for (count, number) in numbers.into_iter().enumerate() {
            assert_eq!(values.get(Number(number)), None, "{number}");
            assert_eq!(values.get_mut(Number(number)), None, "{number}");
            copies.push((count, values.clone()));
            values.insert(Number(number), number);
        }
        for number in numbers {
            assert!(values.get_mut(Number(number)).is_some_and(|value| std::mem::replace(value, !number) == number));
        }
        let mut sorted = numbers.map(Number);
        sorted.sort_unstable();
        assert_eq!(values.numbers(), sorted);
        assert_eq!(values.values(), sorted.map(|Number(number)| !number).each_ref());
        for (count, copy) in copies {
            let held = numbers.map(|number| copy.get(Number(number)).copied());
            let expected = |(place, number): (usize, u32)| (place < count).then_some(number);
            assert!(numbers.into_iter().enumerate().map(expected).eq(held), "a copy of {count} values changed");
        }
    }
}
