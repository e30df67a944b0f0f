//! The reasons of a decision in sentences: the rule, the events behind it, and the actual and the required role.
//!
//! Pure: the sentences depend only on the view, the decision, and whether the reader may see actors. They say no more than the evidence.
//! A concealed decision has no evidence, so it gets only the sentence of its rule.

use std::sync::Arc;

use crate::domain::model::event::{Event, EventData};
use crate::domain::model::fact::Fact;
use crate::domain::model::id::EnvironmentId;
use crate::domain::model::principal::Principal;
use crate::domain::model::time::Instant;
use crate::domain::rules::authorize::{Decision, Rule};
use crate::domain::state::view::View;
use crate::domain::state::workspace::RestrictionState;

/// Whether actors are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actors {
    /// They are, for readers of the audit.
    Named,
    /// They are not, for everyone else.
    Withheld,
}

/// Returns the sentences of a decision, the most important one first. They are lower case, without a full stop.
pub fn reasons(view: &View, decision: &Decision, actors: Actors) -> Vec<String> {
    let events = decision.evidence.iter().filter_map(|revision| view.event(*revision)).collect();
    let writer = ReasonWriter { view, actors, events };
    let mut sentences = writer.sentences(decision.rule);
    if sentences.is_empty() {
        sentences.push(decision.rule.sentence().to_owned());
    }
    sentences.extend(roles(decision));
    sentences
}

fn roles(decision: &Decision) -> Option<String> {
    match (decision.role, decision.required) {
        (Some(role), Some(required)) => {
            Some(format!("the role is {}, and {} is required", role.as_str(), required.as_str()))
        }
        (None, Some(required)) => Some(format!("there is no role, and {} is required", required.as_str())),
        (_, None) => None,
    }
}

/// A writer of sentences about the events that a decision is based on.
struct ReasonWriter<'a> {
    view: &'a View,
    actors: Actors,
    events: Vec<Arc<Event>>,
}

