//! Interpolation search in sorted rows.
//!
//! A binary search in a long row reads a dozen distant positions, each with a wait for memory. Events are spread evenly
//! in time, so the position can be guessed. The search goes outward from the guess.
//!
//! No crate serves: the known ones search slices of numbers, and the rows here are columns of varying width.

/// Returns the share of a length that `passed` has in `whole`; at most the length.
pub(crate) fn part(len: usize, passed: u64, whole: u64) -> usize {
    // Shifts both so that the product cannot overflow. A length has few bits, so little precision is lost.
    let bits = (u64::BITS - whole.leading_zeros()).saturating_sub(32);
    let product = (passed >> bits).saturating_mul(u64::try_from(len).unwrap_or(u64::MAX));
    product.checked_div(whole >> bits).and_then(|part| usize::try_from(part).ok()).map_or(len, |part| part.min(len))
}

/// Returns the partition point of `holds`, searching outward from `guess`. The first step is `near` wide.
pub(crate) fn search_from(guess: usize, near: usize, len: usize, holds: impl Fn(usize) -> bool) -> usize {
    let (mut before, mut after, mut step) = (0, len, near.max(1));
    let is_before = guess < len && holds(guess);
    if is_before {
        before = guess + 1;
    } else {
        after = guess;
    }
    while before < after {
        let probe =
            if is_before { before.saturating_add(step).min(after - 1) } else { after.saturating_sub(step).max(before) };
        let found = holds(probe);
        if found {
            before = probe + 1;
        } else {
            after = probe;
        }
        if found != is_before {
            break;
        }
        step *= 2;
    }
    search_between(before, after, holds)
}

/// Returns the partition point of `holds` by binary search, for rows so short that a guess costs more than it saves.
pub(crate) fn search(len: usize, holds: impl Fn(usize) -> bool) -> usize {
    search_between(0, len, holds)
}

fn search_between(mut before: usize, mut after: usize, holds: impl Fn(usize) -> bool) -> usize {
    while before < after {
        let middle = before.midpoint(after);
        if holds(middle) {
            before = middle + 1;
        } else {
            after = middle;
        }
    }
    before
}

#[cfg(test)]
mod tests {
    use super::{part, search, search_from};

    #[test]
    fn a_search_finds_the_position_from_any_guess() {
        for len in 0..40 {
            for position in 0..=len {
                assert_eq!(search(len, |offset| offset < position), position, "{len}");
                for (guess, near) in (0..=len).flat_map(|guess| [(guess, 0), (guess, 1), (guess, 8)]) {
                    assert_eq!(search_from(guess, near, len, |offset| offset < position), position, "{guess} of {len}");
                }
            }
        }
    }

    #[test]
    fn a_part_is_never_more_than_the_whole() {
        for (passed, whole, expected) in [(0, 0, 100), (5, 10, 50), (u64::MAX, 7, 100), (1 << 62, u64::MAX, 25)] {
            assert_eq!(part(100, passed, whole), expected, "{passed} of {whole}");
        }
    }
}
