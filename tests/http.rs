//! The HTTP API, against a really running server.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests fail by panicking"
)]
#![allow(missing_docs, unreachable_pub, dead_code, reason = "not a library")]

#[path = "support/server.rs"]
mod server;

#[path = "http/acme.rs"]
mod acme;
#[path = "http/attempts.rs"]
mod attempts;
#[path = "http/audit.rs"]
mod audit;
#[path = "http/authzen/mod.rs"]
mod authzen;
#[path = "http/browsers.rs"]
mod browsers;
#[path = "http/budgets.rs"]
mod budgets;
#[path = "http/changes.rs"]
mod changes;
#[path = "http/concurrency.rs"]
mod concurrency;
#[path = "http/connections.rs"]
mod connections;
#[path = "http/cursors.rs"]
mod cursors;
#[path = "http/decisions.rs"]
mod decisions;
#[path = "http/endings.rs"]
mod endings;
#[path = "http/events.rs"]
mod events;
#[path = "http/expiry.rs"]
mod expiry;
#[path = "http/feed.rs"]
mod feed;
#[path = "http/heads.rs"]
mod heads;
#[path = "http/hostile.rs"]
mod hostile;
#[path = "http/identifiers.rs"]
mod identifiers;
#[path = "http/indexes.rs"]
mod indexes;
#[path = "http/instant.rs"]
mod instant;
#[path = "http/issuing.rs"]
mod issuing;
#[path = "http/lines.rs"]
mod lines;
#[path = "http/lists.rs"]
mod lists;
#[path = "http/log.rs"]
mod log;
#[path = "http/panics.rs"]
mod panics;
#[path = "http/reads.rs"]
mod reads;
#[path = "http/reasons.rs"]
mod reasons;
#[path = "http/reference.rs"]
mod reference;
#[path = "http/reports.rs"]
mod reports;
#[path = "http/requests.rs"]
mod requests;
#[path = "http/resources.rs"]
mod resources;
#[path = "http/retries.rs"]
mod retries;
#[path = "http/routes.rs"]
mod routes;
#[path = "http/service_users.rs"]
mod service_users;
#[path = "http/spans.rs"]
mod spans;
#[path = "http/views.rs"]
mod views;
#[path = "http/writes.rs"]
mod writes;
