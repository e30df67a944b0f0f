//! Why a command did not do what it was asked.

use std::io;

use crate::config::ConfigError;
use crate::domain::name::InvalidText;
use crate::domain::rejection::Rejection;
use crate::log::LogError;
use crate::service::import::ImportError;

/// What stopped a command.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// Whoever read the output has seen enough: not an error.
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
        /// The stable name of the refusal; empty if the server gave none.
        code: String,
        /// What is wrong, in the server's words.
        detail: String,
    },
    /// The server could not be asked, or what it said cannot be understood.
    #[error("{0}")]
    Server(String),
    /// What was asked for cannot be done as it was asked.
    #[error("{0}")]
    Usage(String),
    /// A file cannot be read or written.
    #[error("cannot {what} `{path}`: {error}")]
    File {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: String,
        /// What came of it.
        error: io::Error,
    },
    /// A history cannot be imported.
    #[error("`{file}` was not imported: {error}")]
    Import {
        /// Which one.
        file: String,
        /// Why.
        error: ImportError,
    },
    /// The server cannot be started as it is configured.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The log cannot be opened, read or written.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A text is not accepted.
    #[error(transparent)]
    Text(#[from] InvalidText),
    /// A rule said no.
    #[error(transparent)]
    Rejected(#[from] Rejection),
}

impl Failure {
    /// A request that makes no sense as it is.
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::Usage(message.into())
    }

    /// A server that cannot be understood.
    pub(super) fn server(message: impl Into<String>) -> Self {
        Self::Server(message.into())
    }

    /// What to do with a file failed.
    pub(super) fn file(what: &'static str, path: &std::path::Path, error: io::Error) -> Self {
        Self::File { what, path: path.display().to_string(), error }
    }

    /// What to do about it, where the message alone does not say.
    pub(super) const fn advice(&self) -> Option<&'static str> {
        match self {
            Self::Refused { status: 401, .. } => Some(
                "the id or secret in TENURE_TOKEN_ID and TENURE_TOKEN_SECRET is unknown to this server, revoked or expired",
            ),
            _ => None,
        }
    }
}

/// What goes wrong with the output; a closed pipe is how a reader says that it has seen enough.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe { Self::Closed } else { Self::Output(error) }
    }
}
