//! Workspaces, their plan, and their RBAC switch.

use std::sync::Arc;

use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::HandlerResult;
use crate::domain::model::command::{ChangePlan, Command, CreateWorkspace, DeleteWorkspace, DisableRbac, EnableRbac};
use crate::domain::model::id::WorkspaceId;
use crate::domain::model::principal::Caller;
use crate::domain::model::time::Instant;
use crate::domain::state::view::{At, View};
use crate::domain::state::workspace::Workspace;
use crate::http::change::{entities, new_workspace, replay_response, submit};
use crate::http::entity::{self, WorkspaceEntity};
use crate::http::guard::{PrincipalRequest, UnscopedChange};
use crate::http::input::{Input, Json, NoBody, NoPath};
use crate::http::paging::Page;
use crate::http::params::{LIMIT_DEFAULT, Params};
use crate::http::problem::Problem;
use crate::http::request::{AuthenticatedRequest, RequestedView, WorkspaceRequest};
use crate::http::response;
use crate::log::{RecordPlace, RecordScope};

/// The name of the list in its cursors.
const WORKSPACES: &str = "workspaces";

/// The RBAC switch.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RbacBody {
    /// Whether RBAC is on.
    pub enabled: bool,
}

/// Creates a workspace.
pub async fn create(
    UnscopedChange(request): UnscopedChange,
    _: NoPath,
    Json(command): Json<CreateWorkspace>,
) -> HandlerResult {
    submit(request, (None, None), vec![command.into()], new_workspace).await
}

/// Shows a workspace.
pub async fn show(request: PrincipalRequest, _: NoPath, requested: RequestedView) -> HandlerResult {
    let found = entity::workspace(&requested.view);
    let found = found.ok_or_else(|| Problem::not_found("workspace", request.path("ws")))?;
    response::for_view(&requested.view, &found)
}

/// Deletes a workspace. Its name is free after that, so the idempotency record is stored under the name too. An operator's retry then gets
/// the first response, and does not delete a newer workspace of the same name.
pub async fn delete(UnscopedChange(request): UnscopedChange, _: NoPath, _: NoBody) -> HandlerResult {
    let named = request.path("ws");
    let name = named.parse().ok().filter(|_| request.caller == Caller::Operator);
    let alias = name.map(|name| RecordScope { place: RecordPlace::Name(name), holder: request.caller.actor() });
    let found = request.find_workspace().await;
    if let (Err(_), Some(alias)) = (&found, &alias)
        && let Some(response) = replay_response(&request, alias.clone(), &[DeleteWorkspace {}.into()], entities).await?
    {
        return Ok(response);
    }
    let WorkspaceRequest { request, root, .. } = request.within(found?)?;
    submit(request, (Some(root.id()), alias), vec![DeleteWorkspace {}.into()], entities).await
}

/// Changes the plan of a workspace.
pub fn set_plan(_: NoPath, Json(command): Json<ChangePlan>) -> Command {
    command.into()
}

/// Turns RBAC on or off.
pub fn set_rbac(_: NoPath, Json(body): Json<RbacBody>) -> Command {
    if body.enabled { EnableRbac {}.into() } else { DisableRbac {}.into() }
}

/// Lists all workspaces for the operator, and its own one for everyone else.
pub async fn list(request: AuthenticatedRequest, _: NoPath, paging: WorkspacesPaging) -> HandlerResult {
    let WorkspacesPaging { start, limit } = paging;
    let page = match request.home.clone() {
        None => every(&request, &start, limit).await?,
        Some(home) => Page { items: entity::workspace(&view(home, &start)?).into_iter().collect(), next: None },
    };
    let mut response = response::json(StatusCode::OK, response::to_json(&page)?);
    response::set_instant(response.headers_mut(), start.instant);
    Ok(response)
}

/// The page of workspaces that a request asks for.
pub struct WorkspacesPaging {
    start: PageStart,
    limit: usize,
}

impl Input<AuthenticatedRequest> for WorkspacesPaging {
    fn names() -> Vec<&'static str> {
        vec!["at", "revision", "at_least", "limit", "cursor"]
    }

    fn read(params: &mut Params, request: &AuthenticatedRequest) -> Result<Self, Problem> {
        request.permit()?;
        let limit = params.limit()?.unwrap_or(LIMIT_DEFAULT);
        let (at, instant) = instant(params, request.received)?;
        let cursor = params.text("cursor").map(|cursor| read_cursor(request, &cursor, at)).transpose()?;
        let first = PageStart { at, instant, after: None };
        let start = cursor.map_or(first, |WorkspacesCursor { instant, last }| PageStart {
            at: At::Instant(instant),
            instant,
            after: Some(last),
        });
        Ok(Self { start, limit })
    }
}

/// The start of a page: the instant of the first page, and the last workspace of the page before.
struct PageStart {
    at: At,
    instant: Instant,
    after: Option<WorkspaceId>,
}

/// Returns the instant of the list. Each workspace has its own revisions, so none can be named here.
fn instant(params: &mut Params, now: Instant) -> Result<(At, Instant), Problem> {
    match params.at()? {
        At::Now => Ok((At::Now, now)),
        At::Instant(at) if at <= now => Ok((At::Instant(at), at)),
        At::Instant(at) => Err(Problem::invalid(format!("`at`: `{at}` is later than now, {now}"))),
        At::Revision(_) | At::Both(..) => {
            Err(Problem::invalid("`at`: each workspace has revisions of its own, so name an instant"))
        }
    }
}

/// The content of a cursor: the instant of the first page, and the last workspace of the page before.
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

/// Returns the next page of all workspaces. Some in the store may be deleted, so it reads on until the page is full and one more is found.
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

/// Returns a workspace at the instant of the page; none if it did not exist or its log cannot be read.
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

/// Returns the view of a workspace at the instant of the page.
fn view(root: Arc<Workspace>, start: &PageStart) -> Result<View, Problem> {
    Ok(View::new(root, start.at, start.instant)?)
}
