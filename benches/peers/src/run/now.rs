//! Decisions in process, now.

use super::{Run, Stored};
use crate::casbin_rs::Casbin;
use crate::cedar::Cedar;
use crate::chance::Chance;
use crate::ours::{self, Now};
use crate::peer::{Outcome, Peer, agree};
use crate::spicedb::SpiceDb;
use crate::table::{Bar, Value};
use crate::workload::{LARGE, QUESTIONS, Question, Workspace, question};

impl Run {
    /// Measures decisions in process, beside the peers that are libraries.
    pub(super) fn now(&mut self) -> Outcome<()> {
        let mut tenure = self.tenure_now()?;
        let expected = tenure.answers();
        let ours = Value::Nanos(self.stopwatch.decisions(&mut tenure, QUESTIONS)?);
        self.table.alone("a check in process, now", ours, Bar::AtMost(Value::Nanos(200.0)));
        self.beside_now(&mut Cedar::new(&self.workspaces, &self.questions)?, &expected, ours, Bar::Ratio(30.0))?;
        let casbin = Casbin::new(&self.workspaces, &self.questions);
        let mut casbin = self.runtime.block_on(casbin)?;
        self.beside_now(&mut casbin, &expected, ours, Bar::None)?;
        self.spicedb(&expected, ours)?;
        self.large(ours)
    }

    /// Loads the workload into memory.
    pub(super) fn tenure_now(&mut self) -> Outcome<Now> {
        let Stored { data, ids } = self.usual()?;
        let roots = ids.iter().map(|id| ours::load(&data, *id)).collect::<Outcome<_>>()?;
        Ok(Now { name: "Tenure", roots, questions: ours::questions(&self.workspaces, &self.questions) })
    }

    fn beside_now(&mut self, peer: &mut dyn Peer, expected: &[bool], ours: Value, bar: Bar) -> Outcome<()> {
        agree(peer, expected, |place| describe(&self.workspaces, &self.questions[place]))?;
        let theirs = Value::Nanos(self.stopwatch.decisions(peer, QUESTIONS)?);
        self.table.beside("a check in process, now", ours, &peer.name(), theirs, bar);
        Ok(())
    }

    fn spicedb(&mut self, expected: &[bool], ours: Value) -> Outcome<()> {
        let Some(library) = self.options.path("spicedb") else {
            self.table.skip("SpiceDB", "its library was not found (`--spicedb`)");
            return Ok(());
        };
        let mut spicedb = SpiceDb::new(&library, &self.workspaces, &self.questions)?;
        self.beside_now(&mut spicedb, expected, ours, Bar::None)
    }

    /// Measures the same in one workspace with 240,000 grants.
    fn large(&mut self, usual: Value) -> Outcome<()> {
        let mut chance = Chance::new(3);
        let workspaces = [Workspace::make("large".to_owned(), LARGE, &mut chance)];
        let asked: Vec<Question> = (0..QUESTIONS).map(|_| question(&workspaces, &mut chance)).collect();
        let data = self.folder.path().join("large");
        let ids = ours::store(&data, [workspaces[0].lines()])?;
        let roots = vec![ours::load(&data, ids[0])?];
        let name = "Tenure with 240,000 grants";
        let mut large = Now { name, roots, questions: ours::questions(&workspaces, &asked) };
        let nanos = self.stopwatch.decisions(&mut large, QUESTIONS)?;
        let what = "the same with 240,000 grants in the workspace";
        let bar = Bar::AtMost(Value::Nanos(1_500.0));
        self.table.beside(what, Value::Nanos(nanos), "in a workspace with 50 grants", usual, bar);
        Ok(())
    }
}

/// Describes a question, for the message about a difference.
pub(super) fn describe(workspaces: &[Workspace], question: &Question) -> String {
    let workspace = &workspaces[question.workspace];
    let environment = &workspace.environments[question.environment];
    let grant = question.place.and_then(|place| environment.grant(place));
    let default = environment.restriction.as_ref().map(|restriction| restriction.default_role);
    format!(
        "{}:{} {} {}/{} (granted {grant:?}, default {default:?})",
        question.kind, question.principal, question.action, workspace.name, environment.name
    )
}
