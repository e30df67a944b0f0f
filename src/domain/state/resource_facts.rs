//! The facts about resources: the types that a workspace defined, and the placements.

use std::sync::Arc;

use imbl::{OrdMap, OrdSet};

use crate::domain::model::id::EnvironmentId;
use crate::domain::model::name::{ResourceId, ResourceTypeName};
use crate::domain::model::resource::{Actions, ResourceKey};
use crate::domain::model::time::Revision;
use crate::domain::state::timeline::Timeline;

/// The environment of a resource over time; `None` while no placement is recorded.
pub(in crate::domain) type PlacementTimeline = Arc<Timeline<Option<EnvironmentId>>>;

/// The facts about resources.
#[derive(Debug, Clone, Default)]
pub(in crate::domain) struct ResourceFacts {
    pub(in crate::domain) types: OrdMap<ResourceTypeName, Arc<Timeline<Arc<Actions>>>>,
    pub(in crate::domain) placements: OrdMap<ResourceTypeName, OrdMap<ResourceId, PlacementTimeline>>,
    /// Every resource that was ever placed in an environment.
    pub(in crate::domain) placed: OrdMap<EnvironmentId, OrdSet<ResourceKey>>,
    /// The number of placed resources at the head.
    pub(in crate::domain) placed_len: usize,
}

impl ResourceFacts {
    pub(in crate::domain) fn define(&mut self, at: Revision, name: &ResourceTypeName, actions: &Actions) {
        Arc::make_mut(self.types.entry(name.clone()).or_default()).set(at, Arc::new(actions.clone()));
    }

    pub(in crate::domain) fn set_place(&mut self, at: Revision, key: &ResourceKey, environment: Option<EnvironmentId>) {
        let of_type = self.placements.entry(key.resource_type.clone()).or_default();
        let timeline = Arc::make_mut(of_type.entry(key.id.clone()).or_default());
        let before = timeline.last().and_then(|entry| entry.value);
        timeline.set(at, environment);
        let placed = |environment: Option<EnvironmentId>| usize::from(environment.is_some());
        self.placed_len = (self.placed_len + placed(environment)).saturating_sub(placed(before));
        if let Some(environment) = environment {
            self.placed.entry(environment).or_default().insert(key.clone());
        }
    }
}
