//! `authorize`: question × view → decision, with its evidence.
//!
//! Deny by default: anything that is not in the view or not in the catalogue is denied, and the decision names the rule
//! that denied it.

use crate::domain::model::command::{EnvironmentRef, PrincipalRef};
use crate::domain::model::id::EnvironmentId;
use crate::domain::model::principal::Principal;
use crate::domain::model::resource_catalogue::{self, Requirement, Uncatalogued};
use crate::domain::model::role::{EnvironmentRole, WorkspaceRole};
use crate::domain::model::time::Revision;
use crate::domain::rules::evidence::EvidenceRevisions;
use crate::domain::rules::placement::{ResourceLookup, locate};
use crate::domain::rules::visibility::Visibility;
use crate::domain::state::registry::PrincipalFacts;
use crate::domain::state::timeline::Since;
use crate::domain::state::view::{EnvironmentView, ProxyTokenView, ResolvedPrincipal, View};
use crate::domain::state::workspace::RestrictionState;

/// The subject of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A member or service user.
    Principal(PrincipalRef),
    /// A workload, identified by its environment.
    Task(EnvironmentRef),
    /// A proxy token, by its id.
    ProxyToken(String),
    /// A subject of an unknown type.
    Unknown,
}

impl Subject {
    /// Returns the subject of an `AuthZEN` type and id.
    pub fn new(subject_type: &str, id: &str) -> Self {
        match subject_type {
            "user" | "service_user" => Self::Principal(PrincipalRef([subject_type, ":", id].concat())),
            "task" => Self::Task(id.into()),
            "proxy_token" => Self::ProxyToken(id.to_owned()),
            _ => Self::Unknown,
        }
    }
}

/// The resource of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    /// The workspace itself, by name or id.
    Workspace(String),
    /// A resource of a built-in type, or of a type that the workspace defined, in an environment.
    Within {
        /// The type.
        resource_type: String,
        /// The id within the type. It matters if a placement is recorded.
        id: String,
        /// The environment, if the question names one.
        environment: Option<EnvironmentRef>,
    },
}

impl Resource {
    /// Returns the resource of an `AuthZEN` type and id, in the environment that the question names, if any. The
    /// workspace has no environment, and an environment is its own.
    pub fn new(resource_type: &str, id: &str, environment: Option<&str>) -> Self {
        if resource_type == resource_catalogue::WORKSPACE {
            return Self::Workspace(id.to_owned());
        }
        let environment = if resource_type == resource_catalogue::ENVIRONMENT { Some(id) } else { environment };
        let environment = environment.map(EnvironmentRef::from);
        Self::Within { resource_type: resource_type.to_owned(), id: id.to_owned(), environment }
    }
}

/// The question: may the subject do the action on the resource?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The subject.
    pub subject: Subject,
    /// The action.
    pub action: String,
    /// The resource.
    pub resource: Resource,
}

macro_rules! rules {
    ($($(#[doc = $doc:literal])+ $rule:ident = $name:literal, $sentence:literal;)*) => {
        /// The rule that decided; its name is stable.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rule {
            $($(#[doc = $doc])+ $rule,)*
        }

        impl Rule {
            /// Every rule.
            pub const ALL: &'static [Self] = &[$(Self::$rule),*];

            /// Returns the stable name.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$rule => $name,)*
                }
            }

            /// Returns the rule as a sentence.
            pub const fn sentence(self) -> &'static str {
                match self {
                    $(Self::$rule => $sentence,)*
                }
            }
        }
    };
}

