//! Tenures and rosters by brute force: the roles after each event and at each expiry, from the first event on.

use std::collections::BTreeSet;
use std::sync::Arc;

use tenure::domain::model::event::{Event, EventData};
use tenure::domain::model::id::{EnvironmentId, WorkspaceId};
use tenure::domain::model::principal::Principal;
use tenure::domain::model::role::EnvironmentRole;
use tenure::domain::model::time::{Instant, Revision};

use crate::support::model::decisions::role_in;
use crate::support::model::facts::{Facts, at_head};

/// The cause of a change: an event, or an expiry that an event set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    Event(Revision),
    Expiry(Instant, Revision),
}

/// A principal's role in an environment with its rule, period and causes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tenure {
    pub principal: Principal,
    pub environment: EnvironmentId,
    pub role: EnvironmentRole,
    pub rule: &'static str,
    pub from: Instant,
    pub until: Option<Instant>,
    pub opened_by: Cause,
    pub closed_by: Option<Cause>,
}

/// An instant, with the facts after each of its causes; expiries come first.
struct ChangePoint {
    instant: Instant,
    states: Vec<(Option<Revision>, Facts)>,
}

fn expiry(event: &Event) -> Option<(EnvironmentId, &Principal, Instant)> {
    match &event.data {
        EventData::GrantAdded(id, terms) | EventData::GrantChanged(id, terms) => {
            Some((*id, &terms.principal, terms.expires_at?))
        }
        _ => None,
    }
}

fn points(id: WorkspaceId, events: &[Arc<Event>], until: Instant) -> Vec<ChangePoint> {
    let times = events.iter().map(|event| event.time);
    let expiries = events.iter().filter_map(|event| expiry(event).map(|(_, _, end)| end));
    let instants: BTreeSet<Instant> = times.chain(expiries).filter(|instant| *instant <= until).collect();
    let point = |instant| {
        let before = events.iter().filter(|event| event.time < instant).count();
        let with = events.iter().filter(|event| event.time <= instant).count();
        let state = |count: usize| {
            let revision = (count > before).then(|| events[count - 1].revision);
            (revision, at_head(id, &events[..count], instant))
        };
        ChangePoint { instant, states: (before..=with).map(state).collect() }
    };
    instants.into_iter().map(point).collect()
}

type Place = (EnvironmentRole, &'static str);

fn place(facts: &Facts, id: EnvironmentId, principal: &Principal) -> Option<Place> {
    let environment = facts.environments.iter().find(|environment| environment.id == id)?;
    facts.principals().contains(principal).then(|| role_in(facts, environment, principal))
}

/// Returns every tenure above `no_access` up to an instant.
pub fn tenures(id: WorkspaceId, events: &[Arc<Event>], until: Instant) -> Vec<Tenure> {
    let points = points(id, events, until);
    let states = || points.iter().flat_map(|point| point.states.iter().map(|(_, facts)| facts));
    let everyone: BTreeSet<Principal> = states().flat_map(Facts::principals).collect();
    let everywhere: BTreeSet<EnvironmentId> =
        states().flat_map(|facts| facts.environments.iter().map(|found| found.id)).collect();
    let mut tenures = Vec::new();
    for environment in everywhere {
        for principal in &everyone {
            tenures.extend(of_pair(&points, events, environment, principal));
        }
    }
    tenures.retain(|tenure: &Tenure| tenure.role > EnvironmentRole::NoAccess);
    tenures.sort();
    tenures
}

fn of_pair(
    points: &[ChangePoint],
    events: &[Arc<Event>],
    environment: EnvironmentId,
    principal: &Principal,
) -> Vec<Tenure> {
    let mut tenures: Vec<Tenure> = Vec::new();
    let mut before = None;
    for point in points {
        let places: Vec<Option<Place>> =
            point.states.iter().map(|(_, facts)| place(facts, environment, principal)).collect();
        let after = *places.last().unwrap();
        if after == before {
            continue;
        }
        let begun = (0..places.len()).rev().take_while(|index| places[*index] == after).last().unwrap();
        let cause = point.states[begun].0.map_or_else(
            || Cause::Expiry(point.instant, set_by(events, point.instant, environment, principal)),
            Cause::Event,
        );
        if before.is_some() {
            let last = tenures.last_mut().unwrap();
            (last.until, last.closed_by) = (Some(point.instant), Some(cause));
        }
        if let Some((role, rule)) = after {
            tenures.push(Tenure {
                principal: principal.clone(),
                environment,
                role,
                rule,
                from: point.instant,
                until: None,
                opened_by: cause,
                closed_by: None,
            });
        }
        before = after;
    }
    tenures
}

fn set_by(events: &[Arc<Event>], end: Instant, environment: EnvironmentId, principal: &Principal) -> Revision {
    let set = |event: &&Arc<Event>| expiry(event) == Some((environment, principal, end)) && event.time < end;
    events.iter().rev().find(set).unwrap().revision
}