impl ReasonWriter<'_> {
    /// Returns the sentences about a rule's events; none if they add nothing to the rule.
    fn sentences(&self, rule: Rule) -> Vec<String> {
        match rule {
            Rule::Unrestricted => self.unrestricted(),
            Rule::RbacOff => self.rbac_off(),
            Rule::WorkspaceRole => self.workspace_role(),
            Rule::Grant => self.grant(),
            Rule::DefaultRole => self.default_role(),
            Rule::CrossEnvironment => self.beside(rule, |data| matches!(data, EventData::EnvironmentRestricted(..))),
            Rule::TokenScope => self.beside(rule, |data| {
                matches!(data, EventData::ProxyTokenCreated(..) | EventData::ProxyTokenScoped(..))
            }),
            Rule::NotAMember | Rule::NoSuchServiceUser | Rule::NoSuchWorkspace => self.ended(),
            Rule::NoSuchEnvironment => self.no_such_environment(),
            Rule::NoSuchProxyToken => self.no_such_proxy_token(),
            Rule::AnyPrincipal
            | Rule::SameEnvironment
            | Rule::WorkspaceWide
            | Rule::ProxyTokenRequired
            | Rule::NotForProxyTokens
            | Rule::NotForTasks
            | Rule::UnknownAction
            | Rule::UnknownResourceType
            | Rule::UnknownSubjectType
            | Rule::NoEnvironment
            | Rule::PlacementDiffers => Vec::new(),
        }
    }

    /// Returns the newest event that `is_it` accepts.
    fn newest(&self, is_it: impl Fn(&EventData) -> bool) -> Option<&Event> {
        self.events.iter().rev().find(|event| is_it(&event.data)).map(AsRef::as_ref)
    }

    /// Returns `at TIME by ACTOR`.
    fn when(&self, event: &Event) -> String {
        match self.actors {
            Actors::Named => format!("at {} by {}", event.time, event.actor),
            Actors::Withheld => format!("at {}", event.time),
        }
    }

    fn name(&self, environment: EnvironmentId) -> String {
        let name = self.view.environment_name(environment);
        name.map_or_else(|| environment.to_string(), |name| format!("`{name}`"))
    }

    /// Returns the sentence of a rule, and the one of the newest event that `is_it` accepts.
    fn beside(&self, rule: Rule, is_it: impl Fn(&EventData) -> bool) -> Vec<String> {
        let event = self.newest(is_it).map(|event| self.happened(event));
        std::iter::once(rule.sentence().to_owned()).chain(event).collect()
    }

    /// Returns the sentence of the event that ended the subject or the workspace.
    fn ended(&self) -> Vec<String> {
        let is_end = |data: &EventData| {
            matches!(
                data,
                EventData::MemberRemoved(..) | EventData::ServiceUserDeleted(..) | EventData::WorkspaceDeleted(..)
            )
        };
        self.newest(is_end).map(|event| self.happened(event)).into_iter().collect()
    }

    /// Returns an event as a sentence.
    fn happened(&self, event: &Event) -> String {
        let summary = if let EventData::EnvironmentCreated(id, _) = &event.data {
            format!("{}, which was never restricted, was made", self.name(*id))
        } else {
            event.data.summary(&|id| self.name(id))
        };
        format!("{summary} {}", self.when(event))
    }

    fn unrestricted(&self) -> Vec<String> {
        let is_mode = |data: &EventData| {
            matches!(data, EventData::EnvironmentCreated(..) | EventData::EnvironmentUnrestricted(..))
        };
        self.beside(Rule::Unrestricted, is_mode)
    }

    fn rbac_off(&self) -> Vec<String> {
        let mut sentences = self.beside(Rule::RbacOff, |data| matches!(data, EventData::RbacDisabled(..)));
        if sentences.len() == 1 {
            sentences.push("RBAC was never turned on".to_owned());
        }
        sentences
    }

    /// Returns the sentences of the rule `workspace_role`, which differ for an environment and for the workspace.
    fn workspace_role(&self) -> Vec<String> {
        let is_role = |data: &EventData| matches!(data, EventData::MemberAdded(..) | EventData::MemberRoleChanged(..));
        let Some(event) = self.newest(is_role) else {
            let is_service_user = self.newest(|data| matches!(data, EventData::ServiceUserCreated(..))).is_some();
            let sentence = "a service user has no workspace role, and manages nothing".to_owned();
            return is_service_user.then_some(sentence).into_iter().collect();
        };
        let in_environment = self.environment().map(|_| {
            "the user is an owner or manager of the workspace, who are contributors in every environment".to_owned()
        });
        let sentence = in_environment.unwrap_or_else(|| Rule::WorkspaceRole.sentence().to_owned());
        std::iter::once(sentence).chain([self.happened(event)]).collect()
    }

    /// Returns the environment that the evidence is about.
    fn environment(&self) -> Option<EnvironmentId> {
        self.events.iter().rev().find_map(|event| {
            let is_of = |data: &EventData| {
                matches!(data, EventData::EnvironmentRestricted(..) | EventData::EnvironmentDefaultRoleChanged(..))
            };
            if let Fact::Restriction(id) = event.data.fact() { is_of(&event.data).then_some(id) } else { None }
        })
    }

    /// Returns the principal that the evidence is about.
    fn principal(&self) -> Option<Principal> {
        self.events.iter().find_map(|event| event.data.fact().principal())
    }

    /// Returns the sentence of the event that restricted the environment as it is.
    fn restriction(&self) -> Option<String> {
        let is_mode = |data: &EventData| {
            matches!(data, EventData::EnvironmentRestricted(..) | EventData::EnvironmentDefaultRoleChanged(..))
        };
        self.newest(is_mode).map(|event| self.happened(event))
    }

    fn grant(&self) -> Vec<String> {
        let is_grant = |data: &EventData| matches!(data, EventData::GrantAdded(..) | EventData::GrantChanged(..));
        let Some((event, environment, terms)) = self.newest(is_grant).and_then(|event| {
            if let Fact::Grant(id, _, Some(terms)) = event.data.fact() { Some((event, id, terms)) } else { None }
        }) else {
            return Vec::new();
        };
        let until = terms.expires_at.map(|end| format!(", until {end}")).unwrap_or_default();
        let name = self.name(environment);
        let held = format!("the principal has a grant of their own in {name}: {}{until}", terms.role);
        vec![held, format!("the grant was given {}", self.when(event))]
    }

    fn default_role(&self) -> Vec<String> {
        let (Some(environment), Some(principal)) = (self.environment(), self.principal()) else { return Vec::new() };
        let default_role = match self.view.restriction(environment) {
            RestrictionState::Restricted(role) => role.as_str(),
            RestrictionState::Unrestricted | RestrictionState::Ended => return Vec::new(),
        };
        let decides = format!("so the default role, {default_role}, decides");
        let name = self.name(environment);
        let Some(grant) = self.view.last_grant(environment, &principal) else {
            let sentence = format!("the principal has no grant in {name}, {decides}");
            return std::iter::once(sentence).chain(self.restriction()).collect();
        };
        let role = grant.value.role;
        let ended = self.grant_end(grant.value.expires_at);
        let sentence = format!("the principal's grant of {role} in {name} {ended}, {decides}");
        let given = self.view.event(grant.since).map(|event| format!("that grant was given {}", self.when(&event)));
        std::iter::once(sentence).chain(given).chain(self.restriction()).collect()
    }

    /// Returns the end of a grant in words: it was revoked, or it expired.
    fn grant_end(&self, expires_at: Option<Instant>) -> String {
        match (self.newest(|data| matches!(data, EventData::GrantRevoked(..))), expires_at) {
            (Some(event), _) => format!("was taken back {}", self.when(event)),
            (None, Some(end)) => format!("expired at {end}"),
            (None, None) => "ended".to_owned(),
        }
    }

    /// Returns the sentence about an environment that had the name: it was deleted, or has another name now.
    fn no_such_environment(&self) -> Vec<String> {
        if let Some(event) = self.newest(|data| matches!(data, EventData::EnvironmentDeleted(..))) {
            return vec![self.happened(event)];
        }
        let found = self.events.iter().rev().find_map(|event| {
            if let Fact::Environment(id, Some(_)) | Fact::Restriction(id) = event.data.fact() {
                self.view.environment(id)
            } else {
                None
            }
        });
        let renamed = found.filter(|_| self.actors == Actors::Named);
        let sentence =
            renamed.map(|found| format!("no environment is called so; the one that was is called `{}`", found.name));
        sentence.into_iter().collect()
    }

    fn no_such_proxy_token(&self) -> Vec<String> {
        if let Some(event) = self.newest(|data| matches!(data, EventData::ProxyTokenRevoked(..))) {
            return vec![self.happened(event)];
        }
        let end = self.events.iter().find_map(|event| {
            if let Fact::ProxyToken(_, Some(terms)) = event.data.fact() { terms.expires_at } else { None }
        });
        let passed = end.filter(|end| *end <= self.view.instant());
        passed.map(|end| format!("the proxy token expired at {end}")).into_iter().collect()
    }
}
