//! A session with a server: the client, the workspace that is meant, and the output.

use clap::Args;
use serde_json::{Value, json};
use ureq::Body;
use ureq::http::{Method, Response};

use super::client::{Client, Query};
use super::failure::Failure;
use super::kind::Kind;
use super::output::{Format, Output, Rows, cell_text, columns};
use super::when::When;
use crate::domain::time::Instant;
use crate::http::response::escaped;
use crate::service::mint::Secret;

/// Where `tenure serve` listens, and its clients ask, if nobody says otherwise.
pub(super) const DEFAULT_ADDRESS: &str = "127.0.0.1:8321";
/// The rows that are asked for at a time.
const PAGE_ROWS: u32 = 1_000;
/// The most workspaces that are named where one has to be chosen.
const NAMED_MAX: usize = 20;
/// The variable that holds the secret. There is no flag for it: what is written in a command can be seen by others.
const TOKEN_SECRET_VARIABLE: &str = "TENURE_TOKEN_SECRET";

// Which server is asked, and as whom. No doc comment: it would stand in the place of what each command says of itself.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Server and output")]
pub(super) struct SessionArgs {
    /// The server's address
    #[arg(long, env = "TENURE_URL", global = true, default_value_t = format!("http://{DEFAULT_ADDRESS}"))]
    pub(super) url: String,
    /// The id of your credential: a token's, an access key's, or `operator`; its secret is in `TENURE_TOKEN_SECRET`
    #[arg(long, env = "TENURE_TOKEN_ID", global = true, value_name = "ID")]
    pub(super) token_id: Option<String>,
    /// The workspace, by name or id; not needed where you can see only one
    #[arg(long, short, env = "TENURE_WORKSPACE", global = true, value_name = "WS")]
    pub(super) workspace: Option<String>,
    /// The form of the output
    #[arg(long, short, env = "TENURE_OUTPUT", global = true, value_enum, default_value_t)]
    pub(super) output: Format,
}

/// What goes with a change.
#[derive(Debug, Clone, Args)]
pub(super) struct ChangeArgs {
    /// Why, for whoever asks later: a ticket, an approval
    #[arg(long, value_name = "TEXT")]
    pub(super) reason: Option<String>,
}

/// A server to ask, and where to write what it says.
pub(super) struct Session {
    client: Client,
    workspace: Option<String>,
    pub(super) out: Output,
}

impl Session {
    /// The session that flags and environment describe.
    pub(super) fn open(args: SessionArgs) -> Result<Self, Failure> {
        let missing = |what: &str| {
            Failure::usage(format!(
                "no {what}: set TENURE_TOKEN_ID and {TOKEN_SECRET_VARIABLE} to who asks, \
                such as `operator` and the text in `operator.secret`"
            ))
        };
        let id = args.token_id.ok_or_else(|| missing("credential"))?;
        let secret = std::env::var(TOKEN_SECRET_VARIABLE).map_err(|_| missing("secret"))?;
        let client = Client::new(&args.url, &id, &Secret::new(secret.trim()));
        Ok(Self::new(client, args.workspace, Output::stdout(args.output)))
    }

    /// A session with what is given.
    pub(super) const fn new(client: Client, workspace: Option<String>, out: Output) -> Self {
        Self { client, workspace, out }
    }

    /// The workspace that is meant: the one that was named, or the only one that the caller can see.
    pub(super) fn workspace(&mut self) -> Result<String, Failure> {
        if let Some(workspace) = &self.workspace {
            return Ok(workspace.clone());
        }
        let query = Query::default().with("limit", Some(NAMED_MAX));
        let page = self.client.send(Method::GET, "/v1/workspaces", &query, None).map_err(|error| match error {
            // An `evaluator` key may ask for decisions, and not even read which workspace it belongs to.
            Failure::Refused { status: 403, .. } => Failure::usage("say which workspace with `-w` or TENURE_WORKSPACE"),
            error => error,
        })?;
        let names: Vec<_> = items(&page).iter().map(|workspace| cell_text(workspace, "name")).collect();
        match names.as_slice() {
            [] => Err(Failure::usage("there is no workspace yet: make one with `tenure workspace create`")),
            [only] => Ok(self.workspace.insert(only.clone()).clone()),
            several => {
                let several = several.join(", ");
                Err(Failure::usage(format!("say which workspace with `-w` or TENURE_WORKSPACE: {several}")))
            }
        }
    }

    /// The client, for a thread of its own.
    pub(super) fn client(&self) -> Client {
        self.client.clone()
    }

    /// A path below the workspace's.
    pub(super) fn path(&mut self, segments: &[&str]) -> Result<String, Failure> {
        let workspace = self.workspace()?;
        let mut path = format!("/v1/workspaces/{}", escaped(&workspace));
        for segment in segments {
            path.push('/');
            path.push_str(&escaped(segment));
        }
        Ok(path)
    }

