//! The rules: who may do what, and who could do it when.
//!
//! Owns every rule there is. Pure: no I/O, no clock, no chance, no async; those come in as arguments.
//! [`decide`](rules::decide::decide) turns a command into events, [`Workspace::evolve`](state::workspace::Workspace::evolve) turns events into
//! facts, and [`authorize`](rules::authorize::authorize) answers questions about a [`View`](state::view::View) of the facts: now, or at any instant before.
//!
//! Five rooms, each of which uses only those above it in this list. `tests/house.rs` checks it.

pub(crate) mod collections;
pub mod history;
pub mod model;
pub mod rules;
pub mod state;
