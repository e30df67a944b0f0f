//! Given, when, then: for each command what it appends, each way in which it is refused, and when nothing happens.

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
