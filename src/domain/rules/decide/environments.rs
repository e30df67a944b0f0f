//! Commands about environments.

use super::grants::{check_all, check_rbac, find_all, give_all, revoke_all_in};
use super::resources::remove_all_in;
use super::{CommandResult, ENVIRONMENTS_MAX};
use crate::domain::model::command::{
    CreateEnvironment, DeleteEnvironment, RenameEnvironment, RestrictEnvironment, SetDefaultRole, UnrestrictEnvironment,
};
use crate::domain::model::event::{EnvironmentDescription, EventData, Nothing, ProxyTokenScope, Restriction};
use crate::domain::model::id::{EnvironmentId, GeneratedIds};
use crate::domain::model::name::EnvironmentName;
use crate::domain::model::principal::Caller;
use crate::domain::model::rejection::Rejection;
use crate::domain::model::role::EnvironmentRole;
use crate::domain::state::view::View;

/// The default role of the reference documents.
const DEFAULT_ROLE: EnvironmentRole = EnvironmentRole::Viewer;

const RESTRICTING: &str = "enable it before restricting environments";

/// Makes an environment. A restricted one is never open: its restriction and grants are part of the same command.
pub(super) fn create(
    view: &View,
    caller: &Caller,
    command: &CreateEnvironment,
    generated: &GeneratedIds,
) -> CommandResult {
    let CreateEnvironment { name, restricted, default_role, grants } = command;
    let given = find_all(view, caller, grants)?;
    if *restricted {
        check_rbac(view, RESTRICTING)?;
    }
    check_name_free(view, name)?;
    if !restricted && (default_role.is_some() || !given.is_empty()) {
        return Err(Rejection::EnvironmentUnrestricted(name.to_string()));
    }
    check_all(view, None, &given)?;
    if view.workspace().live_counts.environments >= ENVIRONMENTS_MAX {
        return Err(Rejection::TooLarge { what: "environments a workspace", max: ENVIRONMENTS_MAX });
    }
    let id = EnvironmentId::from_uuid(generated.entity);
    let mut events = vec![EventData::EnvironmentCreated(id, EnvironmentDescription { name: name.clone() })];
    if *restricted {
        events.push(EventData::EnvironmentRestricted(id, restriction(default_role.unwrap_or(DEFAULT_ROLE))));
        events.extend(give_all(view, id, None, &given));
    }
    Ok(events)
}

pub(super) fn rename(view: &View, command: &RenameEnvironment) -> CommandResult {
    let environment = view.find_environment(&command.environment)?;
    if *environment.name == command.name {
        return Ok(Vec::new());
    }
    if environment.name.key() != command.name.key() {
        check_name_free(view, &command.name)?;
    }
    Ok(vec![EventData::EnvironmentRenamed(environment.id, EnvironmentDescription { name: command.name.clone() })])
}

/// Restricts an environment. If it is restricted already, a default role that is left out is kept.
pub(super) fn restrict(view: &View, caller: &Caller, command: &RestrictEnvironment) -> CommandResult {
    let environment = view.find_environment(&command.environment)?;
    let given = find_all(view, caller, &command.grants)?;
    check_rbac(view, RESTRICTING)?;
    check_all(view, Some(&environment), &given)?;
    let id = environment.id;
    let mut events = match (environment.default_role(), command.default_role) {
        (None, requested) => vec![EventData::EnvironmentRestricted(id, restriction(requested.unwrap_or(DEFAULT_ROLE)))],
        (Some(held), Some(requested)) if held != requested => {
            vec![EventData::EnvironmentDefaultRoleChanged(id, restriction(requested))]
        }
        (Some(_), _) => Vec::new(),
    };
    events.extend(give_all(view, id, Some(&environment), &given));
    Ok(events)
}

pub(super) fn set_default_role(view: &View, command: &SetDefaultRole) -> CommandResult {
    let environment = view.find_environment(&command.environment)?;
    let changed = EventData::EnvironmentDefaultRoleChanged(environment.id, restriction(command.default_role));
    match environment.default_role() {
        None => Err(Rejection::EnvironmentUnrestricted(environment.name.to_string())),
        Some(held) if held == command.default_role => Ok(Vec::new()),
        Some(_) => Ok(vec![changed]),
    }
}

/// Opens an environment to everyone and revokes its grants, so that none is left without effect.
pub(super) fn unrestrict(view: &View, command: &UnrestrictEnvironment) -> CommandResult {
    let environment = view.find_environment(&command.environment)?;
    if environment.default_role().is_none() {
        return Ok(Vec::new());
    }
    let mut events = revoke_all_in(view, &environment);
    events.push(EventData::EnvironmentUnrestricted(environment.id, Nothing {}));
    Ok(events)
}

pub(super) fn delete(view: &View, command: &DeleteEnvironment) -> CommandResult {
    let environment = view.find_environment(&command.environment)?;
    let mut events = revoke_all_in(view, &environment);
    events.extend(leave_scopes(view, environment.id));
    events.extend(remove_all_in(view, environment.id));
    events.push(EventData::EnvironmentDeleted(environment.id, Nothing {}));
    Ok(events)
}

/// Removes an environment from the scope of each proxy token. A token with an empty scope is valid nowhere.
fn leave_scopes(view: &View, environment: EnvironmentId) -> impl Iterator<Item = EventData> {
    view.proxy_tokens().filter_map(move |token| {
        let scope = token.scope.value.filter(|scope| scope.contains(&environment))?;
        let environments = scope.iter().copied().filter(|id| *id != environment).collect();
        Some(EventData::ProxyTokenScoped(token.id, ProxyTokenScope { environments }))
    })
}

fn check_name_free(view: &View, name: &EnvironmentName) -> Result<(), Rejection> {
    match view.environment_named(name.as_str()) {
        Some(_) => Err(Rejection::AlreadyExists { kind: "environment", name: name.to_string() }),
        None => Ok(()),
    }
}

const fn restriction(default_role: EnvironmentRole) -> Restriction {
    Restriction { default_role }
}
