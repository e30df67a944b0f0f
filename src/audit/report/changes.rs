//! The report of changes: the population that an auditor samples from.

use schemars::JsonSchema;
use serde::Serialize;

use super::table::{Column, PRINCIPAL, Shown, column};
use super::{Asked, Found, TooLarge};
use crate::audit::evidence::principal_name;
use crate::domain::model::event::{Event, EventData};
use crate::domain::model::id::{CommandId, EnvironmentId, EventId};
use crate::domain::model::name::{EnvironmentName, Reason};
use crate::domain::model::principal::{Actor, ActorCredential, Principal};
use crate::domain::model::time::{Instant, Revision};
use crate::domain::state::view::View;
use crate::domain::state::workspace::RestrictionState;

/// A change of access: an event, in the words of an auditor.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ChangeRow {
    /// Its number in this report, from 1 on: samples are drawn by it.
    pub number: usize,
    /// The event's number in the log.
    pub revision: Revision,
    /// When it happened.
    pub time: Instant,
    /// When it was recorded, where that was later: it was imported.
    pub recorded_at: Option<Instant>,
    /// The event's type.
    #[serde(rename = "type")]
    pub event_type: &'static str,
    /// Whose access it changed, where it is one principal's.
    pub principal: Option<Principal>,
    /// What they are called.
    pub principal_name: Option<String>,
    /// Which environments it is about.
    pub environments: Vec<EnvironmentId>,
    /// What those are called, or were called last, in the same order.
    pub environment_names: Vec<EnvironmentName>,
    /// What the event is about, as it stands in it.
    pub subject: String,
    /// What was the case before: a role, a mode, a name, a plan.
    pub before: Option<String>,
    /// What was the case after.
    pub after: Option<String>,
    /// The end that was set.
    pub expires_at: Option<Instant>,
    /// Who made it.
    pub actor: Actor,
    /// What they proved themselves with.
    pub credential: Option<ActorCredential>,
    /// Why.
    pub reason: Option<Reason>,
    /// The event's id.
    pub event: EventId,
    /// The command that it came from, shared by all that was changed at once.
    pub command: CommandId,
}

impl ChangeRow {
    pub(super) const COLUMNS: &'static [Column] = &[
        column("number", "No.", Shown::Number),
        column("time", "Time", Shown::Instant),
        column("recorded_at", "Recorded", Shown::Across),
        column("type", "Change", Shown::Text),
        column("revision", "Revision", Shown::Number),
        PRINCIPAL[0],
        PRINCIPAL[1],
        column("environment_names", "Environments", Shown::Text),
        column("environments", "Environment ids", Shown::No),
        column("before", "Before", Shown::Text),
        column("after", "After", Shown::Text),
        column("expires_at", "Expiry set", Shown::Instant),
        column("actor", "Actor", Shown::Text),
        column("credential", "Credential", Shown::Across),
        column("reason", "Reason", Shown::Text),
        column("subject", "Subject", Shown::Across),
        column("event", "Event", Shown::Across),
        column("command", "Command", Shown::Across),
    ];
}

fn environments(data: &EventData) -> Vec<EnvironmentId> {
    match data {
        EventData::EnvironmentCreated(id, _)
        | EventData::EnvironmentRenamed(id, _)
        | EventData::EnvironmentRestricted(id, _)
        | EventData::EnvironmentDefaultRoleChanged(id, _)
        | EventData::EnvironmentUnrestricted(id, _)
        | EventData::EnvironmentDeleted(id, _)
        | EventData::GrantAdded(id, _)
        | EventData::GrantChanged(id, _)
        | EventData::GrantRevoked(id, _)
        | EventData::GrantExpired(id, _) => vec![*id],
        EventData::ProxyTokenCreated(_, token) => token.environments.iter().flatten().copied().collect(),
        EventData::ProxyTokenScoped(_, scope) => scope.environments.iter().copied().collect(),
        _ => Vec::new(),
    }
}

const fn expiry(data: &EventData) -> Option<Instant> {
    match data {
        EventData::GrantAdded(_, terms) | EventData::GrantChanged(_, terms) => terms.expires_at,
        EventData::TokenIssued(_, terms) => terms.expires_at,
        EventData::ProxyTokenCreated(_, terms) => terms.expires_at,
        EventData::AccessKeyIssued(_, terms) => terms.expires_at,
        _ => None,
    }
}

