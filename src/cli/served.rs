//! A workspace's log, read from a server.

use std::io::Read;

use super::client::{Client, Query};
use super::failure::Failure;
use crate::log::published::{FileError, PublishedLog};

/// The largest file of a log, in bytes: a bundle of 256 of the longest entries.
const FILE_BYTES_MAX: u64 = 256 * 65_537;

/// The log of a workspace on a server.
pub(super) struct ServedLog {
    client: Client,
    prefix: String,
}

impl ServedLog {
    /// Makes the log whose files are under a path of the server.
    pub(super) fn new(client: Client, prefix: String) -> Self {
        Self { client, prefix }
    }
}

impl PublishedLog for ServedLog {
    fn file(&self, path: &str) -> Result<Vec<u8>, FileError> {
        let unreadable = |error: &dyn std::fmt::Display| FileError::Unreadable(error.to_string());
        let path = format!("{}/{path}", self.prefix);
        let mut answer = self.client.open(&path, &Query::default(), "*/*").map_err(|failure| match failure {
            Failure::Refused { status: 404, .. } => FileError::Missing,
            failure => unreadable(&failure),
        })?;
        let mut bytes = Vec::new();
        let mut body = answer.body_mut().as_reader().take(FILE_BYTES_MAX);
        body.read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
        Ok(bytes)
    }
}
