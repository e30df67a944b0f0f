//! Replay: the stored form of events is what it always was, and every recorded history still comes to the same state.
//!
//! The files in `events/` and `snapshots/` are the truth. `TENURE_BLESS=1 cargo test --test domain replay::` writes what the code of
//! today makes of the catalogue and of the recorded histories, and records a history that has no file yet from its script; a
//! history that has a file is never written again. Look at the difference before you commit it: logs like these are out there.

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
