//! `tenure who --from` and `tenure reach --from`: who had access to what over a span of time, drawn and then told.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::Value;

use super::args::environment_roles;
use super::bars::{Bar, Frame, Glyphs, Run, draw};
use super::causes::cause;
use super::client::Query;
use super::failure::Failure;
use super::kind::named;
use super::layout::Line;
use super::output::{Format, cell_text, remark};
use super::session::{Session, items};
use super::when::When;
use crate::domain::role::EnvironmentRole;
use crate::domain::time::Instant;

/// The most bars that are drawn unless all are asked for.
const BARS_MAX: usize = 200;
pub(super) const TENURES: [&str; 2] = ["audit", "tenures"];

/// Over which time.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct SpanArgs {
    /// Over a span of time instead: from this instant, date or revision on
    #[arg(long, value_name = "WHEN", conflicts_with = "at")]
    from: Option<When>,
    /// Over a span of time instead: until before this instant, date or revision
    #[arg(long, value_name = "WHEN", conflicts_with = "at")]
    until: Option<When>,
    /// Over a span of time: only this role
    #[arg(long, value_parser = environment_roles())]
    role: Option<String>,
    /// Over a span of time: show everyone, however many there are
    #[arg(long)]
    all: bool,
}

impl SpanArgs {
    /// Whether a span is asked about.
    ///
    /// # Errors
    /// Something is said of a span, and no span is given.
    pub(super) fn is_asked(&self) -> Result<bool, Failure> {
        match (self.from.or(self.until), &self.role, self.all) {
            (Some(_), ..) => Ok(true),
            (None, None, false) => Ok(false),
            (None, ..) => Err(Failure::usage("`--role` and `--all` go with `--from` or `--until`")),
        }
    }
}

/// A question with its span.
struct Spanned {
    from: Option<Instant>,
    until: Option<Instant>,
    query: Query,
}

impl SpanArgs {
    fn spanned(&self, session: &mut Session, query: Query) -> Result<Spanned, Failure> {
        let from = self.from.map(|when| session.instant(when)).transpose()?;
        let until = self.until.map(|when| session.instant(when)).transpose()?;
        let query = query.with("from", from).with("until", until).with("role", self.role.as_ref());
        Ok(Spanned { from, until, query })
    }

    /// The query over the span.
    pub(super) fn query(&self, session: &mut Session, query: Query) -> Result<Query, Failure> {
        Ok(self.spanned(session, query)?.query)
    }
}

/// What a bar is called by.
#[derive(Debug, Clone, Copy)]
pub(super) enum Called {
    /// Its principal: the question is about an environment.
    ByPrincipal,
    /// Its environment: the question is about a principal.
    ByEnvironment,
}

/// Asks who had access over a span, and shows it.
pub(super) fn show(session: &mut Session, query: Query, span: &SpanArgs, called: Called) -> Result<Value, Failure> {
    let Spanned { from, until, query } = span.spanned(session, query)?;
    if session.out.format == Format::Csv {
        session.copy(&TENURES, &query, "text/csv")?;
        return Ok(Value::Null);
    }
    let list = session.get_all(&TENURES, &query)?;
    if session.out.format != Format::Table {
        session.out.json(&list)?;
        return Ok(list);
    }
    let held = held(items(&list), called);
    if held.is_empty() {
        session.out.line("there was no access at any time of the span")?;
        return Ok(list);
    }
    let shown = if span.all { held.as_slice() } else { held.get(..BARS_MAX).unwrap_or(&held) };
    let now = instant(&list, "at").unwrap_or(Instant::EARLIEST);
    picture(session, shown, from, until.map_or(now, |until| until.min(now)))?;
    session.out.line("")?;
    session.out.listing(&shown.iter().flat_map(Held::told).collect::<Vec<_>>())?;
    session.out.flush()?;
    if shown.len() < held.len() {
        remark(&format!("the first {} of {} are shown: say `--all` for the others", shown.len(), held.len()));
    }
    Ok(list)
}

/// The tenures of one principal in one environment, in order.
struct Held<'a> {
    label: String,
    tenures: &'a [Value],
}

