//! The rules: who may do what, and who could do it when.
//!
//! Owns every rule there is. Pure: no I/O, no clock, no chance, no async; those come in as arguments.
//! [`decide`](rules::decide::decide) turns a command into events, [`Workspace::evolve`](state::workspace::Workspace::evolve) turns events into
//! facts, and [`judge`](rules::authorize::judge) answers questions about a [`View`](state::view::View) of the facts: now, or at any instant before.
//!
//! Five rooms, each of which uses only those above it in this list. `tests/house.rs` checks it.

pub(crate) mod collections;
pub mod model;
pub mod history;
pub mod state;
pub mod rules;
