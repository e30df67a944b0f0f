//! `tenure what-if`: the access that commands would give and take, before they are run; and the preview before a
//! confirmation.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use serde_json::{Value, json};

use super::args::environment_roles;
use super::client::Query;
use super::entity_columns::{CHANGE, named};
use super::failure::Failure;
use super::layout::ListingLine;
use super::output::{Format, Output, cell_text};
use super::session::{Session, event_name};
use crate::domain::model::role::WorkspaceRole;

/// The largest file of commands, in bytes: no server accepts more.
const FILE_BYTES_MAX: u64 = 2 * 1_024 * 1_024;
/// The maximum number of changes listed before a confirmation.
const PREVIEWED_MAX: usize = 40;

#[derive(Debug, Args)]
#[command(after_help = "\
Nothing is changed. The commands of FILE come first, then those of the flags, in the order in which help lists them.

Examples:
  tenure what-if --remove-member bob
  tenure what-if --restrict dev --grant user:bob@dev=contributor
  tenure what-if commands.json")]
pub(super) struct WhatIfArgs {
    /// Commands in JSON, as `POST /commands` accepts them: `{"commands": […]}`, an array, or one a line; `-` for stdin
    file: Option<PathBuf>,
    /// Turn RBAC on
    #[arg(long)]
    enable_rbac: bool,
    /// Restrict an environment, or change the default role of a restricted one
    #[arg(long, value_name = "ENV")]
    restrict: Vec<String>,
    /// The role of members and service users without a grant in the environments of `--restrict`
    #[arg(long, value_name = "ROLE", value_parser = environment_roles(), requires = "restrict")]
    default_role: Option<String>,
    /// Grant a role in a restricted environment
    #[arg(long, value_name = "PRINCIPAL@ENV=ROLE")]
    grant: Vec<NewGrant>,
    /// Change a member's workspace role
    #[arg(long, value_name = "USER=ROLE")]
    change_role: Vec<MemberRole>,
    /// Revoke a grant
    #[arg(long, value_name = "PRINCIPAL@ENV")]
    revoke_grant: Vec<GrantKey>,
    /// Open an environment to every principal
    #[arg(long, value_name = "ENV")]
    unrestrict: Vec<String>,
    /// Remove a member
    #[arg(long, value_name = "USER")]
    remove_member: Vec<String>,
    /// Revoke the live credentials that the members of `--remove-member` issued
    #[arg(long, requires = "remove_member")]
    revoke_issued: bool,
    /// Delete a service user
    #[arg(long, value_name = "NAME")]
    delete_service_user: Vec<String>,
    /// Delete an environment
    #[arg(long, value_name = "ENV")]
    delete_environment: Vec<String>,
    /// Turn RBAC off
    #[arg(long)]
    disable_rbac: bool,
}

/// A grant's principal and environment, written `PRINCIPAL@ENV`. The environment follows the last `@`, which no
/// environment's name contains.
#[derive(Debug, Clone, PartialEq, Eq)]
struct GrantKey {
    principal: String,
    environment: String,
}

impl FromStr for GrantKey {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rule = "write `PRINCIPAL@ENV`, such as `user:bob@prod`";
        let (principal, environment) = text.rsplit_once('@').ok_or(rule)?;
        Ok(Self { principal: principal.to_owned(), environment: environment.to_owned() })
    }
}

/// A new grant, written `PRINCIPAL@ENV=ROLE`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct NewGrant {
    key: GrantKey,
    role: String,
}

impl FromStr for NewGrant {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rule = "write `PRINCIPAL@ENV=ROLE`, such as `user:bob@prod=contributor`";
        let (key, role) = text.rsplit_once('=').ok_or(rule)?;
        Ok(Self { key: key.parse().map_err(|_| rule)?, role: role.to_owned() })
    }
}

/// A new role of a member, written `USER=ROLE`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct MemberRole {
    user: String,
    role: String,
}

impl FromStr for MemberRole {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let roles = WorkspaceRole::ALL.iter().map(|role| role.as_str()).collect::<Vec<_>>();
        let rule = || format!("write `USER=ROLE`, such as `bob=manager`; the roles are {}", roles.join(", "));
        let (user, role) = text.rsplit_once('=').filter(|(_, role)| roles.contains(role)).ok_or_else(rule)?;
        Ok(Self { user: user_id(user).to_owned(), role: role.to_owned() })
    }
}

/// Returns a user's id, with or without the prefix `user:`. An id that itself begins with `user:` needs the prefix.
fn user_id(text: &str) -> &str {
    text.strip_prefix("user:").unwrap_or(text)
}

