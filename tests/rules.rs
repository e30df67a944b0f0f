//! Given, when, then: for each command what it appends, each way in which it is refused, and when nothing happens.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    dead_code,
    reason = "a test says what it expects, and fails where that is not so; others use the rest of what is shared"
)]

mod support;

#[path = "rules/access_keys.rs"]
mod access_keys;
#[path = "rules/authority.rs"]
mod authority;
#[path = "rules/batches.rs"]
mod batches;
#[path = "rules/decisions.rs"]
mod decisions;
#[path = "rules/environments.rs"]
mod environments;
#[path = "rules/expiry.rs"]
mod expiry;
#[path = "rules/grants.rs"]
mod grants;
#[path = "rules/limits.rs"]
mod limits;
#[path = "rules/members.rs"]
mod members;
#[path = "rules/proxy_tokens.rs"]
mod proxy_tokens;
#[path = "rules/resources.rs"]
mod resources;
#[path = "rules/service_users.rs"]
mod service_users;
#[path = "rules/texts.rs"]
mod texts;
#[path = "rules/tokens.rs"]
mod tokens;
#[path = "rules/views.rs"]
mod views;
#[path = "rules/workspaces.rs"]
mod workspaces;
