//! `tenure rbac`: whether restrictions, grants and scopes are enforced, and what it would open if they were not.

use std::collections::{BTreeMap, HashMap};

use clap::Subcommand;
use serde_json::{Value, json};
use ureq::http::Method;

use super::args::SureArgs;
use super::client::Query;
use super::failure::Failure;
use super::kind::{WIDENED, WORKSPACE, named};
use super::output::{Format, Output, Rows, cell_text, columns, confirm};
use super::session::{ChangeArgs, Session, items};

/// The most principals that are named before one is asked to go on.
const SHOWN_MAX: usize = 40;

#[derive(Debug, Subcommand)]
pub(super) enum RbacCommand {
    /// Show whether RBAC is on
    Status,
    /// Enforce restrictions, grants and scopes (plan `team` or `enterprise`)
    Enable {
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Stop enforcing restrictions, grants and scopes, after showing what that opens
    ///
    /// They stay recorded, and are enforced again when RBAC is enabled.
    Disable {
        #[command(flatten)]
        sure: SureArgs,
        #[command(flatten)]
        change: ChangeArgs,
    },
}

pub(super) fn rbac(session: &mut Session, command: RbacCommand) -> Result<(), Failure> {
    match command {
        RbacCommand::Status => {
            let found = session.get(&[], &Query::default())?;
            session.show_one(&found, &WORKSPACE)
        }
        RbacCommand::Enable { change } => set(session, true, &change),
        RbacCommand::Disable { sure, change } => {
            ask_before_opening(session, sure)?;
            set(session, false, &change)
        }
    }
}

/// Shows what is open once RBAC is off, and goes on only if that is wanted.
pub(super) fn ask_before_opening(session: &mut Session, sure: SureArgs) -> Result<(), Failure> {
    show_what_opens(session)?;
    if sure.yes || confirm("stop enforcing restrictions, grants and scopes?")? {
        return Ok(());
    }
    Err(Failure::usage("nothing was changed"))
}

fn set(session: &mut Session, enabled: bool, change: &ChangeArgs) -> Result<(), Failure> {
    session.change(Method::PUT, &["rbac"], Some(&json!({ "enabled": enabled })), change, &WORKSPACE)
}

/// What programs read stays clean: the preview is for people, so it goes to stderr unless the output is a table for people too.
fn show_what_opens(session: &mut Session) -> Result<(), Failure> {
    let widened = widened(session)?;
    let scoped = session.get_all(&["proxy-tokens"], &Query::default())?;
    let scoped = items(&scoped).iter().filter(|token| cell_text(token, "scope") == "scoped").count();
    let for_people = session.out.format == Format::Table;
    let mut stderr = Output::stderr();
    let out = if for_people { &mut session.out } else { &mut stderr };
    show_widened(out, &widened)?;
    if scoped > 0 {
        out.line(&format!("{scoped} scoped proxy token(s) would be accepted in every environment"))?;
    }
    out.flush()
}

fn show_widened(out: &mut Output, widened: &[Value]) -> Result<(), Failure> {
    if widened.is_empty() {
        return out.line("nobody's access to an environment would change");
    }
    out.heading("these would become contributors:")?;
    if widened.len() <= SHOWN_MAX {
        out.table(&WIDENED.rows(Format::Table, widened))
    } else {
        out.table(&by_environment(widened))
    }
}

/// How many in each environment, where there are too many to name.
fn by_environment(widened: &[Value]) -> Rows {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for row in widened {
        *counts.entry(cell_text(row, "environment")).or_default() += 1;
    }
    let rows = counts.into_iter().map(|(name, count)| vec![name, format!("{count} principals")]).collect();
    Rows { columns: columns!["ENVIRONMENT" = "environment", "WHO" = "principals"].into(), rows }
}

/// Who has less than all in a restricted environment: with RBAC off, everyone has all.
fn widened(session: &mut Session) -> Result<Vec<Value>, Failure> {
    let environments = session.get_all(&["environments"], &Query::default())?;
    let principals = principals(session)?;
    let mut widened = Vec::new();
    for environment in items(&environments).iter().filter(|found| found.get("restricted") == Some(&json!(true))) {
        let roles = roles(session, &cell_text(environment, "id"))?;
        let name = cell_text(environment, "name");
        for (principal, shown) in &principals {
            let before = roles.get(principal).map_or("no_access", String::as_str);
            if before != "contributor" {
                let row = json!({
                    "environment": name, "principal": shown, "before": before, "after": "contributor",
                });
                widened.push(row);
            }
        }
    }
    Ok(widened)
}

/// The role of each principal who has one in an environment.
fn roles(session: &mut Session, environment: &str) -> Result<HashMap<String, String>, Failure> {
    let query = Query::default().with("environment", Some(environment));
    let access = session.get_all(&["audit", "access"], &query)?;
    Ok(items(&access).iter().map(|row| (cell_text(row, "principal"), cell_text(row, "role"))).collect())
}

/// Everyone who can have access: how they are written in rows, and how people call them.
fn principals(session: &mut Session) -> Result<Vec<(String, String)>, Failure> {
    let members = session.get_all(&["members"], &Query::default())?;
    let service_users = session.get_all(&["service-users"], &Query::default())?;
    let user = |member: &Value| format!("user:{}", cell_text(member, "user"));
    let users = items(&members).iter().map(|member| (user(member), user(member)));
    let service_users = items(&service_users).iter().map(|service_user| {
        let principal = format!("service_user:{}", cell_text(service_user, "id"));
        let shown = named(&principal, &cell_text(service_user, "name"));
        (principal, shown)
    });
    Ok(users.chain(service_users).collect())
}