impl WhatIfArgs {
    /// Returns the commands of the flags, in the order of the flags.
    fn flagged(&self) -> Vec<Value> {
        let on = |environments: &[String], kind: &str| -> Vec<Value> {
            environments.iter().map(|name| json!({ "type": kind, "environment": name })).collect()
        };
        let restrict = |name: &String| match &self.default_role {
            Some(role) => json!({ "type": "environment.restrict", "environment": name, "default_role": role }),
            None => json!({ "type": "environment.restrict", "environment": name }),
        };
        let service_user = |name: &String| {
            let name = name.strip_prefix("service_user:").unwrap_or(name);
            json!({ "type": "service_user.delete", "service_user": name })
        };
        let enable = self.enable_rbac.then(|| json!({ "type": "rbac.enable" }));
        let disable = self.disable_rbac.then(|| json!({ "type": "rbac.disable" }));
        let mut commands: Vec<Value> = enable.into_iter().collect();
        commands.extend(self.restrict.iter().map(restrict));
        commands.extend(self.grant.iter().map(NewGrant::command));
        commands.extend(self.change_role.iter().map(MemberRole::command));
        commands.extend(self.revoke_grant.iter().map(GrantKey::command));
        commands.extend(on(&self.unrestrict, "environment.unrestrict"));
        let remove = |user: &String| {
            let mut command = json!({ "type": "member.remove", "user": user_id(user) });
            if let Some(fields) = command.as_object_mut().filter(|_| self.revoke_issued) {
                fields.insert("revoke_issued".to_owned(), json!(true));
            }
            command
        };
        commands.extend(self.remove_member.iter().map(remove));
        commands.extend(self.delete_service_user.iter().map(service_user));
        commands.extend(on(&self.delete_environment, "environment.delete"));
        commands.extend(disable);
        commands
    }
}

impl NewGrant {
    fn command(&self) -> Value {
        let GrantKey { principal, environment } = &self.key;
        json!({ "type": "grant.set", "environment": environment, "principal": principal, "role": self.role })
    }
}

impl MemberRole {
    fn command(&self) -> Value {
        json!({ "type": "member.change_role", "user": self.user, "role": self.role })
    }
}

impl GrantKey {
    fn command(&self) -> Value {
        json!({ "type": "grant.revoke", "environment": self.environment, "principal": self.principal })
    }
}

/// Reads the commands of a file, or of stdin.
fn read(path: &Path) -> Result<Vec<Value>, Failure> {
    let failed = |error| Failure::file("read", path, error);
    let from: Box<dyn Read> =
        if path.as_os_str() == "-" { Box::new(io::stdin()) } else { Box::new(File::open(path).map_err(failed)?) };
    let mut text = String::new();
    let len = from.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(failed)?;
    if u64::try_from(len).is_ok_and(|len| len > FILE_BYTES_MAX) {
        return Err(Failure::usage(format!("`{}` has more than {FILE_BYTES_MAX} bytes", path.display())));
    }
    commands(&text).map_err(|why| Failure::usage(format!("`{}`: {why}", path.display())))
}

/// Parses commands: `{"commands": […]}`, an array, or one object after the other.
fn commands(text: &str) -> Result<Vec<Value>, String> {
    let mut commands = Vec::new();
    for value in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
        match value.map_err(|error| format!("this is no JSON: {error}"))? {
            Value::Array(several) => commands.extend(several),
            Value::Object(mut fields) if fields.contains_key("commands") => match fields.shift_remove("commands") {
                Some(Value::Array(several)) if fields.is_empty() => commands.extend(several),
                _ => return Err("`commands` must be an array, and stand alone".to_owned()),
            },
            one => commands.push(one),
        }
    }
    Ok(commands)
}

/// Simulates commands, and shows the changes of access.
pub(super) fn what_if(session: &mut Session, args: &WhatIfArgs) -> Result<(), Failure> {
    let mut commands = args.file.as_deref().map(read).transpose()?.unwrap_or_default();
    commands.extend(args.flagged());
    if commands.is_empty() {
        return Err(Failure::usage("name the commands: a file, or a flag such as `--remove-member bob`"));
    }
    let simulation = simulate(session, &commands)?;
    match session.out.format {
        Format::Json | Format::Html => session.out.json(&simulation),
        Format::Csv => session.out.csv(&CHANGE.rows(Format::Csv, list(&simulation, "changes"))),
        Format::Table => {
            show(&mut session.out, &simulation, usize::MAX)?;
            session.out.line("nothing was changed")
        }
    }
}

fn simulate(session: &mut Session, commands: &[Value]) -> Result<Value, Failure> {
    session.post(&["audit", "what-if"], &Query::default(), &json!({ "commands": commands }))
}

/// Shows the changes of access before a confirmation. If the output is for programs, the preview goes to stderr.
pub(super) fn preview(session: &mut Session, command: &Value) -> Result<(), Failure> {
    let simulation = simulate(session, std::slice::from_ref(command))?;
    let mut stderr = Output::stderr();
    let out = if session.out.format == Format::Table { &mut session.out } else { &mut stderr };
    show(out, &simulation, PREVIEWED_MAX)?;
    out.flush()
}

fn list<'a>(simulation: &'a Value, field: &str) -> &'a [Value] {
    simulation.get(field).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn count(value: &Value, field: &str) -> usize {
    value.get(field).and_then(Value::as_u64).and_then(|count| usize::try_from(count).ok()).unwrap_or_default()
}

