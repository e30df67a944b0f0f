//! Replay: the stored form of events is unchanged, and every recorded history still rebuilds the same state.
//!
//! The files in `events/` and `snapshots/` are the truth. `TENURE_BLESS=1 cargo test --test domain replay::` writes the
//! files of the catalogue and the snapshots anew. It also records each history without a file from its script. A
//! history with a file is never written again, because such logs exist in production. Review the difference before you
//! commit it.

mod answers;
mod catalogue;
mod files;
mod histories;
mod packed;
mod samples;
mod scripts;
mod store;
mod unreadable;
mod verifier;
