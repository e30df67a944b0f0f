//! `tenure token`, `tenure proxy-token` and `tenure access-key`: what people and programs prove themselves with.

use clap::{ArgGroup, Args, Subcommand};
use serde_json::{Value, json};
use ureq::http::Method;

use super::args::{AtArgs, access_key_roles};
use super::environment::expiry;
use super::failure::Failure;
use super::kind::{ACCESS_KEY, PROXY_TOKEN, TOKEN};
use super::session::{ChangeArgs, Session};
use super::when::Moment;
use super::workspace::fields;

/// Until when a credential is good.
#[derive(Debug, Args)]
pub(super) struct ExpiryArgs {
    /// Until when: an instant, or a date (its midnight in UTC); if left out, for good, or until the token you ask with ends
    #[arg(long, value_name = "INSTANT")]
    expires_at: Option<Moment>,
}

#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// List the live tokens
    List(AtArgs),
    /// Make a token for yourself, a member or a service user
    #[command(group(ArgGroup::new("holder").required(true).args(["user", "service_user"])))]
    Issue {
        /// The member who is to hold it
        #[arg(long, value_name = "USER")]
        user: Option<String>,
        /// The service user that is to hold it, by name or id
        #[arg(long, value_name = "NAME")]
        service_user: Option<String>,
        #[command(flatten)]
        expiry: ExpiryArgs,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Take a token back
    Revoke {
        /// Its id
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
    /// Make a proxy token: scoped to environments while RBAC is on, workspace-wide while it is off
    Create {
        /// An environment that it is valid for; may be repeated, and is required while RBAC is on
        #[arg(long = "environment", short, value_name = "ENV")]
        environments: Vec<String>,
        #[command(flatten)]
        expiry: ExpiryArgs,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Make a scoped proxy token valid for these environments, and for no others
    Scope {
        /// Its id
        proxy_token: String,
        /// The environments, by name or id; none: it is valid nowhere
        environments: Vec<String>,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Take a proxy token back
    Revoke {
        /// Its id
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
    /// Make an access key
    Issue {
        /// What it is for
        label: String,
        /// What it may ask for: decisions, or everything the audit offers
        #[arg(long, value_parser = access_key_roles())]
        role: String,
        #[command(flatten)]
        expiry: ExpiryArgs,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Take an access key back
    Revoke {
        /// Its id
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
