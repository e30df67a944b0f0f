//! The rules: the decision on a question, and the events or the refusal of a command.

pub mod authorize;
pub mod decide;
pub mod evidence;
mod placement;
pub mod provenance;
pub mod visibility;