    /// Asks about the workspace.
    pub(super) fn get(&mut self, segments: &[&str], query: &Query) -> Result<Value, Failure> {
        let path = self.path(segments)?;
        self.client.send(Method::GET, &path, query, None)
    }

    /// Asks with a body.
    pub(super) fn post(&mut self, segments: &[&str], query: &Query, body: &Value) -> Result<Value, Failure> {
        let path = self.path(segments)?;
        self.client.send(Method::POST, &path, query, Some(body))
    }

    /// Asks for what is no change of the log.
    pub(super) fn send(&mut self, method: Method, segments: &[&str], body: Option<&Value>) -> Result<Value, Failure> {
        let path = self.path(segments)?;
        self.client.send(method, &path, &Query::default(), body)
    }

    /// Asks for all rows of a list of the workspace: the first page, with the rows of all.
    pub(super) fn get_all(&mut self, segments: &[&str], query: &Query) -> Result<Value, Failure> {
        let path = self.path(segments)?;
        self.get_pages(&path, query, usize::MAX)
    }

    /// Asks for a list in the form that it is wanted in, and writes that as it comes.
    pub(super) fn copy(&mut self, segments: &[&str], query: &Query, accept: &str) -> Result<(), Failure> {
        let mut answer = self.open_as(segments, query, accept)?;
        self.out.copy(&mut answer.body_mut().as_reader())
    }

    /// Asks about the workspace for an answer in some form.
    pub(super) fn open_as(
        &mut self,
        segments: &[&str],
        query: &Query,
        accept: &str,
    ) -> Result<Response<Body>, Failure> {
        let path = self.path(segments)?;
        self.client.open(&path, query, accept)
    }

    /// The instant that is meant: a revision's is when it happened.
    pub(super) fn instant(&mut self, when: When) -> Result<Instant, Failure> {
        if let Some(instant) = when.instant() {
            return Ok(instant);
        }
        let answer = self.open_as(&[], &Query::default().with("at", Some(when)), "application/json")?;
        let at = answer.headers().get("tenure-at").and_then(|at| at.to_str().ok());
        at.and_then(|at| at.parse().ok()).ok_or_else(unnamed_instant)
    }

    /// Asks for rows of a list, page by page, until there are enough.
    pub(super) fn get_pages(&self, path: &str, query: &Query, enough: usize) -> Result<Value, Failure> {
        pages(&self.client, path, query, enough)
    }

    /// Asks for all rows of a list of the workspace, and shows them.
    pub(super) fn show_all(
        &mut self,
        segments: &[&str],
        query: &Query,
        kind: &Kind,
        nothing: &str,
    ) -> Result<(), Failure> {
        let list = self.get_all(segments, query)?;
        self.show_list(&list, kind, nothing)
    }

    /// Shows a list.
    pub(super) fn show_list(&mut self, list: &Value, kind: &Kind, nothing: &str) -> Result<(), Failure> {
        let rows = kind.rows(self.out.format, items(list));
        self.out.list(list, &rows, nothing)
    }

    /// Shows one entity.
    pub(super) fn show_one(&mut self, answer: &Value, kind: &Kind) -> Result<(), Failure> {
        let rows = kind.rows(self.out.format, std::slice::from_ref(answer));
        match self.out.format {
            Format::Table => self.show_fields(&rows),
            _ => self.out.list(answer, &rows, ""),
        }
    }

    fn show_fields(&mut self, rows: &Rows) -> Result<(), Failure> {
        let row = rows.rows.first().into_iter().flatten();
        let names: Vec<_> = rows.columns.iter().map(|column| column.title.to_lowercase()).collect();
        let fields: Vec<_> = names.iter().map(String::as_str).zip(row.cloned()).collect();
        self.out.fields(&fields)
    }

    /// Asks for a change of the workspace, and shows what it came to.
    pub(super) fn change(
        &mut self,
        method: Method,
        segments: &[&str],
        body: Option<&Value>,
        change: &ChangeArgs,
        kind: &Kind,
    ) -> Result<(), Failure> {
        let path = self.path(segments)?;
        self.change_at(method, &path, body, change, kind)
    }

    /// Asks for a change, and shows what it came to: the entity, its secret if it has one, and the events.
    pub(super) fn change_at(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        change: &ChangeArgs,
        kind: &Kind,
    ) -> Result<(), Failure> {
        self.change_with(method, path, &Query::default(), body, change, kind)
    }

