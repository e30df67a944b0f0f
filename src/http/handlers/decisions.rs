//! Decisions: the evaluation endpoints of the `OpenID` `AuthZEN` Authorization API 1.0.
//!
//! Unknown fields are ignored here, as the standard says. The body depends on nothing but the question and the view.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::HandlerResult;
use super::authzen::{
    ActionBody, EntityBody, IgnoredObject, asker, check_content_type, check_may_ask, read_question_of_any_size,
};
use crate::audit::evidence::Evidence;
use crate::audit::reasons::{Actors, reasons};
use crate::audit::search::Asker;
use crate::domain::access::{Decision, Question};
use crate::domain::object::object;
use crate::domain::time::{Instant, Revision};
use crate::domain::view::View;
use crate::http::problem::Problem;
use crate::http::request::{ReadAccess, WorkspaceRequest};
use crate::http::response;

/// One question (`AuthZEN` §6).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct EvaluationBody {
    /// Who.
    #[serde(deserialize_with = "object")]
    pub subject: EntityBody,
    /// Does what.
    #[serde(deserialize_with = "object")]
    pub action: ActionBody,
    /// To what.
    #[serde(deserialize_with = "object")]
    pub resource: EntityBody,
    /// In which circumstances; no rule looks at them.
    #[serde(default, deserialize_with = "object", skip_serializing)]
    pub context: IgnoredObject,
}

/// The answer to one question (`AuthZEN` §6.2).
#[derive(Debug, Serialize, JsonSchema)]
pub struct DecisionBody {
    /// Whether it is allowed.
    pub decision: bool,
    /// Why, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<ContextBody>,
}

/// Why a decision is as it is.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum ContextBody {
    /// The rule, and what it rests on.
    Explained(Box<Explanation>),
    /// The question could not be answered.
    Broken {
        /// What is wrong with it.
        error: BrokenQuestion,
    },
}

/// What is wrong with a question in a batch.
#[derive(Debug, Serialize, JsonSchema)]
pub struct BrokenQuestion {
    /// The HTTP status that it would get alone.
    pub status: u16,
    /// What is wrong.
    pub message: String,
}

/// The rule that decided, and what it rests on.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Explanation {
    /// The role found.
    pub role: Option<&'static str>,
    /// The role required.
    pub required: Option<&'static str>,
    /// The stable name of the rule.
    pub rule: &'static str,
    /// The revision judged at.
    pub revision: Revision,
    /// The instant judged at.
    pub at: Instant,
    /// `behind` where the newest event is later than the instant, since it was written under a wrong clock; else left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock: Option<&'static str>,
    /// Why, in sentences: what decided, what made it so, and the roles.
    pub reasons: Vec<String>,
    /// The events that the answer rests on.
    pub evidence: Vec<Evidence>,
}

impl EvaluationBody {
    fn question(self) -> Question {
        Question { subject: self.subject.subject(), action: self.action.name, resource: self.resource.resource() }
    }
}

/// What one request's questions are judged with.
pub(super) struct Authorizer {
    view: View,
    asker: Asker,
    audits: bool,
    explain: bool,
}

impl Authorizer {
    /// The judge of a request's questions in a view.
    pub(super) fn of(request: &WorkspaceRequest, view: View, explain: bool) -> Self {
        Self { view, asker: asker(request), audits: request.access == ReadAccess::All, explain }
    }

    /// The view that the answers are about.
    pub(super) const fn view(&self) -> &View {
        &self.view
    }

    /// Whether the answers say why.
    pub(super) const fn explains(&self) -> bool {
        self.explain
    }

    /// Answers a question.
    ///
    /// # Errors
    /// Whoever asks may not ask about this subject.
    pub(super) fn authorize(&self, body: EvaluationBody) -> Result<DecisionBody, Problem> {
        check_may_ask(&self.asker, &self.view, &body.subject)?;
        let decision = self.asker.judge(&self.view, &body.question());
        let context = self.explain.then(|| ContextBody::Explained(Box::new(self.explanation(&decision))));
        Ok(DecisionBody { decision: decision.allowed, context })
    }

    fn explanation(&self, decision: &Decision) -> Explanation {
        let (view, audits) = (&self.view, self.audits);
        Explanation {
            role: decision.role.map(crate::domain::access::AnyRole::as_str),
            required: decision.required.map(crate::domain::access::AnyRole::as_str),
            rule: decision.rule.as_str(),
            revision: view.revision(),
            at: view.instant(),
            clock: view.is_behind_head().then_some(response::BEHIND),
            reasons: reasons(view, decision, if audits { Actors::Named } else { Actors::Withheld }),
            evidence: shown(view, &decision.evidence, audits),
        }
    }
}

/// The events of revisions; who made them and why is told only to those who may read the audit.
fn shown(view: &View, revisions: &[Revision], audits: bool) -> Vec<Evidence> {
    let of = if audits { Evidence::of } else { Evidence::anonymous };
    revisions.iter().filter_map(|revision| view.event(*revision)).map(|event| of(view, &event)).collect()
}

/// Answers one question.
pub async fn evaluation(mut request: WorkspaceRequest) -> HandlerResult {
    check_content_type(&request)?;
    let explain = request.params.flag("explain")?;
    let (view, _) = request.view()?;
    std::mem::take(&mut request.params).finish()?;
    let body: EvaluationBody = read_question_of_any_size(&request, "evaluation request").await?;
    let authorizer = Authorizer::of(&request, view, explain);
    response::for_view(authorizer.view(), &authorizer.authorize(body)?)
}
