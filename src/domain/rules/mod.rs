//! The rules: what a question gets for an answer, and what a command appends or why it is refused.

pub mod authorize;
pub mod decide;
pub mod evidence;
mod placement;
pub mod provenance;
