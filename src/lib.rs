//! Tenure: event-sourced access management.

pub mod clock;
pub mod domain;
pub mod http;
pub mod log;
pub mod service;
