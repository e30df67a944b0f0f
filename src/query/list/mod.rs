//! The lists of the audit: their parameters, the names in them, and the rows that they select.
//!
//! HTTP and `tenure verify` both run a list by [`ListQuery::run`], so an answer is derived in one way.

mod access;
mod credentials;
mod diff;
mod tenures;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::AuditQuery;
use super::credentials::LastUses;
use super::error::QueryError;
use super::parameters::Parameters;
use super::tenure::TenureSource;
use crate::domain::model::command::{EnvironmentRef, PrincipalRef};
use crate::domain::model::id::{EnvironmentId, WorkspaceId};
use crate::domain::model::principal::{Actor, Principal};
use crate::domain::model::time::{Instant, Revision, Span};
use crate::domain::state::view::View;

pub use access::AccessListQuery;
pub use credentials::{CredentialListQuery, CredentialsQuery};
pub use diff::DiffListQuery;
pub use tenures::{TenureListQuery, TenuresQuery};

/// The facts that a list is computed from.
pub struct QueryContext {
    /// The queried view.
    pub view: View,
    /// The newest facts, in which names are looked up that the view may not have.
    pub now: View,
    /// Tenures that are known already, if any.
    pub tenures: Option<Arc<dyn TenureSource>>,
    /// The last use of each credential; `None` where the view is pinned, since uses are not in the log.
    pub last_uses: Option<Arc<dyn LastUses>>,
}

/// A list of the audit, as parsed from its parameters.
pub trait ListQuery: Sized + Send + 'static {
    /// The fields before the rows: the view and the query.
    type Heading: Serialize + Send + 'static;
    /// The rows.
    type Rows: AuditQuery + 'static;

    /// The name of the list.
    const NAME: ListName;

    /// The names of its parameters.
    const PARAMETERS: &'static [&'static str];

    /// Whether [`run`](Self::run) may take long, so that a server runs it apart from short work.
    const IS_LONG: bool = false;

    /// Takes the query's parameters.
    ///
    /// # Errors
    /// `Invalid` if one has a wrong value.
    fn parse(parameters: &mut impl Parameters) -> Result<Self, QueryError>;

    /// Looks names up, and selects the candidates of the rows.
    ///
    /// # Errors
    /// `NotFound` for a name that nothing ever had, `Invalid` for instants that the view cannot answer.
    fn run(self, context: &QueryContext) -> Result<(Self::Heading, Self::Rows), QueryError>;
}

/// The name of a list, which is its path below a workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ListName {
    /// All access in a view.
    #[serde(rename = "audit/access")]
    Access,
    /// The tenures that overlap a span.
    #[serde(rename = "audit/tenures")]
    Tenures,
    /// The differences between two instants.
    #[serde(rename = "audit/diff")]
    Diff,
    /// The live credentials.
    #[serde(rename = "audit/credentials")]
    Credentials,
}

impl ListName {
    /// Every list.
    pub const ALL: [Self; 4] = [Self::Access, Self::Tenures, Self::Diff, Self::Credentials];

    /// Returns the path of the list below a workspace.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Access => "audit/access",
            Self::Tenures => "audit/tenures",
            Self::Diff => "audit/diff",
            Self::Credentials => "audit/credentials",
        }
    }
}

impl fmt::Display for ListName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.path())
    }
}

/// A path that is no list of the audit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no such list")]
pub struct UnknownList;

impl FromStr for ListName {
    type Err = UnknownList;

    fn from_str(path: &str) -> Result<Self, UnknownList> {
        Self::ALL.into_iter().find(|list| list.path() == path).ok_or(UnknownList)
    }
}

/// The view of a list, and its query.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ListHeading<Q> {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The revision of the view.
    pub revision: Revision,
    /// The instant of the view.
    pub at: Instant,
    /// The query.
    pub query: Q,
}

impl<Q> ListHeading<Q> {
    /// Creates the heading of a list of a view.
    pub fn of(view: &View, query: Q) -> Self {
        Self { workspace: view.workspace().id(), revision: view.revision(), at: view.instant(), query }
    }
}

/// The view and the span of a list, and its query.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SpanHeading<Q> {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The newest counted revision.
    pub revision: Revision,
    /// The newest counted instant.
    pub at: Instant,
    /// The first instant of the span; `null` for all before `until`.
    pub from: Option<Instant>,
    /// The first instant after the span; `null` for all from `from` on.
    pub until: Option<Instant>,
    /// The query.
    pub query: Q,
}

impl<Q> SpanHeading<Q> {
    fn of(view: &View, from: Option<Instant>, until: Option<Instant>, query: Q) -> Self {
        let ListHeading { workspace, revision, at, query } = ListHeading::of(view, query);
        Self { workspace, revision, at, from, until, query }
    }
}

/// The environments and principals of a query; all of them without a filter.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PairQuery {
    /// Only this environment.
    pub environment: Option<String>,
    /// Only this principal.
    pub principal: Option<String>,
}

/// The ids that filters select; `None` without a filter.
struct Selection {
    environments: Option<Vec<EnvironmentId>>,
    principals: Option<Vec<Principal>>,
}

impl PairQuery {
    fn parse(parameters: &mut impl Parameters) -> Self {
        Self { environment: parameters.take("environment"), principal: parameters.take("principal") }
    }

    /// Returns the ids that had the filters' names at some instant of `span`; none if they had them only at other times.
    ///
    /// # Errors
    /// `NotFound` for a name that nothing had up to `now`.
    fn within(&self, context: &QueryContext, span: &Span) -> Result<Selection, QueryError> {
        self.check(&context.now)?;
        let environment = self.environment.as_deref().map(EnvironmentRef::from);
        let principal = self.principal.as_deref().map(PrincipalRef::from);
        Ok(Selection {
            environments: environment.map(|named| context.view.environments_within(&named, span)),
            principals: principal.map(|named| context.view.principals_within(&named, span)),
        })
    }

    fn check(&self, now: &View) -> Result<(), QueryError> {
        match (&self.environment, &self.principal) {
            (Some(named), _) if !now.environment_ever(&named.as_str().into()) => {
                Err(QueryError::not_found("environment", named))
            }
            (_, Some(named)) if now.principals_ever(&named.as_str().into()).is_empty() => {
                Err(QueryError::not_found("principal", named))
            }
            _ => Ok(()),
        }
    }
}

/// Returns the actor that a text names.
///
/// # Errors
/// `NotFound` for an actor that never existed and never acted.
pub fn known_actor(view: &View, text: &str) -> Result<Actor, QueryError> {
    let not_found = || QueryError::not_found("actor", text);
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
