//! The facts of a workspace: how events change them, and how they are read at a revision and an instant.

pub mod coherence;
pub(in crate::domain) mod credential_facts;
pub mod event_impact;
pub mod permission_state;
pub(in crate::domain) mod registry;
mod replay;
pub(in crate::domain) mod resource_facts;
pub mod timeline;
pub mod view;
pub mod workspace;
