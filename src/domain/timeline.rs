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
///
/// Most facts have one value, and most questions are about the newest: it stands by itself, and takes nothing beside it.
#[derive(Debug, Clone)]
pub struct Timeline<T> {
    newest: Option<Since<T>>,
    earlier: Earlier<T>,
}

/// Some values; never changed, so that copies share it.
type Piece<T> = Arc<[Since<T>]>;

/// The values before the newest.
#[derive(Debug, Clone)]
enum Earlier<T> {
    /// None.
    None,
    /// Up to a piece.
    Few(Piece<T>),
    /// Whole pieces, and the one that is not whole yet.
    Many(Box<(Vec<Piece<T>>, Piece<T>)>),
}

impl<T: Clone> Earlier<T> {
    fn parts(&self) -> (&[Piece<T>], &[Since<T>]) {
        match self {
            Self::None => (&[], &[]),
            Self::Few(values) => (&[], values),
            Self::Many(pieces) => (&pieces.0, &pieces.1),
        }
    }

    fn push(&mut self, value: Since<T>) {
        let longer = |values: &[Since<T>], value| values.iter().cloned().chain([value]).collect();
        match self {
            Self::None => *self = Self::Few([value].into()),
            Self::Few(values) if values.len() < PIECE_LEN => *values = longer(values, value),
            Self::Few(values) => *self = Self::Many(Box::new((vec![Arc::clone(values)], [value].into()))),
            Self::Many(pieces) if pieces.1.len() < PIECE_LEN => pieces.1 = longer(&pieces.1, value),
            Self::Many(pieces) => {
                let whole = std::mem::replace(&mut pieces.1, [value].into());
                pieces.0.push(whole);
            }
        }
    }

    fn at(&self, revision: Revision) -> Option<&Since<T>> {
        let (whole, last) = self.parts();
        let piece = match last.first() {
            Some(first) if first.since <= revision => last,
            _ => {
                let after = whole.partition_point(|piece| piece.first().is_some_and(|first| first.since <= revision));
                whole.get(after.checked_sub(1)?)?
            }
        };
        let after = piece.partition_point(|entry| entry.since <= revision);
        piece.get(after.checked_sub(1)?)
    }
}

impl<T> Default for Timeline<T> {
    fn default() -> Self {
        Self { newest: None, earlier: Earlier::None }
    }
}

impl<T: Clone> Timeline<T> {
    /// A fact that begins with this value.
    pub fn starting(since: Revision, value: T) -> Self {
        Self { newest: Some(Since { since, value }), earlier: Earlier::None }
    }

    /// Gives the fact another value from `since` on, which is later than every revision before.
    pub fn set(&mut self, since: Revision, value: T) {
        if let Some(before) = self.newest.replace(Since { since, value }) {
            self.earlier.push(before);
        }
    }

    /// The value that held at the revision, none before the first.
    pub fn at(&self, revision: Revision) -> Option<&Since<T>> {
        self.newest.as_ref().filter(|newest| newest.since <= revision).or_else(|| self.earlier.at(revision))
    }

    /// The newest value.
    pub fn last(&self) -> Option<&Since<T>> {
        self.newest.as_ref()
    }

    /// The oldest value.
    pub fn first(&self) -> Option<&Since<T>> {
        let (whole, last) = self.earlier.parts();
        whole.first().and_then(|piece| piece.first()).or(last.first()).or(self.newest.as_ref())
    }

    /// The first revision of the unbroken run of values, up to a revision, for all of which a condition holds.
    pub fn run_start(&self, until: Revision, holds: impl Fn(&T) -> bool) -> Option<Revision> {
        let newest_first = self.iter().rev();
        let run = newest_first.skip_while(|entry| entry.since > until).take_while(|entry| holds(&entry.value));
        run.last().map(|entry| entry.since)
    }

    /// Every value, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Since<T>> {
        let (whole, last) = self.earlier.parts();
        whole.iter().flat_map(|piece| piece.iter()).chain(last).chain(&self.newest)
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
