//! Resource types, and where resources live.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::HandlerResult;
use super::environments::may_see;
use crate::domain::model::command::{
    Command, DefineResourceType, EnvironmentRef, PlaceResource, RemoveResource, ResourceRef, ResourceSpec,
    ResourceTypeRef,
};
use crate::domain::model::id::EnvironmentId;
use crate::domain::model::name::ResourceId;
use crate::domain::model::resource_catalogue::RESOURCE_TYPES;
use crate::domain::state::view::{PlacementView, View};
use crate::http::entity;
use crate::http::guard::PrincipalRequest;
use crate::http::input::{Json, NoBody, NoPath, QueryParams};
use crate::http::paging::Paging;
use crate::http::problem::Problem;
use crate::http::request::RequestedView;
use crate::http::response;

/// The path of a resource type.
#[derive(Debug, Deserialize)]
pub struct ResourceTypePath {
    #[serde(rename = "type")]
    resource_type: ResourceTypeRef,
}

/// The path of a resource.
#[derive(Debug, Deserialize)]
pub struct ResourcePath {
    #[serde(rename = "type")]
    resource_type: String,
    id: String,
}

/// The path of a resource that is to be placed.
#[derive(Debug, Deserialize)]
pub struct PlacementPath {
    #[serde(rename = "type")]
    resource_type: ResourceTypeRef,
    id: ResourceId,
}

/// The filters of a list of resources.
#[derive(Debug, Deserialize)]
pub struct ResourcesQuery {
    #[serde(rename = "type")]
    resource_type: Option<ResourceTypeRef>,
    environment: Option<EnvironmentRef>,
}

/// The placement of a resource.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlacementBody {
    /// The environment, by name or id.
    pub environment: EnvironmentRef,
}

/// Lists resource types: the built-in ones, then the workspace's own.
pub async fn list_types(_: PrincipalRequest, _: NoPath, paging: Paging) -> HandlerResult {
    let view = &paging.view;
    let built_in = RESOURCE_TYPES.iter().filter(|_| view.exists()).map(|(name, _)| *name);
    let names = built_in.chain(view.resource_types().map(|own| own.name.as_str()));
    response::for_view(view, &paging.page(names.filter_map(|name| entity::resource_type(view, name))))
}

/// Shows a resource type.
pub async fn show_type(_: PrincipalRequest, path: ResourceTypePath, requested: RequestedView) -> HandlerResult {
    let (view, named) = (&requested.view, &path.resource_type.0);
    let found = entity::resource_type(view, named).ok_or_else(|| Problem::not_found("resource type", named))?;
    response::for_view(view, &found)
}

/// Defines a resource type.
pub fn define_type(_: NoPath, Json(command): Json<DefineResourceType>) -> Command {
    command.into()
}

/// Lists where resources live: all of them, or those in environments that the caller has access to.
pub async fn list(
    request: PrincipalRequest,
    _: NoPath,
    (paging, QueryParams(query)): (Paging, QueryParams<ResourcesQuery>),
) -> HandlerResult {
    let ResourcesQuery { resource_type, environment } = query;
    let view = &paging.view;
    let only = environment.map(|named| known_environment(&request, view, &named)).transpose()?;
    if let Some(named) = &resource_type {
        check_type(&request, view, named)?;
    }
    let visible = request.listing(|| visible_environments(&request, view)).await?;
    let row = |found: PlacementView<'_>| {
        let environment = found.environment.value;
        let is_visible = visible.as_ref().is_none_or(|visible| visible.contains(&environment));
        let matches = resource_type.as_ref().is_none_or(|named| found.resource_type.as_str() == named.0);
        if is_visible && matches { entity::resource(view, &found) } else { None }
    };
    let page = || match (&only, &resource_type) {
        (Some(only), _) => paging.filtered_page(only.iter().flat_map(|id| view.placements_in(*id)), row),
        (None, Some(named)) => paging.filtered_page(view.placements_of(&named.0), row),
        (None, None) => paging.filtered_page(view.placements(), row),
    };
    response::for_view(view, &request.listing(page).await?)
}

/// Returns the environments whose resources the caller may know of; none if it may know of all.
fn visible_environments(request: &PrincipalRequest, view: &View) -> Option<BTreeSet<EnvironmentId>> {
    request.only.as_ref()?;
    let ids = view.environments().map(|environment| environment.id);
    Some(ids.filter(|id| may_see(request, *id)).collect())
}

/// Returns the environment that a filter names in the view; none if it is not there at that time.
///
/// # Errors
/// It never was there, as far as the caller may know (404).
fn known_environment(
    request: &PrincipalRequest,
    view: &View,
    named: &EnvironmentRef,
) -> Result<Option<EnvironmentId>, Problem> {
    let found = view.find_environment(named).map(|found| found.id);
    let ever = found.as_ref().map_or_else(|_| request.now().environments_ever(named), |id| vec![*id]);
    let known = ever.into_iter().any(|id| may_see(request, id));
    if known { Ok(found.ok()) } else { Err(Problem::not_found("environment", &named.0)) }
}

/// Checks that a resource type exists in the view, or later.
fn check_type(request: &PrincipalRequest, view: &View, named: &ResourceTypeRef) -> Result<(), Problem> {
    view.find_resource_type(named).or_else(|_| request.now().find_resource_type(named))?;
    Ok(())
}

/// Shows where a resource lives.
pub async fn show(request: PrincipalRequest, path: ResourcePath, requested: RequestedView) -> HandlerResult {
    let view = &requested.view;
    let reference = ResourceRef { resource_type: path.resource_type, id: path.id };
    let not_found = || Problem::not_found("placed resource", &reference.to_string());
    let found = view.find_placement(&reference)?;
    if !may_see(&request, found.environment.value) {
        return Err(not_found());
    }
    let shown = entity::resource(view, &found).ok_or_else(not_found)?;
    response::for_view(view, &shown)
}

/// Places a resource in an environment, or moves it there.
pub fn place(PlacementPath { resource_type, id }: PlacementPath, Json(body): Json<PlacementBody>) -> Command {
    PlaceResource { resource: ResourceSpec { resource_type, id }, environment: body.environment }.into()
}

/// Removes the placement of a resource.
pub fn remove(ResourcePath { resource_type, id }: ResourcePath, _: NoBody) -> Command {
    RemoveResource { resource: ResourceRef { resource_type, id } }.into()
}
