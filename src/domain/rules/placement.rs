//! Where the resource of a question is: what is recorded of it, or else what the question says.
//!
//! Whoever may not know of an environment may not learn from here that a resource is in it either: as far as they are told,
//! nothing is recorded of such a resource. Yet what is hidden allows nothing: where the question names another environment, in
//! which they would be allowed, they are denied, and told no more than that it is recorded elsewhere.

use crate::domain::rules::authorize::{Decision, Rule, access, find_environment};
use crate::domain::model::command::EnvironmentRef;
use crate::domain::model::principal::Principal;
use crate::domain::model::role::EnvironmentRole;
use crate::domain::model::time::Revision;
use crate::domain::state::view::{EnvironmentView, View};

/// What whoever asks may know of.
#[derive(Debug, Clone, Copy)]
pub(in crate::domain) enum Knowledge<'a> {
    /// Every environment, also of those that are no more.
    Everything,
    /// The environments that a principal has access to: in the view, and, of those that are still there, now.
    Own {
        /// The principal.
        asker: &'a Principal,
        /// The workspace now.
        now: &'a View,
    },
}

impl Knowledge<'_> {
    fn reaches(self, view: &View, place: &EnvironmentView<'_>) -> bool {
        let Self::Own { asker, now } = self else { return true };
        let has_access = |view: &View, place: &EnvironmentView<'_>| {
            view.principal(asker).is_some() && access(view, place, asker).role > EnvironmentRole::NoAccess
        };
        has_access(view, place) && now.environment(place.id).is_none_or(|place| has_access(now, &place))
    }

    /// The environment that a question names. One that may not be known of is answered as if it never was.
    fn find<'a>(self, view: &'a View, named: &EnvironmentRef) -> Result<EnvironmentView<'a>, Decision> {
        match self {
            Self::Everything => find_environment(view, named),
            Self::Own { .. } => {
                let found = view.present_environment(named).filter(|place| self.reaches(view, place));
                found.ok_or_else(|| Decision::denied(Rule::NoSuchEnvironment))
            }
        }
    }
}

/// What a question says of its resource.
#[derive(Debug, Clone, Copy)]
pub(in crate::domain) struct Sought<'a> {
    /// The type.
    pub(in crate::domain) resource_type: &'a str,
    /// Which of its type.
    pub(in crate::domain) id: &'a str,
    /// The environment, if the question names one.
    pub(in crate::domain) environment: Option<&'a EnvironmentRef>,
}

/// Where a resource is.
#[derive(Debug, Clone, Copy)]
pub(in crate::domain) struct Place<'a> {
    /// The environment.
    pub(in crate::domain) environment: EnvironmentView<'a>,
    /// The event that recorded it, if one did.
    pub(in crate::domain) recorded: Option<Revision>,
    /// Whether another environment is recorded, of which whoever asks may not know.
    pub(in crate::domain) elsewhere: bool,
}

/// Finds where a resource is.
///
/// # Errors
/// The denial, where that is not known, not there, or not what is recorded.
pub(in crate::domain) fn locate<'a>(view: &'a View, sought: Sought<'_>, knowledge: Knowledge<'_>) -> Result<Place<'a>, Decision> {
    let recorded = view.placement(sought.resource_type, sought.id).map(|placement| placement.environment);
    let home = recorded.and_then(|recorded| Some((view.environment(recorded.value)?, recorded.since)));
    let home = home.filter(|(place, _)| knowledge.reaches(view, place));
    let named = sought.environment.map(|named| knowledge.find(view, named));
    let at = |environment, since| Place { environment, recorded: Some(since), elsewhere: false };
    match (home, named) {
        (Some((home, since)), None) => Ok(at(home, since)),
        (Some((home, since)), Some(Ok(named))) if home.id == named.id => Ok(at(home, since)),
        (Some((_, since)), Some(_)) => Err(Decision::new(false, Rule::PlacementDiffers, [since])),
        (None, Some(named)) => Ok(Place { environment: named?, recorded: None, elsewhere: recorded.is_some() }),
        (None, None) => Err(Decision::new(false, Rule::NoEnvironment, removal(view, sought, knowledge))),
    }
}

/// The event since which it is no longer recorded where a resource is.
fn removal(view: &View, sought: Sought<'_>, knowledge: Knowledge<'_>) -> Option<Revision> {
    match knowledge {
        Knowledge::Everything => view.placement_trace(sought.resource_type, sought.id).map(|trace| trace.since),
        Knowledge::Own { .. } => None,
    }
}
