//! The events of a workspace's log that meet conditions.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::domain::model::event::{Event, EventData};
use crate::domain::model::fact::Fact;
use crate::domain::model::id::EnvironmentId;
use crate::domain::model::principal::{Actor, ActorCredential, Principal};
use crate::domain::model::time::{Instant, Revision, Span};
use crate::domain::state::view::View;
use crate::domain::state::workspace::Workspace;
use crate::query::AuditQuery;
use crate::query::error::QueryError;
use crate::query::list::known_actor;
use crate::query::parameters::{Parameters, value};

/// The conditions as given, which an answer repeats.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct EventsQuery {
    /// Only events after this revision.
    pub after: Option<Revision>,
    /// Only events of this type, given with or without its version.
    #[serde(rename = "type")]
    pub event_type: Option<String>,
    /// Only events about this subject.
    pub subject: Option<String>,
    /// Only events by this actor.
    pub actor: Option<String>,
    /// Only events that were authenticated by this credential.
    pub credential: Option<String>,
    /// Only events in or about this environment.
    pub environment: Option<String>,
    /// Only events about this principal.
    pub principal: Option<String>,
    /// Only events at or after this instant.
    pub from: Option<Instant>,
    /// Only events before this instant.
    pub until: Option<Instant>,
}

impl EventsQuery {
    /// The names of the conditions.
    pub const PARAMETERS: &'static [&'static str] =
        &["after", "type", "subject", "actor", "credential", "environment", "principal", "from", "until"];

    /// Takes the conditions from parameters.
    ///
    /// # Errors
    /// `Invalid` if one has a wrong value.
    pub fn parse(parameters: &mut impl Parameters) -> Result<Self, QueryError> {
        Ok(Self {
            after: value(parameters, "after")?,
            event_type: parameters.take("type"),
            subject: parameters.take("subject"),
            actor: parameters.take("actor"),
            credential: parameters.take("credential"),
            environment: parameters.take("environment"),
            principal: parameters.take("principal"),
            from: value(parameters, "from")?,
            until: value(parameters, "until")?,
        })
    }
}

/// Returns the stored form of an event; `None` if it has none.
pub type Encode = fn(&Event) -> Option<Box<RawValue>>;

/// The events of a view after a revision that meet the conditions.
pub struct EventList {
    view: View,
    filter: EventFilter,
    after: Revision,
    encode: Encode,
}

impl EventList {
    /// Lists the events after a revision. A row is the event as `encode` returns it.
    pub const fn new(view: View, filter: EventFilter, after: Revision, encode: Encode) -> Self {
        Self { view, filter, after, encode }
    }
}

impl AuditQuery for EventList {
    type Row = Box<RawValue>;

    const COLUMNS: &'static [&'static str] =
        &["revision", "time", "type", "subject", "actor", "credential", "reason", "data", "command", "id"];

    fn candidates(&self) -> usize {
        usize::try_from(self.view.revision().0.saturating_sub(self.after.0)).unwrap_or(usize::MAX)
    }

    fn rows(&self, candidate: usize) -> Vec<Box<RawValue>> {
        let before = self.after.0.saturating_add(u64::try_from(candidate).unwrap_or(u64::MAX));
        let event = self.view.event(Revision(before).next());
        let admitted = event.filter(|event| self.filter.admits(self.view.workspace(), event));
        admitted.and_then(|event| (self.encode)(&event)).into_iter().collect()
    }
}

/// A name, and the ids that have had it so far.
#[derive(Clone)]
struct NamedIds<T> {
    name: String,
    ids: Vec<T>,
}

/// The conditions with their names looked up. An event must meet all of them.
#[derive(Clone)]
pub struct EventFilter {
    event_type: Option<String>,
    subject: Option<String>,
    actor: Option<Actor>,
    credential: Option<ActorCredential>,
    environments: Option<NamedIds<EnvironmentId>>,
    principals: Option<NamedIds<Principal>>,
    from: Option<Instant>,
    until: Option<Instant>,
}

impl EventFilter {
    /// Looks up the names in the conditions.
    ///
    /// A name selects the ids that had it at some instant of the span, so neither an earlier nor a later bearer. A name that nothing
    /// had in `view` selects no events.
    ///
    /// # Errors
    /// `NotFound` for a name that nothing had up to `now`. `Invalid` for an unknown type, or a `from` later than `until`.
    pub fn of(query: &EventsQuery, view: &View, now: &View) -> Result<Self, QueryError> {
        let span = Span::new(query.from, query.until).map_err(QueryError::reversed_span)?;
        let environments = |named: &String| {
            let found = view.environments_within(&named.as_str().into(), &span);
            known(found, || now.environments_ever(&named.as_str().into()), "environment", named)
        };
        let principals = |named: &String| {
            let found = view.principals_within(&named.as_str().into(), &span);
            known(found, || now.principals_ever(&named.as_str().into()), "principal", named)
        };
        Ok(Self {
            event_type: query.event_type.as_ref().map(known_type).transpose()?,
            subject: query.subject.as_ref().map(|subject| known_subject(now, subject)).transpose()?,
            actor: query.actor.as_ref().map(|actor| known_actor(now, actor)).transpose()?,
            credential: query.credential.as_ref().map(|credential| known_credential(now, credential)).transpose()?,
            environments: query.environment.as_ref().map(environments).transpose()?,
            principals: query.principal.as_ref().map(principals).transpose()?,
            from: query.from,
            until: query.until,
        })
    }

