//! The events that the system appends when something passes its `expires_at`.

use crate::domain::model::event::{EventData, GrantEnd, Nothing, TokenEnd};
use crate::domain::model::time::Instant;
use crate::domain::state::credential_facts::Expiring;
use crate::domain::state::workspace::Workspace;

/// Returns an event for each of the earliest `limit` things that have expired by an instant, the earliest first.
pub fn due(workspace: &Workspace, now: Instant, limit: usize) -> Vec<EventData> {
    let expired = workspace.expiries.iter().take_while(|(end, _)| *end <= now).take(limit);
    expired.filter_map(|(_, expiring)| event(workspace, expiring)).collect()
}

/// Returns the latest end among the earliest `limit` that were passed by an instant without an event.
pub fn last_due(workspace: &Workspace, now: Instant, limit: usize) -> Option<Instant> {
    workspace.expiries.iter().map(|(end, _)| *end).take_while(|end| *end <= now).take(limit).last()
}

fn event(workspace: &Workspace, expiring: &Expiring) -> Option<EventData> {
    match expiring {
        Expiring::Grant(environment, principal) => {
            Some(EventData::GrantExpired(*environment, GrantEnd { principal: principal.clone() }))
        }
        Expiring::Token(id) => {
            let holder = workspace.tokens.get(id)?.terms.holder.clone();
            Some(EventData::TokenExpired(*id, TokenEnd { holder }))
        }
        Expiring::ProxyToken(id) => Some(EventData::ProxyTokenExpired(*id, Nothing {})),
        Expiring::AccessKey(id) => Some(EventData::AccessKeyExpired(*id, Nothing {})),
    }
}
