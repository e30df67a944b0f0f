//! The proof by itself: the tree against the words of RFC 6962 and against another implementation, tiles, notes and receipts
//! against their specifications, and whatever was tampered with refused.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    reason = "a test says what it expects, and fails where that is not so"
)]

#[path = "proof/naive.rs"]
mod naive;
#[path = "proof/notes.rs"]
mod notes;
#[path = "proof/receipts.rs"]
mod receipts;
#[path = "proof/successions.rs"]
mod successions;
#[path = "proof/tiles.rs"]
mod tiles;
#[path = "proof/trees.rs"]
mod trees;
