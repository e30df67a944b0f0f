//! The tests of `src/cli` and of the built program: output, exit codes, gateways and unrelated tools.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    missing_docs,
    unreachable_pub,
    reason = "tests fail by panicking, and print which tests they skip"
)]

#[path = "../support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "every test binary uses a part of it")]
mod support;

mod audit;
mod demo;
mod follow;
mod gateways;
mod import;
mod interop;
mod issuing;
mod local;
mod story;
mod verify;
