//! `tenure environment` and `tenure grant`: environments, and the roles granted in them.

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use ureq::http::Method;

use super::args::{AtArgs, environment_roles};
use super::entity_columns::{ENVIRONMENT, GRANT};
use super::failure::Failure;
use super::session::{ChangeArgs, Session};
use super::time_args::InstantArg;
use super::workspace::fields;

#[derive(Debug, Subcommand)]
pub(super) enum EnvironmentCommand {
    /// List the environments
    List(AtArgs),
    /// Create an environment
    ///
    /// A restricted environment is restricted from its creation: its default role and first grants are part of the same
    /// command.
    #[command(
        after_help = "Example:\n  tenure environment create --restricted prod --grant service_user:ci=contributor"
    )]
    Create {
        /// The name
        name: String,
        /// Restrict it: members and service users without a grant get the default role (RBAC must be on)
        #[arg(long)]
        restricted: bool,
        #[command(flatten)]
        restriction: RestrictionArgs,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Rename an environment
    Rename {
        /// The environment, by name or id
        environment: String,
        /// The new name
        name: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Restrict an environment, or change the default role of one that is restricted
    Restrict {
        /// The environment, by name or id
        environment: String,
        #[command(flatten)]
        restriction: RestrictionArgs,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Open an environment to every principal, and end every grant in it
    Unrestrict {
        /// The environment, by name or id
        environment: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Delete an environment, with its grants, its place in the scopes of proxy tokens, and the placements of resources
    /// in it
    Delete {
        /// The environment, by name or id
        environment: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
}

/// The default role and the first grants of a restricted environment.
#[derive(Debug, Args)]
pub(super) struct RestrictionArgs {
    /// The role of members and service users without a grant; `viewer` if left out, and `no_access` makes it private
    #[arg(long, value_name = "ROLE", value_parser = environment_roles())]
    default_role: Option<String>,
    /// A grant in it, such as `user:bob=contributor`; may be repeated
    #[arg(long = "grant", value_name = "PRINCIPAL=ROLE")]
    grants: Vec<GrantSpec>,
}

/// A grant, written `PRINCIPAL=ROLE`.
#[derive(Debug, Clone)]
struct GrantSpec {
    principal: String,
    role: String,
}

impl std::str::FromStr for GrantSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (principal, role) =
            text.rsplit_once('=').ok_or("a grant is written `PRINCIPAL=ROLE`, such as `user:bob=contributor`")?;
        Ok(Self { principal: principal.to_owned(), role: role.to_owned() })
    }
}

impl RestrictionArgs {
    fn fields(self) -> [(&'static str, Option<Value>); 2] {
        let grant = |grant: GrantSpec| json!({ "principal": grant.principal, "role": grant.role });
        let grants: Vec<Value> = self.grants.into_iter().map(grant).collect();
        let grants = (!grants.is_empty()).then_some(Value::Array(grants));
        [("default_role", self.default_role.map(Value::String)), ("grants", grants)]
    }
}

pub(super) fn environment(session: &mut Session, command: EnvironmentCommand) -> Result<(), Failure> {
    match command {
        EnvironmentCommand::List(at) => {
            session.show_all(&["environments"], &at.query(), &ENVIRONMENT, "the workspace has no environment")
        }
        EnvironmentCommand::Create { name, restricted, restriction, change } => {
            let made = [("name", Some(json!(name))), ("restricted", restricted.then_some(json!(true)))];
            let body = fields(made.into_iter().chain(restriction.fields()));
            session.change(Method::POST, &["environments"], Some(&body), &change, &ENVIRONMENT)
        }
        EnvironmentCommand::Rename { environment, name, change } => {
            patch(session, &environment, &json!({ "name": name }), &change)
        }
        EnvironmentCommand::Restrict { environment, restriction, change } => {
            let restricted = [("restricted", Some(json!(true)))];
            patch(session, &environment, &fields(restricted.into_iter().chain(restriction.fields())), &change)
        }
        EnvironmentCommand::Unrestrict { environment, change } => {
            patch(session, &environment, &json!({ "restricted": false }), &change)
        }
        EnvironmentCommand::Delete { environment, change } => {
            session.change(Method::DELETE, &["environments", &environment], None, &change, &ENVIRONMENT)
        }
    }
}

fn patch(session: &mut Session, environment: &str, body: &Value, change: &ChangeArgs) -> Result<(), Failure> {
    session.change(Method::PATCH, &["environments", environment], Some(body), change, &ENVIRONMENT)
}

#[derive(Debug, Subcommand)]
pub(super) enum GrantCommand {
    /// List the grants in an environment
    List {
        /// The environment, by name or id
        environment: String,
        #[command(flatten)]
        at: AtArgs,
    },
    /// Give a principal a role in a restricted environment; replaces the role that they had there
    #[command(
        after_help = "Example:\n  tenure grant set prod user:bob contributor --expires-at 2026-12-31 --reason SEC-142"
    )]
    Set {
        /// The environment, by name or id
        environment: String,
        /// `user:ID` or `service_user:NAME`
        principal: String,
        /// The role
        #[arg(value_parser = environment_roles())]
        role: String,
        /// The expiry: an instant, or a date (its midnight in UTC); never if left out
        #[arg(long, value_name = "INSTANT")]
        expires_at: Option<InstantArg>,
        /// Never expire, even if the grant that it replaces does
        #[arg(long, conflicts_with = "expires_at")]
        no_expiry: bool,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Revoke a grant
    Revoke {
        /// The environment, by name or id
        environment: String,
        /// `user:ID` or `service_user:NAME`
        principal: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
}

/// Adds the flags for an expiry to the server's refusal of a grant without one.
fn ask_for_end(failure: Failure) -> Failure {
    match failure {
        Failure::Refused { status, code, detail } if code == "expiry_required" => {
            let detail = format!("{detail} (`--expires-at INSTANT`, `--no-expiry`)");
            Failure::Refused { status, code, detail }
        }
        other => other,
    }
}

/// Returns an expiry as a field of a request body.
pub(super) fn expiry(expires_at: Option<InstantArg>) -> (&'static str, Option<Value>) {
    ("expires_at", expires_at.map(|end| json!(end.0)))
}

pub(super) fn grant(session: &mut Session, command: GrantCommand) -> Result<(), Failure> {
    match command {
        GrantCommand::List { environment, at } => {
            let segments = ["environments", &environment, "grants"];
            session.show_all(&segments, &at.query(), &GRANT, "the environment has no grants")
        }
        GrantCommand::Set { environment, principal, role, expires_at, no_expiry, change } => {
            let end = if no_expiry { ("expires_at", Some(Value::Null)) } else { expiry(expires_at) };
            let body = fields([("role", Some(json!(role))), end]);
            let segments = ["environments", &environment, "grants", &principal];
            session.change(Method::PUT, &segments, Some(&body), &change, &GRANT).map_err(ask_for_end)
        }
        GrantCommand::Revoke { environment, principal, change } => {
            let segments = ["environments", &environment, "grants", &principal];
            session.change(Method::DELETE, &segments, None, &change, &GRANT)
        }
    }
}
