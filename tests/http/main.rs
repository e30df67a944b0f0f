//! The tests of `src/http`: the HTTP API of a running server.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    reason = "tests fail by panicking"
)]

#[path = "../support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "every test binary uses a part of it")]
mod support;

mod audit;
mod auth_rate_limiter;
mod authzen;
mod browsers;
mod budgets;
mod changes;
mod concurrency;
mod connections;
mod cursors;
mod decisions;
mod endings;
mod events;
mod expiry;
mod feed;
mod heads;
mod hostile;
mod identifiers;
mod indexes;
mod instant;
mod issuing;
mod lines;
mod lists;
mod log;
mod panics;
mod reads;
mod reasons;
mod reference;
mod reports;
mod requests;
mod resources;
mod retries;
mod routes;
mod service_users;
mod spans;
mod views;
mod writes;
