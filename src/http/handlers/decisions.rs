//! Decisions: the evaluation endpoints of the `OpenID` `AuthZEN` Authorization API 1.0.
//!
//! Unknown fields are ignored here, as the standard says. The body depends on nothing but the question and the view.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Answered;
use super::authzen::{
    ActionBody, EntityBody, Properties, Unread, asker, check_content_type, check_may_ask, object_given, read_question,
};
use crate::audit::evidence::Evidence;
use crate::audit::reasons::{Actors, reasons};
use crate::audit::search::Asker;
use crate::domain::access::{Decision, Question};
use crate::domain::command::ShapeError;
use crate::domain::object::{object, objects};
use crate::domain::parsed::given;
use crate::domain::time::{Instant, Revision};
use crate::domain::view::View;
use crate::http::answer;
use crate::http::asked::{InWorkspace, Reader};
use crate::http::problem::Problem;

/// The most evaluations of one request.
pub const EVALUATIONS_MAX: usize = 10_000;

/// The most bytes of each member that the evaluations of a request have in common.
const DEFAULT_BYTES_MAX: usize = 4_096;

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
    pub context: Unread,
}

/// An entity that may leave out what another one says instead.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct PartialEntity {
    /// What kind of thing.
    #[serde(rename = "type", default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub kind: Option<String>,
    /// Which.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub id: Option<String>,
    /// More about it.
    #[serde(default, deserialize_with = "object")]
    pub properties: Properties,
}

/// One question of many. What it leaves out is said on top: a whole member, or the `type` or the `id` of an entity that has the
/// other.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct ItemBody {
    /// Who.
    #[serde(default, deserialize_with = "object_given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PartialEntity")]
    pub subject: Option<PartialEntity>,
    /// Does what.
    #[serde(default, deserialize_with = "object_given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ActionBody")]
    pub action: Option<ActionBody>,
    /// To what.
    #[serde(default, deserialize_with = "object_given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PartialEntity")]
    pub resource: Option<PartialEntity>,
    /// In which circumstances; no rule looks at them.
    #[serde(default, deserialize_with = "object", skip_serializing)]
    pub context: Unread,
}

/// Many questions, with what they have in common on top (`AuthZEN` §7).
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct EvaluationsBody {
    /// Who, where a question does not say.
    #[serde(default, deserialize_with = "object_given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PartialEntity")]
    pub subject: Option<PartialEntity>,
    /// Does what, where a question does not say.
    #[serde(default, deserialize_with = "object_given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ActionBody")]
    pub action: Option<ActionBody>,
    /// To what, where a question does not say.
    #[serde(default, deserialize_with = "object_given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PartialEntity")]
    pub resource: Option<PartialEntity>,
    /// In which circumstances; no rule looks at them.
    #[serde(default, deserialize_with = "object", skip_serializing)]
    pub context: Unread,
    /// The questions; none of them: the one on top.
    #[serde(default)]
    #[schemars(with = "Vec<ItemBody>")]
    pub evaluations: Vec<Value>,
    /// How they are answered.
    #[serde(default, deserialize_with = "object")]
    pub options: OptionsBody,
}

/// How many questions are answered.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct OptionsBody {
    /// Whether all are answered, or only until one decides.
    #[serde(default)]
    pub evaluations_semantic: Semantic,
}

/// When to stop answering (`AuthZEN` §7.1.2).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Semantic {
    /// Never.
    #[default]
    ExecuteAll,
    /// After the first denial.
    DenyOnFirstDeny,
    /// After the first permit.
    PermitOnFirstPermit,
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
    /// Why, in sentences: what decided, what made it so, and the roles.
    pub reasons: Vec<String>,
    /// The events that the answer rests on.
    pub evidence: Vec<Evidence>,
}

/// The answers to many questions (`AuthZEN` §7.2).
#[derive(Debug, Serialize, JsonSchema)]
pub struct DecisionsBody {
    /// In the order of the questions.
    pub evaluations: Vec<DecisionBody>,
}

/// What a request for many decisions is answered with: if it holds no `evaluations`, it is one question (`AuthZEN` §7.1).
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum EvaluationsAnswer {
    /// The answers to many questions.
    Many(DecisionsBody),
    /// The answer to one.
    One(DecisionBody),
}

