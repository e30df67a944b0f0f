//! Searches for subjects, resources and actions, as the `OpenID` `AuthZEN` Authorization API 1.0 defines them (§8).
//!
//! A search finds exactly what an evaluation in the same view permits. All pages of a search are of the first one's view. The id of the
//! searched entity is ignored.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::HandlerResult;
use super::authzen::{
    ActionBody, EntityBody, ExplainQuery, IgnoredObject, Properties, check_may_ask, read_question_of_any_size,
    visibility,
};
use crate::domain::model::object::object;
use crate::domain::model::parsed::given;
use crate::domain::model::time::{Instant, Revision};
use crate::domain::rules::visibility::Visibility;
use crate::http::budget::Permit;
use crate::http::guard::EvaluatorRequest;
use crate::http::input::{NoPath, QueryParams};
use crate::http::paging::{SearchPage, SearchPaging};
use crate::http::problem::Problem;
use crate::http::response;
use crate::http::rows::{self, Gathered};
use crate::query::AuditQuery as _;
use crate::query::search::{Search, SearchQuery, UnfilteredSearch};
use crate::service::Service;

/// The most bytes of a search without its context and page: it is decided once for each candidate.
pub const SEARCH_BYTES_MAX: usize = 4_096;

/// An entity to search for, by its type (§8.4, §8.5).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SoughtBody {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its properties.
    #[serde(default, deserialize_with = "object")]
    pub properties: Properties,
}

/// The page of results that a search asks for (§8.2.1).
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct PageBody {
    /// The `next_token` of the page before. The rest of the request must be the same; the limit may be left out.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub token: Option<String>,
    /// The most results of the page: 1,000 by default and at most.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    pub limit: Option<u64>,
    /// Its properties; none is known here.
    #[serde(default, deserialize_with = "object", skip_serializing)]
    pub properties: IgnoredObject,
}

/// A search for subjects (§8.4).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SubjectSearchBody {
    /// The type of the subjects.
    #[serde(deserialize_with = "object")]
    pub subject: SoughtBody,
    /// The action.
    #[serde(deserialize_with = "object")]
    pub action: ActionBody,
    /// The resource.
    #[serde(deserialize_with = "object")]
    pub resource: EntityBody,
    /// The context; no rule reads it.
    #[serde(default, deserialize_with = "object", skip_serializing)]
    pub context: IgnoredObject,
    /// The page of results.
    #[serde(default, deserialize_with = "object", skip_serializing)]
    pub page: PageBody,
}

/// A search for resources (§8.5).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ResourceSearchBody {
    /// The subject.
    #[serde(deserialize_with = "object")]
    pub subject: EntityBody,
    /// The action.
    #[serde(deserialize_with = "object")]
    pub action: ActionBody,
    /// The type of the resources, and perhaps their environment.
    #[serde(deserialize_with = "object")]
    pub resource: SoughtBody,
    /// The context; no rule reads it.
    #[serde(default, deserialize_with = "object", skip_serializing)]
    pub context: IgnoredObject,
    /// The page of results.
    #[serde(default, deserialize_with = "object", skip_serializing)]
    pub page: PageBody,
}

/// A search for actions (§8.6).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ActionSearchBody {
    /// The subject.
    #[serde(deserialize_with = "object")]
    pub subject: EntityBody,
    /// The resource.
    #[serde(deserialize_with = "object")]
    pub resource: EntityBody,
    /// The context; no rule reads it.
    #[serde(default, deserialize_with = "object", skip_serializing)]
    pub context: IgnoredObject,
    /// The page of results.
    #[serde(default, deserialize_with = "object", skip_serializing)]
    pub page: PageBody,
}

/// The response to a search (§8.3).
#[derive(Debug, Serialize, JsonSchema)]
pub struct FoundBody<T> {
    /// The token of the next page.
    pub page: NextBody,
    /// The view, with `explain=true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<FoundIn>,
    /// The results.
    pub results: Vec<T>,
}

/// The continuation of a search (§8.2.2).
#[derive(Debug, Serialize, JsonSchema)]
pub struct NextBody {
    /// The token of the next page; empty at the end.
    pub next_token: String,
    /// The number of results on this page.
    pub count: usize,
}

/// The view of a search.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FoundIn {
    /// The revision of the view.
    pub revision: Revision,
    /// The instant of the view.
    pub at: Instant,
}

/// The common parts of the three searches.
trait SearchBody: Serialize + DeserializeOwned + Send + 'static {
    fn page(&self) -> &PageBody;

    /// Returns the subject; none if subjects are searched for.
    fn subject(&self) -> Option<&EntityBody>;

    fn query(&self) -> SearchQuery;
}

