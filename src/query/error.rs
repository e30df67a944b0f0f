//! Errors of queries.

use crate::domain::model::rejection::Rejection;
use crate::domain::model::time::Instant;

/// A query that has no answer as it stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// A name in the query never existed.
    #[error(transparent)]
    NotFound(Rejection),
    /// A parameter has a wrong value.
    #[error("{0}")]
    Invalid(String),
    /// The answer would exceed a limit.
    #[error("{0}")]
    TooLarge(String),
}

impl QueryError {
    /// Reports that nothing of a kind ever had a name.
    pub fn not_found(kind: &'static str, name: &str) -> Self {
        Self::NotFound(Rejection::not_found(kind, name))
    }

    /// Reports a span that ends before it begins.
    pub fn reversed_span((from, until): (Instant, Instant)) -> Self {
        Self::Invalid(format!("`from`: `{from}` is later than `until`, `{until}`"))
    }
}
