//! Rows as comma-separated values (RFC 4180) that are safe to open in a spreadsheet.
//!
//! A number stays a number. A text that a spreadsheet would run as a formula gets a `'` before it. Some readers end a line at characters
//! such as U+2028 even within quotes, and CSV has no escape for them. They are written as in JSON: `\u2028`.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;

/// Returns the header line.
pub fn header(columns: &[&str]) -> Vec<u8> {
    let names: Vec<String> = columns.iter().map(|column| column.replace('.', "_")).collect();
    line(&names)
}

/// Returns the line of a row, with a cell for each column.
pub fn row(columns: &[&str], row: &impl Serialize) -> Vec<u8> {
    let row = serde_json::to_value(row).unwrap_or_default();
    let cells: Vec<String> = columns.iter().map(|column| cell(&row, column)).collect();
    line(&cells)
}

fn line(cells: &[String]) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    // Writing to memory cannot fail.
    let _ = writer.write_record(cells);
    writer.into_inner().unwrap_or_default()
}

/// Returns the cell of the value at a path with dots: an object as JSON, empty where there is no value.
fn cell(row: &Value, path: &str) -> String {
    match path.split('.').try_fold(row, |value, name| value.get(name)) {
        None => String::new(),
        Some(Value::Number(number)) => number.to_string(),
        Some(object @ Value::Object(_)) => safe(&object.to_string()),
        Some(other) => safe(&text(other)),
    }
}

