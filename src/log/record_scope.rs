//! The scope of an idempotency record, within which a key is unique.

use std::fmt;
use std::str::FromStr;

use crate::domain::model::id::WorkspaceId;
use crate::domain::model::name::WorkspaceName;
use crate::domain::model::principal::Actor;

/// The scope of an idempotency record: a place, and the holder of the caller's credential.
///
/// Every store and every reader of a store uses this type, so that a form of scope cannot be known to one of them alone. The stored form
/// is text: `ws_… user:alice`, `instance operator`, or `name acme operator`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RecordScope {
    /// The place.
    pub place: RecordPlace,
    /// The holder, under whom the events of the request are recorded.
    pub holder: Actor,
}

/// The place of an idempotency record.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RecordPlace {
    /// The instance, for the creation of a workspace.
    Instance,
    /// A workspace, for changes in it.
    Workspace(WorkspaceId),
    /// The name of a workspace, for its deletion: the name leads to no workspace after that.
    Name(WorkspaceName),
}

/// The error for a text that is no scope.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no scope of an idempotency record")]
pub struct InvalidScope(String);

impl fmt::Display for RecordScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            RecordPlace::Instance => write!(f, "instance {}", self.holder),
            RecordPlace::Workspace(id) => write!(f, "{id} {}", self.holder),
            RecordPlace::Name(name) => write!(f, "name {name} {}", self.holder),
        }
    }
}

impl FromStr for RecordScope {
    type Err = InvalidScope;

    fn from_str(text: &str) -> Result<Self, InvalidScope> {
        let parts: Vec<&str> = text.splitn(4, ' ').collect();
        let parsed = match parts.as_slice() {
            ["instance", holder] => Some((RecordPlace::Instance, holder)),
            ["name", name, holder] => name.parse().ok().map(|name| (RecordPlace::Name(name), holder)),
            [id, holder] => id.parse().ok().map(|id| (RecordPlace::Workspace(id), holder)),
            _ => None,
        };
        let scope = parsed.and_then(|(place, holder)| Some(Self { place, holder: holder.parse().ok()? }));
        scope.ok_or_else(|| InvalidScope(text.chars().take(100).flat_map(char::escape_debug).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_parsed_from_its_stored_form_and_nothing_else_is_one() {
        let id = "ws_00000000000000000000000001";
        for text in [
            "instance operator".to_owned(),
            format!("{id} user:alice@example.com"),
            format!("{id} service_user:svc_00000000000000000000000002"),
            "name acme operator".to_owned(),
            "name instance operator".to_owned(),
        ] {
            assert_eq!(text.parse::<RecordScope>().map(|scope| scope.to_string()).as_deref(), Ok(text.as_str()));
        }
        for text in [
            "",
            "instance",
            "instance  operator",
            "instance nobody",
            "acme operator",
            "name operator",
            "name A operator x",
        ] {
            assert!(text.parse::<RecordScope>().is_err(), "{text}");
        }
        assert!(format!("{id} operator ").parse::<RecordScope>().is_err());
    }
}
