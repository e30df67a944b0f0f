//! A whole run: every peer is loaded, checked against Tenure, and timed beside it.

mod http;
mod now;
mod past;
pub mod starts;
mod writes;

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use tenure::domain::model::id::WorkspaceId;
use tokio::runtime::{Builder, Runtime};

use crate::history::History;
use crate::measure::Stopwatch;
use crate::ours;
use crate::peer::Outcome;
use crate::table::Table;
use crate::workload::{Question, Workspace, workload};

/// The number of changes in the long history.
const EVENTS: usize = 1_000_000;

/// The options of a run, with the paths of external tools; a part whose tool is missing is skipped.
#[derive(Debug, Default)]
pub struct Options(HashMap<String, String>);

impl Options {
    /// Parses options, written `--name value`.
    ///
    /// # Errors
    /// One has no value.
    pub fn read(mut words: impl Iterator<Item = String>) -> Outcome<Self> {
        let mut options = HashMap::new();
        while let Some(name) = words.next() {
            let name = name.strip_prefix("--").ok_or_else(|| format!("`{name}` is no option"))?.to_owned();
            let value = words.next().ok_or_else(|| format!("`--{name}` needs a value"))?;
            options.insert(name, value);
        }
        Ok(Self(options))
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// Returns the path in an option.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.text(name).map(PathBuf::from)
    }

    fn number(&self, name: &str, default: usize) -> Outcome<usize> {
        self.text(name).map_or(Ok(default), |text| Ok(text.parse()?))
    }
}

/// A data folder, and the workspaces in it.
#[derive(Debug, Clone)]
struct Stored {
    data: PathBuf,
    ids: Vec<WorkspaceId>,
}

/// The state that all parts of a run share.
struct Run {
    options: Options,
    runtime: Runtime,
    stopwatch: Stopwatch,
    table: Table,
    /// The parent of Tenure's data folders, on the measured disk.
    folder: TempDir,
    stored: HashMap<&'static str, Stored>,
    workspaces: Vec<Workspace>,
    questions: Vec<Question>,
    history: History,
    /// The duration of each load.
    time: Duration,
    /// The number of rounds of each load, in turn with its peers.
    rounds: usize,
}

impl Run {
    /// Returns a data folder with these workspaces, and their ids; created once per run.
    fn stored<T: AsRef<str>>(&mut self, name: &'static str, lines: impl FnOnce(&Self) -> Vec<T>) -> Outcome<Stored> {
        if let Some(stored) = self.stored.get(name) {
            return Ok(stored.clone());
        }
        let data = self.folder.path().join(name);
        let ids = ours::store(&data, lines(self))?;
        let stored = Stored { data, ids };
        self.stored.insert(name, stored.clone());
        Ok(stored)
    }

    /// Returns the workspaces of the workload.
    fn usual(&mut self) -> Outcome<Stored> {
        self.stored("usual", |run| run.workspaces.iter().map(Workspace::lines).collect())
    }

    /// Returns the long history.
    fn long(&mut self) -> Outcome<Stored> {
        self.stored("history", |run| vec![run.history.lines.clone()])
    }
}

/// A part of a run: a function that adds its rows to the table.
type Part = fn(&mut Run) -> Outcome<()>;

/// The parts of a run, each by itself with `--only NAME,NAME`.
const PARTS: &[(&str, Part)] =
    &[("now", Run::now), ("past", Run::past), ("http", Run::http), ("writes", Run::writes), ("starts", Run::starts)];

/// Runs everything; returns the table.
///
/// # Errors
/// A peer disagrees with Tenure, or a required step failed.
pub fn run(options: Options) -> Outcome<String> {
    let (workspaces, questions) = workload();
    let history = History::make("history", options.number("events", EVENTS)?, 7);
    let mut run = Run {
        runtime: Builder::new_multi_thread().enable_all().build()?,
        stopwatch: Stopwatch::new()?,
        table: Table::default(),
        folder: tempfile::tempdir()?,
        stored: HashMap::new(),
        time: Duration::from_secs(u64::try_from(options.number("seconds", 2)?)?),
        rounds: options.number("rounds", 3)?,
        options,
        workspaces,
        questions,
        history,
    };
    for (name, part) in PARTS {
        if run.options.text("only").is_none_or(|only| only.split(',').any(|named| named == *name)) {
            part(&mut run)?;
        }
    }
    Ok(run.table.markdown())
}
