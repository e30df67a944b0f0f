//! Tenure: event-sourced access management.

pub mod cli;
pub mod clock;
pub mod config;
pub mod domain;
pub mod http;
pub mod log;
pub mod proof;
pub mod query;
pub mod service;
pub mod telemetry;
