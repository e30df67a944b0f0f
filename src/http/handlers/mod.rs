//! The handlers, a file for each kind of entity: they turn requests into commands and queries for the service.

#![expect(clippy::missing_errors_doc, reason = "the contract lists the errors: `openapi::PROBLEMS`")]

pub mod access_keys;
pub mod audit;
pub mod authzen;
pub mod commands;
pub mod decisions;
pub mod environments;
pub mod evaluations;
mod event_stream;
pub mod events;
pub mod feed;
pub mod grants;
pub mod log;
pub mod members;
pub mod metadata;
pub mod operations;
pub mod proxy_auth;
pub mod proxy_tokens;
pub mod reads;
pub mod reports;
pub mod resources;
pub mod searches;
pub mod service_users;
pub mod tokens;
pub mod workspaces;

use axum::body::Body;
use axum::http::Response;

use super::problem::Problem;

/// The result of a handler.
pub type HandlerResult = Result<Response<Body>, Problem>;
