//! Replay: the stored form of events is what it always was, and every recorded history still comes to the same state.
//!
//! The files in `events/` and `snapshots/` are the truth. `TENURE_BLESS=1 cargo test --test replay` writes what the code of
//! today makes of the catalogue and of the recorded histories, and records a history that has no file yet from its script; a
//! history that has a file is never written again. Look at the difference before you commit it: logs like these are out there.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::as_conversions,
    reason = "a test fails by panicking"
)]

#[path = "replay/answers.rs"]
mod answers;
#[path = "replay/catalogue.rs"]
mod catalogue;
#[path = "replay/files.rs"]
mod files;
#[path = "replay/histories.rs"]
mod histories;
#[path = "replay/packed.rs"]
mod packed;
#[path = "support/recording.rs"]
mod recording;
#[path = "replay/samples.rs"]
mod samples;
#[path = "replay/scripts.rs"]
mod scripts;
#[path = "replay/store.rs"]
mod store;
#[path = "replay/unreadable.rs"]
mod unreadable;
#[path = "replay/verifier.rs"]
mod verifier;
#[path = "support/verify.rs"]
mod verify;
