//! Which events of a workspace's log are asked for.

use std::str::FromStr;

use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::model::event::{Event, EventData};
use crate::domain::model::id::EnvironmentId;
use crate::domain::model::principal::{Actor, ActorCredential, Principal};
use crate::domain::model::time::{Instant, Revision, Span};
use crate::domain::state::view::View;
use crate::domain::state::workspace::Workspace;
use crate::http::params::Params;
use crate::http::problem::Problem;

/// The conditions as they were asked for.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct EventsQuery {
    /// After this revision.
    pub after: Option<Revision>,
    /// Of this type, with or without its version.
    #[serde(rename = "type")]
    pub event_type: Option<String>,
    /// About this.
    pub subject: Option<String>,
    /// By this actor.
    pub actor: Option<String>,
    /// By whoever proved themselves with this.
    pub credential: Option<String>,
    /// In, or about, this environment.
    pub environment: Option<String>,
    /// About this principal.
    pub principal: Option<String>,
    /// Not before this instant.
    pub from: Option<Instant>,
    /// Before this instant.
    pub until: Option<Instant>,
}

impl EventsQuery {
    /// Takes the conditions out of the parameters.
    ///
    /// # Errors
    /// One is no such value.
    pub fn of(params: &mut Params) -> Result<Self, Problem> {
        Ok(Self {
            after: params.value("after")?,
            event_type: params.text("type"),
            subject: params.text("subject"),
            actor: params.text("actor"),
            credential: params.text("credential"),
            environment: params.text("environment"),
            principal: params.text("principal"),
            from: params.value("from")?,
            until: params.value("until")?,
        })
    }
}

/// What a text names so far.
#[derive(Clone)]
struct Named<T> {
    text: String,
    found: Vec<T>,
}

/// Which events are asked for; all of the conditions hold for each.
#[derive(Clone)]
pub struct Filter {
    event_type: Option<String>,
    subject: Option<String>,
    actor: Option<Actor>,
    credential: Option<ActorCredential>,
    environments: Option<Named<EnvironmentId>>,
    principals: Option<Named<Principal>>,
    from: Option<Instant>,
    until: Option<Instant>,
}

impl Filter {
    /// What is named is looked up in the view, as it was named at some instant of the span that is asked about, so that neither a
    /// later bearer of a name is meant nor one from before. What is not there gives no events; what never was, as far as `now`
    /// reaches, is not found.
    ///
    /// # Errors
    /// `not_found`, or `invalid` for a type that there is not, or a `from` later than `until`.
    pub fn of(query: &EventsQuery, view: &View, now: &View) -> Result<Self, Problem> {
        let span = Span::new(query.from, query.until)
            .map_err(|(from, until)| Problem::invalid(format!("`from`: `{from}` is later than `until`, `{until}`")))?;
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

    /// Whether an event of these facts is asked for.
    pub fn admits(&self, workspace: &Workspace, event: &Event) -> bool {
        let of_type = |name: &String| {
            let own = event.data.type_name();
            own == name || own.rsplit_once('.').is_some_and(|(unversioned, _)| unversioned == name)
        };
        let concerns = |named: &Named<_>| {
            named.found.iter().any(|environment| workspace.concerns_environment(event, *environment))
        };
        let about = |named: &Named<_>| event.data.fact().principal().is_some_and(|own| named.found.contains(&own));
        self.event_type.as_ref().is_none_or(of_type)
            && self.subject.as_ref().is_none_or(|subject| event.data.subject() == *subject)
            && self.actor.as_ref().is_none_or(|actor| event.actor == *actor)
            && self.credential.is_none_or(|credential| event.credential == Some(credential))
            && self.environments.as_ref().is_none_or(concerns)
            && self.principals.as_ref().is_none_or(about)
            && self.from.is_none_or(|from| event.time >= from)
            && self.until.is_none_or(|until| event.time < until)
    }

    /// Takes note of whoever bears one of the names from this event on.
    pub fn learn(&mut self, event: &Event) {
        match &event.data {
            EventData::EnvironmentCreated(id, description) | EventData::EnvironmentRenamed(id, description) => {
                let bears =
                    |text: &str| description.name.as_str().eq_ignore_ascii_case(text) || *text == id.to_string();
                learn(self.environments.as_mut(), *id, bears);
            }
            EventData::ServiceUserCreated(id, description) => {
                let principal = Principal::ServiceUser(*id);
                let bears = |text: &str| {
                    text.strip_prefix("service_user:") == Some(description.name.as_str())
                        || *text == principal.to_string()
                };
                learn(self.principals.as_mut(), principal.clone(), bears);
            }
            EventData::MemberAdded(user, _) => {
                let principal = Principal::User(user.clone());
                learn(self.principals.as_mut(), principal.clone(), |text| *text == principal.to_string());
            }
            _ => {}
        }
    }

    /// From when on nothing is asked for.
    pub const fn until(&self) -> Option<Instant> {
        self.until
    }
}

fn learn<T: PartialEq>(named: Option<&mut Named<T>>, id: T, bears: impl Fn(&str) -> bool) {
    if let Some(named) = named.filter(|named| bears(&named.text) && !named.found.contains(&id)) {
        named.found.push(id);
    }
}

fn known_type(name: &String) -> Result<String, Problem> {
    let known = EventData::TYPES
        .iter()
        .any(|known| known == name || known.rsplit_once('.').is_some_and(|(unversioned, _)| unversioned == name));
    if known {
        Ok(name.clone())
    } else {
        Err(Problem::invalid(format!("`type`: there is no event type `{}`", name.escape_debug())))
    }
}

/// An actor by what it is called. One that never was, and never did anything, is not found.
pub(super) fn known_actor(view: &View, text: &str) -> Result<Actor, Problem> {
    let not_found = || Problem::not_found("actor", text);
    match Actor::from_str(text) {
        Ok(actor @ (Actor::Operator | Actor::System)) => Ok(actor),
        parsed => match view.principals_ever(&text.into()).pop() {
            Some(Principal::User(user)) => Ok(Actor::User(user)),
            Some(Principal::ServiceUser(id)) => Ok(Actor::ServiceUser(id)),
            None => {
                let actor = parsed.map_err(|_| not_found())?;
                let acted = view.workspace().events(Revision::ZERO, view.revision()).any(|event| event.actor == actor);
                if acted { Ok(actor) } else { Err(not_found()) }
            }
        },
    }
}

/// What an actor can prove itself with. An API token that never was is not found, nor is what nobody acts with.
fn known_credential(now: &View, text: &str) -> Result<ActorCredential, Problem> {
    let known = |credential: &ActorCredential| match credential {
        ActorCredential::Operator => true,
        ActorCredential::Token(token) => now.token_holder(*token).is_some(),
    };
    text.parse().ok().filter(known).ok_or_else(|| Problem::not_found("credential", text))
}

fn known_subject(now: &View, subject: &String) -> Result<String, Problem> {
    let known = now.workspace().events(Revision::ZERO, now.revision()).any(|event| event.data.subject() == *subject);
    if known { Ok(subject.clone()) } else { Err(Problem::not_found("subject", subject)) }
}

fn known<T>(found: Vec<T>, ever: impl Fn() -> Vec<T>, kind: &'static str, named: &str) -> Result<Named<T>, Problem> {
    if found.is_empty() && ever().is_empty() {
        return Err(Problem::not_found(kind, named));
    }
    Ok(Named { text: named.to_owned(), found })
}
