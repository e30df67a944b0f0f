//! A session with a server: the client, the workspace and the output.

use clap::Args;
use serde_json::{Value, json};
use ureq::Body;
use ureq::http::{Method, Response};

use super::client::{Client, Query};
use super::entity_columns::EntityColumns;
use super::failure::Failure;
use super::output::{Format, Output, OutputRows, cell_text, columns};
use super::time_args::PointInTime;
use crate::domain::model::time::Instant;
use crate::http::response::escaped;
use crate::service::id_generator::Secret;

/// The default address of `tenure serve` and its clients.
pub(super) const DEFAULT_ADDRESS: &str = "127.0.0.1:8321";
/// The number of rows requested at a time.
const PAGE_ROWS: u32 = 1_000;
/// The maximum number of workspaces named where one must be chosen.
const NAMED_MAX: usize = 20;
/// The variable that contains the secret. There is no flag for it: other users can see a command's arguments.
const TOKEN_SECRET_VARIABLE: &str = "TENURE_TOKEN_SECRET";

// The server and the credential. No doc comment: clap would show it in place of each command's own.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Server and output")]
pub(super) struct SessionArgs {
    /// The server's address
    #[arg(long, env = "TENURE_URL", global = true, default_value_t = format!("http://{DEFAULT_ADDRESS}"))]
    pub(super) url: String,
    /// The id of your credential: a token's, an access key's, or `operator`; its secret is in `TENURE_TOKEN_SECRET`
    #[arg(long, env = "TENURE_TOKEN_ID", global = true, value_name = "ID")]
    pub(super) token_id: Option<String>,
    /// The workspace, by name or id; not needed if you can see only one
    #[arg(long, short, env = "TENURE_WORKSPACE", global = true, value_name = "WS")]
    pub(super) workspace: Option<String>,
    /// The output format
    #[arg(long, short, env = "TENURE_OUTPUT", global = true, value_enum, default_value_t)]
    pub(super) output: Format,
}

/// The arguments that every change takes.
#[derive(Debug, Clone, Args)]
pub(super) struct ChangeArgs {
    /// The reason of the change, such as a ticket or an approval
    #[arg(long, value_name = "TEXT")]
    pub(super) reason: Option<String>,
}

/// A client, a workspace and an output.
pub(super) struct Session {
    client: Client,
    workspace: Option<String>,
    pub(super) out: Output,
}

impl Session {
    /// Opens the session that the flags and the environment describe.
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

    /// Makes a session.
    pub(super) const fn new(client: Client, workspace: Option<String>, out: Output) -> Self {
        Self { client, workspace, out }
    }

    /// Returns the workspace: the named one, or the only one that the caller can see.
    pub(super) fn workspace(&mut self) -> Result<String, Failure> {
        if let Some(workspace) = &self.workspace {
            return Ok(workspace.clone());
        }
        let query = Query::default().with("limit", Some(NAMED_MAX));
        let page = self.client.send(Method::GET, "/v1/workspaces", &query, None).map_err(|error| match error {
            // An `evaluator` key may request decisions, but not read the name of its own workspace.
            Failure::Refused { status: 403, .. } => Failure::usage("name the workspace with `-w` or TENURE_WORKSPACE"),
            error => error,
        })?;
        let names: Vec<_> = items(&page).iter().map(|workspace| cell_text(workspace, "name")).collect();
        match names.as_slice() {
            [] => Err(Failure::usage("there is no workspace yet: make one with `tenure workspace create`")),
            [only] => Ok(self.workspace.insert(only.clone()).clone()),
            several => {
                let several = several.join(", ");
                Err(Failure::usage(format!("name the workspace with `-w` or TENURE_WORKSPACE: {several}")))
            }
        }
    }

    /// Returns a clone of the client, for another thread.
    pub(super) fn client(&self) -> Client {
        self.client.clone()
    }

    /// Returns a path below the workspace's.
    pub(super) fn path(&mut self, segments: &[&str]) -> Result<String, Failure> {
        let workspace = self.workspace()?;
        let mut path = format!("/v1/workspaces/{}", escaped(&workspace));
        for segment in segments {
            path.push('/');
            path.push_str(&escaped(segment));
        }
        Ok(path)
    }

