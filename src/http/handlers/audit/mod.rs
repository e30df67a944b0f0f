//! The audit's questions, as they are asked over HTTP.

pub mod what_if;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::HandlerResult;
use super::event_filter::known_actor;
use crate::audit::Question;
use crate::audit::credentials::{AnyCredential, CredentialRow, Credentials};
use crate::audit::diff::Diff;
use crate::audit::pairs::Pairs;
use crate::audit::rolls::PAIRS_MAX;
use crate::audit::roster::Roster;
use crate::audit::tenure::Tenures;
use crate::domain::model::command::{EnvironmentRef, PrincipalRef};
use crate::domain::model::id::{EnvironmentId, WorkspaceId};
use crate::domain::model::principal::{Actor, Principal};
use crate::domain::model::role::EnvironmentRole;
use crate::domain::model::time::{Instant, Revision, Span};
use crate::domain::state::view::View;
use crate::http::guard::AuditRequest;
use crate::http::input::{NoPath, QueryParams};
use crate::http::paging::Paging;
use crate::http::params::Params;
use crate::http::problem::Problem;
use crate::http::rows;
use crate::log::CredentialId;
use crate::service::Service;

/// Of which view an answer is.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct About<Q> {
    /// Whose.
    pub workspace: WorkspaceId,
    /// The revision judged at.
    pub revision: Revision,
    /// The instant judged at.
    pub at: Instant,
    /// What was asked for.
    pub query: Q,
}

impl<Q> About<Q> {
    fn of(view: &View, query: Q) -> Self {
        Self { workspace: view.workspace().id(), revision: view.revision(), at: view.instant(), query }
    }
}

/// Of which view and span an answer is.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct AboutSpan<Q> {
    /// Whose.
    pub workspace: WorkspaceId,
    /// The newest revision that counts.
    pub revision: Revision,
    /// The newest instant that counts.
    pub at: Instant,
    /// The first instant asked about; `null` for all before `until`.
    pub from: Option<Instant>,
    /// The first instant after those; `null` for all from `from` on.
    pub until: Option<Instant>,
    /// What was asked for.
    pub query: Q,
}

/// Who and where a question is about; all of them where it does not say.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct PairQuery {
    /// Only this environment.
    pub environment: Option<String>,
    /// Only this principal.
    pub principal: Option<String>,
}

impl PairQuery {
    /// What the filters name at some instant of a span, as far as a view reaches: none if it was at another time.
    ///
    /// # Errors
    /// `not_found` for what never was, as far as `now` reaches.
    fn within(&self, view: &View, now: &View, span: &Span) -> Result<Named, Problem> {
        let environment = self.environment.as_deref().map(EnvironmentRef::from);
        let principal = self.principal.as_deref().map(PrincipalRef::from);
        self.check(now)?;
        Ok(Named {
            environments: environment.map(|named| view.environments_within(&named, span)),
            principals: principal.map(|named| view.principals_within(&named, span)),
        })
    }

    fn check(&self, now: &View) -> Result<(), Problem> {
        match (&self.environment, &self.principal) {
            (Some(named), _) if !now.environment_ever(&named.as_str().into()) => {
                Err(Problem::not_found("environment", named))
            }
            (_, Some(named)) if now.principals_ever(&named.as_str().into()).is_empty() => {
                Err(Problem::not_found("principal", named))
            }
            _ => Ok(()),
        }
    }
}

/// What filters name; none for a filter that was not given.
struct Named {
    environments: Option<Vec<EnvironmentId>>,
    principals: Option<Vec<Principal>>,
}

/// Lists who has access to what, as of any instant.
pub async fn access_list(
    request: AuditRequest,
    _: NoPath,
    (paging, QueryParams(query)): (Paging, QueryParams<PairQuery>),
) -> HandlerResult {
    let view = paging.view.clone();
    query.check(&request.now())?;
    let (permit, named) = (request.permit()?, query.clone());
    let roster = permit.run(&request.app.service, move || roster(view, &named)).await?;
    permit.grow(roster.pairs.bytes())?;
    let about = About::of(&roster.view, query);
    rows::respond(&request, paging, about, roster).await
}

fn roster(view: View, query: &PairQuery) -> Roster {
    let environments = query.environment.as_deref().map(|named| view.find_environment(&named.into()));
    let environments: Vec<EnvironmentId> = match environments {
        Some(found) => found.into_iter().map(|found| found.id).collect(),
        None => view.environments().map(|found| found.id).collect(),
    };
    let principals = query.principal.as_deref().map(|named| view.find_principal(&named.into()));
    let principals: Vec<Principal> = match principals {
        Some(found) => found.into_iter().collect(),
        None => view.principals().collect(),
    };
    Roster { pairs: Pairs::all(environments, principals), view }
}

/// What a question about tenures asked for.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TenuresQuery {
    /// Who and where.
    #[serde(flatten)]
    pub pairs: PairQuery,
    /// Only this role.
    pub role: Option<EnvironmentRole>,
}

