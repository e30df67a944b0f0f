//! `tenure who --from` and `tenure reach --from`: access over a span of time, as a chart and a list.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::Value;

use super::args::environment_roles;
use super::causes::cause;
use super::client::Query;
use super::entity_columns::named;
use super::failure::Failure;
use super::gantt::{GanttFrame, GanttRow, GanttSegment, Glyphs, draw};
use super::layout::ListingLine;
use super::output::{Format, cell_text, remark};
use super::session::{Session, items};
use super::time_args::PointInTime;
use crate::domain::model::role::EnvironmentRole;
use crate::domain::model::time::Instant;

/// The maximum number of rows drawn without `--all`.
const GANTT_ROWS_MAX: usize = 200;
pub(super) const TENURES: [&str; 2] = ["audit", "tenures"];

/// The time span of a question.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct SpanArgs {
    /// For a span of time: its beginning, an instant, a date or a revision
    #[arg(long, value_name = "WHEN", conflicts_with = "at")]
    from: Option<PointInTime>,
    /// For a span of time: its end (exclusive), an instant, a date or a revision
    #[arg(long, value_name = "WHEN", conflicts_with = "at")]
    until: Option<PointInTime>,
    /// For a span of time: only this role
    #[arg(long, value_parser = environment_roles())]
    role: Option<String>,
    /// For a span of time: show all rows, however many there are
    #[arg(long)]
    all: bool,
}

impl SpanArgs {
    /// Returns whether a span is given.
    ///
    /// # Errors
    /// A flag for spans is given without a span.
    pub(super) fn is_given(&self) -> Result<bool, Failure> {
        match (self.from.or(self.until), &self.role, self.all) {
            (Some(_), ..) => Ok(true),
            (None, None, false) => Ok(false),
            (None, ..) => Err(Failure::usage("`--role` and `--all` go with `--from` or `--until`")),
        }
    }
}

/// A query with its span.
struct SpanQuery {
    from: Option<Instant>,
    until: Option<Instant>,
    query: Query,
}

impl SpanArgs {
    fn span_query(&self, session: &mut Session, query: Query) -> Result<SpanQuery, Failure> {
        let from = self.from.map(|when| session.instant(when)).transpose()?;
        let until = self.until.map(|when| session.instant(when)).transpose()?;
        let query = query.with("from", from).with("until", until).with("role", self.role.as_ref());
        Ok(SpanQuery { from, until, query })
    }

    /// Returns the query with the span.
    pub(super) fn query(&self, session: &mut Session, query: Query) -> Result<Query, Failure> {
        Ok(self.span_query(session, query)?.query)
    }
}

/// The label of a row.
#[derive(Debug, Clone, Copy)]
pub(super) enum RowLabel {
    /// The principal, if the question is about an environment.
    ByPrincipal,
    /// The environment, if the question is about a principal.
    ByEnvironment,
}

/// Requests the access over a span, and shows it.
pub(super) fn show(
    session: &mut Session,
    query: Query,
    span: &SpanArgs,
    row_label: RowLabel,
) -> Result<Value, Failure> {
    let SpanQuery { from, until, query } = span.span_query(session, query)?;
    if session.out.format == Format::Csv {
        session.copy(&TENURES, &query, "text/csv")?;
        return Ok(Value::Null);
    }
    let list = session.get_all(&TENURES, &query)?;
    if session.out.format != Format::Table {
        session.out.json(&list)?;
        return Ok(list);
    }
    let groups = group_tenures(items(&list), row_label);
    if groups.is_empty() {
        session.out.line("there was no access at any time of the span")?;
        return Ok(list);
    }
    let shown = if span.all { groups.as_slice() } else { groups.get(..GANTT_ROWS_MAX).unwrap_or(&groups) };
    let now = instant(&list, "at").unwrap_or(Instant::EARLIEST);
    draw_chart(session, shown, from, until.map_or(now, |until| until.min(now)))?;
    session.out.line("")?;
    session.out.listing(&shown.iter().flat_map(TenureGroup::lines).collect::<Vec<_>>())?;
    session.out.flush()?;
    if shown.len() < groups.len() {
        remark(&format!("the first {} of {} are shown: use `--all` for the others", shown.len(), groups.len()));
    }
    Ok(list)
}

/// The tenures of one principal in one environment, in order.
struct TenureGroup<'a> {
    label: String,
    tenures: &'a [Value],
}

