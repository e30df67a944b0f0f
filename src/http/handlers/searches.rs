//! Searches: who may, to what, and what, as the `OpenID` `AuthZEN` Authorization API 1.0 asks it (§8).
//!
//! What is found is what an evaluation in the same view would permit; the pages of a search are all of the first one's view. Of what
//! is searched for, the id does not count.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::HandlerResult;
use super::authzen::{
    ActionBody, EntityBody, IgnoredObject, Properties, asker, check_content_type, check_may_ask,
    read_question_of_any_size,
};
use crate::audit::search::{Asker, Search, Sought, Unsifted};
use crate::domain::object::object;
use crate::domain::parsed::given;
use crate::domain::time::{Instant, Revision};
use crate::http::budget::Permit;
use crate::http::problem::Problem;
use crate::http::request::WorkspaceRequest;
use crate::http::response::{self, Paging, SearchPage};
use crate::http::rows::{self, Gathered};
use crate::service::Service;

/// The most bytes of what is searched for, context and paging apart: it is judged once for each candidate.
pub const SEARCH_BYTES_MAX: usize = 4_096;

/// An entity that is searched for: by its type, whatever its id (§8.4, §8.5).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SoughtBody {
    /// What kind of thing.
    #[serde(rename = "type")]
    pub kind: String,
    /// More about it.
    #[serde(default, deserialize_with = "object")]
    pub properties: Properties,
}

/// Which page of the results (§8.2.1).
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct PageBody {
    /// The `next_token` of the page before. All else stays as it was asked then; the limit may be left out.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub token: Option<String>,
    /// The most results of the page; 1,000 if left out, and never more than that.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    pub limit: Option<u64>,
    /// More about it; none of it is known here.
    #[serde(default, deserialize_with = "object", skip_serializing)]
    pub properties: IgnoredObject,
}

/// Who may (§8.4).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SubjectSearchBody {
    /// Who: of which type.
    #[serde(deserialize_with = "object")]
    pub subject: SoughtBody,
    /// May do what.
    #[serde(deserialize_with = "object")]
    pub action: ActionBody,
    /// To what.
    #[serde(deserialize_with = "object")]
    pub resource: EntityBody,
    /// In which circumstances; no rule looks at them.
    #[serde(default, deserialize_with = "object", skip_serializing)]
    pub context: IgnoredObject,
    /// Which page of the results.
    #[serde(default, deserialize_with = "object", skip_serializing)]
    pub page: PageBody,
}

/// To what (§8.5).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ResourceSearchBody {
    /// Who may.
    #[serde(deserialize_with = "object")]
    pub subject: EntityBody,
    /// Do what.
    #[serde(deserialize_with = "object")]
    pub action: ActionBody,
    /// To what: of which type, and perhaps in which environment.
    #[serde(deserialize_with = "object")]
    pub resource: SoughtBody,
    /// In which circumstances; no rule looks at them.
    #[serde(default, deserialize_with = "object", skip_serializing)]
    pub context: IgnoredObject,
    /// Which page of the results.
    #[serde(default, deserialize_with = "object", skip_serializing)]
    pub page: PageBody,
}

/// What (§8.6).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ActionSearchBody {
    /// Who may do it.
    #[serde(deserialize_with = "object")]
    pub subject: EntityBody,
    /// To what.
    #[serde(deserialize_with = "object")]
    pub resource: EntityBody,
    /// In which circumstances; no rule looks at them.
    #[serde(default, deserialize_with = "object", skip_serializing)]
    pub context: IgnoredObject,
    /// Which page of the results.
    #[serde(default, deserialize_with = "object", skip_serializing)]
    pub page: PageBody,
}

/// The answer to a search (§8.3).
#[derive(Debug, Serialize, JsonSchema)]
pub struct FoundBody<T> {
    /// How it goes on.
    pub page: NextBody,
    /// The view, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<FoundIn>,
    /// What was found.
    pub results: Vec<T>,
}

/// How a search goes on (§8.2.2).
#[derive(Debug, Serialize, JsonSchema)]
pub struct NextBody {
    /// What the next page is asked with; empty at the end.
    pub next_token: String,
    /// How many results this page has.
    pub count: usize,
}

/// The view that a search was made in.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FoundIn {
    /// The revision judged at.
    pub revision: Revision,
    /// The instant judged at.
    pub at: Instant,
}

/// What the searches have in common.
trait SearchBody: Serialize + DeserializeOwned + Send + 'static {
    fn page(&self) -> &PageBody;

    /// Who is asked about; none where that is what is searched for.
    fn subject(&self) -> Option<&EntityBody>;

    fn sought(&self) -> Sought;
}

