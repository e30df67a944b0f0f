//! The vocabulary of the rules: ids, names, roles, time, events, commands and rejections.
//!
//! These values are checked when they are made. Nothing here knows the facts of a workspace.

pub(in crate::domain) mod bytes;
pub mod characters;
pub mod command;
pub mod credential;
pub mod event;
pub(in crate::domain) mod event_macros;
pub mod fact;
pub mod id;
pub mod json;
pub mod name;
pub mod object;
pub(in crate::domain) mod packing;
pub mod parsed;
pub mod principal;
pub mod rejection;
pub mod resource;
pub mod resource_catalogue;
pub mod role;
pub mod shape;
pub mod time;
