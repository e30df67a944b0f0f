//! A report as an HTML page to read and print. It loads nothing and runs nothing.
//!
//! Names and reasons from the log are untrusted, so they are escaped by [`Text`].

use std::fmt::{self, Display, Write};

use serde_json::Value;

use super::Report;
use super::body::ReportHeading;
use super::catalogue::ReportTime;
use super::svg;
use super::table::{Presentation, ReportColumn};
use crate::query::csv;

/// The content security policy of the page, which also holds for a saved file: it may only show itself.
pub const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

const STYLE: &str = include_str!("page.css");

/// A text, escaped for HTML in an element or in an attribute.
pub struct Text<'a>(pub &'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            c => f.write_char(c),
        })
    }
}

/// The longest word that is never broken, in characters; an id is shorter.
const WORD_CHARS_MAX: usize = 30;

/// Checks whether a line may be broken after a character of a word.
const fn is_break(c: char) -> bool {
    matches!(c, ' ' | '.' | '@')
}

/// A text whose long words may be broken after their parts.
struct Breaking<'a>(&'a str);

impl Display for Breaking<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.split_inclusive(is_break).enumerate().try_for_each(|(index, part)| {
            let may_break = if index > 0 { "<wbr>" } else { "" };
            write!(f, "{may_break}{}", Text(part))
        })
    }
}

impl Report {
    /// Returns the report as a page.
    pub fn html(&self, heading: &ReportHeading) -> String {
        let mut out = String::new();
        // Writing to memory cannot fail.
        let _ = self.write(heading, &mut out);
        out
    }

    fn write(&self, heading: &ReportHeading, out: &mut String) -> fmt::Result {
        write_head(heading, out)?;
        self.write_heading(heading, out)?;
        svg::draw(&self.chart, out)?;
        if self.rows.is_empty() {
            out.push_str("<p class=\"empty\">There are no rows: nothing in this view answers the question.</p>\n");
        } else {
            self.write_table(out)?;
        }
        out.push_str("</body>\n</html>\n");
        Ok(())
    }

    fn write_heading(&self, heading: &ReportHeading, out: &mut String) -> fmt::Result {
        let metadata = self.name.metadata();
        let purpose = Text(metadata.purpose);
        writeln!(out, "<h1>{}</h1>\n<p class=\"purpose\">{purpose}</p>\n<dl>", Text(metadata.title))?;
        let name = heading.workspace_label();
        writeln!(out, "<dt>Workspace</dt><dd>{} <code>{}</code></dd>", Text(&name), heading.workspace)?;
        if let Some(period) = heading.period {
            let from = period.from.map_or_else(|| "from the beginning".to_owned(), |from| format!("from {from}"));
            let until =
                period.until.map_or_else(|| "as far as is known".to_owned(), |until| format!("until before {until}"));
            writeln!(out, "<dt>Period</dt><dd>{from}, {until}</dd>")?;
        }
        let as_of = if metadata.when == ReportTime::Period { "Known as of" } else { "As of" };
        writeln!(out, "<dt>{as_of}</dt><dd>{}, revision {}</dd>", heading.at, heading.revision)?;
        let given: Vec<_> = heading.parameters().iter().map(|(name, value)| format!("{name}={value}")).collect();
        let query = if given.is_empty() { "everything".to_owned() } else { given.join(", ") };
        writeln!(out, "<dt>Query</dt><dd>{}</dd>", Text(&query))?;
        writeln!(out, "<dt>Rows</dt><dd>{}</dd>", self.rows.len())?;
        writeln!(out, "<dt>Serves</dt><dd>{}</dd>", Text(&heading.controls.join(", ")))?;
        writeln!(out, "<dt>Ask again</dt><dd>{}</dd>\n</dl>", ask_again(metadata.when, heading))
    }

    fn write_table(&self, out: &mut String) -> fmt::Result {
        let shown = cells(self.columns);
        out.push_str("<table>\n<thead><tr>");
        for (column, _) in &shown {
            write!(out, "<th{}>{}</th>", class(column), column.title)?;
        }
        out.push_str("</tr></thead>\n");
        for row in &self.rows {
            let row = row.value();
            out.push_str("<tbody><tr>");
            shown.iter().try_for_each(|(column, beneath)| write_cell(&row, column, beneath, out))?;
            out.push_str("</tr>");
            write_below(&row, self.columns, shown.len(), out)?;
            out.push_str("</tbody>\n");
        }
        out.push_str("</table>\n");
        Ok(())
    }
}

fn write_head(heading: &ReportHeading, out: &mut String) -> fmt::Result {
    let (report, revision, workspace) = (heading.report, heading.revision, heading.workspace);
    out.push_str("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    writeln!(out, "<meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">")?;
    out.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    let name = heading.workspace_label();
    writeln!(out, "<title>{}: {}, revision {revision}</title>", Text(&name), heading.title)?;
    write!(
        out,
        "<style>\n{STYLE}@page {{ @bottom-left {{ font-size: 8pt; content: \"{workspace} {report} r{revision}\" }} "
    )?;
    out.push_str("@bottom-right { font-size: 8pt; content: counter(page) \" / \" counter(pages) } }\n");
    out.push_str("</style>\n</head>\n<body>\n");
    Ok(())
}