    /// Asks for a change as [`Self::change_at`] does, with more parameters than the reason.
    pub(super) fn change_with(
        &mut self,
        method: Method,
        path: &str,
        query: &Query,
        body: Option<&Value>,
        change: &ChangeArgs,
        kind: &Kind,
    ) -> Result<(), Failure> {
        let query = query.clone().with("reason", change.reason.as_ref());
        let answer = self.client.send(method, path, &query, body)?;
        let entity = answer.get(kind.name).filter(|entity| entity.is_object());
        let rows = kind.rows(self.out.format, entity.map(std::slice::from_ref).unwrap_or_default());
        let made = made_credential(&answer, kind);
        match self.out.format {
            Format::Json | Format::Html => self.out.json(&answer),
            Format::Csv => self.out.csv(&with_secret(rows, made)),
            Format::Table => {
                if entity.is_some() {
                    self.show_fields(&rows)?;
                }
                self.show_secret(made)?;
                self.out.line(&outcome(&answer))
            }
        }?;
        self.out.flush()
    }

    /// Shows the secret of what was made, or that comes with it.
    fn show_secret(&mut self, made: Option<(String, String)>) -> Result<(), Failure> {
        let Some((id, secret)) = made else { return Ok(()) };
        self.out.line("")?;
        self.out.fields(&[("id", id), ("secret", secret)])?;
        self.out.line(
            "The secret is shown only now, and cannot be had again: keep it where only its holder can read it.",
        )?;
        self.out.line("")
    }
}

/// Asks for all rows of a list: the first page, with the rows of all.
pub(super) fn all_pages(client: &Client, path: &str, query: &Query) -> Result<Value, Failure> {
    pages(client, path, query, usize::MAX)
}

fn pages(client: &Client, path: &str, query: &Query, enough: usize) -> Result<Value, Failure> {
    let page_rows = u32::try_from(enough).unwrap_or(PAGE_ROWS).min(PAGE_ROWS);
    let page = |cursor: Option<&str>| {
        let query = query.clone().with("limit", Some(page_rows)).with("cursor", cursor);
        client.send(Method::GET, path, &query, None)
    };
    let mut list = page(None)?;
    while let Some(cursor) = next(&list).filter(|_| items(&list).len() < enough) {
        append(&mut list, page(Some(&cursor))?);
    }
    if let Some(rows) = list.get_mut("items").and_then(Value::as_array_mut) {
        rows.truncate(enough);
    }
    Ok(list)
}

fn unnamed_instant() -> Failure {
    Failure::server("the server does not say when that revision happened: give an instant instead")
}

/// The id and the secret of the credential that was made, or that comes with what was made.
fn made_credential(answer: &Value, kind: &Kind) -> Option<(String, String)> {
    let mut made = [kind.name, "token"].into_iter().filter_map(|name| answer.get(name));
    let made = made.find(|made| made.get("secret").is_some_and(Value::is_string))?;
    Some((cell_text(made, "id"), cell_text(made, "secret")))
}

/// The row of what was made with the secret that is never shown again, whatever the form of the output.
fn with_secret(mut rows: Rows, made: Option<(String, String)>) -> Rows {
    if let (Some((id, secret)), Some(row)) = (made, rows.rows.first_mut()) {
        rows.columns.extend(columns!["" = "credential", "" = "secret"]);
        row.extend([id, secret]);
    }
    rows
}

/// The rows of a list.
pub(super) fn items(list: &Value) -> &[Value] {
    list.get("items").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Whether the rows of a list are only the first ones.
pub(super) fn has_more(list: &Value) -> bool {
    next(list).is_some()
}

fn next(list: &Value) -> Option<String> {
    list.get("next").and_then(Value::as_str).map(str::to_owned)
}

/// Puts the rows of a page behind those of the pages before it.
fn append(list: &mut Value, mut page: Value) {
    if let (Some(Value::Array(rows)), Some(Value::Array(more))) = (list.get_mut("items"), page.get_mut("items")) {
        rows.append(more);
    }
    if let Some(list) = list.as_object_mut() {
        list.insert("next".to_owned(), page.get("next").cloned().unwrap_or(json!(null)));
    }
}

/// What a change came to, in a line.
fn outcome(answer: &Value) -> String {
    let revision = cell_text(answer, "revision");
    let events = answer.get("events").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let types: Vec<_> = events.iter().map(|event| event_name(&cell_text(event, "type"))).collect();
    match types.as_slice() {
        [] => format!("nothing had to change: the newest revision is {revision}"),
        types => format!("revision {revision}: {}", types.join(", ")),
    }
}

/// The name of an event without the version of its form.
pub(super) fn event_name(type_name: &str) -> String {
    let version = |tail: &str| tail.strip_prefix('v').is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
    match type_name.rsplit_once('.') {
        Some((name, tail)) if version(tail) => name.to_owned(),
        _ => type_name.to_owned(),
    }
}