/// [`EvaluationsBody`] where nothing is wrong with any question, as they nearly all are: read without going by way of values.
#[derive(Deserialize)]
struct WellFormedBody {
    #[serde(default, deserialize_with = "object_given")]
    subject: Option<PartialEntity>,
    #[serde(default, deserialize_with = "object_given")]
    action: Option<ActionBody>,
    #[serde(default, deserialize_with = "object_given")]
    resource: Option<PartialEntity>,
    #[serde(default, deserialize_with = "object")]
    context: Unread,
    #[serde(default, deserialize_with = "objects")]
    evaluations: Vec<ItemBody>,
    #[serde(default, deserialize_with = "object")]
    options: OptionsBody,
}

impl WellFormedBody {
    /// None where something is wrong, or may be: a name that [`json::parse`](crate::domain::json::parse) refuses, wherever it
    /// stands, is written with a `$` or an escape.
    fn read(request: &InWorkspace) -> Option<Self> {
        let suspect = request.asked.body_bytes().iter().any(|byte| matches!(byte, b'$' | b'\\'));
        if suspect { None } else { read_question(request, "evaluations request").ok() }
    }
}

/// What a request asks many questions with: what they have in common, each of them or what is wrong with it, and how they are
/// answered.
struct Batch {
    common: ItemBody,
    items: Vec<Result<ItemBody, Problem>>,
    semantic: Semantic,
}

impl Batch {
    fn read(request: &InWorkspace) -> Result<Self, Problem> {
        if let Some(body) = WellFormedBody::read(request) {
            let WellFormedBody { subject, action, resource, context, evaluations, options } = body;
            let items = evaluations.into_iter().map(Ok).collect();
            let common = ItemBody { subject, action, resource, context };
            return Ok(Self { common, items, semantic: options.evaluations_semantic });
        }
        let body = parse(request.asked.json()?)?;
        let EvaluationsBody { subject, action, resource, context, evaluations, options } = body;
        let items = evaluations.into_iter().map(parse).collect();
        Ok(Self {
            common: ItemBody { subject, action, resource, context },
            items,
            semantic: options.evaluations_semantic,
        })
    }
}

impl EvaluationBody {
    fn question(self) -> Question {
        Question { subject: self.subject.subject(), action: self.action.name, resource: self.resource.resource() }
    }
}

/// What one request's questions are judged with.
struct Judge<'a> {
    request: &'a InWorkspace,
    view: &'a View,
    asker: Asker,
    explain: bool,
}

impl Judge<'_> {
    fn answer(&self, body: EvaluationBody) -> Result<DecisionBody, Problem> {
        check_may_ask(&self.asker, self.view, &body.subject)?;
        let decision = self.asker.judge(self.view, &body.question());
        let context = self.explain.then(|| ContextBody::Explained(Box::new(self.explanation(&decision))));
        Ok(DecisionBody { decision: decision.allowed, context })
    }

    fn explanation(&self, decision: &Decision) -> Explanation {
        let audits = self.request.reader == Reader::Audit;
        Explanation {
            role: decision.role.map(crate::domain::access::AnyRole::as_str),
            required: decision.required.map(crate::domain::access::AnyRole::as_str),
            rule: decision.rule.as_str(),
            revision: self.view.revision(),
            at: self.view.instant(),
            reasons: reasons(self.view, decision, if audits { Actors::Named } else { Actors::Withheld }),
            evidence: shown(self.view, &decision.evidence, audits),
        }
    }
}

/// The events of revisions; who made them and why is told only to those who may read the audit.
fn shown(view: &View, revisions: &[Revision], audits: bool) -> Vec<Evidence> {
    let of = if audits { Evidence::of } else { Evidence::anonymous };
    revisions.iter().filter_map(|revision| view.event(*revision)).map(|event| of(&event)).collect()
}

/// What is wrong with a question is always 400, as the standard says.
fn malformed(problem: &Problem) -> Problem {
    Problem::malformed(problem.detail())
}

fn parse<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, Problem> {
    ShapeError::read(value).map_err(|error| malformed(&error.into()))
}