impl SearchBody for SubjectSearchBody {
    fn page(&self) -> &PageBody {
        &self.page
    }

    fn subject(&self) -> Option<&EntityBody> {
        None
    }

    fn query(&self) -> SearchQuery {
        let (subject_type, action) = (self.subject.kind.clone(), self.action.name.clone());
        SearchQuery::Subjects { subject_type, action, resource: self.resource.resource() }
    }
}

impl SearchBody for ResourceSearchBody {
    fn page(&self) -> &PageBody {
        &self.page
    }

    fn subject(&self) -> Option<&EntityBody> {
        Some(&self.subject)
    }

    fn query(&self) -> SearchQuery {
        let SoughtBody { kind, properties } = self.resource.clone();
        let (subject, action) = (self.subject.subject(), self.action.name.clone());
        SearchQuery::Resources { subject, action, resource_type: kind, environment: properties.environment }
    }
}

impl SearchBody for ActionSearchBody {
    fn page(&self) -> &PageBody {
        &self.page
    }

    fn subject(&self) -> Option<&EntityBody> {
        Some(&self.subject)
    }

    fn query(&self) -> SearchQuery {
        SearchQuery::Actions { subject: self.subject.subject(), resource: self.resource.resource() }
    }
}

/// Searches for subjects.
pub async fn subjects(request: EvaluatorRequest, _: NoPath, input: SearchInput) -> HandlerResult {
    search::<SubjectSearchBody>(request, input).await
}

/// Searches for resources.
pub async fn resources(request: EvaluatorRequest, _: NoPath, input: SearchInput) -> HandlerResult {
    search::<ResourceSearchBody>(request, input).await
}

/// Searches for actions.
pub async fn actions(request: EvaluatorRequest, _: NoPath, input: SearchInput) -> HandlerResult {
    search::<ActionSearchBody>(request, input).await
}

/// The values in the query string of a search.
type SearchInput = (SearchPaging, QueryParams<ExplainQuery>);

async fn search<T: SearchBody>(request: EvaluatorRequest, (paging, QueryParams(query)): SearchInput) -> HandlerResult {
    let explain = query.explain;
    let body: T = read_question_of_any_size(&request, "search request").await?;
    let visibility = visibility(&request);
    let paging = paging.page(&request, page(body.page())?, &identity(&body, &visibility)?)?;
    let view = paging.view.clone();
    if let Some(subject) = body.subject() {
        check_may_ask(&visibility, &view, subject)?;
    }
    let permit = request.permit()?;
    let (service, looked_at, query) = (&request.app.service, view.clone(), body.query());
    let unfiltered = permit.run(service, move || Arc::new(UnfilteredSearch::new(looked_at, visibility, query))).await?;
    permit.grow(unfiltered.bytes().saturating_mul(2))?;
    let search = filtered(service, &permit, unfiltered).await?;
    let Gathered { items: results, next } =
        rows::gather(service, &permit, &search, paging.first(), paging.limit).await?;
    let page = NextBody { next_token: paging.next(next).unwrap_or_default(), count: results.len() };
    let context = explain.then(|| FoundIn { revision: view.revision(), at: view.instant() });
    response::for_view(&view, &FoundBody { page, context, results })
}

/// Filters the candidates that the caller may know of, in pieces.
async fn filtered(
    service: &Service,
    permit: &Permit,
    unfiltered: Arc<UnfilteredSearch>,
) -> Result<Arc<Search>, Problem> {
    let mut known = Vec::new();
    rows::in_turns(service, permit, &unfiltered, UnfilteredSearch::permitted, |found| known.extend(found)).await?;
    Ok(Arc::new(unfiltered.filtered(known)))
}

/// Returns the page that is asked for. An empty token is none: the last page returns it.
fn page(page: &PageBody) -> Result<SearchPage, Problem> {
    let limit = page.limit.map(usize::try_from).transpose();
    let limit = limit.map_err(|_| Problem::malformed("`page.limit`: the number is too large"))?;
    Ok(SearchPage { token: page.token.clone().filter(|token| !token.is_empty()), limit })
}

/// Returns the identity of a search, which all its pages share: the question and what the caller may know of.
fn identity(body: &impl Serialize, visibility: &Visibility) -> Result<Vec<u8>, Problem> {
    let mut identity = response::to_json(body)?;
    if identity.len() > SEARCH_BYTES_MAX {
        return Err(Problem::malformed(format!("what is searched for is over {SEARCH_BYTES_MAX} bytes")));
    }
    if let Visibility::Own { principal, .. } = visibility {
        identity.extend(format!("\nfor {principal}").into_bytes());
    }
    Ok(identity)
}
