//! Layout of text for a terminal: word wrap, aligned columns, and rows wider than the terminal.
//!
//! Pure: it takes the width of the terminal in characters. It never breaks a word, since half an id is useless.
//! `textwrap` would also need a word separator of our own, since a date and its time form one word.

/// The indent of entries under their heading, and of the continuation of a wide row.
const INDENT: usize = 2;
/// The gap between two columns.
const GAP: &str = "  ";
/// The minimum width of a column of wrapped text, in characters.
const TEXT_WIDTH_MIN: usize = 20;

/// A line of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ListingLine {
    /// The heading of the entries below.
    Heading(String),
    /// Cells, aligned with those of other entries. The last cell is wrapped.
    Entry(Vec<String>),
}

/// A line of output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum DisplayLine {
    /// A line in bold.
    Heading(String),
    /// A plain line.
    Plain(String),
}

impl ListingLine {
    /// Makes an entry.
    pub(super) fn entry<const N: usize>(cells: [String; N]) -> Self {
        Self::Entry(cells.into())
    }
}

fn length(text: &str) -> usize {
    text.chars().count()
}

/// Wraps a text into lines of at most `width` characters. A longer word gets a line of its own.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words(text) {
        match lines.last_mut() {
            Some(line) if length(line) + 1 + length(&word) <= width => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines
}

/// Splits a text at spaces. A date and the time after it count as one word.
fn words(text: &str) -> Vec<String> {
    let is_date = |word: &str| {
        let like = |(place, b): (usize, u8)| if place == 4 || place == 7 { b == b'-' } else { b.is_ascii_digit() };
        word.len() == "2026-03-01".len() && word.bytes().enumerate().all(like)
    };
    let mut words: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match words.last_mut() {
            Some(last) if is_date(last) && word.contains('Z') => *last = format!("{last} {word}"),
            _ => words.push(word.to_owned()),
        }
    }
    words
}

fn padded(text: &str, width: usize) -> String {
    format!("{text:<width$}")
}

/// Returns the width of each column, in characters.
pub(super) fn widths<'a>(rows: impl IntoIterator<Item = &'a [String]>) -> Vec<usize> {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        widths.resize(widths.len().max(row.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = length(cell).max(*width);
        }
    }
    widths
}

/// Lays out headings and entries, with lines of at most `width` characters where possible.
pub(super) fn listing(lines: &[ListingLine], width: Option<usize>) -> Vec<DisplayLine> {
    let entries = lines.iter().filter_map(|line| match line {
        ListingLine::Entry(cells) => Some(cells.as_slice()),
        ListingLine::Heading(_) => None,
    });
    let columns = widths(entries);
    let laid_out = |line: &ListingLine| match line {
        ListingLine::Heading(heading) => vec![DisplayLine::Heading(heading.clone())],
        ListingLine::Entry(cells) => {
            entry(INDENT, cells, &columns, width).into_iter().map(DisplayLine::Plain).collect()
        }
    };
    lines.iter().flat_map(laid_out).collect()
}

fn entry(indent: usize, cells: &[String], columns: &[usize], width: Option<usize>) -> Vec<String> {
    let Some((words, fixed)) = cells.split_last() else { return Vec::new() };
    let mut first = " ".repeat(indent);
    for (cell, column) in fixed.iter().zip(columns) {
        first.push_str(&padded(cell, *column));
        first.push_str(GAP);
    }
    let hanging = " ".repeat(length(&first));
    let room = width.map_or(usize::MAX, |width| width.saturating_sub(length(&first)).max(TEXT_WIDTH_MIN));
    let lines = wrapped(words, room).into_iter().enumerate();
    let line = |(index, words)| if index == 0 { format!("{first}{words}") } else { format!("{hanging}{words}") };
    lines.map(|numbered| line(numbered).trim_end().to_owned()).collect()
}

/// Returns whether all columns fit into `width` characters.
pub(super) fn fits(rows: &[Vec<String>], width: usize) -> bool {
    let columns = widths(rows.iter().map(Vec::as_slice));
    fitting(&columns, width) == columns.len()
}

