//! Given, when, then: for each command its events, each of its refusals, and when it changes nothing.

mod access_keys;
mod authority;
mod batches;
mod decisions;
mod environments;
mod expiry;
mod grants;
mod limits;
mod members;
mod proxy_tokens;
mod resources;
mod service_users;
mod texts;
mod tokens;
mod views;
mod workspaces;
