//! Commands about the workspace as a whole.

use super::CommandResult;
use crate::domain::model::command::{ChangePlan, CreateWorkspace};
use crate::domain::model::event::{
    EnvironmentDescription, EventData, Membership, Nothing, PlanChange, TokenTerms, WorkspaceDescription,
};
use crate::domain::model::id::{EnvironmentId, GeneratedIds, TokenId};
use crate::domain::model::name::EnvironmentName;
use crate::domain::model::principal::Principal;
use crate::domain::model::rejection::Rejection;
use crate::domain::model::role::WorkspaceRole;
use crate::domain::state::view::View;

/// The first environment of every workspace.
const FIRST_ENVIRONMENT: &str = "main";

/// Makes a workspace with its owner, the owner's first token and an unrestricted environment.
///
/// The store checks that no other live workspace has the name, because a workspace does not know the others.
pub(super) fn create(view: &View, command: &CreateWorkspace, generated: &GeneratedIds) -> CommandResult {
    let CreateWorkspace { name, kind, plan, owner } = command;
    if view.existence().since != crate::domain::model::time::Revision::ZERO {
        return Err(Rejection::AlreadyExists { kind: "workspace", name: name.to_string() });
    }
    let main: EnvironmentName =
        FIRST_ENVIRONMENT.parse().map_err(|error| Rejection::invalid_text("environment", &error))?;
    let token = TokenTerms { holder: Principal::User(owner.user.clone()), sha256: generated.digest, expires_at: None };
    let description = WorkspaceDescription { name: name.clone(), kind: *kind, plan: *plan };
    Ok(vec![
        EventData::WorkspaceCreated(view.workspace().id(), description),
        EventData::MemberAdded(owner.user.clone(), Membership { role: WorkspaceRole::Owner }),
        EventData::EnvironmentCreated(
            EnvironmentId::from_uuid(generated.environment),
            EnvironmentDescription { name: main },
        ),
        EventData::TokenIssued(TokenId::from_uuid(generated.token), token),
    ])
}

pub(super) fn delete(view: &View) -> Vec<EventData> {
    vec![EventData::WorkspaceDeleted(view.workspace().id(), Nothing {})]
}

/// Changes the plan. A plan without RBAC disables RBAC.
pub(super) fn change_plan(view: &View, command: &ChangePlan) -> Vec<EventData> {
    let id = view.workspace().id();
    let mut events = Vec::new();
    if view.plan().value != command.plan {
        events.push(EventData::PlanChanged(id, PlanChange { plan: command.plan }));
    }
    if !command.plan.includes_rbac() {
        events.extend(disable_rbac(view));
    }
    events
}

pub(super) fn enable_rbac(view: &View) -> CommandResult {
    let plan = view.plan().value;
    if !plan.includes_rbac() {
        return Err(Rejection::PlanRequired(plan));
    }
    let enabled = EventData::RbacEnabled(view.workspace().id(), Nothing {});
    Ok(if view.rbac().value { Vec::new() } else { vec![enabled] })
}

pub(super) fn disable_rbac(view: &View) -> Vec<EventData> {
    let disabled = EventData::RbacDisabled(view.workspace().id(), Nothing {});
    if view.rbac().value { vec![disabled] } else { Vec::new() }
}
