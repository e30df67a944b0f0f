//! Signed notes and the keys that sign them (C2SP `signed-note`, Ed25519).
//!
//! One key signs for every workspace of a data folder. The name of a key is the log that it signs for, so a signature is valid for one log
//! only.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};

use crate::domain::model::id::WorkspaceId;

/// The separator between the name of an instance and the id of a workspace in the name of a log.
const BELOW_INSTANCE: &str = "/workspaces/";
/// The signature type identifier of Ed25519.
const ED25519: u8 = 1;
/// The length of a key's id, in bytes of its hash.
const KEY_ID_BYTES: usize = 4;
/// The longest name of a log, in bytes.
const ORIGIN_BYTES_MAX: usize = 256;
/// The longest note that is accepted, in bytes.
const NOTE_BYTES_MAX: usize = 64 * 1_024;

/// The name of a log: its key's name, and the first line of its checkpoints (C2SP `tlog-checkpoint`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin(String);

impl Origin {
    /// Returns a valid name.
    pub(super) fn fixed(name: &'static str) -> Self {
        Self(name.to_owned())
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of a workspace's log, where this is an instance's.
    #[must_use]
    pub fn of_workspace(&self, workspace: WorkspaceId) -> Self {
        Self(format!("{}{BELOW_INSTANCE}{workspace}", self.0))
    }

    /// Returns the workspace of this log's name; none for another kind of log.
    pub fn workspace(&self) -> Option<WorkspaceId> {
        self.0.rsplit_once(BELOW_INSTANCE)?.1.parse().ok()
    }

    /// The name of the instance that a workspace's log is of; itself if it is the name of no such log.
    #[must_use]
    pub fn instance(&self) -> Self {
        let instance = self.workspace().and_then(|_| self.0.rsplit_once(BELOW_INSTANCE));
        Self(instance.map_or(self.0.as_str(), |(instance, _)| instance).to_owned())
    }
}

/// Returns the default prefix of the names of an instance's logs: `tenure.local`.
impl Default for Origin {
    fn default() -> Self {
        Self("tenure.local".to_owned())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The error for a text that is no name of a log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no origin: it is 1 to 256 characters without spaces or `+`, such as `tenure.example.com`")]
pub struct InvalidOrigin(String);

impl FromStr for Origin {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        let fits = |c: char| !c.is_whitespace() && !c.is_control() && c != '+';
        if (1..=ORIGIN_BYTES_MAX).contains(&text.len()) && text.chars().all(fits) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidOrigin(text.escape_debug().take(300).collect()))
        }
    }
}

/// The key that signs checkpoints. It is wiped from memory on drop, and cannot be printed.
#[derive(Clone)]
pub struct LogKey(SigningKey);

impl fmt::Debug for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogKey(…)")
    }
}

impl LogKey {
    /// Returns the key of a seed of 256 random bits (RFC 8032 §5.1.5).
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// Returns the verifier key for a log.
    pub fn verifier(&self, origin: &Origin) -> VerifierKey {
        VerifierKey::new(origin.clone(), self.0.verifying_key())
    }

    /// Returns the public key.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// Signs a text for a log, and returns the note. The text ends in a newline.
    pub fn sign(&self, origin: &Origin, text: &str) -> String {
        format!("{text}\n{}", self.signature_line(origin, text))
    }

    /// Returns the signature line of a text, for a note with several signatures.
    pub(super) fn signature_line(&self, origin: &Origin, text: &str) -> String {
        let signature = self.0.sign(text.as_bytes()).to_bytes();
        let named = [self.verifier(origin).id.as_slice(), &signature].concat();
        format!("— {origin} {}\n", BASE64_STANDARD.encode(named))
    }

    /// Returns a seal over bytes, which only the holder of the key can make or check: the SHA-256 of a deterministic signature (RFC 8032
    /// §5.1.6). The signed bytes cannot be mistaken for a note.
    pub fn seal(&self, bytes: &[u8]) -> [u8; 32] {
        let sealed = [b"tenure seal\0".as_slice(), &Sha256::digest(bytes)].concat();
        Sha256::digest(self.0.sign(&sealed).to_bytes()).into()
    }
}

/// An Ed25519 public key (RFC 8032 §5.1.5); written in base64. It need not be a point of the curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey(pub [u8; 32]);

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64_STANDARD.encode(self.0))
    }
}

/// The error for a text that is no public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a public key has 32 bytes, in base64")]
pub struct InvalidPublicKey;

impl FromStr for PublicKey {
    type Err = InvalidPublicKey;

    fn from_str(text: &str) -> Result<Self, InvalidPublicKey> {
        let bytes = BASE64_STANDARD.decode(text).map_err(|_| InvalidPublicKey)?;
        bytes.try_into().map(Self).map_err(|_| InvalidPublicKey)
    }
}

/// A key that verifies signatures for a log: `name+keyid+base64(0x01 ‖ public key)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    origin: Origin,
    id: [u8; KEY_ID_BYTES],
    key: VerifyingKey,
}

