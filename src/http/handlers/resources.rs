//! Resource types, and where resources live.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::HandlerResult;
use super::environments::may_see;
use crate::domain::catalogue::RESOURCE_TYPES;
use crate::domain::command::{
    DefineResourceType, EnvironmentRef, PlaceResource, RemoveResource, ResourceRef, ResourceSpec,
};
use crate::domain::id::EnvironmentId;
use crate::domain::rejection::Rejection;
use crate::domain::view::{PlacementView, View};
use crate::http::change::{change, entities};
use crate::http::entity;
use crate::http::problem::Problem;
use crate::http::request::WorkspaceRequest;
use crate::http::response::{self, Paging};

/// Where a resource is placed.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlacementBody {
    /// The environment, by name or id.
    pub environment: EnvironmentRef,
}

/// Lists resource types: the built-in ones, then the workspace's own.
pub async fn list_types(mut request: WorkspaceRequest) -> HandlerResult {
    let paging = Paging::of(&mut request)?;
    std::mem::take(&mut request.params).finish()?;
    request.only()?;
    let view = &paging.view;
    let built_in = RESOURCE_TYPES.iter().filter(|_| view.exists()).map(|(name, _)| *name);
    let names = built_in.chain(view.resource_types().map(|own| own.name.as_str()));
    response::for_view(view, &paging.page(names.filter_map(|name| entity::resource_type(view, name))))
}

/// Shows a resource type.
pub async fn show_type(mut request: WorkspaceRequest) -> HandlerResult {
    let (view, _) = request.view()?;
    std::mem::take(&mut request.params).finish()?;
    request.only()?;
    let named = request.path("type");
    let found = entity::resource_type(&view, named).ok_or_else(|| Problem::not_found("resource type", named))?;
    response::for_view(&view, &found)
}

/// Defines a resource type.
pub async fn define_type(request: WorkspaceRequest) -> HandlerResult {
    let command: DefineResourceType = request.body()?;
    change(request, vec![command.into()], entities).await
}

/// Lists where resources live: all of them, or those in environments that the caller has access to.
pub async fn list(mut request: WorkspaceRequest) -> HandlerResult {
    let paging = Paging::of(&mut request)?;
    let resource_type = request.params.text("type");
    let environment = request.params.text("environment");
    std::mem::take(&mut request.params).finish()?;
    request.only()?;
    let view = &paging.view;
    let only = environment.map(|named| known_environment(&request, view, &named.into())).transpose()?;
    if let Some(named) = &resource_type {
        check_type(&request, view, named)?;
    }
    let seen = request.listing(|| seen(&request, view)).await??;
    let row = |found: PlacementView<'_>| {
        let environment = found.environment.value;
        let shown = seen.as_ref().is_none_or(|seen| seen.contains(&environment));
        let asked_for = resource_type.as_ref().is_none_or(|named| found.resource_type.as_str() == named);
        if shown && asked_for { entity::resource(view, &found) } else { None }
    };
    let page = || match (&only, &resource_type) {
        (Some(only), _) => paging.pick(only.iter().flat_map(|id| view.placements_in(*id)), row),
        (None, Some(named)) => paging.pick(view.placements_of(named), row),
        (None, None) => paging.pick(view.placements(), row),
    };
    response::for_view(view, &request.listing(page).await?)
}

/// Which environments' resources the caller may know of; none if all of them.
fn seen(request: &WorkspaceRequest, view: &View) -> Result<Option<BTreeSet<EnvironmentId>>, Problem> {
    if request.only()?.is_none() {
        return Ok(None);
    }
    let ids = view.environments().map(|environment| environment.id);
    Ok(Some(ids.filter(|id| may_see(request, *id).unwrap_or(false)).collect()))
}

/// The environment that a filter names in the view: none if it is not there at that time, an error if, as far as the caller
/// may know, it never was.
fn known_environment(
    request: &WorkspaceRequest,
    view: &View,
    named: &EnvironmentRef,
) -> Result<Option<EnvironmentId>, Problem> {
    let found = view.find_environment(named).map(|found| found.id);
    let ever = found.as_ref().map_or_else(|_| request.now().environments_ever(named), |id| vec![*id]);
    let known = ever.into_iter().any(|id| may_see(request, id).unwrap_or(false));
    if known { Ok(found.ok()) } else { Err(Problem::not_found("environment", &named.0)) }
}

/// Makes sure that there is a resource type, or will be later than the view.
fn check_type(request: &WorkspaceRequest, view: &View, named: &str) -> Result<(), Problem> {
    let reference = named.into();
    view.find_resource_type(&reference).or_else(|_| request.now().find_resource_type(&reference))?;
    Ok(())
}

/// Shows where a resource lives.
pub async fn show(mut request: WorkspaceRequest) -> HandlerResult {
    let (view, _) = request.view()?;
    std::mem::take(&mut request.params).finish()?;
    request.only()?;
    let reference = named(&request);
    let not_found = || Problem::not_found("placed resource", &reference.to_string());
    let found = view.find_placement(&reference)?;
    if !may_see(&request, found.environment.value)? {
        return Err(not_found());
    }
    let shown = entity::resource(&view, &found).ok_or_else(not_found)?;
    response::for_view(&view, &shown)
}

fn named(request: &WorkspaceRequest) -> ResourceRef {
    let (resource_type, id) = (request.path("type").to_owned(), request.path("id").to_owned());
    ResourceRef { resource_type, id }
}

/// Places a resource in an environment, or moves it there.
pub async fn place(request: WorkspaceRequest) -> HandlerResult {
    let PlacementBody { environment } = request.body()?;
    let ResourceRef { resource_type, id } = named(&request);
    let id = id.parse().map_err(|error| Rejection::invalid_text("id", &error))?;
    let resource = ResourceSpec { resource_type: resource_type.into(), id };
    change(request, vec![PlaceResource { resource, environment }.into()], entities).await
}

/// Takes the placement of a resource back.
pub async fn remove(request: WorkspaceRequest) -> HandlerResult {
    request.no_body()?;
    let resource = named(&request);
    change(request, vec![RemoveResource { resource }.into()], entities).await
}
