//! Searches: who may do something, what it may be done to, and what may be done.
//!
//! A search and an evaluation cannot differ. A candidate is an answer only where the question with the candidate in it is permitted,
//! by the judge that every evaluation asks; so whatever the rules come to say, both say it. A candidate is named as a question
//! names it: by its id.

use std::ops::Range;

use schemars::JsonSchema;
use serde::Serialize;

use super::Question;
use crate::domain::model::command::EnvironmentRef;
use crate::domain::model::principal::Principal;
use crate::domain::model::resource_catalogue::{ENVIRONMENT, WORKSPACE};
use crate::domain::rules::authorize::{Question as Asked, Resource, Subject, authorize_visible};
use crate::domain::rules::visibility::Visibility;
use crate::domain::state::view::{PlacementView, View};

/// What is searched for, and what is known of the question.
#[derive(Debug, Clone)]
pub enum Sought {
    /// Who may.
    Subjects {
        /// Of which type: `user`, `service_user`, `task` or `proxy_token`.
        subject_type: String,
        /// Do what.
        action: String,
        /// To what.
        resource: Resource,
    },
    /// To what. Of a type that lives in environments, only what is recorded to be in one can be found.
    Resources {
        /// Who may.
        subject: Subject,
        /// Do what.
        action: String,
        /// To what type.
        resource_type: String,
        /// Only in this environment.
        environment: Option<String>,
    },
    /// What.
    Actions {
        /// Who may do it.
        subject: Subject,
        /// To what.
        resource: Resource,
    },
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(untagged)]
pub enum Found {
    /// A subject or resource.
    Entity(FoundEntity),
    /// An action.
    Action(FoundAction),
}

/// A subject or resource that was found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct FoundEntity {
    /// What kind of thing.
    #[serde(rename = "type")]
    pub kind: String,
    /// Which.
    pub id: String,
}

/// An action that was found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct FoundAction {
    /// Its name.
    pub name: String,
}

/// A search in a view.
pub struct Search {
    view: View,
    visibility: Visibility,
    sought: Sought,
    candidates: Vec<String>,
}

/// A search that may still have candidates that the asker must not hear of. How far a page goes is counted in candidates, and that must
/// not tell how many of them are hidden; so rows are found only once they are sifted, which can be done in pieces.
pub struct Unsifted(Search);

impl Unsifted {
    /// A search before its candidates are sifted.
    pub fn new(view: View, visibility: Visibility, sought: Sought) -> Self {
        let candidates = candidates(&view, &visibility, &sought);
        Self(Search { view, visibility, sought, candidates })
    }

    /// Those of some candidates that the asker may hear of.
    pub fn permitted(&self, candidates: Range<usize>) -> Vec<String> {
        let Self(search) = self;
        let some = search.candidates.get(candidates).unwrap_or_default();
        match search.visibility {
            Visibility::Everything => some.to_vec(),
            Visibility::Own { .. } => some.iter().filter(|candidate| search.permits(candidate)).cloned().collect(),
        }
    }

    /// The search among those of its candidates that the asker may hear of.
    pub fn sifted(&self, candidates: Vec<String>) -> Search {
        let Search { view, visibility, sought, .. } = &self.0;
        Search { view: view.clone(), visibility: visibility.clone(), sought: sought.clone(), candidates }
    }

    /// How much memory its candidates take, in bytes.
    pub fn bytes(&self) -> usize {
        self.0.candidates.iter().map(|candidate| size_of::<String>().saturating_add(candidate.len())).sum()
    }
}

impl Question for Unsifted {
    type Row = String;

    const COLUMNS: &'static [&'static str] = &[];

    fn candidates(&self) -> usize {
        self.0.candidates.len()
    }

    fn rows(&self, candidate: usize) -> Vec<String> {
        self.permitted(candidate..candidate.saturating_add(1))
    }
}

impl Question for Search {
    type Row = Found;

    const COLUMNS: &'static [&'static str] = &["type", "id", "name"];

    fn candidates(&self) -> usize {
        self.candidates.len()
    }

    fn rows(&self, candidate: usize) -> Vec<Found> {
        let found = self.candidates.get(candidate).filter(|candidate| self.permits(candidate));
        found.map(|candidate| self.found(candidate)).into_iter().collect()
    }
}

