//! `Timeline<T>`: the values of one fact, each from the revision that set it until the next.

use std::sync::Arc;

use crate::domain::collections::interpolation_search::{part, search, search_from};
use crate::domain::model::time::Revision;

/// The number of values in a piece. A copy of a timeline copies at most one piece, and pointers to the others.
const PIECE_LEN: usize = 32;
/// The greatest length that is searched by halves, without a guess.
const HALVED_LEN_MAX: usize = 8;

/// A value and the revision that set it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Since<T> {
    /// The event that set the value.
    pub since: Revision,
    /// The value.
    pub value: T,
}

impl<T> Since<T> {
    /// Returns the same revision with another value.
    pub fn with<U>(&self, value: U) -> Since<U> {
        Since { since: self.since, value }
    }
}

/// The values of a fact, ordered by revision. They are appended and never changed.
///
/// Most facts have one value, and most questions are about the newest, so it is stored apart, without an allocation.
#[derive(Debug, Clone)]
pub struct Timeline<T> {
    newest: Option<Since<T>>,
    earlier: Earlier<T>,
}

/// A shared piece of values.
type Piece<T> = Arc<[Since<T>]>;

/// A piece with its first revision.
type Dated<T> = (Revision, Piece<T>);

/// The values before the newest.
#[derive(Debug, Clone)]
enum Earlier<T> {
    /// None.
    None,
    /// One value, without an allocation: most facts are set once and ended once.
    One(Since<T>),
    /// Values that fit one piece.
    Few(Piece<T>),
    /// Pieces, each with its first revision. The last one may not be full.
    Many(Arc<[Dated<T>]>),
}

/// Returns the last value that was set up to a revision. `begun` and `ended` bound the revisions of the values.
fn last_at<T>(values: &[Since<T>], revision: Revision, begun: Revision, ended: Revision) -> Option<&Since<T>> {
    let holds = |index: usize| values.get(index).is_some_and(|entry| entry.since <= revision);
    if values.len() <= HALVED_LEN_MAX {
        return values.get(search(values.len(), holds).checked_sub(1)?);
    }
    let (passed, whole) = (revision.0.saturating_sub(begun.0), ended.0.saturating_sub(begun.0));
    values.get(search_from(part(values.len(), passed, whole), 1, values.len(), holds).checked_sub(1)?)
}

impl<T: Clone> Earlier<T> {
    /// Returns the pieces of many values, or else the few values.
    fn parts(&self) -> (&[Dated<T>], &[Since<T>]) {
        match self {
            Self::None => (&[], &[]),
            Self::One(value) => (&[], std::slice::from_ref(value)),
            Self::Few(values) => (&[], values),
            Self::Many(pieces) => (pieces, &[]),
        }
    }

    fn push(&mut self, value: Since<T>) {
        let longer = |values: &[Since<T>], value| values.iter().cloned().chain([value]).collect();
        let since = value.since;
        match self {
            Self::None => *self = Self::One(value),
            Self::One(first) => *self = Self::Few([first.clone(), value].into()),
            Self::Few(values) if values.len() < PIECE_LEN => *values = longer(values, value),
            Self::Few(values) => {
                let first = values.first().map_or(Revision::ZERO, |first| first.since);
                *self = Self::Many([(first, Arc::clone(values)), (since, [value].into())].into());
            }
            Self::Many(pieces) => match Arc::make_mut(pieces).last_mut() {
                Some((_, last)) if last.len() < PIECE_LEN => *last = longer(last, value),
                _ => *pieces = pieces.iter().cloned().chain([(since, [value].into())]).collect(),
            },
        }
    }

    /// Returns the value at a revision before `newest`, the first revision after these values.
    fn at(&self, revision: Revision, newest: Revision) -> Option<&Since<T>> {
        match self {
            Self::None => None,
            Self::One(value) => Some(value).filter(|value| value.since <= revision),
            // Most facts that changed a few times were first set near the start of the log.
            Self::Few(values) => last_at(values, revision, Revision::ZERO, newest),
            Self::Many(pieces) => {
                let begun = pieces.partition_point(|(first, _)| *first <= revision);
                let (first, piece) = pieces.get(begun.checked_sub(1)?)?;
                let next = pieces.get(begun).map_or(newest, |(next, _)| *next);
                last_at(piece, revision, *first, next)
            }
        }
    }
}

impl<T> Default for Timeline<T> {
    fn default() -> Self {
        Self { newest: None, earlier: Earlier::None }
    }
}

impl<T: Clone> Timeline<T> {
    /// Returns a timeline with its first value.
    pub fn starting(since: Revision, value: T) -> Self {
        Self { newest: Some(Since { since, value }), earlier: Earlier::None }
    }

    /// Appends a value from `since` on. `since` must be later than every earlier revision.
    pub fn set(&mut self, since: Revision, value: T) {
        if let Some(before) = self.newest.replace(Since { since, value }) {
            self.earlier.push(before);
        }
    }

    /// Returns the value at a revision, or `None` before the first.
    #[inline]
    pub fn at(&self, revision: Revision) -> Option<&Since<T>> {
        match &self.newest {
            Some(newest) if newest.since <= revision => Some(newest),
            Some(newest) => self.earlier.at(revision, newest.since),
            None => None,
        }
    }

    /// Returns the newest value.
    pub fn last(&self) -> Option<&Since<T>> {
        self.newest.as_ref()
    }

    /// Returns the oldest value.
    pub fn first(&self) -> Option<&Since<T>> {
        let (whole, last) = self.earlier.parts();
        whole.first().and_then(|(_, piece)| piece.first()).or(last.first()).or(self.newest.as_ref())
    }

    /// Returns the first revision of the unbroken run of values that fulfil a condition and end at or before a
    /// revision.
    pub fn run_start(&self, until: Revision, holds: impl Fn(&T) -> bool) -> Option<Revision> {
        let newest_first = self.iter().rev();
        let run = newest_first.skip_while(|entry| entry.since > until).take_while(|entry| holds(&entry.value));
        run.last().map(|entry| entry.since)
    }

    /// Returns every value, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Since<T>> {
        let (whole, last) = self.earlier.parts();
        whole.iter().flat_map(|(_, piece)| piece.iter()).chain(last).chain(&self.newest)
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
