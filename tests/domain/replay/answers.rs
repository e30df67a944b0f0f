//! Every answer that a view gives about everyone and everything a history ever knew.

use std::collections::BTreeSet;
use std::sync::Arc;

use tenure::domain::model::command::EnvironmentRef;
use tenure::domain::model::event::{Event, EventData};
use tenure::domain::model::id::{EnvironmentId, ProxyTokenId, TokenId};
use tenure::domain::model::resource::ResourceKey;
use tenure::domain::model::time::Instant;
use tenure::domain::rules::authorize::{Question, Resource, Subject, access, authorize};
use tenure::domain::rules::decide::due;
use tenure::domain::state::view::View;

/// The names of everyone and everything that a history ever knew.
#[derive(Default)]
pub(crate) struct Cast {
    principals: BTreeSet<String>,
    environments: BTreeSet<String>,
    environment_ids: BTreeSet<EnvironmentId>,
    proxy_tokens: BTreeSet<ProxyTokenId>,
    resources: BTreeSet<ResourceKey>,
    tokens: BTreeSet<TokenId>,
}

impl Cast {
    pub(crate) fn of(events: &[Arc<Event>]) -> Self {
        let mut cast = Self::default();
        for event in events {
            cast.principals.extend(event.data.fact().principal().map(|principal| principal.to_string()));
            match &event.data {
                EventData::EnvironmentCreated(id, description) | EventData::EnvironmentRenamed(id, description) => {
                    cast.environments.extend([id.to_string(), description.name.to_string()]);
                    cast.environment_ids.insert(*id);
                }
                EventData::ServiceUserCreated(_, description) => {
                    cast.principals.insert(format!("service_user:{}", description.name));
                }
                EventData::ProxyTokenCreated(id, _) => drop(cast.proxy_tokens.insert(*id)),
                EventData::ResourcePlaced(key, _) => drop(cast.resources.insert(key.clone())),
                EventData::TokenIssued(id, _) => drop(cast.tokens.insert(*id)),
                _ => {}
            }
        }
        cast
    }

    fn subjects(&self) -> impl Iterator<Item = Subject> {
        let principals = self.principals.iter().map(|principal| Subject::Principal(principal.as_str().into()));
        let tasks = self.environments.iter().map(|environment| Subject::Task(environment.as_str().into()));
        principals.chain(tasks).chain(self.proxy_tokens.iter().map(|token| Subject::ProxyToken(token.to_string())))
    }

    fn questions(&self) -> impl Iterator<Item = Question> {
        let about = |subject: &Subject, resource_type: &str, action: &str, environment: &str| Question {
            subject: subject.clone(),
            action: action.to_owned(),
            resource: Resource::Within {
                resource_type: resource_type.to_owned(),
                id: "shop".to_owned(),
                environment: Some(environment.into()),
            },
        };
        self.subjects().flat_map(move |subject| {
            let environments = self.environments.iter();
            environments
                .flat_map(|environment| {
                    [
                        about(&subject, "app", "deploy", environment),
                        about(&subject, "web_function", "call", environment),
                    ]
                })
                .collect::<Vec<_>>()
        })
    }
}

impl Cast {
    /// Returns a question about each resource, alone and with each environment.
    fn about_resources(&self) -> Vec<Question> {
        let named = self.environments.iter().map(|name| Some(EnvironmentRef::from(name.as_str())));
        let places: Vec<_> = named.chain([None]).collect();
        let mut questions = Vec::new();
        for (key, subject) in self.resources.iter().flat_map(|key| self.subjects().map(move |subject| (key, subject))) {
            for (environment, action) in places.iter().flat_map(|place| [(place, "read"), (place, "halt")]) {
                let (resource_type, id) = (key.resource_type.to_string(), key.id.to_string());
                let resource = Resource::Within { resource_type, id, environment: environment.clone() };
                questions.push(Question { subject: subject.clone(), action: action.to_owned(), resource });
            }
        }
        questions
    }
}

/// Returns the answers of the view, a line for each question.
pub(crate) fn answers(view: &View, cast: &Cast) -> Vec<String> {
    let judged = cast
        .questions()
        .chain(cast.about_resources())
        .map(|question| format!("{question:?} {:?}", authorize(view, &question)));
    let found = view.environments().flat_map(|environment| {
        let of =
            |principal| format!("{principal} in {} {:?}", environment.name, access(view, &environment, &principal));
        view.principals().map(of).collect::<Vec<_>>()
    });
    let named = cast.environment_ids.iter().map(|id| format!("{id} {:?}", view.environment_name(*id)));
    let held = cast.tokens.iter().map(|id| format!("{id} {:?}", view.token_holder(*id)));
    let live = cast.tokens.iter().map(|id| format!("{id} {:?}", view.token(*id)));
    let answers = judged.chain(found).chain(named).chain(held).chain(live);
    let types = view.resource_types().map(|found| format!("{found:?}"));
    let placed = view.placements().map(|found| format!("{found:?}"));
    answers.chain(types).chain(placed).chain(ever(view, cast)).chain([owed(view)]).collect()
}

/// Returns everything that each name ever meant.
fn ever(view: &View, cast: &Cast) -> Vec<String> {
    let principals =
        cast.principals.iter().map(|name| format!("{name} {:?}", view.principals_ever(&name.as_str().into())));
    let environments = cast.environments.iter();
    let environments = environments.map(|name| format!("{name} {:?}", view.environments_ever(&name.as_str().into())));
    principals.chain(environments).collect()
}

/// Returns the events that the system would append at the end of time, and the counts for the limits.
fn owed(view: &View) -> String {
    let facts = format!("{:?}", view.workspace());
    let (_, counted) = facts.split_once(" live_counts: ").unwrap();
    let granted: Vec<_> = facts.split(" live_grants: ").skip(1).map(|rest| rest.split(' ').next()).collect();
    let (_, placed) = facts.split_once(" placed_len: ").unwrap();
    let placed = placed.split(' ').next();
    format!("{:?} {counted} {granted:?} {placed:?}", due(view.workspace(), Instant::from_micros(i64::MAX), usize::MAX))
}
