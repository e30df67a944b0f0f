//! The `tenure` program: everything it does is behind its command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    tenure::cli::run()
}
