//! The HTTP API: routes in one table, credentials to callers, problems, and thin handlers.
//!
//! Knows nothing of how the log is stored or how facts change; every handler asks the service.

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
pub mod entity;
pub mod handlers;
pub mod head;
pub mod if_match;
pub mod journal;
pub mod kept;
pub mod openapi;
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

use crate::audit::rolls::Rolls;
use crate::service::{Presented, Service};

pub use server::serve;

/// The header that a request is known by, from its sender to the server's log lines.
pub const REQUEST_ID: &str = "x-request-id";

/// What every handler shares.
pub struct App {
    /// The service that answers.
    pub service: Arc<Service>,
    /// What was found out about who had access over spans of time.
    pub rolls: Rolls,
    /// Where the server is reached, as outsiders write it.
    pub base_url: String,
    /// Gives the metrics, in the text format of Prometheus.
    pub metrics: Box<dyn Fn() -> String + Send + Sync>,
    /// What batches, audits and large answers may take.
    pub budgets: budget::Budgets,
    /// Where large bodies wait for memory.
    pub bodies: body::Bodies,
    /// How many connections each address has.
    pub connections: connections::Connections,
    /// What cursors are signed with.
    pub cursors: cursor::CursorKey,
    /// The description of the API, once someone has asked for it.
    pub openapi: OnceLock<Bytes>,
    /// The answers that go on.
    pub streams: sse::Streams,
    /// What failed attempts to prove who one is came to.
    pub auth_rate_limiter: auth_rate_limiter::AuthRateLimiter,
    /// The proxies that are believed when they say where a request came from.
    pub trusted_proxies: client_address::TrustedProxies,
}

impl App {
    /// Counts that what a request presents proved nothing.
    ///
    /// # Errors
    /// 429 instead of the answer that was to be given, if too many of the same id and address have failed.
    pub fn count_failure(&self, presented: &Presented, parts: &Parts) -> Result<(), Problem> {
        self.auth_rate_limiter.fail(&presented.id, self.trusted_proxies.client(parts), self.service.clock().monotonic())
    }
}