/// Shows a simulation. If more than `named_max` rows would change, only their number is shown.
fn show(out: &mut Output, simulation: &Value, named_max: usize) -> Result<(), Failure> {
    let changes = list(simulation, "changes");
    let total = count(simulation, "changes_total").max(changes.len());
    if changes.is_empty() {
        out.line("nobody's access to an environment would change")?;
    } else if total <= named_max {
        out.table(&CHANGE.rows(Format::Table, changes))?;
        out.line("")?;
    }
    if total > changes.len() {
        out.line(&format!("these are the first {} of {total} changes", changes.len()))?;
    }
    for environment in list(simulation, "environments") {
        out.line(&tally(environment))?;
    }
    show_widened(out, simulation, named_max)?;
    out.words(&format!("would append: {}", appended(list(simulation, "events"))))
}

/// Counts the changes of one environment: `prod: 2 would gain, 1 would lose`.
fn tally(environment: &Value) -> String {
    let name = match cell_text(environment, "environment_name") {
        name if name.is_empty() => cell_text(environment, "environment"),
        name => name,
    };
    let parts = [("gain", "would gain"), ("lose", "would lose")].map(|(field, word)| (count(environment, field), word));
    let parts: Vec<String> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(n, word)| format!("{n} {word}")).collect();
    format!("{name}: {}", parts.join(", "))
}

fn show_widened(out: &mut Output, simulation: &Value, named_max: usize) -> Result<(), Failure> {
    let widened = list(simulation, "widened");
    let total = count(simulation, "widened_total").max(widened.len());
    match total {
        0 => return Ok(()),
        1 => out.line("1 proxy token would be accepted in more environments:")?,
        total => out.line(&format!("{total} proxy tokens would be accepted in more environments:"))?,
    }
    // No name contains a space.
    let environments = |token: &Value| cell_text(token, "environment_names").replace(' ', ", ");
    let line = |token: &Value| ListingLine::entry([cell_text(token, "proxy_token"), environments(token)]);
    out.listing(&widened.iter().take(named_max).map(line).collect::<Vec<_>>())?;
    let unnamed = total.saturating_sub(widened.len().min(named_max));
    if unnamed > 0 { out.line(&format!("  and {unnamed} more")) } else { Ok(()) }
}

/// Counts events by type, in order of their first appearance.
fn appended(events: &[Value]) -> String {
    let mut order: Vec<String> = Vec::new();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for event in events {
        let name = event_name(&cell_text(event, "type"));
        if !counts.contains_key(&name) {
            order.push(name.clone());
        }
        *counts.entry(name).or_default() += 1;
    }
    let parts = order.iter().map(|name| match counts.get(name) {
        Some(count) if *count > 1 => format!("{count} {name}"),
        _ => name.clone(),
    });
    let parts: Vec<String> = parts.collect();
    if parts.is_empty() { "no event".to_owned() } else { parts.join(", ") }
}

/// Returns the readable fields of a change.
pub(super) fn change_words(change: &Value) -> [(&'static str, String); 3] {
    let role = |field| match cell_text(change, field) {
        role if role.is_empty() => "no access".to_owned(),
        role => role,
    };
    let principal = named(&cell_text(change, "principal"), &cell_text(change, "principal_name"));
    [("principal_word", principal), ("before_word", role("before")), ("after_word", role("after"))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_follows_the_last_at_sign() {
        let grant = "user:bob@example.com@prod=contributor".parse::<NewGrant>().map(|grant| grant.command());
        let expected = json!({ "type": "grant.set", "environment": "prod", "principal": "user:bob@example.com",
            "role": "contributor" });
        assert_eq!(grant, Ok(expected));
        assert!("user:bob=contributor".parse::<NewGrant>().is_err() && "prod".parse::<GrantKey>().is_err());
        assert!("bob=king".parse::<MemberRole>().is_err_and(|why| why.contains("such as `bob=manager`")));
        assert_eq!("user:bob=manager".parse::<MemberRole>().map(|role| role.user), Ok("bob".to_owned()));
    }

    #[test]
    fn commands_are_read_from_a_body_an_array_or_lines() {
        let expected = Ok(vec![json!({"type": "rbac.enable"}), json!({"type": "rbac.disable"})]);
        let lines = "{\"type\":\"rbac.enable\"}\n{\"type\":\"rbac.disable\"}\n";
        let array = r#"[{"type":"rbac.enable"}, {"type":"rbac.disable"}]"#;
        for text in [lines, array, &format!("{{\"commands\":{array}}}")] {
            assert_eq!(commands(text), expected, "{text}");
        }
        assert_eq!(commands(""), Ok(Vec::new()));
        assert!(commands(r#"{"commands":[],"reason":"x"}"#).is_err_and(|why| why.contains("stand alone")));
        assert!(commands("{").is_err_and(|why| why.contains("no JSON")));
    }

    #[test]
    fn events_of_a_kind_are_counted() {
        let event = |name: &str| json!({ "type": format!("{name}.v1") });
        let events = ["grant.revoked", "grant.revoked", "member.removed"].map(event);
        assert_eq!(appended(&events), "2 grant.revoked, member.removed");
        assert_eq!(appended(&[]), "no event");
    }
}
