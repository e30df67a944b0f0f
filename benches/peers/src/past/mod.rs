//! The past in databases, and by replay: what keeps a history elsewhere, asked the same as Tenure.
//!
//! In each database there are three tables: environments, presences (who was there as what) and grants, each row with the
//! first microsecond at which it was so and the first at which it was no longer.

pub mod mariadb;
pub mod postgres;
pub mod replay;
pub mod sqlite;

use crate::history::{Grant, History, Interval, PastQuestion, SpanQuestion};
use crate::ours::Held;
use crate::peer::Outcome;
use crate::workload::Role;

/// A peer that says who held what within a span.
pub trait Spans {
    /// Who had access to an environment within a span, in any order, and perhaps beyond its ends.
    ///
    /// # Errors
    /// The peer could not.
    fn held(&mut self, span: usize) -> Outcome<Vec<Held>>;
}

/// A row of the table of presences: who, their rank (2 for whoever manages), from when, until when.
pub type Presence = (String, i16, i64, i64);
/// A row of the table of grants: where, to whom, the role's rank, from when, until when.
pub type GrantRow = (String, String, i16, i64, i64);
/// What a question about the past comes to: principal, environment, rank required, instant.
pub type Asked = (String, String, i16, i64);
/// What a question about a span comes to: environment, first microsecond, first after it.
pub type AskedSpan = (String, i64, i64);

/// Each environment, and whether it is restricted.
pub fn environments(history: &History) -> Vec<(String, bool)> {
    let environments = history.workspace.environments.iter();
    environments.map(|environment| (environment.name.clone(), environment.restriction.is_some())).collect()
}

/// Every row of the table of presences.
pub fn presences(history: &History) -> impl Iterator<Item = Presence> {
    history.presences.iter().map(|Interval { what, from, until }| {
        let principal = &history.workspace.principals[*what];
        (principal.reference(), if principal.standing.manages() { 2 } else { 1 }, *from, *until)
    })
}

/// Every row of the table of grants.
pub fn grants(history: &History) -> impl Iterator<Item = GrantRow> {
    history.grants.iter().map(|Interval { what: Grant { environment, principal, role }, from, until }| {
        let environment = history.workspace.environments[*environment].name.clone();
        (environment, history.workspace.principals[*principal].reference(), role.rank(), *from, *until)
    })
}

/// The questions, in the words of the tables.
pub fn asked(history: &History, questions: &[PastQuestion]) -> Vec<Asked> {
    let one = |question: &PastQuestion| {
        let environment = history.workspace.environments[question.environment].name.clone();
        let principal = history.workspace.principals[question.principal].reference();
        (principal, environment, Role::required(question.action).rank(), question.at)
    };
    questions.iter().map(one).collect()
}

/// The spans, in the words of the tables.
pub fn asked_spans(history: &History, spans: &[SpanQuestion]) -> Vec<AskedSpan> {
    let name = |span: &SpanQuestion| history.workspace.environments[span.environment].name.clone();
    spans.iter().map(|span| (name(span), span.from, span.until)).collect()
}

/// Makes sure that a peer says the same of spans as Tenure.
///
/// # Errors
/// The first span of which it says something else.
pub fn agree_on_spans(name: &str, peer: &mut dyn Spans, spans: &[SpanQuestion], expected: &[Vec<Held>]) -> Outcome<()> {
    for (place, (span, expected)) in spans.iter().zip(expected).enumerate() {
        let cut = |(who, rank, from, until): Held| (who, rank, from.max(span.from), until.min(span.until));
        let mut held: Vec<Held> = peer.held(place)?.into_iter().map(cut).collect();
        held.sort_unstable();
        if held != *expected {
            let differs = held.iter().zip(expected).find(|(theirs, ours)| theirs != ours);
            let (theirs, ours) = (held.len(), expected.len());
            return Err(
                format!("{name} and Tenure differ on {span:?}: {theirs} and {ours} rows, first {differs:?}").into()
            );
        }
    }
    let rows: usize = expected.iter().map(Vec::len).sum();
    eprintln!("{name} agrees with Tenure on {} spans, {rows} rows", spans.len());
    Ok(())
}
