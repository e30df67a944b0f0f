//! `tenure check`: one decision, with its reasons.

use std::process::ExitCode;
use std::str::FromStr;

use clap::Args;
use serde_json::{Value, json};

use super::args::AtArgs;
use super::causes::{cause, time};
use super::failure::Failure;
use super::layout::ListingLine;
use super::output::{Format, OutputRows, cell_text, columns};
use super::session::Session;
use super::time_args::to_the_second;
use crate::domain::model::resource_catalogue::{ENVIRONMENT, WORKSPACE};

/// The exit code of a denial.
const DENIED: u8 = 1;

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// The subject: `user:ID`, `service_user:NAME`, `task:ENV` (a task that runs in an environment) or `proxy_token:ID`
    subject: Subject,
    /// The action: `read`, `read_logs`, `deploy`, `write`, `use`, `call`, `manage_members`, …
    action: String,
    /// The resource: an environment, `TYPE:ID@ENV` for a resource in it (`secret:db-password@prod`), `TYPE:ID` for a
    /// placed one (`TYPE:ID@` if the id contains an `@`), or `workspace`
    resource: Resource,
    #[command(flatten)]
    at: AtArgs,
    /// Show the role, the rule and the events that the answer rests on
    #[arg(long)]
    explain: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Subject {
    kind: String,
    id: String,
}

impl FromStr for Subject {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rule = "a subject is written `user:ID`, `service_user:NAME`, `task:ENV` or `proxy_token:ID`";
        let (kind, id) = text.split_once(':').ok_or(rule)?;
        let known = ["user", "service_user", "task", "proxy_token"].contains(&kind) && !id.is_empty();
        known.then(|| Self { kind: kind.to_owned(), id: id.to_owned() }).ok_or(rule)
    }
}

/// The resource of a check. In `TYPE:ID@ENV` the environment follows the last `@`; if it is empty, none is named.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Resource {
    Workspace,
    Environment(String),
    Within { kind: String, id: String, environment: Option<String> },
}

impl FromStr for Resource {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (kind, id) = match text.split_once(':') {
            None if text == WORKSPACE => return Ok(Self::Workspace),
            None | Some((ENVIRONMENT, _)) => {
                let name = text.split_once(':').map_or(text, |(_, name)| name);
                return Ok(Self::Environment(name.to_owned()));
            }
            Some(parts) => parts,
        };
        let (id, environment) = id.rsplit_once('@').map_or((id, None), |(id, environment)| (id, Some(environment)));
        let environment = environment.filter(|environment| !environment.is_empty());
        if kind.is_empty() || id.is_empty() {
            return Err("a resource is written `ENV`, `TYPE:ID@ENV`, `TYPE:ID` or `workspace`");
        }
        Ok(Self::Within { kind: kind.to_owned(), id: id.to_owned(), environment: environment.map(str::to_owned) })
    }
}

impl Resource {
    fn body(&self, workspace: &str) -> Value {
        match self {
            Self::Workspace => json!({ "type": WORKSPACE, "id": workspace }),
            Self::Environment(id) => json!({ "type": ENVIRONMENT, "id": id }),
            Self::Within { kind, id, environment: None } => json!({ "type": kind, "id": id }),
            Self::Within { kind, id, environment: Some(environment) } => {
                json!({ "type": kind, "id": id, "properties": { "environment": environment } })
            }
        }
    }
}

/// Requests a decision, shows it, and returns 0 for allowed and 1 for denied.
pub(super) fn check(session: &mut Session, args: &CheckArgs) -> Result<ExitCode, Failure> {
    let workspace = session.workspace()?;
    let body = json!({
        "subject": { "type": args.subject.kind, "id": args.subject.id },
        "action": { "name": args.action },
        "resource": args.resource.body(&workspace),
    });
    let in_words = args.explain || session.out.format != Format::Json;
    let query = args.at.query().with("explain", in_words.then_some("true"));
    let response = session.post(&["access", "v1", "evaluation"], &query, &body)?;
    let allowed = response.get("decision").and_then(Value::as_bool);
    let allowed = allowed.ok_or_else(|| Failure::server("the server's answer holds no decision"))?;
    match session.out.format {
        Format::Json | Format::Html => session.out.json(&response)?,
        Format::Csv => session.out.csv(&row(allowed, &response))?,
        Format::Table => {
            let context = response.get("context").filter(|context| context.is_object());
            let why = context.filter(|_| !args.explain && !allowed).and_then(|context| context.pointer("/reasons/0"));
            let why = why.and_then(Value::as_str).map_or_else(String::new, |why| format!(": {why}"));
            session.out.verdict(allowed, word(allowed), &to_the_second(&why))?;
            explain(session, context.filter(|_| args.explain))?;
        }
    }
    Ok(if allowed { ExitCode::SUCCESS } else { ExitCode::from(DENIED) })
}

const fn word(allowed: bool) -> &'static str {
    if allowed { "allowed" } else { "denied" }
}

fn row(allowed: bool, response: &Value) -> OutputRows {
    let context = response.get("context").unwrap_or(&Value::Null);
    let field = |name| cell_text(context, name);
    OutputRows {
        columns: columns!["" = "decision", "" = "role", "" = "required", "" = "rule", "" = "revision", "" = "at"]
            .into(),
        rows: vec![vec![
            word(allowed).to_owned(),
            field("role"),
            field("required"),
            field("rule"),
            field("revision"),
            field("at"),
        ]],
    }
}

/// Shows the explanation of a decision: the reasons, the rule and the events.
fn explain(session: &mut Session, context: Option<&Value>) -> Result<(), Failure> {
    let Some(context) = context else { return Ok(()) };
    let field = |name| cell_text(context, name);
    let list = |name| context.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for reason in list("reasons").iter().filter_map(Value::as_str) {
        session.out.paragraph(reason)?;
    }
    session.out.words(&format!("rule {}, as of {}, revision {}", field("rule"), field("at"), field("revision")))?;
    let evidence = list("evidence");
    if evidence.is_empty() {
        return Ok(());
    }
    session.out.line("")?;
    session.out.heading("what it rests on:")?;
    let line = |event: &Value| ListingLine::entry([cell_text(event, "revision"), time(event), cause(event)]);
    session.out.listing(&evidence.iter().map(line).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_without_a_type_is_an_environment() {
        assert_eq!("prod".parse(), Ok(Resource::Environment("prod".to_owned())));
        assert_eq!("environment:workspace".parse(), Ok(Resource::Environment("workspace".to_owned())));
        assert_eq!("workspace".parse(), Ok(Resource::Workspace));
        let within = |id: &str, environment: Option<&str>| Resource::Within {
            kind: "secret".to_owned(),
            id: id.to_owned(),
            environment: environment.map(str::to_owned),
        };
        assert_eq!("secret:db@prod".parse(), Ok(within("db", Some("prod"))));
        assert_eq!("secret:db".parse(), Ok(within("db", None)));
        assert_eq!("secret:a@b:c@prod".parse(), Ok(within("a@b:c", Some("prod"))));
        assert_eq!("secret:a@b@".parse(), Ok(within("a@b", None)));
        assert!("secret:@prod".parse::<Resource>().is_err());
    }

    #[test]
    fn a_subject_has_a_kind() {
        let subject = Subject { kind: "user".to_owned(), id: "bob@example.com".to_owned() };
        assert_eq!("user:bob@example.com".parse(), Ok(subject));
        assert!("bob".parse::<Subject>().is_err());
        assert!("group:bob".parse::<Subject>().is_err());
    }
}
