//! Workspaces, their plan, and whether RBAC is on.

use std::sync::Arc;

use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::HandlerResult;
use crate::domain::command::{ChangePlan, Command, CreateWorkspace, DeleteWorkspace, DisableRbac, EnableRbac};
use crate::domain::id::WorkspaceId;
use crate::domain::principal::Caller;
use crate::domain::role::AccessKeyRole;
use crate::domain::time::Instant;
use crate::domain::view::{At, View};
use crate::domain::workspace::Workspace;
use crate::http::change::{change, entities, new_workspace, replay_response, submit};
use crate::http::entity::{self, WorkspaceEntity};
use crate::http::params::LIMIT_DEFAULT;
use crate::http::problem::Problem;
use crate::http::request::{AuthenticatedRequest, WorkspaceRequest};
use crate::http::response::{self, Page};

/// The list that the cursors are written for.
const WORKSPACES: &str = "workspaces";

/// Whether RBAC is to be on.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RbacBody {
    /// On, or off.
    pub enabled: bool,
}

/// Makes a workspace.
pub async fn create(request: AuthenticatedRequest) -> HandlerResult {
    if request.caller != Caller::Operator {
        return Err(Problem::forbidden("only the operator may do this"));
    }
    let command: CreateWorkspace = request.body()?;
    submit(request, (None, None), vec![command.into()], new_workspace).await
}

/// Shows a workspace.
pub async fn show(mut request: WorkspaceRequest) -> HandlerResult {
    let (view, _) = request.view()?;
    std::mem::take(&mut request.params).finish()?;
    request.only()?;
    let found = entity::workspace(&view).ok_or_else(|| Problem::not_found("workspace", request.path("ws")))?;
    response::for_view(&view, &found)
}

/// Deletes a workspace. Its name is free after that, so the answer is kept under the name too: the operator who sends the request
/// again gets it, and no workspace that has taken the name since is meant.
pub async fn delete(request: AuthenticatedRequest) -> HandlerResult {
    request.no_body()?;
    let named = request.path("ws");
    let by_name = request.caller == Caller::Operator && named.parse::<WorkspaceId>().is_err();
    let alias = by_name.then(|| format!("name {named} {}", request.holder()));
    let found = request.find_workspace().await;
    if let (Err(_), Some(alias)) = (&found, &alias)
        && let Some(answer) = replay_response(&request, alias.clone(), &[DeleteWorkspace {}.into()], entities).await?
    {
        return Ok(answer);
    }
    let WorkspaceRequest { request, root, .. } = request.within(found?)?;
    submit(request, (Some(root.id()), alias), vec![DeleteWorkspace {}.into()], entities).await
}

/// Subscribes a workspace to another plan.
pub async fn set_plan(request: WorkspaceRequest) -> HandlerResult {
    let command: ChangePlan = request.body()?;
    change(request, vec![command.into()], entities).await
}

/// Turns RBAC on or off.
pub async fn set_rbac(request: WorkspaceRequest) -> HandlerResult {
    let body: RbacBody = request.body()?;
    let command: Command = if body.enabled { EnableRbac {}.into() } else { DisableRbac {}.into() };
    change(request, vec![command], entities).await
}

/// Lists the workspaces that the caller has a part in: all of them for the operator, else its own.
pub async fn list(mut request: AuthenticatedRequest) -> HandlerResult {
    if matches!(request.caller, Caller::AccessKey { role: AccessKeyRole::Evaluator, .. }) {
        return Err(Problem::forbidden("an `evaluator` key asks for decisions and reads nothing else"));
    }
    request.permit()?;
    let limit = request.params.limit()?.unwrap_or(LIMIT_DEFAULT);
    let (at, instant) = instant(&mut request)?;
    let cursor = request.params.text("cursor").map(|cursor| read_cursor(&request, &cursor, at)).transpose()?;
    std::mem::take(&mut request.params).finish()?;
    let first = PageStart { at, instant, after: None };
    let start = cursor.map_or(first, |WorkspacesCursor { instant, last }| PageStart {
        at: At::Instant(instant),
        instant,
        after: Some(last),
    });
    let page = match request.home.clone() {
        None => every(&request, &start, limit).await?,
        Some(home) => Page { items: entity::workspace(&view(home, &start)?).into_iter().collect(), next: None },
    };
    let mut response = response::json(StatusCode::OK, response::to_json(&page)?);
    response::set_instant(response.headers_mut(), start.instant);
    Ok(response)
}

/// Where a page begins: the instant of the first page, and the last workspace of the page before.
struct PageStart {
    at: At,
    instant: Instant,
    after: Option<WorkspaceId>,
}

/// The instant that is asked about. Each workspace has revisions of its own, so none can be named here.
fn instant(request: &mut AuthenticatedRequest) -> Result<(At, Instant), Problem> {
    let now = request.received;
    match request.params.at()? {
        At::Now => Ok((At::Now, now)),
        At::Instant(at) if at <= now => Ok((At::Instant(at), at)),
        At::Instant(at) => Err(Problem::invalid(format!("`at`: `{at}` is later than now, {now}"))),
        At::Revision(_) | At::Both(..) => {
            Err(Problem::invalid("`at`: each workspace has revisions of its own, so name an instant"))
        }
    }
}

/// What a cursor holds: the instant of the first page, and the last workspace of the page before.
#[derive(Debug, Serialize, Deserialize)]
struct WorkspacesCursor {
    instant: Instant,
    last: WorkspaceId,
}

fn read_cursor(request: &AuthenticatedRequest, text: &str, at: At) -> Result<WorkspacesCursor, Problem> {
    let found = request.app.cursors.open::<WorkspacesCursor>(WORKSPACES, text);
    found.filter(|cursor| at == At::Now || at == At::Instant(cursor.instant)).ok_or_else(|| {
        Problem::invalid("`cursor`: this is not the `next` of a page of the same question; ask again without it")
    })
}

/// The next page of all workspaces. A page that the store gives may hold some that were deleted, so pages are read until one
/// is full and another row is found.
async fn every(
    request: &AuthenticatedRequest,
    start: &PageStart,
    limit: usize,
) -> Result<Page<WorkspaceEntity>, Problem> {
    let mut items: Vec<WorkspaceEntity> = Vec::new();
    let mut after = start.after;
    loop {
        let ids = request.app.service.workspaces(after, limit).await?;
        let Some(last) = ids.last().copied() else { return Ok(Page { items, next: None }) };
        for id in ids {
            let Some(found) = shown(request, id, start).await? else { continue };
            if items.len() == limit {
                let next = items.last().map(|last| WorkspacesCursor { instant: start.instant, last: last.id });
                let next = next.map(|next| request.app.cursors.seal(WORKSPACES, &next));
                return Ok(Page { items, next });
            }
            items.push(found);
        }
        after = Some(last);
    }
}

/// A workspace as it stood; none if it did not exist, or its log cannot be read.
async fn shown(
    request: &AuthenticatedRequest,
    id: WorkspaceId,
    start: &PageStart,
) -> Result<Option<WorkspaceEntity>, Problem> {
    let root = match request.app.service.workspace(id).await {
        Ok(root) => root,
        Err(error) => {
            tracing::error!(request_id = request.request_id(), %error, "a workspace is left out of a list");
            None
        }
    };
    let Some(root) = root else { return Ok(None) };
    Ok(entity::workspace(&view(root, start)?))
}

/// The workspace as of where a page begins.
fn view(root: Arc<Workspace>, start: &PageStart) -> Result<View, Problem> {
    Ok(View::new(root, start.at, start.instant)?)
}
