//! The HTTP API: routes in one table, credentials to callers, problems, and thin handlers.
//!
//! Knows nothing of how the log is stored or how facts change; every handler asks the service.

pub mod accept;
pub mod answer;
pub mod asked;
pub mod body;
pub mod change;
pub mod entity;
pub mod handlers;
pub mod journal;
pub mod live;
pub mod openapi;
pub mod params;
pub mod problem;
pub mod routes;
pub mod rows;
pub mod server;

use std::sync::Arc;

use crate::service::Service;

pub use server::serve;

/// The header that a request is known by, from its sender to the server's log lines.
pub const REQUEST_ID: &str = "x-request-id";

/// What every handler shares.
pub struct App {
    /// The service that answers.
    pub service: Arc<Service>,
    /// Where the server is reached, as outsiders write it.
    pub base_url: String,
    /// Gives the metrics, in the text format of Prometheus.
    pub metrics: Box<dyn Fn() -> String + Send + Sync>,
    /// The answers that go on.
    pub streams: live::Streams,
}
