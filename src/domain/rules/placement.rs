//! Finds the environment of a resource: the recorded placement, or else the environment that the question names.
//!
//! A caller who may not learn of an environment may not learn here that a resource is in it. To such a caller, no
//! placement is recorded. A hidden placement still allows nothing. If the question names another environment, in which
//! the caller would be allowed, the answer is a denial. It says only that the resource is recorded elsewhere.

use crate::domain::model::command::EnvironmentRef;
use crate::domain::model::time::Revision;
use crate::domain::rules::authorize::{Decision, Rule};
use crate::domain::rules::visibility::Visibility;
use crate::domain::state::view::{EnvironmentView, View};

/// The resource that a question is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct ResourceLookup<'a> {
    /// The resource type.
    pub(super) resource_type: &'a str,
    /// The id within the type.
    pub(super) id: &'a str,
    /// The environment, if the question names one.
    pub(super) environment: Option<&'a EnvironmentRef>,
}

/// The environment of a resource.
#[derive(Debug, Clone, Copy)]
pub(super) struct ResourcePlacement<'a> {
    /// The environment.
    pub(super) environment: EnvironmentView<'a>,
    /// The event that recorded it, if one did.
    pub(super) recorded: Option<Revision>,
    /// Whether another environment is recorded that the caller may not learn of.
    pub(super) is_elsewhere: bool,
}

/// Finds the environment of a resource.
///
/// # Errors
/// The denial: the environment is unknown, does not exist, or is not the recorded one.
pub(super) fn locate<'a>(
    view: &'a View,
    lookup: ResourceLookup<'_>,
    visibility: &Visibility,
) -> Result<ResourcePlacement<'a>, Decision> {
    let recorded = view.placement(lookup.resource_type, lookup.id).map(|placement| placement.environment);
    let visible = recorded.and_then(|recorded| Some((view.environment(recorded.value)?, recorded.since)));
    let visible = visible.filter(|(environment, _)| visibility.includes(view, environment));
    let named = lookup.environment.map(|named| visibility.find_environment(view, named));
    let found = |environment, since| ResourcePlacement { environment, recorded: Some(since), is_elsewhere: false };
    match (visible, named) {
        (Some((environment, since)), None) => Ok(found(environment, since)),
        (Some((environment, since)), Some(Ok(named))) if environment.id == named.id => Ok(found(environment, since)),
        (Some((_, since)), Some(_)) => Err(Decision::new(false, Rule::PlacementDiffers, [since])),
        (None, Some(named)) => {
            Ok(ResourcePlacement { environment: named?, recorded: None, is_elsewhere: recorded.is_some() })
        }
        (None, None) => Err(Decision::new(false, Rule::NoEnvironment, removal(view, lookup, visibility))),
    }
}

/// Returns the event that ended the recorded placement of a resource.
fn removal(view: &View, lookup: ResourceLookup<'_>, visibility: &Visibility) -> Option<Revision> {
    match visibility {
        Visibility::Everything => {
            view.last_placement_change(lookup.resource_type, lookup.id).map(|change| change.since)
        }
        Visibility::Own { .. } => None,
    }
}
