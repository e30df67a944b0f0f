//! Resources and the actions of their types.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::domain::model::name::{ActionName, InvalidText, ResourceId, ResourceTypeName, StoredText};
use crate::domain::model::role::RequiredRole;

/// The actions of a resource type, with the role that each requires.
pub type Actions = BTreeMap<ActionName, RequiredRole>;

/// A resource, written `TYPE/ID`. A type holds no `/`; an id may.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceKey {
    /// The type.
    pub resource_type: ResourceTypeName,
    /// The id within the type.
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
