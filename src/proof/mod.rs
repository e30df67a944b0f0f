//! Proofs: each workspace's log is a Merkle tree whose signed heads others keep, so that auditors need not trust the server.
//!
//! Owns hashes (RFC 6962 §2.1, which RFC 9162 §2.1 repeats), frontiers, tiles, inclusion and consistency proofs. Owns signed checkpoints,
//! successions of keys, and receipts (C2SP `tlog-tiles`, `signed-note`, `tlog-checkpoint`, `tlog-proof`). Pure: it knows neither the
//! store nor the meaning of events. A tree follows from the bytes of its log, so no crash can damage it alone.

pub mod checkpoint;
pub mod frontier;
pub mod hash;
pub mod note;
pub mod path;
pub mod receipt;
pub mod succession;
pub mod tile;
