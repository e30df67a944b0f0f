//! The proof: each workspace's log is a Merkle tree whose signed heads others keep, so that an auditor need not trust us.
//!
//! Owns the hashes (RFC 6962 §2.1, which RFC 9162 §2.1 repeats), the frontier that grows with the log, tiles, inclusion and
//! consistency proofs, signed checkpoints, the succession of keys, and receipts (C2SP `tlog-tiles`, `signed-note`, `tlog-checkpoint`, `tlog-proof`).
//! Pure: it must not know where events are stored or who asks for them, nor what an event means. A tree is a function of the
//! bytes of its log, so a crash can take nothing from it that the log does not have.

pub mod checkpoint;
pub mod frontier;
pub mod hash;
pub mod note;
pub mod path;
pub mod receipt;
pub mod succession;
pub mod tile;
