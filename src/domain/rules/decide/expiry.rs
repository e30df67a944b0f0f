//! What the system appends when something passes its `expires_at`.

use crate::domain::model::event::{EventData, GrantEnd, Nothing, TokenEnd};
use crate::domain::model::time::Instant;
use crate::domain::state::workspace::{Expiring, Workspace};

/// The events that take note of what has expired by an instant, the soonest first.
pub fn due(workspace: &Workspace, now: Instant) -> Vec<EventData> {
    let expired = workspace.expiries.iter().take_while(|(end, _)| *end <= now);
    expired.filter_map(|(_, expiring)| event(workspace, expiring)).collect()
}

/// Returns the newest end that something has passed by an instant, if no event says so yet.
pub fn last_due(workspace: &Workspace, now: Instant) -> Option<Instant> {
    workspace.expiries.iter().map(|(end, _)| *end).take_while(|end| *end <= now).last()
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
