//! The audit: questions over spans of time, each answered from views alone.
//!
//! Pure: no I/O, no clock. A question is made once, from a view; its answer is the rows of its candidates in order, so that it can be
//! given page by page or streamed, and is the same for ever. A row names the events behind it, with who made each, when and why.

pub mod credentials;
pub mod csv;
pub mod diff;
pub mod evidence;
pub mod pairs;
pub mod reasons;
pub mod report;
mod roll;
pub mod rolls;
pub mod roster;
pub mod search;
pub mod tenure;
pub mod what_if;

use serde::Serialize;

/// A question whose answer is a list of rows.
///
/// # Contract
/// [`rows`](Self::rows) depends on nothing but the question and the candidate; a candidate past the last one gives none.
pub trait Question: Send + Sync {
    /// A row of the answer.
    type Row: Serialize + Send + 'static;

    /// The columns of the answer as a table, each by its path in a row, with dots.
    const COLUMNS: &'static [&'static str];

    /// How many candidates there are.
    fn candidates(&self) -> usize;

    /// How much more work a candidate is than a pair of a principal and an environment.
    fn weight(&self) -> usize {
        1
    }

    /// The rows of a candidate, often one, sometimes none.
    fn rows(&self, candidate: usize) -> Vec<Self::Row>;
}
