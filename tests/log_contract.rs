//! The contract of the event log, run against every implementation, and the exact bytes of an event.
//!
//! A clause of the contract is a function over [`Store`]; `contract!` makes a test of each for one implementation. When such a
//! test is over, the whole log that it made is verified once more, after it was opened anew.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "log_contract/clauses.rs"]
mod clauses;
#[path = "log_contract/codec.rs"]
mod codec;
#[path = "log_contract/sqlite.rs"]
mod sqlite;
#[path = "log_contract/support.rs"]
mod support;