rules! {
    /// The environment is open.
    Unrestricted = "unrestricted", "the environment is unrestricted, so every principal is a contributor in it";
    /// RBAC is off.
    RbacOff = "rbac_off", "RBAC is off, so restrictions, grants and scopes are recorded but not enforced";
    /// Owners and managers.
    WorkspaceRole = "workspace_role", "the workspace role decides";
    /// A grant of the principal.
    Grant = "grant", "the principal has a grant of their own in the environment";
    /// The default role of the environment, for a principal without a grant.
    DefaultRole = "default_role", "the principal has no grant in the environment, so its default role decides";
    /// Open to any principal.
    AnyPrincipal = "any_principal", "any principal of the workspace may do this";
    /// A task in its own environment.
    SameEnvironment = "same_environment", "a task may act in the environment that it runs in";
    /// A task in another environment.
    CrossEnvironment = "cross_environment", "a task may act in another environment only if that one is unrestricted";
    /// A proxy token's scope.
    TokenScope = "token_scope", "a scoped proxy token is valid only for the environments in its scope";
    /// A proxy token without a scope.
    WorkspaceWide = "workspace_wide", "the proxy token is workspace-wide";
    /// Only proxy tokens are allowed.
    ProxyTokenRequired = "proxy_token_required", "a web function is called with a proxy token";
    /// Proxy tokens are allowed to call web functions only.
    NotForProxyTokens = "not_for_proxy_tokens", "a proxy token is good for calling web functions only";
    /// Tasks act in environments.
    NotForTasks = "not_for_tasks", "a task acts in environments, not on the workspace";
    /// The catalogue has no such action.
    UnknownAction = "unknown_action", "the resource type has no such action";
    /// The catalogue has no such type.
    UnknownResourceType = "unknown_resource_type", "there is no such resource type";
    /// No such kind of subject.
    UnknownSubjectType = "unknown_subject_type", "there is no such kind of subject";
    /// The user is no member.
    NotAMember = "not_a_member", "the user is not a member of the workspace";
    /// No such service user.
    NoSuchServiceUser = "no_such_service_user", "there is no such service user in the workspace";
    /// No such environment.
    NoSuchEnvironment = "no_such_environment", "there is no such environment in the workspace";
    /// No such proxy token.
    NoSuchProxyToken = "no_such_proxy_token", "there is no such proxy token in the workspace, or it has ended";
    /// No such workspace.
    NoSuchWorkspace = "no_such_workspace", "there is no such workspace";
    /// No environment was named, nor is one recorded.
    NoEnvironment = "no_environment",
        "the question does not say which environment the resource is in, and no placement of it is recorded";
    /// Another environment was named than is recorded.
    PlacementDiffers = "placement_differs", "the resource is recorded in another environment than the question names";
}

/// A role that a decision found or requires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnyRole {
    /// In an environment.
    Environment(EnvironmentRole),
    /// In the workspace.
    Workspace(WorkspaceRole),
}

impl AnyRole {
    /// Returns the stable word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Environment(role) => role.as_str(),
            Self::Workspace(role) => role.as_str(),
        }
    }
}

/// The answer to a question, with its evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Whether it is allowed.
    pub allowed: bool,
    /// The role found.
    pub role: Option<AnyRole>,
    /// The role required.
    pub required: Option<AnyRole>,
    /// The rule that decided.
    pub rule: Rule,
    /// The revisions of the events that the decision rests on, in order.
    pub evidence: EvidenceRevisions,
}

impl Decision {
    pub(in crate::domain) fn new(allowed: bool, rule: Rule, evidence: impl IntoIterator<Item = Revision>) -> Self {
        Self { allowed, role: None, required: None, rule, evidence: evidence.into_iter().collect() }
    }

    pub(in crate::domain) fn denied(rule: Rule) -> Self {
        Self::new(false, rule, [])
    }

    /// Adds an event to the evidence.
    fn resting_on(self, event: Option<Revision>) -> Self {
        match event {
            Some(event) => Self { evidence: self.evidence.and(event), ..self },
            None => self,
        }
    }
}

/// Decides a question in a view.
pub fn authorize(view: &View, question: &Question) -> Decision {
    authorize_visible(view, question, &Visibility::Everything)
}

/// Decides a question for a caller with limited visibility.
///
/// An environment that the caller may not learn of is treated as if it never existed, with everything recorded in it. A
/// question that [`authorize`] denies is denied here too.
pub fn authorize_visible(view: &View, question: &Question, visibility: &Visibility) -> Decision {
    if !view.exists() {
        return Decision::new(false, Rule::NoSuchWorkspace, [view.existence().since]);
    }
    match &question.resource {
        Resource::Workspace(reference) => authorize_workspace(view, question, reference),
        Resource::Within { resource_type, id, environment } => {
            let lookup = ResourceLookup { resource_type, id, environment: environment.as_ref() };
            authorize_within(view, question, lookup, visibility)
        }
    }
}

fn authorize_workspace(view: &View, question: &Question, reference: &str) -> Decision {
    let named = view.description().is_some_and(|description| description.name.as_str() == reference);
    if !named && reference != view.workspace().id().to_string() {
        return Decision::denied(Rule::NoSuchWorkspace);
    }
    let Some(required) = resource_catalogue::workspace_requirement(&question.action) else {
        return Decision::denied(Rule::UnknownAction);
    };
    let principal = match &question.subject {
        Subject::Principal(principal) => principal,
        Subject::Task(_) => return Decision::denied(Rule::NotForTasks),
        Subject::ProxyToken(_) => return Decision::denied(Rule::NotForProxyTokens),
        Subject::Unknown => return Decision::denied(Rule::UnknownSubjectType),
    };
    let required_role = required.map(AnyRole::Workspace);
    let decision = match find_principal(view, principal) {
        Err(decision) => decision,
        Ok(principal) => authorize_workspace_role(&principal, required),
    };
    Decision { required: required_role, ..decision }
}

