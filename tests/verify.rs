//! `tenure verify` finds every kind of damage, in a data folder, an export, a served log and evidence, and names the first place.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::expect_used,
    reason = "tests fail by panicking"
)]

#[path = "cli/support.rs"]
#[allow(dead_code, reason = "each test takes what it needs")]
mod support;

#[path = "verify/evidence.rs"]
mod evidence;
#[path = "verify/export.rs"]
mod export;
#[path = "verify/keys.rs"]
mod keys;
#[path = "verify/stage.rs"]
mod stage;
#[path = "verify/store.rs"]
mod store;