impl Search {
    /// A search, its candidates in an order that depends only on the view. Who is told of decisions about whom is the caller's to
    /// say, but for subjects: a principal that asks for itself finds only itself.
    pub fn new(view: View, visibility: Visibility, sought: Sought) -> Self {
        let unsifted = Unsifted::new(view, visibility, sought);
        let known = unsifted.permitted(0..unsifted.candidates());
        unsifted.sifted(known)
    }

    fn permits(&self, candidate: &str) -> bool {
        authorize_visible(&self.view, &self.question(candidate), &self.visibility).allowed
    }

    fn found(&self, candidate: &str) -> Found {
        let entity = |kind: &String| Found::Entity(FoundEntity { kind: kind.clone(), id: candidate.to_owned() });
        match &self.sought {
            Sought::Subjects { subject_type, .. } => entity(subject_type),
            Sought::Resources { resource_type, .. } => entity(resource_type),
            Sought::Actions { .. } => Found::Action(FoundAction { name: candidate.to_owned() }),
        }
    }

    /// The question that a candidate is an answer to.
    fn question(&self, candidate: &str) -> Asked {
        match self.sought.clone() {
            Sought::Subjects { subject_type, action, resource } => {
                Asked { subject: Subject::new(&subject_type, candidate), action, resource }
            }
            Sought::Resources { subject, action, resource_type, environment } => {
                let resource = Resource::new(&resource_type, candidate, environment.as_deref());
                Asked { subject, action, resource }
            }
            Sought::Actions { subject, resource } => Asked { subject, action: candidate.to_owned(), resource },
        }
    }
}

fn candidates(view: &View, visibility: &Visibility, sought: &Sought) -> Vec<String> {
    match (sought, visibility) {
        (Sought::Subjects { subject_type, .. }, Visibility::Everything) => subjects(view, subject_type),
        (Sought::Subjects { subject_type, .. }, Visibility::Own { principal, .. }) => oneself(principal, subject_type),
        (Sought::Resources { resource_type, environment, .. }, _) => {
            resources(view, resource_type, environment.as_deref())
        }
        (Sought::Actions { resource, .. }, _) => {
            let resource_type = match resource {
                Resource::Workspace(_) => WORKSPACE,
                Resource::Within { resource_type, .. } => resource_type,
            };
            view.actions(resource_type).into_iter().map(str::to_owned).collect()
        }
    }
}

fn subjects(view: &View, subject_type: &str) -> Vec<String> {
    match subject_type {
        "user" => view.members().map(|(user, _)| user.to_string()).collect(),
        "service_user" => view.service_users().map(|found| found.id.to_string()).collect(),
        "task" => environments(view),
        "proxy_token" => view.proxy_tokens().map(|token| token.id.to_string()).collect(),
        _ => Vec::new(),
    }
}

fn oneself(principal: &Principal, subject_type: &str) -> Vec<String> {
    match (principal, subject_type) {
        (Principal::User(user), "user") => vec![user.to_string()],
        (Principal::ServiceUser(id), "service_user") => vec![id.to_string()],
        _ => Vec::new(),
    }
}

fn resources(view: &View, resource_type: &str, environment: Option<&str>) -> Vec<String> {
    let id = |placed: PlacementView<'_>| placed.id.to_string();
    match (resource_type, environment.map(EnvironmentRef::from)) {
        (WORKSPACE, _) => vec![view.workspace().id().to_string()],
        (ENVIRONMENT, _) => environments(view),
        (_, None) => view.placements_of(resource_type).map(id).collect(),
        (_, Some(named)) => {
            let place = view.find_environment(&named).ok();
            let placed = place.into_iter().flat_map(|place| view.placements_in(place.id));
            placed.filter(|placed| placed.resource_type.as_str() == resource_type).map(id).collect()
        }
    }
}

fn environments(view: &View) -> Vec<String> {
    view.environments().map(|environment| environment.id.to_string()).collect()
}
