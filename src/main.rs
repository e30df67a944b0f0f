//! The `tenure` program. The command line does everything.

use std::process::ExitCode;

/// mimalloc suits many small allocations from a few threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    tenure::cli::run()
}
