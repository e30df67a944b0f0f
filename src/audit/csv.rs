//! Rows as comma-separated values (RFC 4180) that are safe to open in a spreadsheet.

use serde::Serialize;
use serde_json::Value;

/// The header line.
pub fn header(columns: &[&str]) -> Vec<u8> {
    let names: Vec<String> = columns.iter().map(|column| column.replace('.', "_")).collect();
    line(&names)
}

/// The line of a row, a cell for each column.
pub fn row(columns: &[&str], row: &impl Serialize) -> Vec<u8> {
    let row = serde_json::to_value(row).unwrap_or_default();
    let cells: Vec<String> = columns.iter().map(|column| safe(cell(&row, column))).collect();
    line(&cells)
}

fn line(cells: &[String]) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    // Writing to memory cannot fail.
    let _ = writer.write_record(cells);
    writer.into_inner().unwrap_or_default()
}

/// The text of what is at a path with dots, an object as JSON; nothing where there is nothing.
fn cell(row: &Value, path: &str) -> String {
    match path.split('.').try_fold(row, |value, name| value.get(name)) {
        None => String::new(),
        Some(object @ Value::Object(_)) => object.to_string(),
        Some(other) => text(other),
    }
}

/// A value as text: the parts of a list with `; ` between them, those of an object with a blank.
pub fn text(value: &Value) -> String {
    let joined =
        |parts: Vec<String>, by: &str| parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(by);
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(parts) => joined(parts.iter().map(text).collect(), "; "),
        Value::Object(fields) => joined(fields.values().map(text).collect(), " "),
        other => other.to_string(),
    }
}

/// A cell that no spreadsheet takes for a formula: one that begins like one gets a `'` before it.
pub fn safe(cell: String) -> String {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{cell}") } else { cell }
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
}
