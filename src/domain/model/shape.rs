//! The shape of JSON values, and the errors in it.

use serde::Deserialize;
use serde_json::Value;

use crate::domain::model::characters::shown;

/// The longest path in an error, in characters.
const PATH_CHARS_MAX: usize = 200;
/// The longest message in an error, in characters.
const MESSAGE_CHARS_MAX: usize = 1_000;

/// The reason why a JSON value is not a command, or not the expected body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", if path.is_empty() || path == "." { String::new() } else { format!("`{path}`: ") })]
pub struct ShapeError {
    /// The path of fields and positions to the error.
    pub path: String,
    /// Whether the value has the wrong JSON type, as opposed to a wrong value or field.
    pub wrong_type: bool,
    /// The error, as a sentence.
    pub message: String,
}

impl ShapeError {
    /// Reads a value of a given shape.
    ///
    /// # Errors
    /// The first error in the value.
    pub fn read<T: for<'de> Deserialize<'de>>(value: Value) -> Result<T, Self> {
        if !value.is_object() {
            let message = "invalid type: expected an object".to_owned();
            return Err(Self { path: String::new(), wrong_type: true, message });
        }
        serde_path_to_error::deserialize(value).map_err(|error| {
            // Both may hold foreign names of fields.
            let message = shown(&error.inner().to_string(), MESSAGE_CHARS_MAX);
            let path = shown(&error.path().to_string(), PATH_CHARS_MAX);
            Self { path, wrong_type: message.starts_with("invalid type"), message }
        })
    }

    /// Returns the same error inside a larger value, at `path`.
    #[must_use]
    pub fn within(mut self, path: &str) -> Self {
        self.path =
            if self.path.is_empty() || self.path == "." { path.to_owned() } else { format!("{path}.{}", self.path) };
        self
    }
}