/// Returns a value as text. The parts of a list are joined by `; `, those of an object by a blank.
pub fn text(value: &Value) -> String {
    let joined =
        |parts: Vec<String>, by: &str| parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(by);
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(parts) => joined(parts.iter().map(text).collect(), "; "),
        Value::Object(fields) => joined(fields.values().map(text).collect(), " "),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// The characters that begin a formula in some spreadsheet.
const FORMULA_STARTS: [char; 8] = ['=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'];

/// The characters at which a spreadsheet may begin a cell, beside the comma: its settings may make it read `;` or a tab as the
/// separator. Then the quotes of this file need not hold together what they enclose.
const CELL_STARTS: [char; 4] = [';', '\t', '\r', '\n'];

/// Returns a cell that no spreadsheet takes for a formula and no reader takes for two lines.
///
/// A text that begins like a formula gets a `'` before it, and so does a part of it after a `;`, a tab or a line end. Line separators
/// other than CR and LF, which CSV quotes, become their JSON escape.
pub fn safe(text: &str) -> String {
    let mut cell = String::with_capacity(text.len() + 1);
    // The place of the guard, while only characters follow it that a spreadsheet drops.
    let mut guard = Some(0);
    for c in text.chars() {
        if let Some(place) = guard.filter(|place| is_unsafe_start(c, *place)) {
            cell.insert(place, '\'');
        }
        if ends_a_line(c) {
            // Writing to memory cannot fail.
            let _ = write!(cell, "\\u{:04x}", u32::from(c));
        } else {
            cell.push(c);
        }
        if CELL_STARTS.contains(&c) {
            guard = Some(cell.len());
        } else if !is_dropped(c, guard) {
            guard = None;
        }
    }
    cell
}

/// Returns whether a character at the start of a cell makes it a formula. At the start of the whole text that may also be a character
/// that some spreadsheet drops before it looks for a formula.
fn is_unsafe_start(c: char, place: usize) -> bool {
    FORMULA_STARTS.contains(&c) || (place == 0 && matches!(c, '\t' | '\r' | '\n'))
}

/// Returns whether a spreadsheet drops this character at the start of a cell: a blank, or a quote where the cell begins within a text.
fn is_dropped(c: char, guard: Option<usize>) -> bool {
    c == ' ' || (c == '"' && guard != Some(0))
}

/// Checks whether some readers end a line at `c` although CSV does not quote it.
const fn ends_a_line(c: char) -> bool {
    matches!(c, '\u{0b}' | '\u{0c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cell_is_never_a_formula() {
        let found = json!({"a": "=1+1", "b": {"c": "-x"}, "d": ["@x", {"e": 1, "f": null}], "g": "a,\"b\"", "h": null});
        let line = row(&["a", "b.c", "d", "g", "h", "i.j"], &found);
        assert_eq!(String::from_utf8(line).ok().as_deref(), Some("'=1+1,'-x,'@x; 1,\"a,\"\"b\"\"\",,\r\n"));
        assert_eq!(header(&["a", "b.c"]), b"a,b_c\r\n");
    }

    #[test]
    fn a_number_stays_a_number_and_a_text_of_digits_stays_a_text() {
        let found =
            json!({"a": -44_640, "b": "-44640", "c": -0.5, "d": [-1, 2], "e": {"f": -7}, "g": "+49 170", "h": 3});
        let line = row(&["a", "b", "c", "d", "e", "e.f", "g", "h"], &found);
        let expected = "-44640,'-44640,-0.5,'-1; 2,\"{\"\"f\"\":-7}\",-7,'+49 170,3\r\n";
        assert_eq!(String::from_utf8(line).ok().as_deref(), Some(expected));
    }

    #[test]
    fn a_formula_is_guarded_behind_blanks_and_in_wide_characters_too() {
        for text in ["=1", "+1", "-1", "@a", "\ta", "\ra", "  =1", "\u{ff1d}1", "\u{ff0b}1", "\u{ff0d}1", "\u{ff20}a"] {
            assert_eq!(safe(text), format!("'{text}"), "{text:?}");
        }
        for text in
            ["", "a=1", "1-1", "'=1", "{\"a\":\"=1\"}", "a;b", "a; b", "a\tb=1", "a\r\nb", "a;'=1", "\"=1\"", "a;;"]
        {
            assert_eq!(safe(text), text);
        }
    }

    /// Returns whether a spreadsheet with this separator runs a cell of a line, if it heeds no quotes.
    fn runs(line: &str, separator: char) -> bool {
        let cells = line.split([separator, '\r', '\n']).map(|cell| cell.trim_start_matches([' ', '"']));
        cells.into_iter().any(|cell| cell.starts_with(FORMULA_STARTS))
    }

    #[test]
    fn no_cell_is_a_formula_whichever_separator_a_spreadsheet_reads() {
        let attack = "x;=cmd|' /C calc'!A0;y";
        assert_eq!(safe(attack), "x;'=cmd|' /C calc'!A0;y");
        assert_eq!(safe("\t=1"), "'\t'=1");
        for start in FORMULA_STARTS {
            for between in [";", "\t", "\n", "\r\n", "; ", ";\"", ";; \"", "\t;", ", ;", "\",\";"] {
                let text = format!("x{between}{start}1");
                let list = json!({"a": "first", "b": text, "c": [text, "y"], "d": {"e": text}, "f": ["x", format!("{start}1")]});
                for columns in [["a", "b"], ["b", "a"], ["a", "c"], ["a", "d"], ["d", "d.e"], ["f", "a"]] {
                    let line = String::from_utf8(row(&columns, &list)).unwrap_or_default();
                    for (separator, byte) in [(';', b';'), ('\t', b'\t')] {
                        assert!(!runs(&line, separator), "{line:?} with {separator:?}");
                        let mut heeding = csv::ReaderBuilder::new();
                        let heeding = heeding.delimiter(byte).has_headers(false).flexible(true);
                        for cells in heeding.from_reader(line.as_bytes()).records().map(Result::unwrap_or_default) {
                            assert!(
                                !cells.iter().any(|cell| cell.trim_start().starts_with(FORMULA_STARTS)),
                                "{line:?}"
                            );
                        }
                    }
                    let mut commas = csv::ReaderBuilder::new().has_headers(false).from_reader(line.as_bytes());
                    let cells = commas.records().next().and_then(Result::ok).unwrap_or_default();
                    assert_eq!(cells.len(), 2, "{line:?}");
                }
            }
        }
    }

    #[test]
    fn every_character_at_which_a_reader_may_end_a_line_is_escaped() {
        let line = row(&["a"], &json!({"a": "one\u{b}\u{c}\u{1c}\u{1d}\u{1e}\u{85}\u{2028}\u{2029}two"}));
        let text = String::from_utf8(line).unwrap_or_default();
        assert_eq!(text, "one\\u000b\\u000c\\u001c\\u001d\\u001e\\u0085\\u2028\\u2029two\r\n");
        assert_eq!(row(&["a"], &json!({"a": "one\r\ntwo"})), b"\"one\r\ntwo\"\r\n", "CSV quotes these itself");
    }
}
