//! The proof by itself: the tree against the words of RFC 6962 and against another implementation, tiles, notes and receipts
//! against their specifications, and whatever was tampered with refused.

mod naive;
mod notes;
mod receipts;
mod successions;
mod tiles;
mod trees;
