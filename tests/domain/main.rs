//! The tests of `src/domain` and `src/query`: rules, histories and audit questions, without a server.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::as_conversions,
    clippy::similar_names,
    clippy::print_stderr,
    missing_docs,
    unreachable_pub,
    reason = "tests fail by panicking, and print which tests they skip"
)]

#[path = "../support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "every test binary uses a part of it")]
mod support;

mod audit;
mod matrix;
mod model;
mod replay;
mod reports;
mod rules;
mod searches;
mod timelines;
