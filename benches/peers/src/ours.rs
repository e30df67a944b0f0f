//! Tenure in process, through its public library.

use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use tenure::clock::SystemClock;
use tenure::domain::model::id::WorkspaceId;
use tenure::domain::model::principal::Principal;
use tenure::domain::model::role::EnvironmentRole;
use tenure::domain::model::time::{Instant, Span};
use tenure::domain::rules::authorize::{Decision, Question, Resource, Subject, authorize};
use tenure::domain::state::view::{At, View};
use tenure::domain::state::workspace::Workspace;
use tenure::log::sqlite::SqliteLog;
use tenure::service::id_generator::RandomIdGenerator;
use tenure::service::import::import;
use tenure::service::replay;
use tenure::service::timelines::AccessTimelineCache;

use crate::history::{History, PastQuestion, SpanQuestion};
use crate::peer::{Outcome, Peer};
use crate::workload;

/// The operator's secret, for a server on loopback that lives as long as the run.
pub const OPERATOR_SECRET: &str = "operator-of-a-benchmark-on-loopback";

/// Imports workspaces, each as lines for `tenure import`, into a data folder; returns their ids, in order.
///
/// # Errors
/// A line is refused, or the folder cannot be written.
pub fn store(folder: &Path, histories: impl IntoIterator<Item = impl AsRef<str>>) -> Outcome<Vec<WorkspaceId>> {
    let log = SqliteLog::open(folder)?;
    let take = |lines: &str| import(&log, &RandomIdGenerator, &SystemClock, Cursor::new(lines.as_bytes()));
    histories.into_iter().map(|lines| Ok(take(lines.as_ref())?.workspace)).collect()
}

/// Loads a workspace from the first event of its log.
///
/// # Errors
/// The log cannot be read.
pub fn load(folder: &Path, id: WorkspaceId) -> Outcome<Arc<Workspace>> {
    let log = SqliteLog::attach(folder)?;
    Ok(Arc::new(replay(&log, id)?.ok_or("the workspace was never there")?))
}

/// Returns a question in Tenure's types, by names.
pub fn question(kind: &str, principal: &str, action: &str, environment: &str) -> Question {
    Question {
        subject: Subject::new(kind, principal),
        action: action.to_owned(),
        resource: Resource::new("environment", environment, None),
    }
}

/// Returns the questions of the workload in Tenure's types.
pub fn questions(workspaces: &[workload::Workspace], asked: &[workload::Question]) -> Vec<(usize, Question)> {
    let one = |asked: &workload::Question| {
        let environment = &workspaces[asked.workspace].environments[asked.environment].name;
        (asked.workspace, question(asked.kind, &asked.principal, asked.action, environment))
    };
    asked.iter().map(one).collect()
}

/// Questions about workspaces in memory, now.
pub struct Now {
    /// The peer's name.
    pub name: &'static str,
    /// The newest facts of each workspace.
    pub roots: Vec<Arc<Workspace>>,
    /// Each question, and the index of its workspace.
    pub questions: Vec<(usize, Question)>,
}

impl Now {
    /// Decides a question, with rule and evidence.
    pub fn authorize(&self, place: usize) -> Decision {
        let (workspace, question) = &self.questions[place];
        let root = Arc::clone(&self.roots[*workspace]);
        authorize(&View::at_head(root), question)
    }

    /// Returns for each question whether it is permitted.
    pub fn answers(&self) -> Vec<bool> {
        (0..self.questions.len()).map(|place| self.authorize(place).allowed).collect()
    }
}

impl Peer for Now {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    fn decide(&mut self, question: usize) -> Outcome<bool> {
        Ok(self.authorize(question).allowed)
    }
}

/// Questions about one workspace, each at its own instant.
pub struct Past {
    /// The newest facts.
    pub root: Arc<Workspace>,
    /// Each question, and its instant.
    pub questions: Vec<(Instant, Question)>,
}

impl Past {
    /// Returns the questions of a history.
    pub fn new(root: Arc<Workspace>, history: &History, asked: &[PastQuestion]) -> Self {
        let one = |asked: &PastQuestion| {
            let principal = &history.workspace.principals[asked.principal];
            let environment = &history.workspace.environments[asked.environment].name;
            (Instant::from_micros(asked.at), question(principal.kind(), &principal.name, asked.action, environment))
        };
        Self { root, questions: asked.iter().map(one).collect() }
    }

    /// Returns the same questions, asked now.
    pub fn now(&self) -> Now {
        let questions = self.questions.iter().map(|(_, question)| (0, question.clone())).collect();
        Now { name: "Tenure now, in the long history", roots: vec![Arc::clone(&self.root)], questions }
    }
}

impl Peer for Past {
    fn name(&self) -> String {
        "Tenure in the past".to_owned()
    }

    fn decide(&mut self, question: usize) -> Outcome<bool> {
        let (instant, question) = &self.questions[question];
        let view = View::new(Arc::clone(&self.root), At::Instant(*instant), *instant)?;
        Ok(authorize(&view, question).allowed)
    }
}

/// The tenures within a span, clipped to it: every peer must return the same.
pub type TenureRow = (String, i16, i64, i64);

/// Returns the principals with access to an environment within a span, in the order of principals.
///
/// # Errors
/// The environment does not exist, or the span is invalid.
pub fn held(
    root: &Arc<Workspace>,
    timelines: &AccessTimelineCache,
    history: &History,
    span: &SpanQuestion,
) -> Outcome<Vec<TenureRow>> {
    let name = &history.workspace.environments[span.environment].name;
    let view = View::at_head(Arc::clone(root));
    let environment = view.environment_named(name).ok_or("no such environment")?;
    let (from, until) = (Instant::from_micros(span.from), Instant::from_micros(span.until));
    let within = Span::new(Some(from), Some(until)).map_err(|_| "the span ends before it begins")?;
    let mut held = Vec::new();
    timelines.who_had_access(&view, environment, within, |principal, tenure| {
        let rank = if tenure.held.role == EnvironmentRole::Contributor { 2 } else { 1 };
        let until = tenure.until.map_or(span.until, Instant::micros).min(span.until);
        held.push((reference(&view, principal), rank, tenure.from.micros().max(span.from), until));
    });
    Ok(held)
}

fn reference(view: &View, principal: &Principal) -> String {
    match principal {
        Principal::User(user) => ["user:", user.as_str()].concat(),
        Principal::ServiceUser(id) => {
            let name = view.service_user_name(*id).map(|name| name.as_str());
            ["service_user:", name.unwrap_or_default()].concat()
        }
    }
}
