//! Decisions: the evaluation endpoints of the `OpenID` `AuthZEN` Authorization API 1.0.
//!
//! Unknown fields are ignored, as the standard says. The response depends on the question and the view alone.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::HandlerResult;
use super::authzen::{
    ActionBody, EntityBody, ExplainQuery, IgnoredObject, check_may_ask, read_question_of_any_size, visibility,
};
use crate::domain::model::object::object;
use crate::domain::model::time::{Instant, Revision};
use crate::domain::rules::authorize::{Decision, Question, authorize_visible};
use crate::domain::rules::visibility::Visibility;
use crate::domain::state::view::View;
use crate::http::guard::EvaluatorRequest;
use crate::http::input::{NoPath, QueryParams};
use crate::http::problem::Problem;
use crate::http::request::{ReadAccess, RequestedView, WorkspaceRequest};
use crate::http::response;
use crate::query::evidence::Evidence;
use crate::query::reasons::{Actors, reasons};

/// One question (`AuthZEN` §6).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct EvaluationBody {
    /// The subject.
    #[serde(deserialize_with = "object")]
    pub subject: EntityBody,
    /// The action.
    #[serde(deserialize_with = "object")]
    pub action: ActionBody,
    /// The resource.
    #[serde(deserialize_with = "object")]
    pub resource: EntityBody,
    /// The context; no rule reads it.
    #[serde(default, deserialize_with = "object", skip_serializing)]
    pub context: IgnoredObject,
}

/// The answer to one question (`AuthZEN` §6.2).
#[derive(Debug, Serialize, JsonSchema)]
pub struct DecisionBody {
    /// Whether it is allowed.
    pub decision: bool,
    /// The reason, with `explain=true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<ContextBody>,
}

/// The reason for a decision.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum ContextBody {
    /// The rule, and the events behind it.
    Explained(Box<Explanation>),
    /// The question could not be answered.
    Broken {
        /// The error.
        error: BrokenQuestion,
    },
}

/// An error in a question of a batch.
#[derive(Debug, Serialize, JsonSchema)]
pub struct BrokenQuestion {
    /// The HTTP status of the question alone.
    pub status: u16,
    /// The cause.
    pub message: String,
}

/// The rule that decided, and the events behind it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Explanation {
    /// The role found.
    pub role: Option<&'static str>,
    /// The role required.
    pub required: Option<&'static str>,
    /// The stable name of the rule.
    pub rule: &'static str,
    /// The revision of the view.
    pub revision: Revision,
    /// The instant of the view.
    pub at: Instant,
    /// `behind` if the newest event is later than the instant, because a wrong clock wrote it; otherwise left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock: Option<&'static str>,
    /// The reasons as sentences: the deciding facts, the events that set them, and the roles.
    pub reasons: Vec<String>,
    /// The events that the decision depends on.
    pub evidence: Vec<Evidence>,
}

impl EvaluationBody {
    fn question(self) -> Question {
        Question { subject: self.subject.subject(), action: self.action.name, resource: self.resource.resource() }
    }
}

/// The context in which the questions of one request are decided.
pub(super) struct Authorizer {
    view: View,
    visibility: Visibility,
    audits: bool,
    explain: bool,
}

impl Authorizer {
    /// Returns the context of a request in a view.
    pub(super) fn of(request: &WorkspaceRequest, view: View, explain: bool) -> Self {
        Self { view, visibility: visibility(request), audits: request.access == ReadAccess::All, explain }
    }

    /// Returns the view of the decisions.
    pub(super) const fn view(&self) -> &View {
        &self.view
    }

    /// Returns whether the decisions are explained.
    pub(super) const fn explains(&self) -> bool {
        self.explain
    }

    /// Decides a question.
    ///
    /// # Errors
    /// The caller may not ask about this subject (403).
    pub(super) fn authorize(&self, body: EvaluationBody) -> Result<DecisionBody, Problem> {
        check_may_ask(&self.visibility, &self.view, &body.subject)?;
        let decision = authorize_visible(&self.view, &body.question(), &self.visibility);
        let context = self.explain.then(|| ContextBody::Explained(Box::new(self.explanation(&decision))));
        Ok(DecisionBody { decision: decision.allowed, context })
    }

    fn explanation(&self, decision: &Decision) -> Explanation {
        let (view, audits) = (&self.view, self.audits);
        Explanation {
            role: decision.role.map(crate::domain::rules::authorize::AnyRole::as_str),
            required: decision.required.map(crate::domain::rules::authorize::AnyRole::as_str),
            rule: decision.rule.as_str(),
            revision: view.revision(),
            at: view.instant(),
            clock: view.is_behind_head().then_some(response::BEHIND),
            reasons: reasons(view, decision, if audits { Actors::Named } else { Actors::Withheld }),
            evidence: shown(view, &decision.evidence, audits),
        }
    }
}

/// Returns the events of revisions; without actor and reason for callers that may not read the audit.
fn shown(view: &View, revisions: &[Revision], audits: bool) -> Vec<Evidence> {
    let of = if audits { Evidence::of } else { Evidence::anonymous };
    revisions.iter().filter_map(|revision| view.event(*revision)).map(|event| of(view, &event)).collect()
}

/// Answers one question.
pub async fn evaluation(
    request: EvaluatorRequest,
    _: NoPath,
    (requested, QueryParams(query)): (RequestedView, QueryParams<ExplainQuery>),
) -> HandlerResult {
    let body: EvaluationBody = read_question_of_any_size(&request, "evaluation request").await?;
    let authorizer = Authorizer::of(&request, requested.view, query.explain);
    response::for_view(authorizer.view(), &authorizer.authorize(body)?)
}
