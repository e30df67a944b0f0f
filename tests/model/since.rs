//! Since when everyone has had the role they have, by the rule it is by: looked up at every moment at which anything could
//! have changed, from the newest to the first that was otherwise.

use std::sync::Arc;

use tenure::domain::event::{Event, EventData};
use tenure::domain::id::{EnvironmentId, WorkspaceId};
use tenure::domain::principal::Principal;
use tenure::domain::role::EnvironmentRole;
use tenure::domain::time::Instant;

use super::decisions::role_in;
use super::facts::{Facts, at_head, at_instant};

/// A principal's place in an environment: role, rule, and since when both have held without a break.
pub type Tenure = (Principal, EnvironmentId, EnvironmentRole, &'static str, Instant);

/// Everyone's place in every environment at an instant. Also a break that lasts no longer than one command is a break.
pub fn tenures(id: WorkspaceId, events: &[Arc<Event>], instant: Instant) -> Vec<Tenure> {
    let past = every_state(id, events, instant);
    let now = at_instant(id, events, instant);
    let mut tenures = Vec::new();
    for environment in &now.environments {
        for principal in now.principals() {
            let (role, rule) = role_in(&now, environment, &principal);
            let alike = |facts: &&Facts| place(facts, environment.id, &principal) == Some((role, rule));
            let since = past.iter().rev().take_while(alike).last().expect("it began").instant;
            tenures.push((principal, environment.id, role, rule, since));
        }
    }
    tenures
}

/// The facts after each event and at each expiry of a grant up to an instant, in order.
fn every_state(id: WorkspaceId, events: &[Arc<Event>], until: Instant) -> Vec<Facts> {
    let happened: Vec<_> = events.iter().filter(|event| event.time <= until).collect();
    let reached = |count: usize, instant| at_head(id, &events[..count], instant);
    let mut states: Vec<_> = happened.iter().enumerate().map(|(index, event)| reached(index + 1, event.time)).collect();
    let expiries = happened.iter().filter_map(|event| match &event.data {
        EventData::GrantAdded(_, terms) | EventData::GrantChanged(_, terms) => terms.expires_at,
        _ => None,
    });
    states.extend(expiries.filter(|end| *end <= until).map(|end| at_instant(id, events, end)));
    states.sort_by_key(|facts| facts.instant);
    states
}

fn place(facts: &Facts, id: EnvironmentId, principal: &Principal) -> Option<(EnvironmentRole, &'static str)> {
    let environment = facts.environments.iter().find(|environment| environment.id == id)?;
    let exists = facts.principals().contains(principal);
    exists.then(|| role_in(facts, environment, principal))
}
