//! Commands about resource types and the placements of resources.

use super::{ACTIONS_MAX, CommandResult, PLACEMENTS_MAX, RESOURCE_TYPES_MAX};
use crate::domain::model::command::{DefineResourceType, PlaceResource, RemoveResource};
use crate::domain::model::event::{EventData, Move, Placement, ResourceTypeTerms};
use crate::domain::model::id::EnvironmentId;
use crate::domain::model::rejection::Rejection;
use crate::domain::model::resource::{Actions, ResourceKey};
use crate::domain::model::resource_catalogue::{ENVIRONMENT, WORKSPACE, is_built_in};
use crate::domain::state::view::{PlacementView, View};

/// Defines a resource type, or replaces the actions of one. Placements of its resources stay.
pub(super) fn define(view: &View, command: &DefineResourceType) -> CommandResult {
    let DefineResourceType { name, actions } = command;
    if is_built_in(name.as_str()) {
        return Err(Rejection::AlreadyExists { kind: "built-in resource type", name: name.to_string() });
    }
    check_actions(actions)?;
    match view.resource_type(name.as_str()) {
        Some(held) if held.actions.value == actions => return Ok(Vec::new()),
        None if view.workspace().resources.types.len() >= RESOURCE_TYPES_MAX => {
            return Err(Rejection::TooLarge { what: "resource types a workspace", max: RESOURCE_TYPES_MAX });
        }
        _ => {}
    }
    let terms = ResourceTypeTerms { actions: actions.clone() };
    Ok(vec![EventData::ResourceTypeDefined(name.clone(), terms)])
}

fn check_actions(actions: &Actions) -> Result<(), Rejection> {
    if actions.is_empty() {
        let why = "name at least one action, with the role that it requires".to_owned();
        return Err(Rejection::Invalid { field: "actions", why });
    }
    if actions.len() > ACTIONS_MAX {
        return Err(Rejection::TooLarge { what: "actions a resource type", max: ACTIONS_MAX });
    }
    Ok(())
}

pub(super) fn place(view: &View, command: &PlaceResource) -> CommandResult {
    let resource_type = view.find_resource_type(&command.resource.resource_type)?;
    let environment = view.find_environment(&command.environment)?.id;
    if [ENVIRONMENT, WORKSPACE].contains(&resource_type.as_str()) {
        let why = format!("a resource of type `{resource_type}` is where it is, and cannot be placed");
        return Err(Rejection::Invalid { field: "type", why });
    }
    let key = ResourceKey { resource_type, id: command.resource.id.clone() };
    match view.placement(key.resource_type.as_str(), key.id.as_str()).map(|held| held.environment.value) {
        Some(held) if held == environment => Ok(Vec::new()),
        Some(from) => Ok(vec![EventData::ResourceMoved(key, Move { from, environment })]),
        None if view.workspace().resources.placed_len >= PLACEMENTS_MAX => {
            Err(Rejection::TooLarge { what: "placed resources a workspace", max: PLACEMENTS_MAX })
        }
        None => Ok(vec![EventData::ResourcePlaced(key, Placement { environment })]),
    }
}

pub(super) fn remove(view: &View, command: &RemoveResource) -> CommandResult {
    let placement = view.find_placement(&command.resource)?;
    Ok(vec![removed(&placement)])
}

/// Returns an event that ends each placement in an environment.
pub(super) fn remove_all_in(view: &View, environment: EnvironmentId) -> impl Iterator<Item = EventData> {
    view.placements_in(environment).map(|placement| removed(&placement))
}

fn removed(placement: &PlacementView<'_>) -> EventData {
    EventData::ResourceRemoved(placement.key(), Placement { environment: placement.environment.value })
}
