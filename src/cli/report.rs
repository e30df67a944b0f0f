//! `tenure report`: the server's reports, as a table or in a file format for auditors.
//!
//! This module knows no particular report: the columns follow from the rows.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;

use super::causes::cause;
use super::client::Query;
use super::entity_columns::{EntityColumns, named};
use super::failure::Failure;
use super::output::{Format, cell_text, columns};
use super::session::{Session, items};
use super::time_args::PointInTime;

/// The columns of the list of reports.
const REPORT: EntityColumns = EntityColumns {
    name: "report",
    table: &columns!["NAME" = "name", "TITLE" = "title", "PURPOSE" = "purpose"],
    csv: &columns!["" = "name", "" = "title", "" = "purpose"],
};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tenure report                                          which reports there are
  tenure report privileged --at 2026-03-31
  tenure report changes --from 2026-01-01 --until 2026-04-01 --out changes.html")]
pub(super) struct ReportArgs {
    /// The report; if left out, the available reports are listed
    name: Option<String>,
    /// List the available reports
    #[arg(long, conflicts_with = "name")]
    list: bool,
    /// An instant, a date (its midnight in UTC) or a revision to look back to; now if left out
    #[arg(long, value_name = "WHEN", conflicts_with_all = ["from", "until"])]
    at: Option<PointInTime>,
    /// For a report over a span: its beginning, an instant, a date or a revision
    #[arg(long, value_name = "WHEN")]
    from: Option<PointInTime>,
    /// For a report over a span: its end (exclusive), an instant, a date or a revision
    #[arg(long, value_name = "WHEN")]
    until: Option<PointInTime>,
    /// The number of days, for reports that take one
    #[arg(long, value_name = "N")]
    days: Option<u32>,
    /// Only this environment, by name or id
    #[arg(long, value_name = "ENV")]
    environment: Option<String>,
    /// Only this principal: `user:ID` or `service_user:NAME`
    #[arg(long)]
    principal: Option<String>,
    /// Write the report to a new file; the extension `.html`, `.csv` or `.json` selects the format
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl ReportArgs {
    /// Returns the format: the one given by a flag, or by the file's extension.
    fn form(&self, given: Format) -> Format {
        let extension = self.out.as_deref().and_then(Path::extension).and_then(|extension| extension.to_str());
        match (given, extension) {
            (Format::Table, Some("html" | "htm")) => Format::Html,
            (Format::Table, Some("csv")) => Format::Csv,
            (Format::Table, Some("json")) => Format::Json,
            (given, _) => given,
        }
    }

    fn query(&self, session: &mut Session) -> Result<Query, Failure> {
        let from = self.from.map(|when| session.instant(when)).transpose()?;
        let until = self.until.map(|when| session.instant(when)).transpose()?;
        Ok(Query::default()
            .with("at", self.at)
            .with("from", from)
            .with("until", until)
            .with("days", self.days)
            .with("environment", self.environment.as_ref())
            .with("principal", self.principal.as_ref()))
    }
}

pub(super) fn report(session: &mut Session, args: &ReportArgs) -> Result<(), Failure> {
    let Some(name) = args.name.as_deref() else { return list(session) };
    let (form, query) = (args.form(session.out.format), args.query(session)?);
    let accept = match form {
        Format::Table => {
            if args.out.is_some() {
                return Err(Failure::usage(
                    "a table is for people: name the file `.html`, `.csv` or `.json`, or use `-o`",
                ));
            }
            let found = session.get(&["reports", name], &query)?;
            return show(session, &found);
        }
        Format::Json => "application/json",
        Format::Csv => "text/csv",
        Format::Html if args.out.is_none() && session.out.is_terminal() => {
            return Err(Failure::usage("a page is not for the terminal: use `--out FILE`, or redirect the output"));
        }
        Format::Html => "text/html",
    };
    match (&args.out, form) {
        (Some(out), _) => write(session, name, &query, accept, out),
        (None, Format::Json) => {
            let found = session.get(&["reports", name], &query)?;
            session.out.json(&found)
        }
        (None, _) => session.copy(&["reports", name], &query, accept),
    }
}

fn list(session: &mut Session) -> Result<(), Failure> {
    let list = session.get(&["reports"], &Query::default())?;
    session.show_list(&list, &REPORT, "there is no report")
}

/// Writes a report to a new file, and removes the file if it cannot be completed.
fn write(session: &mut Session, name: &str, query: &Query, accept: &str, out: &Path) -> Result<(), Failure> {
    let mut response = session.open_as(&["reports", name], query, accept)?;
    let failed = |error| Failure::file("write", out, error);
    let mut file = OpenOptions::new().write(true).create_new(true).open(out).map_err(failed)?;
    if let Err(error) = copy(&mut response.body_mut().as_reader(), &mut file) {
        // The error is returned below; failing to remove the partial file does not matter.
        let _ = std::fs::remove_file(out);
        return Err(failed(error));
    }
    session.out.line(&format!("wrote `{}`", out.display()))
}

fn copy(from: &mut dyn Read, to: &mut File) -> std::io::Result<()> {
    std::io::copy(from, to)?;
    to.sync_all()
}

/// Shows a report as a table.
fn show(session: &mut Session, report: &Value) -> Result<(), Failure> {
    let rows = items(report);
    let (titles, cells) = table(rows);
    let out = &mut session.out;
    out.heading(&heading(report))?;
    if rows.is_empty() {
        out.line("nothing to report")?;
    } else {
        out.line("")?;
        out.grid(titles, &cells)?;
        out.line("")?;
    }
    let controls = cell_text(report, "controls");
    if !controls.is_empty() {
        out.words(&format!("controls: {controls}"))?;
    }
    out.words(&about(report))
}

/// Returns the heading, such as `Privileged access: acme`.
fn heading(report: &Value) -> String {
    let title = match cell_text(report, "title") {
        title if title.is_empty() => cell_text(report, "report"),
        title => title,
    };
    match cell_text(report, "workspace_name") {
        name if name.is_empty() => title,
        name => format!("{title}: {name}"),
    }
}

/// Returns the number of rows, the time span and the revision, so that the report can be repeated.
fn about(report: &Value) -> String {
    let field = |name| cell_text(report, name);
    let span = match (field("from"), field("until"), field("at")) {
        (from, until, at) if from.is_empty() && until.is_empty() => format!("as of {at}"),
        (from, until, _) if from.is_empty() => format!("until {until}"),
        (from, until, at) => format!("from {from} until {}", if until.is_empty() { at } else { until }),
    };
    let count = match items(report).len() {
        1 => "1 row".to_owned(),
        count => format!("{count} rows"),
    };
    format!("{count}, {span}, revision {}", field("revision"))
}

/// Returns titles and rows: one column for each field. A name replaces the id beside it.
fn table(rows: &[Value]) -> (Vec<String>, Vec<Vec<String>>) {
    let mut fields: Vec<&str> = Vec::new();
    for field in rows.iter().filter_map(Value::as_object).flat_map(|row| row.keys()) {
        if !fields.contains(&field.as_str()) {
            fields.push(field);
        }
    }
    let is_named = |field: &&str| fields.contains(&format!("{field}_name").as_str());
    let is_name = |field: &&str| field.strip_suffix("_name").is_some_and(|id| fields.contains(&id));
    let shown: Vec<&str> = fields.iter().copied().filter(|field| !is_name(field)).collect();
    let cell = |row: &Value, field: &&str| {
        let text = row.get(*field).map(text).unwrap_or_default();
        match cell_text(row, &format!("{field}_name")) {
            name if !is_named(field) || name.is_empty() => text,
            name if text.contains(':') => named(&text, &name),
            name => name,
        }
    };
    let titles = shown.iter().map(|field| field.replace('_', " ").to_uppercase()).collect();
    (titles, rows.iter().map(|row| shown.iter().map(|field| cell(row, field)).collect()).collect())
}

/// Formats a value in one line: an event as its cause; the items of a list joined by `; `.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().map(text).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; "),
        Value::Object(fields) if fields.contains_key("type") || fields.contains_key("set_by") => cause(value),
        Value::Object(fields) => {
            let parts = fields.iter().map(|(name, part)| (name, text(part))).filter(|(_, part)| !part.is_empty());
            parts.map(|(name, part)| format!("{name}={part}")).collect::<Vec<_>>().join(" ")
        }
        Value::Bool(yes) => if *yes { "yes" } else { "no" }.to_owned(),
        Value::Number(number) => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: ReportArgs,
    }

    fn args(words: &str) -> Option<ReportArgs> {
        Line::try_parse_from(["report"].into_iter().chain(words.split_whitespace())).ok().map(|line| line.args)
    }

    #[test]
    fn the_extension_selects_the_format_unless_a_flag_does() {
        let form = |words: &str, given| args(words).map(|args| args.form(given));
        assert_eq!(form("leavers --out a.html", Format::Table), Some(Format::Html));
        assert_eq!(form("leavers --out a.csv", Format::Table), Some(Format::Csv));
        assert_eq!(form("leavers --out a.html", Format::Json), Some(Format::Json));
        assert_eq!(form("leavers --out report", Format::Table), Some(Format::Table));
    }

    #[test]
    fn a_report_takes_an_instant_or_a_span() {
        assert!(
            args("leavers --from 2026-01-01 --until 9 --days 90 --environment prod --principal user:bob").is_some()
        );
        assert!(args("leavers --at 2026-01-01").is_some() && args("--list").is_some() && args("").is_some());
        for wrong in ["leavers --at 9 --from 8", "leavers --days many", "leavers --list", "leavers --at soon"] {
            assert!(args(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn rows_have_a_column_for_each_field() {
        let event = json!({ "event": "evt_1", "type": "grant.added.v1", "actor": "user:alice", "reason": "OPS-1" });
        let rows = [
            json!({ "principal": "service_user:svc_1", "principal_name": "ci", "environment": "env_1",
                "environment_name": "prod", "days_held": 9, "evidence": [event] }),
            json!({ "principal": "user:bob", "principal_name": "bob", "environment": "env_2", "environment_name": null,
                "privileged": true }),
        ];
        let (titles, cells) = table(&rows);
        assert_eq!(titles, ["PRINCIPAL", "ENVIRONMENT", "DAYS HELD", "EVIDENCE", "PRIVILEGED"]);
        let expected = [
            ["service_user:ci", "prod", "9", "grant.added by user:alice: OPS-1", ""],
            ["user:bob", "env_2", "", "", "yes"],
        ];
        assert_eq!(cells, expected);
    }

    #[test]
    fn a_report_shows_its_time_and_revision() {
        let report = json!({ "report": "leavers", "title": "Leavers", "workspace_name": "acme", "revision": 7,
            "from": "then", "until": null, "at": "now", "items": [{}] });
        assert_eq!(heading(&report), "Leavers: acme");
        assert_eq!(about(&report), "1 row, from then until now, revision 7");
        assert_eq!(about(&json!({ "at": "now", "revision": 7 })), "0 rows, as of now, revision 7");
    }
}