/// Lays out rows that are too wide, header first. If there is room, the last column is wrapped; otherwise the columns
/// that do not fit are indented below.
pub(super) fn narrowed(rows: &[Vec<String>], width: usize) -> Vec<DisplayLine> {
    let columns = widths(rows.iter().map(Vec::as_slice));
    let fitting = fitting(&columns, width);
    let end_of_fixed: usize =
        columns.iter().take(columns.len().saturating_sub(1)).map(|column| column + GAP.len()).sum();
    let hangs = fitting + 1 >= columns.len() && end_of_fixed + TEXT_WIDTH_MIN <= width;
    let laid_out = |row: &Vec<String>| {
        if hangs { entry(0, row, &columns, Some(width)) } else { stack(row, &columns, fitting, width) }
    };
    let as_shown = |index: usize| if index == 0 { DisplayLine::Heading } else { DisplayLine::Plain };
    rows.iter().enumerate().flat_map(|(index, row)| laid_out(row).into_iter().map(as_shown(index))).collect()
}

/// Returns the number of leading columns that fit; at least one.
fn fitting(columns: &[usize], width: usize) -> usize {
    let ends = columns.iter().scan(0_usize, |end, column| {
        let own = *end + column;
        *end = own + GAP.len();
        Some(own)
    });
    ends.take_while(|end| *end <= width).count().max(1)
}

fn stack(row: &[String], columns: &[usize], fitting: usize, width: usize) -> Vec<String> {
    let (first, rest) = row.split_at(fitting.min(row.len()));
    let cells: Vec<String> = first.iter().zip(columns).map(|(cell, column)| padded(cell, *column)).collect();
    let rest: Vec<&str> = rest.iter().map(String::as_str).filter(|cell| *cell != "-").collect();
    let below = wrapped(&rest.join(GAP), width.saturating_sub(2 * INDENT));
    let below = below.into_iter().filter(|line| !line.is_empty());
    let below = below.map(|line| format!("{}{}", " ".repeat(2 * INDENT), line.trim_end()));
    std::iter::once(cells.join(GAP).trim_end().to_owned()).chain(below).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(shown: Vec<DisplayLine>) -> Vec<String> {
        let text = |shown| match shown {
            DisplayLine::Heading(text) | DisplayLine::Plain(text) => text,
        };
        shown.into_iter().map(text).collect()
    }

    #[test]
    fn text_is_wrapped_and_words_are_never_broken() {
        assert_eq!(wrapped("on call until the release", 10), ["on call", "until the", "release"]);
        assert_eq!(wrapped("tok_01m83dj683efcspd8kgx6fytqj ends", 8), ["tok_01m83dj683efcspd8kgx6fytqj", "ends"]);
        assert_eq!(wrapped("expired at 2026-03-01 09:30:00Z, so", 24), ["expired at", "2026-03-01 09:30:00Z, so"]);
        assert_eq!(wrapped("", 8), [""]);
    }

    #[test]
    fn entries_are_aligned_and_their_text_is_indented() {
        let entry = |cells: [&str; 3]| ListingLine::entry(cells.map(str::to_owned));
        let heading = ListingLine::Heading("bob".to_owned());
        let lines = [heading, entry(["1", "viewer", "hired"]), entry(["12", "-", "left for another firm"])];
        let narrow = ["bob", "  1   viewer  hired", "  12  -       left for another", "              firm"];
        assert_eq!(texts(listing(&lines, Some(34))), narrow);
        assert_eq!(texts(listing(&lines, None)), ["bob", "  1   viewer  hired", "  12  -       left for another firm"]);
    }

    #[test]
    fn a_wide_row_continues_below() {
        let rows =
            [["REVISION", "EVENT", "REASON"], ["7", "grant.added", "OPS-41: on call"], ["8", "grant.ended", "-"]];
        let rows = rows.map(|row| row.map(str::to_owned).to_vec());
        assert!(fits(&rows, 38) && !fits(&rows, 37));
        let set_in =
            ["REVISION  EVENT", "    REASON", "7         grant.added", "    OPS-41: on call", "8         grant.ended"];
        assert_eq!(texts(narrowed(&rows, 24)), set_in);
        let rows = [["EVENT", "REASON"], ["grant.added", "OPS-41: on call until the release"]];
        let hanging = ["EVENT        REASON", "grant.added  OPS-41: on call", "             until the release"];
        assert_eq!(texts(narrowed(&rows.map(|row| row.map(str::to_owned).to_vec()), 33)), hanging);
    }
}