fn group_tenures(rows: &[Value], row_label: RowLabel) -> Vec<TenureGroup<'_>> {
    let pair = |row: &Value| (cell_text(row, "principal"), cell_text(row, "environment"));
    let groups: Vec<TenureGroup<'_>> = rows
        .chunk_by(|one, other| pair(one) == pair(other))
        .map(|tenures| TenureGroup {
            label: tenures.first().map(|row| label(row, row_label)).unwrap_or_default(),
            tenures,
        })
        .collect();
    disambiguate(groups)
}

fn label(row: &Value, row_label: RowLabel) -> String {
    match row_label {
        RowLabel::ByPrincipal => named(&cell_text(row, "principal"), &cell_text(row, "principal_name")),
        RowLabel::ByEnvironment => match cell_text(row, "environment_name") {
            name if name.is_empty() => cell_text(row, "environment"),
            name => name,
        },
    }
}

/// Replaces equal labels by ids: several entities may have had a name one after the other.
fn disambiguate(mut groups: Vec<TenureGroup<'_>>) -> Vec<TenureGroup<'_>> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for group in &groups {
        *counts.entry(group.label.clone()).or_default() += 1;
    }
    for group in groups.iter_mut().filter(|group| counts.get(&group.label).is_some_and(|count| *count > 1)) {
        let id = |field| group.tenures.first().map(|row| cell_text(row, field)).unwrap_or_default();
        group.label = format!("{} {}", id("principal"), id("environment"));
    }
    groups
}

fn instant(row: &Value, field: &str) -> Option<Instant> {
    cell_text(row, field).parse().ok()
}

impl TenureGroup<'_> {
    fn row(&self) -> GanttRow {
        let segment = |row: &Value| {
            let role = cell_text(row, "role");
            let role = EnvironmentRole::ALL.iter().find(|known| known.as_str() == role)?;
            Some(GanttSegment { role: *role, from: instant(row, "from")?, until: instant(row, "until") })
        };
        GanttRow { label: self.label.clone(), segments: self.tenures.iter().filter_map(segment).collect() }
    }

    /// Returns one line for each change of the access.
    fn lines(&self) -> Vec<ListingLine> {
        let mut lines = vec![ListingLine::Heading(self.label.clone())];
        let nexts = self.tenures.iter().skip(1).map(Some).chain([None]);
        for (row, next) in self.tenures.iter().zip(nexts) {
            let field = |name| cell_text(row, name);
            let opened = row.get("opened_by").map(cause).unwrap_or_default();
            lines.push(ListingLine::entry([field("from"), field("role"), field("rule"), opened]));
            let until = field("until");
            if until.is_empty() && !field("expires_at").is_empty() {
                let end = "the grant ends, unless something happens before".to_owned();
                lines.push(ListingLine::entry([field("expires_at"), "will end".to_owned(), String::new(), end]));
            } else if !until.is_empty() && next.is_none_or(|next| cell_text(next, "from") != until) {
                let closed = row.get("closed_by").map(cause).unwrap_or_default();
                lines.push(ListingLine::entry([until, "ended".to_owned(), String::new(), closed]));
            }
        }
        lines
    }
}

fn draw_chart(
    session: &mut Session,
    groups: &[TenureGroup<'_>],
    from: Option<Instant>,
    until: Instant,
) -> Result<(), Failure> {
    let rows: Vec<GanttRow> = groups.iter().map(TenureGroup::row).collect();
    let first = rows.iter().flat_map(|row| &row.segments).map(|segment| segment.from).min();
    let frame = GanttFrame {
        from: from.or(first).unwrap_or(until),
        until,
        width: session.out.drawing_width(),
        glyphs: glyphs_of_locale(),
    };
    for line in draw(&rows, frame) {
        session.out.line(&line)?;
    }
    session.out.line(&frame.glyphs.legend())
}

/// Selects block characters if the locale has UTF-8. The first of these variables that is set counts (POSIX).
fn glyphs_of_locale() -> Glyphs {
    let set = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(|name| std::env::var(name).ok());
    let locale = set.map(|value| value.to_ascii_lowercase()).find(|value| !value.is_empty()).unwrap_or_default();
    if locale.contains("utf-8") || locale.contains("utf8") { Glyphs::Unicode } else { Glyphs::Ascii }
}
