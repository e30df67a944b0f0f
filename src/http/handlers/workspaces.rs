//! Workspaces, their plan, and whether RBAC is on.

use std::sync::Arc;

use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Answered;
use crate::domain::command::{ChangePlan, Command, CreateWorkspace, DeleteWorkspace, DisableRbac, EnableRbac};
use crate::domain::id::WorkspaceId;
use crate::domain::principal::Caller;
use crate::domain::role::AccessKeyRole;
use crate::domain::time::Instant;
use crate::domain::view::{At, View};
use crate::domain::workspace::Workspace;
use crate::http::answer::{self, Page};
use crate::http::asked::{Asked, InWorkspace};
use crate::http::change::{answer_again, change, entities, new_workspace, submit};
use crate::http::entity::{self, WorkspaceEntity};
use crate::http::params::LIMIT_DEFAULT;
use crate::http::problem::Problem;

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
pub async fn create(asked: Asked) -> Answered {
    if asked.caller != Caller::Operator {
        return Err(Problem::forbidden("only the operator may do this"));
    }
    let command: CreateWorkspace = asked.body()?;
    submit(asked, (None, None), vec![command.into()], new_workspace).await
}

/// Shows a workspace.
pub async fn show(mut request: InWorkspace) -> Answered {
    let (view, _) = request.view()?;
    std::mem::take(&mut request.asked.params).finish()?;
    request.only()?;
    let found = entity::workspace(&view).ok_or_else(|| Problem::not_found("workspace", request.asked.path("ws")))?;
    answer::about(&view, &found)
}

/// Deletes a workspace. Its name is free after that, so the answer is kept under the name too: the operator who sends the request
/// again gets it, and no workspace that has taken the name since is meant.
pub async fn delete(asked: Asked) -> Answered {
    asked.no_body()?;
    let named = asked.path("ws");
    let by_name = asked.caller == Caller::Operator && named.parse::<WorkspaceId>().is_err();
    let alias = by_name.then(|| format!("name {named} {}", asked.holder()));
    let found = asked.find_workspace().await;
    if let (Err(_), Some(alias)) = (&found, &alias)
        && let Some(answer) = answer_again(&asked, alias.clone(), &[DeleteWorkspace {}.into()], entities).await?
    {
        return Ok(answer);
    }
    let InWorkspace { asked, root, .. } = asked.within(found?)?;
    submit(asked, (Some(root.id()), alias), vec![DeleteWorkspace {}.into()], entities).await
}

/// Subscribes a workspace to another plan.
pub async fn set_plan(request: InWorkspace) -> Answered {
    let command: ChangePlan = request.asked.body()?;
    change(request, vec![command.into()], entities).await
}

/// Turns RBAC on or off.
pub async fn set_rbac(request: InWorkspace) -> Answered {
    let body: RbacBody = request.asked.body()?;
    let command: Command = if body.enabled { EnableRbac {}.into() } else { DisableRbac {}.into() };
    change(request, vec![command], entities).await
}

/// Lists the workspaces that the caller has a part in: all of them for the operator, else its own.
pub async fn list(mut asked: Asked) -> Answered {
    if matches!(asked.caller, Caller::AccessKey { role: AccessKeyRole::Evaluator, .. }) {
        return Err(Problem::forbidden("an `evaluator` key asks for decisions and reads nothing else"));
    }
    asked.permit()?;
    let limit = asked.params.limit()?.unwrap_or(LIMIT_DEFAULT);
    let (at, instant) = instant(&mut asked)?;
    let cursor = asked.params.text("cursor").map(|cursor| read_cursor(&asked, &cursor, at)).transpose()?;
    std::mem::take(&mut asked.params).finish()?;
    let first = Place { at, instant, after: None };
    let place =
        cursor.map_or(first, |Cursor { instant, last }| Place { at: At::Instant(instant), instant, after: Some(last) });
    let page = match asked.home.clone() {
        None => every(&asked, &place, limit).await?,
        Some(home) => Page { items: entity::workspace(&view(home, &place)?).into_iter().collect(), next: None },
    };
    let mut response = answer::json(StatusCode::OK, answer::bytes(&page)?);
    answer::name_instant(response.headers_mut(), place.instant);
    Ok(response)
}

/// Where a page begins: the instant of the first page, and the last workspace of the page before.
struct Place {
    at: At,
    instant: Instant,
    after: Option<WorkspaceId>,
}

/// The instant that is asked about. Each workspace has revisions of its own, so none can be named here.
fn instant(asked: &mut Asked) -> Result<(At, Instant), Problem> {
    let now = asked.received;
    match asked.params.at()? {
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
struct Cursor {
    instant: Instant,
    last: WorkspaceId,
}

fn read_cursor(asked: &Asked, text: &str, at: At) -> Result<Cursor, Problem> {
    let found = asked.app.cursors.open::<Cursor>(WORKSPACES, text);
    found.filter(|cursor| at == At::Now || at == At::Instant(cursor.instant)).ok_or_else(|| {
        Problem::invalid("`cursor`: this is not the `next` of a page of the same question; ask again without it")
    })
}

/// The next page of all workspaces. A page that the store gives may hold some that were deleted, so pages are read until one
/// is full and another row is found.
async fn every(asked: &Asked, place: &Place, limit: usize) -> Result<Page<WorkspaceEntity>, Problem> {
    let mut items: Vec<WorkspaceEntity> = Vec::new();
    let mut after = place.after;
    loop {
        let ids = asked.app.service.workspaces(after, limit).await?;
        let Some(last) = ids.last().copied() else { return Ok(Page { items, next: None }) };
        for id in ids {
            let Some(found) = shown(asked, id, place).await? else { continue };
            if items.len() == limit {
                let next = items.last().map(|last| Cursor { instant: place.instant, last: last.id });
                let next = next.map(|next| asked.app.cursors.seal(WORKSPACES, &next));
                return Ok(Page { items, next });
            }
            items.push(found);
        }
        after = Some(last);
    }
}

/// A workspace as it stood; none if it did not exist, or its log cannot be read.
async fn shown(asked: &Asked, id: WorkspaceId, place: &Place) -> Result<Option<WorkspaceEntity>, Problem> {
    let root = match asked.app.service.workspace(id).await {
        Ok(root) => root,
        Err(error) => {
            tracing::error!(request_id = asked.request_id(), %error, "a workspace is left out of a list");
            None
        }
    };
    let Some(root) = root else { return Ok(None) };
    Ok(entity::workspace(&view(root, place)?))
}

/// The workspace as of where a page begins.
fn view(root: Arc<Workspace>, place: &Place) -> Result<View, Problem> {
    Ok(View::new(root, place.at, place.instant)?)
}