fn authorize_workspace_role(principal: &ResolvedPrincipal<'_>, required: Option<WorkspaceRole>) -> Decision {
    let role = principal.role.map(|role| role.value);
    let (allowed, rule) = match required {
        None => (true, Rule::AnyPrincipal),
        Some(required) => (role.is_some_and(|role| role >= required), Rule::WorkspaceRole),
    };
    let decision = Decision::new(allowed, rule, [principal.since]);
    Decision { role: role.map(AnyRole::Workspace), ..decision }
}

fn authorize_within(view: &View, question: &Question, lookup: ResourceLookup<'_>, visibility: &Visibility) -> Decision {
    let (required, defined) = match view.requirement(lookup.resource_type, &question.action) {
        Ok(found) => found,
        Err((Uncatalogued::Action, defined)) => return Decision::new(false, Rule::UnknownAction, defined),
        Err((Uncatalogued::ResourceType, _)) => return Decision::denied(Rule::UnknownResourceType),
    };
    let decision = match locate(view, lookup, visibility) {
        Err(decision) => decision.requiring(required),
        Ok(placement) => match authorize_in(view, question, required, &placement.environment) {
            Decision { allowed: true, .. } if placement.is_elsewhere => {
                Decision::denied(Rule::PlacementDiffers).requiring(required)
            }
            decision => decision.resting_on(placement.recorded),
        },
    };
    decision.resting_on(defined)
}

fn authorize_in(
    view: &View,
    question: &Question,
    required: Requirement,
    environment: &EnvironmentView<'_>,
) -> Decision {
    match (&question.subject, required) {
        (Subject::Unknown, _) => Decision::denied(Rule::UnknownSubjectType),
        (Subject::Task(source), _) => authorize_task(view, source, environment),
        (Subject::ProxyToken(id), Requirement::ProxyToken) => authorize_proxy_token(view, id, environment.id),
        (Subject::ProxyToken(_), Requirement::Role(_)) => Decision::denied(Rule::NotForProxyTokens).requiring(required),
        (Subject::Principal(_), Requirement::ProxyToken) => Decision::denied(Rule::ProxyTokenRequired),
        (Subject::Principal(principal), Requirement::Role(role)) => match find_principal(view, principal) {
            Ok(principal) => authorize_role(view, environment, &principal, role),
            Err(decision) => decision.requiring(required),
        },
    }
}

impl Decision {
    fn requiring(self, requirement: Requirement) -> Self {
        let required = match requirement {
            Requirement::Role(role) => Some(AnyRole::Environment(role)),
            Requirement::ProxyToken => None,
        };
        Self { required, ..self }
    }
}

fn authorize_role(
    view: &View,
    environment: &EnvironmentView<'_>,
    principal: &ResolvedPrincipal<'_>,
    role: EnvironmentRole,
) -> Decision {
    let (held, third) = resolve_role(view, environment, Some(principal.facts), principal.role);
    Decision {
        allowed: held.role >= role,
        role: Some(AnyRole::Environment(held.role)),
        required: Some(AnyRole::Environment(role)),
        rule: held.rule,
        evidence: EvidenceRevisions::of([
            principal.since,
            environment.restriction.since,
            third.unwrap_or(Revision::ZERO),
        ]),
    }
}

/// The role of a principal in an environment, with the rule that gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EffectiveRole {
    /// The role.
    pub role: EnvironmentRole,
    /// The rule.
    pub rule: Rule,
}

/// The role of a principal in an environment, with the rule that gives it and the evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// The role.
    pub role: EnvironmentRole,
    /// The rule that gives it.
    pub rule: Rule,
    /// The revisions of the events that the role rests on, in order.
    pub evidence: EvidenceRevisions,
}

/// Returns the role of an existing principal in an existing environment.
pub fn effective_role(view: &View, environment: &EnvironmentView<'_>, principal: &Principal) -> EffectiveRole {
    let facts = view.workspace().registry.principal(principal);
    resolve_role(view, environment, facts, facts.and_then(|facts| view.role(facts))).0
}

/// Returns the role of an existing principal in an existing environment, with its evidence.
pub fn access(view: &View, environment: &EnvironmentView<'_>, principal: &Principal) -> Access {
    let facts = view.workspace().registry.principal(principal);
    let found = facts.and_then(|facts| view.resolved(facts));
    let (EffectiveRole { role, rule }, third) =
        resolve_role(view, environment, facts, found.and_then(|found| found.role));
    let evidence = [found.map(|found| found.since), Some(environment.restriction.since), third];
    Access { role, rule, evidence: evidence.into_iter().flatten().collect() }
}

