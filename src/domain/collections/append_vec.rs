//! A persistent vector that only grows.
//!
//! It grows with every change, so a push copies nothing: copies share their pieces, and each knows its own length. A push to a
//! copy that another copy has outgrown copies one piece.
//!
//! No crate serves: `imbl::Vector` and `rpds` copy the path to the last chunk on each push to a shared vector.

use std::fmt;
use std::sync::{Arc, OnceLock};

/// How many values share a piece.
const PIECE_LEN: usize = 64;

/// Places for values, each filled once.
type Piece<T> = [OnceLock<T>; PIECE_LEN];

#[derive(Clone)]
pub(in crate::domain) struct Tail<T> {
    pieces: Arc<Vec<Arc<Piece<T>>>>,
    len: usize,
}

impl<T> Default for Tail<T> {
    fn default() -> Self {
        Self { pieces: Arc::default(), len: 0 }
    }
}

/// Only its own values: others may be there.
impl<T: fmt::Debug> fmt::Debug for Tail<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

fn piece<T>(values: impl IntoIterator<Item = T>) -> Arc<Piece<T>> {
    let piece = [const { OnceLock::new() }; PIECE_LEN];
    for (place, value) in piece.iter().zip(values) {
        // Nobody else has it yet, so nobody has filled it.
        let _ = place.set(value);
    }
    Arc::new(piece)
}

impl<T> Tail<T> {
    pub(in crate::domain) const fn len(&self) -> usize {
        self.len
    }

    pub(in crate::domain) fn get(&self, place: usize) -> Option<&T> {
        let place = Some(place).filter(|place| *place < self.len)?;
        self.pieces.get(place / PIECE_LEN)?.get(place % PIECE_LEN)?.get()
    }

    pub(in crate::domain) fn iter(&self) -> impl Iterator<Item = &T> + Clone {
        (0..self.len).filter_map(|place| self.get(place))
    }
}

impl<T: Clone> Tail<T> {
    pub(in crate::domain) fn push(&mut self, value: T) {
        let within = self.len % PIECE_LEN;
        if within == 0 {
            Arc::make_mut(&mut self.pieces).push(piece([value]));
        } else if let Some(last) = self.pieces.last()
            && let Some(Err(value)) = last.get(within).map(|place| place.set(value))
        {
            let own = last.iter().take(within).filter_map(OnceLock::get).cloned();
            let apart = piece(own.chain([value]));
            if let Some(last) = Arc::make_mut(&mut self.pieces).last_mut() {
                *last = apart;
            }
        }
        self.len += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::{PIECE_LEN, Tail};

    #[test]
    fn a_copy_has_what_was_appended_to_it_and_nothing_that_others_got() {
        let mut tail = Tail::default();
        let mut copies = Vec::new();
        for value in 0..3 * PIECE_LEN {
            let (mut other, before) = (tail.clone(), tail.clone());
            // Every third time the other one comes first.
            if value % 3 == 0 {
                other.push(usize::MAX);
                tail.push(value);
            } else {
                tail.push(value);
                other.push(usize::MAX);
            }
            other.push(usize::MAX - 1);
            copies.push((before, other));
        }
        for (len, (before, other)) in copies.iter().enumerate() {
            assert!(before.iter().copied().eq(0..len), "{len}");
            assert!(other.iter().copied().eq((0..len).chain([usize::MAX, usize::MAX - 1])), "{len}");
            assert_eq!((before.get(len), other.get(len)), (None, Some(&usize::MAX)));
        }
        assert!(tail.iter().copied().eq(0..3 * PIECE_LEN));
    }
}
