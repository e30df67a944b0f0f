//! The report of changes, from which an auditor draws samples.

use schemars::JsonSchema;
use serde::Serialize;

use super::request::ReportRequest;
use super::table::{PRINCIPAL, Presentation, ReportColumn, column};
use super::{ReportBuilder, TooLarge};
use crate::domain::model::event::{Event, EventData};
use crate::domain::model::fact::Fact;
use crate::domain::model::id::{CommandId, EnvironmentId, EventId};
use crate::domain::model::name::{EnvironmentName, Reason};
use crate::domain::model::principal::{Actor, ActorCredential, Principal};
use crate::domain::model::time::{Instant, Revision};
use crate::domain::state::view::View;
use crate::domain::state::workspace::RestrictionState;
use crate::query::evidence::principal_name;

/// A change of access: one event, in the terms of an auditor.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ChangeRow {
    /// Its number in this report, from 1 on. Samples are drawn by it.
    pub number: usize,
    /// The event's revision.
    pub revision: Revision,
    /// The event's time.
    pub time: Instant,
    /// The instant when it was recorded, if it was imported later.
    pub recorded_at: Option<Instant>,
    /// The event's type.
    #[serde(rename = "type")]
    pub event_type: &'static str,
    /// The principal whose access it changed, if it is one.
    pub principal: Option<Principal>,
    /// The principal's name.
    pub principal_name: Option<String>,
    /// The environments that it is about.
    pub environments: Vec<EnvironmentId>,
    /// Their names, or their last ones, in the same order.
    pub environment_names: Vec<EnvironmentName>,
    /// The event's subject.
    pub subject: String,
    /// The state before it: a role, a mode, a name or a plan.
    pub before: Option<String>,
    /// The state after it.
    pub after: Option<String>,
    /// The expiry that it set.
    pub expires_at: Option<Instant>,
    /// The actor.
    pub actor: Actor,
    /// The credential that authenticated the actor.
    pub credential: Option<ActorCredential>,
    /// The reason.
    pub reason: Option<Reason>,
    /// The event's id.
    pub event: EventId,
    /// The command that caused it, which all its events share.
    pub command: CommandId,
}

impl ChangeRow {
    pub(super) const COLUMNS: &'static [ReportColumn] = &[
        column("number", "No.", Presentation::Number),
        column("time", "Time", Presentation::Instant),
        column("recorded_at", "Recorded", Presentation::Across),
        column("type", "Change", Presentation::Text),
        column("revision", "Revision", Presentation::Number),
        PRINCIPAL[0],
        PRINCIPAL[1],
        column("environment_names", "Environments", Presentation::Text),
        column("environments", "Environment ids", Presentation::No),
        column("before", "Before", Presentation::Text),
        column("after", "After", Presentation::Text),
        column("expires_at", "Expiry set", Presentation::Instant),
        column("actor", "Actor", Presentation::Text),
        column("credential", "Credential", Presentation::Across),
        column("reason", "Reason", Presentation::Text),
        column("subject", "Subject", Presentation::Across),
        column("event", "Event", Presentation::Across),
        column("command", "Command", Presentation::Across),
    ];
}

fn mode(view: &View, environment: EnvironmentId) -> Option<String> {
    match view.restriction(environment) {
        RestrictionState::Unrestricted => Some("unrestricted".to_owned()),
        RestrictionState::Restricted(role) => Some(format!("restricted, {role} by default")),
        RestrictionState::Ended => None,
    }
}

/// Returns the role of the newest grant in the log, even if it has expired.
fn grant(view: &View, environment: EnvironmentId, principal: &Principal) -> Option<String> {
    let grant = view.last_grant_change(&view.environment(environment)?, principal)?.value?;
    Some(grant.role.to_string())
}

fn switch(is_on: bool) -> String {
    if is_on { "on" } else { "off" }.to_owned()
}

/// Returns the state that an event changes, in a view before or after it.
fn state(view: &View, data: &EventData) -> Option<String> {
    match data.fact() {
        Fact::Workspace(_) | Fact::Plan => view.exists().then(|| format!("plan {}", view.plan().value)),
        Fact::Rbac => Some(switch(view.rbac().value)),
        Fact::Member(user, _) => view.member(user).map(|role| role.value.to_string()),
        Fact::EnvironmentName(id, _) => view.environment_name(id).map(ToString::to_string),
        Fact::Environment(id, _) | Fact::Restriction(id) => mode(view, id),
        Fact::Grant(id, principal, _) => grant(view, id, principal),
        Fact::AccessKey(id, Some(_)) => {
            view.access_key(id).map(|key| format!("{}: {}", key.terms.role, key.terms.label))
        }
        Fact::ProxyToken(id, Some(_)) | Fact::ProxyTokenScope(id, _) => {
            let scope = view.proxy_token(id)?.scope.value;
            Some(scope.map_or("workspace-wide".to_owned(), |scope| format!("{} environments", scope.len())))
        }
        Fact::ServiceUser(..)
        | Fact::Token(..)
        | Fact::ProxyToken(_, None)
        | Fact::AccessKey(_, None)
        | Fact::ResourceType
        | Fact::Placement { .. }
        | Fact::Detail(_) => None,
    }
}

fn row(view: &View, number: usize, event: &Event) -> ChangeRow {
    let before = view.mid_command(Revision(event.revision.0.saturating_sub(1)), event.time);
    let after = view.mid_command(event.revision, event.time);
    let fact = event.data.fact();
    let (environments, principal) = (fact.environments(), fact.principal());
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
        expires_at: fact.expires_at(),
        actor: event.actor.clone(),
        credential: event.credential,
        reason: view.reason_of(event),
        event: event.id,
        command: event.command,
    }
}

fn is_requested(request: &ReportRequest, event: &Event) -> bool {
    let facts = request.view.workspace();
    let about =
        |environments: &Vec<EnvironmentId>| environments.iter().any(|id| facts.concerns_environment(event, *id));
    let of = |principals: &Vec<Principal>| event.data.fact().principal().is_some_and(|one| principals.contains(&one));
    request.environments.as_ref().is_none_or(about) && request.principals.as_ref().is_none_or(of)
}

/// Adds every change of the period.
pub(super) fn changes(request: &ReportRequest, builder: &mut ReportBuilder) -> Result<(), TooLarge> {
    let events = request.events().filter(|event| is_requested(request, event));
    for (number, event) in (1..).zip(events) {
        builder.add(row(&request.view, number, &event))?;
    }
    Ok(())
}
