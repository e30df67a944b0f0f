//! `Grounds`: the events that an answer rests on.

use std::fmt;
use std::ops::Deref;

use crate::domain::model::time::Revision;

/// The most events that an answer can rest on: those of the principal, of the environment, of what decides between them, of where
/// the resource is, and of what the action requires; and one to spare.
const GROUNDS_MAX: usize = 6;

/// The revisions of the events that an answer rests on, in order, each once. Takes no memory of its own: one is made for each
/// decision.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Grounds {
    len: usize,
    // What is not used is 0, so that equal grounds are equal throughout.
    revisions: [Revision; GROUNDS_MAX],
}

impl Grounds {
    /// Adds an event; one that never was, revision 0, adds nothing.
    // INVARIANT: no rule rests on more than `GROUNDS_MAX` events. Kept by `tests/domain/model.rs`, which meets every rule.
    #[must_use]
    pub fn and(mut self, revision: Revision) -> Self {
        self.add(revision);
        self
    }

    /// These events.
    pub fn of<const N: usize>(revisions: [Revision; N]) -> Self {
        revisions.into_iter().collect()
    }

    #[inline]
    fn add(&mut self, revision: Revision) {
        let mut moved = revision;
        for place in &mut self.revisions {
            if moved == Revision::ZERO || *place == moved {
                return;
            }
            if *place == Revision::ZERO {
                *place = moved;
                self.len += 1;
                return;
            }
            // It stands here, and what stood here after it.
            if moved < *place {
                std::mem::swap(place, &mut moved);
            }
        }
    }
}

impl FromIterator<Revision> for Grounds {
    #[inline]
    fn from_iter<I: IntoIterator<Item = Revision>>(revisions: I) -> Self {
        let mut grounds = Self::default();
        revisions.into_iter().for_each(|revision| grounds.add(revision));
        grounds
    }
}

impl Deref for Grounds {
    type Target = [Revision];

    fn deref(&self) -> &[Revision] {
        self.revisions.get(..self.len).unwrap_or(&self.revisions)
    }
}

impl fmt::Debug for Grounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grounds_are_in_order_and_each_stands_once() {
        let grounds: Grounds = [7, 3, 0, 7, 9, 3, 1].into_iter().map(Revision).collect();
        assert_eq!(&*grounds, [1, 3, 7, 9].map(Revision));
        assert_eq!(grounds, [9, 7, 3, 1].into_iter().map(Revision).collect());
        assert_eq!(Grounds::default().len(), 0);
    }
}
