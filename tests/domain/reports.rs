//! The reports: each on a recorded history against a file, against independent findings on random histories, and in a browser.
//!
//! `TENURE_BLESS=1 cargo test --test domain reports::` writes the files in `tests/golden/reports/` anew: look at the difference, and at the
//! pictures that the browser makes of the pages in `target/reports/`, before you commit them.

mod browser;
mod golden;
mod laws;
mod stories;
