//! `tenure environment` and `tenure grant`: what there is to have access to, and who was given it.

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use ureq::http::Method;

use super::args::{AtArgs, environment_roles};
use super::failure::Failure;
use super::kind::{ENVIRONMENT, GRANT};
use super::session::{ChangeArgs, Session};
use super::when::Moment;
use super::workspace::fields;

#[derive(Debug, Subcommand)]
pub(super) enum EnvironmentCommand {
    /// List the environments
    List(AtArgs),
    /// Make an environment
    ///
    /// A restricted one is never open for a moment: its default role and first grants come with it.
    #[command(
        after_help = "Example:\n  tenure environment create --restricted prod --grant service_user:ci=contributor"
    )]
    Create {
        /// Its name
        name: String,
        /// Restrict it: members and service users without a grant get the default role (RBAC must be on)
        #[arg(long)]
        restricted: bool,
        #[command(flatten)]
        restriction: RestrictionArgs,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Give an environment another name
    Rename {
        /// The environment, by name or id
        environment: String,
        /// The name from now on
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
    /// End an environment, with its grants, its place in the scopes of proxy tokens, and the placements of resources in it
    Delete {
        /// The environment, by name or id
        environment: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
}

/// What a restricted environment gives, and to whom.
#[derive(Debug, Args)]
pub(super) struct RestrictionArgs {
    /// What those without a grant get; `viewer` if left out, and `no_access` makes it private
    #[arg(long, value_name = "ROLE", value_parser = environment_roles())]
    default_role: Option<String>,
    /// A grant that comes with it, such as `user:bob=contributor`; may be repeated
    #[arg(long = "grant", value_name = "PRINCIPAL=ROLE")]
    grants: Vec<GrantSpec>,
}

/// `PRINCIPAL=ROLE`.
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
    /// Give a principal a role in a restricted environment, in place of the one they had there
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
        /// Until when: an instant, or a date (its midnight in UTC); for good if left out
        #[arg(long, value_name = "INSTANT")]
        expires_at: Option<Moment>,
        /// For good, also in place of a grant that has an end
        #[arg(long, conflicts_with = "expires_at")]
        no_expiry: bool,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Take a grant back
    Revoke {
        /// The environment, by name or id
        environment: String,
        /// `user:ID` or `service_user:NAME`
        principal: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
}

/// Says how the command line says that a grant never ends.
fn ask_for_end(failure: Failure) -> Failure {
    match failure {
        Failure::Refused { status, code, detail } if code == "expiry_required" => {
            let detail = format!("{detail} (`--expires-at INSTANT`, `--no-expiry`)");
            Failure::Refused { status, code, detail }
        }
        other => other,
    }
}

/// An expiry as a field of a body.
pub(super) fn expiry(expires_at: Option<Moment>) -> (&'static str, Option<Value>) {
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
