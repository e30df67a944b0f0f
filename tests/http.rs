//! The HTTP API, against a really running server.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests fail by panicking"
)]
#![allow(missing_docs, unreachable_pub, dead_code, reason = "not a library")]

#[path = "support/server.rs"]
mod server;

#[path = "http/acme.rs"]
mod acme;
#[path = "http/reference.rs"]
mod reference;
