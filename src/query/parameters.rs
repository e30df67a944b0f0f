//! Parameters of queries, as they follow the `?` of a URL.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use super::error::QueryError;

/// Named parameters, of which a query takes its own. The caller refuses those that are left.
pub trait Parameters {
    /// Removes a parameter and returns its text.
    fn take(&mut self, name: &str) -> Option<String>;
}

impl Parameters for BTreeMap<String, String> {
    fn take(&mut self, name: &str) -> Option<String> {
        self.remove(name)
    }
}

/// Removes a parameter and returns its value.
///
/// # Errors
/// `Invalid` if the text is not such a value.
pub fn value<T: FromStr<Err: Display>>(parameters: &mut impl Parameters, name: &str) -> Result<Option<T>, QueryError> {
    let parse = |text: String| text.parse().map_err(|error| QueryError::Invalid(format!("`{name}`: {error}")));
    parameters.take(name).map(parse).transpose()
}
