//! A golden file for each report in each form, of a year's history.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use tenure::domain::model::time::{Instant, Span};
use tenure::domain::state::view::{At, View};
use tenure::domain::state::workspace::Workspace;
use tenure::log::codec::decode;
use tenure::query::credentials::Credentials;
use tenure::query::report::body::{Period, ReportHeading, ReportQuery};
use tenure::query::report::catalogue::{Parameter, ReportName, ReportTime};
use tenure::query::report::request::{ReportRequest, Uses};
use tenure::query::report::{Report, columns, report};

/// The advice of a test that found a difference.
const BLESS: &str = "if this is meant, write it anew with `TENURE_BLESS=1 cargo test --test domain reports::`, \
     and look at the difference before you commit it";

pub fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn instant(text: &str) -> Instant {
    text.parse().unwrap()
}

/// Returns the workspace of a recorded history.
pub fn recorded(name: &str) -> Arc<Workspace> {
    let text = fs::read(root(&format!("events/histories/{name}.jsonl"))).unwrap();
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let events: Vec<_> = lines.map(|line| Arc::new(decode(line).unwrap())).collect();
    let mut workspace = Workspace::empty(events[0].workspace);
    for event in &events {
        workspace.evolve(event);
    }
    Arc::new(workspace)
}

/// Returns the view of New Year's Day, after the last event.
fn view() -> View {
    let workspace = recorded("a-year-at-acme");
    let new_year = instant("2026-01-01T00:00:00Z");
    View::new(Arc::clone(&workspace), At::Both(workspace.head(), new_year), new_year).unwrap()
}

/// Returns uses: of each three credentials, one in December, one in summer, and one never.
fn uses(view: &View) -> Uses {
    let credentials = Credentials::new(view.clone());
    let days = [Some(instant("2025-12-01T08:00:00Z")), Some(instant("2025-08-11T16:30:00Z")), None];
    let mut uses = Uses::new();
    for (credential, day) in credentials.all().iter().zip(days.into_iter().cycle()) {
        let issued_at = credentials.row(*credential).unwrap().issued_at;
        uses.extend(day.filter(|day| *day > issued_at).map(|day| (*credential, day)));
    }
    uses
}

/// Makes a report of the year's second half, with its heading.
pub fn made(name: ReportName) -> (Report, ReportHeading) {
    let view = view();
    let (from, until) = (Some(instant("2025-07-01T00:00:00Z")), Some(instant("2026-01-01T00:00:00Z")));
    let query = ReportQuery { days: name.takes(Parameter::Days).then_some(90), ..ReportQuery::default() };
    let heading = ReportHeading::new(name, &view, Period { from, until }, query);
    let span = if name.metadata().when == ReportTime::Period { Span::new(from, until) } else { Span::new(None, None) };
    let uses = Some(uses(&view));
    let asked = ReportRequest { view, span: span.unwrap(), days: 90, environments: None, principals: None, uses };
    (report(name, &asked).unwrap(), heading)
}

/// The pages, as they are in the files.
pub static PAGES: LazyLock<Vec<(ReportName, PathBuf)>> = LazyLock::new(|| {
    let page = |name: &ReportName| (*name, golden(&format!("{name}.html"), made_html(*name).as_bytes()));
    ReportName::ALL.iter().map(page).collect()
});

fn made_html(name: ReportName) -> String {
    let (report, heading) = made(name);
    report.html(&heading)
}

/// Compares bytes with a golden file, and returns its path.
fn golden(file: &str, now: &[u8]) -> PathBuf {
    let path = root("tests/golden/reports").join(file);
    if std::env::var_os("TENURE_BLESS").is_some_and(|value| value == "1") {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, now).unwrap();
    }
    let expected = fs::read(&path).unwrap_or_else(|error| panic!("{file}: {error}; {BLESS}"));
    let lines = |text: &[u8]| String::from_utf8(text.to_vec()).unwrap().lines().map(str::to_owned).collect::<Vec<_>>();
    let differs = lines(now).into_iter().zip(lines(&expected)).find(|(now, expected)| now != expected);
    assert!(now == expected, "{file}: {differs:?} (now, expected); {BLESS}");
    path
}

#[test]
fn every_report_of_a_recorded_year_equals_its_golden_file() {
    for name in ReportName::ALL {
        let (report, heading) = made(*name);
        assert!(!report.rows.is_empty(), "{name} has no row in this history");
        let json = serde_json::to_string_pretty(&report.body(&heading)).unwrap() + "\n";
        golden(&format!("{name}.json"), json.as_bytes());
        golden(&format!("{name}.csv"), &report.csv());
    }
    assert_eq!(PAGES.len(), ReportName::ALL.len());
}

#[test]
fn a_report_made_twice_is_the_same_bytes() {
    for name in ReportName::ALL {
        let [first, second] = [made(*name), made(*name)];
        assert_eq!(first.0.csv(), second.0.csv());
        assert_eq!(first.0.html(&first.1), second.0.html(&second.1));
    }
}

#[test]
fn the_columns_are_the_fields_of_the_rows() {
    for name in ReportName::ALL {
        let (report, _) = made(*name);
        let fields: BTreeSet<String> = report.rows[0].value().as_object().unwrap().keys().cloned().collect();
        let titled: BTreeSet<String> = columns(*name).iter().map(|column| column.name.to_owned()).collect();
        assert_eq!(fields, titled, "{name}");
    }
}

#[test]
fn every_row_names_the_events_behind_it() {
    for name in ReportName::ALL.iter().filter(|name| **name != ReportName::Changes) {
        for row in made(*name).0.rows {
            let row = row.value();
            let evidence = row["evidence"].as_array().unwrap();
            assert!(!evidence.is_empty(), "{name}: {row}");
            for event in evidence {
                let fields = ["event", "revision", "type", "time", "actor"];
                assert!(fields.iter().all(|field| !event[field].is_null()), "{name}: {event}");
            }
        }
    }
}

#[test]
fn the_documentation_names_every_report_its_columns_and_its_controls() {
    let text = fs::read_to_string(root("docs/reports.md")).unwrap();
    for name in ReportName::ALL {
        let metadata = name.metadata();
        let heading = format!("\n## `{name}`: {}\n", metadata.title);
        let own =
            text.split_once(&heading).unwrap_or_else(|| panic!("docs/reports.md has no heading `{}`", heading.trim()));
        let own = own.1.split("\n## ").next().unwrap();
        for column in columns(*name) {
            assert!(own.contains(&format!("`{}`", column.name)), "docs/reports.md: {name} lacks `{}`", column.name);
        }
        for control in metadata.controls {
            assert!(own.contains(control), "docs/reports.md: {name} lacks {control}");
        }
        for parameter in metadata.parameters {
            assert!(own.contains(&format!("`{}=", parameter.as_str())), "docs/reports.md: {name}, {parameter:?}");
        }
    }
}
