//! Numbers and columns of numbers as bytes, little end first. What is read past the end is not there.

/// Appends a number in groups of seven bits, the lowest first (LEB128).
pub(in crate::domain) fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        out.push(low_byte(number) | 0x80);
        number >>= 7;
    }
    out.push(low_byte(number));
}

fn low_byte(number: u64) -> u8 {
    let [low, ..] = number.to_le_bytes();
    low
}

/// A difference as a number that is small if the difference is, whichever way it goes.
pub(in crate::domain) const fn folded(difference: i64) -> u64 {
    (difference.cast_unsigned() << 1) ^ (difference >> 63).cast_unsigned()
}

/// Undoes [`folded`].
pub(in crate::domain) const fn unfolded(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -((number & 1).cast_signed())
}

/// Numbers in a row, each as many bytes wide as the largest needs, so that any of them is found at once.
#[derive(Debug, Clone, Copy)]
pub(in crate::domain) struct Column<'a> {
    width: usize,
    bytes: &'a [u8],
}

impl<'a> Column<'a> {
    /// The number at a place in the row.
    pub(in crate::domain) fn get(&self, place: usize) -> Option<u64> {
        let start = place.checked_mul(self.width)?;
        let from = self.bytes.get(start..)?;
        let bytes = from.get(..self.width)?;
        // Most have others behind them: then eight bytes are read at once, and what is not its own is taken off.
        if let (Some(wide), Some(bits)) = (from.first_chunk(), 64_usize.checked_sub(8 * self.width)) {
            return Some(u64::from_le_bytes(*wide) & u64::MAX.checked_shr(u32::try_from(bits).ok()?).unwrap_or(0));
        }
        let mut number = [0; 8];
        number.get_mut(..self.width)?.copy_from_slice(bytes);
        Some(u64::from_le_bytes(number))
    }

    /// The bytes of a place among the pieces whose ends the column holds.
    pub(in crate::domain) fn piece(&self, place: usize, pieces: &'a [u8]) -> Option<&'a [u8]> {
        let start = place.checked_sub(1).map_or(Some(0), |before| self.get(before))?;
        pieces.get(usize::try_from(start).ok()?..usize::try_from(self.get(place)?).ok()?)
    }
}

/// Appends a column; a reader is told how many numbers it has.
pub(in crate::domain) fn put_column(out: &mut Vec<u8>, numbers: &[u64]) {
    let largest = numbers.iter().copied().max().unwrap_or_default();
    let width = u8::try_from((64 - largest.leading_zeros()).div_ceil(8)).unwrap_or(8);
    out.push(width);
    for number in numbers {
        out.extend(number.to_le_bytes().iter().take(usize::from(width)));
    }
}

/// Reads bytes from the first to the last.
#[derive(Debug, Clone, Copy)]
pub(in crate::domain) struct Bytes<'a>(pub(in crate::domain) &'a [u8]);

impl<'a> Bytes<'a> {
    /// The next so many bytes.
    pub(in crate::domain) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    /// The next bytes, as many as fit.
    pub(in crate::domain) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    /// The next byte.
    pub(in crate::domain) fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    /// What [`put_number`] wrote.
    pub(in crate::domain) fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    /// A number of things that are to follow.
    pub(in crate::domain) fn count(&mut self) -> Option<usize> {
        usize::try_from(self.number()?).ok()
    }

    /// What [`put_column`] wrote.
    pub(in crate::domain) fn column(&mut self, len: usize) -> Option<Column<'a>> {
        let width = self.byte()?;
        self.column_of(width, len)
    }

    /// As [`Self::column`], where its first byte, the width, was read already.
    pub(in crate::domain) fn column_of(&mut self, width: u8, len: usize) -> Option<Column<'a>> {
        let width = usize::from(width);
        let bytes = self.take(len.checked_mul(width)?)?;
        (width <= 8).then_some(Column { width, bytes })
    }
}
