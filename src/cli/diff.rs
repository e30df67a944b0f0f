//! `tenure diff`: the access gained and lost between two instants, with the events that caused it.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::Value;

use super::causes::{cause, time};
use super::client::Query;
use super::failure::Failure;
use super::layout::ListingLine;
use super::output::{Format, cell_text};
use super::session::{Session, items};
use super::time_args::PointInTime;
use super::what_if::change_words;

/// The maximum number of events shown for a change; the newest ones.
const EVENTS_MAX: usize = 3;
const DIFF: [&str; 2] = ["audit", "diff"];

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tenure diff --from 2026-01-01 --until 2026-04-01 --environment prod")]
pub(super) struct DiffArgs {
    /// The earlier of the two: an instant, a date (its midnight in UTC), or a revision
    #[arg(long, value_name = "WHEN")]
    from: PointInTime,
    /// The later of the two; now if left out
    #[arg(long, value_name = "WHEN")]
    until: Option<PointInTime>,
    /// Only this environment, by name or id
    #[arg(long, value_name = "ENV")]
    environment: Option<String>,
    /// Only this principal: `user:ID` or `service_user:NAME`
    #[arg(long)]
    principal: Option<String>,
}

impl DiffArgs {
    /// Returns the path of the list and the query.
    pub(super) fn question(&self, session: &mut Session) -> Result<([&'static str; 2], Query), Failure> {
        let from = session.instant(self.from)?;
        let until = self.until.map(|when| session.instant(when)).transpose()?;
        let query = Query::default()
            .with("from", Some(from))
            .with("until", until)
            .with("environment", self.environment.as_ref())
            .with("principal", self.principal.as_ref());
        Ok((DIFF, query))
    }
}

pub(super) fn diff(session: &mut Session, args: &DiffArgs) -> Result<(), Failure> {
    let (_, query) = args.question(session)?;
    if session.out.format == Format::Csv {
        return session.copy(&DIFF, &query, "text/csv");
    }
    let list = session.get_all(&DIFF, &query)?;
    if session.out.format != Format::Table {
        return session.out.json(&list);
    }
    let changes = items(&list);
    if changes.is_empty() {
        session.out.line("nobody's access is another one")?;
    }
    session.out.listing(&changes.iter().flat_map(listing_lines).collect::<Vec<_>>())?;
    for line in tallies(changes) {
        session.out.line(&line)?;
    }
    let (from, until) = (cell_text(&list, "from"), cell_text(&list, "until"));
    session.out.words(&format!("from {from} until {until}"))
}

/// Describes a change and the events behind it.
fn listing_lines(change: &Value) -> Vec<ListingLine> {
    let [(_, principal), (_, before), (_, after)] = change_words(change);
    let place = place(change);
    let heading = match (before.as_str(), after.as_str()) {
        ("no access", after) => format!("{principal} gained {after} in {place}"),
        (before, "no access") => format!("{principal} lost {before} in {place}"),
        (before, after) => format!("{principal} went from {before} to {after} in {place}"),
    };
    let events = change.get("events").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let total = change.get("events_total").and_then(Value::as_u64).and_then(|total| usize::try_from(total).ok());
    let shown = events.get(events.len().saturating_sub(EVENTS_MAX)..).unwrap_or(events);
    let hidden = total.unwrap_or(events.len()).saturating_sub(shown.len());
    let earlier = (hidden > 0).then(|| ListingLine::entry(["…".to_owned(), format!("{hidden} before that")]));
    let shown = shown.iter().map(|event| ListingLine::entry([time(event), cause(event)]));
    std::iter::once(ListingLine::Heading(heading)).chain(earlier).chain(shown).collect()
}

fn place(change: &Value) -> String {
    match cell_text(change, "environment_name") {
        name if name.is_empty() => cell_text(change, "environment"),
        name => name,
    }
}

/// Counts who gained and lost access in each environment.
fn tallies(changes: &[Value]) -> Vec<String> {
    let mut tallies: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for change in changes {
        let rank = |field| match cell_text(change, field).as_str() {
            "contributor" => 2,
            "viewer" => 1,
            _ => 0,
        };
        let (gained, lost) = tallies.entry(place(change)).or_default();
        if rank("after") > rank("before") { *gained += 1 } else { *lost += 1 }
    }
    tallies.iter().map(|(place, (gained, lost))| format!("{place}: {gained} gained, {lost} lost")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_change_shows_access_gained_or_lost_with_its_events() {
        let event = json!({ "type": "grant.added.v1", "actor": "user:alice", "time": "then" });
        let change = json!({ "principal": "user:bob", "principal_name": "bob", "environment": "env_1",
            "environment_name": "prod", "before": null, "after": "viewer", "events": [event], "events_total": 7 });
        let entry = |cells: [&str; 2]| ListingLine::entry(cells.map(str::to_owned));
        let expected = vec![
            ListingLine::Heading("user:bob gained viewer in prod".to_owned()),
            entry(["…", "6 before that"]),
            entry(["then", "grant.added by user:alice"]),
        ];
        assert_eq!(listing_lines(&change), expected);
        assert_eq!(tallies(&[change]), ["prod: 1 gained, 0 lost"]);
    }
}
