//! Resources: which types a workspace has beside the built-in ones, and which environment each resource lives in.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use imbl::{OrdMap, OrdSet};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::id::EnvironmentId;
use super::name::{ActionName, InvalidText, ResourceId, ResourceTypeName, StoredText};
use super::role::RequiredRole;
use super::time::Revision;
use super::timeline::Timeline;

/// The actions of a resource type, and the role that each requires.
pub type Actions = BTreeMap<ActionName, RequiredRole>;

/// A resource, by its type and its id. Written `TYPE/ID`; a type holds no `/`, an id may.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceKey {
    /// The type.
    pub resource_type: ResourceTypeName,
    /// Which of its type.
    pub id: ResourceId,
}

impl fmt::Display for ResourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.resource_type, self.id)
    }
}

impl ResourceKey {
    fn parts(text: &str) -> Result<(&str, &str), InvalidText> {
        let invalid = || InvalidText::new(text, "a resource is written `TYPE/ID`, such as `volume/models`");
        text.split_once('/').ok_or_else(invalid)
    }
}

impl FromStr for ResourceKey {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        let (resource_type, id) = Self::parts(text)?;
        Ok(Self { resource_type: resource_type.parse()?, id: id.parse()? })
    }
}

impl StoredText for ResourceKey {
    fn stored(text: &str) -> Result<Self, InvalidText> {
        let (resource_type, id) = Self::parts(text)?;
        Ok(Self { resource_type: resource_type.parse()?, id: ResourceId::stored(id)? })
    }
}

impl JsonSchema for ResourceKey {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ResourceKey".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^[a-z][a-z0-9_]{0,63}/.{1,256}$"})
    }
}

/// Where a resource lives: in one environment or in none that is recorded.
pub(super) type Whereabouts = Arc<Timeline<Option<EnvironmentId>>>;

/// The facts about resources.
#[derive(Debug, Clone, Default)]
pub(super) struct ResourceFacts {
    pub(super) types: OrdMap<ResourceTypeName, Arc<Timeline<Arc<Actions>>>>,
    pub(super) whereabouts: OrdMap<ResourceTypeName, OrdMap<ResourceId, Whereabouts>>,
    /// What was ever placed in each environment.
    pub(super) placed: OrdMap<EnvironmentId, OrdSet<ResourceKey>>,
    /// How many resources are placed at the head, for the limit.
    pub(super) placed_len: usize,
}

impl ResourceFacts {
    pub(super) fn define(&mut self, at: Revision, name: &ResourceTypeName, actions: &Actions) {
        Arc::make_mut(self.types.entry(name.clone()).or_default()).set(at, Arc::new(actions.clone()));
    }

    pub(super) fn set_place(&mut self, at: Revision, key: &ResourceKey, environment: Option<EnvironmentId>) {
        let of_type = self.whereabouts.entry(key.resource_type.clone()).or_default();
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
