//! The rules of the design, said a second time and as plainly as can be, to hold the real ones against.
//!
//! Nothing here is fast, remembered or shared with the rules under test but the types of commands, questions and events.
//! Whatever is asked is answered from the first event on.
//!
//! - [`generate`] makes random histories of requests, which any writer of a workspace can be driven with;
//! - [`predict`] says what a request comes to: the expiries noted first, and then the events, or the refusal;
//! - [`facts`] and [`decisions`] say who could do what, at any revision and instant.

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

/// What a request comes to.
#[derive(Debug, Clone)]
pub struct Prediction {
    /// The expiries that are noted first, a command of the system each.
    pub expired: Vec<Vec<EventData>>,
    /// For each command its events; or which is refused, with its code.
    pub outcome: Result<Vec<Vec<EventData>>, (usize, &'static str)>,
}

/// What a batch of commands comes to when it is judged at the head, at the clock's time or just after the last event.
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
        let events = rules::judge(&facts, caller, command, &ids.fresh()).map_err(|code| (index, code))?;
        for data in &events {
            facts.take(data, &caller.actor());
        }
        all.push(events);
    }
    Ok(all)
}

/// Everything that has passed its expiry by an instant.
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

/// The stored names of events, in order.
pub fn types<'a>(events: impl IntoIterator<Item = &'a EventData>) -> Vec<&'static str> {
    events.into_iter().map(EventData::type_name).collect()
}

/// Everything that events say but the digests of secrets, a line each, in the order of the lines: what is new in them is
/// called `new`, because a prediction cannot know which id it gets.
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

/// The id of everything that the events have named so far.
pub fn known_ids(events: &[Arc<Event>]) -> BTreeSet<String> {
    events.iter().map(|event| event.data.subject()).collect()
}
