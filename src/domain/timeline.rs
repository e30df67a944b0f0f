//! `Timeline<T>`: one fact's values, each from the revision that set it until the next.

use std::sync::Arc;

use super::time::Revision;

/// How many values are kept in one piece. A copy of a timeline copies one piece at most, and pointers to the others.
const PIECE_LEN: usize = 32;

/// A value and the revision that set it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Since<T> {
    /// The event that set the value.
    pub since: Revision,
    /// The value.
    pub value: T,
}

impl<T> Since<T> {
    /// The same moment with another value.
    pub fn with<U>(&self, value: U) -> Since<U> {
        Since { since: self.since, value }
    }
}

/// A fact's values in the order of their revisions: appended to, never changed.
#[derive(Debug, Clone)]
pub struct Timeline<T> {
    sealed: Vec<Arc<[Since<T>]>>,
    open: Vec<Since<T>>,
}

impl<T> Default for Timeline<T> {
    fn default() -> Self {
        Self { sealed: Vec::new(), open: Vec::new() }
    }
}

impl<T: Clone> Timeline<T> {
    /// A fact that begins with this value.
    pub fn starting(since: Revision, value: T) -> Self {
        let mut timeline = Self::default();
        timeline.set(since, value);
        timeline
    }

    /// Gives the fact another value from `since` on, which is later than every revision before.
    pub fn set(&mut self, since: Revision, value: T) {
        if self.open.len() >= PIECE_LEN {
            self.sealed.push(std::mem::take(&mut self.open).into());
        }
        self.open.push(Since { since, value });
    }

    /// The value that held at the revision, none before the first.
    pub fn at(&self, revision: Revision) -> Option<&Since<T>> {
        let piece = match self.open.first() {
            Some(first) if first.since <= revision => self.open.as_slice(),
            _ => {
                let after =
                    self.sealed.partition_point(|piece| piece.first().is_some_and(|first| first.since <= revision));
                self.sealed.get(after.checked_sub(1)?)?
            }
        };
        let after = piece.partition_point(|entry| entry.since <= revision);
        piece.get(after.checked_sub(1)?)
    }

    /// The newest value.
    pub fn last(&self) -> Option<&Since<T>> {
        self.open.last()
    }

    /// The first revision of the unbroken run of values, up to a revision, for all of which a condition holds.
    pub fn run_start(&self, until: Revision, holds: impl Fn(&T) -> bool) -> Option<Revision> {
        let newest_first = self.open.iter().rev().chain(self.sealed.iter().rev().flat_map(|piece| piece.iter().rev()));
        let run = newest_first.skip_while(|entry| entry.since > until).take_while(|entry| holds(&entry.value));
        run.last().map(|entry| entry.since)
    }

    /// Every value, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Since<T>> {
        self.sealed.iter().flat_map(|piece| piece.iter()).chain(&self.open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_holds_from_its_revision_until_the_next() {
        let mut timeline = Timeline::default();
        for step in 1..=200_u64 {
            timeline.set(Revision(step * 10), step);
        }
        assert_eq!(timeline.at(Revision(9)), None);
        for revision in 10..=2_010 {
            let expected = (revision / 10).min(200);
            assert_eq!(timeline.at(Revision(revision)).map(|entry| entry.value), Some(expected), "at {revision}");
        }
        assert_eq!(timeline.iter().count(), 200);
    }
}
