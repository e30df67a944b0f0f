//! The past in databases, and by replay: other ways to keep a history, with the same questions.
//!
//! Each database has three tables: environments, presences (a principal's workspace role) and grants. Each row has the
//! first microsecond at which it held and the first at which it no longer did.

pub mod mariadb;
pub mod postgres;
pub mod replay;
pub mod sqlite;

use crate::history::{Grant, History, Interval, PastQuestion, SpanQuestion};
use crate::ours::TenureRow;
use crate::peer::Outcome;
use crate::workload::Role;

/// A peer that lists tenures within a span.
pub trait Spans {
    /// Lists the tenures of an environment within a span, in any order, not necessarily clipped to it.
    ///
    /// # Errors
    /// The peer could not.
    fn held(&mut self, span: usize) -> Outcome<Vec<TenureRow>>;
}

/// A row of the table of presences: principal, rank (2 for managers and the owner), first microsecond, first after it.
pub type PresenceRow = (String, i16, i64, i64);
/// A row of the table of grants: environment, principal, rank of the role, first microsecond, first after it.
pub type GrantRow = (String, String, i16, i64, i64);
/// A question about the past: principal, environment, required rank, instant.
pub type QuestionRow = (String, String, i16, i64);
/// A question about a span: environment, first microsecond, first after it.
pub type SpanRow = (String, i64, i64);

/// Returns each environment, and whether it is restricted.
pub fn environments(history: &History) -> Vec<(String, bool)> {
    let environments = history.workspace.environments.iter();
    environments.map(|environment| (environment.name.clone(), environment.restriction.is_some())).collect()
}

/// Returns every row of the table of presences.
pub fn presences(history: &History) -> impl Iterator<Item = PresenceRow> {
    history.presences.iter().map(|Interval { what, from, until }| {
        let principal = &history.workspace.principals[*what];
        (principal.reference(), if principal.standing.manages() { 2 } else { 1 }, *from, *until)
    })
}

/// Returns every row of the table of grants.
pub fn grants(history: &History) -> impl Iterator<Item = GrantRow> {
    history.grants.iter().map(|Interval { what: Grant { environment, principal, role }, from, until }| {
        let environment = history.workspace.environments[*environment].name.clone();
        (environment, history.workspace.principals[*principal].reference(), role.rank(), *from, *until)
    })
}

/// Returns the questions in the terms of the tables.
pub fn question_rows(history: &History, questions: &[PastQuestion]) -> Vec<QuestionRow> {
    let one = |question: &PastQuestion| {
        let environment = history.workspace.environments[question.environment].name.clone();
        let principal = history.workspace.principals[question.principal].reference();
        (principal, environment, Role::required(question.action).rank(), question.at)
    };
    questions.iter().map(one).collect()
}

/// Returns the spans in the terms of the tables.
pub fn span_rows(history: &History, spans: &[SpanQuestion]) -> Vec<SpanRow> {
    let name = |span: &SpanQuestion| history.workspace.environments[span.environment].name.clone();
    spans.iter().map(|span| (name(span), span.from, span.until)).collect()
}

/// Checks that a peer lists the same tenures as Tenure.
///
/// # Errors
/// The first span that differs.
pub fn agree_on_spans(
    name: &str,
    peer: &mut dyn Spans,
    spans: &[SpanQuestion],
    expected: &[Vec<TenureRow>],
) -> Outcome<()> {
    for (place, (span, expected)) in spans.iter().zip(expected).enumerate() {
        let cut = |(who, rank, from, until): TenureRow| (who, rank, from.max(span.from), until.min(span.until));
        let mut held: Vec<TenureRow> = peer.held(place)?.into_iter().map(cut).collect();
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