/// Answers one question.
pub async fn evaluation(mut request: InWorkspace) -> Answered {
    check_content_type(&request)?;
    let explain = request.asked.params.flag("explain")?;
    let (view, _) = request.view()?;
    std::mem::take(&mut request.asked.params).finish()?;
    let body: EvaluationBody = read_question(&request, "evaluation request")?;
    let judge = Judge { request: &request, view: &view, asker: asker(&request), explain };
    answer::about(&view, &judge.answer(body)?)
}

/// Answers many questions.
pub async fn evaluations(mut request: InWorkspace) -> Answered {
    check_content_type(&request)?;
    let explain = request.asked.params.flag("explain")?;
    let (view, _) = request.view()?;
    std::mem::take(&mut request.asked.params).finish()?;
    let Batch { common, items, semantic } = Batch::read(&request)?;
    let judge = Judge { request: &request, view: &view, asker: asker(&request), explain };
    if items.is_empty() {
        return answer::about(&view, &judge.answer(ItemBody::default().completed(&common)?)?);
    }
    if items.len() > EVALUATIONS_MAX {
        let detail = format!("`evaluations`: there are {}, and at most {EVALUATIONS_MAX} are accepted", items.len());
        return Err(Problem::too_large(detail));
    }
    common.check_size()?;
    let evaluations = answer_all(&judge, &common, items, semantic);
    answer::about(&view, &DecisionsBody { evaluations })
}

fn answer_all(
    judge: &Judge<'_>,
    common: &ItemBody,
    items: Vec<Result<ItemBody, Problem>>,
    semantic: Semantic,
) -> Vec<DecisionBody> {
    let mut answers = Vec::new();
    for item in items {
        let body = item.and_then(|item| item.completed(common));
        let answer = body.and_then(|body| judge.answer(body)).unwrap_or_else(|problem| {
            let error = BrokenQuestion { status: problem.status().as_u16(), message: problem.detail().to_owned() };
            DecisionBody { decision: false, context: Some(ContextBody::Broken { error }) }
        });
        let decides = match semantic {
            Semantic::ExecuteAll => false,
            Semantic::DenyOnFirstDeny => !answer.decision,
            Semantic::PermitOnFirstPermit => answer.decision,
        };
        answers.push(answer);
        if decides {
            break;
        }
    }
    answers
}

impl ItemBody {
    /// The question, with what it leaves out taken from what the questions have in common.
    fn completed(self, common: &Self) -> Result<EvaluationBody, Problem> {
        let action = self.action.or_else(|| common.action.clone());
        Ok(EvaluationBody {
            subject: completed("subject", self.subject, common.subject.as_ref())?,
            action: action.ok_or_else(|| missing("action"))?,
            resource: completed("resource", self.resource, common.resource.as_ref())?,
            context: Unread {},
        })
    }

    /// What the questions of a batch have in common is copied to each, so it has to be small.
    fn check_size(&self) -> Result<(), Problem> {
        let members = [
            ("subject", answer::bytes(&self.subject)?),
            ("action", answer::bytes(&self.action)?),
            ("resource", answer::bytes(&self.resource)?),
        ];
        match members.iter().find(|(_, bytes)| bytes.len() > DEFAULT_BYTES_MAX) {
            None => Ok(()),
            Some((member, _)) => Err(Problem::malformed(format!(
                "`{member}`: what the evaluations have in common is over {DEFAULT_BYTES_MAX} bytes"
            ))),
        }
    }
}

fn missing(place: &str) -> Problem {
    Problem::malformed(format!("missing field `{place}`"))
}

/// An entity, from its own words and those that stand in for them: for all of it, or for its `type` or its `id` alone.
fn completed(member: &str, own: Option<PartialEntity>, common: Option<&PartialEntity>) -> Result<EntityBody, Problem> {
    let PartialEntity { kind, id, properties } = own.or_else(|| common.cloned()).ok_or_else(|| missing(member))?;
    let (common_kind, common_id) = common.map_or((None, None), |common| (common.kind.clone(), common.id.clone()));
    let (kind, id) = match (kind, id) {
        (None, Some(id)) => (common_kind, Some(id)),
        (Some(kind), None) => (Some(kind), common_id),
        both => both,
    };
    let kind = kind.ok_or_else(|| missing(&format!("{member}.type")))?;
    Ok(EntityBody { kind, id: id.ok_or_else(|| missing(&format!("{member}.id")))?, properties })
}
