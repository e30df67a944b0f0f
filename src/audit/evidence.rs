//! The events that an answer rests on, as they are shown.

use schemars::JsonSchema;
use serde::Serialize;

use super::tenure::Cause;
use crate::domain::model::event::Event;
use crate::domain::model::id::EventId;
use crate::domain::model::name::Reason;
use crate::domain::model::principal::{Actor, Principal};
use crate::domain::model::time::{Instant, Revision};
use crate::domain::state::view::View;

/// An event that an answer rests on. Who made it and why is told only to those who may read the audit.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Evidence {
    /// Its id.
    pub event: EventId,
    /// Its number in the log.
    pub revision: Revision,
    /// Its type.
    #[serde(rename = "type")]
    pub event_type: &'static str,
    /// When it happened.
    pub time: Instant,
    /// Who made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<Actor>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// The event that says why, where that is the first one of the same command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason_revision: Option<Revision>,
}

impl Evidence {
    /// An event of a view, with who made it and why.
    pub fn of(view: &View, event: &Event) -> Self {
        let alone = Self::alone(event);
        if alone.reason.is_some() {
            return alone;
        }
        let first = view.reason_elsewhere(event);
        let (reason, reason_revision) = first.map_or((None, None), |(revision, reason)| (Some(reason), Some(revision)));
        Self { reason, reason_revision, ..alone }
    }

    /// An event, with who made it and why, as far as it says so itself.
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

    /// An event, without who made it and why.
    pub fn anonymous(_: &View, event: &Event) -> Self {
        Self { actor: None, reason: None, ..Self::alone(event) }
    }
}

/// The events of revisions, as far as the view reaches, with who made them and why.
pub fn evidence(view: &View, revisions: &[Revision]) -> Vec<Evidence> {
    revisions.iter().filter_map(|revision| view.event(*revision)).map(|event| Evidence::of(view, &event)).collect()
}

/// What made access begin or end, as it is shown.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum ShownCause {
    /// An event.
    Event(Evidence),
    /// A grant passed its end, whenever the event that says so came.
    Expiry {
        /// When.
        expiry: Instant,
        /// The event that set this end.
        set_by: Option<Evidence>,
    },
}

impl ShownCause {
    /// A cause; none if its event is not loaded.
    pub fn of(view: &View, cause: &Cause) -> Option<Self> {
        let shown = |revision: &Revision| view.event(*revision).map(|event| Evidence::of(view, &event));
        match cause {
            Cause::Event(revision) => shown(revision).map(Self::Event),
            Cause::Expiry { at, set_by } => Some(Self::Expiry { expiry: *at, set_by: shown(set_by) }),
        }
    }
}

/// What people call a principal: a service user's name, a user's id.
pub fn principal_name(view: &View, principal: &Principal) -> String {
    match principal {
        Principal::User(user) => user.to_string(),
        Principal::ServiceUser(id) => view.service_user_name(*id).map_or_else(|| id.to_string(), ToString::to_string),
    }
}
