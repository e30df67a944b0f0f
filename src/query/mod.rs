//! The queries of the audit: parsed from parameters, run on views, and written as JSON, NDJSON, CSV or HTML.
//!
//! Pure: no I/O, no cache, no clock, no chance. The rows of a query depend on its view alone, so an answer can be paged or streamed, and
//! never changes. Each row names its evidence: the events, with actor, time and reason.

// As in the domain: the compiler lists every query that a new event or fact must be considered in.
#![deny(clippy::wildcard_enum_match_arm)]

pub mod credentials;
pub mod csv;
pub mod diff;
pub mod error;
pub mod events;
pub mod evidence;
pub mod format;
pub mod list;
pub mod pairs;
pub mod parameters;
pub mod reasons;
pub mod report;
pub mod roster;
pub mod search;
pub mod tenure;
pub mod what_if;

use serde::Serialize;

/// A query whose answer is a list of rows.
///
/// # Contract
/// [`rows`](Self::rows) depends only on the query and the candidate. A candidate past the last one has none.
pub trait AuditQuery: Send + Sync {
    /// A row of the answer.
    type Row: Serialize + Send + 'static;

    /// The columns of the answer as a table, each as a dotted path into a row.
    const COLUMNS: &'static [&'static str];

    /// Returns the number of candidates.
    fn candidates(&self) -> usize;

    /// Returns the cost of a candidate, relative to one pair of a principal and an environment.
    fn weight(&self) -> usize {
        1
    }

    /// Returns the size of the query's own lists, in bytes.
    fn bytes(&self) -> usize {
        0
    }

    /// Returns the rows of a candidate: often one, sometimes none.
    fn rows(&self, candidate: usize) -> Vec<Self::Row>;
}
