//! The log of a workspace, filtered.

use std::str::FromStr;
use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderValue, Response};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;

use super::Answered;
use crate::domain::event::{Event, EventData};
use crate::domain::id::{EnvironmentId, WorkspaceId};
use crate::domain::principal::{Actor, Principal};
use crate::domain::time::{Instant, Revision};
use crate::domain::view::View;
use crate::http::answer::{self, Page, Paging};
use crate::http::asked::InWorkspace;
use crate::http::journal;
use crate::http::params::Params;
use crate::http::problem::Problem;
use crate::log::LogError;
use crate::log::journal::AnswerForm;

const CLOUDEVENTS_BATCH: &str = "application/cloudevents-batch+json";

/// Which events are asked for; all of the conditions hold for each.
struct Filter {
    event_type: Option<String>,
    subject: Option<String>,
    actor: Option<Actor>,
    environments: Option<Vec<EnvironmentId>>,
    principals: Option<Vec<Principal>>,
    from: Option<Instant>,
    until: Option<Instant>,
}

/// A page of events, with what makes it possible to ask again.
#[derive(Debug, Serialize, JsonSchema)]
pub struct EventsBody {
    /// Whose.
    pub workspace: WorkspaceId,
    /// The newest revision that was looked at.
    pub revision: Revision,
    /// As of when.
    pub at: Instant,
    /// What was asked for.
    pub query: EventsQuery,
    /// The events, as they are stored, byte for byte.
    #[serde(flatten)]
    #[schemars(with = "Page<serde_json::Value>")]
    pub page: Page<Box<RawValue>>,
}

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
    fn of(params: &mut Params) -> Result<Self, Problem> {
        Ok(Self {
            after: params.value("after")?,
            event_type: params.text("type"),
            subject: params.text("subject"),
            actor: params.text("actor"),
            environment: params.text("environment"),
            principal: params.text("principal"),
            from: params.value("from")?,
            until: params.value("until")?,
        })
    }
}

impl Filter {
    /// What is named is looked up in the view, so that a later bearer of a name is not meant. What is not there yet gives no
    /// events; what never was, as far as `now` reaches, is not found.
    fn of(query: &EventsQuery, view: &View, now: &View) -> Result<Self, Problem> {
        let environments = |named: &String| {
            let of = |view: &View| view.environments_ever(&named.as_str().into());
            known(of(view), || of(now), "environment", named)
        };
        let principals = |named: &String| {
            let of = |view: &View| view.principals_ever(&named.as_str().into());
            known(of(view), || of(now), "principal", named)
        };
        let filter = Self {
            event_type: query.event_type.as_ref().map(known_type).transpose()?,
            subject: query.subject.as_ref().map(|subject| known_subject(now, subject)).transpose()?,
            actor: query.actor.as_ref().map(|actor| known_actor(now, actor)).transpose()?,
            environments: query.environment.as_ref().map(environments).transpose()?,
            principals: query.principal.as_ref().map(principals).transpose()?,
            from: query.from,
            until: query.until,
        };
        match (filter.from, filter.until) {
            (Some(from), Some(until)) if from > until => {
                Err(Problem::invalid(format!("`from`: `{from}` is later than `until`, `{until}`")))
            }
            _ => Ok(filter),
        }
    }