    /// Sends a GET below the workspace's path.
    pub(super) fn get(&mut self, segments: &[&str], query: &Query) -> Result<Value, Failure> {
        let path = self.path(segments)?;
        self.client.send(Method::GET, &path, query, None)
    }

    /// Sends a POST below the workspace's path.
    pub(super) fn post(&mut self, segments: &[&str], query: &Query, body: &Value) -> Result<Value, Failure> {
        let path = self.path(segments)?;
        self.client.send(Method::POST, &path, query, Some(body))
    }

    /// Sends a request that changes nothing in the log.
    pub(super) fn send(&mut self, method: Method, segments: &[&str], body: Option<&Value>) -> Result<Value, Failure> {
        let path = self.path(segments)?;
        self.client.send(method, &path, &Query::default(), body)
    }

    /// Requests a list of the workspace: the first page, with the rows of all pages.
    pub(super) fn get_all(&mut self, segments: &[&str], query: &Query) -> Result<Value, Failure> {
        let path = self.path(segments)?;
        self.get_pages(&path, query, usize::MAX)
    }

    /// Requests a list in a media type, and copies the response to the output.
    pub(super) fn copy(&mut self, segments: &[&str], query: &Query, accept: &str) -> Result<(), Failure> {
        let mut response = self.open_as(segments, query, accept)?;
        self.out.copy(&mut response.body_mut().as_reader())
    }

    /// Sends a GET below the workspace's path, for a response in a media type.
    pub(super) fn open_as(
        &mut self,
        segments: &[&str],
        query: &Query,
        accept: &str,
    ) -> Result<Response<Body>, Failure> {
        let path = self.path(segments)?;
        self.client.open(&path, query, accept)
    }

    /// Resolves a point in time to an instant. A revision's instant is the time of its event.
    pub(super) fn instant(&mut self, when: PointInTime) -> Result<Instant, Failure> {
        if let Some(instant) = when.instant() {
            return Ok(instant);
        }
        let response = self.open_as(&[], &Query::default().with("at", Some(when)), "application/json")?;
        let at = response.headers().get("tenure-at").and_then(|at| at.to_str().ok());
        at.and_then(|at| at.parse().ok()).ok_or_else(unnamed_instant)
    }

    /// Requests pages of a list until there are `enough` rows.
    pub(super) fn get_pages(&self, path: &str, query: &Query, enough: usize) -> Result<Value, Failure> {
        pages(&self.client, path, query, enough)
    }

    /// Requests all rows of a list of the workspace, and shows them.
    pub(super) fn show_all(
        &mut self,
        segments: &[&str],
        query: &Query,
        columns: &EntityColumns,
        nothing: &str,
    ) -> Result<(), Failure> {
        let list = self.get_all(segments, query)?;
        self.show_list(&list, columns, nothing)
    }

    /// Shows a list.
    pub(super) fn show_list(&mut self, list: &Value, columns: &EntityColumns, nothing: &str) -> Result<(), Failure> {
        let rows = columns.rows(self.out.format, items(list));
        self.out.list(list, &rows, nothing)
    }

    /// Shows one entity.
    pub(super) fn show_one(&mut self, response: &Value, columns: &EntityColumns) -> Result<(), Failure> {
        let rows = columns.rows(self.out.format, std::slice::from_ref(response));
        match self.out.format {
            Format::Table => self.show_fields(&rows),
            _ => self.out.list(response, &rows, ""),
        }
    }

    fn show_fields(&mut self, rows: &OutputRows) -> Result<(), Failure> {
        let row = rows.rows.first().into_iter().flatten();
        let names: Vec<_> = rows.columns.iter().map(|column| column.title.to_lowercase()).collect();
        let fields: Vec<_> = names.iter().map(String::as_str).zip(row.cloned()).collect();
        self.out.fields(&fields)
    }

