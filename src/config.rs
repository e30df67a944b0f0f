//! What a server is configured with, beyond its flags: the operator's secret, and the address that it tells others.
//!
//! The secret is the instance's own credential. It comes from the environment, or from a file in the data folder that is made
//! on the first start, readable by its owner only. It is never printed.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use tempfile::NamedTempFile;
use zeroize::Zeroizing;

use crate::service::mint::{Mint, NoRandomness, Secret};

/// The variable that the operator's secret can be given in.
pub const OPERATOR_SECRET_VARIABLE: &str = "TENURE_OPERATOR_SECRET";
/// The file in the data folder that it is kept in otherwise.
pub const OPERATOR_SECRET_FILE: &str = "operator.secret";
/// The shortest operator's secret that is accepted, in bytes.
pub const OPERATOR_SECRET_BYTES_MIN: usize = 32;

/// Why a server cannot be started as it is configured.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The operator's secret could be guessed.
    #[error("the operator's secret in {place} has {len} bytes: give at least {OPERATOR_SECRET_BYTES_MIN}")]
    ShortSecret {
        /// Where it was given.
        place: String,
        /// How many bytes it has.
        len: usize,
    },
    /// The operator's secret cannot be read.
    #[error("cannot read the operator's secret in `{path}`: {error}")]
    ReadSecret {
        /// Where it is.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// The operator's secret cannot be kept.
    #[error("cannot write the operator's secret to `{path}`: {error}")]
    WriteSecret {
        /// Where it was to be.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// The operator's secret cannot be made.
    #[error("{0}")]
    MakeSecret(#[from] NoRandomness),
    /// An address is none.
    #[error("`{text}` is no base URL: {why}")]
    BaseUrl {
        /// What was given.
        text: String,
        /// What would be accepted.
        why: &'static str,
    },
}

/// The operator's secret: what the environment says, or what the data folder holds, where it is made if it is missing.
///
/// # Errors
/// It is too short, or cannot be read, made or kept.
pub fn operator_secret(folder: &Path, given: Option<String>, mint: &dyn Mint) -> Result<Secret, ConfigError> {
    if let Some(given) = given {
        return long_enough(given, || format!("`{OPERATOR_SECRET_VARIABLE}`"));
    }
    let path = folder.join(OPERATOR_SECRET_FILE);
    match std::fs::read_to_string(&path).map(Zeroizing::new) {
        Ok(kept) => long_enough(kept.trim_end().to_owned(), || format!("`{}`", path.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => make_secret(path, mint),
        Err(error) => Err(ConfigError::ReadSecret { path, error }),
    }
}

fn long_enough(secret: String, place: impl FnOnce() -> String) -> Result<Secret, ConfigError> {
    let len = secret.len();
    let secret = Secret::new(secret);
    if len >= OPERATOR_SECRET_BYTES_MIN { Ok(secret) } else { Err(ConfigError::ShortSecret { place: place(), len }) }
}

/// The file stands there whole or not at all: half a secret would be a short one at the next start.
fn make_secret(path: PathBuf, mint: &dyn Mint) -> Result<Secret, ConfigError> {
    let secret = Secret::make(mint)?;
    match write_private(&path, secret.expose()) {
        Ok(()) => Ok(secret),
        Err(error) => Err(ConfigError::WriteSecret { path, error }),
    }
}

/// A temporary file is made with mode 0600, and keeps it under its last name.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(path);
    let mut draft = NamedTempFile::new_in(folder)?;
    writeln!(draft, "{text}")?;
    draft.as_file().sync_all()?;
    draft.persist_noclobber(path).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}

/// The address under which others reach the server: what it calls itself, whatever a request's `Host` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl(String);

impl BaseUrl {
    /// The address of a server that is reached where it listens.
    pub fn of(address: std::net::SocketAddr) -> Self {
        Self(format!("http://{address}"))
    }

    /// The address, without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for BaseUrl {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let refuse = |why| Err(ConfigError::BaseUrl { text: text.escape_debug().to_string(), why });
        let url = text.trim_end_matches('/');
        let Some(rest) = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://")) else {
            return refuse("it begins with `http://` or `https://`");
        };
        if rest.is_empty() || rest.starts_with('/') {
            return refuse("it names a host, as in `https://tenure.example.com`");
        }
        if rest.contains(|c: char| c.is_whitespace() || c.is_control() || "?#@\"\\".contains(c)) {
            return refuse("it has no user, query or fragment, as in `https://tenure.example.com`");
        }
        Ok(Self(url.to_owned()))
    }
}
