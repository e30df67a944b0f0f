//! The `tenure` program: everything it does is behind its command line.

use std::process::ExitCode;

/// Many small answers from a few threads are what this allocator is good at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    tenure::cli::run()
}
