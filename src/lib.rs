//! Tenure: event-sourced access management.

pub mod domain;
pub mod log;