fn held(rows: &[Value], called: Called) -> Vec<Held<'_>> {
    let pair = |row: &Value| (cell_text(row, "principal"), cell_text(row, "environment"));
    let held: Vec<Held<'_>> = rows
        .chunk_by(|one, other| pair(one) == pair(other))
        .map(|tenures| Held { label: tenures.first().map(|row| label(row, called)).unwrap_or_default(), tenures })
        .collect();
    distinct(held)
}

fn label(row: &Value, called: Called) -> String {
    match called {
        Called::ByPrincipal => named(&cell_text(row, "principal"), &cell_text(row, "principal_name")),
        Called::ByEnvironment => match cell_text(row, "environment_name") {
            name if name.is_empty() => cell_text(row, "environment"),
            name => name,
        },
    }
}

/// Several may have borne a name one after the other: then the ids tell them apart.
fn distinct(mut held: Vec<Held<'_>>) -> Vec<Held<'_>> {
    let mut bearers: BTreeMap<String, usize> = BTreeMap::new();
    for held in &held {
        *bearers.entry(held.label.clone()).or_default() += 1;
    }
    for held in held.iter_mut().filter(|held| bearers.get(&held.label).is_some_and(|bearers| *bearers > 1)) {
        let id = |field| held.tenures.first().map(|row| cell_text(row, field)).unwrap_or_default();
        held.label = format!("{} {}", id("principal"), id("environment"));
    }
    held
}

fn instant(row: &Value, field: &str) -> Option<Instant> {
    cell_text(row, field).parse().ok()
}

impl Held<'_> {
    fn bar(&self) -> Bar {
        let run = |row: &Value| {
            let role = cell_text(row, "role");
            let role = EnvironmentRole::ALL.iter().find(|known| known.as_str() == role)?;
            Some(Run { role: *role, from: instant(row, "from")?, until: instant(row, "until") })
        };
        Bar { label: self.label.clone(), runs: self.tenures.iter().filter_map(run).collect() }
    }

    /// What happened, a line for each time at which something was another way than before.
    fn told(&self) -> Vec<Line> {
        let mut lines = vec![Line::Heading(self.label.clone())];
        let nexts = self.tenures.iter().skip(1).map(Some).chain([None]);
        for (row, next) in self.tenures.iter().zip(nexts) {
            let field = |name| cell_text(row, name);
            let opened = row.get("opened_by").map(cause).unwrap_or_default();
            lines.push(Line::entry([field("from"), field("role"), field("rule"), opened]));
            let until = field("until");
            if until.is_empty() && !field("expires_at").is_empty() {
                let end = "the grant ends, unless something happens before".to_owned();
                lines.push(Line::entry([field("expires_at"), "will end".to_owned(), String::new(), end]));
            } else if !until.is_empty() && next.is_none_or(|next| cell_text(next, "from") != until) {
                let closed = row.get("closed_by").map(cause).unwrap_or_default();
                lines.push(Line::entry([until, "ended".to_owned(), String::new(), closed]));
            }
        }
        lines
    }
}

fn picture(session: &mut Session, held: &[Held<'_>], from: Option<Instant>, until: Instant) -> Result<(), Failure> {
    let bars: Vec<Bar> = held.iter().map(Held::bar).collect();
    let first = bars.iter().flat_map(|bar| &bar.runs).map(|run| run.from).min();
    let frame = Frame {
        from: from.or(first).unwrap_or(until),
        until,
        width: session.out.drawing_width(),
        glyphs: glyphs_of_locale(),
    };
    for line in draw(&bars, frame) {
        session.out.line(&line)?;
    }
    session.out.line(&frame.glyphs.legend())
}

/// Blocks where the locale says that the terminal has them (POSIX: the first of these variables that is set counts).
fn glyphs_of_locale() -> Glyphs {
    let set = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(|name| std::env::var(name).ok());
    let locale = set.map(|value| value.to_ascii_lowercase()).find(|value| !value.is_empty()).unwrap_or_default();
    if locale.contains("utf-8") || locale.contains("utf8") { Glyphs::Unicode } else { Glyphs::Ascii }
}
