//! Faults: the n-th call of the log fails, for every n; the disk is full, a page is torn, the folder is read-only or taken, the
//! clock is wrong. What was acknowledged is there, nothing half-done is, the error is clear, and the server goes on.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    missing_docs,
    unreachable_pub,
    dead_code,
    reason = "a test says what it expects, and fails where that is not so; others use the rest of what is shared"
)]

#[path = "http/acme.rs"]
mod acme;
#[path = "../benches/workspace/history.rs"]
mod history;
#[path = "cli/support.rs"]
mod program;
#[path = "support/server.rs"]
mod server;
mod support;
#[path = "support/verify.rs"]
mod verify;

#[path = "faults/clock.rs"]
mod clock;
#[path = "faults/every_call.rs"]
mod every_call;
#[path = "faults/faulty.rs"]
mod faulty;
#[path = "faults/flips.rs"]
mod flips;
#[path = "faults/full.rs"]
mod full;
#[path = "faults/groups.rs"]
mod groups;
#[path = "faults/jumps.rs"]
mod jumps;
#[path = "faults/life.rs"]
mod life;
#[path = "faults/neighbours.rs"]
mod neighbours;
#[path = "faults/process.rs"]
mod process;
#[path = "faults/read_only.rs"]
mod read_only;
#[path = "faults/rest.rs"]
mod rest;
#[path = "faults/servers.rs"]
mod servers;
#[path = "faults/snapshots.rs"]
mod snapshots;
#[path = "faults/threads.rs"]
mod threads;
#[path = "faults/torn.rs"]
mod torn;
