//! The HTTP API: the table of routes, the guard of each route, and thin handlers.
//!
//! It does not know how the log is stored or how facts change: every handler calls the service.

pub mod accept;
pub mod auth_rate_limiter;
pub mod body;
pub mod budget;
pub mod change;
pub mod client_address;
pub mod connection;
pub mod connections;
pub mod cross_site;
pub mod cursor;
pub mod date;
pub mod entity;
pub mod guard;
pub mod handlers;
pub mod head;
pub mod idempotency;
pub mod if_match;
pub mod input;
pub mod journal;
pub mod openapi;
pub mod paging;
pub mod panics;
pub mod params;
pub mod problem;
pub mod request;
pub mod response;
pub mod routes;
pub mod rows;
pub mod server;
pub mod sse;

use std::sync::{Arc, OnceLock};

use axum::body::Bytes;
use axum::http::request::Parts;

use problem::Problem;

use crate::service::timelines::AccessTimelineCache;
use crate::service::{PresentedCredential, Service};

pub use server::serve;

/// The header with the id of a request, which the server's log lines carry.
pub const REQUEST_ID: &str = "x-request-id";

/// The state that all handlers share.
pub struct App {
    /// The service.
    pub service: Arc<Service>,
    /// The cache of access histories.
    pub timelines: AccessTimelineCache,
    /// The URL of the server, as clients write it.
    pub base_url: String,
    /// Returns the metrics in the text format of Prometheus.
    pub metrics: Box<dyn Fn() -> String + Send + Sync>,
    /// The budgets of batches, audits and large responses.
    pub budgets: budget::Budgets,
    /// The budgets of large request bodies.
    pub bodies: budget::Budgets,
    /// The open connections of each address.
    pub connections: connections::Connections,
    /// The key that authenticates cursors.
    pub cursors: cursor::CursorKey,
    /// The `OpenAPI` document, after the first request for it.
    pub openapi: OnceLock<Bytes>,
    /// The live streams.
    pub streams: sse::Streams,
    /// The rate limit on failed authentication.
    pub auth_rate_limiter: auth_rate_limiter::AuthRateLimiter,
    /// The proxies whose reports of client addresses are used.
    pub trusted_proxies: client_address::TrustedProxies,
}

impl App {
    /// Counts a failed authentication.
    ///
    /// # Errors
    /// 429 after too many failures of the same id and address.
    pub fn count_failure(&self, presented: &PresentedCredential, parts: &Parts) -> Result<(), Problem> {
        self.auth_rate_limiter.fail(&presented.id, self.trusted_proxies.client(parts), self.service.clock().monotonic())
    }
}