/// Returns the role by the first rule that applies. With it comes the event that it rests on beside those of the
/// principal and the environment.
// The grant is looked up last, because most decisions do not depend on it.
fn resolve_role(
    view: &View,
    environment: &EnvironmentView<'_>,
    principal: Option<&PrincipalFacts>,
    member: Option<Since<WorkspaceRole>>,
) -> (EffectiveRole, Option<Revision>) {
    const CONTRIBUTOR: EnvironmentRole = EnvironmentRole::Contributor;
    let rbac = view.rbac();
    let (role, rule, third) = match (environment.restriction.value, rbac.value, member) {
        (RestrictionState::Unrestricted | RestrictionState::Ended, ..) => (CONTRIBUTOR, Rule::Unrestricted, None),
        (_, false, _) => (CONTRIBUTOR, Rule::RbacOff, Some(rbac.since)),
        (_, _, Some(member)) if member.value.administers() => (CONTRIBUTOR, Rule::WorkspaceRole, Some(rbac.since)),
        (RestrictionState::Restricted(default), ..) => {
            let grant = principal.and_then(|principal| view.last_grant_change_of(environment, principal));
            match grant.as_ref().and_then(|grant| view.live_grant(grant)) {
                Some(live) => (live.value.role, Rule::Grant, Some(live.since)),
                None => (default, Rule::DefaultRole, grant.map(|ended| ended.since)),
            }
        }
    };
    (EffectiveRole { role, rule }, third)
}

fn authorize_task(view: &View, source: &EnvironmentRef, target: &EnvironmentView<'_>) -> Decision {
    let source = match find_environment(view, source) {
        Ok(source) => source,
        Err(decision) => return decision,
    };
    let evidence = [source.created, target.restriction.since];
    let restricted = target.default_role().is_some();
    match (source.id == target.id, restricted, view.rbac().value) {
        (true, ..) => Decision::new(true, Rule::SameEnvironment, [source.created]),
        (false, false, _) => Decision::new(true, Rule::Unrestricted, evidence),
        (false, true, false) => Decision::new(true, Rule::RbacOff, [evidence[0], evidence[1], view.rbac().since]),
        (false, true, true) => Decision::new(false, Rule::CrossEnvironment, evidence),
    }
}

fn authorize_proxy_token(view: &View, id: &str, environment: EnvironmentId) -> Decision {
    let Ok(id) = id.parse() else { return Decision::denied(Rule::NoSuchProxyToken) };
    match view.proxy_token(id) {
        Some(token) => accepts(view, &token, environment),
        None => Decision::new(false, Rule::NoSuchProxyToken, view.proxy_token_changes(id)),
    }
}

/// Decides whether a live proxy token is accepted in an existing environment.
pub fn accepts(view: &View, token: &ProxyTokenView<'_>, environment: EnvironmentId) -> Decision {
    let evidence = [token.issued, token.scope.since, view.rbac().since];
    match (token.scope.value, view.rbac().value) {
        (None, _) => Decision::new(true, Rule::WorkspaceWide, [token.issued]),
        (Some(_), false) => Decision::new(true, Rule::RbacOff, evidence),
        (Some(scope), true) => Decision::new(scope.contains(&environment), Rule::TokenScope, evidence),
    }
}

fn find_principal<'a>(view: &'a View, reference: &PrincipalRef) -> Result<ResolvedPrincipal<'a>, Decision> {
    view.resolve_principal(reference).ok_or_else(|| match reference.0.split_once(':') {
        Some(("service_user", named)) => {
            let change = view.last_service_user_named(named).and_then(|id| view.last_service_user_change(id));
            Decision::new(false, Rule::NoSuchServiceUser, change.map(|change| change.since))
        }
        Some((_, user)) => {
            let change = user.parse().ok().and_then(|user| view.last_member_change(&user));
            Decision::new(false, Rule::NotAMember, change.map(|change| change.since))
        }
        None => Decision::denied(Rule::UnknownSubjectType),
    })
}

pub(in crate::domain) fn find_environment<'a>(
    view: &'a View,
    reference: &EnvironmentRef,
) -> Result<EnvironmentView<'a>, Decision> {
    view.resolve_environment(reference).ok_or_else(|| {
        let ended = view.last_environment_named(reference).and_then(|id| view.last_environment_change(id));
        Decision::new(false, Rule::NoSuchEnvironment, ended.map(|ended| ended.since))
    })
}
