//! The configuration of a server beside its flags: the operator's secret, the key that signs checkpoints, and the base
//! URL.
//!
//! The secret is the operator's credential; the key signs the logs. Each is read from the environment, or from a file
//! in the data folder. The first start makes the files, readable by their owner only. Neither is ever printed.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use zeroize::Zeroizing;

use crate::proof::note::LogKey;
use crate::service::id_generator::{IdGenerator, NoRandomness, Secret};

/// The variable for the operator's secret.
pub const OPERATOR_SECRET_VARIABLE: &str = "TENURE_OPERATOR_SECRET";
/// The file in the data folder that is used if the variable is not set.
pub const OPERATOR_SECRET_FILE: &str = "operator.secret";
/// The variable for the key that signs checkpoints.
pub const LOG_KEY_VARIABLE: &str = "TENURE_LOG_KEY";
/// The file in the data folder that is used if the variable is not set.
pub const LOG_KEY_FILE: &str = "log.key";
/// The file of the next key during a rotation.
const NEXT_LOG_KEY_FILE: &str = "log.key.next";
/// The shortest operator's secret that is accepted, in bytes.
pub const OPERATOR_SECRET_BYTES_MIN: usize = 32;

/// The errors of a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The operator's secret is short enough to be guessed.
    #[error("the operator's secret in {place} has {len} bytes: give at least {OPERATOR_SECRET_BYTES_MIN}")]
    ShortSecret {
        /// The variable or file.
        place: String,
        /// The length in bytes.
        len: usize,
    },
    /// The key that signs checkpoints is invalid.
    #[error("the key in {0} is invalid: it needs 64 hexadecimal digits, as `openssl rand -hex 32` prints them")]
    LogKey(String),
    /// A secret cannot be read.
    #[error("cannot read the secret in `{path}`: {error}")]
    ReadSecret {
        /// The path of the file.
        path: PathBuf,
        /// The error of the operating system.
        error: io::Error,
    },
    /// A secret cannot be written.
    #[error("cannot write the secret to `{path}`: {error}")]
    WriteSecret {
        /// The path of the file.
        path: PathBuf,
        /// The error of the operating system.
        error: io::Error,
    },
    /// The system gave no random bytes.
    #[error("{0}")]
    MakeSecret(#[from] NoRandomness),
    /// The base URL is invalid.
    #[error("`{text}` is no base URL: {why}")]
    BaseUrl {
        /// The text.
        text: String,
        /// The accepted form.
        why: &'static str,
    },
}

/// Returns the operator's secret: `given` by the environment, or read from the data folder. Makes it if it is missing.
///
/// # Errors
/// The secret is too short, or cannot be read, made or written.
pub fn operator_secret(folder: &Path, given: Option<String>, ids: &dyn IdGenerator) -> Result<Secret, ConfigError> {
    let (secret, place) = stored_secret(folder, (OPERATOR_SECRET_VARIABLE, given), OPERATOR_SECRET_FILE, ids)?;
    let len = secret.expose().len();
    if len >= OPERATOR_SECRET_BYTES_MIN { Ok(secret) } else { Err(ConfigError::ShortSecret { place, len }) }
}

/// Returns the key that signs checkpoints, found and made as the operator's secret is. It is the seed of an Ed25519 key
/// (RFC 8032 §5.1.5) in 64 hexadecimal digits.
///
/// # Errors
/// The key has another form, or cannot be read, made or written.
pub fn log_key(folder: &Path, given: Option<String>, ids: &dyn IdGenerator) -> Result<LogKey, ConfigError> {
    read_key(stored_secret(folder, (LOG_KEY_VARIABLE, given), LOG_KEY_FILE, ids)?)
}

/// Finds the key that signs checkpoints, as [`log_key`] does, without making one.
///
/// # Errors
/// The key has another form, or cannot be read.
pub fn find_log_key(folder: &Path, given: Option<String>) -> Result<Option<LogKey>, ConfigError> {
    find_secret(folder, (LOG_KEY_VARIABLE, given), LOG_KEY_FILE)?.map(read_key).transpose()
}

/// Makes the next key of a rotation, in a file beside the current one.
///
/// # Errors
/// The key cannot be made or written.
pub fn make_next_log_key(folder: &Path, ids: &dyn IdGenerator) -> Result<LogKey, ConfigError> {
    remove_next_log_key(folder)?;
    let path = folder.join(NEXT_LOG_KEY_FILE);
    let place = format!("`{}`", path.display());
    read_key((make_secret(path, ids)?, place))
}

/// Returns the next key of an unfinished rotation, if there is one.
///
/// # Errors
/// The key has another form, or cannot be read.
pub fn find_next_log_key(folder: &Path) -> Result<Option<LogKey>, ConfigError> {
    find_secret(folder, (LOG_KEY_VARIABLE, None), NEXT_LOG_KEY_FILE)?.map(read_key).transpose()
}