    /// Checks that an event meets the conditions. `workspace` has the event.
    pub fn admits(&self, workspace: &Workspace, event: &Event) -> bool {
        let of_type = |name: &String| {
            let own = event.data.type_name();
            own == name || own.rsplit_once('.').is_some_and(|(unversioned, _)| unversioned == name)
        };
        let concerns = |named: &NamedIds<_>| {
            named.ids.iter().any(|environment| workspace.concerns_environment(event, *environment))
        };
        let about = |named: &NamedIds<_>| event.data.fact().principal().is_some_and(|own| named.ids.contains(&own));
        self.event_type.as_ref().is_none_or(of_type)
            && self.subject.as_ref().is_none_or(|subject| event.data.subject() == *subject)
            && self.actor.as_ref().is_none_or(|actor| event.actor == *actor)
            && self.credential.is_none_or(|credential| event.credential == Some(credential))
            && self.environments.as_ref().is_none_or(concerns)
            && self.principals.as_ref().is_none_or(about)
            && self.from.is_none_or(|from| event.time >= from)
            && self.until.is_none_or(|until| event.time < until)
    }

    /// Adds the id that has one of the names from this event on.
    pub fn learn(&mut self, event: &Event) {
        match event.data.fact() {
            Fact::Environment(id, Some(name)) | Fact::EnvironmentName(id, name) => {
                let has_name = |text: &str| name.as_str().eq_ignore_ascii_case(text) || *text == id.to_string();
                learn(self.environments.as_mut(), id, has_name);
            }
            Fact::ServiceUser(id, Some(name)) => {
                let principal = Principal::ServiceUser(id);
                let has_name = |text: &str| {
                    text.strip_prefix("service_user:") == Some(name.as_str()) || *text == principal.to_string()
                };
                learn(self.principals.as_mut(), principal.clone(), has_name);
            }
            Fact::Member(user, Some(_)) => {
                let principal = Principal::User(user.clone());
                learn(self.principals.as_mut(), principal.clone(), |text| *text == principal.to_string());
            }
            Fact::Workspace(_)
            | Fact::Plan
            | Fact::Rbac
            | Fact::Member(_, None)
            | Fact::ServiceUser(_, None)
            | Fact::Token(..)
            | Fact::Environment(_, None)
            | Fact::Restriction(_)
            | Fact::Grant(..)
            | Fact::ProxyToken(..)
            | Fact::ProxyTokenScope(..)
            | Fact::AccessKey(..)
            | Fact::ResourceType
            | Fact::Placement { .. }
            | Fact::Detail(_) => {}
        }
    }

    /// Returns the instant from which on no event meets the conditions.
    pub const fn until(&self) -> Option<Instant> {
        self.until
    }
}

fn learn<T: PartialEq>(named: Option<&mut NamedIds<T>>, id: T, has_name: impl Fn(&str) -> bool) {
    if let Some(named) = named.filter(|named| has_name(&named.name) && !named.ids.contains(&id)) {
        named.ids.push(id);
    }
}

fn known_type(name: &String) -> Result<String, QueryError> {
    let known = EventData::TYPES
        .iter()
        .any(|known| known == name || known.rsplit_once('.').is_some_and(|(unversioned, _)| unversioned == name));
    if known {
        Ok(name.clone())
    } else {
        Err(QueryError::Invalid(format!("`type`: there is no event type `{}`", name.escape_debug())))
    }
}

/// Returns the credential of an id that may authenticate an actor: `operator`, or an API token that ever existed.
fn known_credential(now: &View, text: &str) -> Result<ActorCredential, QueryError> {
    let known = |credential: &ActorCredential| match credential {
        ActorCredential::Operator => true,
        ActorCredential::Token(token) => now.token_holder(*token).is_some(),
    };
    text.parse().ok().filter(known).ok_or_else(|| QueryError::not_found("credential", text))
}

fn known_subject(now: &View, subject: &String) -> Result<String, QueryError> {
    let known = now.workspace().events(Revision::ZERO, now.revision()).any(|event| event.data.subject() == *subject);
    if known { Ok(subject.clone()) } else { Err(QueryError::not_found("subject", subject)) }
}

fn known<T>(
    found: Vec<T>,
    ever: impl Fn() -> Vec<T>,
    kind: &'static str,
    named: &str,
) -> Result<NamedIds<T>, QueryError> {
    if found.is_empty() && ever().is_empty() {
        return Err(QueryError::not_found(kind, named));
    }
    Ok(NamedIds { name: named.to_owned(), ids: found })
}