    fn admits(&self, event: &Event) -> bool {
        let of_type = |name: &String| {
            let own = event.data.type_name();
            own == name || own.rsplit_once('.').is_some_and(|(unversioned, _)| unversioned == name)
        };
        let concerns = |ids: &Vec<EnvironmentId>| ids.iter().any(|id| event.data.concerns_environment(*id));
        let about = |ids: &Vec<Principal>| event.data.principal().is_some_and(|own| ids.contains(&own));
        self.event_type.as_ref().is_none_or(of_type)
            && self.subject.as_ref().is_none_or(|subject| event.data.subject() == *subject)
            && self.actor.as_ref().is_none_or(|actor| event.actor == *actor)
            && self.environments.as_ref().is_none_or(concerns)
            && self.principals.as_ref().is_none_or(about)
            && self.from.is_none_or(|from| event.time >= from)
            && self.until.is_none_or(|until| event.time < until)
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
fn known_actor(view: &View, text: &str) -> Result<Actor, Problem> {
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

fn known_subject(now: &View, subject: &String) -> Result<String, Problem> {
    let known = now.workspace().events(Revision::ZERO, now.revision()).any(|event| event.data.subject() == *subject);
    if known { Ok(subject.clone()) } else { Err(Problem::not_found("subject", subject)) }
}

fn known<T>(found: Vec<T>, ever: impl Fn() -> Vec<T>, kind: &'static str, named: &str) -> Result<Vec<T>, Problem> {
    if found.is_empty() && ever().is_empty() { Err(Problem::not_found(kind, named)) } else { Ok(found) }
}

/// Lists events.
pub async fn list(mut request: InWorkspace) -> Answered {
    request.reads_all()?;
    let paging = Paging::of(&mut request)?;
    let query = EventsQuery::of(&mut request.asked.params)?;
    std::mem::take(&mut request.asked.params).finish()?;
    let view = &paging.view;
    let filter = Filter::of(&query, view, &request.now())?;
    let start = query.after.unwrap_or_default().max(Revision(paging.position));
    let admitted = view.workspace().events(start, view.revision()).filter(|event| filter.admits(event));
    let mut found: Vec<Arc<Event>> = admitted.take(paging.limit.saturating_add(1)).map(Arc::clone).collect();
    let more = found.len() > paging.limit;
    found.truncate(paging.limit);
    let next = found.last().filter(|_| more).map(|last| paging.cursor(last.revision.0));
    let items = stored(&request, &found).await?;
    journal::record(&request, view, form(&request), items.len()).await?;
    respond(&request, view, query, Page { items, next })
}

/// The exact bytes of events, read from the store in runs of neighbours.
async fn stored(request: &InWorkspace, events: &[Arc<Event>]) -> Result<Vec<Box<RawValue>>, Problem> {
    let workspace = request.root.id();
    let revisions: Vec<Revision> = events.iter().map(|event| event.revision).collect();
    let bytes = request.asked.app.service.reading(move |log| {
        let mut all = Vec::with_capacity(revisions.len());
        for run in revisions.chunk_by(|before, after| before.next() == *after) {
            let Some(first) = run.first() else { continue };
            let read = log.read(workspace, Revision(first.0.saturating_sub(1)), run.len())?;
            all.extend(read.into_iter().map(|event| event.bytes));
        }
        Ok::<_, LogError>(all)
    });
    bytes.await?.into_iter().map(raw).collect()
}

fn raw(bytes: Vec<u8>) -> Result<Box<RawValue>, Problem> {
    let text = String::from_utf8(bytes).ok().and_then(|text| RawValue::from_string(text).ok());
    text.ok_or_else(|| {
        let detail = "a stored event is no JSON: restore the log from a backup";
        Problem::new(axum::http::StatusCode::INTERNAL_SERVER_ERROR, "unreadable", detail)
    })
}

fn form(request: &InWorkspace) -> AnswerForm {
    let accept = request.asked.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accept.contains(CLOUDEVENTS_BATCH) { AnswerForm::CloudeventsBatch } else { AnswerForm::Json }
}

fn respond(request: &InWorkspace, view: &View, query: EventsQuery, page: Page<Box<RawValue>>) -> Answered {
    if form(request) == AnswerForm::Json {
        let (workspace, revision, at) = (request.root.id(), view.revision(), view.instant());
        let body = EventsBody { workspace, revision, at, query, page };
        return answer::about(view, &body);
    }
    let mut response: Response<Body> = answer::about(view, &page.items)?;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(CLOUDEVENTS_BATCH));
    if let Some(Ok(next)) = page.next.map(HeaderValue::try_from) {
        headers.insert("tenure-next", next);
    }
    Ok(response)
}