/// Lists who had access to what at any time of a span, from when until when.
pub async fn tenures(request: AuditRequest, _: NoPath, (paging, mut params): (Paging, Params)) -> HandlerResult {
    let query = TenuresQuery { pairs: params.read()?, role: params.value("role")? };
    let (from, until) = (params.peek("from")?, params.peek("until")?);
    let span = params.span()?;
    params.finish()?;
    let view = paging.view.clone();
    let Named { environments, principals } = query.pairs.within(&view, &request.now(), &span)?;
    let (permit, of) = (request.permit()?, view.clone());
    let all = move || {
        let environments = environments.unwrap_or_else(|| of.environments_of_all_time().collect());
        Pairs::all(environments, principals.unwrap_or_else(|| of.principals_of_all_time().collect()))
    };
    let pairs = permit.run(&request.app.service, all).await?;
    permit.grow(pairs.bytes())?;
    let About { workspace, revision, at, query } = About::of(&view, query);
    let is_of_everyone = query.pairs.principal.is_none() && pairs.len() <= PAIRS_MAX;
    let question = Tenures::new(view, span, query.role, pairs);
    let question = if is_of_everyone { question.through(request.app.rolls.clone()) } else { question };
    let about = AboutSpan { workspace, revision, at, from, until, query };
    rows::respond(&request, paging, about, question).await
}

/// Compares the views at two instants.
pub async fn diff(request: AuditRequest, _: NoPath, (paging, mut params): (Paging, Params)) -> HandlerResult {
    let query: PairQuery = params.read()?;
    let from: Option<Instant> = params.peek("from")?;
    let from = from.ok_or_else(|| Problem::invalid("`from`: the earlier of the two instants is needed"))?;
    let span = params.span()?;
    params.finish()?;
    let view = paging.view.clone();
    let until = span.until().unwrap_or_else(|| view.instant());
    if until > view.instant() || from > until {
        let why = if until > view.instant() {
            format!("`until`: `{until}` is later than now, {}: leave it out to compare with now", view.instant())
        } else {
            format!("`from`: `{from}` is later than `until`, `{until}`")
        };
        return Err(Problem::invalid(why));
    }
    let through = Span::new(Some(from), Some(until.next())).unwrap_or(span);
    let Named { environments, principals } = query.within(&view, &request.now(), &through)?;
    let About { workspace, revision, at, query } = About::of(&view, query);
    let about = AboutSpan { workspace, revision, at, from: Some(from), until: Some(until), query };
    let compare = move || {
        let asks_environment = |id| environments.as_ref().is_none_or(|asked| asked.contains(&id));
        let asks_principal = |found: &Principal| principals.as_ref().is_none_or(|asked| asked.contains(found));
        Diff::new(view.back_to(from), view.back_to(until), asks_environment, asks_principal)
    };
    let permit = request.permit()?;
    let diff = permit.run_whole(&request.app.service, compare).await?;
    permit.grow(diff.bytes())?;
    rows::respond(&request, paging, about, diff).await
}

/// What a question about credentials asked for.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct CredentialsQuery {
    /// Only what this actor issued.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issued_by: Option<Actor>,
}

/// Lists the credentials that were live, and what each could do.
pub async fn credentials(request: AuditRequest, _: NoPath, (paging, mut params): (Paging, Params)) -> HandlerResult {
    let issuer = params.text("issued_by");
    params.finish()?;
    let (permit, view, now) = (request.permit()?, paging.view.clone(), request.now());
    let look = move || -> Result<_, Problem> {
        let issued_by = issuer.map(|issuer| known_actor(&now, &issuer)).transpose()?;
        Ok((Credentials::issued_by(view, issued_by.as_ref()), CredentialsQuery { issued_by }))
    };
    let (all, query) = permit.run(&request.app.service, look).await??;
    let about = About::of(&paging.view, query);
    let service = (!paging.pinned).then(|| std::sync::Arc::clone(&request.app.service));
    rows::respond(&request, paging, about, WithUses { all, service }).await
}

/// Credentials with when they were used last, where the question is about now.
struct WithUses {
    all: Credentials,
    service: Option<std::sync::Arc<Service>>,
}

impl Question for WithUses {
    type Row = CredentialRow;

    const COLUMNS: &'static [&'static str] = Credentials::COLUMNS;

    fn candidates(&self) -> usize {
        self.all.candidates()
    }

    fn rows(&self, candidate: usize) -> Vec<CredentialRow> {
        let mut rows = self.all.rows(candidate);
        if let (Some(service), Some(credential)) = (&self.service, self.all.credential(candidate)) {
            let used = service.last_used_of(presented(credential)).unwrap_or_default();
            for row in &mut rows {
                row.last_used_at = used;
            }
        }
        rows
    }
}

/// A credential, as it is presented.
pub(super) const fn presented(credential: AnyCredential) -> CredentialId {
    match credential {
        AnyCredential::Token(id) => CredentialId::Token(id),
        AnyCredential::ProxyToken(id) => CredentialId::ProxyToken(id),
        AnyCredential::AccessKey(id) => CredentialId::AccessKey(id),
    }
}
