//! The reports: each on a recorded history against a file, against independent findings on random histories, and in a browser.
//!
//! `TENURE_BLESS=1 cargo test --test reports` writes the files in `tests/golden/reports/` anew: look at the difference, and at the
//! pictures that the browser makes of the pages in `target/reports/`, before you commit them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::similar_names,
    missing_docs,
    unreachable_pub,
    dead_code,
    reason = "a test says what it expects, and fails where that is not so; others use the rest of what is shared"
)]

#[path = "reports/browser.rs"]
mod browser;
#[path = "reports/golden.rs"]
mod golden;
#[path = "reports/laws.rs"]
mod laws;
#[path = "model/mod.rs"]
mod model;
#[path = "reports/stories.rs"]
mod stories;
mod support;
