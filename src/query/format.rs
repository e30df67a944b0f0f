//! The written forms of rows: JSON, one JSON object a line (NDJSON), and CSV.

use serde::Serialize;
use serde_json::{Map, Value};

use super::{AuditQuery, csv};
use crate::domain::model::json;

/// A form in which rows are written one a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowFormat {
    /// A JSON object a line.
    Ndjson,
    /// Comma-separated values (RFC 4180).
    Csv,
}

impl RowFormat {
    /// Returns the bytes before the first row.
    pub fn header(self, columns: &[&str]) -> Vec<u8> {
        match self {
            Self::Ndjson => Vec::new(),
            Self::Csv => csv::header(columns),
        }
    }

    /// Returns the bytes of a row.
    pub fn line(self, columns: &[&str], row: &impl Serialize) -> Vec<u8> {
        match self {
            Self::Ndjson => ndjson_line(row),
            Self::Csv => csv::row(columns, row),
        }
    }
}

fn ndjson_line(row: &impl Serialize) -> Vec<u8> {
    let json = serde_json::to_vec(row).unwrap_or_default();
    let mut line = Vec::with_capacity(json.len() + 1);
    json::push_line(&mut line, &json);
    line.push(b'\n');
    line
}

/// Returns all rows of a query as one JSON page, after the fields of its heading.
pub fn whole_page<Q: AuditQuery>(heading: &impl Serialize, query: &Q) -> Value {
    let mut page = match serde_json::to_value(heading) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    let rows = all_rows(query).filter_map(|row| serde_json::to_value(row).ok());
    page.insert("items".to_owned(), rows.collect());
    page.insert("next".to_owned(), Value::Null);
    Value::Object(page)
}

/// Returns all rows of a query as CSV.
pub fn whole_csv<Q: AuditQuery>(query: &Q) -> Vec<u8> {
    let mut text = csv::header(Q::COLUMNS);
    all_rows(query).for_each(|row| text.extend(csv::row(Q::COLUMNS, &row)));
    text
}

fn all_rows<Q: AuditQuery>(query: &Q) -> impl Iterator<Item = Q::Row> {
    (0..query.candidates()).flat_map(|candidate| query.rows(candidate))
}
