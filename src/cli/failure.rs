//! The errors of commands.

use std::io;

use crate::config::ConfigError;
use crate::domain::model::name::InvalidText;
use crate::domain::model::rejection::Rejection;
use crate::log::LogError;
use crate::service::import::ImportError;

/// The reason that a command failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The reader of the output closed it. The exit code stays 0.
    #[error("the output was closed")]
    Closed,
    /// The output cannot be written.
    #[error("cannot write the output: {0}")]
    Output(io::Error),
    /// The server refused.
    #[error("{detail}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The stable code of the refusal; empty if the server gave none.
        code: String,
        /// The server's explanation.
        detail: String,
    },
    /// The server cannot be reached, or its response cannot be parsed.
    #[error("{0}")]
    Server(String),
    /// The command cannot be run with these arguments.
    #[error("{0}")]
    Usage(String),
    /// A file cannot be read or written.
    #[error("cannot {what} `{path}`: {error}")]
    File {
        /// The operation, such as `read`.
        what: &'static str,
        /// The path of the file.
        path: String,
        /// The error of the operating system.
        error: io::Error,
    },
    /// A history cannot be imported.
    #[error("`{file}` was not imported: {error}")]
    Import {
        /// The file.
        file: String,
        /// The cause.
        error: ImportError,
    },
    /// The configuration is invalid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The log cannot be opened, read or written.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A name, id or reason is invalid.
    #[error(transparent)]
    Text(#[from] InvalidText),
    /// A rule of the domain rejected the command.
    #[error(transparent)]
    Rejected(#[from] Rejection),
}

impl Failure {
    /// Makes an error about the arguments.
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::Usage(message.into())
    }

    /// Makes an error about the server.
    pub(super) fn server(message: impl Into<String>) -> Self {
        Self::Server(message.into())
    }

    /// Makes an error about a file.
    pub(super) fn file(what: &'static str, path: &std::path::Path, error: io::Error) -> Self {
        Self::File { what, path: path.display().to_string(), error }
    }

    /// Returns advice, where the message alone does not say what to do.
    pub(super) const fn advice(&self) -> Option<&'static str> {
        match self {
            Self::Refused { status: 401, .. } => Some(
                "the id or secret in TENURE_TOKEN_ID and TENURE_TOKEN_SECRET is unknown to this server, revoked or expired",
            ),
            _ => None,
        }
    }
}

/// Converts an error of the output. A closed pipe means that the reader stopped.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe { Self::Closed } else { Self::Output(error) }
    }
}