/// Returns the request for the same report. It gives the same bytes at any time, unless the report is about now only.
fn ask_again(when: ReportTime, heading: &ReportHeading) -> String {
    let mut given = form_urlencoded::Serializer::new(String::new());
    if when != ReportTime::Now {
        given.append_pair("at", &heading.at.to_string()).append_pair("revision", &heading.revision.to_string());
    }
    given.extend_pairs(heading.parameters());
    let path = format!("/v1/workspaces/{}/reports/{}?{}", heading.workspace, heading.report, given.finish());
    let note = if when == ReportTime::Now { ": of another instant, since uses are known for now only" } else { "" };
    format!("<code>GET {}</code>{note}", Text(&path))
}

/// Returns the columns that are shown side by side, each with those below it.
fn cells(columns: &'static [ReportColumn]) -> Vec<(ReportColumn, Vec<ReportColumn>)> {
    let mut cells: Vec<(ReportColumn, Vec<ReportColumn>)> = Vec::new();
    for column in columns {
        match column.shown {
            Presentation::Across | Presentation::Evidence | Presentation::No => {}
            Presentation::Beneath => cells.last_mut().into_iter().for_each(|(_, beneath)| beneath.push(*column)),
            Presentation::Text | Presentation::Instant | Presentation::Number | Presentation::Roles => {
                cells.push((*column, Vec::new()));
            }
        }
    }
    cells
}

fn class(column: &ReportColumn) -> &'static str {
    if column.shown == Presentation::Number { " class=\"number\"" } else { "" }
}

fn write_cell(row: &Value, column: &ReportColumn, beneath: &[ReportColumn], out: &mut String) -> fmt::Result {
    let value = row.get(column.name).unwrap_or(&Value::Null);
    let text = csv::text(value);
    let long =
        if text.split(is_break).any(|word| word.chars().count() > WORD_CHARS_MAX) { " class=\"long\"" } else { "" };
    write!(out, "<td{long}{}>", class(column))?;
    match (column.shown, value) {
        _ if text.is_empty() => out.push_str("<span class=\"none\">–</span>"),
        (_, Value::Bool(yes)) => out.push_str(if *yes { "yes" } else { "no" }),
        (Presentation::Instant, _) => write_instant(&text, out)?,
        (Presentation::Roles, Value::Array(held)) => held.iter().try_for_each(|held| write_held(held, out))?,
        _ => write!(out, "{}", Breaking(&text))?,
    }
    for column in beneath {
        let text = row.get(column.name).map(csv::text).filter(|text| !text.is_empty());
        text.map_or(Ok(()), |text| write!(out, "<span class=\"beneath\">{}</span>", Text(&text)))?;
    }
    out.push_str("</td>");
    Ok(())
}

/// Writes an instant to the second, with its full precision in an attribute.
fn write_instant(text: &str, out: &mut String) -> fmt::Result {
    let (date, time) = text.split_at_checked(10).unwrap_or((text, ""));
    let time = time.get(1..9).unwrap_or(time);
    write!(out, "<time datetime=\"{}\">{} {}Z</time>", Text(text), Text(date), Text(time))
}

fn write_held(held: &Value, out: &mut String) -> fmt::Result {
    let part = |name: &str| held.get(name).map(csv::text).unwrap_or_default();
    let (name, role, rule) = (part("environment_name"), part("role"), part("rule"));
    write!(out, "<div>{}: {} ({})</div>", Text(&name), Text(&role), Text(&rule))
}

/// Writes the columns that run across the row, below its cells.
fn write_below(row: &Value, columns: &[ReportColumn], width: usize, out: &mut String) -> fmt::Result {
    write!(out, "<tr class=\"evidence\"><td colspan=\"{width}\">")?;
    let across = columns.iter().filter(|column| column.shown == Presentation::Across);
    let given = across.map(|column| (column.title, row.get(column.name).map(csv::text).unwrap_or_default()));
    for (title, text) in given.filter(|(_, text)| !text.is_empty()) {
        write!(out, "<span class=\"across\">{title} <code>{}</code></span> ", Text(&text))?;
    }
    let evidence = columns.iter().filter(|column| column.shown == Presentation::Evidence);
    for events in evidence.filter_map(|column| row.get(column.name)?.as_array()) {
        out.push_str("<ul>");
        events.iter().try_for_each(|event| write_event(event, out))?;
        out.push_str("</ul>");
    }
    out.push_str("</td></tr>");
    Ok(())
}

fn write_event(event: &Value, out: &mut String) -> fmt::Result {
    let part = |name: &str| event.get(name).map(csv::text).unwrap_or_default();
    let (revision, name, actor) = (part("revision"), part("type"), part("actor"));
    write!(out, "<li>r{revision} <b>{}</b> at ", Text(&name))?;
    write_instant(&part("time"), out)?;
    write!(out, " by {}", Text(&actor))?;
    let reason = part("reason");
    if reason.is_empty() {
        out.push_str(", <span class=\"none\">no reason given</span>");
    } else {
        write!(out, ": “{}”", Text(&reason))?;
    }
    write!(out, " <code>{}</code></li>", Text(&part("event")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_stays_a_text() {
        let text = Text("<script>alert('\"&\"')</script>").to_string();
        assert_eq!(text, "&lt;script&gt;alert(&#39;&quot;&amp;&quot;&#39;)&lt;/script&gt;");
    }
}
