//! Numbers and columns of numbers as little-endian bytes. A read past the end returns `None`.

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

/// Maps a signed difference to an unsigned number that is small if the difference is close to 0 (zigzag encoding).
pub(in crate::domain) const fn folded(difference: i64) -> u64 {
    (difference.cast_unsigned() << 1) ^ (difference >> 63).cast_unsigned()
}

/// Returns the difference that [`folded`] mapped to a number.
pub(in crate::domain) const fn unfolded(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -((number & 1).cast_signed())
}

/// Numbers of equal width in bytes, the width that the largest needs. Any of them is found without reading the others.
#[derive(Debug, Clone, Copy)]
pub(in crate::domain) struct NumberColumn<'a> {
    width: usize,
    bytes: &'a [u8],
}

impl<'a> NumberColumn<'a> {
    /// Returns the number at a position in the row.
    pub(in crate::domain) fn get(&self, position: usize) -> Option<u64> {
        let start = position.checked_mul(self.width)?;
        let from = self.bytes.get(start..)?;
        let bytes = from.get(..self.width)?;
        // Usually eight bytes can be read at once, and those of the next numbers are masked.
        if let (Some(wide), Some(bits)) = (from.first_chunk(), 64_usize.checked_sub(8 * self.width)) {
            return Some(u64::from_le_bytes(*wide) & u64::MAX.checked_shr(u32::try_from(bits).ok()?).unwrap_or(0));
        }
        let mut number = [0; 8];
        number.get_mut(..self.width)?.copy_from_slice(bytes);
        Some(u64::from_le_bytes(number))
    }

    /// Returns the bytes of a piece, where the column holds the end of each piece.
    pub(in crate::domain) fn piece(&self, position: usize, pieces: &'a [u8]) -> Option<&'a [u8]> {
        let start = position.checked_sub(1).map_or(Some(0), |before| self.get(before))?;
        pieces.get(usize::try_from(start).ok()?..usize::try_from(self.get(position)?).ok()?)
    }
}

/// Appends a column. Its reader must know the count of numbers.
pub(in crate::domain) fn put_column(out: &mut Vec<u8>, numbers: &[u64]) {
    let largest = numbers.iter().copied().max().unwrap_or_default();
    let width = u8::try_from((64 - largest.leading_zeros()).div_ceil(8)).unwrap_or(8);
    out.push(width);
    for number in numbers {
        out.extend(number.to_le_bytes().iter().take(usize::from(width)));
    }
}

/// A reader of bytes from the first to the last.
#[derive(Debug, Clone, Copy)]
pub(in crate::domain) struct Bytes<'a>(pub(in crate::domain) &'a [u8]);

impl<'a> Bytes<'a> {
    /// Takes the next `len` bytes.
    pub(in crate::domain) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    /// Takes the next `N` bytes.
    pub(in crate::domain) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    /// Takes the next byte.
    pub(in crate::domain) fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    /// Takes a number that [`put_number`] wrote.
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

    /// Takes the count of values that follow.
    pub(in crate::domain) fn count(&mut self) -> Option<usize> {
        usize::try_from(self.number()?).ok()
    }

    /// Takes a column that [`put_column`] wrote.
    pub(in crate::domain) fn column(&mut self, len: usize) -> Option<NumberColumn<'a>> {
        let width = self.byte()?;
        self.column_of(width, len)
    }

    /// Takes a column whose first byte, the width, was already taken.
    pub(in crate::domain) fn column_of(&mut self, width: u8, len: usize) -> Option<NumberColumn<'a>> {
        let width = usize::from(width);
        let bytes = self.take(len.checked_mul(width)?)?;
        (width <= 8).then_some(NumberColumn { width, bytes })
    }
}
