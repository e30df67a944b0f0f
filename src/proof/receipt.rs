//! Receipts: texts that prove for ever that an event is in a log (C2SP `tlog-proof`).

use std::fmt;

use super::checkpoint::{Checkpoint, CheckpointError};
use super::hash::TreeHash;
use super::note::VerifierKey;
use super::path::{self, ProofError};

const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";
/// The longest path, in a tree of 2⁶⁴ leaves.
const PATH_LEN_MAX: usize = 64;

/// The index of an entry in a log, the proof of inclusion, and the checkpoint that the proof leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The index of the entry, from 0: its revision less one.
    pub index: u64,
    /// The siblings from the leaf's up to the root's child.
    pub path: Vec<TreeHash>,
    /// The checkpoint's signed note, unchecked.
    pub checkpoint: String,
}

/// The reason why a receipt proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// Its form is invalid.
    #[error("it is no receipt: {0}")]
    Form(&'static str),
    /// Its checkpoint is invalid.
    #[error("its checkpoint: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// It is of another entry, or the entry was changed.
    #[error("it does not prove the entry: {0}")]
    Proof(#[from] ProofError),
}

impl Receipt {
    /// The receipt that a text is. Nothing of it is checked yet.
    ///
    /// # Errors
    /// Its form is invalid.
    pub fn parse(text: &str) -> Result<Self, ReceiptError> {
        let (proof, checkpoint) = text.split_once("\n\n").ok_or(ReceiptError::Form("it has no checkpoint"))?;
        let mut lines = proof.lines();
        if lines.next() != Some(FIRST_LINE) {
            return Err(ReceiptError::Form("its first line is not `c2sp.org/tlog-proof@v1`"));
        }
        let index = lines.next().and_then(|line| line.strip_prefix("index "));
        let number = index.and_then(|index| index.parse::<u64>().ok().filter(|number| number.to_string() == index));
        let index = number.ok_or(ReceiptError::Form("its second line is not `index` and a number"))?;
        let path: Result<Vec<TreeHash>, _> = lines.take(PATH_LEN_MAX + 1).map(str::parse).collect();
        let path = path.map_err(|_| ReceiptError::Form("a line of its proof is no hash"))?;
        if path.len() > PATH_LEN_MAX {
            return Err(ReceiptError::Form("its proof is longer than that of any tree"));
        }
        Ok(Self { index, path, checkpoint: checkpoint.to_owned() })
    }

    /// Checks that the key's log has the entry at the receipt's index, and returns the checkpoint.
    ///
    /// # Errors
    /// [`ReceiptError`] if it is invalid.
    pub fn verify(&self, entry: &[u8], key: &VerifierKey) -> Result<Checkpoint, ReceiptError> {
        let checkpoint = Checkpoint::open(&self.checkpoint, key)?;
        path::verify_inclusion(checkpoint.tree(), self.index, TreeHash::of_leaf(entry), &self.path)?;
        Ok(checkpoint)
    }
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FIRST_LINE}\nindex {}", self.index)?;
        for hash in &self.path {
            writeln!(f, "{hash}")?;
        }
        write!(f, "\n{}", self.checkpoint)
    }
}