impl VerifierKey {
    fn new(origin: Origin, key: VerifyingKey) -> Self {
        let hash = Sha256::new()
            .chain_update(origin.as_str())
            .chain_update([b'\n', ED25519])
            .chain_update(key.as_bytes())
            .finalize();
        let [a, b, c, d, ..]: [u8; 32] = hash.into();
        Self { origin, id: [a, b, c, d], key }
    }

    /// Returns the verifier key of a public key for a log; none if that is no key.
    pub fn of(origin: Origin, key: PublicKey) -> Option<Self> {
        Some(Self::new(origin, VerifyingKey::from_bytes(&key.0).ok()?))
    }

    /// Returns the verifier key of another public key for the same log; none if that is no key.
    pub fn with(&self, key: PublicKey) -> Option<Self> {
        Self::of(self.origin.clone(), key)
    }

    /// Returns its public key.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.key.to_bytes())
    }

    /// Returns the name of its log.
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Returns the text of a note with a valid signature of this key.
    ///
    /// # Errors
    /// [`NoteError`] if the note is invalid.
    pub fn open<'a>(&self, note: &'a str) -> Result<&'a str, NoteError> {
        let (text, signatures) = split(note)?;
        let mut signed = false;
        for line in signatures.lines() {
            let (name, id, signature) = signature(line).ok_or(NoteError::Form("a signature line has another form"))?;
            if name != self.origin.as_str() || id != self.id {
                continue;
            }
            let signature = Signature::from_slice(&signature).map_err(|_| NoteError::Forged(self.origin.clone()))?;
            self.key.verify_strict(text.as_bytes(), &signature).map_err(|_| NoteError::Forged(self.origin.clone()))?;
            signed = true;
        }
        if signed { Ok(text) } else { Err(NoteError::Unsigned(self.to_string())) }
    }
}

/// The reason why a note is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// It is no signed note.
    #[error("it is no signed note: {0}")]
    Form(&'static str),
    /// The key did not sign it.
    #[error("it carries no signature of the key `{0}`: was it signed with another key, or for another log?")]
    Unsigned(String),
    /// It names the key, but the signature is not the key's.
    #[error("its signature for `{0}` is forged, or its text was changed")]
    Forged(Origin),
}

/// Splits a note into its text, with the last newline, and its signature lines.
fn split(note: &str) -> Result<(&str, &str), NoteError> {
    if note.len() > NOTE_BYTES_MAX {
        return Err(NoteError::Form("it is too long"));
    }
    if note.chars().any(|c| c < ' ' && c != '\n') {
        return Err(NoteError::Form("it has a control character in it"));
    }
    let end = note.rfind("\n\n").ok_or(NoteError::Form("no blank line comes before its signatures"))?;
    let (text, signatures) = note.split_at_checked(end + 1).ok_or(NoteError::Form("it ends early"))?;
    let signatures = signatures.strip_prefix('\n').unwrap_or_default();
    if signatures.is_empty() || !signatures.ends_with('\n') {
        return Err(NoteError::Form("it does not end in a signature line"));
    }
    Ok((text, signatures))
}

/// Parses a signature line into the name, the key's id and the signature.
fn signature(line: &str) -> Option<(&str, [u8; KEY_ID_BYTES], Vec<u8>)> {
    let (name, encoded) = line.strip_prefix("— ")?.split_once(' ')?;
    let bytes = BASE64_STANDARD.decode(encoded).ok()?;
    let (id, signature) = bytes.split_first_chunk()?;
    Some((name, *id, signature.to_vec()))
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encoded = BASE64_STANDARD.encode([&[ED25519], self.key.as_bytes().as_slice()].concat());
        write!(f, "{}+{:08x}+{encoded}", self.origin, u32::from_be_bytes(self.id))
    }
}

/// The error for a text that is no verifier key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no verifier key: it is one line, as `tenure key` prints it, such as `tenure.local/workspaces/ws_…+1a2b3c4d+AQ…`"
)]
pub struct InvalidVerifierKey(String);

impl FromStr for VerifierKey {
    type Err = InvalidVerifierKey;

    fn from_str(text: &str) -> Result<Self, InvalidVerifierKey> {
        let key = parse_verifier(text.trim());
        // The id follows from the name and the key, so an error in any of the three shows.
        let key = key.filter(|key| key.to_string() == text.trim());
        key.ok_or_else(|| InvalidVerifierKey(text.trim().escape_debug().take(400).collect()))
    }
}

fn parse_verifier(text: &str) -> Option<VerifierKey> {
    let (name, rest) = text.split_once('+')?;
    let (_, encoded) = rest.split_once('+')?;
    let bytes: [u8; 33] = BASE64_STANDARD.decode(encoded).ok()?.try_into().ok()?;
    let (kind, key) = bytes.split_first()?;
    let key = VerifyingKey::from_bytes(key.try_into().ok()?).ok()?;
    (*kind == ED25519).then(|| Some(VerifierKey::new(name.parse().ok()?, key)))?
}
