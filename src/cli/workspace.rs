//! `tenure workspace`, `tenure member` and `tenure service-user`: workspaces and the principals in them.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use ureq::http::Method;

use super::args::{AtArgs, SureArgs, plans, workspace_kinds, workspace_roles};
use super::client::Query;
use super::credentials::count_issued_by;
use super::entity_columns::{MEMBER, PROFILE, SERVICE_USER, WORKSPACE};
use super::failure::Failure;
use super::output::{confirm, remark};
use super::rbac::ask_before_opening;
use super::session::{ChangeArgs, Session};
use crate::domain::model::role::Plan;

#[derive(Debug, Subcommand)]
pub(super) enum WorkspaceCommand {
    /// Create a workspace, with its first owner, the owner's first token and the environment `main` (operator)
    Create(CreateWorkspaceArgs),
    /// List the workspaces that you can see
    List,
    /// Show the workspace: its plan, and whether RBAC is on
    Show(AtArgs),
    /// Change the plan; a plan without RBAC turns RBAC off (operator)
    Plan {
        /// The new plan
        #[arg(value_parser = plans())]
        plan: String,
        #[command(flatten)]
        sure: SureArgs,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Delete the workspace and everything in it; its log stays readable (operator, owner)
    Delete {
        #[command(flatten)]
        sure: SureArgs,
        #[command(flatten)]
        change: ChangeArgs,
    },
}

/// The arguments of a new workspace.
#[derive(Debug, Args)]
pub(super) struct CreateWorkspaceArgs {
    /// The name
    name: String,
    /// The id of the first owner
    #[arg(long, value_name = "USER")]
    owner: String,
    /// The kind: for one person, or shared by many
    #[arg(long, value_parser = workspace_kinds(), default_value = "shared")]
    kind: String,
    /// The plan; RBAC needs `team` or `enterprise`
    #[arg(long, value_parser = plans(), default_value = "team")]
    plan: String,
    /// The owner's name; kept beside the log, where it can be erased
    #[arg(long, value_name = "NAME")]
    owner_name: Option<String>,
    /// The owner's e-mail address; kept beside the log, where it can be erased
    #[arg(long, value_name = "ADDRESS")]
    owner_email: Option<String>,
    #[command(flatten)]
    change: ChangeArgs,
}

/// Makes an object of the fields that have a value.
pub(super) fn fields<'a>(fields: impl IntoIterator<Item = (&'a str, Option<Value>)>) -> Value {
    let there = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(there.collect::<Map<_, _>>())
}

pub(super) fn workspace(session: &mut Session, command: WorkspaceCommand) -> Result<(), Failure> {
    match command {
        WorkspaceCommand::Create(args) => create_workspace(session, args),
        WorkspaceCommand::List => {
            let list = session.get_pages("/v1/workspaces", &Query::default(), usize::MAX)?;
            session.show_list(&list, &WORKSPACE, "there is no workspace that you can see")
        }
        WorkspaceCommand::Show(at) => {
            let found = session.get(&[], &at.query())?;
            session.show_one(&found, &WORKSPACE)
        }
        WorkspaceCommand::Plan { plan, sure, change } => {
            let opens = plan.parse().is_ok_and(|plan: Plan| !plan.includes_rbac());
            if opens && session.get(&[], &Query::default())?.get("rbac") == Some(&json!(true)) {
                ask_before_opening(session, &json!({ "type": "plan.change", "plan": plan }), sure)?;
            }
            session.change(Method::PUT, &["plan"], Some(&json!({ "plan": plan })), &change, &WORKSPACE)
        }
        WorkspaceCommand::Delete { sure, change } => {
            let question = format!("end the workspace `{}` and everything in it?", session.workspace()?);
            if sure.yes || confirm(&question)? {
                return session.change(Method::DELETE, &[], None, &change, &WORKSPACE);
            }
            Err(Failure::usage("nothing was changed"))
        }
    }
}

fn create_workspace(session: &mut Session, args: CreateWorkspaceArgs) -> Result<(), Failure> {
    let CreateWorkspaceArgs { name, owner, kind, plan, owner_name, owner_email, change } = args;
    let owner = fields([
        ("user", Some(json!(owner))),
        ("name", owner_name.map(Value::String)),
        ("email", owner_email.map(Value::String)),
    ]);
    let body = json!({ "name": name, "kind": kind, "plan": plan, "owner": owner });
    session.change_at(Method::POST, "/v1/workspaces", Some(&body), &change, &WORKSPACE)
}

