//! The permission state of resource types and placements.

use super::read::{LastTenure, StateReader, WithLiveness, last_tenure};
use super::{PermissionState, PlacementState, ResourceTypeState};
use crate::domain::model::resource::ResourceKey;
use crate::domain::model::time::Revision;
use crate::domain::state::resource_facts::PlacementTimeline;
use crate::domain::state::workspace::Workspace;

impl StateReader<'_> {
    pub(super) fn resource_types(&self) -> impl Iterator<Item = WithLiveness<ResourceTypeState>> {
        self.workspace.resources.types.iter().filter_map(|(name, timeline)| {
            let actions = timeline.at(self.revision)?;
            let defined = timeline.iter().next()?.since;
            let (since, actions) = (actions.since, actions.value.as_ref().clone());
            Some((self.is_live(None, None), ResourceTypeState { name: name.clone(), actions, since, defined }))
        })
    }

    pub(super) fn resources(&self) -> impl Iterator<Item = WithLiveness<PlacementState>> {
        let all = self.workspace.resources.placements.iter();
        let all = all.flat_map(|(name, of_type)| of_type.iter().map(move |(id, timeline)| (name, id, timeline)));
        all.filter_map(|(resource_type, id, timeline)| {
            self.placement(ResourceKey { resource_type: resource_type.clone(), id: id.clone() }, timeline)
        })
    }

    fn placement(&self, resource: ResourceKey, timeline: &PlacementTimeline) -> Option<WithLiveness<PlacementState>> {
        let LastTenure { held, ended, .. } =
            last_tenure(timeline, self.revision, |environment| *environment, |_, _| false)?;
        let ResourceKey { resource_type, id } = resource;
        let (environment, since) = (held.value, held.since);
        Some((self.is_live(ended, None), PlacementState { resource_type, id, environment, since, ended }))
    }
}

impl PermissionState {
    pub(super) fn resource_revisions(&self) -> impl Iterator<Item = Revision> {
        let types = self.resource_types.iter().chain(&self.past.resource_types);
        let placements = self.resources.iter().chain(&self.past.resources);
        let named = types.flat_map(|found| [found.since, found.defined]);
        named.chain(placements.flat_map(|placement| placement.ended.into_iter().chain([placement.since])))
    }
}

impl Workspace {
    pub(super) fn restore_resources(&mut self, state: &PermissionState) {
        for found in state.past.resource_types.iter().chain(&state.resource_types) {
            let ResourceTypeState { name, actions, since, defined } = found;
            if defined < since {
                self.resources.define(*defined, name, actions);
            }
            self.resources.define(*since, name, actions);
        }
        for placement in state.past.resources.iter().chain(&state.resources) {
            self.restore_placement(placement.clone());
        }
    }

    fn restore_placement(&mut self, placement: PlacementState) {
        let PlacementState { resource_type, id, environment, since, ended } = placement;
        let key = ResourceKey { resource_type, id };
        self.resources.set_place(since, &key, Some(environment));
        if let Some(ended) = ended {
            self.resources.set_place(ended, &key, None);
        }
    }
}
