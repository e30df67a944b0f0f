//! What one caller takes of a running server is bounded, and the others are answered meanwhile: the program itself, attacked with the
//! credential of a plain member or a service user. Memory and disk are measured, and no time is.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests fail by panicking"
)]
#![allow(missing_docs, unreachable_pub, dead_code, reason = "not a library")]

#[path = "isolation/program.rs"]
mod program;

#[path = "isolation/reads.rs"]
mod reads;
#[path = "isolation/writes.rs"]
mod writes;
