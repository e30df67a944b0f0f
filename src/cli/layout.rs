//! Text laid out for a terminal: words in lines, columns one below the other, rows that are wider than the terminal.
//!
//! Pure: it knows no terminal, only how many characters wide one is. A word is never broken: half an id is no id.

/// How far entries stand in from their heading, and the rest of a wide row from its beginning.
const INDENT: usize = 2;
/// What stands between two columns.
const GAP: &str = "  ";
/// A column of words is not made narrower than this, in characters.
const TEXT_WIDTH_MIN: usize = 20;

/// A line of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    /// What the entries below are about.
    Heading(String),
    /// Cells: each under those of the entries before, the last one words that go on in the next line.
    Entry(Vec<String>),
}

/// A line of text as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shown {
    /// It stands out.
    Heading(String),
    /// It does not.
    Plain(String),
}

impl Line {
    /// An entry.
    pub(super) fn entry<const N: usize>(cells: [String; N]) -> Self {
        Self::Entry(cells.into())
    }
}

fn length(text: &str) -> usize {
    text.chars().count()
}

/// The words of a text, in lines of at most `width` characters; a longer word has a line of its own.
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

/// What stands between blanks; a date and the time behind it are one word.
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

/// How wide each column is, in characters.
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

/// Headings with their entries under them, no line of them longer than `width` characters if it can be helped.
pub(super) fn listing(lines: &[Line], width: Option<usize>) -> Vec<Shown> {
    let entries = lines.iter().filter_map(|line| match line {
        Line::Entry(cells) => Some(cells.as_slice()),
        Line::Heading(_) => None,
    });
    let columns = widths(entries);
    let laid_out = |line: &Line| match line {
        Line::Heading(heading) => vec![Shown::Heading(heading.clone())],
        Line::Entry(cells) => entry(INDENT, cells, &columns, width).into_iter().map(Shown::Plain).collect(),
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

/// Whether rows have room side by side.
pub(super) fn fits(rows: &[Vec<String>], width: usize) -> bool {
    let columns = widths(rows.iter().map(Vec::as_slice));
    fitting(&columns, width) == columns.len()
}

/// Rows that have no room, header first: the words of the last column go on in the next line if there is room for them, else
/// whatever columns have no room are set in below.
pub(super) fn narrowed(rows: &[Vec<String>], width: usize) -> Vec<Shown> {
    let columns = widths(rows.iter().map(Vec::as_slice));
    let fitting = fitting(&columns, width);
    let end_of_fixed: usize =
        columns.iter().take(columns.len().saturating_sub(1)).map(|column| column + GAP.len()).sum();
    let hangs = fitting + 1 >= columns.len() && end_of_fixed + TEXT_WIDTH_MIN <= width;
    let laid_out = |row: &Vec<String>| {
        if hangs { entry(0, row, &columns, Some(width)) } else { stack(row, &columns, fitting, width) }
    };
    let as_shown = |index: usize| if index == 0 { Shown::Heading } else { Shown::Plain };
    rows.iter().enumerate().flat_map(|(index, row)| laid_out(row).into_iter().map(as_shown(index))).collect()
}

/// How many columns from the first on have room side by side; at least one.
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

    fn texts(shown: Vec<Shown>) -> Vec<String> {
        let text = |shown| match shown {
            Shown::Heading(text) | Shown::Plain(text) => text,
        };
        shown.into_iter().map(text).collect()
    }

    #[test]
    fn words_go_on_in_the_next_line_and_are_never_broken() {
        assert_eq!(wrapped("on call until the release", 10), ["on call", "until the", "release"]);
        assert_eq!(wrapped("tok_01m83dj683efcspd8kgx6fytqj ends", 8), ["tok_01m83dj683efcspd8kgx6fytqj", "ends"]);
        assert_eq!(wrapped("expired at 2026-03-01 09:30:00Z, so", 24), ["expired at", "2026-03-01 09:30:00Z, so"]);
        assert_eq!(wrapped("", 8), [""]);
    }

    #[test]
    fn entries_stand_under_each_other_and_their_words_hang() {
        let entry = |cells: [&str; 3]| Line::entry(cells.map(str::to_owned));
        let heading = Line::Heading("bob".to_owned());
        let lines = [heading, entry(["1", "viewer", "hired"]), entry(["12", "-", "left for another firm"])];
        let narrow = ["bob", "  1   viewer  hired", "  12  -       left for another", "              firm"];
        assert_eq!(texts(listing(&lines, Some(34))), narrow);
        assert_eq!(texts(listing(&lines, None)), ["bob", "  1   viewer  hired", "  12  -       left for another firm"]);
    }

    #[test]
    fn a_row_that_is_too_wide_goes_on_below() {
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
