//! The lists of the audit.

pub mod what_if;

use std::sync::Arc;

use super::HandlerResult;
use crate::http::guard::AuditRequest;
use crate::http::input::{Input, NoPath};
use crate::http::paging::Paging;
use crate::http::params::Params;
use crate::http::problem::Problem;
use crate::http::rows;
use crate::query::AuditQuery as _;
use crate::query::credentials::LastUses;
use crate::query::list::{
    AccessListQuery, CredentialListQuery, DiffListQuery, ListQuery, QueryContext, TenureListQuery,
};
use crate::service::Service;

/// The page of a list, and its query.
type ListInput<Q> = (Paging, ListParameters<Q>);

/// The query of a list, which the guard parses from the request's parameters.
pub struct ListParameters<Q>(Q);

impl<R, Q: ListQuery> Input<R> for ListParameters<Q> {
    fn names() -> Vec<&'static str> {
        Q::PARAMETERS.to_vec()
    }

    fn read(params: &mut Params, _: &R) -> Result<Self, Problem> {
        Ok(Self(Q::parse(params)?))
    }
}

/// Lists who has access to what, as of any instant.
pub async fn access_list(request: AuditRequest, _: NoPath, input: ListInput<AccessListQuery>) -> HandlerResult {
    list(request, input).await
}

/// Lists who had access to what at any time of a span, from when until when.
pub async fn tenures(request: AuditRequest, _: NoPath, input: ListInput<TenureListQuery>) -> HandlerResult {
    list(request, input).await
}

/// Compares the views at two instants.
pub async fn diff(request: AuditRequest, _: NoPath, input: ListInput<DiffListQuery>) -> HandlerResult {
    list(request, input).await
}

/// Lists the live credentials, and the access that each gives.
pub async fn credentials(request: AuditRequest, _: NoPath, input: ListInput<CredentialListQuery>) -> HandlerResult {
    list(request, input).await
}

async fn list<Q: ListQuery>(request: AuditRequest, (paging, query): ListInput<Q>) -> HandlerResult {
    let ListParameters(query) = query;
    let (permit, context) = (request.permit()?, context(&request, &paging));
    let (service, run) = (&request.app.service, move || query.run(&context));
    let ran = if Q::IS_LONG { permit.run_whole(service, run).await } else { permit.run(service, run).await };
    let (heading, rows) = ran??;
    permit.grow(rows.bytes())?;
    rows::respond(&request, paging, heading, rows).await
}

/// Returns the facts that a list is computed from. The last uses are unknown for a view that the request names.
fn context(request: &AuditRequest, paging: &Paging) -> QueryContext {
    let last_uses: Arc<dyn LastUses> = Arc::<Service>::clone(&request.app.service);
    QueryContext {
        view: paging.view.clone(),
        now: request.now(),
        tenures: Some(request.app.timelines.source()),
        last_uses: (!paging.pinned).then_some(last_uses),
    }
}
