//! The tests of `src/log`, `src/proof` and `src/service`: storage, recovery, faults and limits.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::similar_names,
    missing_docs,
    unreachable_pub,
    reason = "tests fail by panicking, and print which tests they skip"
)]

#[path = "../support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "every test binary uses a part of it")]
mod support;

mod crash;
mod faults;
mod isolation;
mod loading;
mod log_contract;
mod proof;
mod service;