/// Replaces the current key by the next one.
///
/// # Errors
/// The file cannot be renamed.
pub fn put_next_log_key_in_place(folder: &Path) -> Result<(), ConfigError> {
    let path = folder.join(LOG_KEY_FILE);
    let replace =
        || std::fs::rename(folder.join(NEXT_LOG_KEY_FILE), &path).and_then(|()| File::open(folder)?.sync_all());
    replace().map_err(|error| ConfigError::WriteSecret { path: path.clone(), error })
}

/// Removes the next key of an unfinished rotation, if there is one.
///
/// # Errors
/// The file cannot be removed.
pub fn remove_next_log_key(folder: &Path) -> Result<(), ConfigError> {
    let path = folder.join(NEXT_LOG_KEY_FILE);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(ConfigError::WriteSecret { path, error }),
        _ => Ok(()),
    }
}

fn read_key((secret, place): (Secret, String)) -> Result<LogKey, ConfigError> {
    seed(secret.expose()).map(|seed| LogKey::from_seed(&seed)).ok_or(ConfigError::LogKey(place))
}

/// Parses 64 hexadecimal digits.
fn seed(digits: &str) -> Option<Zeroizing<[u8; 32]>> {
    let mut seed = Zeroizing::new([0; 32]);
    let decoded = base16ct::mixed::decode(digits, seed.as_mut_slice()).ok()?.len();
    (decoded == 32).then_some(seed)
}

/// Returns a secret and its place. Makes it if it is missing.
fn stored_secret(
    folder: &Path,
    given: (&str, Option<String>),
    file: &str,
    ids: &dyn IdGenerator,
) -> Result<(Secret, String), ConfigError> {
    if let Some(found) = find_secret(folder, given, file)? {
        return Ok(found);
    }
    let path = folder.join(file);
    let place = format!("`{}`", path.display());
    Ok((make_secret(path, ids)?, place))
}

/// Finds a secret in a variable or a file, and returns it with its place.
fn find_secret(
    folder: &Path,
    (variable, given): (&str, Option<String>),
    file: &str,
) -> Result<Option<(Secret, String)>, ConfigError> {
    if let Some(given) = given {
        return Ok(Some((Secret::new(given), format!("`{variable}`"))));
    }
    let path = folder.join(file);
    match std::fs::read_to_string(&path).map(Zeroizing::new) {
        Ok(stored) => {
            warn_if_shared(&path);
            Ok(Some((Secret::new(stored.trim_end()), format!("`{}`", path.display()))))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ConfigError::ReadSecret { path, error }),
    }
}

fn warn_if_shared(path: &Path) {
    let is_shared = std::fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o077 != 0);
    if is_shared {
        let path = path.display();
        tracing::warn!(
            "others than its owner may use the secret in `{path}`: check that nobody did, and run `chmod 600` on it"
        );
    }
}

/// Makes a secret and writes it atomically: half a secret would be a short one at the next start.
fn make_secret(path: PathBuf, ids: &dyn IdGenerator) -> Result<Secret, ConfigError> {
    let secret = Secret::make(ids)?;
    match write_private(&path, secret.expose()) {
        Ok(()) => Ok(secret),
        Err(error) => Err(ConfigError::WriteSecret { path, error }),
    }
}

/// Writes a file readable by its owner only: a temporary file has mode 0600, and keeps it when renamed.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(path);
    // The log uses the same names for drafts, so the next start removes one that a kill left behind.
    let mut draft = tempfile::Builder::new().prefix(".tenure-").suffix(".draft").tempfile_in(folder)?;
    draft.as_file().try_lock()?;
    writeln!(draft, "{text}")?;
    draft.as_file().sync_all()?;
    draft.persist_noclobber(path).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}

/// The server's address from outside, used in links regardless of a request's `Host`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl(String);

impl BaseUrl {
    /// Makes the base URL of a listening address.
    pub fn of(address: std::net::SocketAddr) -> Self {
        Self(format!("http://{address}"))
    }

    /// Returns the URL, without a trailing slash.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_is_a_host_and_perhaps_a_path() {
        let url = |text: &str| text.parse::<BaseUrl>().map(|url| url.to_string()).map_err(|error| error.to_string());
        assert_eq!(url("https://tenure.example.com/"), Ok("https://tenure.example.com".to_owned()));
        assert_eq!(url("http://[::1]:8321/tenure"), Ok("http://[::1]:8321/tenure".to_owned()));
        for wrong in
            ["tenure.example.com", "ftp://host", "https://", "https:///path", "http://a?b", "http://u@h", "http://a b"]
        {
            assert!(url(wrong).is_err_and(|message| message.contains(wrong)), "{wrong}");
        }
    }
}
