//! The rules: access now, and access at any time in the past.
//!
//! The domain is pure: time, randomness and stored events are arguments, and nothing is async. [`decide`](rules::decide::decide) turns a
//! command into events, and [`Workspace::evolve`](state::workspace::Workspace::evolve) turns events into facts.
//! [`authorize`](rules::authorize::authorize) answers questions about a [`View`](state::view::View) of the facts.
//!
//! Its five rooms are, from the bottom up, `collections`, `model`, `history`, `state` and `rules`. Each imports only from those below it, as
//! `tests/house/cycles.rs` checks.

// No wildcard arm over an enum, so the compiler lists every place that a new event, command or fact must be considered.
#![deny(clippy::wildcard_enum_match_arm)]

pub(crate) mod collections;
pub mod history;
pub mod model;
pub mod rules;
pub mod state;
