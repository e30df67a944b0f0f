//! Successions of the keys that signed the logs of an instance: the older and the newer key, the time, and the signatures.
//!
//! A record is a signed note (C2SP `signed-note`) of its own name, so its signatures are invalid for checkpoints. The newer key always
//! signs it. The older one does too, unless it was lost. A verifier that trusts a key also trusts the key that it signed for. One that
//! trusts the newer key accepts the older key's signatures for the same instance.

use std::fmt;
use std::str::FromStr;

use super::note::{LogKey, NoteError, Origin, PublicKey, VerifierKey};
use crate::domain::model::time::Instant;

/// The name of records, which is also their first line.
const NAME: &str = "tenure/log-keys";

/// A record that one key follows another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Succession {
    /// The older key.
    pub old: PublicKey,
    /// The newer key.
    pub new: PublicKey,
    /// The time of the record.
    pub at: Instant,
    /// Whether the older key signed it.
    pub is_signed_by_old: bool,
    note: String,
}

/// The reason why a record is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SuccessionError {
    /// Its signature is invalid.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The signed text has another form.
    #[error("it is no record of a key's change: it names the old key, the new key and an instant, a line each")]
    Form,
    /// It does not continue the record before it.
    #[error("the key `{0}` is followed by a record about another one")]
    Gap(PublicKey),
}

fn name() -> Origin {
    Origin::fixed(NAME)
}

fn text(old: PublicKey, new: PublicKey, at: Instant) -> String {
    format!("{NAME}\n{old}\n{new}\n{at}\n")
}

impl Succession {
    /// Records that a key follows another one, signed by both.
    pub fn signed(old: &LogKey, new: &LogKey, at: Instant) -> Self {
        let (older, newer) = (old.public(), new.public());
        let text = text(older, newer, at);
        let note = format!("{}{}", old.sign(&name(), &text), new.signature_line(&name(), &text));
        Self { old: older, new: newer, at, is_signed_by_old: true, note }
    }

    /// Records that a key follows one that was lost, signed by the newer one only.
    pub fn unsigned(old: PublicKey, new: &LogKey, at: Instant) -> Self {
        let newer = new.public();
        let note = new.sign(&name(), &text(old, newer, at));
        Self { old, new: newer, at, is_signed_by_old: false, note }
    }

    /// Reads a record, and checks all its signatures.
    ///
    /// # Errors
    /// [`SuccessionError`] if it is invalid.
    pub fn open(note: &str) -> Result<Self, SuccessionError> {
        let mut lines = note.lines();
        let first = lines.next();
        let mut key = || lines.next().and_then(|line| line.parse::<PublicKey>().ok()).ok_or(SuccessionError::Form);
        let (old, new) = (key()?, key()?);
        let at: Instant = lines.next().and_then(|line| line.parse().ok()).ok_or(SuccessionError::Form)?;
        let verifier = |key: PublicKey| VerifierKey::of(name(), key).ok_or(SuccessionError::Form);
        let signed = verifier(new)?.open(note)?;
        if first != Some(NAME) || signed != text(old, new, at) {
            return Err(SuccessionError::Form);
        }
        let is_signed_by_old = match verifier(old)?.open(note) {
            Ok(_) => true,
            Err(NoteError::Unsigned(_)) => false,
            Err(error) => return Err(error.into()),
        };
        Ok(Self { old, new, at, is_signed_by_old, note: note.to_owned() })
    }

    /// Returns the signed note.
    pub fn note(&self) -> &str {
        &self.note
    }
}

/// Records in order. The newer key of each is the older key of the next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyChain(Vec<Succession>);

impl FromStr for KeyChain {
    type Err = SuccessionError;

    /// Reads the concatenated notes of a chain.
    fn from_str(text: &str) -> Result<Self, SuccessionError> {
        let mut notes: Vec<String> = Vec::new();
        for line in text.split_inclusive('\n') {
            match notes.last_mut() {
                Some(note) if line.trim_end_matches('\n') != NAME => note.push_str(line),
                _ => notes.push(line.to_owned()),
            }
        }
        let chain = notes.iter().map(|note| Succession::open(note)).collect::<Result<Vec<_>, _>>()?;
        let gap = chain.iter().zip(chain.iter().skip(1)).find(|(before, after)| before.new != after.old);
        gap.map_or(Ok(()), |(before, _)| Err(SuccessionError::Gap(before.new)))?;
        Ok(Self(chain))
    }
}

impl fmt::Display for KeyChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|succession| f.write_str(&succession.note))
    }
}

impl KeyChain {
    /// Returns the records.
    pub fn successions(&self) -> &[Succession] {
        &self.0
    }

    /// Returns the keys whose new signatures a verifier accepts that trusts `key`: it, and its signed successors.
    pub fn after(&self, key: &VerifierKey) -> Vec<VerifierKey> {
        let mut trusted = vec![key.clone()];
        for succession in self.0.iter().filter(|succession| succession.is_signed_by_old) {
            if trusted.iter().any(|key| key.public() == succession.old) {
                trusted.extend(key.with(succession.new));
            }
        }
        trusted
    }

    /// Returns the keys whose old signatures a verifier accepts that trusts `key`: those of [`Self::after`], and its predecessors that signed
    /// for it.
    pub fn around(&self, key: &VerifierKey) -> Vec<VerifierKey> {
        let mut trusted = self.after(key);
        let mut before = key.public();
        for succession in self.0.iter().rev().filter(|succession| succession.is_signed_by_old) {
            if succession.new == before {
                trusted.extend(key.with(succession.old));
                before = succession.old;
            }
        }
        trusted
    }

    /// Returns the record that ends the chain for a verifier that trusts `key`, since the older key did not sign it.
    pub fn broken_after(&self, key: &VerifierKey) -> Option<&Succession> {
        let trusted = self.after(key);
        let is_trusted = |public: PublicKey| trusted.iter().any(|key| key.public() == public);
        self.0.iter().find(|succession| !succession.is_signed_by_old && is_trusted(succession.old))
    }
}
