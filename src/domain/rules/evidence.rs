//! `EvidenceRevisions`: the events that a decision rests on.

use std::fmt;
use std::ops::Deref;

use crate::domain::model::time::Revision;

/// The most events that a decision can rest on: one each for the principal, the environment, the deciding rule, the
/// placement and the action, and one to spare.
const EVIDENCE_MAX: usize = 6;

/// The revisions of the events that a decision rests on: sorted, without duplicates. It needs no allocation, because
/// each decision makes one.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct EvidenceRevisions {
    len: usize,
    // Unused entries are 0, so that equal evidence has equal entries.
    revisions: [Revision; EVIDENCE_MAX],
}

impl EvidenceRevisions {
    /// Adds an event. Revision 0, which is no event, adds nothing.
    // INVARIANT: no rule rests on more than `EVIDENCE_MAX` events. `tests/domain/model.rs`, which meets every rule, checks it.
    #[must_use]
    pub fn and(mut self, revision: Revision) -> Self {
        self.add(revision);
        self
    }

    /// Returns the evidence of these events.
    pub fn of<const N: usize>(revisions: [Revision; N]) -> Self {
        revisions.into_iter().collect()
    }

    #[inline]
    fn add(&mut self, revision: Revision) {
        let mut moved = revision;
        for entry in &mut self.revisions {
            if moved == Revision::ZERO || *entry == moved {
                return;
            }
            if *entry == Revision::ZERO {
                *entry = moved;
                self.len += 1;
                return;
            }
            // The revision belongs here, before the ones that follow.
            if moved < *entry {
                std::mem::swap(entry, &mut moved);
            }
        }
    }
}

impl FromIterator<Revision> for EvidenceRevisions {
    #[inline]
    fn from_iter<I: IntoIterator<Item = Revision>>(revisions: I) -> Self {
        let mut evidence = Self::default();
        revisions.into_iter().for_each(|revision| evidence.add(revision));
        evidence
    }
}

impl Deref for EvidenceRevisions {
    type Target = [Revision];

    fn deref(&self) -> &[Revision] {
        self.revisions.get(..self.len).unwrap_or(&self.revisions)
    }
}

impl fmt::Debug for EvidenceRevisions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_is_sorted_without_duplicates() {
        let evidence: EvidenceRevisions = [7, 3, 0, 7, 9, 3, 1].into_iter().map(Revision).collect();
        assert_eq!(&*evidence, [1, 3, 7, 9].map(Revision));
        assert_eq!(evidence, [9, 7, 3, 1].into_iter().map(Revision).collect());
        assert_eq!(EvidenceRevisions::default().len(), 0);
    }
}
