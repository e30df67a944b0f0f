//! `tenure token`, `tenure proxy-token` and `tenure access-key`: the credentials of people and programs.

use clap::{ArgGroup, Args, Subcommand};
use serde_json::{Value, json};
use ureq::http::Method;

use super::args::{AtArgs, access_key_roles};
use super::entity_columns::{ACCESS_KEY, PROXY_TOKEN, TOKEN};
use super::environment::expiry;
use super::failure::Failure;
use super::session::{ChangeArgs, Session};
use super::time_args::InstantArg;
use super::workspace::fields;

/// The expiry of a credential.
#[derive(Debug, Args)]
pub(super) struct ExpiryArgs {
    /// The expiry: an instant, or a date (its midnight in UTC); if left out, never, or the expiry of the token that you
    /// use
    #[arg(long, value_name = "INSTANT")]
    expires_at: Option<InstantArg>,
}

#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// List the live tokens
    List(AtArgs),
    /// Issue a token for yourself, a member or a service user
    #[command(group(ArgGroup::new("holder").required(true).args(["user", "service_user"])))]
    Issue {
        /// The member who will hold it
        #[arg(long, value_name = "USER")]
        user: Option<String>,
        /// The service user that will hold it, by name or id
        #[arg(long, value_name = "NAME")]
        service_user: Option<String>,
        #[command(flatten)]
        expiry: ExpiryArgs,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Revoke a token
    Revoke {
        /// The id
        token: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
}

pub(super) fn token(session: &mut Session, command: TokenCommand) -> Result<(), Failure> {
    match command {
        TokenCommand::List(at) => session.show_all(&["tokens"], &at.query(), &TOKEN, "there is no live token"),
        TokenCommand::Issue { user, service_user, expiry: ExpiryArgs { expires_at }, change } => {
            let holder = match (&user, &service_user) {
                (Some(user), _) => ["members", user.as_str(), "tokens"],
                (None, name) => ["service-users", name.as_deref().unwrap_or_default(), "tokens"],
            };
            session.change(Method::POST, &holder, Some(&fields([expiry(expires_at)])), &change, &TOKEN)
        }
        TokenCommand::Revoke { token, change } => {
            session.change(Method::DELETE, &["tokens", &token], None, &change, &TOKEN)
        }
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum ProxyTokenCommand {
    /// List the live proxy tokens
    List(AtArgs),
    /// Create a proxy token: scoped to environments while RBAC is on, workspace-wide while it is off
    Create {
        /// An environment that it is valid for; may be repeated; required while RBAC is on
        #[arg(long = "environment", short, value_name = "ENV")]
        environments: Vec<String>,
        #[command(flatten)]
        expiry: ExpiryArgs,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Make a scoped proxy token valid for exactly these environments
    Scope {
        /// The id
        proxy_token: String,
        /// The environments, by name or id; if there are none, it is valid nowhere
        environments: Vec<String>,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Revoke a proxy token
    Revoke {
        /// The id
        proxy_token: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
}

pub(super) fn proxy_token(session: &mut Session, command: ProxyTokenCommand) -> Result<(), Failure> {
    match command {
        ProxyTokenCommand::List(at) => {
            session.show_all(&["proxy-tokens"], &at.query(), &PROXY_TOKEN, "there is no live proxy token")
        }
        ProxyTokenCommand::Create { environments, expiry: ExpiryArgs { expires_at }, change } => {
            let environments = (!environments.is_empty()).then(|| json!(environments));
            let body = fields([("environments", environments), expiry(expires_at)]);
            session.change(Method::POST, &["proxy-tokens"], Some(&body), &change, &PROXY_TOKEN)
        }
        ProxyTokenCommand::Scope { proxy_token, environments, change } => {
            let body = json!({ "environments": environments });
            let segments = ["proxy-tokens", &proxy_token, "environments"];
            session.change(Method::PUT, &segments, Some(&body), &change, &PROXY_TOKEN)
        }
        ProxyTokenCommand::Revoke { proxy_token, change } => {
            session.change(Method::DELETE, &["proxy-tokens", &proxy_token], None, &change, &PROXY_TOKEN)
        }
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum AccessKeyCommand {
    /// List the live access keys
    List(AtArgs),
    /// Issue an access key
    Issue {
        /// A label that says its purpose
        label: String,
        /// The permissions: decisions only, or everything that the audit offers
        #[arg(long, value_parser = access_key_roles())]
        role: String,
        #[command(flatten)]
        expiry: ExpiryArgs,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Revoke an access key
    Revoke {
        /// The id
        access_key: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
}

pub(super) fn access_key(session: &mut Session, command: AccessKeyCommand) -> Result<(), Failure> {
    match command {
        AccessKeyCommand::List(at) => {
            session.show_all(&["access-keys"], &at.query(), &ACCESS_KEY, "there is no live access key")
        }
        AccessKeyCommand::Issue { label, role, expiry: ExpiryArgs { expires_at }, change } => {
            let (label, role): (Value, Value) = (json!(label), json!(role));
            let body = fields([("role", Some(role)), ("label", Some(label)), expiry(expires_at)]);
            session.change(Method::POST, &["access-keys"], Some(&body), &change, &ACCESS_KEY)
        }
        AccessKeyCommand::Revoke { access_key, change } => {
            session.change(Method::DELETE, &["access-keys", &access_key], None, &change, &ACCESS_KEY)
        }
    }
}