fn mode(view: &View, environment: EnvironmentId) -> Option<String> {
    match view.restriction(environment) {
        RestrictionState::Unrestricted => Some("unrestricted".to_owned()),
        RestrictionState::Restricted(role) => Some(format!("restricted, {role} by default")),
        RestrictionState::Ended => None,
    }
}

/// The grant that was last said to be there, expired or not.
fn grant(view: &View, environment: EnvironmentId, principal: &Principal) -> Option<String> {
    let grant = view.last_grant_change(&view.environment(environment)?, principal)?.value?;
    Some(grant.role.to_string())
}

fn switch(is_on: bool) -> String {
    if is_on { "on" } else { "off" }.to_owned()
}

/// What an event changed, as it stands in a view from before or after it.
fn state(view: &View, data: &EventData) -> Option<String> {
    match data {
        EventData::WorkspaceCreated(..) | EventData::WorkspaceDeleted(..) | EventData::PlanChanged(..) => {
            view.exists().then(|| format!("plan {}", view.plan().value))
        }
        EventData::RbacEnabled(..) | EventData::RbacDisabled(..) => Some(switch(view.rbac().value)),
        EventData::MemberAdded(user, _) | EventData::MemberRoleChanged(user, _) | EventData::MemberRemoved(user, _) => {
            view.member(user).map(|role| role.value.to_string())
        }
        EventData::EnvironmentRenamed(id, _) => view.environment_name(*id).map(ToString::to_string),
        EventData::EnvironmentCreated(id, _)
        | EventData::EnvironmentRestricted(id, _)
        | EventData::EnvironmentDefaultRoleChanged(id, _)
        | EventData::EnvironmentUnrestricted(id, _)
        | EventData::EnvironmentDeleted(id, _) => mode(view, *id),
        EventData::GrantAdded(id, terms) | EventData::GrantChanged(id, terms) => grant(view, *id, &terms.principal),
        EventData::GrantRevoked(id, end) | EventData::GrantExpired(id, end) => grant(view, *id, &end.principal),
        EventData::AccessKeyIssued(id, _) => {
            view.access_key(*id).map(|key| format!("{}: {}", key.terms.role, key.terms.label))
        }
        EventData::ProxyTokenCreated(id, _) | EventData::ProxyTokenScoped(id, _) => {
            let scope = view.proxy_token(*id)?.scope.value;
            Some(scope.map_or("workspace-wide".to_owned(), |scope| format!("{} environments", scope.len())))
        }
        _ => None,
    }
}

fn row(view: &View, number: usize, event: &Event) -> ChangeRow {
    let before = view.mid_command(Revision(event.revision.0.saturating_sub(1)), event.time);
    let after = view.mid_command(event.revision, event.time);
    let environments = environments(&event.data);
    let principal = event.data.fact().principal();
    ChangeRow {
        number,
        revision: event.revision,
        time: event.time,
        recorded_at: event.recorded,
        event_type: event.data.type_name(),
        principal_name: principal.as_ref().map(|principal| principal_name(view, principal)),
        principal,
        environment_names: environments.iter().filter_map(|id| view.environment_name(*id).cloned()).collect(),
        environments,
        subject: event.data.subject(),
        before: state(&before, &event.data),
        after: state(&after, &event.data),
        expires_at: expiry(&event.data),
        actor: event.actor.clone(),
        credential: event.credential,
        reason: view.reason_of(event),
        event: event.id,
        command: event.command,
    }
}

fn is_asked_for(asked: &Asked, event: &Event) -> bool {
    let facts = asked.view.workspace();
    let about = |places: &Vec<EnvironmentId>| places.iter().any(|id| facts.concerns_environment(event, *id));
    let of = |who: &Vec<Principal>| event.data.fact().principal().is_some_and(|principal| who.contains(&principal));
    asked.environments.as_ref().is_none_or(about) && asked.principals.as_ref().is_none_or(of)
}

/// Every change of the period.
pub(super) fn changes(asked: &Asked, found: &mut Found) -> Result<(), TooLarge> {
    let events = asked.events().filter(|event| is_asked_for(asked, event));
    for (number, event) in (1..).zip(events) {
        found.add(row(&asked.view, number, &event))?;
    }
    Ok(())
}
