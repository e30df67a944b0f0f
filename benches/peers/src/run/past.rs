//! The past in process: single instants, and spans.

use std::sync::Arc;

use tenure::domain::state::workspace::Workspace;
use tenure::service::timelines::AccessTimelineCache;

use super::{Run, Stored};
use crate::history::{PastQuestion, SpanQuestion};
use crate::ours::{self, Past, TenureRow};
use crate::past::mariadb::MariaDb;
use crate::past::postgres::Postgres;
use crate::past::replay::Replay;
use crate::past::sqlite::{Index, Sqlite};
use crate::past::{Spans, agree_on_spans};
use crate::peer::{Outcome, Peer, agree};
use crate::table::{Bar, Value, thousands};

const ASKED: usize = 2_500;
const SPANS: usize = 64;
/// The server's default size of the cache of timelines.
const TIMELINES_BYTES: u64 = 64 << 20;
const CHECK: &str = "a check in process at a random instant";
const SPAN: &str = "who had access to E within a day, in process";

/// Tenure's answers, which the peers must match.
struct Expected {
    questions: Vec<PastQuestion>,
    answers: Vec<bool>,
    spans: Vec<SpanQuestion>,
    held: Vec<Vec<TenureRow>>,
    check: Value,
    span: Value,
    changes: usize,
}

impl Expected {
    fn of(&self, what: &str) -> String {
        of(what, self.changes)
    }
}

/// Returns the label of a row about a history of this many changes.
fn of(what: &str, changes: usize) -> String {
    format!("{what}, {} changes", thousands(changes))
}

impl Run {
    /// Measures Tenure's past beside databases and a replay.
    pub(super) fn past(&mut self) -> Outcome<()> {
        let Stored { data, ids } = self.long()?;
        let root = ours::load(&data, ids[0])?;
        let expected = self.our_past(&root)?;
        self.replayed(&expected)?;
        let mut sqlite = Sqlite::new(&self.history, &expected.questions, &expected.spans)?;
        self.beside_past("interval table in SQLite", &mut sqlite, &expected, Bar::Ratio(1.0))?;
        sqlite.index = Index::RTree;
        self.beside_spans("interval table in SQLite, R*Tree", &mut sqlite, &expected, Bar::Ratio(1.0))?;
        self.postgres(&expected)?;
        self.mariadb(&expected)
    }

    fn our_past(&mut self, root: &Arc<Workspace>) -> Outcome<Expected> {
        let (questions, spans) = (self.history.questions(ASKED), self.history.spans(SPANS));
        let changes = self.history.changes.len();
        let mut past = Past::new(Arc::clone(root), &self.history, &questions);
        let answers = (0..ASKED).map(|place| past.decide(place)).collect::<Outcome<_>>()?;
        let timelines = AccessTimelineCache::with_capacity(TIMELINES_BYTES);
        let mut held: Vec<Vec<TenureRow>> =
            spans.iter().map(|span| ours::held(root, &timelines, &self.history, span)).collect::<Outcome<_>>()?;
        held.iter_mut().for_each(|held| held.sort_unstable());
        let now = Value::Nanos(self.stopwatch.decisions(&mut past.now(), ASKED)?);
        let check = Value::Nanos(self.stopwatch.decisions(&mut past, ASKED)?);
        self.table.beside(&of(CHECK, changes), check, "the same now", now, Bar::Ratio(0.5));
        let history = &self.history;
        let mut place = 0;
        let span = self.stopwatch.median("Tenure over spans", || {
            place = (place + 1) % SPANS;
            ours::held(root, &timelines, history, &spans[place]).expect("it answered these before")
        })?;
        let span = Value::Nanos(span);
        self.table.alone(&of(SPAN, changes), span, Bar::None);
        Ok(Expected { questions, answers, spans, held, check, span, changes })
    }

    fn describe_past(&self, question: &PastQuestion) -> String {
        let workspace = &self.history.workspace;
        let principal = workspace.principals[question.principal].reference();
        format!(
            "{principal} {} {} at {}",
            question.action, workspace.environments[question.environment].name, question.at
        )
    }

    fn agrees(&self, peer: &mut dyn Peer, expected: &Expected) -> Outcome<()> {
        agree(peer, &expected.answers, |place| self.describe_past(&expected.questions[place]))
    }

    fn replayed(&mut self, expected: &Expected) -> Outcome<()> {
        let mut replay = Replay::new(&self.history, &expected.questions);
        self.agrees(&mut replay, expected)?;
        let theirs = Value::Nanos(self.stopwatch.decisions(&mut replay, ASKED)?);
        self.table.beside(&expected.of(CHECK), expected.check, &replay.name(), theirs, Bar::None);
        Ok(())
    }

    fn beside_past(
        &mut self,
        name: &str,
        peer: &mut (impl Peer + Spans),
        expected: &Expected,
        bar: Bar,
    ) -> Outcome<()> {
        self.agrees(peer, expected)?;
        let theirs = Value::Nanos(self.stopwatch.decisions(peer, ASKED)?);
        self.table.beside(&expected.of(CHECK), expected.check, &peer.name(), theirs, Bar::None);
        self.beside_spans(name, peer, expected, bar)
    }

    fn beside_spans(&mut self, name: &str, peer: &mut dyn Spans, expected: &Expected, bar: Bar) -> Outcome<()> {
        agree_on_spans(name, peer, &expected.spans, &expected.held)?;
        let mut place = 0;
        let theirs = self.stopwatch.median(&format!("{name} over spans").replace('*', ""), || {
            place = (place + 1) % SPANS;
            peer.held(place).expect("it answered these before")
        })?;
        self.table.beside(&expected.of(SPAN), expected.span, name, Value::Nanos(theirs), bar);
        Ok(())
    }

    fn postgres(&mut self, expected: &Expected) -> Outcome<()> {
        let Some(parameters) = self.options.text("postgres").map(str::to_owned) else {
            self.table.skip("PostgreSQL", "no server was started (`--postgres`)");
            return Ok(());
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut postgres = Postgres::new(&runtime, &parameters, &self.history, &expected.questions, &expected.spans)?;
        self.beside_past("interval table in PostgreSQL", &mut postgres, expected, Bar::Ratio(4.0))
    }

    fn mariadb(&mut self, expected: &Expected) -> Outcome<()> {
        let Some(socket) = self.options.path("mariadb") else {
            self.table.skip("MariaDB", "no server was started (`--mariadb`)");
            return Ok(());
        };
        let mut mariadb = MariaDb::new(&socket, &self.history, &expected.questions, &expected.spans)?;
        self.beside_past("system-versioned table in MariaDB", &mut mariadb, expected, Bar::None)
    }
}