    /// Requests a change of the workspace, and shows the result.
    pub(super) fn change(
        &mut self,
        method: Method,
        segments: &[&str],
        body: Option<&Value>,
        change: &ChangeArgs,
        columns: &EntityColumns,
    ) -> Result<(), Failure> {
        let path = self.path(segments)?;
        self.change_at(method, &path, body, change, columns)
    }

    /// Requests a change, and shows the result: the entity, its secret if it has one, and the events.
    pub(super) fn change_at(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        change: &ChangeArgs,
        columns: &EntityColumns,
    ) -> Result<(), Failure> {
        self.change_with(method, path, &Query::default(), body, change, columns)
    }

    /// Requests a change, as [`Self::change_at`] does, with more parameters than the reason.
    pub(super) fn change_with(
        &mut self,
        method: Method,
        path: &str,
        query: &Query,
        body: Option<&Value>,
        change: &ChangeArgs,
        columns: &EntityColumns,
    ) -> Result<(), Failure> {
        let query = query.clone().with("reason", change.reason.as_ref());
        let response = self.client.send(method, path, &query, body)?;
        let entity = response.get(columns.name).filter(|entity| entity.is_object());
        let rows = columns.rows(self.out.format, entity.map(std::slice::from_ref).unwrap_or_default());
        let made = made_credential(&response, columns);
        match self.out.format {
            Format::Json | Format::Html => self.out.json(&response),
            Format::Csv => self.out.csv(&with_secret(rows, made)),
            Format::Table => {
                if entity.is_some() {
                    self.show_fields(&rows)?;
                }
                self.show_secret(made)?;
                self.out.line(&outcome(&response))
            }
        }?;
        self.out.flush()
    }

    /// Shows the secret of a new credential.
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

/// Requests a list: the first page, with the rows of all pages.
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

/// Returns the id and the secret of the credential in a response: the entity's own, or that of its first token.
fn made_credential(response: &Value, columns: &EntityColumns) -> Option<(String, String)> {
    let mut made = [columns.name, "token"].into_iter().filter_map(|name| response.get(name));
    let made = made.find(|made| made.get("secret").is_some_and(Value::is_string))?;
    Some((cell_text(made, "id"), cell_text(made, "secret")))
}

/// Adds the secret to the row of a new entity. It is shown in every format, since it is never shown again.
fn with_secret(mut rows: OutputRows, made: Option<(String, String)>) -> OutputRows {
    if let (Some((id, secret)), Some(row)) = (made, rows.rows.first_mut()) {
        rows.columns.extend(columns!["" = "credential", "" = "secret"]);
        row.extend([id, secret]);
    }
    rows
}

/// Returns the rows of a list.
pub(super) fn items(list: &Value) -> &[Value] {
    list.get("items").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Returns whether a list has more rows.
pub(super) fn has_more(list: &Value) -> bool {
    next(list).is_some()
}

fn next(list: &Value) -> Option<String> {
    list.get("next").and_then(Value::as_str).map(str::to_owned)
}

/// Appends the rows of a page to a list.
fn append(list: &mut Value, mut page: Value) {
    if let (Some(Value::Array(rows)), Some(Value::Array(more))) = (list.get_mut("items"), page.get_mut("items")) {
        rows.append(more);
    }
    if let Some(list) = list.as_object_mut() {
        list.insert("next".to_owned(), page.get("next").cloned().unwrap_or(json!(null)));
    }
}

/// Describes the result of a change in one line.
fn outcome(response: &Value) -> String {
    let revision = cell_text(response, "revision");
    let events = response.get("events").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let types: Vec<_> = events.iter().map(|event| event_name(&cell_text(event, "type"))).collect();
    match types.as_slice() {
        [] => format!("nothing had to change: the newest revision is {revision}"),
        types => format!("revision {revision}: {}", types.join(", ")),
    }
}

/// Returns the name of an event type without its version.
pub(super) fn event_name(type_name: &str) -> String {
    let version = |tail: &str| tail.strip_prefix('v').is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
    match type_name.rsplit_once('.') {
        Some((name, tail)) if version(tail) => name.to_owned(),
        _ => type_name.to_owned(),
    }
}
