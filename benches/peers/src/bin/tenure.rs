//! The `tenure` program, as the main package builds it.

use std::process::ExitCode;

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    tenure::cli::run()
}
