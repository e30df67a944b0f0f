//! Workspaces, their plan, and whether RBAC is on.

use std::sync::Arc;

use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Answered;
use crate::domain::command::{ChangePlan, Command, CreateWorkspace, DeleteWorkspace, DisableRbac, EnableRbac};
use crate::domain::id::WorkspaceId;
use crate::domain::principal::Caller;
use crate::domain::view::{At, View};
use crate::http::answer::{self, Page};
use crate::http::asked::{Asked, InWorkspace};
use crate::http::change::{change, entities, new_workspace, submit};
use crate::http::entity::{self, WorkspaceEntity};
use crate::http::problem::Problem;

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
    submit(asked, None, vec![command.into()], new_workspace).await
}

/// Shows a workspace.
pub async fn show(mut request: InWorkspace) -> Answered {
    let (view, _) = request.view()?;
    std::mem::take(&mut request.asked.params).finish()?;
    request.only()?;
    let found = entity::workspace(&view).ok_or_else(|| Problem::not_found("workspace", request.asked.path("ws")))?;
    answer::about(&view, &found)
}

/// Deletes a workspace.
pub async fn delete(request: InWorkspace) -> Answered {
    request.asked.no_body()?;
    change(request, vec![DeleteWorkspace {}.into()], entities).await
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
    let limit = asked.params.limit()?;
    let at = asked.params.at()?;
    if matches!(at, At::Revision(_) | At::Both(..)) {
        return Err(Problem::invalid("`at`: each workspace has revisions of its own, so name an instant"));
    }
    let cursor: Option<WorkspaceId> = asked.params.value("cursor")?;
    std::mem::take(&mut asked.params).finish()?;
    let page = match asked.home {
        None => every(&asked, at, cursor, limit).await?,
        Some(home) => Page { items: shown(&asked, home, at).await?.into_iter().collect(), next: None },
    };
    Ok(answer::json(StatusCode::OK, answer::bytes(&page)?))
}

/// The next page of all workspaces. A page that the store gives may hold some that were deleted, so pages are read until one
/// is full.
async fn every(
    asked: &Asked,
    at: At,
    mut after: Option<WorkspaceId>,
    limit: usize,
) -> Result<Page<WorkspaceEntity>, Problem> {
    let mut items = Vec::new();
    loop {
        let ids = asked.app.service.workspaces(after, limit).await?;
        let Some(last) = ids.last().copied() else { return Ok(Page { items, next: None }) };
        for id in ids {
            items.extend(shown(asked, id, at).await?);
            if items.len() == limit {
                return Ok(Page { items, next: Some(id.to_string()) });
            }
        }
        after = Some(last);
    }
}

/// A workspace as it stood; none if it did not exist, or its log cannot be read.
async fn shown(asked: &Asked, id: WorkspaceId, at: At) -> Result<Option<WorkspaceEntity>, Problem> {
    let root = match asked.app.service.workspace(id).await {
        Ok(root) => root,
        Err(error) => {
            tracing::error!(request_id = asked.request_id(), %error, "a workspace is left out of a list");
            None
        }
    };
    let Some(root) = root else { return Ok(None) };
    Ok(entity::workspace(&View::new(Arc::clone(&root), at, asked.app.service.now())?))
}