#[derive(Debug, Subcommand)]
pub(super) enum MemberCommand {
    /// List the members
    List(AtArgs),
    /// Add a person as a member
    Add {
        /// The person's id: any stable id, such as the subject of an identity provider
        user: String,
        /// The workspace role
        #[arg(long, value_parser = workspace_roles(), default_value = "member")]
        role: String,
        /// The person's name; kept beside the log, where it can be erased
        #[arg(long)]
        name: Option<String>,
        /// The person's e-mail address; kept beside the log, where it can be erased
        #[arg(long)]
        email: Option<String>,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Change a member's workspace role
    Role {
        /// The member
        user: String,
        /// The new role
        #[arg(value_parser = workspace_roles())]
        role: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Remove a member, with the member's grants and tokens
    #[command(after_help = "Example:\n  tenure member remove bob --revoke-issued --reason HR-31")]
    Remove {
        /// The member
        user: String,
        /// Also revoke each live API token, proxy token and access key that the member issued
        #[arg(long)]
        revoke_issued: bool,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Show, set or erase a person's entry in the profile directory
    Profile {
        /// The person
        user: String,
        /// The person's name
        #[arg(long)]
        name: Option<String>,
        /// The person's e-mail address
        #[arg(long)]
        email: Option<String>,
        /// Erase both
        #[arg(long, conflicts_with_all = ["name", "email"])]
        erase: bool,
    },
}

pub(super) fn member(session: &mut Session, command: MemberCommand) -> Result<(), Failure> {
    match command {
        MemberCommand::List(at) => session.show_all(&["members"], &at.query(), &MEMBER, "the workspace has no member"),
        MemberCommand::Add { user, role, name, email, change } => {
            let body = fields([
                ("user", Some(json!(user))),
                ("role", Some(json!(role))),
                ("name", name.map(Value::String)),
                ("email", email.map(Value::String)),
            ]);
            session.change(Method::POST, &["members"], Some(&body), &change, &MEMBER)
        }
        MemberCommand::Role { user, role, change } => {
            session.change(Method::PATCH, &["members", &user], Some(&json!({ "role": role })), &change, &MEMBER)
        }
        MemberCommand::Remove { user, revoke_issued, change } => remove(session, &user, revoke_issued, &change),
        MemberCommand::Profile { user, name, email, erase } => {
            let changes = fields([("name", name.map(Value::String)), ("email", email.map(Value::String))]);
            profile(session, &user, &changes, erase)
        }
    }
}

/// Removes a member. Reports on stderr the live credentials that the member issued, if the caller may see them.
fn remove(session: &mut Session, user: &str, revoke_issued: bool, change: &ChangeArgs) -> Result<(), Failure> {
    let lives_on = if revoke_issued { 0 } else { count_issued_by(session, user).unwrap_or_default() };
    let path = session.path(&["members", user])?;
    let query = Query::default().with("revoke_issued", revoke_issued.then_some(true));
    session.change_with(Method::DELETE, &path, &query, None, change, &MEMBER)?;
    if lives_on > 0 {
        let them = if lives_on == 1 { "1 live credential" } else { &format!("{lives_on} live credentials") };
        remark(&format!(
            "`{user}` issued {them} that this did not revoke: `tenure credentials --issued-by user:{user}` lists them, \
             `token revoke`, `proxy-token revoke` and `access-key revoke` end them; next time, `--revoke-issued` does"
        ));
    }
    Ok(())
}

/// Shows or changes a profile. It is no part of the log, so there is no revision to show.
fn profile(session: &mut Session, user: &str, changes: &Value, erase: bool) -> Result<(), Failure> {
    let segments = ["members", user, "profile"];
    let stored = match (erase, changes.as_object().is_none_or(Map::is_empty)) {
        (true, _) => session.send(Method::DELETE, &segments, None)?,
        (false, true) => session.get(&segments, &Query::default())?,
        (false, false) => session.send(Method::PUT, &segments, Some(changes))?,
    };
    if stored.is_object() && !erase {
        session.show_one(&stored, &PROFILE)
    } else {
        session.out.line("the profile is erased")
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum ServiceUserCommand {
    /// List the service users
    List(AtArgs),
    /// Create a service user, with its first token
    Create {
        /// The name: lower-case letters, digits, hyphens and underscores
        name: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Delete a service user, with its grants and tokens
    Delete {
        /// The service user, by name or id
        service_user: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
}

pub(super) fn service_user(session: &mut Session, command: ServiceUserCommand) -> Result<(), Failure> {
    match command {
        ServiceUserCommand::List(at) => {
            session.show_all(&["service-users"], &at.query(), &SERVICE_USER, "the workspace has no service user")
        }
        ServiceUserCommand::Create { name, change } => {
            session.change(Method::POST, &["service-users"], Some(&json!({ "name": name })), &change, &SERVICE_USER)
        }
        ServiceUserCommand::Delete { service_user, change } => {
            session.change(Method::DELETE, &["service-users", &service_user], None, &change, &SERVICE_USER)
        }
    }
}
