//! The events that an answer is based on, as they are shown.

use schemars::JsonSchema;
use serde::Serialize;

use super::tenure::Cause;
use crate::domain::model::event::Event;
use crate::domain::model::id::EventId;
use crate::domain::model::name::Reason;
use crate::domain::model::principal::{Actor, Principal};
use crate::domain::model::time::{Instant, Revision};
use crate::domain::state::view::View;

/// An event that an answer is based on. Only readers of the audit see the actor and the reason.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Evidence {
    /// Its id.
    pub event: EventId,
    /// Its revision.
    pub revision: Revision,
    /// Its type.
    #[serde(rename = "type")]
    pub event_type: &'static str,
    /// Its time.
    pub time: Instant,
    /// Its actor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<Actor>,
    /// Its reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// The event that holds the reason, if that is the first one of the same command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason_revision: Option<Revision>,
}

impl Evidence {
    /// Shows an event of a view with its actor and reason.
    pub fn of(view: &View, event: &Event) -> Self {
        let alone = Self::alone(event);
        if alone.reason.is_some() {
            return alone;
        }
        let first = view.reason_elsewhere(event);
        let (reason, reason_revision) = first.map_or((None, None), |(revision, reason)| (Some(reason), Some(revision)));
        Self { reason, reason_revision, ..alone }
    }

    /// Shows an event with its actor, and with the reason that the event itself holds.
    pub fn alone(event: &Event) -> Self {
        Self {
            event: event.id,
            revision: event.revision,
            event_type: event.data.type_name(),
            time: event.time,
            actor: Some(event.actor.clone()),
            reason: event.reason.clone(),
            reason_revision: None,
        }
    }

    /// Shows an event without its actor and reason.
    pub fn anonymous(_: &View, event: &Event) -> Self {
        Self { actor: None, reason: None, ..Self::alone(event) }
    }
}

/// Returns the events of the revisions that the view has, with actors and reasons.
pub fn evidence(view: &View, revisions: &[Revision]) -> Vec<Evidence> {
    revisions.iter().filter_map(|revision| view.event(*revision)).map(|event| Evidence::of(view, &event)).collect()
}

/// The cause of a change of access, as it is shown.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum ShownCause {
    /// An event.
    Event(Evidence),
    /// The expiry of a grant, whenever the event that records it was appended.
    Expiry {
        /// The instant of the expiry.
        expiry: Instant,
        /// The event that set the expiry.
        set_by: Option<Evidence>,
    },
}

impl ShownCause {
    /// Shows a cause; `None` if its event is not loaded.
    pub fn of(view: &View, cause: &Cause) -> Option<Self> {
        let shown = |revision: &Revision| view.event(*revision).map(|event| Evidence::of(view, &event));
        match cause {
            Cause::Event(revision) => shown(revision).map(Self::Event),
            Cause::Expiry { at, set_by } => Some(Self::Expiry { expiry: *at, set_by: shown(set_by) }),
        }
    }
}

/// Returns the name that people use for a principal: a service user's name, a user's id.
pub fn principal_name(view: &View, principal: &Principal) -> String {
    match principal {
        Principal::User(user) => user.to_string(),
        Principal::ServiceUser(id) => view.service_user_name(*id).map_or_else(|| id.to_string(), ToString::to_string),
    }
}
