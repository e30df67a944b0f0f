//! Searches: the subjects, resources or actions for which an evaluation is permitted.
//!
//! A search and an evaluation cannot differ. A candidate is a result only if the evaluation of it is permitted, by the function that makes
//! every decision. A candidate is named by its id, as in an evaluation.

use std::ops::Range;

use schemars::JsonSchema;
use serde::Serialize;

use super::AuditQuery;
use crate::domain::model::command::EnvironmentRef;
use crate::domain::model::principal::Principal;
use crate::domain::model::resource_catalogue::{ENVIRONMENT, WORKSPACE};
use crate::domain::rules::authorize::{Question as AccessQuestion, Resource, Subject, authorize_visible};
use crate::domain::rules::visibility::Visibility;
use crate::domain::state::view::{PlacementView, View};

/// A search, with the known parts of the evaluation.
#[derive(Debug, Clone)]
pub enum SearchQuery {
    /// A search for subjects.
    Subjects {
        /// The subject type: `user`, `service_user`, `task` or `proxy_token`.
        subject_type: String,
        /// The action.
        action: String,
        /// The resource.
        resource: Resource,
    },
    /// A search for resources. Those of a type that lives in environments are found only if their placement is recorded.
    Resources {
        /// The subject.
        subject: Subject,
        /// The action.
        action: String,
        /// The resource type.
        resource_type: String,
        /// Only in this environment.
        environment: Option<String>,
    },
    /// A search for actions.
    Actions {
        /// The subject.
        subject: Subject,
        /// The resource.
        resource: Resource,
    },
}

/// A result of a search.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(untagged)]
pub enum SearchResult {
    /// A subject or resource.
    Entity(FoundEntity),
    /// An action.
    Action(FoundAction),
}

/// A found subject or resource.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct FoundEntity {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its id.
    pub id: String,
}

/// A found action.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct FoundAction {
    /// Its name.
    pub name: String,
}

/// A search in a view.
pub struct Search {
    view: View,
    visibility: Visibility,
    query: SearchQuery,
    candidates: Vec<String>,
}

/// A search whose candidates may include some that the caller must not see.
///
/// Cursors count candidates, and a count must not reveal hidden ones. So hidden candidates are removed before rows are read. This can be
/// done in pieces.
pub struct UnfilteredSearch(Search);

impl UnfilteredSearch {
    /// Selects the candidates of a search.
    pub fn new(view: View, visibility: Visibility, query: SearchQuery) -> Self {
        let candidates = candidates(&view, &visibility, &query);
        Self(Search { view, visibility, query, candidates })
    }

    /// Returns the candidates of a range that the caller may see.
    pub fn permitted(&self, candidates: Range<usize>) -> Vec<String> {
        let Self(search) = self;
        let some = search.candidates.get(candidates).unwrap_or_default();
        match search.visibility {
            Visibility::Everything => some.to_vec(),
            Visibility::Own { .. } => some.iter().filter(|candidate| search.permits(candidate)).cloned().collect(),
        }
    }

    /// Returns the search with only these candidates.
    pub fn filtered(&self, candidates: Vec<String>) -> Search {
        let Search { view, visibility, query, .. } = &self.0;
        Search { view: view.clone(), visibility: visibility.clone(), query: query.clone(), candidates }
    }
}

impl AuditQuery for UnfilteredSearch {
    type Row = String;

    const COLUMNS: &'static [&'static str] = &[];

    fn candidates(&self) -> usize {
        self.0.candidates.len()
    }

    fn bytes(&self) -> usize {
        self.0.candidates.iter().map(|candidate| size_of::<String>().saturating_add(candidate.len())).sum()
    }

    fn rows(&self, candidate: usize) -> Vec<String> {
        self.permitted(candidate..candidate.saturating_add(1))
    }
}

impl AuditQuery for Search {
    type Row = SearchResult;

    const COLUMNS: &'static [&'static str] = &["type", "id", "name"];

    fn candidates(&self) -> usize {
        self.candidates.len()
    }

    fn rows(&self, candidate: usize) -> Vec<SearchResult> {
        let found = self.candidates.get(candidate).filter(|candidate| self.permits(candidate));
        found.map(|candidate| self.found(candidate)).into_iter().collect()
    }
}

impl Search {
    /// Creates a search whose candidates are in an order that depends only on the view.
    ///
    /// The caller of this function checks who may ask about whom. A principal that searches for subjects finds only itself.
    pub fn new(view: View, visibility: Visibility, query: SearchQuery) -> Self {
        let unfiltered = UnfilteredSearch::new(view, visibility, query);
        let known = unfiltered.permitted(0..unfiltered.candidates());
        unfiltered.filtered(known)
    }

    fn permits(&self, candidate: &str) -> bool {
        authorize_visible(&self.view, &self.question(candidate), &self.visibility).allowed
    }

    fn found(&self, candidate: &str) -> SearchResult {
        let entity = |kind: &String| SearchResult::Entity(FoundEntity { kind: kind.clone(), id: candidate.to_owned() });
        match &self.query {
            SearchQuery::Subjects { subject_type, .. } => entity(subject_type),
            SearchQuery::Resources { resource_type, .. } => entity(resource_type),
            SearchQuery::Actions { .. } => SearchResult::Action(FoundAction { name: candidate.to_owned() }),
        }
    }

    /// Returns the evaluation that makes a candidate a result.
    fn question(&self, candidate: &str) -> AccessQuestion {
        match self.query.clone() {
            SearchQuery::Subjects { subject_type, action, resource } => {
                AccessQuestion { subject: Subject::new(&subject_type, candidate), action, resource }
            }
            SearchQuery::Resources { subject, action, resource_type, environment } => {
                let resource = Resource::new(&resource_type, candidate, environment.as_deref());
                AccessQuestion { subject, action, resource }
            }
            SearchQuery::Actions { subject, resource } => {
                AccessQuestion { subject, action: candidate.to_owned(), resource }
            }
        }
    }
}

fn candidates(view: &View, visibility: &Visibility, query: &SearchQuery) -> Vec<String> {
    match (query, visibility) {
        (SearchQuery::Subjects { subject_type, .. }, Visibility::Everything) => subjects(view, subject_type),
        (SearchQuery::Subjects { subject_type, .. }, Visibility::Own { principal, .. }) => {
            oneself(principal, subject_type)
        }
        (SearchQuery::Resources { resource_type, environment, .. }, _) => {
            resources(view, resource_type, environment.as_deref())
        }
        (SearchQuery::Actions { resource, .. }, _) => {
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
            let environment = view.find_environment(&named).ok();
            let placed = environment.into_iter().flat_map(|found| view.placements_in(found.id));
            placed.filter(|placed| placed.resource_type.as_str() == resource_type).map(id).collect()
        }
    }
}

fn environments(view: &View) -> Vec<String> {
    view.environments().map(|environment| environment.id.to_string()).collect()
}
