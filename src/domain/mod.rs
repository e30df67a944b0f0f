//! The rules: who may do what, and who could do it when.
//!
//! Owns every rule there is. Pure: no I/O, no clock, no chance, no async; what it needs of those comes in as an argument.
//! [`decide`](decide::decide) turns a command into events, [`Workspace::evolve`](workspace::Workspace::evolve) turns events into facts, and
//! [`judge`](access::judge) answers questions about a [`View`](view::View) of the facts: now, or at any instant before.

pub mod access;
pub mod catalogue;
pub mod characters;
pub mod coherence;
pub mod command;
pub mod concern;
pub mod credential;
pub mod decide;
pub mod event;
pub mod grounds;
pub mod history;
pub mod id;
mod index;
pub mod json;
pub mod name;
mod numbered;
pub mod object;
pub mod parsed;
pub mod principal;
pub mod provenance;
mod registry;
pub mod rejection;
pub mod resource;
pub mod role;
pub(crate) mod search;
pub mod state;
pub mod time;
pub mod timeline;
pub mod view;
mod whereabouts;
pub mod workspace;
