//! Faults: the n-th call of the log fails, for every n; the disk is full, a page is torn, the folder is read-only or locked, the clock is
//! wrong. Acknowledged changes are stored, no partial ones are, the error is clear, and the server continues.

mod batches;
mod clock;
mod every_call;
mod faulty;
mod flips;
mod full;
mod jumps;
mod life;
mod neighbours;
mod process;
mod read_only;
mod rest;
mod servers;
mod snapshots;
mod threads;
mod torn;