impl SearchBody for SubjectSearchBody {
    fn page(&self) -> &PageBody {
        &self.page
    }

    fn subject(&self) -> Option<&EntityBody> {
        None
    }

    fn sought(&self) -> Sought {
        let (subject_type, action) = (self.subject.kind.clone(), self.action.name.clone());
        Sought::Subjects { subject_type, action, resource: self.resource.resource() }
    }
}

impl SearchBody for ResourceSearchBody {
    fn page(&self) -> &PageBody {
        &self.page
    }

    fn subject(&self) -> Option<&EntityBody> {
        Some(&self.subject)
    }

    fn sought(&self) -> Sought {
        let SoughtBody { kind, properties } = self.resource.clone();
        let (subject, action) = (self.subject.subject(), self.action.name.clone());
        Sought::Resources { subject, action, resource_type: kind, environment: properties.environment }
    }
}

impl SearchBody for ActionSearchBody {
    fn page(&self) -> &PageBody {
        &self.page
    }

    fn subject(&self) -> Option<&EntityBody> {
        Some(&self.subject)
    }

    fn sought(&self) -> Sought {
        Sought::Actions { subject: self.subject.subject(), resource: self.resource.resource() }
    }
}

/// Searches for subjects.
pub async fn subjects(request: WorkspaceRequest) -> HandlerResult {
    search::<SubjectSearchBody>(request).await
}

/// Searches for resources.
pub async fn resources(request: WorkspaceRequest) -> HandlerResult {
    search::<ResourceSearchBody>(request).await
}

/// Searches for actions.
pub async fn actions(request: WorkspaceRequest) -> HandlerResult {
    search::<ActionSearchBody>(request).await
}

async fn search<T: SearchBody>(mut request: WorkspaceRequest) -> HandlerResult {
    check_content_type(&request)?;
    let explain = request.params.flag("explain")?;
    let body: T = read_question_of_any_size(&request, "search request").await?;
    let asker = asker(&request);
    let paging = Paging::of_search(&mut request, page(body.page())?, &identity(&body, &asker)?)?;
    std::mem::take(&mut request.params).finish()?;
    let view = paging.view.clone();
    if let Some(subject) = body.subject() {
        check_may_ask(&asker, &view, subject)?;
    }
    let permit = request.permit()?;
    let (service, looked_at, sought) = (&request.app.service, view.clone(), body.sought());
    let unsifted = permit.run(service, move || Arc::new(Unsifted::new(looked_at, asker, sought))).await?;
    permit.grow(unsifted.bytes().saturating_mul(2))?;
    let search = sifted(service, &permit, unsifted).await?;
    let Gathered { items: results, next } =
        rows::gather(service, &permit, &search, paging.first(), paging.limit).await?;
    let page = NextBody { next_token: paging.next(next).unwrap_or_default(), count: results.len() };
    let context = explain.then(|| FoundIn { revision: view.revision(), at: view.instant() });
    response::for_view(&view, &FoundBody { page, context, results })
}

/// The search among what the asker may hear of, sifted in pieces.
async fn sifted(service: &Service, permit: &Permit, unsifted: Arc<Unsifted>) -> Result<Arc<Search>, Problem> {
    let mut known = Vec::new();
    rows::in_turns(service, permit, &unsifted, Unsifted::permitted, |found| known.extend(found)).await?;
    Ok(Arc::new(unsifted.sifted(known)))
}

/// The page that is asked for. A token that is empty is none: it is what the last page gave.
fn page(page: &PageBody) -> Result<SearchPage, Problem> {
    let limit = page.limit.map(usize::try_from).transpose();
    let limit = limit.map_err(|_| Problem::malformed("`page.limit`: the number is too large"))?;
    Ok(SearchPage { token: page.token.clone().filter(|token| !token.is_empty()), limit })
}

/// What makes two requests pages of one search: all that counts of the question, and what the asker may be told of.
fn identity(body: &impl Serialize, asker: &Asker) -> Result<Vec<u8>, Problem> {
    let mut identity = response::to_json(body)?;
    if identity.len() > SEARCH_BYTES_MAX {
        return Err(Problem::malformed(format!("what is searched for is over {SEARCH_BYTES_MAX} bytes")));
    }
    if let Asker::Oneself { principal, .. } = asker {
        identity.extend(format!("\nfor {principal}").into_bytes());
    }
    Ok(identity)
}
