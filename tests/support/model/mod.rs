//! A second, plain implementation of the design's rules, to compare the real one with.
//!
//! It is slow and stateless: everything is computed from the first event on. It shares only the types of commands,
//! questions and events with the rules under test.
//!
//! - [`generate`] makes random histories of requests, for any writer of a workspace;
//! - [`predict`] returns the result of a request: the expiries before it, and then the events or the refusal;
//! - [`facts`] and [`decisions`] compute access at any revision and instant.

pub mod authority;
pub mod decisions;
pub mod facts;
pub mod generate;
pub mod questions;
pub mod rules;
pub mod runs;

use std::collections::BTreeSet;
use std::sync::Arc;

use tenure::domain::model::command::Command;
use tenure::domain::model::event::{Event, EventData, GrantEnd, Nothing, TokenEnd};
use tenure::domain::model::id::WorkspaceId;
use tenure::domain::model::principal::{Actor, Caller};
use tenure::domain::model::time::Instant;

use crate::support::Counter;
use facts::Facts;

/// The predicted result of a request.
#[derive(Debug, Clone)]
pub struct Prediction {
    /// The events of the expiries before it, each a command of the system.
    pub expired: Vec<Vec<EventData>>,
    /// The events of each command, or the refused command with its code.
    pub outcome: Result<Vec<Vec<EventData>>, (usize, &'static str)>,
}

/// Predicts the result of a batch of commands at the head, at the clock's time or just after the last event.
pub fn predict(
    id: WorkspaceId,
    events: &[Arc<Event>],
    clock: Instant,
    caller: &Caller,
    commands: &[Command],
) -> Prediction {
    let mut facts = Facts::recorded(id, events);
    let mut time = events.last().map_or(clock, |event| clock.max(event.time.next()));
    let mut expired = Vec::new();
    loop {
        let due = due(&facts, time);
        if due.is_empty() {
            break;
        }
        for data in &due {
            facts.take(data, &Actor::System);
        }
        expired.push(due);
        time = time.next();
    }
    facts.pass(time);
    Prediction { expired, outcome: batch(facts, caller, commands) }
}

fn batch(
    mut facts: Facts,
    caller: &Caller,
    commands: &[Command],
) -> Result<Vec<Vec<EventData>>, (usize, &'static str)> {
    let mut ids = Counter::starting_at(u128::MAX / 2);
    let mut all = Vec::new();
    for (index, command) in commands.iter().enumerate() {
        let events = rules::decide(&facts, caller, command, &ids.generated()).map_err(|code| (index, code))?;
        for data in &events {
            facts.take(data, &caller.actor());
        }
        all.push(events);
    }
    Ok(all)
}

/// Returns everything that has passed its expiry by an instant.
fn due(facts: &Facts, time: Instant) -> Vec<EventData> {
    let over = |expires_at: Option<Instant>| expires_at.is_some_and(|end| end <= time);
    let grants = facts.grants.iter().filter(|grant| over(grant.expires_at));
    let grants = grants.map(|g| EventData::GrantExpired(g.environment, GrantEnd { principal: g.principal.clone() }));
    let tokens = facts.tokens.iter().filter(|token| over(token.expires_at));
    let tokens = tokens.map(|t| EventData::TokenExpired(t.id, TokenEnd { holder: t.holder.clone() }));
    let proxy_tokens = facts.proxy_tokens.iter().filter(|token| over(token.expires_at));
    let proxy_tokens = proxy_tokens.map(|token| EventData::ProxyTokenExpired(token.id, Nothing {}));
    let keys = facts.access_keys.iter().filter(|key| over(key.expires_at));
    let keys = keys.map(|key| EventData::AccessKeyExpired(key.id, Nothing {}));
    grants.chain(tokens).chain(proxy_tokens).chain(keys).collect()
}

/// Returns the stored names of events, in order.
pub fn types<'a>(events: impl IntoIterator<Item = &'a EventData>) -> Vec<&'static str> {
    events.into_iter().map(EventData::type_name).collect()
}

/// Returns the content of events as sorted lines, without digests of secrets. New ids are replaced by `new`, because a
/// prediction cannot know them.
pub fn lines<'a>(events: impl IntoIterator<Item = &'a EventData>, known: &BTreeSet<String>) -> Vec<String> {
    let mut lines: Vec<_> = events.into_iter().map(|data| line(data, known)).collect();
    lines.sort();
    lines
}

fn line(data: &EventData, known: &BTreeSet<String>) -> String {
    let mut particulars: serde_json::Value = serde_json::from_str(data.data_json().unwrap().get()).unwrap();
    particulars.as_object_mut().unwrap().remove("sha256");
    let text = format!("{} {} {particulars}", data.type_name(), data.subject());
    let is_end = |c: char| !c.is_ascii_alphanumeric() && c != '_';
    text.split_inclusive(is_end).map(|piece| rename_new(piece, piece.trim_end_matches(is_end), known)).collect()
}

fn rename_new(piece: &str, word: &str, known: &BTreeSet<String>) -> String {
    let is_id = ["env_", "svc_", "tok_", "prx_", "key_"].iter().any(|prefix| word.starts_with(prefix));
    if is_id && !known.contains(word) { piece.replace(word, "new") } else { piece.to_owned() }
}

/// Returns every id that the events name.
pub fn known_ids(events: &[Arc<Event>]) -> BTreeSet<String> {
    events.iter().map(|event| event.data.subject()).collect()
}
