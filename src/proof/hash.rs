//! The hashes of the tree: SHA-256 with different first bytes for leaves and nodes (RFC 6962 §2.1).

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};

/// The length of a hash, in bytes.
pub const HASH_BYTES: usize = 32;

const LEAF_PREFIX: &[u8] = &[0];
const NODE_PREFIX: &[u8] = &[1];

/// A hash of a leaf, a node or a whole tree, written in base64 (RFC 4648 §4).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreeHash(pub [u8; HASH_BYTES]);

impl TreeHash {
    /// Returns the root of an empty tree: the hash of no bytes.
    pub fn of_nothing() -> Self {
        Self(Sha256::digest([]).into())
    }

    /// Returns the hash of an entry of the log: `SHA-256(0x00 ‖ entry)`.
    pub fn of_leaf(entry: &[u8]) -> Self {
        Self(Sha256::new_with_prefix(LEAF_PREFIX).chain_update(entry).finalize().into())
    }

    /// Returns the hash of two neighbours: `SHA-256(0x01 ‖ left ‖ right)`.
    #[must_use]
    pub fn of_node(left: &Self, right: &Self) -> Self {
        Self(Sha256::new_with_prefix(NODE_PREFIX).chain_update(left.0).chain_update(right.0).finalize().into())
    }
}

impl fmt::Display for TreeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64_STANDARD.encode(self.0))
    }
}

impl fmt::Debug for TreeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The error for a text that is no hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no hash: it has 32 bytes in base64")]
pub struct InvalidHash(String);

impl FromStr for TreeHash {
    type Err = InvalidHash;

    fn from_str(text: &str) -> Result<Self, InvalidHash> {
        let bytes = BASE64_STANDARD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(|| InvalidHash(text.escape_debug().take(100).collect()))
    }
}

/// Reads the concatenated hashes of a tile; returns none for another length.
pub fn read_hashes(bytes: &[u8]) -> Option<Vec<TreeHash>> {
    let (hashes, rest) = bytes.as_chunks::<HASH_BYTES>();
    rest.is_empty().then(|| hashes.iter().copied().map(TreeHash).collect())
}

/// Writes the concatenated hashes of a tile.
pub fn write_hashes(hashes: &[TreeHash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}
