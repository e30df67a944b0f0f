//! A persistent vector that only grows.
//!
//! A push copies nothing: copies share their pieces, and each knows its own length. A push to a copy that another copy
//! has outgrown copies one piece.
//!
//! No crate serves: a push to a shared `imbl::Vector` or `rpds::Vector` copies the path to the last chunk.

use std::fmt;
use std::sync::{Arc, OnceLock};

/// The number of values in a piece.
const PIECE_LEN: usize = 64;

/// Slots for values. Each is filled once.
type Piece<T> = [OnceLock<T>; PIECE_LEN];

#[derive(Clone)]
pub(in crate::domain) struct AppendVec<T> {
    pieces: Arc<Vec<Arc<Piece<T>>>>,
    len: usize,
}

impl<T> Default for AppendVec<T> {
    fn default() -> Self {
        Self { pieces: Arc::default(), len: 0 }
    }
}

/// Prints the values of this copy only. A piece may hold values of other copies.
impl<T: fmt::Debug> fmt::Debug for AppendVec<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

fn piece<T>(values: impl IntoIterator<Item = T>) -> Arc<Piece<T>> {
    let piece = [const { OnceLock::new() }; PIECE_LEN];
    for (slot, value) in piece.iter().zip(values) {
        // The piece is new, so no slot is filled.
        let _ = slot.set(value);
    }
    Arc::new(piece)
}

impl<T> AppendVec<T> {
    pub(in crate::domain) const fn len(&self) -> usize {
        self.len
    }

    pub(in crate::domain) fn get(&self, index: usize) -> Option<&T> {
        let index = Some(index).filter(|index| *index < self.len)?;
        self.pieces.get(index / PIECE_LEN)?.get(index % PIECE_LEN)?.get()
    }

    pub(in crate::domain) fn iter(&self) -> impl Iterator<Item = &T> + Clone {
        (0..self.len).filter_map(|index| self.get(index))
    }
}

impl<T: Clone> AppendVec<T> {
    pub(in crate::domain) fn push(&mut self, value: T) {
        let within = self.len % PIECE_LEN;
        if within == 0 {
            Arc::make_mut(&mut self.pieces).push(piece([value]));
        } else if let Some(last) = self.pieces.last()
            && let Some(Err(value)) = last.get(within).map(|slot| slot.set(value))
        {
            let own = last.iter().take(within).filter_map(OnceLock::get).cloned();
            let copied = piece(own.chain([value]));
            if let Some(last) = Arc::make_mut(&mut self.pieces).last_mut() {
                *last = copied;
            }
        }
        self.len += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::{AppendVec, PIECE_LEN};

    #[test]
    fn a_copy_has_its_own_values_and_none_of_other_copies() {
        let mut vec = AppendVec::default();
        let mut copies = Vec::new();
        for value in 0..3 * PIECE_LEN {
            let (mut other, before) = (vec.clone(), vec.clone());
            // In every third step, the other copy is pushed to first.
            if value % 3 == 0 {
                other.push(usize::MAX);
                vec.push(value);
            } else {
                vec.push(value);
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
        assert!(vec.iter().copied().eq(0..3 * PIECE_LEN));
    }
}
