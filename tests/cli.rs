//! The program as people run it: its output, its exit codes, and a really running server behind it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "cli/audit.rs"]
mod audit;
#[path = "cli/demo.rs"]
mod demo;
#[path = "cli/follow.rs"]
mod follow;
#[path = "cli/issuing.rs"]
mod issuing;
#[path = "cli/local.rs"]
mod local;
#[path = "cli/story.rs"]
mod story;
#[path = "cli/support.rs"]
mod support;
