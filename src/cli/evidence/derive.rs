//! The derivation of an answer from the events of a log, by the code that a server answers with.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::pinned_query::{EvidenceAnswer, PinnedQuery};
use crate::cli::failure::Failure;
use crate::domain::model::event::Event;
use crate::domain::model::id::WorkspaceId;
use crate::domain::state::view::{At, View};
use crate::domain::state::workspace::Workspace;
use crate::log::LogError;
use crate::query::error::QueryError;
use crate::query::format::{whole_csv, whole_page};
use crate::query::list::{
    AccessListQuery, CredentialListQuery, DiffListQuery, ListName, ListQuery, QueryContext, TenureListQuery,
};

/// Returns the answer that the events of a whole log give to a query.
///
/// # Errors
/// `Log` at an event that cannot follow those before it, and the refusal of a query that the log cannot answer.
pub(super) fn derive(query: &PinnedQuery, events: &[Arc<Event>]) -> Result<EvidenceAnswer, Failure> {
    let workspace = Arc::new(replay(query.workspace, events)?);
    let view = View::new(Arc::clone(&workspace), At::Both(query.revision, query.at), query.at)?;
    let context = QueryContext { view, now: View::now(workspace, query.at), tenures: None, last_uses: None };
    let parameters = query.parameters.clone();
    match query.list {
        ListName::Access => run::<AccessListQuery>(parameters, &context),
        ListName::Tenures => run::<TenureListQuery>(parameters, &context),
        ListName::Diff => run::<DiffListQuery>(parameters, &context),
        ListName::Credentials => run::<CredentialListQuery>(parameters, &context),
    }
}

fn replay(id: WorkspaceId, events: &[Arc<Event>]) -> Result<Workspace, LogError> {
    let mut workspace = Workspace::empty(id);
    for event in events {
        workspace.evolve_checked(event).map_err(|why| LogError::Unreadable {
            workspace: id,
            revision: event.revision,
            why: why.to_string(),
        })?;
    }
    Ok(workspace)
}

fn run<Q: ListQuery>(
    mut parameters: BTreeMap<String, String>,
    context: &QueryContext,
) -> Result<EvidenceAnswer, Failure> {
    let refused = |error: QueryError| Failure::usage(error.to_string());
    let query = Q::parse(&mut parameters).map_err(refused)?;
    if let Some(name) = parameters.keys().next() {
        return Err(Failure::usage(format!("this request has no parameter `{name}`")));
    }
    let (heading, rows) = query.run(context).map_err(refused)?;
    EvidenceAnswer::of(&whole_page(&heading, &rows), whole_csv(&rows))
}
