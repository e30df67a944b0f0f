//! Resource types and placements in a view.

use std::sync::Arc;

use super::View;
use crate::domain::model::command::{ResourceRef, ResourceTypeRef};
use crate::domain::model::id::EnvironmentId;
use crate::domain::model::name::{ActionName, ResourceId, ResourceTypeName};
use crate::domain::model::rejection::Rejection;
use crate::domain::model::resource::{Actions, ResourceKey};
use crate::domain::model::resource_catalogue::{self, Requirement, Uncatalogued};
use crate::domain::model::time::Revision;
use crate::domain::state::resource_facts::PlacementTimeline;
use crate::domain::state::timeline::{Since, Timeline};

/// A resource type that the workspace defined.
#[derive(Debug, Clone, Copy)]
pub struct ResourceTypeView<'a> {
    /// Its name.
    pub name: &'a ResourceTypeName,
    /// Its actions, and the event that set them.
    pub actions: Since<&'a Actions>,
    /// The event that defined it first.
    pub defined: Revision,
}

/// A placed resource.
#[derive(Debug, Clone, Copy)]
pub struct PlacementView<'a> {
    /// Its type.
    pub resource_type: &'a ResourceTypeName,
    /// Its id within the type.
    pub id: &'a ResourceId,
    /// Its environment, and the event that recorded it.
    pub environment: Since<EnvironmentId>,
}

impl PlacementView<'_> {
    /// Returns the resource.
    pub fn key(&self) -> ResourceKey {
        ResourceKey { resource_type: self.resource_type.clone(), id: self.id.clone() }
    }
}

impl View {
    /// Returns a resource type that the workspace defined.
    pub fn resource_type(&self, name: &str) -> Option<ResourceTypeView<'_>> {
        let (name, timeline) = self.workspace.resources.types.get_key_value(name).filter(|_| self.exists())?;
        self.resource_type_view(name, timeline)
    }

    fn resource_type_view<'a>(
        &self,
        name: &'a ResourceTypeName,
        timeline: &'a Timeline<Arc<Actions>>,
    ) -> Option<ResourceTypeView<'a>> {
        let entry = timeline.at(self.revision)?;
        let actions = Since { since: entry.since, value: entry.value.as_ref() };
        Some(ResourceTypeView { name, actions, defined: timeline.first()?.since })
    }

    /// Returns every resource type that the workspace defined, by name.
    pub fn resource_types(&self) -> impl Iterator<Item = ResourceTypeView<'_>> {
        let exists = self.exists();
        let types = self.workspace.resources.types.iter().filter(move |_| exists);
        types.filter_map(|(name, timeline)| self.resource_type_view(name, timeline))
    }

    /// Returns the actions on resources of a built-in or defined type; none for an unknown type.
    pub fn actions(&self, resource_type: &str) -> Vec<&str> {
        match self.resource_type(resource_type) {
            Some(own) => own.actions.value.keys().map(ActionName::as_str).collect(),
            None => resource_catalogue::actions(resource_type),
        }
    }

    /// Returns the requirement of an action on a resource. For a defined type, it comes with the event that set it.
    ///
    /// # Errors
    /// The type is unknown, or has no such action. The latter comes with the event that it rests on.
    pub fn requirement(
        &self,
        resource_type: &str,
        action: &str,
    ) -> Result<(Requirement, Option<Revision>), (Uncatalogued, Option<Revision>)> {
        let Some(own) = self.resource_type(resource_type) else {
            return resource_catalogue::requirement(resource_type, action)
                .map(|found| (found, None))
                .map_err(|why| (why, None));
        };
        let defined = Some(own.actions.since);
        match own.actions.value.get(action) {
            Some(required) => Ok((Requirement::Role((*required).into()), defined)),
            None => Err((Uncatalogued::Action, defined)),
        }
    }

    /// Returns the recorded placement of a resource.
    pub fn placement(&self, resource_type: &str, id: &str) -> Option<PlacementView<'_>> {
        let of_type = self.workspace.resources.placements.get_key_value(resource_type).filter(|_| self.exists());
        let (resource_type, of_type) = of_type?;
        let (id, timeline) = of_type.get_key_value(id)?;
        self.placement_view(resource_type, id, timeline)
    }

    /// Returns the last change of a resource's placement, including its end.
    pub fn last_placement_change(&self, resource_type: &str, id: &str) -> Option<Since<Option<EnvironmentId>>> {
        let timeline = self.workspace.resources.placements.get(resource_type)?.get(id)?;
        timeline.at(self.revision).copied()
    }

    fn placement_view<'a>(
        &self,
        resource_type: &'a ResourceTypeName,
        id: &'a ResourceId,
        timeline: &PlacementTimeline,
    ) -> Option<PlacementView<'a>> {
        let entry = timeline.at(self.revision)?;
        Some(PlacementView { resource_type, id, environment: entry.with(entry.value?) })
    }

    /// Returns every resource that is placed, by type and id.
    pub fn placements(&self) -> impl Iterator<Item = PlacementView<'_>> {
        let exists = self.exists();
        let all = self.workspace.resources.placements.iter().filter(move |_| exists);
        all.flat_map(|(resource_type, of_type)| of_type.iter().map(move |(id, timeline)| (resource_type, id, timeline)))
            .filter_map(|(resource_type, id, timeline)| self.placement_view(resource_type, id, timeline))
    }

    /// Returns every resource of a type that is placed, by id.
    pub fn placements_of(&self, resource_type: &str) -> impl Iterator<Item = PlacementView<'_>> {
        let of_type = self.workspace.resources.placements.get_key_value(resource_type).filter(|_| self.exists());
        let all = of_type.into_iter().flat_map(|(name, of_type)| of_type.iter().map(move |(id, at)| (name, id, at)));
        all.filter_map(|(name, id, timeline)| self.placement_view(name, id, timeline))
    }

    /// Returns every resource that is placed in an environment, by type and id.
    pub fn placements_in(&self, environment: EnvironmentId) -> impl Iterator<Item = PlacementView<'_>> {
        let ever = self.workspace.resources.placed.get(&environment).into_iter().flatten();
        let found = ever.filter_map(|key| self.placement(key.resource_type.as_str(), key.id.as_str()));
        found.filter(move |found| found.environment.value == environment)
    }

    /// Returns the placement of a resource by its type and id.
    ///
    /// # Errors
    /// `not_found`.
    pub fn find_placement(&self, reference: &ResourceRef) -> Result<PlacementView<'_>, Rejection> {
        let found = self.placement(&reference.resource_type, &reference.id);
        found.ok_or_else(|| Rejection::not_found("placed resource", &reference.to_string()))
    }

    /// Returns the name of a built-in or defined resource type.
    ///
    /// # Errors
    /// `not_found`.
    pub fn find_resource_type(&self, reference: &ResourceTypeRef) -> Result<ResourceTypeName, Rejection> {
        let known = resource_catalogue::is_built_in(&reference.0) || self.resource_type(&reference.0).is_some();
        let name = reference.0.parse().ok().filter(|_| known);
        name.ok_or_else(|| Rejection::not_found("resource type", &reference.0))
    }
}
